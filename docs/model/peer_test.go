package model

import (
	"bytes"
	"crypto/sha256"
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

// say returns what goes to the Engine: a record in each datagram.
func (p *peer) say(in input) [][]byte {
	switch in.content {
	case protocol.Handshake:
		level := p.writes
		var b wire.Builder
		in.build(p, &b)
		whole := p.link.frame(in.kind, p.seq, built(&b))
		p.seq++
		record := p.link.seal(level, in.content, whole)
		p.cross(in.step(p), whole)
		return [][]byte{record}
	case noContent:
		return nil
	case protocol.ApplicationData:
		return [][]byte{p.link.seal(p.link.newest(), in.content, []byte("data"))}
	case protocol.ChangeCipherSpec:
		record := p.link.seal(p.beforeSwitch(), in.content, []byte{1})
		if p.master != nil { // else it isn't a lawful peer's
			p.writes = handshake.LevelEncrypted
		}
		return [][]byte{record}
	case protocol.ACK:
		return [][]byte{p.link.seal(p.writes, in.content, p.ack())}
	}
	const warning = 1
	return [][]byte{p.link.seal(p.writes, protocol.Alert, []byte{warning, byte(alert.CloseNotify)})}
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
			for content := o.content; len(content) > 0; {
				var t protocol.HandshakeType
				var whole []byte
				t, whole, content = p.link.unframe(content)
				step := p.stepOf(t, p.link.body(whole))
				heard.add(level, step.Type().String())
				if step == handshake.HelloRetryRequest {
					heard.words[len(heard.words)-1] = "HelloRetryRequest"
				}
				if p.isNew(whole) {
					p.learn(step, p.link.body(whole))
					p.cross(step, whole)
				}
			}
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
	for _, e := range handshake.Graph {
		if e.To.Type() == t && e.To.Writer() == p.role && e.To != handshake.HelloRetryRequest {
			return e.To
		}
	}
	panic(fmt.Sprintf("the Engine sends %v", t))
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

func (p *peer) sum() []byte {
	sum := sha256.Sum256(p.transcript)
	return sum[:]
}

// --- Secrets

// shared is the secret of the key exchange, nil if there is none yet.
func (p *peer) shared() []byte {
	if p.own == nil || p.share == nil {
		return nil
	}
	s, err := p.own.Shared(p.share)
	check(err)
	return s
}

// protect puts both directions' keys to use, as the client's and the server's.
func (p *peer) protect(level uint64, client, server keys.RecordKey) {
	ours, theirs := client, server
	if p.we() == handshake.Server {
		ours, theirs = server, client
	}
	p.link.writeUnder(level, p.suite(), ours)
	p.link.readUnder(level, p.suite(), theirs)
}

// deriveHandshake is the schedule of 1.3 from ServerHello on, the first time that there
// is one.
func (p *peer) deriveHandshake() {
	shared := p.shared()
	if p.secrets != nil || shared == nil {
		return
	}
	s, sum := p.early().Handshake(shared), p.sum()
	p.secrets = &struct {
		client, server keys.TrafficSecret
		master         keys.MasterSecret
	}{s.ClientTraffic(sum), s.ServerTraffic(sum), s.Master()}
	p.protect(handshake.LevelHandshake, p.secrets.client.Key(p.suite()), p.secrets.server.Key(p.suite()))
	p.writes = handshake.LevelHandshake
}

// early is where the schedule of 1.3 begins.
func (p *peer) early() keys.EarlySecret {
	schedule := keys.Schedule{Hash: p.suite().Hash, Transport: p.transport()}
	switch {
	case !p.resumes:
		return schedule.Early(nil)
	case p.authentication == resumed:
		return schedule.Early(p.session().Secret)
	}
	return schedule.Early(secret.Key)
}

// deriveApplication is the same from the server's Finished on.
func (p *peer) deriveApplication() {
	if p.application != nil || p.secrets == nil {
		return
	}
	sum := p.sum()
	p.application = &struct{ client, server keys.TrafficSecret }{p.secrets.master.ClientTraffic(sum), p.secrets.master.ServerTraffic(sum)}
	p.protect(handshake.LevelApplication, p.application.client.Key(p.suite()), p.application.server.Key(p.suite()))
	if p.we() == handshake.Server {
		p.writes = handshake.LevelApplication
	}
}

// acked puts the key of a KeyUpdate to use.
func (p *peer) acked() {
	if !p.updating {
		return
	}
	p.updating = false
	ours := &p.application.client
	if p.we() == handshake.Server {
		ours = &p.application.server
	}
	*ours = ours.Next()
	p.writes++
	p.link.writeUnder(p.writes, p.suite(), ours.Key(p.suite()))
}

// derive12 makes the keys of 1.2, which ClientKeyExchange decides.
func (p *peer) derive12() {
	premaster := p.shared()
	if p.authentication == sharedKey {
		n := uint16(len(secret.Key))
		premaster = append(binary.BigEndian.AppendUint16(nil, n), make([]byte, n)...)
		premaster = append(binary.BigEndian.AppendUint16(premaster, n), secret.Key...)
	}
	if premaster != nil && p.serverRandom != nil {
		p.use12(keys.ExtendedMaster(p.suite().Hash, premaster, p.sum()))
	}
}

// use12 puts a master secret to use, the first that there is.
func (p *peer) use12(master keys.Master12) {
	if p.master != nil {
		return
	}
	p.master = &master
	client, server := master.KeyBlock(p.clientRandom, p.serverRandom, p.suite())
	p.protect(handshake.LevelEncrypted, client, server)
}

// verifyData is that of our Finished; some other bytes if there are no secrets for it.
func (p *peer) verifyData() []byte {
	sum := p.sum()
	switch client := p.we() == handshake.Client; {
	case p.secrets != nil && client:
		return p.secrets.client.Finished(sum)
	case p.secrets != nil:
		return p.secrets.server.Finished(sum)
	case p.master != nil && client:
		return p.master.ClientFinished(sum)
	case p.master != nil:
		return p.master.ServerFinished(sum)
	case p.version.Is13():
		return sum
	}
	return sum[:12]
}
