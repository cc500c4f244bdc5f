package main

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// An idleTask opens connections and lets them rest: what they hold then is one
// side's share of the heap and of the goroutines. Time is virtual, since a
// connection may keep what a late datagram could need for some minutes.
type idleTask struct {
	peer  inProcess
	pairs int
}

// long is longer than anything is kept for the sake of the network: twice the
// longest time that a datagram stays there, which TCP has as two minutes.
const long = 5 * time.Minute

func (p inProcess) idle(pairs int) (task, error) { return idleTask{p, pairs}, nil }

func (idleTask) close() {}

// run has it done by a process of its own: virtual time is that of
// testing/synctest, which wants a test, and testing.Main, which runs one, doesn't
// return.
func (t idleTask) run(time.Duration) (sample, error) {
	p, err := startAgain("idle", t.peer.name(), strconv.Itoa(t.pairs))
	if err != nil {
		return nil, err
	}
	defer p.stop()
	return p.sample()
}

// rest is what the process does. It doesn't return.
func rest(out io.Writer, name, pairs string) error {
	p, ok := peerByName(name).(inProcess)
	n, err := strconv.Atoi(pairs)
	if !ok || err != nil {
		return fmt.Errorf("nobody rests: %q of %q", pairs, name)
	}
	test := func(t *testing.T) {
		s, err := idleTask{p, n}.measure()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(out, s)
	}
	virtual := testing.InternalTest{Name: "rest", F: func(t *testing.T) { synctest.Test(t, test) }}
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{virtual}, nil, nil)
	return nil
}

// measure finds what the servers hold. The clients go without a word: the
// links, which were there before, lose what they say.
func (t idleTask) measure() (sample, error) {
	e, err := t.peer.endpoints(handshake{})
	if err != nil {
		return nil, err
	}
	ends := make([][2]*link, t.pairs)
	for i := range ends {
		ends[i][0], ends[i][1] = newLinks(t.peer.transport())
	}
	pairs := make([]pair, t.pairs)
	keepGoroutines(8 * t.pairs)
	before := footprintNow()
	for i := range pairs {
		if pairs[i], err = e.connect(ends[i][0], ends[i][1]); err != nil {
			return nil, err
		}
	}
	time.Sleep(long)
	for i := range pairs {
		pairs[i].clientLink.cut()
	}
	both := footprintNow()
	for i := range pairs {
		pairs[i].client.Close()
		pairs[i] = pair{server: pairs[i].server}
	}
	time.Sleep(long)
	servers := footprintNow()
	for i := range pairs {
		pairs[i].server.Close()
	}
	time.Sleep(long)
	n := float64(t.pairs)
	runtime.KeepAlive(ends)
	return sample{
		serverHeap:       (servers.heap - before.heap) / n,
		clientHeap:       (both.heap - servers.heap) / n,
		serverStacks:     (servers.stacks - before.stacks) / n,
		serverGoroutines: (servers.goroutines - before.goroutines) / n,
	}, nil
}

// keepGoroutines lets the runtime have so many goroutines that have ended. It keeps
// them for others, and in virtual time the timers of all connections fire at once.
func keepGoroutines(n int) {
	var all sync.WaitGroup
	end := make(chan struct{})
	for range n {
		all.Go(func() { <-end })
	}
	close(end)
	all.Wait()
}

// A footprint is what this process holds.
type footprint struct{ heap, stacks, goroutines float64 }

func footprintNow() footprint {
	runtime.GC()
	runtime.GC() // pools are emptied in two steps
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{
		heap:       float64(m.HeapAlloc),
		stacks:     float64(m.StackInuse),
		goroutines: float64(runtime.NumGoroutine()),
	}
}
