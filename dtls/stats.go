package dtls

import (
	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// Stats counts what an association did. Dropped records change nothing else.
type Stats struct {
	DatagramsSent uint64 // with handshake messages, ACKs or alerts
	Retransmits   uint64 // times that a flight was sent again, in part or whole
	Moves         uint64 // to another path
	LinkErrors    uint64 // what ICMP or the socket said, which nobody authenticated
	Dropped       DropStats
}

// DropStats counts dropped records by reason.
type DropStats struct {
	Header           uint64 // not a record, cut short, too long, or of another protocol
	Epoch            uint64 // no keys for it, not yet or no more
	Replay           uint64 // received before, or older than the window
	Authentication   uint64 // did not open
	Plaintext        uint64 // unprotected, where the peer has long had keys
	Early            uint64 // application data that overtook the handshake, or an ACK that overtook the hellos
	TooFar           uint64 // handshake messages too far ahead
	Closed           uint64 // application data after close_notify
	ChangeCipherSpec uint64 // not awaited
	ConnectionID     uint64 // without the connection ID that was agreed, or with another
	Reserved         uint64 // more than could wait for the Store
}

// Total is the number of dropped records.
func (d DropStats) Total() uint64 {
	return d.Header + d.Epoch + d.Replay + d.Authentication + d.Plaintext + d.Early + d.TooFar + d.Closed + d.ChangeCipherSpec + d.ConnectionID + d.Reserved
}

// A dropReason says why a record was dropped.
type dropReason uint8

const (
	dropHeader dropReason = iota
	dropEpoch
	dropReplay
	dropAuthentication
	dropPlaintext
	dropEarly
	dropTooFar
	dropClosed
	dropChangeCipherSpec
	dropConnectionID
	dropReserved
)

var dropReasons = [...]struct {
	text    string
	counter func(*DropStats) *uint64
}{
	dropHeader:           {"no record of this association", func(d *DropStats) *uint64 { return &d.Header }},
	dropEpoch:            {"an epoch without keys", func(d *DropStats) *uint64 { return &d.Epoch }},
	dropReplay:           {"received before, or too old to tell", func(d *DropStats) *uint64 { return &d.Replay }},
	dropAuthentication:   {"does not authenticate", func(d *DropStats) *uint64 { return &d.Authentication }},
	dropPlaintext:        {"unprotected, though there are keys", func(d *DropStats) *uint64 { return &d.Plaintext }},
	dropEarly:            {"before its time in the handshake", func(d *DropStats) *uint64 { return &d.Early }},
	dropTooFar:           {"a message too far ahead", func(d *DropStats) *uint64 { return &d.TooFar }},
	dropClosed:           {"application data after close_notify", func(d *DropStats) *uint64 { return &d.Closed }},
	dropConnectionID:     {"not the connection ID that was agreed", func(d *DropStats) *uint64 { return &d.ConnectionID }},
	dropReserved:         {"the Store doesn't answer", func(d *DropStats) *uint64 { return &d.Reserved }},
	dropChangeCipherSpec: {"a ChangeCipherSpec that is not awaited", func(d *DropStats) *uint64 { return &d.ChangeCipherSpec }},
}

// drop counts a dropped record. It is never an error.
func (e *Engine) drop(r dropReason) error {
	*dropReasons[r].counter(&e.stats.Dropped)++
	e.trace(handshake.Event{Kind: handshake.EventDrop, Direction: handshake.Received, Reason: dropReasons[r].text})
	return nil
}

// Stats returns the counters.
func (e *Engine) Stats() Stats { return e.stats }

// --- Config.Trace

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
