package tls

import (
	"io"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/qlog"
)

// NewQlog returns a Config.Trace that writes a qlog (draft-ietf-quic-qlog-main-schema, as
// JSON text sequences) to w: one of a client or of a server, whose connections may share
// it. Each event is one Write, which Config.Trace waits for; what w doesn't take is lost,
// and the connection goes on. The events are in docs/observability.md. They name no
// secrets and no data, but say when who sent how much.
func NewQlog(w io.Writer) func(Event) { return qlog.Trace(w, "tls") }

// Config.Trace. Without it, these cost a comparison.

func (e *Engine) trace(v Event) {
	v.Time, v.Role, v.Engine = e.now, e.machine.Role(), e.machine.Number()
	e.config.Trace(v)
}

func (e *Engine) traceDatagram(d handshake.Direction, size int) {
	if e.config.Trace != nil {
		e.trace(Event{Kind: handshake.EventDatagram, Direction: d, Size: size})
	}
}

func (e *Engine) traceRecord(d handshake.Direction, content protocol.ContentType, n protocol.RecordNumber, size int) {
	if e.config.Trace != nil {
		e.trace(Event{Kind: handshake.EventRecord, Direction: d, Content: content, Number: n, Size: size})
	}
}

func (e *Engine) traceMessage(d handshake.Direction, kind protocol.HandshakeType, size int) {
	if e.config.Trace != nil {
		e.trace(Event{Kind: handshake.EventMessage, Direction: d, Message: kind, Size: size, Length: size})
	}
}

// RFC 9846 6.2 [5]
func (e *Engine) traceAlert(d handshake.Direction, a alert.Alert) {
	if e.config.Trace != nil {
		e.trace(Event{Kind: handshake.EventAlert, Direction: d, Alert: a})
	}
}

func (e *Engine) traceKey(d handshake.Direction, level uint64) {
	if e.config.Trace != nil {
		e.trace(Event{Kind: handshake.EventKey, Direction: d, Number: protocol.RecordNumber{Epoch: level}})
	}
}

func (e *Engine) traceDrop(reason string) {
	if e.config.Trace != nil {
		e.trace(Event{Kind: handshake.EventDrop, Direction: handshake.Received, Reason: reason})
	}
}
