package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

// A state is what the process has.
type state struct {
	Heap       uint64 // bytes of live objects
	Stacks     uint64 // bytes
	Goroutines int
	FDs        int // open files; 0 where the system doesn't tell
}

// measure looks a few times, and takes the least: who reads a socket just then has a buffer
// of a megabyte.
func measure() (least state) {
	least = look()
	for range 4 {
		time.Sleep(20 * time.Millisecond)
		now := look()
		least.Heap, least.Stacks = min(least.Heap, now.Heap), min(least.Stacks, now.Stacks)
		least.Goroutines, least.FDs = min(least.Goroutines, now.Goroutines), min(least.FDs, now.FDs)
	}
	return least
}

// look collects garbage, with what a sync.Pool keeps over two collections and what cleanups
// let go of, and counts.
func look() state {
	for range 3 {
		runtime.GC()
		time.Sleep(time.Millisecond) // cleanups run on a goroutine of the runtime
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return state{m.HeapAlloc, m.StackInuse, runtime.NumGoroutine(), countFDs()}
}

// countFDs counts this process's open files.
func countFDs() int {
	for _, directory := range []string{"/proc/self/fd", "/dev/fd"} {
		if open, err := os.ReadDir(directory); err == nil {
			return len(open) - 1 // the directory itself
		}
	}
	return 0
}

// await waits until something is true, for a while.
func await(most time.Duration, ok func() bool) bool {
	for end := time.Now().Add(most); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// warmUp has the runtime keep what it never gives back: a structure for every goroutine
// that there was at the same time. The first state would otherwise miss those of the busiest moment.
func warmUp() {
	var all sync.WaitGroup
	block := make(chan struct{})
	for range 4 * maxVisits {
		all.Go(func() { <-block })
	}
	close(block)
	all.Wait()
}

// touchNetwork has the runtime open the files that it polls sockets with.
func touchNetwork() {
	if pc, err := net.ListenPacket("udp4", loopback); err == nil {
		pc.Close()
	}
}

// writeHeap writes a profile of what lives. It is for looking at by hand: that it can't be
// written is no failure.
func writeHeap(name string) {
	f, err := os.Create(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer f.Close()
	pprof.Lookup("heap").WriteTo(f, 0)
}
