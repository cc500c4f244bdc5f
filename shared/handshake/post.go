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

const (
	// MaxEpoch is the last level over datagrams, for both sides. RFC 9147 8 sets
	// 2^48-1, but each KeyUpdate takes a message_seq, so no more than 2^16+1 can be
	// reached; stacks in use stop at 16 bits (draft-ietf-tls-rfc9147bis 8).
	//
	// RFC 9147 8 [5]
	MaxEpoch = 1<<16 - 1
	// maxLevel is the last level that we go to over a stream (RFC 9846 4.7.3). The
	// peer may know a reason to go further.
	maxLevel = 1<<48 - 1
	// maxSeq is the last message_seq: it must not wrap.
	maxSeq = 1<<16 - 1
)

// KeyUpdate makes a KeyUpdate due: new keys for what we write, and for what the
// peer writes too if request says so. It fails in 1.2, which has none, and when
// the connection has no more to give. One that waits for its ACK does for all
// that ask meanwhile, unless only a further one can ask the peer.
//
// RFC 9846 4.7.3 [6]
func (m *Machine) KeyUpdate(request message.KeyUpdateRequest) error {
	if !m.Open() || !m.version.Is13() {
		return alert.Localf(alert.InternalError, "KeyUpdate needs an open connection of 1.3")
	}
	if m.rekey && (request == message.NotRequested || m.requested) {
		return nil
	}
	if err := m.updatable(); err != nil {
		return err
	}
	// Until the peer has answered one request there must not be another.
	if request == message.Requested && !m.requested {
		m.updateRequest = message.Requested
	}
	m.updateDue = true
	return m.latch(m.post())
}

// OwesUpdate reports whether AnswerUpdate must precede application data: the peer
// has asked for a KeyUpdate. A side that is silent answers any number of requests
// with one (RFC 9846 4.7.3).
func (m *Machine) OwesUpdate() bool { return m.answerDue }

// AnswerUpdate writes the KeyUpdate that the peer has asked for, if it has.
//
// RFC 9846 4.7.3 [5]
func (m *Machine) AnswerUpdate() error {
	if !m.answerDue {
		return nil
	}
	m.answerDue, m.updateDue = false, true
	return m.latch(m.post())
}

// updatable says why no further KeyUpdate of ours is possible, if so.
//
// RFC 9147 4.2.1 [5]; RFC 9846 4.7.3 [9]
func (m *Machine) updatable() error {
	last, level := uint64(maxLevel), m.writeLevel
	if m.transport == protocol.Datagram {
		last = MaxEpoch
	}
	if m.rekey {
		level++ // as soon as its ACK is here
	}
	switch {
	case level >= last:
		return alert.Localf(alert.InternalError, "%w: our keys are those of level %d, the last", alert.TooManyKeyUpdates, level)
	case m.transport == protocol.Datagram && m.writeSeq > maxSeq:
		return alert.Localf(alert.InternalError, "%w", alert.MessagesUsedUp)
	}
	return nil
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
// tickets and connection IDs in one flight, a KeyUpdate in one of its own.
//
// RFC 9147 5.8.4 [1]
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
		if err := m.sendDue(PostTicket); err != nil {
			return err
		}
	}
	for _, d := range [...]struct {
		due  bool
		step Step
	}{
		{len(m.identity.fresh) > 0 || m.identity.answers, m.ours(ClientNewConnectionID, ServerNewConnectionID)},
		{m.identity.wanted > 0, m.ours(ClientRequestConnectionID, ServerRequestConnectionID)},
		{m.updateDue && !m.spoke, m.ours(ClientKeyUpdate, ServerKeyUpdate)},
	} {
		if d.due {
			if err := m.sendDue(d.step); err != nil {
				return err
			}
		}
	}
	if m.spoke {
		return m.speak() // ends the flight
	}
	return nil
}

// ours is the step that this side writes, of two that differ in their writer.
func (m *Machine) ours(client, server Step) Step {
	if m.role == Client {
		return client
	}
	return server
}

// sendDue writes one message, if it may be now, and goes back to Open.
func (m *Machine) sendDue(s Step) error {
	edge, ok := m.place.Due(s)
	if !ok {
		return nil
	}
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
	m.answerDue = m.answerDue && out.Request == message.Requested
	m.updateDue, m.updateRequest = false, message.NotRequested
	return nil
}

// RFC 9147 8 [6, 7]; RFC 9846 4.7.3 [10, 11]
func readKeyUpdate(m *Machine, body []byte) error {
	in, err := parse(&message.KeyUpdate{}, body)
	if err != nil {
		return err
	}
	if m.transport == protocol.Datagram && m.readLevel >= MaxEpoch {
		return alert.Peerf(alert.UnexpectedMessage, "%w: the peer's keys are those of epoch %d, the last", alert.TooManyKeyUpdates, m.readLevel)
	}
	m.requested = false
	if in.Request == message.Requested && m.updatable() == nil { // else ignored, RFC 9846 4.7.3
		m.answerDue = true
	}
	return nil
}

// crossedKeyUpdate changes the reader's keys at once. The writer's change at
// once over a stream, where nothing gets lost.
//
// RFC 9147 8 [2]; RFC 9846 4.7.3 [2, 7], 7.2 [1]
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
