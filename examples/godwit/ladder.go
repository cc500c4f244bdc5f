package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A ladder is the story of a conversation, put together from what both sides
// trace and from what the wire carries: a rung for each datagram, described by
// the side that sent it. What a Listener answers before it has an Engine is
// described by the client that reads it.
type ladder struct {
	mu    sync.Mutex
	start time.Time
	rungs []*rung
	sides map[handshake.Role]*side
}

// A rung is a datagram, or a note about the side that it is from.
type rung struct {
	at      time.Duration // when the wire had it
	from    handshake.Role
	note    string
	size    int
	lost    bool
	records []record
	drops   []string // why the receiver dropped records of it
}

// A record is one record of a datagram.
type record struct {
	number  protocol.RecordNumber
	content protocol.ContentType
	parts   []part
}

// A part is a message, a fragment of one, an ACK or an alert.
type part struct {
	message protocol.HandshakeType
	seq     uint16
	text    string // what follows the message's name
	again   bool
}

// A side is what is known of one side's datagrams that are under way.
type side struct {
	parts    []part  // of the record that is being written
	sending  rung    // the datagram that is being written
	sent     []*rung // written, not yet on the wire
	awaiting []*rung // on the wire to this side, not yet read
	reading  *rung   // nil if the wire doesn't know the datagram
	describe bool    // reading was not described by its sender
}

func newLadder() *ladder {
	return &ladder{start: time.Now(), sides: map[handshake.Role]*side{handshake.Client: {}, handshake.Server: {}}}
}

// trace is a Config.Trace, for both sides.
func (l *ladder) trace(e dtls.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sides[e.Role]
	switch {
	case e.Kind == handshake.EventTimeout:
		l.rungs = append(l.rungs, &rung{at: time.Since(l.start), from: e.Role, note: "timeout"})
	case e.Direction == handshake.Sent:
		s.write(e)
	default:
		s.read(e)
	}
}

// write collects a datagram that is being sent: parts come before their record,
// and records before their datagram. Application data is a datagram by itself.
func (s *side) write(e dtls.Event) {
	switch e.Kind {
	case handshake.EventMessage, handshake.EventACK, handshake.EventAlert:
		s.parts = append(s.parts, newPart(e))
	case handshake.EventRecord:
		s.sending.records = append(s.sending.records, record{e.Number, e.Content, s.parts})
		s.sending.size += e.Size
		s.parts = nil
		if e.Content == protocol.ApplicationData {
			s.finish()
		}
	case handshake.EventDatagram:
		if len(s.sending.records) > 0 {
			s.finish()
		}
	}
}

// finish ends the datagram that is being sent.
func (s *side) finish() {
	whole := s.sending
	s.sent, s.sending = append(s.sent, &whole), rung{}
}

// read follows a datagram that is being received: it comes before its records,
// and a record before its parts.
func (s *side) read(e dtls.Event) {
	if e.Kind == handshake.EventDatagram {
		s.reading = take(&s.awaiting, e.Size)
		s.describe = s.reading != nil && len(s.reading.records) == 0
		return
	}
	switch {
	case s.reading == nil:
	case e.Kind == handshake.EventDrop:
		s.reading.drops = append(s.reading.drops, e.Reason)
	case !s.describe:
	case e.Kind == handshake.EventRecord:
		s.reading.records = append(s.reading.records, record{number: e.Number, content: e.Content})
	case e.Kind == handshake.EventMessage || e.Kind == handshake.EventACK || e.Kind == handshake.EventAlert:
		if n := len(s.reading.records); n > 0 {
			s.reading.records[n-1].parts = append(s.reading.records[n-1].parts, newPart(e))
		}
	}
}

// carried adds a datagram that is on the wire.
func (l *ladder) carried(from handshake.Role, size int, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := take(&l.sides[from].sent, size)
	if r == nil {
		r = &rung{size: size}
	}
	r.at, r.from, r.lost = time.Since(l.start), from, lost
	l.rungs = append(l.rungs, r)
	if !lost {
		to := l.sides[from.Peer()]
		to.awaiting = append(to.awaiting, r)
	}
}

