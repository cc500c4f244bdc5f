package dtls

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// lost is true for what d sends: see losing.
func (d *side) lost(p *parcel) bool { return p.from == d }

// expectAlert checks that err ended d with the given alert, and how it looks.
func expectAlert(t testing.TB, err error, want alert.Alert) {
	t.Helper()
	var a *alert.Error
	if !errors.As(err, &a) || a.Alert != want || a.Received {
		t.Fatalf("%v, want %v", err, want)
	}
}

// --- The timer

// schedule is when a flight goes out again if the first timeout is 400 ms, and
// at last when it fails, in ms after it first went out.
var schedule = []int{0, 400, 1200, 2800, 6000, 12400, 25200, 50800, 102000, 162000, 222000, 282000, 342000, 402000}

// passes is when d sent handshake messages, in ms after the first.
func (d *side) passes() (times []int) {
	var first time.Time
	for _, e := range d.events {
		if e.Kind != handshake.EventMessage || e.Direction != handshake.Sent {
			continue
		}
		if first.IsZero() {
			first = e.Time
		}
		if ms := int(e.Time.Sub(first).Milliseconds()); !slices.Contains(times, ms) {
			times = append(times, ms)
		}
	}
	return times
}

// expectTimeout runs until d gives up, and checks when it sent its flight. The
// other side may end too.
func (d *side) expectTimeout(began time.Time) {
	t := d.s.t
	t.Helper()
	for d.err == nil && d.s.step() {
	}
	var timeout interface{ Timeout() bool }
	if !errors.Is(d.err, ErrTimeout) || !errors.As(d.err, &timeout) || !timeout.Timeout() {
		t.Fatalf("%s: %v, want %v", d.name, d.err, ErrTimeout)
	}
	if got := d.passes(); !slices.Equal(got, schedule[:13]) {
		t.Errorf("%s sent at %v ms, want %v", d.name, got, schedule[:13])
	}
	if got := int(d.s.now.Sub(began).Milliseconds()); got != schedule[13] {
		t.Errorf("%s failed after %d ms, want %d", d.name, got, schedule[13])
	}
	if d.Pending() || !d.Deadline().IsZero() {
		t.Errorf("%s goes on after its end", d.name)
	}
	if got := d.Stats().Retransmits; got != 12 {
		t.Errorf("%s counts %d retransmits, want 12", d.name, got)
	}
}

func TestRetransmitTimeout(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		t.Run("client", func(t *testing.T) {
			client, server := with(version)
			s := traced(t, client, server, fated(losing(func(*parcel) bool { return true })))
			s.client.expectTimeout(s.now)
		})
		t.Run("server", func(t *testing.T) {
			client, server := with(version)
			s := traced(t, client, server)
			s.fate = losing(s.server.lost)
			s.step()
			s.fate = losing(func(*parcel) bool { return true })
			s.server.expectTimeout(s.now)
		})
	})
}

// In 1.3 the last flight is repeated until it is acknowledged; neither data nor
// KeyUpdate of the peer is an acknowledgement (RFC 9147 5.8.1).
func TestRetransmitFinishedUntilACK(t *testing.T) {
	client, server := with()
	s := traced(t, client, server)
	if err := s.run(s.client.Open); err != nil {
		t.Fatal(err)
	}
	finished, began := s.now, len(s.client.events)
	for i, e := range s.client.events {
		if e.Message == protocol.ClientHello {
			began = i + 1
		}
	}
	s.client.events = s.client.events[began:]
	s.fate = losing(s.server.lost)
	if err := s.run(s.server.Open); err != nil {
		t.Fatal(err)
	}
	s.client.receive(s.server.seal("data"))
	s.server.KeyUpdate(UpdateNotRequested, s.now)
	buf := make([]byte, 100)
	s.client.receive(buf[:s.server.Transmit(buf)])
	s.client.expectTimeout(finished)
}

