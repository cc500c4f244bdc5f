package dtls

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// Stats counts what an association did since it began, or since it was imported.
type Stats struct {
	DatagramsReceived uint64 `json:"datagrams_received"`
	DatagramsSent     uint64 `json:"datagrams_sent"`
	BytesReceived     uint64 `json:"bytes_received"` // in these datagrams
	BytesSent         uint64 `json:"bytes_sent"`
	RecordsReceived   uint64 `json:"records_received"` // that opened, or that were plaintext while that counted
	RecordsSent       uint64 `json:"records_sent"`

	// HandshakeTime is how long the handshake took, and RoundTrips how many of our
	// flights the peer answered in it; both are zero until it is complete. What a
	// Listener answers by itself, before there is an association, is no part of it.
	HandshakeTime time.Duration `json:"handshake_ns"`
	RoundTrips    int           `json:"handshake_round_trips"`

	Incidents
}

// Incidents counts what happens seldom. One association counts up to 2^32-1 of each.
type Incidents struct {
	Retransmits        uint64    `json:"retransmits"`          // times that a flight was sent again, in part or whole
	Moves              uint64    `json:"moves"`                // to another path
	LinkErrors         uint64    `json:"link_errors"`          // what ICMP or the socket said, which nobody authenticated
	KeyUpdatesSent     uint64    `json:"key_updates_sent"`     // times that what we write got new keys after the handshake,
	KeyUpdatesReceived uint64    `json:"key_updates_received"` // and what the peer writes
	Dropped            DropStats `json:"dropped_records"`      // which change nothing else
}

// DropStats counts dropped records by reason.
type DropStats struct {
	Header           uint64 `json:"header"`             // not a record, cut short, too long, or of another protocol
	Epoch            uint64 `json:"epoch"`              // no keys for it, not yet or no more
	Replay           uint64 `json:"replay"`             // received before, or older than the window
	Authentication   uint64 `json:"authentication"`     // did not open
	Plaintext        uint64 `json:"plaintext"`          // unprotected, where the peer has long had keys
	Early            uint64 `json:"early"`              // application data that overtook the handshake, or an ACK that overtook the hellos
	TooFar           uint64 `json:"too_far"`            // handshake messages too far ahead
	Closed           uint64 `json:"closed"`             // application data after close_notify
	ChangeCipherSpec uint64 `json:"change_cipher_spec"` // not awaited
	ConnectionID     uint64 `json:"connection_id"`      // without the connection ID that was agreed, or with another
	Reserved         uint64 `json:"reserved"`           // more than could wait for the Store
}

// Total is the number of dropped records.
func (d DropStats) Total() uint64 {
	return d.Header + d.Epoch + d.Replay + d.Authentication + d.Plaintext + d.Early + d.TooFar + d.Closed + d.ChangeCipherSpec + d.ConnectionID + d.Reserved
}

// An incident is one of those that Incidents counts.
type incident uint8

const (
	retransmitted incident = iota
	moved
	linkFailed
	keysUpdated
	peerKeysUpdated

	// Why a record was dropped.
	dropHeader
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

	numIncidents
)

