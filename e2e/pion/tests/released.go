// Package tests runs the released tests of pion/webrtc and go-coap, as they come from
// the module proxy, on the drop-in: go.mod replaces pion/dtls by it, and nothing
// else.
package tests

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// A suite is what is run of a package's tests.
type suite struct {
	pkg  string
	tags string   // of the build
	run  []string // patterns for go test's -run, each of which gets a process; nil means all tests
	env  []string
}

// A result is how the tests of a suite ended, by name. What a pattern has chosen of a
// test's subtests is one of that name.
type result struct {
	outcomes map[string]string // "pass", "fail" or "skip"
	output   map[string]string // what a test that failed said
	again    []string          // that failed at first, and not when they ran alone
}

const (
	// workers is how many processes run at once. The tests wait for timers most of
	// the time.
	workers = 6
	// perProcess is how many tests one process runs.
	perProcess = 12
	// attempts is how often a test may fail. Those that need the time to be what
	// it is on an idle machine get it when they run alone.
	attempts = 3
)

// execute builds a suite in dir and runs it there.
func execute(ctx context.Context, s suite, dir string) (*result, error) {
	b := binary{path: filepath.Join(dir, "released.test"), env: append(os.Environ(), s.env...)}
	if _, err := output(exec.CommandContext(ctx, "go", "test", "-c", "-tags", s.tags, "-o", b.path, s.pkg)); err != nil {
		return nil, err
	}
	where, err := output(exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", s.pkg))
	if err != nil {
		return nil, err
	}
	b.dir = strings.TrimSpace(where)
	runs := s.run
	if runs == nil {
		if runs, err = b.chunks(ctx); err != nil {
			return nil, err
		}
	}
	r := &result{outcomes: map[string]string{}, output: map[string]string{}}
	r.add(b.all(ctx, runs, workers))
	for range attempts - 1 {
		failed := r.named("fail")
		r.again = slices.Concat(r.again, failed)
		r.add(b.all(ctx, alone(failed), 1))
	}
	r.again = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(r.again))), func(t string) bool { return r.outcomes[t] == "fail" })
	return r, nil
}

// alone are patterns of a test each.
func alone(tests []string) (runs []string) {
	for _, test := range tests {
		if !strings.Contains(test, "/") {
			test = "^" + test + "$"
		}
		runs = append(runs, test)
	}
	return runs
}

func (r *result) add(events []event) {
	for _, e := range events {
		switch {
		case e.Test == "":
		case e.Action == "run":
			r.outcomes[e.Test], r.output[e.Test] = "fail", "" // until it says otherwise
		case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
			r.outcomes[e.Test] = e.Action
		case e.Action == "output":
			r.output[e.Test] += e.Output
		}
	}
}

// named are the tests with an outcome, sorted.
func (r *result) named(outcome string) (tests []string) {
	for test, o := range r.outcomes {
		if o == outcome {
			tests = append(tests, test)
		}
	}
	slices.Sort(tests)
	return tests
}

// A binary is a built test program.
type binary struct {
	path, dir string
	env       []string
}

// An event is one line of test2json.
type event struct{ Action, Test, Output string }

// chunks are patterns that have all tests among them.
func (b binary) chunks(ctx context.Context) (runs []string, err error) {
	out, err := output(b.command(ctx, b.path, "-test.list", "."))
	if err != nil {
		return nil, err
	}
	tests := slices.DeleteFunc(strings.Fields(out), func(s string) bool {
		return !strings.HasPrefix(s, "Test") && !strings.HasPrefix(s, "Example") && !strings.HasPrefix(s, "Fuzz")
	})
	for some := range slices.Chunk(tests, perProcess) {
		runs = append(runs, "^("+strings.Join(some, "|")+")$")
	}
	return runs, nil
}

// all runs each pattern in a process of its own, some at once.
func (b binary) all(ctx context.Context, runs []string, atOnce int) (events []event) {
	var (
		mu   sync.Mutex
		wait sync.WaitGroup
		next = make(chan string)
	)
	for range atOnce {
		wait.Go(func() {
			for run := range next {
				got := b.process(ctx, run)
				mu.Lock()
				events = append(events, got...)
				mu.Unlock()
			}
		})
	}
	for _, run := range runs {
		next <- run
	}
	close(next)
	wait.Wait()
	return events
}

// process runs what a pattern matches. A process that panics leaves tests without a
// result, which add takes for failed; a test of which the pattern matches no subtest has
// failed, too.
func (b binary) process(ctx context.Context, run string) (events []event) {
	out, _ := b.command(ctx, "go", "tool", "test2json", b.path, "-test.v=test2json", "-test.timeout=120s", "-test.run", run).Output()
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<24)
	subtests := 0
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		test, sub, _ := strings.Cut(e.Test, "/")
		if sub != "" && e.Action != "output" {
			subtests++
			continue // its test says the same
		}
		if e.Test = test; test != "" && strings.Contains(run, "/") {
			e.Test = run
		}
		events = append(events, e)
	}
	if strings.Contains(run, "/") && subtests == 0 {
		events = append(events, event{Action: "fail", Test: run})
	}
	return events
}

func (b binary) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = b.dir, b.env
	return c
}

func output(c *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%v: %w\n%s", c, err, stderr.String())
	}
	return string(out), nil
}
