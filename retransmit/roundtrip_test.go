package retransmit

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/wire"
)

const ms = time.Millisecond

func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		name    string
		samples []time.Duration
		want    time.Duration
	}{
		{"nothing known", nil, 0},
		{"one sample", []time.Duration{100 * ms}, 150 * ms},
		{"it stays", []time.Duration{100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms, 100 * ms}, 150 * ms},
		{"a short one counts as 50 ms", []time.Duration{10 * ms}, 50 * ms},
		{"a slow link", []time.Duration{5 * time.Second}, 7500 * ms},
		{"the largest of four", []time.Duration{200 * ms, 100 * ms}, 362500 * time.Microsecond}, // 187.5 + 4 * 43.75
		{"growing", []time.Duration{100 * ms, 200 * ms}, 300 * ms},
		{"the largest is the oldest of four", []time.Duration{80 * ms, 90 * ms, 80 * ms, 80 * ms}, 135 * ms},
		{"none", []time.Duration{0, -time.Second}, 0},
		{"none after one", []time.Duration{100 * ms, 0, -1}, 150 * ms},
	} {
		var r RoundTrip
		for _, d := range c.samples {
			r.Sample(d)
		}
		if got := r.Timeout(); got != c.want || r.Sampled() != (c.want > 0) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAllowance(t *testing.T) {
	for trip, want := range map[time.Duration]time.Duration{
		0: 50 * ms, -time.Second: 50 * ms, 33 * ms: 50 * ms, 40 * ms: 60 * ms, time.Second: 1500 * ms, math.MaxInt64: 15 * time.Minute,
	} {
		if got := Allowance(trip); got != want {
			t.Errorf("%v for %v, want %v", got, trip, want)
		}
	}
}

// A sample that was larger than all later ones is forgotten.
func TestRoundTripForgets(t *testing.T) {
	var r RoundTrip
	r.Sample(100 * ms)
	for range recent - 1 {
		r.Sample(90 * ms)
	}
	if got := r.Timeout(); got != 150*ms {
		t.Errorf("%v while the largest sample is recent", got)
	}
	for range 20 {
		r.Sample(90 * ms)
	}
	if got := r.Timeout(); got < 135*ms || got >= 150*ms {
		t.Errorf("%v long after it, want little more than 135 ms", got)
	}
}

// Whatever the samples are, none like the last four would have come too late.
func TestRoundTripCoversWhatCame(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 0))
		var r RoundTrip
		var last []time.Duration
		for range 50 {
			d := time.Duration(1+random.IntN(5000)) * ms
			r.Sample(d)
			if last = append(last, d); len(last) > 4 {
				last = last[1:]
			}
			for _, l := range last {
				if r.Timeout() < l+l/2 || r.Timeout() < 50*ms {
					t.Fatalf("seed %d: %v after %v", seed, r.Timeout(), last)
				}
			}
		}
	}
}

func TestRoundTripAssumed(t *testing.T) {
	var r RoundTrip
	r.Assume(time.Second)
	if r.Sampled() || r.Timeout() != time.Second {
		t.Errorf("%v, want what was assumed", r.Timeout())
	}
	r.Sample(100 * ms)
	r.Assume(20 * ms) // a caller's timeout has no floor
	if r.Sampled() || r.Timeout() != 20*ms {
		t.Errorf("%v, want what was assumed after a sample", r.Timeout())
	}
	r.Sample(100 * ms)
	if !r.Sampled() || r.Timeout() != 150*ms {
		t.Errorf("%v, want what was sampled", r.Timeout())
	}
}

func TestRoundTripCode(t *testing.T) {
	var r RoundTrip
	expectCopy(t, &r, &RoundTrip{})
	r.Assume(365 * 24 * time.Hour)
	expectCopy(t, &r, &RoundTrip{})
	for n := range recent + 2 {
		r.Sample(time.Duration(100+10*n) * ms)
		expectCopy(t, &r, &RoundTrip{})
	}
	r.Sample(24 * time.Hour)
	expectCopy(t, &r, &RoundTrip{})
}

func TestRoundTripCodeRefuses(t *testing.T) {
	for what, r := range map[string]RoundTrip{
		"a sample of an hour":   {last: []time.Duration{time.Hour}},
		"an assumption of one":  {assumed: time.Hour},
		"more than are recent":  {last: make([]time.Duration, recent+1)},
		"a smoothed one of one": {smoothed: time.Hour},
	} {
		c := wire.NewEncoder()
		r.Code(c)
		if _, err := c.Finish(); !errors.Is(err, wire.ErrState) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