func TestInitialTimeout(t *testing.T) {
	client, server := with(func(client, _ *Config) { client.InitialTimeout = 250 * time.Millisecond })
	s := traced(t, client, server, fated(losing(func(*parcel) bool { return true })))
	s.advance(5 * time.Second)
	if got, want := s.client.passes(), []int{0, 250, 750, 1750, 3750}; !slices.Equal(got, want) {
		t.Errorf("sent at %v ms, want %v", got, want)
	}
}

// Expire before the deadline changes nothing.
func TestExpireEarly(t *testing.T) {
	client, server := with()
	s := simulate(t, 0, client, server, fated(losing(func(*parcel) bool { return true })))
	deadline := s.client.Deadline()
	for range 38 {
		s.now = s.now.Add(10 * time.Millisecond)
		s.client.did(s.client.Expire(s.now))
		if s.client.Deadline() != deadline || len(s.sent) != 1 {
			t.Fatalf("after %v: deadline %v, %d datagrams", s.now.Sub(epochOfSimulation), s.client.Deadline(), len(s.sent))
		}
	}
	s.now = deadline
	s.client.did(s.client.Expire(s.now))
	if len(s.sent) != 2 {
		t.Error("nothing is sent again at the deadline")
	}
}

// --- What is sent again

// A reach is a range of bytes of a message.
type reach struct{ seq, from, to int }

func (r reach) String() string { return fmt.Sprintf("%d[%d:%d]", r.seq, r.from, r.to) }

// reaches are the fragments of the events of one direction, since a time.
func (d *side) reaches(direction handshake.Direction, since time.Time) (all []reach) {
	for _, e := range d.events {
		if e.Kind == handshake.EventMessage && e.Direction == direction && !e.Time.Before(since) {
			all = append(all, reach{int(e.Seq), e.Offset, e.Offset + e.Size})
		}
	}
	return all
}

// bytesOf is the set of message bytes in some reaches.
func bytesOf(all []reach) map[[2]int]int {
	set := map[[2]int]int{}
	for _, r := range all {
		for at := r.from; at < r.to; at++ {
			set[[2]int{r.seq, at}]++
		}
	}
	return set
}

// For every subset of the datagrams of a server's flight, the client ACKs what
// came after a quarter of the timeout, and the server repeats exactly the rest.
func TestRetransmitExactlyWhatIsMissing(t *testing.T) {
	client, server := with(clientAuth, mtu(300))
	whole := traced(t, client, server)
	whole.settle()
	var flight []int // the datagrams of the server's flight
	for _, p := range whole.sent {
		if p.from == whole.server && len(flight) < 10 && p.index < len(whole.sent)-1 {
			flight = append(flight, p.index)
		}
	}
	for mask := 1; mask < 1<<len(flight)-1; mask++ {
		s := traced(t, client, server, fated(losing(func(p *parcel) bool {
			i := slices.Index(flight, p.index)
			return i >= 0 && mask>>i&1 != 0
		})))
		if err := s.run(func() bool { return len(s.sent) > flight[len(flight)-1] }); err != nil {
			t.Fatal(err)
		}
		first := s.server.reaches(handshake.Sent, epochOfSimulation)
		began := s.now
		s.advance(399 * time.Millisecond)
		acks := s.client.acks()
		if mask&1 != 0 { // without ServerHello, nothing can be read
			if len(acks) > 0 {
				t.Fatalf("mask %b: an ACK before ServerHello", mask)
			}
			continue
		}
		if len(acks) != 1 || len(acks[0]) == 0 {
			t.Fatalf("mask %b: ACKs %v, want one", mask, acks)
		}
		for _, p := range s.sent {
			if p.from == s.client && p.index > flight[len(flight)-1] && p.left != began.Add(latency+100*time.Millisecond) {
				t.Fatalf("mask %b: an ACK after %v", mask, p.left.Sub(began))
			}
		}
		have := bytesOf(s.client.reaches(handshake.Received, epochOfSimulation))
		s.advance(5 * time.Millisecond)
		again := s.server.reaches(handshake.Sent, began.Add(time.Millisecond))
		if len(again) == 0 {
			t.Fatalf("mask %b: nothing is sent again", mask)
		}
		for at, n := range bytesOf(again) {
			if have[at] != 0 || n != 1 {
				t.Fatalf("mask %b: byte %d of message %d is sent %d times again, though the client has it %d times", mask, at[1], at[0], n, have[at])
			}
			have[at] = 1
		}
		if got, want := len(have), len(bytesOf(first)); got != want {
			t.Fatalf("mask %b: the client has %d bytes then, want %d", mask, got, want)
		}
		s.settle()
		s.exchange()
	}
}

