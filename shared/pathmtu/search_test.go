package pathmtu

import (
	"math/bits"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const (
	trip = 20 * time.Millisecond
	wait = time.Second
)

// A run is a Search, a clock and a path.
type run struct {
	*Search
	t      testing.TB
	now    time.Time
	path   int // what it carries
	probes int
	lost   func() bool // by chance
}

func begin(t testing.TB, path, first, most int) *run {
	r := &run{Search: &Search{Least: 228, Base: first, Most: most}, t: t, now: start, path: path, lost: func() bool { return false }}
	r.Start(r.now)
	return r
}

// step moves the clock to the next event. It returns false if nothing is going to happen.
func (r *run) step() bool {
	at := r.Deadline()
	if at.IsZero() {
		return false
	}
	if at.After(r.now) {
		r.now = at
	}
	r.Expire(r.now)
	if size, due := r.Due(r.now); due {
		if r.probes++; size < r.Least || size > r.Most {
			r.t.Fatalf("%d bytes are asked about: %+v", size, r.Search)
		}
		if r.Sent(size, r.now, wait); size <= r.path && !r.lost() {
			r.now = r.now.Add(trip)
			r.Arrived(size, r.now)
		}
	}
	if r.Size() < r.Least || r.Size() > r.Most {
		r.t.Fatalf("the MTU is %d: %+v", r.Size(), r.Search)
	}
	return true
}

// advance lets the time pass, with something to send every second if used says so.
func (r *run) advance(d time.Duration, used bool) {
	for end := r.now.Add(d); r.now.Before(end); {
		if at := r.Deadline(); at.IsZero() || at.After(r.now.Add(time.Second)) {
			r.now = r.now.Add(time.Second)
		} else {
			r.step()
		}
		if used {
			r.Use()
		}
	}
}

// search runs until nothing is left to do.
func (r *run) search() {
	r.t.Helper()
	for r.step() {
		if r.probes > 1000 {
			r.t.Fatalf("there is no end: %+v", r.Search)
		}
	}
}

// Whatever the path carries, the search ends with it, less than gain below, after so many
// probes and so much time as it takes to halve what there is.
func TestSearch(t *testing.T) {
	for _, c := range []struct{ first, most int }{{1200, 1472}, {1200, 1452}, {228, 1472}, {228, 228}, {1200, 1200}, {1200, 1201}, {1200, 1208}, {1200, 1209}, {1000, 8972}, {1200, 65507}} {
		halvings := bits.Len(uint((c.most - 228) / gain))
		for path := 228; path <= c.most+1; path += 1 + path/1500 {
			r := begin(t, path, c.first, c.most)
			r.search()
			most := min(path, c.most)
			if !r.Found() || r.Size() > most || most-r.Size() >= gain {
				t.Fatalf("from %d to %d, on a path of %d: %+v", c.first, c.most, path, r.Search)
			}
			if limit := maxLosses*(halvings+3) + 1; r.probes > limit || r.now.Sub(start) > time.Duration(limit)*wait {
				t.Fatalf("from %d to %d, on a path of %d: %d probes, %v", c.first, c.most, path, r.probes, r.now.Sub(start))
			}
		}
	}
}

// The usual case: what is wanted is there, and two probes say so.
func TestSearchOfTheUsual(t *testing.T) {
	r := begin(t, 1472, 1200, 1472)
	if r.search(); r.probes != 2 || r.Size() != 1472 || r.now != start.Add(2*trip) {
		t.Errorf("%d probes, %v: %+v", r.probes, r.now.Sub(start), r.Search)
	}
}

// Where sizes come in steps, as those of block ciphers, it ends too.
func TestSearchInSteps(t *testing.T) {
	for path := 250; path < 1500; path++ {
		r := begin(t, path, 1200, 1472)
		for r.probes = 0; ; r.probes++ {
			if r.probes > 100 {
				t.Fatalf("there is no end: %+v", r.Search)
			}
			at := r.Deadline()
			if at.IsZero() {
				break
			}
			if at.After(r.now) {
				r.now = at
			}
			r.Expire(r.now)
			if size, due := r.Due(r.now); due {
				size -= (size - 13) % 16
				if r.Sent(size, r.now, wait); size <= path {
					r.Arrived(size, r.now)
				}
			}
		}
		if most := min(path, 1472); !r.Found() || r.Size() > most || most-r.Size() >= 32 {
			t.Fatalf("on a path of %d: %+v", path, r.Search)
		}
	}
}

// At rest nothing is asked; with the first use what was found is, and with others after
// Confirm, and more after Raise.
func TestSearchAtRest(t *testing.T) {
	r := begin(t, 1400, 1200, 1472)
	r.search()
	before := r.probes
	r.advance(time.Hour, false)
	if r.probes != before {
		t.Fatalf("%d probes at rest", r.probes-before)
	}
	r.path = 1472
	r.Use()
	if r.Deadline().After(r.now) {
		t.Errorf("it waits until %v", r.Deadline().Sub(r.now))
	}
	r.search()
	if r.Size() != 1472 {
		t.Errorf("an hour later: %+v", r.Search)
	}
	before = r.probes
	r.advance(10*Confirm, true)
	if n := r.probes - before; n < 9 || n > 11 {
		t.Errorf("%d probes in %v of use", n, 10*Confirm)
	}
}

// A black hole is found within Confirm and three losses, and what is possible again
// within Raise and Confirm.
func TestSearchBlackHole(t *testing.T) {
	for smaller := 228; smaller < 1472; smaller++ {
		r := begin(t, 1472, 1200, 1472)
		r.search()
		r.path = smaller
		r.advance(Confirm+maxLosses*wait+time.Second, true)
		if r.Size() > max(smaller, 1200) {
			t.Fatalf("on a path of %d: %+v", smaller, r.Search)
		}
		r.advance(time.Minute, true)
		if !r.Found() || r.Size() > smaller || smaller-r.Size() >= gain {
			t.Fatalf("on a path of %d: %+v", smaller, r.Search)
		}
		r.path = 1472
		r.advance(Raise+Confirm+2*wait, true)
		if r.Size() != 1472 {
			t.Fatalf("after one of %d: %+v", smaller, r.Search)
		}
	}
}

// In silence the MTU stays where it began.
func TestSearchInSilence(t *testing.T) {
	r := begin(t, 1400, 1200, 1472)
	r.search()
	r.path = 0
	r.advance(time.Hour, true)
	if r.Size() != 1200 || r.Found() {
		t.Errorf("after an hour of silence: %+v", r.Search)
	}
	r.path = 1400
	r.advance(2*time.Minute, true)
	if !r.Found() || r.Size() <= 1400-gain || r.Size() > 1400 {
		t.Errorf("when it is over: %+v", r.Search)
	}
}

// What comes late, for a size that isn't asked about any more, changes nothing.
func TestSearchLateAnswers(t *testing.T) {
	r := begin(t, 1300, 1200, 1472)
	r.search()
	before := *r.Search
	for _, size := range []int{1200, 1472, 1336, 0} {
		if r.Arrived(size, r.now); *r.Search != before {
			t.Errorf("an answer about %d bytes: %+v, was %+v", size, *r.Search, before)
		}
	}
	var idle Search
	if idle.Arrived(0, start); idle != (Search{}) {
		t.Errorf("before it began: %+v", idle)
	}
}

// Whatever gets lost, it ends, never with more than the path carries, and it has a
// deadline as long as it is used.
func FuzzSearch(f *testing.F) {
	f.Add(uint16(1400), []byte{0, 0, 0xff, 0x55})
	f.Add(uint16(300), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, path uint16, losses []byte) {
		r := begin(t, int(path), 1200, 9000)
		n := 0
		r.lost = func() bool {
			if n++; n/8 >= len(losses) {
				return false
			}
			return losses[n/8]>>(n%8)&1 != 0
		}
		for range 8*len(losses) + 200 {
			if r.Use(); !r.step() {
				t.Fatalf("it is used, and has no deadline: %+v", r.Search)
			}
			if r.Size() > max(r.path, r.Base) {
				t.Fatalf("%d bytes on a path of %d", r.Size(), r.path)
			}
		}
	})
}

func TestSearchDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() {
		s := Search{Least: 228, Base: 1200, Most: 1472}
		s.Start(start)
		size, _ := s.Due(start)
		s.Sent(size, start, wait)
		s.Arrived(size, start)
		s.Expire(start.Add(wait))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