// take removes the first datagram of a size, nil if there is none.
func take(rungs *[]*rung, size int) *rung {
	i := slices.IndexFunc(*rungs, func(r *rung) bool { return r.size == size })
	if i < 0 {
		return nil
	}
	r := (*rungs)[i]
	*rungs = slices.Delete(*rungs, i, i+1)
	return r
}

func newPart(e dtls.Event) part {
	switch e.Kind {
	case handshake.EventACK:
		return part{text: "ACK" + ranges(e.Numbers)}
	case handshake.EventAlert:
		return part{text: "Alert " + e.Alert.String()}
	}
	p := part{message: e.Message, seq: e.Seq, again: e.Repeated}
	if e.Size < e.Length {
		p.text = fmt.Sprintf(" %d..%d of %d", e.Offset, e.Offset+e.Size, e.Length)
	}
	return p
}

// ranges writes record numbers, neighbours as one: " 2/0-3 3/0".
func ranges(numbers []protocol.RecordNumber) string {
	var text strings.Builder
	for i := 0; i < len(numbers); {
		first, n := numbers[i], uint64(1)
		for ; i+int(n) < len(numbers); n++ {
			if numbers[i+int(n)] != (protocol.RecordNumber{Epoch: first.Epoch, Sequence: first.Sequence + n}) {
				break
			}
		}
		fmt.Fprintf(&text, " %v", first)
		if n > 1 {
			fmt.Fprintf(&text, "-%d", first.Sequence+n-1)
		}
		i += int(n)
	}
	return text.String()
}

// --- What a rung says

// A line is one line of a rung's text.
type line struct {
	text    string
	again   bool // a repetition
	dropped bool // the receiver says it, not the sender
}

// lines describes a datagram: a line for each message, and for what was
// dropped. The last ServerHello of a server is its ServerHello.
func (r *rung) lines(lastServerHello uint16) []line {
	var lines []line
	if len(r.records) == 0 {
		lines = append(lines, line{text: undescribed})
	}
	for _, rec := range r.records {
		number := fmt.Sprintf("%-4v", rec.number)
		if len(rec.parts) == 0 {
			lines = append(lines, line{text: number + " " + contentName(rec.content)})
		}
		for _, p := range rec.parts {
			lines = append(lines, line{text: number + " " + p.name(lastServerHello) + p.text, again: p.again})
			number = "    "
		}
	}
	for _, reason := range r.drops {
		lines = append(lines, line{text: "✗ dropped: " + reason, dropped: true})
	}
	return lines
}

// undescribed is what a datagram says that neither side traced: a Listener
// answered it without an Engine, and it was lost.
const undescribed = "the listener's answer"

func contentName(c protocol.ContentType) string {
	switch c {
	case protocol.ApplicationData:
		return "application data"
	case protocol.ChangeCipherSpec:
		return "ChangeCipherSpec"
	}
	return c.String()
}

// name is the message's. HelloRetryRequest is a ServerHello on the wire
// (RFC 9846 4.1.4), but never the last one.
func (p part) name(lastServerHello uint16) string {
	switch {
	case p.message == 0:
		return ""
	case p.message == protocol.ServerHello && p.seq < lastServerHello:
		return "HelloRetryRequest"
	}
	return p.message.String()
}

// lastServerHello is the highest message_seq of a ServerHello.
func (l *ladder) lastServerHello() (last uint16) {
	for _, r := range l.rungs {
		for _, rec := range r.records {
			for _, p := range rec.parts {
				if p.message == protocol.ServerHello {
					last = max(last, p.seq)
				}
			}
		}
	}
	return last
}

// counts are the datagrams and bytes that one side sent, and how many of them
// were lost.
func (l *ladder) counts(from handshake.Role) (datagrams, bytes, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rungs {
		if r.from == from && r.note == "" {
			datagrams++
			bytes += r.size
			if r.lost {
				lost++
			}
		}
	}
	return datagrams, bytes, lost
}
