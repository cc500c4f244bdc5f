package dtls

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// What flights, fragments, ACKs and ChangeCipherSpec did to other stacks.
// docs/pitfalls.md has them all.

// expectHeap checks that f leaves at most so many bytes alive that an Engine holds.
func expectHeap(t *testing.T, e *Engine, most int, f func()) {
	t.Helper()
	before, _ := heapInUse()
	f()
	after, _ := heapInUse()
	if grown := int64(after) - int64(before); grown > int64(most) {
		t.Errorf("the heap grew by %d bytes, want at most %d", grown, most)
	}
	runtime.KeepAlive(e)
}

// One datagram with sixteen messages that claim to be as long as they can be, and
// bring a byte each, costs what it brought (CVE-2026-59646, CVE-2026-63566).
func TestPitfallClaimedLengthsInOneDatagram(t *testing.T) {
	if !Alone(t) {
		return
	}
	for _, claimed := range []int{handshake.DefaultMaxCertificateList, 1<<24 - 1} {
		_, server := with()
		e, err := NewServerEngine(server)
		if err != nil {
			t.Fatal(err)
		}
		var payload []byte
		for seq := range uint16(16) {
			payload = append(payload, piece(protocol.ClientHello, seq, claimed, 0, []byte{1})...)
		}
		datagram := forged12(protocol.Handshake, 0, 0, payload)
		expectHeap(t, e, 32<<10, func() {
			for range 10 {
				e.Receive(bytes.Clone(datagram), epochOfSimulation)
			}
		})
	}
}

// Fragments without a byte cost no more than their headers, and end
// (CVE-2022-29190).
func TestPitfallZeroLengthFragments(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := traced(t, client, server)
		var payload []byte
		const many = 100
		for n := range many {
			payload = append(payload, piece(protocol.ClientHello, 0, 300, n, nil)...)
		}
		work := 0
		s.server.config.Trace = func(e Event) {
			if work++; work > 5*many {
				t.Fatalf("%d events for %d fragments", work, many)
			}
		}
		if s.server.receive(forged12(protocol.Handshake, 0, 9, payload)); work < many || s.server.assembler.Pending() {
			t.Errorf("%d events for %d fragments: the test tests nothing", work, many)
		}
		s.server.config.Trace = nil
		s.settle()
		s.exchange()
	})
}

// Records of epochs that are to come, records again and again, and messages far
// ahead are not kept (CVE-2009-1377, CVE-2009-1378, CVE-2014-3507, CVE-2015-0206,
// CVE-2016-2179).
func TestPitfallFutureRecords(t *testing.T) {
	if !Alone(t) {
		return
	}
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, clientAuth)
		s := simulate(t, 0, client, server, slow(time.Second))
		for stage, until := range []func() bool{
			func() bool { return true },
			func() bool { return s.client.work != nil },
			func() bool { return len(s.server.held) > 0 || s.client.Open() }, // it verifies the client
			s.quiet,
		} {
			if err := s.run(until); err != nil {
				t.Fatal(stage, err)
			}
			for _, d := range s.sides() {
				flood := d.futureRecords()
				expectHeap(t, d.Engine, 8<<10, func() {
					for range 50 {
						for _, b := range flood {
							d.Receive(bytes.Clone(b), s.now)
						}
					}
				})
				if len(d.held) > maxHeld {
					t.Errorf("%s: %d bytes are held", d.name, len(d.held))
				}
			}
		}
		s.exchange()
	})
}

// futureRecords are records whose time is not now.
func (d *side) futureRecords() (all [][]byte) {
	noise := bytes.Repeat([]byte{0xa5}, 200)
	for epoch := range uint64(20) {
		for n := range uint64(5) {
			all = append(all, forged12(protocol.ApplicationData, epoch+1, n, noise))
			all = append(all, append(form13(byte(epoch&3)|bitNumber16|bitLength, uint16(n), len(noise)), noise...))
		}
	}
	for _, p := range d.s.sent {
		if p.from == d.peer && p.left.Add(latency).Before(d.s.now) {
			all = append(all, p.data) // again
		}
	}
	if !d.authenticated && d.readLevel() == 0 {
		for seq := range uint16(100) {
			all = append(all, forged12(protocol.Handshake, 0, uint64(seq), whole(protocol.Certificate, seq+fragment.Ahead+20, noise)))
		}
	}
	return all
}

// A flight that is sent again begins at its first byte, wherever the last pass over
// it was interrupted and however large datagrams are then: it shares no cursor with
// what was under way, and no byte of it differs (CVE-2026-84782).
func TestPitfallResendSharesNoCursor(t *testing.T) {
	client, server := with(hybrid, mtu(300))
	for before := range 8 { // datagrams that are out when the timer fires
		for _, size := range []int{228, 300, 1200} {
			s := simulate(t, 0, client, server, fated(losing(func(*parcel) bool { return true })))
			d := s.client
			d.repeat()
			buf := make([]byte, 1200)
			for range before {
				d.Transmit(buf)
			}
			if err := d.SetMTU(size); err != nil {
				t.Fatal(err)
			}
			if err := d.Expire(d.Deadline()); err != nil {
				t.Fatal(err)
			}
			want := s.joined(s.sent)
			s.sent = nil
			d.transmit()
			if got := s.joined(s.sent); !bytes.Equal(got, want) {
				t.Fatalf("%d datagrams, then MTU %d: %d bytes are sent again, %d were, or others", before, size, len(got), len(want))
			}
		}
	}
}

