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
	hello    []byte // the hello, as a datagram of one record
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
	return greeter{config: c, known: NewReplayRegister(0), cookies: newCookieJar(c.CookieKeys, now), hellos: newHelloTable()}
}

// amplification is how many bytes may go to an address that is not validated
// for each that came from it (RFC 9147 5.1 leaves the number open; QUIC's is
// three, RFC 9000 8).
const amplification = 3

// A greeting is what to do about a datagram from an address that has no Conn:
// answer it, welcome the client, wait for the rest of its hello, or (zero) drop
// it.
type greeting struct {
	reply   []byte // valid until the next call
	welcome *welcome
	wait    bool
}

// greet takes a datagram from an address that has no Conn.
func (g *greeter) greet(datagram []byte, from netip.AddrPort, now time.Time) greeting {
	r, _, ok := parseHeader12(datagram)
	if !ok || r.kind != protocol.Handshake || r.number.Epoch != 0 || r.version != protocol.VersionDTLS10 && r.version != protocol.VersionDTLS12 {
		return greeting{}
	}
	h, body, _, err := fragment.Parse(r.body)
	// The first hello is message 0, the one with the cookie message 1; a
	// client whose cookie got too old goes on counting.
	if err != nil || protocol.HandshakeType(h.Type) != protocol.ClientHello || h.Seq > maxHelloSeq {
		return greeting{}
	}
	size := len(datagram)
	if !h.Whole() {
		if body, size = g.hellos.add(from, h, body, size, now); body == nil {
			return greeting{wait: true}
		}
	}
	var in message.ClientHello
	if in.Parse(body, protocol.Datagram) != nil {
		return greeting{}
	}
	if cookie, v := helloCookie(&in); v != 0 {
		if w := g.welcome(&in, cookie, v, from, now); w != nil {
			w.entry.Seq = h.Seq
			w.sequence, w.hello = r.number.Sequence, wrapHello(r, h, body)
			return greeting{welcome: w}
		}
		if v.Is13() {
			// 1.3 has no second HelloRetryRequest: the client starts from scratch
			// (RFC 9147 5.1).
			return greeting{reply: g.alert(alert.IllegalParameter, r)}
		}
	}
	if h.Seq == 0 && g.knows(&in, from, now) {
		return greeting{welcome: &welcome{budget: size, hello: wrapHello(r, h, body)}}
	}
	reply := g.challenge(&in, h, body, r, from, now)
	if len(reply) > amplification*size {
		return greeting{}
	}
	return greeting{reply: reply}
}

// maxHelloSeq is the highest message_seq that a ClientHello can lawfully have:
// one for each HelloVerifyRequest that a client of ours would answer.
const maxHelloSeq = 3

// welcome checks the cookie.
func (g *greeter) welcome(in *message.ClientHello, cookie []byte, v protocol.Version, from netip.AddrPort, now time.Time) *welcome {
	if !v.Is13() {
		if !g.cookies.verify12(from, in, now) {
			return nil
		}
		return &welcome{entry: handshake.Entry{Choice: handshake.Choice{Version: v}}}
	}
	choice, helloHash, ok := g.cookies.verify13(cookie, from, in, now)
	if !ok {
		return nil
	}
	var retry wire.Builder
	handshake.AppendRetry(&retry, choice, nil, cookie)
	body, err := retry.Bytes()
	if err != nil {
		return nil
	}
	return &welcome{entry: handshake.Entry{Choice: choice, HelloHash: slices.Clone(helloHash), Retry: body}}
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
	binder, expiry, ok := handshake.KnownClient(g.config, in, from.Addr().Unmap(), now)
	if !ok {
		return false
	}
	fresh, err := g.known.Record(binder, now, expiry)
	return fresh && err == nil
}

// challenge builds the answer to a hello without a good cookie: a plaintext
// record with the hello's number, since we don't count for anybody
// (RFC 6347 4.2.1).
func (g *greeter) challenge(in *message.ClientHello, h fragment.Header, body []byte, r header12, from netip.AddrPort, now time.Time) []byte {
	choice, err := handshake.Choose(g.config, in, protocol.Datagram)
	if err != nil {
		return g.refuse(err, r)
	}
	kind, b := protocol.HelloVerifyRequest, wire.NewBuilder(g.message[:0])
	if choice.Version.Is13() {
		kind, r.version = protocol.ServerHello, protocol.VersionDTLS12 // RFC 9147 4
		cookie := g.cookies.append13(g.cookie[:0], choice, from, in, body, now)
		handshake.AppendRetry(b, choice, nil, cookie)
	} else {
		// The version says nothing here, and this is the one that every client
		// takes (RFC 6347 4.2.1).
		out := message.HelloVerifyRequest{Version: protocol.VersionDTLS10, Cookie: g.cookies.append12(g.cookie[:0], from, in, now)}
		out.Append(b)
	}
	out, err := b.Bytes()
	if err != nil {
		return nil
	}
	header := fragment.Header{Type: uint8(kind), Length: len(out), Seq: h.Seq, Size: len(out)}
	return g.record(protocol.Handshake, r, append(header.Append(g.reply[headerSize12:headerSize12]), out...))
}

// record puts a record header before a payload that stands in reply.
func (g *greeter) record(kind protocol.ContentType, answers header12, payload []byte) []byte {
	putHeader12(g.reply[:], kind, answers.version, answers.number, len(payload)) // some clients check the version before they have one
	return g.reply[:headerSize12+len(payload)]
}

// refuse answers a hello that can't lead to a handshake with its alert.
func (g *greeter) refuse(err error, r header12) []byte {
	var a *alert.Error
	if !errors.As(err, &a) {
		return nil
	}
	return g.alert(a.Alert, r)
}

func (g *greeter) alert(a alert.Alert, r header12) []byte {
	const fatal = 2
	return g.record(protocol.Alert, r, append(g.reply[headerSize12:headerSize12], fatal, byte(a)))
}

// wrapHello makes one record in one datagram of a hello, however it came.
func wrapHello(r header12, h fragment.Header, body []byte) []byte {
	h.Offset, h.Size = 0, len(body)
	b := make([]byte, headerSize12, headerSize12+fragment.HeaderSize+len(body))
	b = append(h.Append(b), body...)
	putHeader12(b, protocol.Handshake, r.version, r.number, len(b)-headerSize12)
	return b
}
