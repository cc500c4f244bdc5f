package main

import (
	"context"
	"sync/atomic"
	"time"
)

// A clock counts how often this process woke up after a tenth of a second. Where the machine
// is so busy that it is late for everything it is late for that, too: a server that goes by
// it doesn't lose its patience with clients that had no chance to speak.
type clock struct {
	ticks   atomic.Int64
	stopped atomic.Bool
}

const tick = 100 * time.Millisecond

func (c *clock) run(until context.Context) {
	for until.Err() == nil {
		time.Sleep(tick)
		if !c.stopped.Load() {
			c.ticks.Add(1)
		}
	}
}

// now is how long the process has been at work.
func (c *clock) now() time.Duration { return time.Duration(c.ticks.Load()) * tick }