// joined is the message whose fragments, in plaintext, fill datagrams in order.
func (s *simulation) joined(parcels []*parcel) (body []byte) {
	s.t.Helper()
	for _, p := range parcels {
		r, rest, ok := parseHeader12(p.data)
		h, part, more, err := fragment.Parse(r.body)
		if !ok || err != nil || len(rest)+len(more) > 0 {
			s.t.Fatalf("% x is no fragment", p.data)
		}
		if h.Offset != len(body) || h.Length < len(body)+len(part) {
			s.t.Fatalf("a fragment of %d bytes at %d of %d, behind %d", h.Size, h.Offset, h.Length, len(body))
		}
		body = append(body, part...)
	}
	return body
}

// Any of the ACKs may get lost, with tickets or without, and while keys are updated:
// the old epoch is there until it isn't needed (openssl#32878, #32891).
func TestPitfallLostACKs(t *testing.T) {
	for _, tickets := range []bool{false, true} {
		for mask := range 32 {
			client, server := with(clientAuth)
			client.ClientSessionCache = NewLRUClientSessionCache(4)
			server.SessionTicketsDisabled = !tickets
			acks := 0
			s := traced(t, client, server, fated(losing(func(p *parcel) bool {
				if !p.from.justAcknowledged() {
					return false
				}
				acks++
				return mask>>(acks-1)&1 != 0
			})))
			if err := s.run(s.open); err != nil {
				t.Fatal(err)
			}
			s.server.update(UpdateNotRequested)
			s.client.update(UpdateNotRequested)
			if err := s.run(s.quiet); err != nil {
				t.Fatalf("tickets %v, ACKs %05b: %v", tickets, mask, err)
			}
			s.expectEpochs(4, 4)
			s.exchange()
			if acks < 3 {
				t.Errorf("%d ACKs: the test tests nothing", acks)
			}
		}
	}
}

// justAcknowledged reports whether the last datagram of a traced side has an ACK.
func (d *side) justAcknowledged() bool {
	for _, e := range slices.Backward(d.events[:len(d.events)-1]) {
		switch {
		case e.Kind == handshake.EventDatagram:
			return false
		case e.Kind == handshake.EventACK && e.Direction == handshake.Sent:
			return true
		}
	}
	return false
}

// An ACK of any numbers, as many as a record has room for, of any epochs, doubled and
// overlapping, costs nothing and confirms nothing that wasn't sent (CVE-2026-5264).
func TestPitfallACKs(t *testing.T) {
	if !Alone(t) {
		return
	}
	client, server := with(mtu(300))
	s := established(t, client, server)
	s.fate = losing(func(*parcel) bool { return true })
	s.server.update(UpdateNotRequested)
	random := rand.New(rand.NewPCG(1, 1))
	lists := [][]protocol.RecordNumber{nil}
	for n := 1; n <= 1023; n *= 3 {
		var list []protocol.RecordNumber
		for range n {
			list = append(list, protocol.RecordNumber{Epoch: random.Uint64N(5), Sequence: 2 + random.Uint64()>>random.IntN(64)})
		}
		lists = append(lists, list, append(slices.Clone(list), list...)[:min(2*n, 1023)])
	}
	own := s.server.writes[len(s.server.writes)-1].next - 1 // of the KeyUpdate
	expectHeap(t, s.server.Engine, 8<<10, func() {
		for _, list := range lists {
			list = slices.DeleteFunc(list, func(n protocol.RecordNumber) bool { return n.Epoch == 3 && n.Sequence == own })
			var body []byte
			body = append(body, byte(16*len(list)>>8), byte(16*len(list)))
			for _, n := range list {
				body = fmt.Append(body, string(number16(n)))
			}
			s.server.receive(s.client.record(3, protocol.ACK, body))
			if s.server.err != nil || s.server.flight.Done() {
				t.Fatalf("%d numbers: done %v, %v", len(list), s.server.flight.Done(), s.server.err)
			}
		}
	})
	s.fate = prompt
	s.settle()
	s.expectEpochs(3, 4)
	s.exchange()
}

// number16 is a record number as ACKs have it.
func number16(n protocol.RecordNumber) []byte {
	return ack(n)[2:]
}

// --- ChangeCipherSpec

// Before any hello it means nothing, to either side (CVE-2009-1386).
func TestPitfallChangeCipherSpecFirst(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := simulate(t, 0, client, server)
		s.server.unmoved("ChangeCipherSpec", changeCipherSpec, changeCipherSpec)
		s.client.unmoved("ChangeCipherSpec", changeCipherSpec, changeCipherSpec)
		s.settle()
		s.exchange()
	})
}

// A million of them cost nothing at any point of a handshake (CVE-2020-12457).
func TestPitfallChangeCipherSpecFlood(t *testing.T) {
	if !Alone(t) {
		return
	}
	million := 1_000_000
	if RaceDetector {
		million = 10_000
	}
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := simulate(t, 0, client, server)
		for stage := range 3 { // before the hellos, after them, at the end
			buf := make([]byte, 100)
			expectHeap(t, s.server.Engine, 8<<10, func() {
				for range million {
					s.server.Receive(buf[:copy(buf, changeCipherSpec)], s.now)
				}
			})
			if s.step(); stage > 0 {
				s.settle()
			}
		}
		s.exchange()
	})
}

// One that comes after the handshake, though its datagram is genuine, holds nothing
// up (dimpl#110).
func TestPitfallLateChangeCipherSpec(t *testing.T) {
	client, server := with(only12, clientAuth)
	s := established(t, client, server)
	for _, d := range s.sides() {
		for _, epoch := range []uint64{0, 1} {
			late := d.peer.record(epoch, protocol.ChangeCipherSpec, []byte{1})
			d.receive(late)
			if d.err != nil || d.changeCipherSpec {
				t.Fatalf("%s, epoch %d: it waits (%v)", d.name, epoch, d.err)
			}
			s.exchange()
		}
	}
	s.settle()
}
