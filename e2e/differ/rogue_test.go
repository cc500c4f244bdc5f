package differ

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
)

// A rogue is a lawful peer, a Machine, whose messages and records can be changed on their
// way out: before they are protected, and afterwards. A record holds one message. Nothing
// gets lost on the way to it.
type rogue struct {
	machine   *handshake.Machine
	transport protocol.Transport
	version   protocol.Version
	err       error // that ended its own handshake

	// message, if set, may change what is said: the body of the nth message.
	message func(n int, m handshake.Message) []byte
	said    []handshake.Message // by the machine

	// record, if set, may send something else instead of the nth record.
	record  func(n int, c content) [][]byte
	records int

	writes, reads []protection
	out           [][]byte // records
	messages      []byte   // that came, the last one maybe in part; over streams
	assembler     fragment.Assembler
	alerts        []string // that came
	data          []byte   // that came
	chosen        []string // what the peer's hellos chose
}

// A protection is that of one direction and level.
type protection struct {
	level    uint64
	sequence uint64
	sealer   *record.Sealer
	opener   *record.Opener
}

var _ handshake.Layer = (*rogue)(nil)

func newRogue(role handshake.Role, c *handshake.Config, t protocol.Transport) (*rogue, error) {
	if err := c.Validate(role, t); err != nil {
		return nil, err
	}
	r := &rogue{transport: t, writes: make([]protection, 1), reads: make([]protection, 1)}
	if role == handshake.Client {
		r.machine = handshake.NewClient(c, t, r)
	} else {
		r.machine = handshake.NewServer(c, t, r)
	}
	return r, nil
}

// --- What goes out

func (r *rogue) start() [][]byte {
	r.do(func() error { return r.machine.Start(now) })
	return r.take()
}

func (r *rogue) take() [][]byte {
	out := r.out
	r.out = nil
	return out
}

// Send makes a record of a message.
func (r *rogue) Send(m handshake.Message) {
	m.Body = slices.Clone(m.Body)
	n := len(r.said)
	r.said = append(r.said, m)
	if r.message != nil {
		m.Body = r.message(n, m)
	}
	if m.Content == protocol.Handshake {
		m.Body = r.headed(m)
	}
	r.write(content{m.Level, m.Content, m.Body})
}

// headed puts the header before a message.
func (r *rogue) headed(m handshake.Message) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(m.Type)<<24|uint32(len(m.Body)))
	if r.transport == protocol.Datagram {
		b = binary.BigEndian.AppendUint16(b, m.Seq)
		b = append(b, 0, 0, 0)
		b = append(b, b[1:4]...)
	}
	return append(b, m.Body...)
}

// write makes a record, or commits a fault instead.
func (r *rogue) write(c content) {
	n := r.records
	r.records++
	if r.record != nil {
		if records := r.record(n, c); records != nil {
			r.out = append(r.out, records...)
			return
		}
	}
	r.out = append(r.out, r.seal(c))
}

// say writes application data.
func (r *rogue) say(data string) [][]byte {
	r.write(content{r.writes[len(r.writes)-1].level, protocol.ApplicationData, []byte(data)})
	return r.take()
}

// seal makes a record.
func (r *rogue) seal(c content) []byte {
	at := slices.IndexFunc(r.writes, func(p protection) bool { return p.level == c.level })
	p := &r.writes[at]
	outer, body := c.kind, c.body
	sealed, additional, number := body, []byte(nil), p.sequence
	if r.transport == protocol.Datagram {
		number |= p.level << 48
	}
	switch {
	case p.sealer == nil:
	case r.version.Is13():
		outer = protocol.ApplicationData
		inner := append(slices.Clone(body), byte(c.kind))
		additional = r.header(outer, number, p.sealer.SealedLen(len(inner)))
		sealed = p.sealer.Seal(nil, inner, additional, number)
	default:
		additional = r.additional12(outer, number, len(body))
		sealed = p.sealer.Seal(nil, body, additional, number)
	}
	p.sequence++
	return append(r.header(outer, number, len(sealed)), sealed...)
}

