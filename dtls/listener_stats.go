package dtls

import (
	"math"
	"sync/atomic"
	"time"
)

// ListenerStats counts what a Listener did since it began. To read it costs the same
// whatever the number of connections.
type ListenerStats struct {
	DatagramsReceived uint64 `json:"datagrams_received"`
	DatagramsSent     uint64 `json:"datagrams_sent"`
	BytesReceived     uint64 `json:"bytes_received"`
	BytesSent         uint64 `json:"bytes_sent"`
	Dropped           uint64 `json:"dropped_datagrams"` // from nobody, or for a full queue

	Challenges     uint64 `json:"challenges"`      // hellos answered with a cookie or an alert
	CookiesRefused uint64 `json:"cookies_refused"` // hellos whose cookie was too old or not ours for them
	Recovered      uint64 `json:"recovered"`       // connections of other processes that were found in Config.Store
	Connections    int    `json:"connections"`     // Conns that share the socket now

	Handshakes HandshakeStats `json:"handshakes"`
	Conns      Incidents      `json:"conns"` // of all the Listener's Conns, those that are gone too
}

// HandshakeStats counts the handshakes of a Listener's Conns. Their times are those of
// Stats.HandshakeTime.
type HandshakeStats struct {
	Completed uint64             `json:"completed"`
	Failed    uint64             `json:"failed"` // the Conn ended before, whatever the reason
	Sum       time.Duration      `json:"sum_ns"` // of the times,
	Min       time.Duration      `json:"min_ns"` // the shortest,
	Max       time.Duration      `json:"max_ns"` // and the longest
	Times     [14]HandshakeTimes `json:"times"`
}

// HandshakeTimes counts the handshakes that took at most so long, and longer than those
// of the HandshakeTimes before it.
type HandshakeTimes struct {
	AtMost time.Duration `json:"at_most_ns"` // math.MaxInt64: all that took longer
	Count  uint64        `json:"count"`
}

// newHandshakeStats returns stats whose times have their bounds.
func newHandshakeStats() (h HandshakeStats) {
	for i, bound := range [len(h.Times)]time.Duration{
		time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
		10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, math.MaxInt64,
	} {
		h.Times[i].AtMost = bound
	}
	return h
}

// complete counts a handshake.
func (h *HandshakeStats) complete(took time.Duration) {
	if h.Completed == 0 || took < h.Min {
		h.Min = took
	}
	h.Completed++
	h.Sum += took
	h.Max = max(h.Max, took)
	i := 0
	for took > h.Times[i].AtMost {
		i++
	}
	h.Times[i].Count++
}

// listenerCounters are what a Listener counts. The goroutine that reads the socket and
// those that write to it have nothing to do with each other: their counters don't share
// a cache line.
type listenerCounters struct {
	datagramsReceived, bytesReceived, dropped atomic.Uint64
	challenges, cookiesRefused, recovered     atomic.Uint64
	_                                         [64]byte
	datagramsSent, bytesSent                  atomic.Uint64
	conns                                     totals
}

// Stats returns the counters.
func (l *Listener) Stats() ListenerStats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	c := &l.stats
	return ListenerStats{
		DatagramsReceived: c.datagramsReceived.Load(),
		DatagramsSent:     c.datagramsSent.Load(),
		BytesReceived:     c.bytesReceived.Load(),
		BytesSent:         c.bytesSent.Load(),
		Dropped:           c.dropped.Load(),
		Challenges:        c.challenges.Load(),
		CookiesRefused:    c.cookiesRefused.Load(),
		Recovered:         c.recovered.Load(),
		Connections:       len(l.conns),
		Handshakes:        l.handshakes,
		Conns:             c.conns.sum(),
	}
}

// drop counts a datagram that nobody has taken.
func (l *Listener) drop() { l.stats.dropped.Add(1) }
