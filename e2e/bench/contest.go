package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"
)

// A contest is one row of the table: peers take turns at the same task, round
// after round, so that what disturbs the machine disturbs them all. Figures of
// the same round are compared, and of the ratios the median counts.
type contest struct {
	name   string
	peers  []peer
	begin  func(p peer, crowd int) (task, error)
	crowd  int // connections or clients, where there are many at once
	rounds int
	turn   time.Duration
	limit  time.Duration // no round begins when so much time has gone; zero: no limit
	procs  int           // GOMAXPROCS
}

// results are the samples of each contest and peer, in the order of the rounds.
type results map[string]map[string][]sample

// run runs a contest and adds what came of it to r.
func (c contest) run(r results) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(c.procs))
	var entrants []entrant
	for _, p := range c.peers {
		t, err := c.begin(p, c.crowd)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s, %s: %w", c.name, p.name(), err)
		}
		defer t.close()
		entrants = append(entrants, entrant{p.name(), t})
	}
	samples, began := map[string][]sample{}, time.Now()
	for round := range c.rounds {
		if round > 0 && c.limit > 0 && time.Since(began) > c.limit {
			break
		}
		for _, e := range entrants {
			runtime.GC() // nobody pays for another's garbage
			s, err := e.task.run(c.turn)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.name, e.name, err)
			}
			samples[e.name] = append(samples[e.name], s)
		}
	}
	r[c.name] = samples
	return nil
}

// An entrant is a peer with its task.
type entrant struct {
	name string
	task task
}

// A subject is something that was measured: a quantity of a peer in a contest.
type subject struct {
	contest, peer string
	quantity      quantity
}

// of are the values of a subject by rounds, NaN where it has none.
func (r results) of(s subject) []float64 {
	var values []float64
	for _, sample := range r[s.contest][s.peer] {
		v, ok := sample[s.quantity]
		if !ok {
			v = math.NaN()
		}
		values = append(values, v)
	}
	return values
}

// median is the median of a subject, NaN if it was not measured.
func (r results) median(s subject) float64 { return median(r.of(s)) }

// ratio is the median of the ratios that two subjects had in each round.
func (r results) ratio(a, b subject) float64 {
	x, y := r.of(a), r.of(b)
	ratios := make([]float64, min(len(x), len(y)))
	for i := range ratios {
		ratios[i] = x[i] / y[i]
	}
	return median(ratios)
}

// median is NaN if there is nothing, or nothing but that.
func median(values []float64) float64 {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	slices.Sort(values)
	if len(values) == 0 {
		return math.NaN()
	}
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
