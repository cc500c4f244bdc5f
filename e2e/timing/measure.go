package main

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"
)

// A subject is one thing that is timed with inputs of two classes.
type subject struct {
	name    string
	classes [2]string
	effort  int // a subject that takes so many times as long gets so many times fewer samples
	open    func() (prepare, error)
}

// row is how the table names it.
func (s subject) row() string { return s.name + " | " + s.classes[0] + " | " + s.classes[1] }

// prepare makes an input of a class, and whatever else it needs, and returns what times
// it. So that this leaves the same caches behind for both classes, a whole batch is
// prepared before the first is timed.
type prepare func(class int) (trial, error)

type trial func() time.Duration

const batch = 128

// warmUp is how many batches are timed for nothing.
const warmUp = 2

// measure takes the times of a subject, with the collector off and on one thread.
func (s subject) measure(samples int, lot *rand.Rand) (t times, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	prepare, err := s.open()
	if err != nil {
		return t, err
	}
	var trials [batch]trial
	var classes [batch]int
	for n := range warmUp + max(1, samples/s.effort/batch) {
		for i := range trials {
			classes[i] = int(lot.Uint64() & 1)
			if trials[i], err = prepare(classes[i]); err != nil {
				return t, err
			}
		}
		if n%64 == 0 {
			runtime.GC()
		}
		for i, run := range trials {
			took := run()
			if n >= warmUp {
				t[classes[i]] = append(t[classes[i]], float64(took))
			}
		}
	}
	return t, nil
}

// timed is a trial of what needs nothing else.
func timed(f func()) trial {
	return func() time.Duration {
		start := time.Now()
		f()
		return time.Since(start)
	}
}
