package dtls

import (
	"errors"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// The alarm of a Conn repeats what got no answer, limits the handshake, and reads
// the link when nobody else does.

const (
	// pollInterval is how long the link stays unread when nobody waits for it.
	pollInterval = 200 * time.Millisecond
	// lingerTime is how long after the handshake a closed Conn repeats its last
	// flight for a peer that missed it.
	lingerTime = 5 * time.Second
	// maxBacklog is how much unread data, in bytes and with two more for each record,
	// is kept for a reader that is not there; more is dropped, as a full socket buffer
	// would drop it.
	maxBacklog = 64 << 10
)

// ErrHandshakeTimeout says that the handshake took longer than
// Config.HandshakeTimeout. It is a net.Error with Timeout() true.
var ErrHandshakeTimeout error = handshakeTimeoutError{}

type handshakeTimeoutError struct{ timeoutError }

func (handshakeTimeoutError) Error() string {
	return "dtls: the handshake took longer than Config.HandshakeTimeout"
}

// schedule sets the alarm to what is due first. One that rings before that stays: it is
// set again then, which costs less than to move it with each record. To rest can wait for
// it, too.
func (c *Conn) schedule() {
	next := c.due()
	if c.armed.IsZero() {
		next = earlier(next, c.engine.RestAt())
	}
	if next.IsZero() || !c.armed.IsZero() && !next.Before(c.armed) {
		return
	}
	c.armed = next
	c.alarms.set(c, next)
}

// due is when there is something to do, zero if nothing is due ever.
func (c *Conn) due() time.Time {
	return earlier(earlier(c.engine.Deadline(), c.pollAt), earlier(c.handshakeLimit(), c.saveAt()))
}

// await starts the clock for a Conn that was accepted and that nobody drives
// yet.
func (c *Conn) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limitHandshake()
	c.schedule()
}

// limitHandshake starts the clock of Config.HandshakeTimeout, once.
func (c *Conn) limitHandshake() {
	timeout := c.config.HandshakeTimeout
	if timeout == 0 {
		timeout = handshake.DefaultHandshakeTimeout
	}
	if timeout > 0 && c.limit.IsZero() {
		c.limit = time.Now().Add(timeout)
	}
}

// handshakeLimit is limit while the handshake runs.
func (c *Conn) handshakeLimit() time.Time {
	if c.engine.Open() || c.err() != nil {
		return time.Time{}
	}
	return c.limit
}

// tick runs when the alarm rings: if it is time, it reads the link if nobody else does,
// and does what is due.
func (c *Conn) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = time.Time{}
	c.engine.Rest(time.Now())
	if due := c.due(); due.IsZero() || time.Now().Before(due) {
		if !c.ended {
			c.schedule()
		}
		return
	}
	c.pollAt = time.Time{}
	c.readAside()
	if c.ended {
		return
	}
	now := time.Now()
	c.engine.Expire(now)
	if limit := c.handshakeLimit(); !limit.IsZero() && !now.Before(limit) {
		c.fail(ErrHandshakeTimeout)
	}
	if c.closed && !c.lingers(now) {
		c.end()
	}
	if !c.saving { // whoever is at it goes on with what there is
		c.save() // its error is the engine's, or it is tried again
	}
	if c.working || c.closed {
		c.pollAt = now.Add(pollInterval)
	}
	c.flush()
}

// readAside reads what waits on the link for whoever doesn't.
func (c *Conn) readAside() {
	if c.reading || c.ended || !c.working && !c.opened.Load() {
		return
	}
	c.reading = true
	defer c.release()
	for range maxQueue {
		c.mu.Unlock()
		p := c.link.poll()
		c.mu.Lock()
		if p == nil {
			return
		}
		c.deliver(p)
		if !c.working {
			c.work()
		}
	}
}

// nudge makes the timer read the link soon, if nobody else does. The Listener
// calls it from the goroutine that reads for everybody: it never waits.
func (c *Conn) nudge() {
	if !c.opened.Load() || c.waiting.Load() || !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if c.pollAt.IsZero() {
		c.pollAt = time.Now().Add(pollInterval)
		c.schedule()
	}
}

// stash copies the engine's unread data away, so that the next datagram can be
// taken.
func (c *Conn) stash() {
	for c.engine.inbox.full {
		data, _ := c.engine.inbox.next()
		if !c.closed && len(c.backlog)+2+len(data) <= maxBacklog {
			c.backlog.add(data)
		}
	}
}

// --- The end

// Close says goodbye to the peer and lets go of the link. If the peer may not
// have our last flight of the handshake yet, the link stays open for up to five
// seconds to repeat it. With Config.Store what is stored of the connection is deleted before;
// if that fails, or somebody else goes on with it, the peer is told nothing.
//
// RFC 9846 6.1 [5]
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.failure == ErrExported {
		c.closed = true
		return nil // the link is closed already
	}
	now := time.Now()
	c.engine.Close(now)
	c.closed = true
	c.backlog = nil
	c.over()
	err := c.forgetStored()
	c.flush()
	if c.lingers(now) {
		c.pollAt = now.Add(pollInterval)
		c.link.setReadDeadline(past) // whoever reads returns
		c.schedule()
		return err
	}
	return errors.Join(c.end(), err)
}

// Abort is Close with a fatal alert of the application's choice instead of
// close_notify.
func (c *Conn) Abort(a Alert) error {
	c.mu.Lock()
	if !c.closed {
		c.engine.reserve.contest()
		c.save() // an alert of whom it is no longer would end what goes on elsewhere
		c.engine.Abort(a, time.Now())
		c.flush()
	}
	c.mu.Unlock()
	return c.Close()
}

// lingers reports whether a closed Conn still has something to repeat.
func (c *Conn) lingers(now time.Time) bool {
	return !c.ended && c.engine.unfinished() && now.Before(c.limit)
}

// past is a deadline that ends every wait.
var past = time.Unix(1, 0)

// end lets go of the link and wakes whoever reads it.
func (c *Conn) end() error {
	if !c.ended {
		c.ended = true
		c.alarms.cancel(c)
		c.link.setReadDeadline(past)
		c.over()
		if c.onEnd != nil {
			c.onEnd()
		}
	}
	if c.closed {
		return c.link.netConn().Close()
	}
	return nil
}

// over tells whoever serves the Conn that it is over.
func (c *Conn) over() {
	if f := c.onOver; f != nil {
		c.onOver = nil
		f()
	}
}

// endLater ends the Conn because of err, for a caller who has other locks or no
// time. What waits on the link is read before.
func (c *Conn) endLater(err error) {
	time.AfterFunc(0, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.readAside()
		if c.err() == nil {
			c.fail(err)
		}
	})
}
