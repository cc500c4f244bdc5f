package dtls

import (
	"io"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/qlog"
)

// NewQlog returns a Config.Trace that writes a qlog (draft-ietf-quic-qlog-main-schema, as
// JSON text sequences) to w: one of a client or of a server, whose connections may share
// it. Each event is one Write, which Config.Trace waits for; what w doesn't take is lost,
// and the connection goes on. The events are in docs/observability.md. They name no
// secrets and no data, but say when who sent how much.
func NewQlog(w io.Writer) func(Event) { return qlog.Trace(w, "dtls") }

// Config.Trace. Without it, these cost a comparison.

func (e *Engine) trace(v handshake.Event) {
	if e.config.Trace == nil {
		return
	}
	v.Time, v.Role, v.Engine = e.now, e.machine.Role(), e.machine.Number()
	e.config.Trace(v)
}

func (e *Engine) traceDatagram(d handshake.Direction, size int) {
	if e.config.Trace != nil {
		e.trace(handshake.Event{Kind: handshake.EventDatagram, Direction: d, Size: size})
	}
}

func (e *Engine) traceRecord(d handshake.Direction, kind protocol.ContentType, n protocol.RecordNumber, size int) {
	if e.config.Trace != nil {
		e.trace(handshake.Event{Kind: handshake.EventRecord, Direction: d, Content: kind, Number: n, Size: size})
	}
}

func (e *Engine) traceMessage(d handshake.Direction, h fragment.Header) {
	if e.config.Trace != nil {
		e.trace(handshake.Event{Kind: handshake.EventMessage, Direction: d, Message: protocol.HandshakeType(h.Type),
			Seq: h.Seq, Offset: h.Offset, Size: h.Size, Length: h.Length, Repeated: d == handshake.Sent && e.repeats > 0})
	}
}

func (e *Engine) traceSentACK(body []byte) {
	if e.config.Trace != nil {
		numbers, _ := retransmit.ParseACK(body, nil)
		e.trace(handshake.Event{Kind: handshake.EventACK, Direction: handshake.Sent, Numbers: numbers})
	}
}

func (e *Engine) traceSentAlert() {
	if e.config.Trace != nil {
		e.trace(handshake.Event{Kind: handshake.EventAlert, Direction: handshake.Sent, Alert: e.closing.alert})
	}
}
