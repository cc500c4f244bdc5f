package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A tally counts what honest clients did, and what failed.
type tally struct {
	handshakes, echoes, repeated, strangers atomic.Int64
	resumed, early                          atomic.Int64
	failed                                  atomic.Int64

	mu   sync.Mutex
	kept int // of the failures that were printed
}

var errTrusted = errors.New("it succeeded")

// maxComplaints is how many failures are printed.
const maxComplaints = 50

// fail counts a failure, and says what it was.
func (t *tally) fail(who string, err error) {
	t.failed.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept++; t.kept <= maxComplaints {
		fmt.Fprintf(os.Stderr, "%s failed: %v\n", who, err)
	}
}

// A round is a part of the load, and what there was when nobody was there but the
// servers and the residents.
type round struct {
	load       time.Duration // since the beginning
	handshakes int64
	failed     int64
	state      state
	visitors   int // who should have gone
}

// A report is what came of a run.
type report struct {
	Handshakes     int64   `json:"handshakes"`
	Failed         int64   `json:"failed"`
	HeapGrowthKiB  float64 `json:"heap_growth_kib"`
	GoroutinesLeft int     `json:"goroutines_left"`
	FDsLeft        int     `json:"fds_left"`

	ConnectionsLeft int     `json:"connections_left"`
	StoredLeft      int     `json:"stored_left"`
	Echoes          int64   `json:"echoes"`
	Repeated        int64   `json:"questions_repeated"`
	Resumed         int64   `json:"resumed"`
	EarlyData       int64   `json:"early_data_accepted"`
	Strangers       int64   `json:"strangers"`
	HeapKiB         float64 `json:"heap_kib"`
	Seconds         float64 `json:"seconds"`
	Seed            uint64  `json:"seed"`

	rounds []round
}

// verdict is what is wrong, nil if nothing is.
func (r report) verdict() error {
	switch {
	case r.Failed > 0:
		return fmt.Errorf("%d failed", r.Failed)
	case r.GoroutinesLeft > 0 || r.FDsLeft > 0 || r.ConnectionsLeft > 0 || r.StoredLeft > 0:
		return fmt.Errorf("left: %d goroutines, %d files, %d connections, %d values in the Store",
			r.GoroutinesLeft, r.FDsLeft, r.ConnectionsLeft, r.StoredLeft)
	}
	return nil
}

func (r report) json(out io.Writer) error { return json.NewEncoder(out).Encode(r) }

// table has a row for each round.
func (r report) table() string {
	var b strings.Builder
	b.WriteString("| after | handshakes | failed | heap, KiB | stacks, KiB | goroutines | open files |\n")
	b.WriteString("|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, n := range r.rounds {
		fmt.Fprintf(&b, "| %v | %d | %d | %d | %d | %d | %d |\n", n.load.Round(time.Second), n.handshakes, n.failed,
			n.state.Heap>>10, n.state.Stacks>>10, n.state.Goroutines, n.state.FDs)
	}
	fmt.Fprintf(&b, "\nheap growth %.0f KiB; left when all is closed: %d goroutines, %d open files, %d connections, %d values in the Store\n",
		r.HeapGrowthKiB, r.GoroutinesLeft, r.FDsLeft, r.ConnectionsLeft, r.StoredLeft)
	return b.String()
}