// In 1.2 the last flight is repeated once for every repetition of the peer's
// last flight, however many fragments that has.
func TestLastFlightOf12(t *testing.T) {
	client, server := with(only12, clientAuth, mtu(handshake.MinMTU))
	s := traced(t, client, server)
	s.fate = losing(func(p *parcel) bool { return p.from == s.server && s.server.Open() })
	if err := s.run(s.server.Open); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(8) {
		if got := s.server.Stats().Retransmits; got != n {
			t.Fatalf("%d retransmits by the server after %d by the client", got, n)
		}
		before := s.client.Stats().Retransmits
		if err := s.run(func() bool { return s.client.Stats().Retransmits > before && len(s.air) == 0 }); err != nil {
			t.Fatal(err)
		}
		if last := s.sent[len(s.sent)-1]; last.from != s.server {
			t.Fatal("the server does not answer")
		}
	}
	if !s.server.Deadline().IsZero() {
		t.Error("the server's timer runs")
	}
	s.fate = prompt
	s.settle()
	s.exchange()
	// The client is done, and a copy of the server's Finished asks for nothing.
	sent := len(s.sent)
	s.server.repeat()
	s.server.transmit()
	s.settle()
	if len(s.sent) != sent+1 {
		t.Errorf("the client answers a repeated Finished with %d datagrams", len(s.sent)-sent-1)
	}
}

// Once the server's flight has begun, in 1.3, the client's hello is not
// repeated.
func TestServerHelloAcknowledges(t *testing.T) {
	client, server := with(mtu(300))
	s := traced(t, client, server)
	s.step()
	serverHello := s.air[0]
	s.air = nil
	s.fate = losing(func(*parcel) bool { return true })
	s.advance(latency)
	s.client.receive(serverHello.data)
	s.advance(time.Minute)
	if got := s.client.passes(); len(got) != 1 {
		t.Errorf("ClientHello goes out at %v ms", got)
	}
}

// However many fragments and copies a repeated Finished has.
func TestLastFlightOf12Fragmented(t *testing.T) {
	client, server := with(only12)
	s := simulate(t, 0, client, server)
	if err := s.run(s.server.Open); err != nil {
		t.Fatal(err)
	}
	s.fate = losing(func(*parcel) bool { return true })
	flight := &s.client.flight
	flight.Rewind()
	var finished retransmit.Part
	for part, ok := flight.Next(1 << 14); ok; part, ok = flight.Next(1 << 14) {
		finished = part
	}
	seq, body := binary.BigEndian.Uint16(finished.Message[4:]), finished.Message[fragment.HeaderSize:]
	for n := range uint64(5) {
		for at := 0; at < len(body); at += 2 {
			s.server.receive(s.client.record(1, protocol.Handshake, piece(protocol.Finished, seq, len(body), at, body[at:at+2])))
		}
		if got := s.server.Stats().Retransmits; got != n+1 {
			t.Errorf("the server repeats its flight %d times for %d times Finished", got, n+1)
		}
	}
}

// A server that has a part of the hello does not know the version, and so
// doesn't acknowledge it.
func TestNoACKBeforeVersion(t *testing.T) {
	client, server := with(hybrid, mtu(handshake.MinMTU))
	s := traced(t, client, server, fated(losing(func(p *parcel) bool { return p.index != 1 })))
	s.advance(10 * time.Second)
	for _, p := range s.sent {
		if p.from == s.server {
			t.Fatal("the server sent something")
		}
	}
}

