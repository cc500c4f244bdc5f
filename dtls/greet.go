package dtls

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A greeter answers ClientHellos from addresses that are not validated, without
// keeping anything about them but fragments in a table of fixed size: with
// HelloVerifyRequest or HelloRetryRequest and a cookie, until one comes back.
// Only one goroutine uses it.
type greeter struct {
	config  *Config
	known   session.AntiReplay // hellos that were let in without a cookie
	cookies *cookieJar
	hellos  *helloTable
	hello   hello // of the datagram that is being read
	reply   [512]byte
	message [maxCookieSize + 128]byte
	cookie  [maxCookieSize]byte
}

// A welcome is a client whose cookie came back, or whose ticket is good without
// one: then the bytes of its hello bound what may go to its address.
type welcome struct {
	budget   int // zero: by a cookie
	entry    handshake.Entry
	sequence uint64 // of the record that completed its hello
	hello    []byte // as one datagram
}

// prepare makes the client's Engine what the hello is for.
func (w *welcome) prepare(e *Engine) {
	if w.budget > 0 {
		e.budget = budget{on: true, received: w.budget - len(w.hello)} // the hello is yet to come
		return
	}
	e.enter(w.entry, w.sequence)
}

func newGreeter(c *Config, now time.Time) greeter {
	return greeter{config: c, known: NewReplayRegister(0, time.Time{}), cookies: newCookieJar(c.CookieKeys, now), hellos: newHelloTable(c.SplitHellos, c.MaxSplitHello)}
}

// A hello is a whole ClientHello, however many records and datagrams it came in.
type hello struct {
	message.ClientHello
	header fragment.Header // of its last fragment
	body   []byte
	record header12 // in which it became whole
	rest   []byte   // the records after that one, in the same datagram
	single []byte   // the datagram, if all of it came in one record of its own
	size   int      // bytes of the datagrams that brought it
}

// hear takes a datagram that may bring a ClientHello, or the last part of one:
// any number of records and fragments. It is valid until the next call. Without
// it, wait says whether a part of one is kept.
func (g *greeter) hear(datagram []byte, from netip.AddrPort, now time.Time) (in *hello, wait bool) {
	size := len(datagram) // counted once, with the first fragment
	for rest := datagram; len(rest) > 0; {
		r, after, ok := parseHeader12(rest)
		if !ok || !r.carriesHello() {
			return nil, wait
		}
		for payload := r.body; len(payload) > 0; {
			h, body, more, err := fragment.Parse(payload)
			// The first hello is message 0, the one with the cookie message 1; a
			// client whose cookie got too old goes on counting.
			if err != nil || protocol.HandshakeType(h.Type) != protocol.ClientHello || h.Seq > maxHelloSeq || h.Length > g.hellos.most {
				return nil, wait
			}
			payload = more
			g.hello = hello{header: h, body: body, record: r, rest: after, size: size}
			if h.Whole() && len(rest) == len(datagram) && len(more) == 0 {
				g.hello.single = datagram
			}
			if !h.Whole() {
				g.hello.body, g.hello.size = g.hellos.add(from, h, body, size, now)
			}
			if size, wait = 0, true; g.hello.body != nil {
				return g.parsed()
			}
		}
		rest = after
	}
	return nil, wait
}

// letGo lets go of the datagrams, which the last hello lies in.
func (g *greeter) letGo() { g.hello = hello{} }

// parsed is the hello, unless it is malformed.
func (g *greeter) parsed() (in *hello, wait bool) {
	if g.hello.Parse(g.hello.body, protocol.Datagram) != nil {
		return nil, false
	}
	return &g.hello, false
}

// carriesHello reports whether a record begins with a part of a ClientHello. It
// is plaintext, and before the first answer the version may be 1.0.
func (h header12) carriesHello() bool {
	return h.kind == protocol.Handshake && h.number.Epoch == 0 && (h.version == protocol.VersionDTLS10 || h.version == protocol.VersionDTLS12) &&
		len(h.body) > 0 && protocol.HandshakeType(h.body[0]) == protocol.ClientHello
}

// beginsHello reports whether a datagram begins with a part of a ClientHello.
func beginsHello(datagram []byte) bool {
	r, _, ok := parseHeader12(datagram)
	return ok && r.carriesHello()
}

// datagram is the hello as if it had come in one record of one datagram, with
// what followed it.
func (in *hello) datagram() []byte {
	if in.single != nil {
		return in.single
	}
	h := in.header
	h.Offset, h.Size = 0, len(in.body)
	b := make([]byte, headerSize12, headerSize12+fragment.HeaderSize+len(in.body)+len(in.rest))
	b = append(h.Append(b), in.body...)
	putHeader12(b, protocol.Handshake, in.record.version, in.record.number, len(b)-headerSize12)
	return append(b, in.rest...)
}

// A greeting is what to do about a hello: answer it, welcome the client, or
// (zero) drop it.
type greeting struct {
	reply   []byte // valid until the next call
	welcome *welcome
	refused bool // the cookie that it brought
}

