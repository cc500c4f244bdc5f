package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hasty servers soon have enough of who says nothing, so that a test is over soon.
var hasty = patience{handshake: 10 * time.Second, idle: 1500 * time.Millisecond, visit: time.Minute}

// A run in a hurry: nobody fails, and nothing is left. Its heap says nothing.
func TestSoak(t *testing.T) {
	o, err := parseOptions([]string{"-for", "2s", "-json"})
	if err != nil {
		t.Fatal(err)
	}
	o.patience = hasty
	var progress bytes.Buffer
	result, err := o.soak(&progress)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.verdict(); err != nil {
		t.Errorf("seed %d: %v\n%s", o.seed, err, &progress)
	}
	if result.Handshakes == 0 || result.Echoes == 0 || result.Resumed == 0 || result.EarlyData == 0 || result.Strangers == 0 {
		t.Errorf("seed %d: something didn't happen: %+v", o.seed, result)
	}
	var out bytes.Buffer
	if err := o.show(result, &out); err != nil {
		t.Fatal(err)
	}
	var figures map[string]float64
	if err := json.Unmarshal(out.Bytes(), &figures); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("%v: %s", err, &out)
	}
	for _, key := range []string{"handshakes", "failed", "heap_growth_kib", "goroutines_left", "fds_left"} {
		if _, ok := figures[key]; !ok {
			t.Errorf("%s is missing", key)
		}
	}
}

// Every kind of client is served.
func TestKinds(t *testing.T) {
	r := options{seed: 1, patience: hasty}.newRun(io.Discard)
	var err error
	if r.site, err = openSite(hasty); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.site.close) // behind the parallel ones
	for i, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			if err := r.pay(k, r.newVisit(uint64(i))); err != nil {
				t.Error(err)
			}
		})
	}
}

// All faults happen once, and nothing is left of them.
func TestFaults(t *testing.T) {
	o, err := parseOptions([]string{"-for", "1s", "-faults"})
	if err != nil {
		t.Fatal(err)
	}
	o.patience = patience{handshake: 8 * time.Second, idle: 3 * time.Second, visit: time.Minute}
	result, err := o.suffer(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.verdict(); err != nil {
		t.Errorf("seed %d: %v", o.seed, err)
	}
}

// docs/soak.md has a place for the table.
func TestUpdate(t *testing.T) {
	text, err := os.ReadFile("../../docs/soak.md")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "soak.md")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var r report
	if err := r.update(file); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(file); err != nil || !strings.Contains(string(text), r.table()) {
		t.Errorf("%v: %s", err, text)
	}
}

// A run has rounds of a minute or more behind the first one.
func TestRounds(t *testing.T) {
	for length, want := range map[time.Duration]int{10 * time.Second: 2, time.Minute: 2, 2 * time.Minute: 2, 10 * time.Minute: 11, time.Hour: 13} {
		rounds, sum := options{length: length}.rounds(), time.Duration(0)
		for _, r := range rounds {
			sum += r
		}
		if len(rounds) != want || (length-sum).Abs() > time.Second {
			t.Errorf("%v: %v", length, rounds)
		}
	}
}