// A server that has answered waits for what comes of that: a repeated hello is
// not acknowledged.
func TestRepeatedHelloIsNotAcknowledged(t *testing.T) {
	client, server := with()
	s := traced(t, client, server)
	s.fate = losing(s.server.lost)
	s.advance(5 * time.Second)
	if len(s.server.acks()) != 0 || s.server.Stats().Retransmits != 3 || s.client.Stats().Retransmits != 3 {
		t.Errorf("ACKs %v, retransmits %d and %d", s.server.acks(), s.server.Stats().Retransmits, s.client.Stats().Retransmits)
	}
}

// --- The rules of ACK

// On a perfect link there is one ACK, for the client's last flight and for
// nothing else; and one for each KeyUpdate.
func TestACKOfWhat(t *testing.T) {
	client, server := with(clientAuth, mtu(handshake.MinMTU))
	s := traced(t, client, server)
	s.settle()
	s.client.update(UpdateNotRequested)
	s.settle()
	acks := s.server.acks()
	if len(acks) != 2 || len(s.client.acks()) != 0 {
		t.Fatalf("server's ACKs %v, client's %v", acks, s.client.acks())
	}
	flight := 0
	for _, p := range s.sent {
		if p.from == s.client && isUnified(p.data[0]) {
			flight++ // a datagram each has one record of
		}
	}
	for i, n := range acks[0] {
		if n != (protocol.RecordNumber{Epoch: 2, Sequence: uint64(i)}) {
			t.Errorf("the first ACK has %v", acks[0])
		}
	}
	if len(acks[0]) != flight-1 || len(acks[1]) != 1 || acks[1][0].Epoch != 3 {
		t.Errorf("ACKs %v, the flight has %d datagrams", acks, flight-1)
	}
}

// A record with anything that was discarded is not acknowledged.
func TestACKNotOfDiscarded(t *testing.T) {
	client, server := with()
	s := traced(t, client, server)
	s.settle()
	before := len(s.server.acks())
	next := s.server.assembler.Next()
	tooFar := keyUpdateMessage(next + fragment.Ahead)
	for _, payload := range [][]byte{tooFar, append(tooFar, keyUpdateMessage(next+1)...), append(keyUpdateMessage(next+2), tooFar...)} {
		s.server.receive(s.client.record(3, protocol.Handshake, payload))
	}
	s.advance(time.Second)
	if got := len(s.server.acks()) - before; got != 0 || s.server.Stats().Dropped.TooFar != 3 {
		t.Errorf("%d ACKs, %d dropped", got, s.server.Stats().Dropped.TooFar)
	}
}

// ack is what an ACK of these records holds.
func ack(numbers ...protocol.RecordNumber) []byte {
	var r retransmit.Received
	for _, n := range numbers {
		r.Add(n)
	}
	return r.Append(nil)
}

// record makes a record of d's, in one of its epochs.
func (d *side) record(epoch uint64, kind protocol.ContentType, payload []byte) []byte {
	w := d.epochs[epoch]
	if w == nil {
		d.s.t.Fatalf("%s: no epoch %d", d.name, epoch)
	}
	buf := make([]byte, len(payload)+100)
	n, err := w.finish(buf[:copy(w.payload(buf), payload)+w.overhead()], kind, len(payload))
	if err != nil {
		d.s.t.Fatal(err)
	}
	return buf[:n]
}

func TestACKIsRefused(t *testing.T) {
	number := func(epoch, sequence uint64) protocol.RecordNumber {
		return protocol.RecordNumber{Epoch: epoch, Sequence: sequence}
	}
	for _, c := range []struct {
		name   string
		change func(client, server *Config)
		body   []byte
		want   alert.Alert
	}{
		{"in 1.2", only12, ack(number(1, 0)), alert.UnexpectedMessage},
		{"of epoch 2^63", together(), ack(number(1<<63, 0)), alert.DecodeError},
		{"of epoch 2^48", together(), ack(number(1<<48, 0)), alert.DecodeError},
		{"that is empty", together(), nil, alert.DecodeError},
		{"with half a number", together(), []byte{0, 8, 1, 2, 3, 4, 5, 6, 7, 8}, alert.DecodeError},
		{"with more than it says", together(), append(ack(number(3, 0)), 0), alert.DecodeError},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			s := established(t, client, server)
			s.server.receive(s.client.record(s.client.newest().number, protocol.ACK, c.body))
			expectAlert(t, s.server.err, c.want)
			s.advance(time.Second)
			if s.client.err == nil {
				t.Error("the client does not learn of it")
			}
		})
	}
}

