package qlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

var start = time.Date(2026, time.March, 1, 12, 0, 0, 5, time.UTC)

// all is one event of each kind.
var all = []handshake.Event{
	{Kind: handshake.EventDatagram, Direction: handshake.Received, Size: 99},
	{Kind: handshake.EventRecord, Content: protocol.Handshake, Number: protocol.RecordNumber{Epoch: 2, Sequence: 7}, Size: 40},
	{Kind: handshake.EventMessage, Message: protocol.Finished, Seq: 3, Size: 10, Offset: 22, Length: 32, Repeated: true},
	{Kind: handshake.EventInnerHello, Direction: handshake.Received, Message: protocol.ClientHello, Size: 300, Length: 300},
	{Kind: handshake.EventACK, Numbers: []protocol.RecordNumber{{Epoch: 2, Sequence: 7}, {Epoch: 3}}},
	{Kind: handshake.EventACK},
	{Kind: handshake.EventAlert, Alert: 40},
	{Kind: handshake.EventDrop, Direction: handshake.Received, Reason: "the Store doesn't <answer>"},
	{Kind: handshake.EventTimeout},
	{Kind: handshake.EventKey, Direction: handshake.Received, Number: protocol.RecordNumber{Epoch: 3}},
	{Kind: handshake.EventStep, Step: handshake.ServerHello},
}

// traceAll gives a Trace all of them, a quarter of a millisecond apart.
func traceAll(trace func(handshake.Event)) {
	for i, e := range all {
		e.Time, e.Role, e.Engine = start.Add(time.Duration(i)*250*time.Microsecond), handshake.Server, 0xbeef
		trace(e)
	}
}

func TestRecords(t *testing.T) {
	var out bytes.Buffer
	traceAll(Trace(&out, "dtls"))
	const head = `{"file_schema":"urn:ietf:params:qlog:file:sequential","serialization_format":"application/qlog+json-seq","trace":{` +
		`"common_fields":{"time_format":"relative_to_epoch","reference_time":{"clock_type":"monotonic","epoch":"unknown","wall_clock_time":"2026-03-01T12:00:00.000000005Z"}},` +
		`"vantage_point":{"type":"server"},"event_schemas":["https://github.com/godwit-dtls/godwit/112026/qlog/dtls"]}}`
	const id = `"group_id":"000000000000beef"`
	want := []string{
		head,
		`{"time":0,"name":"dtls:datagram_received",` + id + `,"data":{"length":99}}`,
		`{"time":0.25,"name":"dtls:record_sent",` + id + `,"data":{"content_type":"handshake","epoch":2,"sequence_number":7,"length":40}}`,
		`{"time":0.5,"name":"dtls:message_sent",` + id + `,"data":{"message_type":"Finished","message_seq":3,"length":32,"fragment":{"offset":22,"length":10},"repeated":true}}`,
		`{"time":0.75,"name":"dtls:inner_hello_received",` + id + `,"data":{"message_type":"ClientHello","message_seq":0,"length":300}}`,
		`{"time":1,"name":"dtls:ack_sent",` + id + `,"data":{"records":[{"epoch":2,"sequence_number":7},{"epoch":3,"sequence_number":0}]}}`,
		`{"time":1.25,"name":"dtls:ack_sent",` + id + `,"data":{"records":[]}}`,
		`{"time":1.5,"name":"dtls:alert_sent",` + id + `,"data":{"description":"handshake_failure"}}`,
		`{"time":1.75,"name":"dtls:record_dropped",` + id + `,"data":{"reason":"the Store doesn't <answer>"}}`,
		`{"time":2,"name":"dtls:timeout_expired",` + id + `,"data":{}}`,
		`{"time":2.25,"name":"dtls:key_updated",` + id + `,"data":{"direction":"received","epoch":3}}`,
		`{"time":2.5,"name":"dtls:step_crossed",` + id + `,"data":{"step":"ServerHello"}}`,
	}
	if got := strings.ReplaceAll(out.String(), "\x1e", "RS "); got != "RS "+strings.Join(want, "\nRS ")+"\n" {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if strings.Index(head, "json-seq") > 256 {
		t.Error("a reader that looks at the first 256 bytes doesn't know what it is") // main-schema 3
	}
}

// Every kind of event has a name of its own.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range all {
		name := names[e.Kind][e.Direction]
		if name == "" || name != strings.ToLower(name) {
			t.Errorf("%v is called %q", e.Kind, name)
		}
		seen[name] = true
	}
	if len(seen) != len(names) {
		t.Errorf("%d names of %d kinds", len(seen), len(names))
	}
}

// A broken writer takes what it can, at most the half of a record. What comes after
// can be read.
type broken struct {
	bytes.Buffer
	writes int
}

func (b *broken) Write(p []byte) (int, error) {
	if b.writes++; b.writes%3 == 2 {
		n, _ := b.Buffer.Write(p[:len(p)/2])
		return n, errors.New("full")
	}
	return b.Buffer.Write(p)
}

func TestWriterFails(t *testing.T) {
	var b broken
	traceAll(Trace(&b, "dtls"))
	good, bad := 0, 0
	for _, text := range strings.Split(b.String(), "\x1e")[1:] {
		if strings.HasSuffix(text, "\n") && json.Valid([]byte(text)) {
			good++
		} else {
			bad++
		}
	}
	if records := len(all) + 1; good != records-bad || bad != records/3 {
		t.Errorf("%d records can be read, %d can't", good, bad)
	}
}

// Connections that share a log don't get into each other's records.
func TestConcurrent(t *testing.T) {
	var out bytes.Buffer
	trace := Trace(&out, "tls")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { traceAll(trace) })
	}
	wait.Wait()
	records := strings.Split(out.String(), "\x1e")[1:]
	if len(records) != 1+8*len(all) {
		t.Errorf("%d records", len(records))
	}
	for _, text := range records {
		if !json.Valid([]byte(text)) {
			t.Errorf("%q", text)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	trace := Trace(io.Discard, "dtls")
	e := all[1]
	e.Time = start
	b.ReportAllocs()
	for b.Loop() {
		trace(e)
	}
}
