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

// RFC 9147 5.8.2 [1, 2]
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
//
// RFC 9147 7.2 [3]
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
//
// RFC 9147 5.8.1 [1], 7.1 [1, 2]
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

// An ACK that brings news says that the peer is there: what is missing then goes out
// after the first timeout, however often the timer has doubled. One without news says
// nothing.
//
// RFC 9147 7.2 [2]
func TestACKEndsDoubling(t *testing.T) {
	client, server := with(mtu(300))
	s := traced(t, client, server)
	var flight, passes int
	s.fate = losing(func(p *parcel) bool {
		if p.from != s.server {
			return false
		}
		if now := int(p.left.Sub(epochOfSimulation).Milliseconds()); now > passes {
			passes, flight = now, 0
		}
		flight++
		return passes < 1000 || flight == 2 // nothing arrives, then all but one, and then that
	})
	s.advance(2500 * time.Millisecond)
	var acks int
	for _, e := range s.server.events {
		if e.Kind == handshake.EventACK && e.Direction == handshake.Received {
			acks++
		}
	}
	if got, want := s.server.passes(), []int{0, 400, 1200, 1600}; acks == 0 || !slices.Equal(got, want) || !s.open() {
		t.Errorf("%d ACKs; the server sent at %v ms, want %v, and then both sides to be open", acks, got, want)
	}
}

// In 1.2 the last flight is repeated once for every repetition of the peer's
// last flight, however many fragments that has.
//
// RFC 6347 4.2.4 [1]
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
	// The client is done, and a copy of the server's Finished asks for nothing.
	sent := len(s.sent)
	s.server.repeat()
	s.server.transmit()
	s.settle()
	if len(s.sent) != sent+1 {
		t.Errorf("the client answers a repeated Finished with %d datagrams", len(s.sent)-sent-1)
	}
	s.exchange()
}

// Once the server's flight has begun, in 1.3, the client's hello is not
// repeated.
//
// RFC 9147 7.2 [5]
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

// What the peer repeats is acknowledged after a quarter of the timeout, beside
// the timer of our own flight: the two may run, and expire, at once.
func TestRepeatedIsAcknowledged(t *testing.T) {
	client, server := with(retry)
	s := traced(t, client, server)
	for range 2 { // ClientHello, HelloRetryRequest
		s.step()
	}
	s.fate = losing(func(*parcel) bool { return true })
	s.air = nil
	began := s.now
	repeated := func() {
		s.server.repeat()
		buf := make([]byte, 1500)
		s.client.receive(buf[:s.server.Transmit(buf)])
	}
	expectDue := func(after time.Duration) {
		t.Helper()
		if due := s.client.Deadline(); due != began.Add(after) {
			t.Errorf("a timer expires at %v, want %v", due.Sub(began), after)
		}
	}
	expectDue(400 * time.Millisecond)
	repeated()
	expectDue(100 * time.Millisecond)
	s.advance(100 * time.Millisecond)
	expectDue(400 * time.Millisecond)
	s.advance(300 * time.Millisecond)
	expectDue(1200 * time.Millisecond)
	repeated()
	expectDue(600 * time.Millisecond)
	s.now = began.Add(1200 * time.Millisecond)
	s.client.did(s.client.Expire(s.now))
	if acks := s.client.acks(); len(acks) != 2 || len(acks[1]) != 2 || s.client.Stats().Retransmits != 2 {
		t.Errorf("ACKs %v, %d retransmits", acks, s.client.Stats().Retransmits)
	}
	s.now = began.Add(2800 * time.Millisecond)
	s.client.did(s.client.Expire(s.now))
	repeated()
	expectDue(3050 * time.Millisecond) // our own losses delay no ACK for longer than a quarter of a second
}

// A ServerHello alone tells the client the version too late to be acknowledged:
// its hello goes out again until more of the flight is here. Then all that came
// is named, under the keys of the handshake.
//
// RFC 9147 7 [4]
func TestServerHelloAlone(t *testing.T) {
	client, server := with(mtu(handshake.MinMTU))
	s := traced(t, client, server)
	s.step()
	flight := s.air
	s.air, s.fate = nil, losing(func(*parcel) bool { return true })
	header, rest, ok := parseHeader12(flight[0].data)
	if !ok || header.kind != protocol.Handshake {
		t.Fatal("the flight does not begin with a ServerHello")
	}
	whole, body, _, err := fragment.Parse(header.body)
	if err != nil {
		t.Fatal(err)
	}
	began := s.now
	for _, from := range []int{0, len(body) / 2} {
		part := body[from:min(from+len(body)/2+1, len(body))]
		s.client.receive(forged12(protocol.Handshake, 0, uint64(from), piece(protocol.ServerHello, 0, whole.Length, from, part)))
		if s.client.Deadline().Before(began.Add(380 * time.Millisecond)) {
			t.Fatalf("a timer runs out after %v", s.client.Deadline().Sub(began))
		}
	}
	s.advance(time.Second)
	if s.client.Stats().Retransmits != 1 || len(s.client.acks()) != 0 {
		t.Fatalf("%d retransmits, ACKs %v", s.client.Stats().Retransmits, s.client.acks())
	}
	s.client.receive(rest)
	s.client.receive(flight[1].data)
	s.advance(time.Second)
	if acks := s.client.acks(); len(acks) != 1 || acks[0][0].Epoch != 0 || acks[0][len(acks[0])-1].Epoch != 2 {
		t.Errorf("ACKs %v", acks)
	}
	if !s.client.Deadline().IsZero() || s.client.Stats().Retransmits != 1 {
		t.Error("the hello goes on")
	}
}

// SetInitialTimeout moves the timers that run, and keeps the doublings.
//
// RFC 9147 5.8.2 [3]
func TestSetInitialTimeout(t *testing.T) {
	client, server := with(retry)
	s := simulate(t, 0, client, server, fated(losing(func(*parcel) bool { return true })))
	began := epochOfSimulation
	set := func(ms int, after time.Duration) {
		t.Helper()
		if err := s.client.SetInitialTimeout(time.Duration(ms) * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if due := s.client.Deadline(); due != began.Add(after) {
			t.Errorf("a timer expires at %v, want %v", due.Sub(began), after)
		}
	}
	set(200, 200*time.Millisecond)
	set(800, 800*time.Millisecond)
	s.advance(800 * time.Millisecond)
	began = s.now
	set(400, 800*time.Millisecond) // doubled
	s.now = began.Add(600 * time.Millisecond)
	set(250, 500*time.Millisecond) // has passed
	s.client.did(s.client.Expire(s.now))
	if got := s.client.Stats().Retransmits; got != 2 {
		t.Errorf("%d retransmits, want 2", got)
	}
	if s.client.SetInitialTimeout(0) == nil || s.client.SetInitialTimeout(-1) == nil {
		t.Error("no time at all is taken")
	}
	// The ACK's timer is a quarter of it.
	s = simulate(t, 0, client, server)
	for range 2 {
		s.step()
	}
	s.server.repeat()
	buf := make([]byte, 1500)
	s.client.receive(buf[:s.server.Transmit(buf)])
	began = s.now
	set(200, 50*time.Millisecond)
	set(800, 200*time.Millisecond)
}
