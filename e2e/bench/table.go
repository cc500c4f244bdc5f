package main

import (
	"fmt"
	"math"
	"strings"
)

// A row is one of the table: what it says of each peer.
type row struct {
	head string
	cell func(r results, peer string) string
}

// rows are those of the table, in order.
func rows() (all []row) {
	for _, size := range recordSizes {
		all = append(all,
			row{fmt.Sprintf("record of %d bytes, ns (x floor)", size), recordCell(recordsOf(size))},
			row{"between Engines", recordCell(enginesOf(size))})
	}
	return append(all,
		row{"allocations for a record of 1200 bytes", cellOf(recordsOf(1200), allocations, 1, 1)},
		row{"full handshake, µs (x floor)", handshakeCell(fullHandshakes)},
		row{"its allocations", cellOf(fullHandshakes, allocations, 1, 0)},
		row{"with X25519MLKEM768, µs (x floor)", handshakeCell(hybridHandshakes)},
		row{"resumed, µs", cellOf(resumedHandshakes, cost, 1e3, 0)},
		row{"its allocations", cellOf(resumedHandshakes, allocations, 1, 0)},
		row{"idle server, heap, KiB", cellOf(idleConnections, serverHeap, 1<<10, 1)},
		row{"idle client, heap, KiB", cellOf(idleConnections, clientHeap, 1<<10, 1)},
		row{"idle server, goroutines (their stacks, KiB)", idleCell},
		row{"UDP, 1200 bytes, µs for a datagram sent / received (by the bare AEAD)", datagramCell(singleDatagrams)},
		row{"in batches of 32", datagramCell(batchedDatagrams)},
		row{"200 clients at once, handshakes/s (longest, ms)", listenerCell(200)},
		row{"their CPU time, µs for each", cellOf(clientsAtOnce(200), cost, 1e3, 0)},
		row{"1000 clients", listenerCell(1000)},
		row{"their CPU time", cellOf(clientsAtOnce(1000), cost, 1e3, 0)},
		row{"5000 clients", listenerCell(5000)},
		row{"their CPU time", cellOf(clientsAtOnce(5000), cost, 1e3, 0)},
		row{"spoofed hello, µs (hellos/s; honest clients' longest, ms)", floodCell(plainFlood)},
		row{"sent faster than they are answered", floodCell(unboundedFlood)},
		row{"with a forged cookie", floodCell(forgedFlood)},
		row{"in two datagrams", floodCell(splitFlood)},
	)
}

// table has a column for each peer.
func (d document) table() string {
	var b strings.Builder
	heads, line := []string{""}, []string{"---"}
	for _, p := range d.peers {
		heads, line = append(heads, p.name()), append(line, "---:")
	}
	writeRow(&b, heads)
	writeRow(&b, line)
	for _, w := range rows() {
		cells, measured := []string{w.head}, false
		for _, p := range d.peers {
			cell := w.cell(d.results, p.name())
			measured = measured || cell != ""
			cells = append(cells, cell)
		}
		if measured {
			writeRow(&b, cells)
		}
	}
	return b.String()
}

func writeRow(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// number is a measured value divided by unit; empty if there is none.
func number(v, unit float64, digits int) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, v/unit)
}

func cellOf(contest string, q quantity, unit float64, digits int) func(results, string) string {
	return func(r results, peer string) string {
		return number(r.median(subject{contest, peer, q}), unit, digits)
	}
}

// with adds something in parentheses, if there is something.
func with(cell, more string) string {
	if cell == "" || more == "" {
		return cell
	}
	return cell + " (" + more + ")"
}

// recordCell compares with the peer's own cryptography: OpenSSL's is another than
// Go's.
func recordCell(contest string) func(results, string) string {
	return func(r results, peer string) string {
		times := r.ratio(subject{contest, peer, cost}, subject{contest, peer, floorCost})
		return with(number(r.median(subject{contest, peer, cost}), 1, 0), number(times, 1, 2))
	}
}

func handshakeCell(contest string) func(results, string) string {
	return func(r results, peer string) string {
		cell := number(r.median(subject{contest, peer, cost}), 1e3, 0)
		if peer == (bare{}).name() {
			return cell
		}
		times := r.ratio(subject{contest, peer, cost}, subject{contest, bare{}.name(), cost})
		return with(cell, number(times, 1, 2))
	}
}

func idleCell(r results, peer string) string {
	return with(cellOf(idleConnections, serverGoroutines, 1, 0)(r, peer), cellOf(idleConnections, serverStacks, 1<<10, 0)(r, peer))
}

func datagramCell(contest string) func(results, string) string {
	var cell func(r results, peer string) string
	cell = func(r results, peer string) string {
		sent := number(r.median(subject{contest, peer, cost}), 1e3, 2)
		if sent == "" {
			return ""
		}
		both := sent + " / " + number(r.median(subject{contest, peer, receiverCost}), 1e3, 2)
		if peer != (bare{}).name() {
			return both
		}
		return with(both, cell(r, sealed{}.name()))
	}
	return cell
}

func listenerCell(clients int) func(results, string) string {
	contest := clientsAtOnce(clients)
	return func(r results, peer string) string {
		cell := with(cellOf(contest, perSecond, 1, 0)(r, peer), cellOf(contest, longest, 1e6, 0)(r, peer))
		return cell + failed(r, contest, peer)
	}
}

// failed is how many clients failed, if any did.
func failed(r results, contest, peer string) string {
	if n := r.median(subject{contest, peer, failures}); n > 0 {
		return fmt.Sprintf(", %.0f failed", n)
	}
	return ""
}

func floodCell(contest string) func(results, string) string {
	return func(r results, peer string) string {
		rate, slowest := cellOf(contest, perSecond, 1, 0)(r, peer), cellOf(contest, longest, 1e6, 0)(r, peer)
		if peer != (bare{}).name() { // which has no honest clients
			rate += "; " + slowest
		}
		return with(cellOf(contest, cost, 1e3, 2)(r, peer), rate) + failed(r, contest, peer)
	}
}

// goals is the table of figures.
func (d document) goals() string {
	var b strings.Builder
	writeRow(&b, []string{"figure", "measured", "goal"})
	writeRow(&b, []string{"---", "---:", "---:"})
	for _, f := range figures() {
		v := f.value(d.results)
		if math.IsNaN(v) {
			continue
		}
		goal := ""
		if f.goal != noGoal {
			goal = f.goal.sign + " " + short(f.goal.bound)
		}
		writeRow(&b, []string{"`" + f.key + "`", short(v), goal})
	}
	return b.String()
}
