package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/godwit-dtls/godwit/dtls"
)

// page writes figures in Prometheus's text format. A program that depends on
// Prometheus's own library makes a Collector of the same.
func page(s dtls.ListenerStats) *bytes.Buffer {
	p := new(bytes.Buffer)
	write(p, "dtls_datagrams_received_total", counter, "Datagrams received.", s.DatagramsReceived)
	write(p, "dtls_datagrams_sent_total", counter, "Datagrams sent.", s.DatagramsSent)
	write(p, "dtls_bytes_received_total", counter, "Bytes in datagrams received.", s.BytesReceived)
	write(p, "dtls_bytes_sent_total", counter, "Bytes in datagrams sent.", s.BytesSent)
	write(p, "dtls_datagrams_dropped_total", counter, "Datagrams from nobody, or for a full queue.", s.Dropped)
	write(p, "dtls_challenges_total", counter, "Hellos answered with a cookie or an alert.", s.Challenges)
	write(p, "dtls_cookies_refused_total", counter, "Hellos whose cookie was no good.", s.CookiesRefused)
	write(p, "dtls_connections", gauge, "Connections now.", uint64(s.Connections))
	write(p, "dtls_handshakes_failed_total", counter, "Connections that ended before their handshake did.", s.Handshakes.Failed)
	write(p, "dtls_retransmits_total", counter, "Flights sent again.", s.Conns.Retransmits)
	write(p, "dtls_moves_total", counter, "Peers followed to another address.", s.Conns.Moves)
	write(p, "dtls_key_updates_sent_total", counter, "New keys for what is sent.", s.Conns.KeyUpdatesSent)
	write(p, "dtls_key_updates_received_total", counter, "New keys for what is received.", s.Conns.KeyUpdatesReceived)
	writeDrops(p, s.Conns.Dropped)
	writeTimes(p, s.Handshakes)
	return p
}

const (
	counter = "counter"
	gauge   = "gauge"
)

func write(p *bytes.Buffer, name, kind, help string, value uint64) {
	describe(p, name, kind, help)
	fmt.Fprintf(p, "%s %d\n", name, value)
}

func describe(p *bytes.Buffer, name, kind, help string) {
	fmt.Fprintf(p, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// writeDrops writes one counter, whose label is the reason as JSON names it.
func writeDrops(p *bytes.Buffer, drops dtls.DropStats) {
	const name = "dtls_records_dropped_total"
	describe(p, name, counter, "Records dropped, by reason.")
	var reasons map[string]uint64
	text, _ := json.Marshal(drops)
	json.Unmarshal(text, &reasons)
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(p, "%s{reason=%q} %d\n", name, reason, reasons[reason])
	}
}

// writeTimes writes a histogram, whose buckets have in them what those before have.
func writeTimes(p *bytes.Buffer, h dtls.HandshakeStats) {
	const name = "dtls_handshake_seconds"
	describe(p, name, "histogram", "Time from the hello with a good cookie to a complete handshake.")
	sum := uint64(0)
	for _, t := range h.Times {
		sum += t.Count
		bound := "+Inf"
		if t.AtMost != math.MaxInt64 {
			bound = fmt.Sprint(t.AtMost.Seconds())
		}
		fmt.Fprintf(p, "%s_bucket{le=%q} %d\n", name, bound, sum)
	}
	fmt.Fprintf(p, "%s_sum %v\n%s_count %d\n", name, h.Sum.Seconds(), name, h.Completed)
}
