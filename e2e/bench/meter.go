package main

import (
	"runtime"
	"syscall"
	"time"
)

// measure repeats step, which says how many operations it was, for about d, and
// returns what one operation cost this process.
func measure(d time.Duration, step func() (operations int, err error)) (sample, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, used, total := time.Now(), cpuTime(), 0
	for total == 0 || time.Since(began) < d {
		n, err := step()
		if err != nil {
			return nil, err
		}
		total += n
	}
	used = cpuTime() - used
	runtime.ReadMemStats(&after)
	return sample{
		cost:        float64(used) / float64(total),
		allocations: float64(after.Mallocs-before.Mallocs) / float64(total),
	}, nil
}

// cpuTime is what this process has used so far, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it can't fail: both arguments are good
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
