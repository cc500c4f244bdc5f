package dtls

import (
	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// Config.Trace. Without it, these cost a comparison.

func (e *Engine) trace(v handshake.Event) {
	if e.config.Trace == nil {
		return
	}
	v.Time, v.Role = e.now, e.machine.Role()
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

func (e *Engine) traceMessage(d handshake.Direction, h fragment.Header, repeated bool) {
	if e.config.Trace != nil {
		e.trace(handshake.Event{Kind: handshake.EventMessage, Direction: d, Message: protocol.HandshakeType(h.Type),
			Seq: h.Seq, Offset: h.Offset, Size: h.Size, Length: h.Length, Repeated: repeated})
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