func (r *rogue) header(content protocol.ContentType, number uint64, length int) []byte {
	b := binary.BigEndian.AppendUint16([]byte{byte(content)}, uint16(protocol.VersionTLS12.Over(r.transport)))
	if r.transport == protocol.Datagram {
		b = binary.BigEndian.AppendUint64(b, number)
	}
	return binary.BigEndian.AppendUint16(b, uint16(length))
}

func (r *rogue) headerSize() int {
	if r.transport == protocol.Datagram {
		return 13
	}
	return 5
}

// additional12 is the additional data of 1.2 (RFC 5246 6.2.3.3).
func (r *rogue) additional12(content protocol.ContentType, number uint64, length int) []byte {
	b := append(binary.BigEndian.AppendUint64(nil, number), byte(content))
	b = binary.BigEndian.AppendUint16(b, uint16(protocol.VersionTLS12.Over(r.transport)))
	return binary.BigEndian.AppendUint16(b, uint16(length))
}

func (r *rogue) Flush(handshake.Reply) {}

func (r *rogue) WriteKey(k handshake.TrafficKey) error {
	sealer, err := record.NewSealer(k.Suite, k.Key)
	r.writes = append(r.writes, protection{level: k.Level, sealer: sealer})
	return err
}

func (r *rogue) ReadKey(k handshake.TrafficKey) error {
	opener, err := record.NewOpener(k.Suite, k.Key)
	r.reads = append(r.reads, protection{level: k.Level, opener: opener})
	return err
}

func (r *rogue) Version(v protocol.Version)                  { r.version = v }
func (r *rogue) ConnectionIDs(handshake.ConnectionIDs) error { return nil }
func (r *rogue) SkipEarly(int)                               {}
func (r *rogue) Trace(handshake.Event)                       {}
func (r *rogue) Finish()                                     {}

// do lets the machine do something, with all the work that it needs for that.
func (r *rogue) do(f func() error) {
	if r.err != nil {
		return
	}
	err := f()
	for ; err == handshake.ErrNotYet || err == nil && r.machine.Work() != nil; err = f() {
		for work := r.machine.Work(); work != nil; work = r.machine.Work() {
			work()
			if resumed := r.machine.Resume(now); resumed != nil && resumed != handshake.ErrNotYet {
				r.err = resumed
				return
			}
		}
		if err == nil {
			return // it was taken
		}
	}
	r.err = err
}

// --- What comes in

var errUnreadable = errors.New("can't be opened")

// offer gives the machine a message.
func (r *rogue) offer(t protocol.HandshakeType, seq uint16, body []byte) {
	r.chosen = append(r.chosen, choice(t, body)...)
	r.do(func() error {
		return r.machine.Receive(handshake.Message{Content: protocol.Handshake, Type: t, Seq: seq, Body: body}, now)
	})
}

// choice is what a server's message says that it has chosen.
func choice(t protocol.HandshakeType, body []byte) []string {
	switch t {
	case protocol.ServerHello:
		var m message.ServerHello
		if err := m.Parse(body); err != nil {
			return []string{"a ServerHello that " + err.Error()}
		}
		version, group := m.Version, ""
		if v, ok := m.Extensions.Find(protocol.ExtSupportedVersions); ok {
			version = protocol.Version(binary.BigEndian.Uint16(v))
		}
		if share, ok := m.Extensions.Find(protocol.ExtKeyShare); ok {
			group = fmt.Sprintf(" %v", tls.CurveID(binary.BigEndian.Uint16(share)))
		}
		kind := "ServerHello"
		if m.IsRetry() {
			kind = "HelloRetryRequest"
		}
		var extensions []string
		for e := range m.Extensions.All() {
			extensions = append(extensions, e.String())
		}
		slices.Sort(extensions)
		return []string{fmt.Sprintf("%s %v %s%s %v", kind, version, tls.CipherSuiteName(m.CipherSuite), group, extensions)}
	case protocol.ServerKeyExchange:
		if len(body) > 4 && len(body) > 6+int(body[3]) {
			return []string{fmt.Sprintf("%v %v", tls.CurveID(binary.BigEndian.Uint16(body[1:])),
				tls.SignatureScheme(binary.BigEndian.Uint16(body[4+body[3]:])))}
		}
	}
	return nil
}

