package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
)

// A figure is one number that a goal is set for.
type figure struct {
	key   string // in the JSON object
	goal  goal
	value func(r results) float64 // NaN if it was not measured
}

// A goal is a bound, or none.
type goal struct {
	sign  string // what stands between figure and bound
	bound float64
}

func atMost(bound float64) goal  { return goal{"≤", bound} }
func atLeast(bound float64) goal { return goal{"≥", bound} }

var noGoal = goal{}

// figures are all of them, in the order in which they are printed.
func figures() []figure {
	return []figure{
		{"rec64_dtls12_x_floor", atMost(2), timesFloor(64, godwitDTLS12)},
		{"rec64_dtls13_x_floor", atMost(2.4), timesFloor(64, godwitDTLS13)},
		{"rec1200_dtls12_x_floor", atMost(1.25), timesFloor(1200, godwitDTLS12)},
		{"rec1200_dtls13_x_floor", atMost(1.4), timesFloor(1200, godwitDTLS13)},
		{"rec1200_dtls12_allocs", atMost(0), whole(medianOf(enginesOf(1200), godwitDTLS12, allocations))},
		{"rec1200_dtls13_allocs", atMost(0), whole(medianOf(enginesOf(1200), godwitDTLS13, allocations))},
		{"rec8192_tls12_x_floor", atMost(1.2), timesFloor(8192, godwitTLS12)},
		{"rec8192_tls13_x_floor", atMost(1.2), timesFloor(8192, godwitTLS13)},

		{"hs_dtls12_x_cryptotls", atMost(1), times(fullHandshakes, cost, godwitDTLS12, cryptoTLS12)},
		{"hs_dtls13_x_cryptotls", atMost(1), times(fullHandshakes, cost, godwitDTLS13, cryptoTLS13)},
		{"hs_dtls12_x_pion", atMost(0.7), times(fullHandshakes, cost, godwitDTLS12, pionDTLS12)},
		{"hs_dtls13_x_pion", atMost(0.75), times(fullHandshakes, cost, godwitDTLS13, pionDTLS12)},
		{"hs_dtls12_allocs", atMost(400), medianOf(fullHandshakes, godwitDTLS12, allocations)},
		{"hs_dtls13_allocs", atMost(600), medianOf(fullHandshakes, godwitDTLS13, allocations)},
		{"hs_mlkem_dtls13_x_cryptotls", atMost(1.05), times(hybridHandshakes, cost, godwitDTLS13, cryptoTLS13)},
		{"hs_resumed_dtls12_x_cryptotls", atMost(1.2), times(resumedHandshakes, cost, godwitDTLS12, cryptoTLS12)},
		{"hs_resumed_dtls13_x_cryptotls", noGoal, times(resumedHandshakes, cost, godwitDTLS13, cryptoTLS13)},

		{"idle_dtls12_kib", atMost(4), scaled(1<<10, medianOf(idleConnections, godwitDTLS12, serverHeap))},
		{"idle_dtls13_kib", atMost(6), scaled(1<<10, medianOf(idleConnections, godwitDTLS13, serverHeap))},
		{"idle_dtls12_client_kib", noGoal, scaled(1<<10, medianOf(idleConnections, godwitDTLS12, clientHeap))},
		{"idle_dtls13_client_kib", noGoal, scaled(1<<10, medianOf(idleConnections, godwitDTLS13, clientHeap))},
		{"idle_goroutines", atMost(0), ofBoth(idleConnections, serverGoroutines)},

		{"udp_dtls13_us_per_packet", noGoal, scaled(1e3, slowerSide(singleDatagrams, godwitDTLS13))},
		{"udp_dtls13_x_raw", atMost(1.2), larger(
			times(singleDatagrams, cost, godwitDTLS13, bare{}),
			times(singleDatagrams, receiverCost, godwitDTLS13, bare{}))},
		{"udp_aead_x_raw", noGoal, larger(
			times(singleDatagrams, cost, sealed{}, bare{}),
			times(singleDatagrams, receiverCost, sealed{}, bare{}))},
		{"udp_batched_us_per_packet", atMost(1.2), scaled(1e3, slowerSide(batchedDatagrams, godwitDTLS13))},
		{"udp_batched_x_pion", atMost(0.1), over(slowerSide(batchedDatagrams, godwitDTLS13), slowerSide(singleDatagrams, pionDTLS12))},

		{"listener200_x_pion", atLeast(3), times(clientsAtOnce(200), perSecond, godwitDTLS13, pionDTLS12)},
		{"listener200_failures", atMost(0), medianOf(clientsAtOnce(200), godwitDTLS13, failures)},

		{"flood_us_per_hello", atMost(3), scaled(1e3, ofBoth(plainFlood, cost))},
		{"flood_x_raw", noGoal, larger(
			times(plainFlood, cost, godwitDTLS12, bare{}),
			times(plainFlood, cost, godwitDTLS13, bare{}))},
		{"flood_honest_failures", atMost(0), ofBoth(plainFlood, failures)},
		{"flood_heap_growth_kib", atMost(1024), scaled(1<<10, ofBoth(plainFlood, serverHeap))},
	}
}

// A derived number is found in the results.
type derived = func(r results) float64

func medianOf(contest string, p peer, q quantity) derived {
	return func(r results) float64 { return r.median(subject{contest, p.name(), q}) }
}

// times is how many times as much a has as b.
func times(contest string, q quantity, a, b peer) derived {
	return func(r results) float64 {
		return r.ratio(subject{contest, a.name(), q}, subject{contest, b.name(), q})
	}
}

// timesFloor is how many times as long a record takes between Engines as its
// cryptography alone.
func timesFloor(size int, p peer) derived {
	return func(r results) float64 {
		return r.ratio(subject{enginesOf(size), p.name(), cost}, subject{enginesOf(size), p.name(), floorCost})
	}
}

// slowerSide is what a datagram costs whichever process it costs more.
func slowerSide(contest string, p peer) derived {
	return larger(medianOf(contest, p, cost), medianOf(contest, p, receiverCost))
}

// ofBoth is the larger one of both versions of DTLS.
func ofBoth(contest string, q quantity) derived {
	return larger(medianOf(contest, godwitDTLS12, q), medianOf(contest, godwitDTLS13, q))
}

func larger(a, b derived) derived {
	return func(r results) float64 { return max(a(r), b(r)) }
}

func over(a, b derived) derived {
	return func(r results) float64 { return a(r) / b(r) }
}

func scaled(by float64, m derived) derived {
	return func(r results) float64 { return m(r) / by }
}

// whole leaves out what the runtime allocates now and then, as
// testing.AllocsPerRun does.
func whole(m derived) derived {
	return func(r results) float64 { return math.Floor(m(r)) }
}

// writeJSON writes the figures that were measured as one object, on one line.
func writeJSON(w io.Writer, r results) error {
	text := []byte{'{'}
	for _, f := range figures() {
		v := f.value(r)
		if math.IsNaN(v) {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, "%q:%s", f.key, short(v))
	}
	_, err := fmt.Fprintf(w, "%s}\n", text)
	return err
}

// short is v with three digits behind the point.
func short(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e3)/1e3, 'f', -1, 64)
}
