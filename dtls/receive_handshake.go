package dtls

import (
	"errors"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// receiveHandshake takes the fragments in a record (RFC 9147 5.2). Until the
// version is known it can't be said whether ACKs exist, so what comes before
// starts no timer; the first ACK names it.
//
// RFC 9147 5.10 [2], 7 [1], 7.1 [7]
func (e *Engine) receiveHandshake(n protocol.RecordNumber, payload []byte) error {
	if len(payload) == 0 {
		return alert.Peerf(alert.UnexpectedMessage, "%w: %v is an empty handshake record", alert.UnexpectedRecord, n)
	}
	e.stats.begin(e.now)
	complete, known := true, e.version != 0 // complete: nothing in it was discarded
	for len(payload) > 0 {
		h, body, rest, err := fragment.Parse(payload)
		if err != nil {
			return alert.Peerf(alert.DecodeError, "%w: record %v: %w", alert.MalformedFragment, n, err)
		}
		payload = rest
		kept, err := e.receiveFragment(n, h, body)
		if err != nil {
			return err
		}
		complete = complete && kept
	}
	if complete && e.version != protocol.VersionDTLS12 {
		e.received.Add(n)
		e.scheduleACK()
	}
	if err := e.deliver(); err != nil {
		return err
	}
	if complete && !known {
		e.begunBefore()
	}
	return nil
}

// begunBefore is begun for a ServerHello that is alone in its datagram, as one with
// ML-KEM is: what is lost behind it need not wait for a ClientHello that the server
// has. Without AdaptiveTimeout the next message says so, as in the stacks in use.
func (e *Engine) begunBefore() {
	if e.version.Is13() && e.measure != nil && e.measure.answered && !e.flight.Empty() {
		e.confirmed()
		e.scheduleACK()
	}
}

// receiveFragment hands one fragment to the Assembler, and reports whether it
// may be acknowledged: it is kept, or was before.
//
// RFC 9147 5.5 [6]
func (e *Engine) receiveFragment(n protocol.RecordNumber, h fragment.Header, body []byte) (bool, error) {
	e.traceMessage(handshake.Received, h)
	outcome, err := e.assembler.Add(h, body)
	switch {
	case e.machine.Open() && !e.version.Is13() && (outcome != fragment.Old || protocol.HandshakeType(h.Type) != protocol.Finished):
		// In 1.2 nothing but a copy of Finished comes after it: somebody renegotiates,
		// beginning with message_seq 0 again. That could be refused with a warning
		// (RFC 5746 4.5), but stacks in use end the association.
		return false, alert.Peerf(alert.UnexpectedMessage, "%w: %v after the handshake of 1.2", alert.UnexpectedRecord, protocol.HandshakeType(h.Type))
	case outcome != fragment.Old && n.Epoch < e.readLevel():
		return false, alert.Peerf(alert.UnexpectedMessage, "%w: %v in epoch %d, and the keys of epoch %d were ready", alert.ExcessHandshakeData,
			protocol.HandshakeType(h.Type), n.Epoch, e.readLevel())
	case errors.Is(err, fragment.ErrTooLong):
		return false, alert.Peerf(alert.IllegalParameter, "%w: %v: %w", alert.MessageTooLong, protocol.HandshakeType(h.Type), err)
	case err != nil:
		return false, alert.Peerf(alert.IllegalParameter, "%w: %v: %w", alert.FragmentMismatch, protocol.HandshakeType(h.Type), err)
	case outcome == fragment.TooFar:
		return false, e.drop(dropTooFar)
	case outcome == fragment.Old:
		e.repeated(h)
	default:
		e.begun()
	}
	return true, nil
}

// begun notes that the peer's next flight has begun. In 1.3 that says that it
// has all of ours (RFC 9147 7.1); in 1.2 our timer runs until it is whole.
//
// RFC 9147 7.2 [5]
func (e *Engine) begun() {
	e.news = true
	e.reserve.changed()
	e.measureReply()
	if e.version.Is13() && e.flushed && e.reply == handshake.AwaitReply {
		e.confirmed()
	}
}

// repeated notes a fragment of a message that we have. The end of the peer's flight asks
// the side that spoke last for its own. In 1.2, where no timer repeats that (RFC 6347
// 4.2.4), it does so each time that it comes; no timeout tells us that our datagrams are
// too large for the path, but that the peer asks again does. In 1.3 it says that none of
// ours has arrived (RFC 9147 5.8.1), if it could have. Nobody else can ask: who spoke last
// has opened a record, and plaintext is dropped since.
//
// RFC 6347 4.2.4 [1]
func (e *Engine) repeated(h fragment.Header) {
	last := h.Seq+1 == e.assembler.Next() && h.Offset+h.Size == h.Length
	switch {
	case !last || !e.flushed || e.flight.Empty() || e.reply != handshake.NoReply:
	case e.version == protocol.VersionDTLS12:
		if e.repeats > 0 {
			e.lowerMTU()
		}
		e.repeat()
	case e.flight.Level() < handshake.LevelApplication && e.backoff.Ran(e.now) >= e.measure.least(e.backoff.Initial)/10*9:
		e.repeat()
		e.restartTimer(e.now)
	}
}

// readLevel is the newest epoch that the peer can write in.
func (e *Engine) readLevel() uint64 {
	if len(e.reads) == 0 {
		return 0
	}
	return e.reads[len(e.reads)-1].number
}

// deliver offers the machine what is whole and next, until it has no more or
// waits for outside work.
func (e *Engine) deliver() error {
	for {
		if e.current == nil {
			e.current = e.nextMessage()
		}
		if e.current == nil {
			return nil
		}
		if e.machine.Open() && !e.version.Is13() { // it was here before; later ones don't get so far
			return alert.Peerf(alert.UnexpectedMessage, "%w: %v after Finished", alert.ExcessHandshakeData, e.current.Type)
		}
		err := e.machine.Receive(*e.current, e.now)
		if err == handshake.ErrNotYet {
			return nil
		}
		e.current = nil
		if err != nil {
			return err
		}
		e.limit()
	}
}

// nextMessage takes the next whole message: from the Assembler, or the
// ChangeCipherSpec that waits if its turn has come.
func (e *Engine) nextMessage() *handshake.Message {
	if e.changeCipherSpec && e.machine.ExpectsChangeCipherSpec() {
		e.changeCipherSpec = false
		return &handshake.Message{Content: protocol.ChangeCipherSpec, Body: []byte{1}}
	}
	h, body, ok := e.assembler.Message()
	if !ok {
		return nil
	}
	e.assembler.Pop()
	return &handshake.Message{Content: protocol.Handshake, Type: protocol.HandshakeType(h.Type), Seq: h.Seq, Body: body}
}

// scheduleACK starts the timer of the ACK if it doesn't run (RFC 9147 7.1): a
// flight of the peer's that stays incomplete, messages after the handshake, and
// what the peer repeats are acknowledged after a quarter of the timeout, unless
// our answer comes before it.
//
// RFC 9147 7.1 [1, 2]
func (e *Engine) scheduleACK() {
	if e.version.Is13() && e.ackSince.IsZero() && !e.ackDue {
		e.ackSince = e.now
	}
}

// ackDeadline is when the timer of the ACK expires, zero if it doesn't run. What losses of
// our own have doubled the timeout to doesn't count for long: they make the peer no more
// patient.
func (e *Engine) ackDeadline() time.Time {
	if e.ackSince.IsZero() {
		return time.Time{}
	}
	return e.ackSince.Add(min(e.backoff.Timeout()/4, max(e.backoff.Initial/4, unknownDelay)))
}

// acknowledge makes an ACK due, if there is anything to acknowledge. An ACK that
// names what others named before it grows, so it may be too large for the path.
func (e *Engine) acknowledge() {
	e.ackSince, e.ackDue = time.Time{}, e.received.Len() > 0
	if e.unheard++; e.news {
		e.unheard = 0
	}
	e.news = false
	if e.unheard > 2 {
		e.lowerMTU()
	}
}
