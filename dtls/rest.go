package dtls

import (
	"slices"
	"time"
)

// An association may be quiet for hours, and there may be a million of them: what it
// has no use for it lets go of. That is, in the order of time,
//
//	what only a handshake needs     when that is complete (see handshake)
//	our last flight                 when the peer is known to have it
//	ciphers, but not their keys     when nothing was said for a while
//	keys of before, and the rest    when nothing of then can come any more
//
// Nothing but memory depends on when.

const (
	// lifetime is how long what is past may still come, and be asked for: twice the
	// longest time that a datagram stays in the network (RFC 9147 4.2.1, RFC 6347 4.1).
	//
	// RFC 9147 5.8.1 [2]
	lifetime = 4 * time.Minute
	// quiet is after how long without a word ciphers are put away: longer than most wait
	// who say something just to keep their way open. To make ciphers again takes a
	// microsecond or two, and those of before are work for the garbage collector.
	quiet = 90 * time.Second
)

// RestAt is when Rest would let go of something; zero if there is nothing that it
// could. Unlike Deadline it may be ignored.
func (e *Engine) RestAt() time.Time {
	if e.err != nil || !e.machine.Open() {
		return time.Time{}
	}
	next := e.flightDies
	for _, r := range e.reads {
		if !e.needed(r) {
			next = earlier(next, r.dies)
		}
	}
	if !e.resting {
		next = earlier(next, e.now.Add(quiet))
	}
	return next
}

// Rest lets go of memory that isn't needed at now, or can be had again.
func (e *Engine) Rest(now time.Time) {
	if at := e.RestAt(); at.IsZero() || now.Before(at) {
		return
	}
	if !now.Before(e.now.Add(quiet)) {
		e.sleep()
	}
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	before := len(e.reads)
	e.reads = slices.DeleteFunc(e.reads, func(r *readEpoch) bool { return past(r.dies) && !e.needed(r) })
	if len(e.reads) < before && !e.ackDue && e.ackSince.IsZero() {
		e.received.Clear()
	}
	if past(e.flightDies) {
		e.confirmed()
	}
}

// sleep puts the ciphers away. The next record takes what it needs.
func (e *Engine) sleep() {
	e.resting = true
	for _, r := range e.reads {
		r.rest()
	}
	for _, w := range e.writes {
		w.rest()
	}
}

func (r *readEpoch) rest() {
	r.opener.Rest()
	if r.mask != nil {
		r.mask.Rest()
	}
}

func (w *writeEpoch) rest() {
	if w.sealer != nil {
		w.sealer.Rest()
	}
	if w.mask != nil {
		w.mask.Rest()
	}
}
