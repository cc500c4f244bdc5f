package tls

import (
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
)

// 0-RTT (RFC 9846 2.3). Early data that comes is kept until ReadEarly asks for
// it, or Read once the handshake is complete; so it never holds up the
// handshake, which goes on behind it in the stream.

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

// WriteEarly is Write for before the handshake is complete. A client writes
// 0-RTT data, once Start has made its ClientHello; a server that takes such data
// answers it before the client has proved that it is there. It returns how much
// of p could be written; if that is not all, with ErrNoEarlyData.
//
// RFC 9846 5.5 [2]
func (e *Engine) WriteEarly(p []byte, now time.Time) (int, error) {
	switch {
	case e.err != nil:
		return 0, e.err
	case e.machine.Open():
		return len(p), e.Write(p, now)
	case e.closing.sent:
		return 0, errClosed
	}
	n := int(min(int64(len(p)), e.machine.EarlyRoom()))
	if n > 0 && e.write.sealer.NearLimit() { // no KeyUpdate yet
		n = 0
	}
	e.now = now
	for fragment := range slices.Chunk(p[:n], e.maxFragment()) {
		if err := e.append(protocol.ApplicationData, fragment); err != nil {
			return 0, e.fail(err)
		}
	}
	e.machine.WroteEarly(n)
	if n < len(p) {
		return n, ErrNoEarlyData
	}
	return n, nil
}

// ReadEarly is Read for early data. Warning: until the handshake is complete,
// somebody may have recorded it and sent it again (see Config.EarlyData). ok is
// false if none is here.
func (e *Engine) ReadEarly(p []byte) (n int, ok bool) {
	if len(e.early) == 0 {
		return 0, false
	}
	n = copy(p, e.early)
	if e.early = e.early[n:]; len(e.early) == 0 {
		e.early = nil
	}
	return n, true
}

// EarlyOver reports whether no more data will come for ReadEarly before the
// handshake is complete.
func (e *Engine) EarlyOver() bool {
	return e.err != nil || len(e.early) == 0 && e.machine.EarlyOver()
}

// EarlyDataRejected reports whether 0-RTT data was written that the server did
// not take.
func (e *Engine) EarlyDataRejected() bool { return e.machine.EarlyRejected() }

// ForgetEarlyData says that the application knows of ErrEarlyDataRejected, and
// writes again what it wants.
func (e *Engine) ForgetEarlyData() { e.machine.ForgetEarlyData() }

// readsEarly reports whether the peer's records are those of 0-RTT.
func (e *Engine) readsEarly() bool {
	return e.read.number == handshake.LevelEarly && e.version.Is13()
}

func (e *Engine) receiveEarly(body []byte) error {
	if err := e.machine.ReceivedEarly(len(body)); err != nil {
		return err
	}
	e.early = append(e.early, body...)
	return nil
}

// A skip is how much of 0-RTT that was refused may still come.
type skip struct {
	on   bool
	left int // bytes of records
}

// skipEarly passes over a record that can't be read if it may be 0-RTT that was
// refused (RFC 9846 4.3.10). Otherwise err is its error.
func (e *Engine) skipEarly(whole []byte, err error) error {
	if !e.skip.on {
		return err
	}
	if e.skip.left -= len(whole); e.skip.left < 0 {
		return alert.Peerf(alert.UnexpectedMessage, "%w: that which is refused may have %d bytes more at most", alert.TooMuchSkippedData, e.skip.left+len(whole))
	}
	e.traceDrop("0-RTT that was refused")
	return nil
}
