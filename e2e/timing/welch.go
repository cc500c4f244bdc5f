package main

import (
	"math"
	"slices"
)

// times are what one thing took, in nanoseconds, by the class of its input.
type times [2][]float64

// A finding is what Welch's t-test says of two classes.
type finding struct {
	t          float64
	difference float64 // of the means: the second class less the first, in nanoseconds
	least      float64 // a difference of that much would have had |t| = threshold
}

// threshold is the |t| from which on the means differ: by chance alone it is reached
// once in 150,000 tests.
const threshold = 4.5

func (f finding) differs() bool { return math.Abs(f.t) > threshold }

// crops are the parts of all times, the shortest ones, that are looked at: what
// interrupts a measurement makes it longer, and has nothing to do with its input.
var crops = []float64{1, 0.99, 0.95, 0.9, 0.75, 0.5}

// means compares the means of the two classes, for each crop: the t is that which says
// most, and the difference that which is known best.
func (t times) means() (found finding) {
	both := t.sorted()
	for i, crop := range crops {
		limit := both[int(crop*float64(len(both)-1))]
		f := welch(momentsOf(t[0], limit), momentsOf(t[1], limit))
		if i == 0 || f.least < found.least {
			found.difference, found.least = f.difference, f.least
		}
		if math.Abs(f.t) > math.Abs(found.t) {
			found.t = f.t
		}
	}
	return found
}

// sorted are all, of both classes.
func (t times) sorted() []float64 { return slices.Sorted(slices.Values(slices.Concat(t[0], t[1]))) }

// variances compares how far the times of each class lie from their mean, squared: of
// second order, as a leak that was masked would be. What is longer than most would
// hide all else, so a tenth is left out.
func (t times) variances() finding {
	both := t.sorted()
	limit := both[int(0.9*float64(len(both)-1))]
	var squares times
	for class, all := range t {
		mean := momentsOf(all, limit).mean
		for _, x := range all {
			if x <= limit {
				squares[class] = append(squares[class], (x-mean)*(x-mean))
			}
		}
	}
	return welch(momentsOf(squares[0], math.Inf(1)), momentsOf(squares[1], math.Inf(1)))
}

// moments are what a t-test needs of a sample.
type moments struct {
	n, mean, variance float64
}

// momentsOf takes the values up to limit (Welford's way, which loses no digits).
func momentsOf(values []float64, limit float64) (m moments) {
	var squares float64
	for _, x := range values {
		if x > limit {
			continue
		}
		m.n++
		d := x - m.mean
		m.mean += d / m.n
		squares += d * (x - m.mean)
	}
	m.variance = squares / (m.n - 1)
	return m
}

// welch is the t-test for samples of unequal variance. Of constants that are equal it
// says nothing.
func welch(a, b moments) finding {
	deviation := math.Sqrt(a.variance/a.n + b.variance/b.n)
	found := finding{difference: b.mean - a.mean, least: threshold * deviation}
	if found.difference != 0 {
		found.t = found.difference / deviation
	}
	return found
}
