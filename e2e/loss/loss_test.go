// Package loss measures how long it takes to connect where datagrams get lost, and holds
// godwit's DTLS 1.3 against its 1.2 and against pion/dtls, in the virtual time of
// testing/synctest.
package loss

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/e2e/page"
)

var update = flag.Bool("update", false, "measure everything and write the table into docs/loss.md")

// losses are the shares of datagrams that are lost, each way.
var losses = []float64{0.05, 0.10, 0.20}

// A round is some stacks with the same first timeout, or each with its own.
type round struct {
	name    string
	timeout time.Duration
	stacks  []stack
}

var rounds = []round{
	{"400 ms, as RFC 9147 has it for SRTP", 400 * time.Millisecond, []stack{godwit13, godwit13X25519, adaptive13, adaptive13X25519, godwit12, pion12}},
	{"75 ms, 1.5 round trips, as ICE knows", 75 * time.Millisecond, []stack{godwit13, godwit13X25519, adaptive13, adaptive13X25519, godwit12, pion12}},
	{"each one's default", 0, []stack{godwit13, godwit13X25519, godwit12, pion12}},
}

// A result is what the handshakes of one stack took.
type result struct{ median, p99 time.Duration }

func (r result) String() string {
	return fmt.Sprintf("%d | %d", r.median.Milliseconds(), r.p99.Milliseconds())
}

// measure connects with this many seeds.
func measure(t *testing.T, s stack, loss float64, timeout time.Duration, seeds int) result {
	t.Helper()
	var times []time.Duration
	for seed := range uint64(seeds) {
		times = append(times, s.connect(t, link{seed, loss}, timeout))
	}
	slices.Sort(times)
	return result{times[len(times)/2], times[len(times)*99/100]}
}

// results are those of one round, by stack and loss.
func (r round) results(t *testing.T, seeds int) map[string][]result {
	all := map[string][]result{}
	for _, s := range r.stacks {
		for _, loss := range losses {
			all[s.name+s.group] = append(all[s.name+s.group], measure(t, s, loss, r.timeout, seeds))
		}
	}
	return all
}

// expectAhead checks that godwit's 1.3, with ML-KEM and without, is ahead of every 1.2
// at each loss: of the medians and of the 99th percentiles, both.
func (r round) expectAhead(t *testing.T, results map[string][]result) {
	t.Helper()
	for _, ahead := range []stack{godwit13, godwit13X25519} {
		for _, behind := range []stack{godwit12, pion12} {
			for i, loss := range losses {
				a, b := results[ahead.name+ahead.group][i], results[behind.name+behind.group][i]
				if a.median >= b.median || a.p99 >= b.p99 {
					t.Errorf("%s, %v lost: %s with %s takes %v and %v, %s %v and %v", r.name, loss, ahead.name, ahead.group, a.median, a.p99, behind.name, b.median, b.p99)
				}
			}
		}
	}
}

// Without loss 1.3 takes a round trip and a half until both are connected, 1.2 two.
func TestNoLoss(t *testing.T) {
	for _, s := range rounds[0].stacks {
		want := 2 * roundTrip
		if s.name != godwit12.name && s.name != pion12.name {
			want = roundTrip * 3 / 2
		}
		for seed := range uint64(20) {
			if took := s.connect(t, link{seed, 0}, 0); took < want-2*jitter || took > want+2*jitter {
				t.Errorf("%s with %s: %v, want %v", s.name, s.group, took, want)
			}
		}
	}
}

// quickSeeds is how many seeds a quick run has.
const quickSeeds = 400

func TestAhead(t *testing.T) {
	for _, r := range rounds {
		if r.timeout == 75*time.Millisecond && testing.Short() {
			continue
		}
		r.stacks = []stack{godwit13, godwit13X25519, godwit12, pion12}
		r.expectAhead(t, r.results(t, quickSeeds))
	}
}

const (
	file  = "../../docs/loss.md"
	seeds = 2000
)

var section = page.Section{Name: "table", Command: "(cd e2e && go test ./loss -run Table -timeout 30m -update)"}

// TestTable writes the table of docs/loss.md, and checks that it is there otherwise.
func TestTable(t *testing.T) {
	table, err := section.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if !*update {
		for _, r := range rounds {
			if got := strings.Count(table, "| "+r.name+" |"); got != len(r.stacks) {
				t.Errorf("the table has %d rows of %q, want %d", got, r.name, len(r.stacks))
			}
		}
		return
	}
	var b strings.Builder
	b.WriteString("| first timeout | stack | group | 5 %: median | p99 | 10 %: median | p99 | 20 %: median | p99 |\n|---|---|---|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range rounds {
		results := r.results(t, seeds)
		for _, s := range r.stacks {
			fmt.Fprintf(&b, "| %s | %s | %s |", r.name, s.name, s.group)
			for _, result := range results[s.name+s.group] {
				fmt.Fprintf(&b, " %v |", result)
			}
			b.WriteString("\n")
		}
		r.expectAhead(t, results)
	}
	if err := section.Replace(file, b.String()); err != nil {
		t.Error(err)
	}
}
