package retransmit

import (
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/wire"
)

const (
	// floor is the shortest timeout that samples give: below it are timers and
	// schedulers, not networks.
	floor = 50 * time.Millisecond
	// recent is how many samples count as recent.
	recent = 4
	// longest is as much of a sample as counts. No timer waits that long.
	longest = 10 * time.Minute
)

// A RoundTrip estimates how long the peer takes to answer, and from that the
// timeout (RFC 9147 5.8.2): 1.5 times the round trip, smoothed as in RFC 6298 2,
// at least 1.5 times the largest of the last four samples, and at least 50 ms.
// Where round trips vary much, four times their variation counts instead of the
// half. A timeout that was assumed counts until there is a sample. The zero value
// has neither.
//
// Whoever samples keeps to Karn's rule (RFC 6298 3): what was sent more than once
// is no sample, unless the answer says which one it answers, as the record numbers
// of an ACK do.
type RoundTrip struct {
	assumed   time.Duration // the timeout until the next sample; 0: go by the samples
	smoothed  time.Duration
	variation time.Duration
	last      []time.Duration // samples, the newest at the end
}

// Assume sets the timeout that counts until the next sample.
func (r *RoundTrip) Assume(timeout time.Duration) { r.assumed = min(timeout, longest) }

// Sample takes a measured round trip. One that isn't positive is none.
func (r *RoundTrip) Sample(d time.Duration) {
	if d <= 0 {
		return
	}
	d = min(d, longest)
	if len(r.last) == 0 {
		// RFC 6298 2.2 has the half; with an eighth the first timeout is 1.5 round trips.
		r.smoothed, r.variation = d, d/8
	} else {
		r.variation += ((r.smoothed - d).Abs() - r.variation) / 4
		r.smoothed += (d - r.smoothed) / 8
	}
	if r.assumed = 0; len(r.last) == recent {
		r.last = slices.Delete(r.last, 0, 1)
	}
	r.last = append(r.last, d)
}

// Sampled reports whether the timeout comes from a sample.
func (r *RoundTrip) Sampled() bool { return r.assumed == 0 && len(r.last) > 0 }

// Timeout is how long to wait for an answer before it counts as lost; zero if
// nothing is known.
func (r *RoundTrip) Timeout() time.Duration {
	if !r.Sampled() {
		return r.assumed
	}
	return max(Allowance(slices.Max(r.last)), Allowance(r.smoothed), r.smoothed+4*r.variation)
}

// Allowance is the timeout that one round trip gives: half as much again, and at least
// 50 ms.
func Allowance(trip time.Duration) time.Duration {
	trip = min(trip, longest)
	return max(floor, trip+trip/2)
}

// Code writes the estimate, or reads it.
func (r *RoundTrip) Code(c *wire.Codec) {
	duration := func(d *time.Duration) {
		if wire.Number(c, d); *d > longest {
			c.Fail("a round trip of %v", *d)
		}
	}
	duration(&r.assumed)
	duration(&r.smoothed)
	duration(&r.variation)
	if wire.List(c, &r.last, duration); len(r.last) > recent {
		c.Fail("%d recent round trips, more than %d", len(r.last), recent)
	}
	if c.Err() != nil {
		*r = RoundTrip{}
	}
}