func TestACKIsIgnored(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	s.fate = losing(s.server.lost)
	s.server.KeyUpdate(UpdateNotRequested, s.now)
	s.server.transmit()
	for name, body := range map[string][]byte{
		"no numbers":         {0, 0},
		"never sent":         ack(protocol.RecordNumber{Epoch: 3, Sequence: 999}),
		"of a flight before": ack(protocol.RecordNumber{Epoch: 0, Sequence: 0}, protocol.RecordNumber{Epoch: 2, Sequence: 0}),
		"of data":            ack(protocol.RecordNumber{Epoch: 3, Sequence: 0}),
	} {
		s.server.receive(s.client.record(3, protocol.ACK, body))
		if s.server.err != nil || s.server.flight.Done() || s.server.newest().number != 3 {
			t.Fatalf("%s: it counts (%v)", name, s.server.err)
		}
	}
	s.fate = prompt
	s.settle()
	s.exchange()
}

// An ACK that a server sends to a hello may come before the client knows that
// it talks 1.3 (RFC 9147 7.1).
func TestACKBeforeVersion(t *testing.T) {
	client, server := with()
	s := simulate(t, 0, client, server)
	s.client.receive(forged12(protocol.ACK, 0, 0, ack(protocol.RecordNumber{})))
	if s.client.Deadline().IsZero() {
		t.Error("the client has stopped its timer")
	}
	s.settle()
	s.exchange()
}

// An unprotected ACK counts for unprotected records, until keys are in use.
func TestACKInPlaintext(t *testing.T) {
	client, server := with(retry)
	s := traced(t, client, server)
	for range 2 { // ClientHello, HelloRetryRequest
		s.step()
	}
	hello := s.sent[len(s.sent)-1] // the second one
	s.air = nil
	h, _, _ := parseHeader12(hello.data)
	s.client.receive(forged12(protocol.ACK, 0, 1, ack(h.number)))
	if !s.client.Deadline().IsZero() {
		t.Error("the second ClientHello is acknowledged, and still repeated")
	}
	s.server.receive(hello.data)
	s.client.receive(forged12(protocol.ACK, 0, 2, ack(protocol.RecordNumber{Epoch: 2})))
	expectAlert(t, s.client.err, alert.DecodeError)
}

// --- Old epochs

// The server acknowledges a repeated Finished for four minutes, whatever came
// in between (RFC 9147 5.8.1).
func TestFinishedIsAcknowledgedAgain(t *testing.T) {
	client, server := with(clientAuth)
	s := traced(t, client, server)
	s.fate = losing(func(p *parcel) bool { return p.from == s.server && s.server.Open() })
	if err := s.run(s.server.Open); err != nil {
		t.Fatal(err)
	}
	opened := s.now
	s.server.receive(s.client.seal("data"))
	answered := func() bool {
		s.client.repeat()
		sent := len(s.sent)
		s.client.transmit()
		s.advance(2 * latency)
		return s.sent[len(s.sent)-1].from == s.server && len(s.sent) > sent+1
	}
	s.advance(time.Minute)
	if !answered() {
		t.Error("after a minute there is no ACK any more")
	}
	s.advance(opened.Add(lifetime - time.Second).Sub(s.now))
	if !answered() {
		t.Error("just before four minutes there is no ACK any more")
	}
	s.advance(time.Second)
	before := s.server.Stats().Dropped.Epoch
	if answered() || s.server.Stats().Dropped.Epoch == before {
		t.Error("after four minutes the epoch can still be read")
	}
	if s.client.err != nil || s.server.err != nil {
		t.Fatal(s.client.err, s.server.err)
	}
}

