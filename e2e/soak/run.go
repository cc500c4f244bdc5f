package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A run is a load on a site, in rounds. Between them visitors and strangers are away, so
// that what the process has can be compared.
type run struct {
	options
	progress io.Writer
	site     *site
	gossip   *gossip
	tally    *tally
	visits   uint64

	residents sync.WaitGroup
	residing  int
	leaving   atomic.Bool  // visitors do: residents stay where they are
	quiet     sync.RWMutex // held while the process is measured: residents are silent then
}

// maxVisits is how many visitors are there at the same time: more have to wait, so that
// the load doesn't pile up where the machine has other work.
const maxVisits = 200

func (o options) newRun(progress io.Writer) *run {
	return &run{options: o, progress: progress, gossip: new(gossip), tally: new(tally)}
}

// soak is the whole of it.
func (o options) soak(progress io.Writer) (report, error) {
	r := o.newRun(progress)
	warmUp()
	touchNetwork()
	before := measure()
	began := time.Now()
	var err error
	if r.site, err = openSite(o.patience); err != nil {
		return report{}, err
	}
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	result := report{Seed: o.seed}
	if err := r.settleIn(ctx); err != nil {
		r.tally.fail("settling in", err)
	}
	for _, length := range o.rounds() {
		result.rounds = append(result.rounds, r.round(length, result.rounds))
	}
	leave()
	r.residents.Wait()
	await(o.lingering(), func() bool { return r.site.connections() == 0 && r.site.store.size() == 0 })
	result.ConnectionsLeft, result.StoredLeft = r.site.connections(), r.site.store.size()
	r.site.close()
	return r.conclude(result, before, began), nil
}

// conclude says what is left when everything is closed.
func (r *run) conclude(result report, before state, began time.Time) report {
	r.settle(before)
	after := measure()
	first, last := result.rounds[0].state, result.rounds[len(result.rounds)-1].state
	result.HeapGrowthKiB = (float64(last.Heap) - float64(first.Heap)) / 1024
	result.GoroutinesLeft, result.FDsLeft = max(0, after.Goroutines-before.Goroutines), max(0, after.FDs-before.FDs)
	result.Handshakes, result.Failed = r.tally.handshakes.Load(), r.tally.failed.Load()
	result.Echoes, result.Repeated, result.Strangers = r.tally.echoes.Load(), r.tally.repeated.Load(), r.tally.strangers.Load()
	result.Resumed, result.EarlyData = r.tally.resumed.Load(), r.tally.early.Load()
	result.HeapKiB, result.Seconds = float64(last.Heap)/1024, time.Since(began).Seconds()
	return result
}

// settle waits until no more is there than was before.
func (r *run) settle(before state) {
	await(r.lingering(), func() bool {
		now := look()
		return now.Goroutines <= before.Goroutines && now.FDs <= before.FDs
	})
}

// round lets visitors and strangers come for a while, and measures when they have gone.
func (r *run) round(length time.Duration, earlier []round) round {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { r.meddle(ctx) })
	all.Go(func() { r.visitAll(ctx) })
	all.Wait()
	r.leaving.Store(true)
	defer r.leaving.Store(false)
	r.site.callItADay()
	await(r.lingering(), func() bool { return r.site.connections() <= r.residing })
	if await(r.lingering(), r.quiet.TryLock) { // Lock would keep residents waiting for one that is stuck
		defer r.quiet.Unlock()
	}
	r.site.clock.stopped.Store(true)
	defer r.site.clock.stopped.Store(false)
	n, name := r.look(), "first"
	if n.load = length; len(earlier) > 0 {
		n.load += earlier[len(earlier)-1].load
		name = "last"
	}
	if r.profile != "" {
		writeHeap(r.profile + "." + name)
	}
	r.say(n)
	return n
}

// look is what there is now.
func (r *run) look() round {
	n := round{handshakes: r.tally.handshakes.Load(), failed: r.tally.failed.Load(), state: measure()}
	if r.site != nil {
		n.visitors = r.site.connections() - r.residing
	}
	return n
}

func (r *run) say(n round) {
	fmt.Fprintf(r.progress, "%v: %d handshakes, %d failed, heap %d KiB, %d goroutines, %d files, %d visitors who haven't gone\n",
		n.load.Round(time.Second), n.handshakes, n.failed, n.state.Heap>>10, n.state.Goroutines, n.state.FDs, n.visitors)
}

// visitAll lets visitors come at the pace of the options, until ctx ends, and waits for them.
func (r *run) visitAll(ctx context.Context) {
	var all sync.WaitGroup
	present := make(chan struct{}, maxVisits)
	tick := time.NewTicker(time.Second / time.Duration(r.rate))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		r.visits++
		seed := r.visits
		present <- struct{}{}
		all.Go(func() {
			r.visit(seed)
			<-present
		})
	}
	all.Wait()
}

// visit is one visitor, whose seed says all about him.
func (r *run) visit(seed uint64) {
	v := r.newVisit(seed)
	k := r.drawKind(v.rng)
	if err := r.pay(k, v); err != nil {
		r.tally.fail(fmt.Sprintf("%s, %s, %s, seed %d of %d", k.name, v.to.name, versionName(v.version), seed, r.seed), err)
	}
}

func (r *run) pay(k kind, v *visit) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), r.patience.visit, fmt.Errorf("nothing for %v", r.patience.visit))
	defer cancel()
	return k.pay(v, ctx)
}

// drawKind draws one by their weights, of those that shall come.
func (o options) drawKind(rng *rand.Rand) kind {
	total := 0
	for _, k := range kinds {
		total += o.weight(k)
	}
	n := rng.IntN(total)
	for _, k := range kinds {
		if n -= o.weight(k); n < 0 {
			return k
		}
	}
	panic("no kind is left")
}

func (o options) weight(k kind) int {
	if o.only.MatchString(k.name) {
		return k.weight
	}
	return 0
}
