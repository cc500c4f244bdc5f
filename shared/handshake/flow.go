package handshake

import (
	"errors"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A flow is what a Machine is about to do, apart from where it stands:
//
//	              Receive               its turn
//	+---- reading ---------> read[step] ---------> write[step] --> Layer
//	|        ^                   |                     |   |
//	|        |                   | ErrNotYet           |   | the peer's turn
//	|        |   Resume          v                     |   |
//	|        +-------------- waiting <-----------------+   |
//	|        |                                             |
//	|        +---------------------------------------------+
//	+--> opened: the place Open was crossed;  failed: an error left the Machine
//
// Reading and writing follow from whose step is next in the graph, waiting from
// the task that is under way; so only the rest is stored. A waiting Machine
// refuses messages with ErrNotYet: whole ones wait in the Layer while its ACKs,
// retransmissions and alerts go on.
type flow uint8

const (
	handshaking flow = iota
	opened
	failed
)

// ErrNotYet answers Receive and Start when a step waits for outside work. The
// message was not taken: run Work, call Resume, and offer it again.
var ErrNotYet = errors.New("handshake: a step waits for outside work")

// Start lets a client speak first.
func (m *Machine) Start(now time.Time) error {
	if m.flow == failed {
		return m.failure
	}
	m.now = now
	return m.latch(m.speak())
}

// Receive takes the peer's next message, and answers when it is our turn.
func (m *Machine) Receive(msg Message, now time.Time) error {
	switch {
	case m.flow == failed:
		return m.failure
	case m.task != nil:
		return ErrNotYet
	}
	m.now = now
	return m.latch(m.receive(msg))
}

func (m *Machine) receive(msg Message) error {
	step := m.role.Peer().ChangeCipherSpec()
	if msg.Content == protocol.Handshake {
		step = m.place.Classify(msg.Type, msg.Body, m.role.Peer())
	}
	edge, ok := m.place.Read(step)
	if !ok || read[step] == nil {
		return m.unexpected(step, msg)
	}
	if err := m.CheckLength(step, len(msg.Body)); err != nil {
		return err
	}
	err := m.run(func() error {
		body, err := m.unpack(step, msg)
		if err != nil {
			return err
		}
		return read[step](m, body)
	})
	if err != nil {
		if err == ErrNotYet {
			m.task.reads = true
		}
		return err
	}
	m.unconfirmed = m.unconfirmed && m.Open() // an answer confirms the flight it answers
	if err := m.cross(edge, msg); err != nil {
		return err
	}
	if err := m.speak(); err != ErrNotYet {
		return err
	}
	return nil // the message was taken; Resume goes on speaking
}

// unexpected says what is wrong about a message that may not come now.
//
// RFC 9846 4 [2]
func (m *Machine) unexpected(s Step, msg Message) error {
	switch {
	case m.Open() && !m.version.Is13() && (msg.Type == protocol.ClientHello || msg.Type == protocol.HelloRequest) && msg.Content == protocol.Handshake:
		return alert.Peerf(alert.NoRenegotiation, "%w", alert.Renegotiation) // RFC 5246 7.2.2
	case s == HelloVerifyRequest && !m.config.Enabled(protocol.VersionDTLS12):
		// Only a server that has chosen 1.2 sends it (RFC 9147 5.1).
		return alert.Peerf(alert.ProtocolVersion, "%w: by HelloVerifyRequest the server chose DTLS 1.2, which is not enabled", alert.NoCommonVersion)
	}
	return alert.Peerf(alert.UnexpectedMessage, "%w: %v came after %v", m.notDue(msg), describe(msg), m.place.At)
}

// notDue is the reason of unexpected. ChangeCipherSpec is a record of its own
// kind, and where it is due a handshake message is the wrong kind.
func (m *Machine) notDue(msg Message) alert.Reason {
	switch {
	case msg.Content == protocol.ChangeCipherSpec || m.ExpectsChangeCipherSpec(),
		m.Open() && !m.version.Is13(): // no more handshake records then
		return alert.UnexpectedRecord
	}
	return alert.MessageNotDue
}

// CheckLength refuses a body of n bytes, before it is there, if no such message
// is so long. Where it is only a little too long its parser says so.
func (m *Machine) CheckLength(s Step, n int) error {
	if most := m.maxBody(s); n > max(most, maxFinished) {
		return alert.Peerf(alert.IllegalParameter, "%w: %v has %d bytes, more than %d", alert.MessageTooLong, s, n, most)
	}
	return nil
}

// maxBody is the largest body of s that is read.
func (m *Machine) maxBody(s Step) int {
	if s.Type() == protocol.Certificate && m.config.MaxCertificateList > 0 {
		return m.config.MaxCertificateList
	}
	return s.MaxBody()
}

// MaxBody is the largest body of all messages that the peer may still write, in bytes.
func (m *Machine) MaxBody() (most int) {
	for s, ahead := range m.place.ahead() {
		if s := Step(s); ahead && s.Writer() == m.role.Peer() {
			most = max(most, m.maxBody(s))
		}
	}
	return most
}

// ExpectsChangeCipherSpec reports whether a ChangeCipherSpec may come next. Over
// datagrams it has no message_seq that would say when its time has come.
func (m *Machine) ExpectsChangeCipherSpec() bool {
	_, ok := m.place.Read(m.role.Peer().ChangeCipherSpec())
	return ok
}

// speak writes every message that is ours to write next. Open is crossed
// without a message.
func (m *Machine) speak() error {
	wrote := false
	for {
		edge, n := m.place.Write()
		opens := n == 1 && edge.To == Open
		if n != 1 || !opens && edge.To.Writer() != m.role {
			break
		}
		if err := m.take(edge); err != nil {
			if err == ErrNotYet && wrote {
				m.spoke = true
			}
			return err
		}
		if opens {
			break
		}
		wrote = true
	}
	if wrote || m.spoke {
		m.spoke, m.unconfirmed = false, true
		m.layer.Flush(m.expects())
	}
	if m.Open() {
		return m.post()
	}
	return nil
}

// take crosses an edge that is ours: with a message, or without one to Open.
func (m *Machine) take(e Edge) error {
	if e.To != Open {
		return m.send(e)
	}
	if m.flow != opened {
		if err := m.run(m.keepSession12); err != nil {
			return err
		}
	}
	if err := m.cross(e, Message{}); err != nil {
		return err
	}
	m.open()
	return nil
}

// send writes one message and crosses its edge.
func (m *Machine) send(e Edge) error {
	b := &m.out
	b.Truncate(0)
	var kind protocol.HandshakeType
	err := m.run(func() (err error) {
		if err = write[e.To](m, b); err == nil {
			kind, err = m.pack(e.To, b)
		}
		return err
	})
	if err != nil {
		return err
	}
	body, err := b.Bytes()
	if err != nil {
		return alert.Localf(alert.InternalError, "%v: %w", e.To, err)
	}
	msg := Message{Content: protocol.Handshake, Type: kind, Level: m.writeLevel, Body: body}
	if e.To == ClientChangeCipherSpec || e.To == ServerChangeCipherSpec {
		msg.Content = protocol.ChangeCipherSpec
	} else {
		if m.transport == protocol.Datagram && m.writeSeq > maxSeq {
			return alert.Localf(alert.InternalError, "%w", alert.MessagesUsedUp)
		}
		msg.Seq = uint16(m.writeSeq)
		m.writeSeq++
	}
	m.layer.Send(msg)
	err = m.cross(e, msg)
	if m.Open() {
		m.out = wire.Builder{} // a connection at rest has none
	}
	return err
}

// expects says whether the peer answers what was just written.
func (m *Machine) expects() Reply {
	if m.Open() {
		return NoReply
	}
	return AwaitReply
}

// open ends the handshake, the first time Open is crossed.
func (m *Machine) open() {
	if m.flow != opened {
		m.flow = opened
		m.settleLimits()
		m.forget()
		m.layer.Finish()
	}
}

// latch remembers that the Machine failed, and forgets its secrets (RFC 9846 6).
//
// RFC 9846 6 [3]
func (m *Machine) latch(err error) error {
	if err != nil && err != ErrNotYet {
		m.flow, m.failure, m.task = failed, err, nil
		m.scaffold, m.resumption = nil, nil
		m.secrets12, m.secrets13 = nil, nil
		m.early.exporter = nil
	}
	return err
}

// A task is outside work that a step waits for: a signature, a verification, a
// callback of the application. It runs without any lock.
type task struct {
	run   func() (any, error)
	reads bool // for a step that reads
	value any
	err   error
}

// aside is later for what has no result.
func aside(m *Machine, f func()) error {
	_, err := later(m, func() (struct{}, error) {
		f()
		return struct{}{}, nil
	})
	return err
}

// later runs f outside of the Machine. The first time that a step asks, it gets
// ErrNotYet and must return it; nothing has crossed, so nothing needs undoing.
// When the step runs again, from its start, it gets f's result. A step may ask
// several times, in the same order each time.
func later[T any](m *Machine, f func() (T, error)) (T, error) {
	if m.asked < len(m.answers) {
		a := m.answers[m.asked]
		m.asked++
		return a.value.(T), a.err
	}
	m.task = &task{run: func() (any, error) { return f() }}
	var none T
	return none, ErrNotYet
}

// atOnce is later for what takes no longer than the step itself, and doesn't call the
// application: the step needn't run twice for it.
func atOnce[T any](_ *Machine, f func() (T, error)) (T, error) { return f() }

// run runs one step, with the answers that it has waited for.
func (m *Machine) run(step func() error) error {
	m.asked = 0
	err := step()
	if err != ErrNotYet {
		m.answers = nil
	}
	return err
}

// Work returns what a waiting step waits for, or nil. Call it without holding
// the lock that guards the Machine, on any goroutine, and then Resume.
func (m *Machine) Work() func() {
	t := m.task
	if t == nil {
		return nil
	}
	return func() { t.value, t.err = t.run() }
}

// Resume goes on after Work. What the Machine was reading must be offered to
// Receive again; what it was writing, it goes on writing.
func (m *Machine) Resume(now time.Time) error {
	switch {
	case m.flow == failed:
		return m.failure
	case m.task == nil:
		return nil
	}
	m.now = now
	done := m.task
	m.answers, m.task = append(m.answers, done), nil
	if done.reads {
		return nil
	}
	return m.latch(m.speak())
}

// describe names a message for an error.
func describe(msg Message) string {
	if msg.Content == protocol.ChangeCipherSpec {
		return "ChangeCipherSpec"
	}
	return msg.Type.String()
}
