package retransmit

import (
	"time"

	"github.com/godwit-dtls/godwit/shared/wire"
)

// early is how long before its deadline a timer counts as due: timers are coarse.
const early = 10 * time.Millisecond

// A Backoff is the retransmission timer as data (RFC 9147 5.8.2, RFC 6347
// 4.2.4.1): its timeout doubles with every expiry up to a cap, until it gives up.
// It starts stopped. Its first three fields must be set; SetInitial changes Initial
// later.
type Backoff struct {
	Initial time.Duration // the first timeout
	Max     time.Duration // the longest one
	Limit   int           // expiries that are retransmissions; the one after them is the end
	Delay   time.Duration // beside each timeout: what the peer may take of its own will

	started  time.Time
	armed    bool
	expiries int
}

// Arm starts the timer with the current timeout.
func (b *Backoff) Arm(now time.Time) { b.started, b.armed = now, true }

// Stop stops the timer. The number of expiries stays.
func (b *Backoff) Stop() { b.armed = false }

// Reset stops the timer and forgets all expiries.
func (b *Backoff) Reset() { b.armed, b.expiries = false, 0 }

// Forgive forgets all expiries. A timer that runs goes on.
func (b *Backoff) Forgive() { b.expiries = 0 }

// Armed reports whether the timer runs.
func (b *Backoff) Armed() bool { return b.armed }

// Ran returns for how long the timer has run, zero if it is stopped.
func (b *Backoff) Ran(now time.Time) time.Duration {
	if !b.armed {
		return 0
	}
	return now.Sub(b.started)
}

// Deadline returns when the timer expires, the zero time if it is stopped.
func (b *Backoff) Deadline() time.Time {
	if !b.armed {
		return time.Time{}
	}
	return b.started.Add(b.Timeout() + b.Delay)
}

// Expired reports whether the timer is due. If so, it counts the expiry and
// stops the timer. A timer is due 10 ms before its deadline, but not before
// three quarters of a timeout that is very short.
func (b *Backoff) Expired(now time.Time) bool {
	if !b.armed || now.Before(b.Deadline().Add(-min(early, b.Timeout()/4))) {
		return false
	}
	b.armed = false
	b.expiries++
	return true
}

// Expiries returns the number of expiries since the last Reset.
func (b *Backoff) Expiries() int { return b.expiries }

// Exhausted reports whether the timer expired more than Limit times.
func (b *Backoff) Exhausted() bool { return b.expiries > b.Limit }

// Timeout returns the current timeout: Initial, doubled for each expiry, at most Max.
func (b *Backoff) Timeout() time.Duration {
	timeout := b.Initial
	for range b.expiries {
		if timeout > b.Max/2 {
			return b.Max
		}
		timeout *= 2
	}
	return min(timeout, b.Max)
}

// SetInitial changes Initial and keeps the doublings. A deadline that runs moves
// to where it would be had the timer started with d; that may be in the past.
func (b *Backoff) SetInitial(d time.Duration) { b.Initial = d }

// Code writes the timer, or reads it. What must be set is not part of it: whoever
// goes on with it has timeouts of its own, and its own patience: how often the timer
// expired elsewhere says nothing about the peer, who may be heard only here.
func (b *Backoff) Code(c *wire.Codec) {
	c.Time(&b.started)
	c.Flag(&b.armed)
}
