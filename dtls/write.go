package dtls

import (
	"errors"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// Write makes one record of p in buf and returns its length: the datagram to
// send. The two must not overlap. The KeyUpdate that the peer wants to see before
// more data goes into the same datagram, if buf and the MTU have room for it. Write
// fails before the association is open, after Close, with ErrEarlyDataRejected until
// ForgetEarlyData, with ErrNotReserved, and with ErrTooLong if the record doesn't fit
// into buf or p is longer than ConnectionState.MaxPlaintext, or with Config.MaxMTU than
// PathMTU.Data.
//
// RFC 9147 4.4 [4]; RFC 9846 2 [2]
func (e *Engine) Write(buf, p []byte, now time.Time) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	w := e.newest()
	size := w.size(len(p))
	switch {
	case !e.machine.Open():
		return 0, errNotOpen
	case e.closing.sent:
		return 0, errClosed
	case e.machine.EarlyRejected():
		return 0, ErrEarlyDataRejected
	case size > len(buf) || len(p) > e.machine.SendLimit(w.number), e.searches() && len(p) > e.capacity():
		return 0, ErrTooLong
	}
	if e.searches() {
		e.search.wrote()
	}
	e.now = now
	first := 0
	if e.machine.OwesUpdate() {
		var err error
		if first, err = e.answerUpdate(buf, size); err != nil {
			return 0, err
		}
	}
	if w.exhausted() {
		return 0, e.notReserved()
	}
	n, err := e.seal(w, buf[first:], p)
	if err != nil {
		return 0, err
	}
	e.endDatagram(first + n)
	if w.sealer.NearLimit() {
		err = e.guardKeys(w)
	}
	return first + n, err
}

// seal makes one record of application data in buf, where it fits.
func (e *Engine) seal(w *writeEpoch, buf, p []byte) (int, error) {
	n, err := w.finish(buf, w.lastForm(), protocol.ApplicationData, p, e.padding(w, len(p), len(buf)))
	if err != nil {
		return 0, e.fail(err)
	}
	e.stats.sendRecord(n)
	e.resting = false
	e.traceRecord(handshake.Sent, protocol.ApplicationData, protocol.RecordNumber{Epoch: w.number, Sequence: w.next - 1}, n)
	return n, nil
}

// answerUpdate puts the KeyUpdate that must precede data into buf, if there is room
// beside a record of size bytes. Transmit gives it otherwise.
func (e *Engine) answerUpdate(buf []byte, size int) (int, error) {
	if err := e.machine.AnswerUpdate(); err != nil {
		return 0, e.fail(err)
	}
	if e.unsaved() {
		return 0, e.notReserved()
	}
	d := datagram{e: e, buf: buf[:max(0, min(len(buf), e.mtu)-size)], followed: true}
	d.addFlight()
	return d.n, nil
}

var (
	errNotOpen = errors.New("dtls: the handshake is not complete")
	errClosed  = errors.New("dtls: written after Close")
	// ErrTooLong says that data doesn't fit into one record, or its record not
	// into the buffer.
	ErrTooLong = errors.New("dtls: message too long for one record")
)

// guardKeys changes our keys well before their AEAD has protected as much as it
// safely can (RFC 9147 4.5.3): at three quarters of it, where NearLimit says so.
//
// RFC 9147 4.5.3 [1, 2]
func (e *Engine) guardKeys(w *writeEpoch) error {
	switch {
	case !e.version.Is13():
		if e.config.CloseAtLimit && w.sealer.LimitReached() {
			return e.fail(alert.Localf(alert.InternalError, "the AEAD's confidentiality limit is reached (Config.CloseAtLimit)"))
		}
		return nil
	case w.sealer.LimitReached():
		return e.fail(alert.Localf(alert.InternalError, "the AEAD's confidentiality limit is reached, and no KeyUpdate got through"))
	case e.config.DisableKeyUpdate || w.updating:
		return nil
	}
	w.updating = true
	e.KeyUpdate(message.NotRequested, e.now) // where it isn't possible any more, the limit is the end
	return e.err
}
