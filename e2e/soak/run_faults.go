package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// suffer lets all faults happen at the same time, again and again, each at a site of its own.
func (o options) suffer(progress io.Writer) (report, error) {
	warmUp()
	touchNetwork()
	before := measure()
	began := time.Now()
	r := o.newRun(progress)
	result := report{Seed: o.seed}
	for len(result.rounds) == 0 || time.Since(began) < o.length {
		result.ConnectionsLeft += r.sufferOnce(uint64(len(result.rounds)))
		r.settle(before)
		n := r.look()
		n.load = time.Since(began)
		result.rounds = append(result.rounds, n)
		r.say(n)
	}
	return r.conclude(result, before, began), nil
}

// sufferOnce returns how many connections are left.
func (r *run) sufferOnce(pass uint64) int {
	var all sync.WaitGroup
	var left atomic.Int64
	for i, f := range faults {
		if !r.only.MatchString(f.name) {
			continue
		}
		seed := pass*uint64(len(faults)) + uint64(i)
		all.Go(func() {
			connections, err := r.happen(f, seed)
			left.Add(int64(connections))
			if err != nil {
				r.tally.fail(fmt.Sprintf("%s, seed %d of %d", f.name, seed, r.seed), err)
			}
		})
	}
	all.Wait()
	return int(left.Load())
}

// happen opens a site, lets a fault happen there, and closes it.
func (r *run) happen(f fault, seed uint64) (connections int, err error) {
	there := r.newRun(r.progress)
	there.tally = r.tally
	if there.site, err = emptySite(r.patience); err != nil {
		return 0, err
	}
	err = f.happen(&scene{run: there, rng: rand.New(rand.NewPCG(r.seed, seed))})
	there.site.close()
	await(r.lingering(), func() bool { return there.site.connections() == 0 })
	return there.site.connections(), err
}