// incidents says where each is counted, and of a drop why it was one.
var incidents = [numIncidents]struct {
	reason  string
	counter func(*Incidents) *uint64
}{
	retransmitted:   {counter: func(i *Incidents) *uint64 { return &i.Retransmits }},
	moved:           {counter: func(i *Incidents) *uint64 { return &i.Moves }},
	linkFailed:      {counter: func(i *Incidents) *uint64 { return &i.LinkErrors }},
	keysUpdated:     {counter: func(i *Incidents) *uint64 { return &i.KeyUpdatesSent }},
	peerKeysUpdated: {counter: func(i *Incidents) *uint64 { return &i.KeyUpdatesReceived }},

	dropHeader:           {"no record of this association", func(i *Incidents) *uint64 { return &i.Dropped.Header }},
	dropEpoch:            {"an epoch without keys", func(i *Incidents) *uint64 { return &i.Dropped.Epoch }},
	dropReplay:           {"received before, or too old to tell", func(i *Incidents) *uint64 { return &i.Dropped.Replay }},
	dropAuthentication:   {"does not authenticate", func(i *Incidents) *uint64 { return &i.Dropped.Authentication }},
	dropPlaintext:        {"unprotected, though there are keys", func(i *Incidents) *uint64 { return &i.Dropped.Plaintext }},
	dropEarly:            {"before its time in the handshake", func(i *Incidents) *uint64 { return &i.Dropped.Early }},
	dropTooFar:           {"a message too far ahead", func(i *Incidents) *uint64 { return &i.Dropped.TooFar }},
	dropClosed:           {"application data after close_notify", func(i *Incidents) *uint64 { return &i.Dropped.Closed }},
	dropChangeCipherSpec: {"a ChangeCipherSpec that is not awaited", func(i *Incidents) *uint64 { return &i.Dropped.ChangeCipherSpec }},
	dropConnectionID:     {"not the connection ID that was agreed", func(i *Incidents) *uint64 { return &i.Dropped.ConnectionID }},
	dropReserved:         {"the Store doesn't answer", func(i *Incidents) *uint64 { return &i.Dropped.Reserved }},
}

// counters are what an Engine counts, under the lock that guards it.
type counters struct {
	datagramsReceived, datagramsSent uint64
	bytesReceived, bytesSent         uint64
	recordsReceived, recordsSent     uint64

	began         time.Time // the handshake
	handshakeTime time.Duration
	roundTrips    uint32

	incidents [numIncidents]uint32
	totals    *totals // of a Listener; nil: this Engine has none
}

// totals are the incidents of all associations that a Listener ever had. Each of them
// counts by itself whatever comes with every record.
type totals [numIncidents]atomic.Uint64

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	c := &e.stats
	s := Stats{
		DatagramsReceived: c.datagramsReceived,
		DatagramsSent:     c.datagramsSent,
		BytesReceived:     c.bytesReceived,
		BytesSent:         c.bytesSent,
		RecordsReceived:   c.recordsReceived,
		RecordsSent:       c.recordsSent,
		HandshakeTime:     c.handshakeTime,
	}
	if e.machine.Open() {
		s.RoundTrips = int(c.roundTrips)
	}
	for i, n := range c.incidents {
		*incidents[i].counter(&s.Incidents) = uint64(n)
	}
	return s
}

// sum returns the incidents.
func (t *totals) sum() (sum Incidents) {
	for i := range t {
		*incidents[i].counter(&sum) = t[i].Load()
	}
	return sum
}

// count counts an incident, here and for the Listener.
func (c *counters) count(i incident) {
	if n := &c.incidents[i]; *n < math.MaxUint32 {
		*n++
	}
	if c.totals != nil {
		c.totals[i].Add(1)
	}
}

// drop counts a dropped record. It is never an error.
//
// RFC 9147 4.5.2 [1]
func (e *Engine) drop(reason incident) error {
	e.stats.count(reason)
	switch reason {
	case dropEpoch, dropConnectionID, dropAuthentication: // who has a later state might have taken it
		e.reserve.wonder(e.now)
	}
	e.trace(handshake.Event{Kind: handshake.EventDrop, Direction: handshake.Received, Reason: incidents[reason].reason})
	return nil
}

// receiveRecord counts a record that opened, or one of epoch 0.
func (c *counters) receiveRecord() { c.recordsReceived++ }

// sendRecord counts a record of n bytes. Whoever sends it counts the datagram.
func (c *counters) sendRecord(n int) {
	c.recordsSent++
	c.bytesSent += uint64(n)
}

// begin starts the time of the handshake, once.
func (c *counters) begin(now time.Time) {
	if c.began.IsZero() {
		c.began = now
	}
}

// complete ends it.
func (c *counters) complete(now time.Time) { c.handshakeTime = now.Sub(c.began) }
