// Package pathmtu finds how large datagrams a path carries, by probing it (DPLPMTUD,
// RFC 8899). It has no clock and no I/O, and doesn't know what a probe looks like: only
// that one of a size arrived, or that nothing was heard of it.
package pathmtu

import "time"

const (
	// maxLosses is how many probes of one size get lost before it counts as too large:
	// MAX_PROBES of RFC 8899 5.1.2. One may be lost by chance.
	maxLosses = 3
	// gain is what is worth a further probe, in bytes (RFC 8899 5.3.2).
	gain = 8
	// Confirm is how long a size that arrived is believed while data flows:
	// CONFIRMATION_TIMER.
	Confirm = 30 * time.Second
	// Raise is when larger sizes are tried again: PMTU_RAISE_TIMER.
	Raise = 10 * time.Minute
)

// A Search is the search for the largest datagram of one path (RFC 8899 5.2):
//
//	           Base arrives               nothing more to gain
//	   base ---------------> searching ------------------------> found
//	   |  ^                  ^      ^           Raise            |  |
//	lost  | Confirm          |      +----------------------------+  |
//	   |  |                  |                                      |
//	   |  +-- silent         | Least arrives                        |
//	   |        ^ lost       |                                      |
//	   +----> least ---------+                                      |
//	   ^                                                            |
//	   +---- Size is lost: a black hole ----------------------------+
//
// base asks whether the size arrives that we begin with, and least, if it doesn't,
// whether any does: in silence it is not the size that is at fault. In found and silent
// there are probes only while the path is used, so that a connection at rest has no
// timer.
//
// Set the three sizes, in bytes, Least <= Base <= Most, and call Start.
type Search struct {
	Least, Base, Most int

	phase    phase
	size     int       // what the path is taken to carry
	tooLarge int       // the least that is known not to get through, or more than Most
	probed   int       // the size that is asked about
	losses   int       // in a row
	due      time.Time // when to ask
	patience time.Time // until when an answer is awaited; zero: none is
	raise    time.Time // when to look for more
	used     bool      // since the last probe in found or silent
}

type phase uint8

const (
	off phase = iota
	base
	least
	searching
	found
	silent
)

// Start begins to search at now, from Base on, whatever was known before.
func (s *Search) Start(now time.Time) {
	s.size, s.tooLarge = s.Base, s.Most+1
	s.patience = time.Time{}
	s.ask(base, s.Base, now)
}

// ask begins to ask about a size.
func (s *Search) ask(p phase, size int, at time.Time) {
	s.phase, s.probed, s.losses, s.due = p, size, 0, at
}

// Started reports whether Start was called.
func (s *Search) Started() bool { return s.phase != off }

// Found reports whether the search has come to its end, for now.
func (s *Search) Found() bool { return s.phase == found }

// Size is the largest datagram that the path is taken to carry.
func (s *Search) Size() int { return s.size }

// Use says that something is sent: it is worth knowing that it arrives.
func (s *Search) Use() { s.used = true }

// Due returns the size that is to be probed, if one is at now.
func (s *Search) Due(now time.Time) (size int, ok bool) {
	due := s.patience.IsZero() && !s.waitsForUse() && s.phase != off && !now.Before(s.due)
	return s.probed, due
}

func (s *Search) waitsForUse() bool {
	return (s.phase == found || s.phase == silent) && s.losses == 0 && !s.used
}

// Deadline is when a probe is due, or when one counts as lost; zero if nobody waits for
// either.
func (s *Search) Deadline() time.Time {
	switch {
	case !s.patience.IsZero():
		return s.patience
	case s.waitsForUse():
		return time.Time{}
	}
	return s.due
}

// Awaits reports whether a probe is under way.
func (s *Search) Awaits() bool { return !s.patience.IsZero() }

// Sent says that a probe goes out, of the size that was due or, where there is none of
// that, of the next smaller one. An answer takes wait at most.
func (s *Search) Sent(size int, now time.Time, wait time.Duration) {
	if s.phase == searching && size <= s.size {
		s.rest(now)
		return
	}
	s.probed, s.patience, s.used = size, now.Add(wait), false
	if s.phase == silent {
		s.phase = base
	}
}

// Arrived says that the peer has got a probe of so many bytes. What comes late, for a
// size that isn't asked about any more, is nothing.
func (s *Search) Arrived(size int, now time.Time) {
	if size != s.probed || s.phase == off {
		return
	}
	s.patience, s.losses = time.Time{}, 0
	switch s.phase {
	case found:
		s.confirmed(now)
	case least: // what it took to ask may have been a silence that is over
		s.size, s.tooLarge = size, s.Most+1
		s.ask(searching, s.Base, now)
	default:
		s.size = size
		s.next(now)
	}
}

// next goes on with a larger size. The largest comes first: where the path has it, one
// probe is enough.
func (s *Search) next(now time.Time) {
	switch {
	case s.size >= s.Most:
		s.rest(now)
	case s.tooLarge > s.Most:
		s.ask(searching, s.Most, now)
	case s.tooLarge-s.size <= gain:
		s.rest(now)
	default:
		s.ask(searching, (s.size+s.tooLarge)/2, now)
	}
}

// rest ends the search, for now.
func (s *Search) rest(now time.Time) {
	s.raise = now.Add(Raise)
	s.ask(found, s.size, now.Add(Confirm))
}

// confirmed goes on after what was found is found again.
func (s *Search) confirmed(now time.Time) {
	if s.size < s.Most && !now.Before(s.raise) {
		s.tooLarge = s.Most + 1
		s.next(now)
		return
	}
	s.due = now.Add(Confirm)
}

// Expire counts a probe whose answer hasn't come in time as lost.
func (s *Search) Expire(now time.Time) {
	if s.patience.IsZero() || now.Before(s.patience) {
		return
	}
	s.patience, s.due = time.Time{}, now
	if s.losses++; s.losses == maxLosses {
		s.lost(now)
	}
}

// lost goes on without the size that was asked about. What is found to be too large
// is left at once (RFC 8899 4.3).
func (s *Search) lost(now time.Time) {
	switch {
	case s.phase == searching:
		s.tooLarge = s.probed
		s.next(now)
	case s.phase == found && s.size > s.Base:
		s.Start(now)
	case s.phase != least && s.probed > s.Least:
		s.ask(least, s.Least, now)
	default:
		s.ask(silent, s.Base, now.Add(Confirm))
	}
}