// receive takes a datagram, or whole records of a stream, and gives what it answers.
func (r *rogue) receive(in []byte) [][]byte {
	for len(in) > 0 {
		header := r.headerSize()
		end := header
		if len(in) >= header {
			end += int(binary.BigEndian.Uint16(in[header-2:]))
		}
		if len(in) < end {
			r.alerts = append(r.alerts, fmt.Sprintf("half a record, % x", in))
			break
		}
		r.dispatch(in[:header], in[header:end])
		in = in[end:]
	}
	return r.take()
}

func (r *rogue) dispatch(header, body []byte) {
	content, body, err := r.open(header, slices.Clone(body))
	switch {
	case err != nil && content != protocol.Handshake:
		r.alerts = append(r.alerts, err.Error())
	case err != nil:
	case content == protocol.Alert && len(body) == 2:
		r.alerts = append(r.alerts, alert.Alert(body[1]).String())
	case content == protocol.ApplicationData:
		r.data = append(r.data, body...)
	case content == protocol.ChangeCipherSpec:
		if r.version != 0 && !r.version.Is13() {
			r.do(func() error { return r.machine.Receive(handshake.Message{Content: content, Body: body}, now) })
		}
	case content == protocol.Handshake:
		r.handshake(body)
	}
}

// open removes the protection of a record, which is that of the newest level; over
// datagrams, of the one that it names.
func (r *rogue) open(header, body []byte) (content protocol.ContentType, plaintext []byte, err error) {
	content = protocol.ContentType(header[0])
	p := &r.reads[len(r.reads)-1]
	number := p.sequence
	if r.transport == protocol.Datagram {
		number = binary.BigEndian.Uint64(header[3:])
		at := slices.IndexFunc(r.reads, func(p protection) bool { return p.level == number>>48 })
		if at < 0 {
			return content, nil, errUnreadable
		}
		p = &r.reads[at]
	}
	switch {
	case p.opener == nil && content == protocol.ApplicationData:
		return content, nil, errUnreadable // it has keys that we have not
	case p.opener == nil || r.version.Is13() && content != protocol.ApplicationData:
		return content, body, nil
	case r.version.Is13():
		plaintext, err = p.opener.Open(body, header, number)
	default:
		plaintext, err = p.opener.Open(body, r.additional12(content, number, p.opener.PlaintextLen(len(body))), number)
	}
	if err != nil {
		return content, nil, errUnreadable
	}
	p.sequence++
	if r.version.Is13() {
		last := len(plaintext) - 1
		for last > 0 && plaintext[last] == 0 {
			last--
		}
		content, plaintext = protocol.ContentType(plaintext[last]), plaintext[:last]
	}
	return content, plaintext, nil
}

// handshake takes what one record has of handshake messages.
func (r *rogue) handshake(body []byte) {
	if r.transport == protocol.Datagram {
		for len(body) > 0 {
			h, part, left, err := fragment.Parse(body)
			if err != nil {
				return
			}
			r.assembler.Add(h, part)
			body = left
		}
		for h, whole, ok := r.assembler.Message(); ok; h, whole, ok = r.assembler.Message() {
			r.offer(protocol.HandshakeType(h.Type), h.Seq, whole)
			r.assembler.Pop()
		}
		return
	}
	r.messages = append(r.messages, body...)
	for len(r.messages) >= 4 {
		kind, size := protocol.HandshakeType(r.messages[0]), 4+int(binary.BigEndian.Uint32(r.messages)&0xffffff)
		if len(r.messages) < size {
			return
		}
		whole := slices.Clone(r.messages[4:size])
		r.messages = r.messages[size:]
		r.offer(kind, 0, whole)
	}
}
