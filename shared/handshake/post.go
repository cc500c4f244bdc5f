package handshake

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// After the handshake a message is written because it is due, one flight at a
// time: over datagrams the next one waits until the last was acknowledged, and
// new write keys are used only after the ACK of KeyUpdate (RFC 9147 8).

// maxLevel is the last level that we go to (RFC 9846 4.7.3, RFC 9147 8). The
// peer may know a reason to go further.
const maxLevel = 1<<48 - 1

// maxSeq is the message_seq at which we stop: it must not wrap.
const maxSeq = 1<<16 - 1

// KeyUpdate makes a KeyUpdate due: new keys for what we write, and for what the
// peer writes too if request says so. It fails in 1.2, which has none, and when
// the connection has no more to give.
func (m *Machine) KeyUpdate(request message.KeyUpdateRequest) error {
	switch {
	case !m.Open() || !m.version.Is13():
		return alert.Localf(alert.InternalError, "KeyUpdate needs an open connection of 1.3")
	case !m.updatable():
		return alert.Localf(alert.InternalError, "the keys of this connection were updated as often as the protocol allows")
	}
	// Until the peer has answered one request there must not be another.
	if request == message.Requested && !m.requested {
		m.updateRequest = message.Requested
	}
	m.updateDue = true
	return m.latch(m.post())
}

// updatable reports whether one more KeyUpdate of ours is possible, beside one
// that may be under way.
func (m *Machine) updatable() bool {
	return m.writeLevel < maxLevel-1 && (m.transport == protocol.Stream || m.writeSeq < maxSeq)
}

// Acked tells that the peer has acknowledged all that was sent last.
func (m *Machine) Acked() error {
	if m.flow == failed {
		return m.failure
	}
	m.unconfirmed = false
	if m.rekey {
		m.rekey = false
		if err := m.nextWriteKey(); err != nil {
			return m.latch(err)
		}
	}
	return m.latch(m.post())
}

// post writes what is due, as far as acknowledgements and outside work allow: all
// tickets in one flight, then a KeyUpdate in one of its own.
func (m *Machine) post() error {
	if !m.Open() || m.task != nil || m.transport == protocol.Datagram && m.unconfirmed {
		return nil
	}
	if err := m.run(m.makeTickets); err == ErrNotYet {
		return nil // nobody waits for them: Resume goes on
	} else if err != nil {
		return err
	}
	for len(m.tickets) > 0 {
		if err := m.sendTicket(); err != nil {
			return err
		}
	}
	if m.spoke {
		return m.speak()
	}
	if !m.updateDue {
		return nil
	}
	step := ClientKeyUpdate
	if m.role == Server {
		step = ServerKeyUpdate
	}
	edge, ok := m.place.Due(step)
	if !ok {
		return nil
	}
	if err := m.send(edge); err != nil {
		return err
	}
	m.spoke = true
	return m.speak() // back to Open
}

// sendTicket writes one ticket, and goes back to Open.
func (m *Machine) sendTicket() error {
	edge, _ := m.place.Due(PostTicket)
	if err := m.send(edge); err != nil {
		return err
	}
	m.spoke = true
	back, _ := m.place.Write()
	return m.cross(back, Message{})
}

func writeKeyUpdate(m *Machine, b *wire.Builder) error {
	out := message.KeyUpdate{Request: m.updateRequest}
	out.Append(b)
	m.requested = m.requested || out.Request == message.Requested
	m.updateDue, m.answerDue, m.updateRequest = false, false, message.NotRequested
	return nil
}

func readKeyUpdate(m *Machine, body []byte) error {
	in, err := parse(&message.KeyUpdate{}, body)
	if err != nil {
		return err
	}
	m.requested = false
	if in.Request == message.Requested && m.updatable() { // else ignored, RFC 9846 4.7.3
		// Over datagrams the answer takes a round trip until it counts.
		m.updateDue, m.answerDue = m.transport == protocol.Datagram, m.transport == protocol.Stream
	}
	return nil
}

// BeforeData writes what must come before the next application data on a stream:
// one KeyUpdate, however many the peer has asked for since our last data (RFC
// 9846 4.7.3). A side that is silent owes none.
func (m *Machine) BeforeData() error {
	if !m.answerDue {
		return nil
	}
	m.updateDue = true
	return m.latch(m.post())
}

// crossedKeyUpdate changes the reader's keys at once. The writer's change at
// once over a stream, where nothing gets lost.
func crossedKeyUpdate(m *Machine) error {
	if m.place.At.Writer() == m.role {
		if m.transport == protocol.Datagram {
			m.rekey = true
			return nil
		}
		return m.nextWriteKey()
	}
	secret := &m.secrets13.server
	if m.role == Server {
		secret = &m.secrets13.client
	}
	*secret = secret.Next()
	return m.readUnder(m.readLevel+1, secret.Key(m.suite))
}

func (m *Machine) nextWriteKey() error {
	secret := &m.secrets13.client
	if m.role == Server {
		secret = &m.secrets13.server
	}
	*secret = secret.Next()
	return m.writeUnder(m.writeLevel+1, secret.Key(m.suite))
}
