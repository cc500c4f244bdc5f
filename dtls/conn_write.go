package dtls

import (
	"errors"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/shared/connectionid"
)

// What a Conn writes: data, each in one record and one datagram, and what its
// Engine has to say.

// Write sends p as one record in one datagram. It may have up to 16384 bytes, or
// what the peer takes (ConnectionState.MaxPlaintext), and with Config.MaxMTU what the
// path does (PathMTU.Data); more is ErrTooLong. A datagram that is larger than the path's
// MTU may not arrive; where the system knows that it won't, Write says so and the Conn
// stays as it was. Other errors of the network count as loss (see Stats).
//
// The first Write, if it runs the handshake, shares the datagram of the client's
// Finished: the server has both half a round trip earlier than it would have the
// data of a Write after Handshake.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.handshakeToWrite(); err != nil {
		return 0, err
	}
	return c.write((*Engine).Write, p)
}

// write makes a record of p, and sends it.
func (c *Conn) write(seal sealing, p []byte) (int, error) {
	out := newPacket(len(p) + c.engine.config.RecordPadding + maxOverhead)
	defer out.release()
	n, to, err := c.seal(seal, out.room, p)
	for errors.Is(err, ErrNotReserved) {
		if err := c.awaitStore(); err != nil {
			return 0, err
		}
		n, to, err = c.seal(seal, out.room, p)
	}
	if err != nil {
		return 0, err
	}
	if n == 0 { // seal has sent it
		return len(p), nil
	}
	if err := c.link.send(out.room[:n], to); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := c.lost(err); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// handshakeToWrite runs the handshake if need be, and keeps back what ends it.
func (c *Conn) handshakeToWrite() error {
	if c.opened.Load() {
		return nil
	}
	c.mu.Lock()
	c.writers++
	c.mu.Unlock()
	err := c.Handshake()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writers--; err != nil {
		c.flush()
	}
	return err
}

// lost counts an error of sending data that is a loss like any other, and returns others.
// Where the MTU is searched for, no data is too large: what the system says so of was
// a probe, before it.
//
// RFC 9147 4.4 [7]
func (c *Conn) lost(err error) error {
	if err == nil || tooBig(err) && !c.engine.searches() || !transient(err) {
		return err
	}
	c.engine.stats.count(linkFailed)
	return nil
}

const (
	// plainOverhead is more than any record has beside its payload, 77 bytes with
	// CBC and SHA-256, and in 1.3 one with a KeyUpdate before it,
	plainOverhead = 128
	// maxOverhead also if both carry the longest connection ID.
	maxOverhead = plainOverhead + 2*connectionid.MaxLen
)

// A sealing is Engine.Write or WriteEarly.
type sealing func(e *Engine, buf, p []byte, now time.Time) (int, error)

// seal makes a record of p in buf, and says where it goes. What shares the datagram of a
// flight it sends itself, before anybody else can seal what the peer couldn't open yet.
func (c *Conn) seal(make sealing, buf, p []byte) (int, Path, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.err(); err != nil {
		return 0, Path{}, err
	}
	first := c.beginDatagram(buf, len(p)+c.config.RecordPadding)
	n, err := make(c.engine, buf[first:], p, time.Now())
	if n += first; err != nil && first > 0 {
		c.engine.endDatagram(0)
		c.sendFlight(buf[:first], c.engine.Path())
	}
	if c.engine.Pending() || c.engine.backoff.Armed() { // a KeyUpdate, or the alert for err
		c.flush()
	}
	if err != nil {
		return 0, Path{}, err
	}
	if also, ok := c.engine.Candidate(n); ok {
		c.link.send(buf[:n], also) // lost or not
	}
	c.pollLater()
	if first > 0 {
		return 0, Path{}, c.lost(c.link.send(buf[:n], c.engine.Path()))
	}
	return n, c.engine.Path(), nil
}

// pollLater has the link read for an answer to what is sealed, if nobody waits for it.
func (c *Conn) pollLater() {
	switch {
	case c.pollAt.IsZero() && !c.waiting.Load():
		c.pollAt = time.Now().Add(pollInterval)
		c.schedule()
	case c.engine.needsStore(), c.engine.searches():
		c.schedule()
	}
}

// beginDatagram sends what the engine has, but for its last datagram if a record
// of size bytes of data fits behind that: it returns its length in buf.
func (c *Conn) beginDatagram(buf []byte, size int) int {
	for c.engine.Pending() && c.engine.Open() {
		n, to := c.engine.transmitBefore(buf)
		overhead := plainOverhead + 2*len(c.engine.ids.remote)
		if n == 0 || to == c.engine.Path() && !c.engine.Pending() && n+size+overhead <= min(len(buf), c.engine.mtu) {
			return n
		}
		c.engine.endDatagram(0)
		c.sendFlight(buf[:n], to)
	}
	return 0
}

// answer sends what a datagram has made due. Most make nothing due but what the alarm is
// set for.
func (c *Conn) answer() {
	if c.armed.IsZero() || !c.opened.Load() || c.engine.busy() {
		c.flush()
	}
}

// flush sends all that the engine has, unless it can share the datagram of what
// is about to be written, and sets the timer.
func (c *Conn) flush() {
	if c.ended {
		return
	}
	if c.writers > 0 && c.engine.Open() && c.engine.Err() == nil {
		return
	}
	for c.engine.Pending() {
		out := newPacket(max(c.engine.mtu, c.config.MaxMTU))
		n, to := c.engine.TransmitTo(out.room)
		if n > 0 {
			c.sendFlight(out.room[:n], to)
		}
		out.release()
		if n == 0 {
			break
		}
	}
	if c.engine.Err() != nil {
		c.end()
	}
	if !c.ended {
		c.schedule()
	}
}

// sendFlight sends a datagram of the engine's. It may be lost: the engine sends
// it again, also if the caller's write deadline has passed, who may set another. A link
// that is broken ends a handshake, which nothing else might do before its time is over;
// behind it, whoever reads or writes data learns that.
func (c *Conn) sendFlight(datagram []byte, to Path) {
	switch err := c.link.send(datagram, to); {
	case tooBig(err):
		c.engine.shrink(len(datagram))
	case transient(err):
		c.engine.stats.count(linkFailed)
	case timedOut(err):
	case err != nil && !c.engine.Open() && c.err() == nil:
		c.fail(err)
	}
}

// timedOut reports whether an error is a deadline's.
func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
