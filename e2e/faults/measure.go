package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// A cell is what the runs of one pairing under one fault took, in order. What failed
// took for ever.
type cell []time.Duration

const forEver = time.Duration(math.MaxInt64)

func (c cell) runs() int { return len(c) }

func (c cell) done() (n int) {
	for _, took := range c {
		if took < forEver {
			n++
		}
	}
	return n
}

// quantile is what so many percent of the runs took at most, failed ones included.
func (c cell) quantile(percent int) time.Duration { return c[(len(c)*percent-1)/100] }

// surpasses reports whether c has no fewer successes, and half of its runs were sooner,
// or as many as the rival has at all.
func (c cell) surpasses(rival cell) bool {
	percent := min(50, rival.done()*100/rival.runs())
	return c.done()*rival.runs() >= rival.done()*c.runs() && (percent == 0 || c.quantile(percent) < rival.quantile(percent))
}

func (c cell) String() string {
	return fmt.Sprintf("%d of %d, median %s, 90 %% %s", c.done(), c.runs(), seconds(c.quantile(50)), seconds(c.quantile(90)))
}

// seconds is how tables write a time.
func seconds(d time.Duration) string {
	switch {
	case d == forEver:
		return "–"
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f", d.Seconds())
	}
	return fmt.Sprintf("%.1f", d.Seconds())
}

// A place is where a cell stands.
type place struct{ table, pairing, fault string }

// results are all that was measured.
type results map[place]cell

// A job is a run and where it counts.
type job struct {
	place
	run
}

func (j job) String() string {
	return fmt.Sprintf("%s, %s, seed %d", j.place.pairing, j.place.fault, j.seed)
}

// jobs are all runs of the tables, in an order that mixes long ones with short ones.
func jobs(tables []table, qlogs string) (all []job) {
	for _, t := range tables {
		for _, p := range t.pairings {
			for _, f := range t.faults {
				for seed := range t.runs {
					j := job{place{t.name, p.name(), f.name}, run{client: p.from, server: p.to, fault: f, seed: uint64(seed)}}
					if qlogs != "" {
						j.qlogs = filepath.Join(qlogs, j.String())
					}
					all = append(all, j)
				}
			}
		}
	}
	lot := rand.New(rand.NewPCG(0, 0))
	lot.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// pace is how many handshakes go on side by side, and how far their beginnings are
// apart: most of them wait, but those that don't must not wait for each other.
type pace struct {
	together int
	apart    time.Duration
}

// measure plays all jobs. details are how each of them ended.
func (p pace) measure(all []job, progress, details io.Writer) (results, error) {
	var (
		mu      sync.Mutex
		r       = results{}
		failure error
		running sync.WaitGroup
	)
	seats, tick, begun := make(chan struct{}, p.together), time.NewTicker(p.apart), time.Now()
	defer tick.Stop()
	for i, j := range all {
		if i%500 == 0 {
			fmt.Fprintf(progress, "%5.0f s: %d of %d handshakes begun\n", time.Since(begun).Seconds(), i, len(all))
		}
		<-tick.C
		seats <- struct{}{}
		running.Go(func() {
			defer func() { <-seats }()
			o := j.play()
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(details, "%v: %s %v\n", j, seconds(o.took), o.err)
			if errors.As(o.err, new(setupError)) {
				failure = o.err
			}
			if o.err != nil {
				o.took = forEver
			}
			r[j.place] = append(r[j.place], o.took)
		})
	}
	running.Wait()
	for _, c := range r {
		slices.Sort(c)
	}
	return r, failure
}