// answer judges a hello from an address that is not validated.
//
// RFC 9147 5.1 [5, 7, 9]; RFC 6347 4.2.1 [16]
func (g *greeter) answer(in *hello, from netip.AddrPort, now time.Time) greeting {
	cookie, v := helloCookie(&in.ClientHello)
	switch {
	case v != 0:
		if w := g.welcome(in, cookie, v, from, now); w != nil {
			return greeting{welcome: w}
		}
	case in.header.Seq > 0:
		return greeting{} // nobody has a reason to send it: we ask for a cookie each time
	case g.knows(&in.ClientHello, from, now):
		return greeting{welcome: &welcome{budget: in.size, hello: in.datagram()}}
	}
	var reply []byte
	if v.Is13() {
		// 1.3 has no second HelloRetryRequest: the client starts from scratch
		// (RFC 9147 5.1).
		reply = g.alert(alert.IllegalParameter, in.record)
	} else {
		reply = g.challenge(in, from, now)
	}
	if len(reply) > amplification*in.size {
		reply = nil
	}
	return greeting{reply: reply, refused: v != 0}
}

// maxHelloSeq is the highest message_seq that a ClientHello can lawfully have:
// one for each HelloVerifyRequest that a client of ours would answer.
const maxHelloSeq = 3

// welcome checks the cookie.
func (g *greeter) welcome(in *hello, cookie []byte, v protocol.Version, from netip.AddrPort, now time.Time) *welcome {
	entry := handshake.Entry{Choice: handshake.Choice{Version: v}, Seq: in.header.Seq}
	if !v.Is13() {
		if !g.cookies.verify12(from, &in.ClientHello, now) {
			return nil
		}
		return &welcome{entry: entry, sequence: in.record.number.Sequence, hello: in.datagram()}
	}
	choice, helloHash, ok := g.cookies.verify13(cookie, from, &in.ClientHello, now)
	if !ok {
		return nil
	}
	var retry wire.Builder
	handshake.AppendRetry(&retry, choice, nil, cookie)
	body, err := retry.Bytes()
	if err != nil {
		return nil
	}
	entry.Choice, entry.HelloHash, entry.Retry = choice, slices.Clone(helloHash), body
	return &welcome{entry: entry, sequence: in.record.number.Sequence, hello: in.datagram()}
}

// knows reports whether a hello may be answered at once: its ticket names its
// address, it has a share that we take, and it hasn't been here before. A cookie
// costs a round trip, and with it all 0-RTT.
func (g *greeter) knows(in *message.ClientHello, from netip.AddrPort, now time.Time) bool {
	if !g.config.EarlyData {
		return false
	}
	if choice, err := handshake.Choose(g.config, in, protocol.Datagram); err != nil || !choice.Version.Is13() || choice.NeedShare {
		return false
	}
	return handshake.KnownClient(g.config, in, from.Addr().Unmap(), g.known, now)
}

// challenge builds the answer to a hello without a good cookie: a plaintext
// record with the hello's number, since we don't count for anybody
// (RFC 6347 4.2.1).
//
// RFC 9147 5.2 [3]; RFC 6347 4.2.1 [2, 9]
func (g *greeter) challenge(in *hello, from netip.AddrPort, now time.Time) []byte {
	r := in.record
	choice, err := handshake.Choose(g.config, &in.ClientHello, protocol.Datagram)
	if err != nil {
		return g.refuse(err, r)
	}
	kind, b := protocol.HelloVerifyRequest, wire.NewBuilder(g.message[:0])
	if choice.Version.Is13() {
		kind, r.version = protocol.ServerHello, protocol.VersionDTLS12 // RFC 9147 4
		cookie := g.cookies.append13(g.cookie[:0], choice, from, &in.ClientHello, in.body, now)
		handshake.AppendRetry(b, choice, nil, cookie)
	} else {
		// The version says nothing here, and this is the one that every client
		// takes (RFC 6347 4.2.1).
		out := message.HelloVerifyRequest{Version: protocol.VersionDTLS10, Cookie: g.cookies.append12(g.cookie[:0], from, &in.ClientHello, now)}
		out.Append(b)
	}
	out, err := b.Bytes()
	if err != nil {
		return nil
	}
	header := fragment.Header{Type: uint8(kind), Length: len(out), Seq: in.header.Seq, Size: len(out)}
	return g.record(protocol.Handshake, r, append(header.Append(g.reply[headerSize12:headerSize12]), out...))
}

// record puts a record header before a payload that stands in reply.
func (g *greeter) record(kind protocol.ContentType, answers header12, payload []byte) []byte {
	putHeader12(g.reply[:], kind, answers.version, answers.number, len(payload)) // some clients check the version before they have one
	return g.reply[:headerSize12+len(payload)]
}

// refuse answers a hello that can't lead to a handshake with its alert.
func (g *greeter) refuse(err error, r header12) []byte {
	a, ok := errors.AsType[*alert.Error](err)
	if !ok {
		return nil
	}
	return g.alert(a.Alert, r)
}

func (g *greeter) alert(a alert.Alert, r header12) []byte {
	const fatal = 2
	return g.record(protocol.Alert, r, append(g.reply[headerSize12:headerSize12], fatal, byte(a)))
}
