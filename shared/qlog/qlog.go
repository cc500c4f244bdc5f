// Package qlog writes what Config.Trace is told as a qlog: JSON text sequences (RFC
// 7464) of draft-ietf-quic-qlog-main-schema, with events of our own. A reader needs
// nothing but docs/observability.md.
//
// Packages below shared carry no compatibility promise of their own; what dtls
// and tls alias from them is covered by theirs.
package qlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// A log is one file of one side. The connections of a server share it.
type log struct {
	namespace string // of its events: dtls or tls

	mu     sync.Mutex
	w      io.Writer
	began  time.Time // when the first event was; zero before
	record bytes.Buffer
}

// Trace returns a Config.Trace that writes events of a namespace to w, each with one
// Write. What w doesn't take is lost.
func Trace(w io.Writer, namespace string) func(handshake.Event) {
	l := &log{namespace: namespace, w: w}
	return l.trace
}

// trace writes an event, the first behind a header.
func (l *log) trace(e handshake.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began.IsZero() {
		l.began = e.Time
		l.write(l.header(e))
	}
	l.write(event{
		Time:    float64(e.Time.Sub(l.began)) / float64(time.Millisecond),
		Name:    l.namespace + ":" + names[e.Kind][e.Direction],
		GroupID: fmt.Sprintf("%016x", e.Engine),
		Data:    dataOf(e),
	})
}

// write writes one record: a Record Separator, which no JSON has in it, a JSON text and
// a newline (RFC 7464 2.2). After one that was cut off the next can be read again.
func (l *log) write(record any) {
	const separator = 0x1e
	l.record.Reset()
	l.record.WriteByte(separator)
	encoder := json.NewEncoder(&l.record)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(record) == nil {
		l.w.Write(l.record.Bytes())
	}
}

// --- The header

type header struct {
	FileSchema          string `json:"file_schema"`
	SerializationFormat string `json:"serialization_format"`
	Trace               struct {
		CommonFields struct {
			TimeFormat    string        `json:"time_format"`
			ReferenceTime referenceTime `json:"reference_time"`
		} `json:"common_fields"`
		VantagePoint struct {
			Type string `json:"type"`
		} `json:"vantage_point"`
		EventSchemas []string `json:"event_schemas"`
	} `json:"trace"`
}

type referenceTime struct {
	ClockType     string `json:"clock_type"`
	Epoch         string `json:"epoch"`
	WallClockTime string `json:"wall_clock_time"`
}

// header describes a log that begins with an event. Its times come of a clock that
// never jumps, so they can't be said to count from a time of day.
func (l *log) header(e handshake.Event) (h header) {
	h.FileSchema = "urn:ietf:params:qlog:file:sequential"
	h.SerializationFormat = "application/qlog+json-seq"
	h.Trace.CommonFields.TimeFormat = "relative_to_epoch"
	h.Trace.CommonFields.ReferenceTime = referenceTime{"monotonic", "unknown", e.Time.UTC().Format(time.RFC3339Nano)}
	h.Trace.VantagePoint.Type = e.Role.String()
	h.Trace.EventSchemas = []string{"https://github.com/godwit-dtls/godwit/112026/qlog/" + l.namespace}
	return h
}

// --- Events

type event struct {
	Time    float64 `json:"time"` // in milliseconds
	Name    string  `json:"name"`
	GroupID string  `json:"group_id"`
	Data    any     `json:"data"`
}

// What the events say beside their names. Nothing of it is secret, and none of it is
// anybody's data.
type (
	datagram struct {
		Length int `json:"length"`
	}
	record struct {
		ContentType    string `json:"content_type"`
		Epoch          uint64 `json:"epoch"`
		SequenceNumber uint64 `json:"sequence_number"`
		Length         int    `json:"length"` // with its header
	}
	message struct {
		MessageType string    `json:"message_type"`
		MessageSeq  uint16    `json:"message_seq"` // over datagrams; otherwise 0
		Length      int       `json:"length"`      // of its body
		Fragment    *fragment `json:"fragment,omitempty"`
		Repeated    bool      `json:"repeated,omitempty"`
	}
	fragment struct {
		Offset int `json:"offset"`
		Length int `json:"length"`
	}
	ack struct {
		Records []recordNumber `json:"records"`
	}
	recordNumber struct {
		Epoch          uint64 `json:"epoch"`
		SequenceNumber uint64 `json:"sequence_number"`
	}
	alert struct {
		Description string `json:"description"`
	}
	drop struct {
		Reason string `json:"reason"`
	}
	key struct {
		Direction string `json:"direction"` // of what it protects
		Epoch     uint64 `json:"epoch"`
	}
	step struct {
		Step string `json:"step"`
	}
	nothing struct{}
)

// names are those of events, by their direction.
var names = [...][2]string{
	handshake.EventDatagram:   {handshake.Sent: "datagram_sent", handshake.Received: "datagram_received"},
	handshake.EventRecord:     {handshake.Sent: "record_sent", handshake.Received: "record_received"},
	handshake.EventMessage:    {handshake.Sent: "message_sent", handshake.Received: "message_received"},
	handshake.EventInnerHello: {handshake.Sent: "inner_hello_sent", handshake.Received: "inner_hello_received"},
	handshake.EventACK:        {handshake.Sent: "ack_sent", handshake.Received: "ack_received"},
	handshake.EventAlert:      {handshake.Sent: "alert_sent", handshake.Received: "alert_received"},
	handshake.EventDrop:       {handshake.Received: "record_dropped"},
	handshake.EventKey:        {handshake.Sent: "key_updated", handshake.Received: "key_updated"},
	handshake.EventTimeout:    {"timeout_expired"}, // it has no direction
	handshake.EventStep:       {"step_crossed"},
}

func dataOf(e handshake.Event) any {
	switch e.Kind {
	case handshake.EventDatagram:
		return datagram{e.Size}
	case handshake.EventRecord:
		return record{e.Content.String(), e.Number.Epoch, e.Number.Sequence, e.Size}
	case handshake.EventMessage, handshake.EventInnerHello:
		return messageOf(e)
	case handshake.EventACK:
		a := ack{Records: make([]recordNumber, len(e.Numbers))}
		for i, n := range e.Numbers {
			a.Records[i] = recordNumber{n.Epoch, n.Sequence}
		}
		return a
	case handshake.EventAlert:
		return alert{e.Alert.String()}
	case handshake.EventDrop:
		return drop{e.Reason}
	case handshake.EventKey:
		return key{e.Direction.String(), e.Number.Epoch}
	case handshake.EventStep:
		return step{e.Step.String()}
	}
	return nothing{}
}

func messageOf(e handshake.Event) message {
	m := message{MessageType: e.Message.String(), MessageSeq: e.Seq, Length: e.Length, Repeated: e.Repeated}
	if e.Size < e.Length {
		m.Fragment = &fragment{e.Offset, e.Size}
	}
	return m
}
