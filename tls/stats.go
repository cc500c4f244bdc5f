package tls

import (
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// Stats counts what a connection did. Its JSON has the names of dtls's.
type Stats struct {
	BytesReceived      uint64 `json:"bytes_received"` // of the stream
	BytesSent          uint64 `json:"bytes_sent"`
	RecordsReceived    uint64 `json:"records_received"` // that opened, or needed no keys
	RecordsSent        uint64 `json:"records_sent"`
	KeyUpdatesSent     uint64 `json:"key_updates_sent"`     // times that what we write got new keys after the handshake,
	KeyUpdatesReceived uint64 `json:"key_updates_received"` // and what the peer writes

	// HandshakeTime is how long the handshake took, from our first byte or the peer's
	// to its completion; zero until then.
	HandshakeTime time.Duration `json:"handshake_ns"`
}

// Stats returns the counters.
func (e *Engine) Stats() Stats { return e.stats }

// Stats returns the counters of the connection.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.Stats()
}

// noteBytes counts n bytes of the stream, and traces them.
func (e *Engine) noteBytes(d handshake.Direction, n int) {
	if d == handshake.Sent {
		e.stats.BytesSent += uint64(n)
	} else {
		e.stats.BytesReceived += uint64(n)
	}
	e.traceDatagram(d, n)
}

// noteRecord counts a record, and traces it.
func (e *Engine) noteRecord(d handshake.Direction, content protocol.ContentType, n protocol.RecordNumber, size int) {
	if d == handshake.Sent {
		e.stats.RecordsSent++
	} else {
		e.stats.RecordsReceived++
	}
	e.traceRecord(d, content, n, size)
}

// noteKey counts new keys, unless they belong to the handshake, and traces them.
func (e *Engine) noteKey(d handshake.Direction, level uint64) {
	switch {
	case level <= handshake.LevelApplication:
	case d == handshake.Sent:
		e.stats.KeyUpdatesSent++
	default:
		e.stats.KeyUpdatesReceived++
	}
	e.traceKey(d, level)
}

// begin starts the time of the handshake, once.
func (e *Engine) begin() {
	if e.began.IsZero() {
		e.began = e.now
	}
}
