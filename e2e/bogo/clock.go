package main

import "time"

// A clock is the only time that a connection knows. It moves when the runner
// says so, so that a test of a minute's silence takes no minute.
type clock struct{ now time.Time }

// newClock starts at a time that is not zero, which means "no deadline".
func newClock() *clock { return &clock{time.Unix(1_000_000, 0)} }

func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }
