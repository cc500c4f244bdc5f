package dtls

import (
	"errors"
	"time"
)

// WriteBatch writes each of bufs as Write does, as one record in one datagram, for much
// less than as many Writes cost: the records are sealed together, and where the system
// can (UDP sockets on Linux) they are sent by one call; those of the same length, behind
// each other, cost the system little more than one. Elsewhere they are sent one by one.
//
// It returns how many of bufs were written. If that is not all of them, the error is the
// one that Write would have had for the next. What counts as loss for Write counts as
// written here, too.
func (c *Conn) WriteBatch(bufs [][]byte) (n int, err error) {
	if len(bufs) > 0 && !c.opened.Load() { // what ends the handshake has room for the first
		if _, err := c.Write(bufs[0]); err != nil {
			return 0, err
		}
		n = 1
	}
	out := newOutgoing()
	defer out.release()
	for n < len(bufs) && err == nil {
		sealed, stopped := c.sealBatch(out, bufs[n:])
		left, failed := c.sendBatch(out)
		n += sealed - count(left)
		if err = failed; err == nil {
			err = stopped
		}
		if errors.Is(err, ErrNotReserved) {
			err = c.awaitStore()
		}
		out.reset()
	}
	return n, err
}

// sealBatch makes records of the first of bufs, as many as there is room for, and returns
// their number.
func (c *Conn) sealBatch(out *outgoing, bufs [][]byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.err(); err != nil {
		return 0, err
	}
	if c.engine.Pending() {
		c.flush()
	}
	now := time.Now()
	for _, p := range bufs {
		if room := len(p) + c.config.RecordPadding + maxOverhead; n > 0 && len(out.free()) < room {
			break
		}
		var size int
		if size, err = c.engine.Write(out.free(), p, now); err != nil {
			break
		}
		if also, ok := c.engine.Candidate(size); ok {
			c.link.send(out.free()[:size], also) // lost or not
		}
		out.add(size, c.engine.Path())
		n++
	}
	if c.engine.Pending() || c.engine.backoff.Armed() { // a KeyUpdate, or the alert for err
		c.flush()
	}
	c.pollLater()
	return n, err
}

// sendBatch sends what was sealed. With an error it returns what is left.
func (c *Conn) sendBatch(out *outgoing) (left []run, err error) {
	left, err = c.link.sendRuns(out.runs)
	for err != nil {
		c.mu.Lock()
		err = c.lost(err)
		c.mu.Unlock()
		if err != nil {
			return left, err
		}
		left, err = c.link.sendRuns(skip(left, 1))
	}
	return nil, nil
}
