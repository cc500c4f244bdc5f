package model

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A peer knows what a lawful peer of the Engine knows: what was said so far, and the
// secrets that follow from it. It says whatever it is asked to, whenever; as well as it
// can by then, and under the keys that it would be under if all was lawful.
type peer struct {
	mode
	link *link

	writes     uint64 // the level that its messages go under
	seq        uint16 // message_seq of its next message,
	next       uint16 // and of the Engine's
	transcript []byte
	heard      []protocol.RecordNumber // records with messages

	// What the hellos say.
	clientRandom, serverRandom []byte
	own                        *suite.PrivateKey // key share
	share                      []byte            // the other's
	group                      tls.CurveID
	retried                    bool
	sessionID                  []byte
	cookie                     []byte
	resumes                    bool // a session, or uses a PSK of 1.3

	// The secrets of 1.3, and of 1.2, once there are any.
	secrets *struct {
		client, server keys.TrafficSecret // of the handshake
		master         keys.MasterSecret
	}
	application *struct{ client, server keys.TrafficSecret }
	updating    bool // a KeyUpdate awaits its ACK
	master      *keys.Master12
}

func newPeer(m mode) *peer { return &peer{mode: m, link: newLink(m)} }

// we is the role of the peer.
func (p *peer) we() handshake.Role { return p.role.Peer() }

// say returns the record that goes to the Engine, nil for a timeout.
func (p *peer) say(in input) []byte {
	switch in.content {
	case protocol.Handshake:
		return p.sayMessage(in)
	case protocol.ApplicationData:
		return p.link.seal(p.link.newest(), in.content, []byte("data"))
	case protocol.ChangeCipherSpec:
		record := p.link.seal(p.beforeSwitch(), in.content, []byte{1})
		if p.master != nil { // else it isn't a lawful peer's
			p.writes = handshake.LevelEncrypted
		}
		return record
	case protocol.ACK:
		return p.link.seal(p.writes, in.content, p.ack())
	case protocol.Alert:
		const warning = 1
		return p.link.seal(p.writes, in.content, []byte{warning, byte(alert.CloseNotify)})
	}
	return nil
}

func (p *peer) sayMessage(in input) []byte {
	level := p.writes
	var b wire.Builder
	in.build(p, &b)
	whole := p.link.frame(in.kind, p.seq, built(&b))
	p.seq++
	record := p.link.seal(level, in.content, whole)
	p.cross(in.step(p), whole)
	return record
}

// beforeSwitch is the level of a ChangeCipherSpec: over datagrams it is always in the clear.
func (p *peer) beforeSwitch() uint64 {
	if p.datagrams() {
		return handshake.LevelPlain
	}
	return p.writes
}

// ack acknowledges all messages so far (RFC 9147 7).
func (p *peer) ack() []byte {
	var b wire.Builder
	b.Vector16(func() {
		for _, n := range p.heard {
			b.Uint64(n.Epoch)
			b.Uint64(n.Sequence)
		}
	})
	return built(&b)
}

// hear takes what the Engine has sent, and notes what that was.
func (p *peer) hear(sent []byte, heard *said) {
	for len(sent) > 0 {
		var o opened
		o, sent = p.link.open(sent)
		level := o.number.Epoch
		switch o.kind {
		case protocol.Handshake:
			p.heard = append(p.heard, o.number)
			p.hearMessages(o.content, level, heard)
		case protocol.Alert:
			heard.add(level, "alert("+alert.Alert(o.content[1]).String()+")")
		case protocol.ACK:
			heard.add(level, "ACK")
			p.acked()
		case protocol.ChangeCipherSpec:
			if !p.version.Is13() { // else it is for middleboxes alone
				heard.add(level, "ChangeCipherSpec")
			}
		default:
			heard.add(level, fmt.Sprint(o.kind))
		}
	}
}

func (p *peer) hearMessages(content []byte, level uint64, heard *said) {
	for len(content) > 0 {
		var t protocol.HandshakeType
		var whole []byte
		t, whole, content = p.link.unframe(content)
		body := p.link.body(whole)
		step := p.stepOf(t, body)
		heard.add(level, describe(step))
		if p.isNew(whole) {
			p.learn(step, body)
			p.cross(step, whole)
		}
	}
}

// isNew reports whether a message is none that the Engine repeats.
func (p *peer) isNew(whole []byte) bool {
	if !p.datagrams() {
		return true
	}
	const seqAt = 4
	seq := binary.BigEndian.Uint16(whole[seqAt:])
	if seq < p.next {
		return false
	}
	p.next = seq + 1
	return true
}

// stepOf is what a message of the Engine's is.
func (p *peer) stepOf(t protocol.HandshakeType, body []byte) handshake.Step {
	isRetry := t == protocol.ServerHello && bytes.HasPrefix(body[2:], message.HelloRetryRandom[:])
	switch {
	case isRetry:
		return handshake.HelloRetryRequest
	case t == protocol.ClientHello && p.transcript != nil:
		return handshake.ClientHelloAgain
	}
	return stepOf(t, p.role)
}

// learn takes from a message of the Engine's what its peer must know.
func (p *peer) learn(s handshake.Step, body []byte) {
	switch s {
	case handshake.ClientHello, handshake.ClientHelloAgain:
		p.learnClientHello(body)
	case handshake.ServerHello:
		p.learnServerHello(body)
	case handshake.ServerKeyExchange:
		var in message.ServerKeyExchange
		check(in.Parse(body))
		p.group, p.share = tls.CurveID(in.Group), bytes.Clone(in.Public)
	case handshake.ClientKeyExchange:
		if p.authentication != sharedKey {
			var in message.ClientKeyExchange
			check(in.Parse(body))
			p.share = bytes.Clone(in.Public)
		}
	}
}

// cross puts a step into the transcript, and makes what keys it brings.
func (p *peer) cross(s handshake.Step, whole []byte) {
	switch {
	case s == handshake.HelloVerifyRequest:
		p.transcript = nil
		return
	case s == handshake.HelloRetryRequest:
		sum := p.sum()
		p.transcript = append([]byte{byte(protocol.MessageHash), 0, 0, byte(len(sum))}, sum...)
		p.retried = true
	}
	if s.Transcribed() {
		p.transcript = append(p.transcript, p.link.transcribed(whole)...)
	}
	switch {
	case s == handshake.ServerHello && p.version.Is13():
		p.deriveHandshake()
	case s == handshake.ServerHello && p.resumes:
		p.use12(keys.Master12{Hash: p.suite().Hash, Secret: [48]byte(p.session().Secret)})
	case s == handshake.ServerFinished && p.version.Is13():
		p.deriveApplication()
	case s == handshake.ClientFinished && p.version.Is13() && p.we() == handshake.Client && p.application != nil:
		p.writes = handshake.LevelApplication
	case s == handshake.ClientKeyExchange:
		p.derive12()
	case s == handshake.ClientKeyUpdate || s == handshake.ServerKeyUpdate:
		if p.updating = p.application != nil; p.updating && !p.datagrams() {
			p.acked()
		}
	}
}