// --- Packing

// The datagrams of a flight are full but for the last, and never too large.
func TestPacking(t *testing.T) {
	for _, c := range settings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for size := handshake.MinMTU; size <= 1500; size += 1 + size/100 {
				client, server := with(c.change, mtu(size))
				s := traced(t, client, server)
				s.settle()
				for i, p := range s.sent {
					if len(p.data) > size {
						t.Fatalf("MTU %d: a datagram of %d bytes", size, len(p.data))
					}
					if splitsFinished(p.data) {
						t.Errorf("MTU %d: ChangeCipherSpec has no whole Finished behind it", size)
					}
					if i+1 == len(s.sent) || s.sent[i+1].from != p.from {
						continue // the last of its flight
					}
					if room := size - len(p.data); room >= leastRecord(s.sent[i+1].data) {
						t.Errorf("MTU %d: %d bytes are left in datagram %d, and the next record would have taken %d", size, room, i, leastRecord(s.sent[i+1].data))
					}
				}
			}
		})
	}
}

// splitsFinished reports whether ChangeCipherSpec and Finished of 1.2 were not
// kept together.
func splitsFinished(datagram []byte) bool {
	for len(datagram) > 0 && !isUnified(datagram[0]) {
		h, rest, _ := parseHeader12(datagram)
		next, _, _ := parseHeader12(rest)
		if h.kind == protocol.ChangeCipherSpec {
			return next.number.Epoch != 1 || len(next.body) < fragment.HeaderSize+12+16
		}
		datagram = rest
	}
	return false
}

// leastRecord is the size of the smallest record that could have carried the
// beginning of a datagram's first: a header and one byte, or all of Finished
// with the ChangeCipherSpec before it.
func leastRecord(next []byte) int {
	const fragmentHeader = 12
	switch {
	case isUnified(next[0]):
		return headerSize13 + fragmentHeader + 1 + 1 + 16
	case next[0] == byte(protocol.ChangeCipherSpec):
		return len(next)
	}
	return headerSize12 + fragmentHeader + 1
}

// What is sent again is cut for the MTU of the day.
func TestPackingAfterSetMTU(t *testing.T) {
	client, server := with(clientAuth, mtu(1400))
	s := traced(t, client, server)
	s.step() // the server has answered
	for _, size := range []int{297, 298, 299, 300, 301, 302, 303, 228} {
		s.air = nil
		sent := len(s.sent)
		if err := s.server.SetMTU(size); err != nil {
			t.Fatal(err)
		}
		s.now = s.server.Deadline()
		s.server.did(s.server.Expire(s.now))
		for i, p := range s.sent[sent:] {
			if len(p.data) > size {
				t.Errorf("MTU %d: a datagram of %d bytes", size, len(p.data))
			}
			if i += sent + 1; i < len(s.sent) && size-len(p.data) >= leastRecord(s.sent[i].data) {
				t.Errorf("MTU %d: a datagram of %d bytes is not full", size, len(p.data))
			}
		}
	}
	if s.server.SetMTU(227) == nil {
		t.Error("an MTU of 227 is taken")
	}
	s.settle()
	s.exchange()
}

// The default MTU is lowered after every second timeout; one that was set stays.
func TestMTUIsLowered(t *testing.T) {
	for _, set := range []int{0, 1200} {
		client, server := with(mtu(set), hybrid)
		s := simulate(t, 0, client, server, fated(losing(func(*parcel) bool { return true })))
		s.advance(time.Minute)
		largest := 0
		for _, p := range s.sent[len(s.sent)-5:] {
			largest = max(largest, len(p.data))
		}
		if want := map[int]int{0: handshake.MinMTU, 1200: 1200}[set]; largest != want {
			t.Errorf("MTU %d: after a minute it sends %d bytes, want %d", set, largest, want)
		}
	}
}
