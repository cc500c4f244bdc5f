package dtls

import "time"

// Our last flight goes out again until the peer has it: by the Engine's timer, or
// whenever the caller says so. Either way the Engine cuts and seals anew what is
// unacknowledged, so that no record number is used twice and each that is acknowledged
// counts.

// StopRetransmitTimer leaves it to the caller to repeat our flights, this one and
// those to come: the Engine's timer doesn't, so that Deadline has the other timers
// only, and no number of timeouts ends the association. It is for those who carry
// handshake datagrams by ways of their own beside the path, such as ICE's connectivity
// checks. Where the peer asks for our last flight by repeating its own, Transmit gives it
// all the same. An Engine of ImportEngine has a timer that runs, whatever the one before had.
func (e *Engine) StopRetransmitTimer() { e.manual = true }

// StartRetransmitTimer hands that back to the Engine: the timer of the flight that is
// under way starts at now. It does nothing where the timer wasn't stopped.
func (e *Engine) StartRetransmitTimer(now time.Time) {
	if e.manual {
		e.manual = false
		e.restartTimer(now)
		if e.machine.Open() && !e.searches() {
			e.now = now
			e.beginSearch() // KeyUpdates are repeated now
		}
	}
}

// restartTimer starts the timer anew if it runs.
func (e *Engine) restartTimer(now time.Time) {
	if e.backoff.Armed() {
		e.backoff.Arm(now)
	}
}

// Retransmit lets Transmit give our flight once more: all that the peer isn't known to
// have, in fresh datagrams. A timer that runs starts anew, so that it doesn't repeat
// the same. It does nothing if nothing is outstanding, or if Transmit hasn't begun to
// give the flight yet.
func (e *Engine) Retransmit(now time.Time) {
	if e.err != nil || !e.Outstanding() || !e.flight.Begun() {
		return
	}
	e.now = now
	e.repeat()
	e.restartTimer(now)
}

// Outstanding reports whether the peer may still need our last flight. Its answer
// ends that; in 1.3 an ACK does too, and in 1.2 nothing ends it for the last flight
// of the handshake but data of the peer's, or its close_notify.
func (e *Engine) Outstanding() bool {
	return e.flushed && !e.flight.Done() && (e.version.Is13() || !e.heard && !e.closing.received)
}

// unfinished reports whether the peer may miss our last flight of the handshake, or
// what came after it. Who has said goodbye has no use for either.
func (e *Engine) unfinished() bool {
	return e.machine.Open() && e.Outstanding() && !e.closing.received
}

// retransmitDeadline is when our flight goes out again, zero if no timer says so.
func (e *Engine) retransmitDeadline() time.Time {
	if e.manual {
		return time.Time{}
	}
	return e.backoff.Deadline()
}

// repeat begins another pass over what is unacknowledged.
func (e *Engine) repeat() {
	e.rewind()
	e.repeats++
	e.stats.count(retransmitted)
}

func (e *Engine) rewind() {
	e.flight.Rewind()
	e.switched = false
}
