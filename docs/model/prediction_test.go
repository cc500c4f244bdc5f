package model

import (
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/mealy"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// What an Engine should do follows from the graph of the handshake, which says when a
// message may come and what answers it; and from a few rules of the RFCs about records,
// and about what is wrong in a message that may come.

// A situation is where an Engine stands, and what there is to know of its peer.
type situation struct {
	place  handshake.Place
	known  bool   // the Engine knows the version
	reads  uint64 // the newest level that the Engine reads
	writes uint64 // and that it writes under

	peerWrites uint64 // the level of the peer's messages
	peerNewest uint64 // and of its data
	waits      bool   // 1.2: a ChangeCipherSpec, for its time to come
	proven     bool   // a record of the peer's has opened: plaintext is dropped
	missed     bool   // a message of the peer's was dropped

	flight         string // what the Engine has said last and must say again, until it is answered
	verifyRequests int
	open           bool
	closed         bool // the peer has said goodbye
	ended          bool
}

// String names a situation, as far as tells it from those around it.
func (s situation) String() string {
	if s.ended {
		return "ended"
	}
	name := s.place.At.String()
	for _, aspect := range []struct {
		name string
		is   bool
	}{
		{"unanswered", s.flight != "" && (s.open || s.place.Is(handshake.V13))},
		{"ChangeCipherSpec waits", s.waits},
		{"ahead of its peer", s.reads > s.peerWrites},
		{"plaintext is dropped", s.proven && s.reads > s.peerWrites},
		{"a message is missing", s.missed},
		{"closed", s.closed},
	} {
		if aspect.is {
			name += ", " + aspect.name
		}
	}
	return name
}

// A predictor walks the graph for one mode.
type predictor struct {
	mode
	situation
	said said
}

// predict returns the machine that a mode's Engine should be, and what its states are.
func (m mode) predict() (*mealy.Machine, []situation) {
	alphabet := m.alphabet()
	machine, states := &mealy.Machine{Inputs: names(alphabet)}, []situation{m.start()}
	for at := 0; at < len(states); at++ {
		var edges []mealy.Edge
		for _, in := range alphabet {
			p := predictor{mode: m, situation: states[at]}
			p.take(in)
			to := slices.Index(states, p.situation)
			if to < 0 {
				to, states = len(states), append(states, p.situation)
			}
			edges = append(edges, mealy.Edge{Output: p.said.String(), To: to})
		}
		machine.States = append(machine.States, edges)
	}
	return machine, states
}

// start is where an Engine stands before its peer says anything: a client has said hello.
func (m mode) start() situation {
	p := predictor{mode: m}
	p.place.Learn(handshake.Datagram, m.datagrams())
	if m.role == handshake.Client {
		p.place.Learn(handshake.V13, m.version.Is13())
		p.place.Learn(never, false)
		if m.authentication != resumed && (!m.version.Is13() || m.authentication != sharedKey) {
			p.place.Learn(handshake.Resumed, false) // nothing is offered
		}
		p.speak()
	}
	return p.situation
}

// never are the facts that no mode has.
const never = handshake.KeyTransport | handshake.Stapled | handshake.Ticket | handshake.EarlyData | handshake.ClientCID | handshake.ServerCID

// take is what becomes of an input.
func (p *predictor) take(in input) {
	if p.ended || p.closed && !p.datagrams() {
		return
	}
	switch in.content {
	case noContent:
		p.takeTimeout()
	case protocol.Handshake:
		p.takeMessage(in)
	case protocol.ChangeCipherSpec:
		p.takeChangeCipherSpec()
	case protocol.ACK:
		p.takeACK()
	case protocol.ApplicationData:
		p.takeData()
	case protocol.Alert:
		p.takeGoodbye()
	}
}

// end ends the Engine, with an alert.
func (p *predictor) end(a alert.Alert) {
	p.said.add(p.writes, "alert("+a.String()+")")
	p.die()
}

func (p *predictor) die() {
	p.said.add(0, "END")
	p.situation = situation{ended: true}
}

// --- Messages

func (p *predictor) takeMessage(in input) {
	if p.missed = p.missed || p.dropped(p.peerWrites); p.missed { // and later ones wait for it
		return
	}
	step := p.place.Classify(in.kind, in.likeness(), p.role.Peer())
	edge, ok := p.place.Read(step)
	if !ok || p.peerWrites < p.reads { // RFC 9846 5.1
		p.end(p.unexpected(in))
		return
	}
	if a, wrong := p.fault(in); wrong {
		p.end(a)
		return
	}
	acknowledged := p.known && p.version == protocol.VersionDTLS13
	if acknowledged && !p.open { // the answer has begun, RFC 9147 7.1
		p.flight = ""
	}
	p.learn(step, in)
	if !p.place.Move(edge) {
		panic("the graph contradicts itself")
	}
	p.cross(step)
	spoke := p.speak()
	p.consume()
	if acknowledged && !spoke { // RFC 9147 7.1
		p.said.add(p.writes, "ACK")
	}
	p.opens()
}

// likeness is what a HelloRetryRequest is known by.
func (in input) likeness() []byte {
	if in.name == helloRetryRequest {
		return append([]byte{3, 3}, message.HelloRetryRandom[:]...)
	}
	return nil
}

// unexpected is the alert for a message that may not come.
func (p *predictor) unexpected(in input) alert.Alert {
	if p.open && p.version == protocol.VersionTLS12 && in.kind == protocol.ClientHello {
		return alert.NoRenegotiation // RFC 5246 7.2.2
	}
	return alert.UnexpectedMessage // RFC 9846 4
}

// fault is the alert for what is wrong in a message that may come, if anything is.
func (p *predictor) fault(in input) (a alert.Alert, wrong bool) {
	is13, certificateOnly := p.version.Is13(), in.says == handshake.V13|handshake.ServerCert
	switch {
	case in.isForged:
		return alert.DecryptError, true // RFC 9846 4.5.2, 4.5.3
	case in.name == strangersCertificate:
		return alert.UnknownCA, true // RFC 9846 6.2
	case in.name == emptyCertificate && p.authentication == mutual && is13:
		return alert.CertificateRequired, true // RFC 9846 4.5.1.4
	case in.name == emptyCertificate && p.authentication == mutual:
		return alert.HandshakeFailure, true // RFC 5246 7.4.6
	case in.name == withoutShare && p.place.At == handshake.HelloRetryRequest:
		return alert.IllegalParameter, true // RFC 9846 4.2.4: it doesn't do what it was asked to
	case in.kind == protocol.ServerHello && certificateOnly && p.authentication == sharedKey:
		return alert.MissingExtension, true // this client takes nothing but its PSK
	case in.kind == protocol.HelloVerifyRequest && p.verifyRequests == maxVerifyRequests:
		return alert.UnexpectedMessage, true // a loop must end
	}
	return 0, false
}

// maxVerifyRequests is how often a client answers one.
const maxVerifyRequests = 3

// learn takes from a message what it says.
func (p *predictor) learn(s handshake.Step, in input) {
	is := func(f handshake.Facts) { p.place.Learn(f, in.says&f == f) }
	psk, session := p.authentication == sharedKey, p.authentication == resumed
	switch s {
	case handshake.ClientHello, handshake.ClientHelloAgain:
		is(handshake.Retry)
		if in.says == handshake.Retry {
			p.place.Learn(handshake.V13, true)
			return
		}
		p.place.Learn(handshake.V13, p.version.Is13())
		p.place.Learn(handshake.Resumed, session || psk && p.version.Is13())
		p.place.Learn(handshake.ServerCert, !session && !psk)
		p.place.Learn(handshake.KeyExchange|never, false)
		p.place.Learn(handshake.CertRequested, p.authentication == optional || p.authentication == mutual)
	case handshake.ServerHello:
		is(handshake.V13)
		is(handshake.Resumed)
		is(handshake.ServerCert)
	case handshake.CertificateRequest:
		p.place.Learn(handshake.ClientCert, p.authentication == mutual)
	case handshake.ClientCertificate:
		is(handshake.ClientCert)
	case handshake.HelloVerifyRequest:
		p.verifyRequests++
	}
}

// speak writes what is the Engine's to write, and reports whether that is anything.
func (p *predictor) speak() bool {
	var flight said
	for {
		edge, n := p.place.Write()
		switch {
		case n != 1, edge.To != handshake.Open && edge.To.Writer() != p.role:
			return flight.words != nil
		case edge.To != handshake.Open:
			p.write(&flight, edge.To)
		}
		p.place.Move(edge)
		p.cross(edge.To)
	}
}

// write writes a step as part of a flight.
func (p *predictor) write(flight *said, s handshake.Step) {
	flight.add(p.writes, describe(s))
	p.said.add(p.writes, describe(s))
	if p.datagrams() && (p.version.Is13() || !p.closed) { // who has said goodbye needs no more
		p.flight = flight.String()
	}
}

func describe(s handshake.Step) string {
	switch {
	case s == handshake.HelloRetryRequest:
		return helloRetryRequest
	case s == s.Writer().ChangeCipherSpec():
		return "ChangeCipherSpec"
	}
	return s.Type().String()
}

// opens notes that the handshake is complete. A server of 1.3 gives a ticket then, to a client
// that takes some.
func (p *predictor) opens() {
	if p.open || p.place.At != handshake.Open {
		return
	}
	p.open = true
	if !p.spokeLast() {
		p.flight = ""
	}
	if p.authentication == resumed && p.version.Is13() && p.role == handshake.Server {
		p.write(&said{}, handshake.PostTicket)
	}
	p.said.add(0, "OPEN")
}

// spokeLast reports whether the Engine has written the last flight of the handshake, which
// only an ACK answers, or in 1.2 data.
func (p *predictor) spokeLast() bool {
	client := p.version.Is13() || p.place.Is(handshake.Resumed)
	return client == (p.role == handshake.Client)
}

// cross is what a step changes beside the place: the keys.
func (p *predictor) cross(s handshake.Step) {
	is13, client := p.version.Is13(), p.role == handshake.Client
	switch {
	case s == handshake.HelloRetryRequest, s == handshake.ClientHello && !client:
		p.known = true
	case s == handshake.ServerHello:
		if p.known = true; is13 {
			p.reads, p.writes = handshake.LevelHandshake, handshake.LevelHandshake
			p.peerWrites, p.peerNewest = handshake.LevelHandshake, handshake.LevelHandshake
		}
		if !is13 && p.place.Is(handshake.Resumed) {
			p.peerNewest = handshake.LevelEncrypted
		}
	case s == handshake.ServerFinished && is13 && client:
		p.reads, p.peerWrites, p.peerNewest = handshake.LevelApplication, handshake.LevelApplication, handshake.LevelApplication
	case s == handshake.ServerFinished && is13:
		p.writes, p.peerNewest = handshake.LevelApplication, handshake.LevelApplication
	case s == handshake.ClientFinished && is13 && client:
		p.writes = handshake.LevelApplication
	case s == handshake.ClientFinished && is13:
		p.reads, p.peerWrites = handshake.LevelApplication, handshake.LevelApplication
	case s == handshake.ClientKeyExchange:
		p.peerNewest = handshake.LevelEncrypted
	case s == p.role.ChangeCipherSpec():
		p.writes = handshake.LevelEncrypted
	case s == p.role.Peer().ChangeCipherSpec():
		p.reads = handshake.LevelEncrypted
	}
}

// --- Other records

// takeChangeCipherSpec: it changes keys when its time comes, and not before. A datagram
// may have overtaken others (RFC 6347 4.2.4); in a stream it is out of order.
func (p *predictor) takeChangeCipherSpec() {
	switch step := p.role.Peer().ChangeCipherSpec(); {
	case p.version.Is13():
		return // RFC 9147 5
	case !p.datagrams():
		if _, ok := p.place.Read(step); !ok {
			p.end(alert.UnexpectedMessage)
			return
		}
		p.waits = true
	default:
		p.waits = p.known && !p.open && p.reads == 0
	}
	p.peerWrites = p.peerNewest // the peer has keys, or goes on as if nothing was
	p.consume()
}

// consume takes the ChangeCipherSpec that waits, if its time has come.
func (p *predictor) consume() {
	step := p.role.Peer().ChangeCipherSpec()
	if edge, ok := p.place.Read(step); p.waits && ok {
		p.waits = false
		p.place.Move(edge)
		p.cross(step)
	}
}

// takeACK: 1.2 has none (RFC 9147 7).
func (p *predictor) takeACK() {
	switch {
	case !p.known || p.dropped(p.peerWrites):
	case p.version.Is13():
		p.flight = ""
	default:
		p.end(alert.UnexpectedMessage)
	}
}

// takeTimeout: what isn't answered is said again.
func (p *predictor) takeTimeout() {
	if p.flight != "" {
		p.said.words = []string{p.flight}
	}
}

// takeData: it is delivered when the handshake is complete, and never before.
func (p *predictor) takeData() {
	level := p.peerNewest
	ofHandshake := p.version.Is13() && level < handshake.LevelApplication
	switch {
	case p.dropped(level):
	case level > p.reads && p.version.Is13():
		p.end(alert.BadRecordMAC)
	case level > p.reads, level == 0, ofHandshake, !p.open && !p.datagrams():
		p.end(alert.UnexpectedMessage)
	case p.open && !p.closed:
		p.said.add(0, "DATA")
		p.hear12()
	case !p.open:
		p.proven = true
	}
}

// dropped reports whether nobody can open a record of the peer's, or nobody wants to.
func (p *predictor) dropped(level uint64) bool {
	return p.datagrams() && (level > p.reads || level == 0 && p.proven)
}

// takeGoodbye: a close_notify before the handshake is complete gives it up; but in DTLS
// 1.2, under its keys, it may have overtaken Finished.
func (p *predictor) takeGoodbye() {
	level := p.peerWrites
	switch {
	case p.dropped(level):
	case level == 0, p.version.Is13() && level < handshake.LevelApplication, !p.open && !p.datagrams():
		p.die()
	case !p.closed:
		p.closed = true
		p.said.add(0, "CLOSED")
		p.hear12()
	}
}

// hear12 notes that the peer of 1.2 speaks under its keys, which says that it has all of
// ours; or needs no more.
func (p *predictor) hear12() {
	if !p.version.Is13() {
		p.flight = ""
	}
}
