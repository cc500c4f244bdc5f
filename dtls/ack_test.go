package dtls

import (
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// --- The rules of ACK

// On a perfect link there is one ACK, at once, for the client's last flight and
// for nothing else; and one for each KeyUpdate, after a quarter of the timeout.
// It names again what the one before it named, which may be lost.
//
// RFC 9147 7 [3], 7.1 [3, 4]
func TestACKOfWhat(t *testing.T) {
	client, server := with(clientAuth, mtu(handshake.MinMTU))
	s := traced(t, client, server)
	s.settle()
	began := s.now
	s.client.update(UpdateNotRequested)
	s.settle()
	if took := s.now.Sub(began); took != 100*time.Millisecond+2*latency {
		t.Errorf("a KeyUpdate is acknowledged after %v", took)
	}
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
	if len(acks[0]) != flight-1 || len(acks[1]) != flight || acks[1][flight-1].Epoch != 3 {
		t.Errorf("ACKs %v, the flight has %d datagrams", acks, flight-1)
	}
}

// ACKs grow, as each names what those before it named. Where they become too
// large for the path, which says nothing, they are cut.
//
// RFC 9147 7.1 [6]
func TestACKOnSmallPath(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	for range 30 {
		s.server.update(UpdateNotRequested)
		s.settle()
	}
	s.fate = losing(func(p *parcel) bool { return len(p.data) > handshake.MinMTU })
	s.server.update(UpdateNotRequested)
	s.settle()
	s.expectEpochs(3, 34)
	if got := s.server.Stats().Retransmits; got > 4 {
		t.Errorf("%d retransmits", got)
	}
}

// A record with anything that was discarded is not acknowledged.
//
// RFC 9147 7 [1]
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

// After the handshake an ACK goes under the newest keys, and names no record of
// anything but handshake messages (RFC 9147 7, 7.1).
//
// RFC 9147 7 [6], 7.1 [7]
func TestACKUnderNewestKeys(t *testing.T) {
	client, server := with()
	s := traced(t, client, server)
	s.settle()
	s.server.update(UpdateNotRequested)
	s.settle()
	s.exchange()
	s.server.events = nil
	s.client.update(UpdateNotRequested)
	s.settle()
	acks := s.server.acks()
	if len(acks) != 1 {
		t.Fatalf("ACKs %v", acks)
	}
	for _, e := range s.server.events {
		if e.Kind == handshake.EventRecord && e.Direction == handshake.Sent && e.Content == protocol.ACK && e.Number.Epoch != 4 {
			t.Errorf("the ACK is %v", e.Number)
		}
	}
	wrote := map[protocol.RecordNumber]bool{}
	for _, e := range s.client.events {
		if e.Kind == handshake.EventRecord && e.Direction == handshake.Sent && e.Content == protocol.Handshake {
			wrote[e.Number] = true
		}
	}
	for _, n := range acks[0] {
		if !wrote[n] {
			t.Errorf("%v is acknowledged, and no handshake record", n)
		}
	}
}

// record makes a record of d's, in one of its epochs.
func (d *side) record(epoch uint64, kind protocol.ContentType, payload []byte) []byte {
	w := d.epochs[epoch]
	if w == nil {
		d.s.t.Fatalf("%s: no epoch %d", d.name, epoch)
	}
	buf := make([]byte, len(payload)+maxOverhead)
	n, err := w.finish(buf, w.form(), kind, payload, 0)
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
//
// RFC 9147 4.1 [1]
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
//
// RFC 9147 5.8.1 [2], 6.1 [1]
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
		s.advance(100*time.Millisecond + 2*latency)
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
