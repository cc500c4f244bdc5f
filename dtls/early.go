package dtls

import (
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/session"
)

// 0-RTT (RFC 9846 2.3, RFC 9147 5.6): data under epoch 1, which gets lost like
// any other. Over datagrams nothing marks its end: the first record of epoch 3
// does, or a while after the handshake. What is lost of it, and what overtakes
// the ClientHello, is not sent again.

var (
	// ErrNoEarlyData says that data can't be written before the handshake is
	// complete, or no more of it: there is no session that allows it, it is full,
	// or (at a server) no early data has come that it would answer.
	ErrNoEarlyData = handshake.ErrNoEarlyData
	// ErrEarlyDataRejected says that early data was written which the server did
	// not take. Nothing of it has arrived.
	ErrEarlyDataRejected = handshake.ErrEarlyDataRejected
)

// Why there is 0-RTT on a connection, or none.
const (
	EarlyDataUndecided        = handshake.EarlyDataUndecided
	EarlyDataAccepted         = handshake.EarlyDataAccepted
	EarlyDataDisabled         = handshake.EarlyDataDisabled
	EarlyDataProtocolVersion  = handshake.EarlyDataProtocolVersion
	EarlyDataNoSession        = handshake.EarlyDataNoSession
	EarlyDataUnsupported      = handshake.EarlyDataUnsupported
	EarlyDataALPNMismatch     = handshake.EarlyDataALPNMismatch
	EarlyDataSuiteMismatch    = handshake.EarlyDataSuiteMismatch
	EarlyDataNotResumed       = handshake.EarlyDataNotResumed
	EarlyDataHelloRetry       = handshake.EarlyDataHelloRetry
	EarlyDataPeerDeclined     = handshake.EarlyDataPeerDeclined
	EarlyDataTicketAge        = handshake.EarlyDataTicketAge
	EarlyDataReplayed         = handshake.EarlyDataReplayed
	EarlyDataAntiReplayFailed = handshake.EarlyDataAntiReplayFailed
)

// NewReplayRegister returns an AntiReplay in memory that remembers up to capacity
// ClientHellos, or 32768 if capacity is less than one. Give it to several Configs
// of one process that share ticket keys. start is when it was made, time.Now():
// of what came under these keys before, it can know nothing, so that no 0-RTT is
// taken in the first minute, and no ticket for single use that is older. The zero
// Time is for keys that nobody had before.
func NewReplayRegister(capacity int, start time.Time) AntiReplay {
	return session.NewReplayRegister(capacity, start)
}

// early is what an Engine has for 0-RTT.
type early struct {
	write *writeEpoch // the client's
	reads bool        // the server has an epoch for it
	data  contents    // that waits to be read
}

// earlyGrace is how long after the handshake a server still takes 0-RTT that was
// overtaken (RFC 9147 5.6 leaves it open).
const earlyGrace = 2 * time.Second

func (w *writeEpoch) isEarly() bool { return w.number == handshake.LevelEarly && w.mask != nil }
func (r *readEpoch) isEarly() bool  { return r.number == handshake.LevelEarly && r.mask != nil }

// WriteEarly is Write for before the association is open. A client makes a
// record of 0-RTT data, once Start has made its ClientHello; a server that takes
// such data answers it before the client has proved that it is there. It fails
// with ErrNoEarlyData where that is not allowed, or not so much.
//
// RFC 9846 5.5 [2]
func (e *Engine) WriteEarly(buf, p []byte, now time.Time) (int, error) {
	switch {
	case e.err != nil:
		return 0, e.err
	case e.machine.Open():
		return e.Write(buf, p, now)
	case e.closing.sent:
		return 0, errClosed
	case int64(len(p)) > e.machine.EarlyRoom():
		return 0, ErrNoEarlyData
	}
	w := e.early.write
	if w == nil {
		w = e.newest()
	}
	size := w.size(len(p))
	switch {
	case w.sealer.NearLimit() || size > e.budget.left(): // no KeyUpdate yet
		return 0, ErrNoEarlyData
	case size > len(buf) || len(p) > e.machine.SendLimit(w.number):
		return 0, ErrTooLong
	}
	e.now = now
	n, err := e.seal(w, buf, p)
	if err == nil {
		e.endDatagram(n)
		e.machine.WroteEarly(len(p))
		e.budget.send(n)
	}
	return n, err
}

// ReadEarly is Read for early data. Warning: until the association is open,
// somebody may have recorded it and sent it again (see Config.EarlyData). ok is
// false if none is here.
func (e *Engine) ReadEarly(p []byte) (n int, ok bool) {
	data, ok := e.early.data.next()
	copy(p, data)
	return len(data), ok
}

// EarlyOver reports whether no more data will come for ReadEarly. What comes
// later than that, Read gives.
func (e *Engine) EarlyOver() bool {
	return e.err != nil || len(e.early.data) == 0 && e.machine.EarlyOver()
}

// EarlyDataRejected reports whether 0-RTT data was written that the server did
// not take.
func (e *Engine) EarlyDataRejected() bool { return e.machine.EarlyRejected() }

// ForgetEarlyData says that the application knows of ErrEarlyDataRejected, and
// writes again what it wants.
func (e *Engine) ForgetEarlyData() { e.machine.ForgetEarlyData() }

// receiveEarly takes a record of 0-RTT.
func (e *Engine) receiveEarly(body []byte) error {
	if err := e.machine.ReceivedEarly(len(body)); err != nil || len(body) == 0 {
		return err
	}
	if e.machine.Open() {
		e.inbox.add(body)
		return nil
	}
	e.early.data.add(body)
	return nil
}

// finishEarly lets the end of the handshake be the end of 0-RTT, soon.
//
// RFC 9147 5.6 [1]
func (e *Engine) finishEarly() {
	e.early.write = nil
	for _, r := range e.reads {
		if r.isEarly() {
			e.early.reads, r.dies = true, e.now.Add(earlyGrace)
		}
	}
}

// dropEarly ends 0-RTT: the client has gone on to later keys.
func (e *Engine) dropEarly() {
	e.early.reads = false
	e.reads = slices.DeleteFunc(e.reads, (*readEpoch).isEarly)
}
