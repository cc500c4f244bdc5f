package dtls

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// --- A snapshot of an Engine

// unobservable are the fields that a snapshot leaves out: counters, the clock of
// the call and the path of its datagram, what never changes, and scratch.
var unobservable = map[string]bool{
	"stats": true, "failed": true, // counters
	"now": true, "from": true, "here": true,
	"config": true, "given": true, "layer": true, "aead": true, "params": true, "suite": true, "fill": true,
	"nonce": true, "mask": true, "additional": true, "mac": true, "expects": true, "came": true, // scratch
}

// snapshot is all that an Engine remembers, as text.
func snapshot(e *Engine) string {
	var b strings.Builder
	dump(&b, reflect.ValueOf(e), map[uintptr]bool{})
	return b.String()
}

func dump(b *strings.Builder, v reflect.Value, seen map[uintptr]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		fmt.Fprintf(b, "%x ", v.Pointer())
		// What other packages of the standard library hold is theirs.
		if !v.IsNil() && !seen[v.Pointer()] && strings.Contains(v.Type().Elem().PkgPath(), "godwit") {
			seen[v.Pointer()] = true
			dump(b, v.Elem(), seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; !unobservable[name] {
				fmt.Fprintf(b, "\n%s: ", name)
				dump(b, v.Field(i), seen)
			}
		}
	case reflect.Slice, reflect.Array:
		fmt.Fprintf(b, "%d of ", v.Len())
		if v.Type().Elem().Kind() == reflect.Uint8 && (v.Kind() == reflect.Slice || v.CanAddr()) {
			fmt.Fprintf(b, "%x", v.Bytes())
			return
		}
		for i := range v.Len() {
			dump(b, v.Index(i), seen)
		}
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(x, y reflect.Value) int { return int(x.Int() - y.Int()) }) {
			dump(b, key, seen)
			dump(b, v.MapIndex(key), seen)
		}
	case reflect.Interface:
		if !v.IsNil() {
			dump(b, v.Elem(), seen)
		}
	case reflect.Func:
		fmt.Fprint(b, v.IsNil())
	default:
		fmt.Fprint(b, v)
	}
}

func TestSnapshotSeesChanges(t *testing.T) {
	client, server := with()
	s := simulate(t, 0, client, server)
	for s.step() {
		before := snapshot(s.server.Engine)
		if before != snapshot(s.server.Engine) {
			t.Fatal("a snapshot changes by itself")
		}
		if len(s.air) > 0 && s.air[0].from == s.client && len(s.air[0].data) > 50 {
			s.server.receive(s.air[0].data)
			if before == snapshot(s.server.Engine) {
				t.Fatal("a datagram of the handshake changes nothing")
			}
		}
	}
	changes := map[string]func(*Engine){
		"window":   func(e *Engine) { e.reads[len(e.reads)-1].window.Mark(1000) },
		"received": func(e *Engine) { e.received.Add(protocol.RecordNumber{Sequence: 5}) },
		"timer":    func(e *Engine) { e.backoff.Arm(s.now.Add(time.Hour)) },
		"closing":  func(e *Engine) { e.closing.received = true },
		"machine":  func(e *Engine) { e.machine.KeyUpdate(UpdateRequested) },
	}
	for name, change := range changes {
		before := snapshot(s.server.Engine)
		if change(s.server.Engine); before == snapshot(s.server.Engine) {
			t.Errorf("the snapshot does not show a change of %s", name)
		}
	}
}

// --- Garbage

// garbage yields datagrams that must change nothing for d, whatever it does at
// the moment. Genuine is one that the peer sent.
func (d *side) garbage(genuine []byte) (all [][]byte) {
	random := rand.New(rand.NewPCG(1, 1))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	add := func(parts ...[]byte) { all = append(all, bytes.Join(parts, nil)) }

	for size := range 100 {
		add(noise(size + 1))
	}
	add(noise(1500), noise(15000))

	// Every prefix that ends in the first record.
	first, protected := firstRecord(genuine)
	for size := range first - 1 {
		add(genuine[:size+1])
	}
	if protected {
		for bit := range 8 * first {
			flipped := bytes.Clone(genuine[:first])
			flipped[bit/8] ^= 1 << (bit % 8)
			if d.authenticated || !isPlaintext(flipped) {
				add(flipped)
			}
		}
	}

	// Records of every short length, and some others, in every epoch.
	for epoch := range uint64(6) {
		for size := range 60 {
			for _, kind := range []protocol.ContentType{protocol.Handshake, protocol.Alert, protocol.ApplicationData, protocol.ChangeCipherSpec, protocol.ACK, 99} {
				if epoch > 0 || d.authenticated {
					add(forged12(kind, epoch, uint64(size)<<40, noise(size)))
				}
			}
			add(form13(byte(epoch&3)|bitNumber16|bitLength, uint16(random.Uint32()), size), noise(size))
			add(form13(byte(epoch&3)|bitNumber16, uint16(random.Uint32()), size), noise(size))
			add(form13(byte(epoch&3), uint16(random.Uint32()), size), noise(size))
		}
		add(form13(byte(epoch&3)|bitNumber16|bitLength|bitCID, 0, 100), noise(100))
		add(form13(byte(epoch&3)|bitNumber16|bitLength, 0, 0x7000), noise(0x7000)) // too long
	}
	for _, epoch := range []uint64{7, 255, 1 << 15, 0xffff} {
		add(forged12(protocol.ApplicationData, epoch, 1, noise(50)))
	}
	// TLS, and DTLS 1.0 under keys.
	add([]byte{22, 3, 3, 0, 5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	old := forged12(protocol.Handshake, 1, 1, noise(50))
	binary.BigEndian.PutUint16(old[1:], uint16(protocol.VersionDTLS10))
	add(old)

	if d.authenticated {
		for _, alert := range [][]byte{{1, 0}, {2, 0}, {2, 40}, {1, 90}, {2, 80}} {
			add(forged12(protocol.Alert, 0, maxSequence12, alert))
		}
		add(forged12(protocol.ChangeCipherSpec, 0, 3, []byte{1}))
		add(forged12(protocol.ACK, 0, 3, []byte{0, 0}))
		add(forged12(protocol.ApplicationData, 0, 3, []byte("plaintext")))
		// Genuine plaintext of the hellos, and a message that is next.
		for _, p := range d.s.sent {
			if p.from == d.peer && isPlaintext(p.data) && p.data[0] == byte(protocol.Handshake) {
				n, _ := firstRecord(p.data)
				again := bytes.Clone(p.data[:n])
				binary.BigEndian.PutUint64(again[3:], maxSequence12)
				binary.BigEndian.PutUint16(again[3:], 0)
				binary.BigEndian.PutUint16(again[11:], uint16(n-headerSize12))
				add(again)
				binary.BigEndian.PutUint16(again[headerSize12+4:], d.assembler.Next())
				add(again)
			}
		}
	}
	return all
}

func forged12(kind protocol.ContentType, epoch, sequence uint64, body []byte) []byte {
	record := make([]byte, headerSize12, headerSize12+len(body))
	putHeader12(record, kind, protocol.VersionDTLS12, protocol.RecordNumber{Epoch: epoch, Sequence: sequence & maxSequence12}, len(body))
	return append(record, body...)
}

// firstRecord is the size of a datagram's first record, and whether it is
// protected.
func firstRecord(datagram []byte) (size int, protected bool) {
	if isUnified(datagram[0]) {
		h, _ := parseHeader13(datagram, 0)
		return h.end, true
	}
	h, _, _ := parseHeader12(datagram)
	return headerSize12 + len(h.body), h.number.Epoch > 0
}

// isPlaintext reports whether b begins with a record of epoch 0.
func isPlaintext(b []byte) bool {
	h, _, ok := parseHeader12(b)
	return ok && !isUnified(b[0]) && h.number.Epoch == 0 &&
		(h.version == protocol.VersionDTLS12 || h.version == protocol.VersionDTLS10)
}

// pester throws garbage at d, and fails if anything but counters changes or
// memory is allocated. The genuine datagram must not have been received yet.
func (d *side) pester(genuine []byte) {
	t := d.s.t
	t.Helper()
	var all [][]byte
	for i, b := range d.garbage(genuine) {
		if i%stride(5) == 0 {
			all = append(all, b)
		}
	}
	before, dropped, buf := snapshot(d.Engine), d.Stats().Dropped.Total(), make([]byte, 1<<16)
	for some := range slices.Chunk(all, 100) { // a snapshot takes longer than they do
		for _, b := range some {
			if err := d.Receive(buf[:copy(buf, b)], d.s.now); err != nil {
				t.Fatalf("%s: %v by % x", d.name, err, b)
			}
			if _, ok := d.Read(buf); ok || d.Pending() {
				t.Fatalf("%s: answers % x", d.name, b)
			}
		}
		if after := snapshot(d.Engine); after != before {
			t.Fatalf("%s: changed by one of % x:\n%s", d.name, some, difference(before, after))
		}
	}
	if d.Stats().Dropped.Total()-dropped < uint64(len(all)) {
		t.Errorf("%s: counted %d of %d", d.name, d.Stats().Dropped.Total()-dropped, len(all))
	}
	if RaceDetector {
		return
	}
	const runs = 5 // the runtime itself may allocate once or twice
	if n := testing.AllocsPerRun(runs, func() {
		for _, b := range all {
			d.Receive(buf[:copy(buf, b)], d.s.now)
		}
	}); n != 0 {
		t.Errorf("%s: %v allocations for %d datagrams of garbage", d.name, n, len(all))
	}
}

func difference(before, after string) string {
	x, y := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return x[max(0, i-3)] + "\n- " + x[i] + "\n+ " + y[i]
		}
	}
	return "one is longer"
}

// Garbage changes nothing before each datagram of a handshake, and after it.
//
// RFC 9147 4.1 [4], 4.5.2 [1]; RFC 6347 4.1 [2]
func TestGarbage(t *testing.T) {
	if !Alone(t) {
		return
	}
	for _, c := range []setting{
		{"1.3", together(clientAuth, mtu(700))},
		{"1.3, HelloRetryRequest", retry},
		{"1.2", together(only12, clientAuth, mtu(700))},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			s := simulate(t, 0, client, server)
			for next := 0; !s.quiet(); {
				if len(s.air) > 0 && s.air[0].index >= next {
					p := s.air[0]
					next = p.index + 1
					p.from.peer.pester(p.data)
					p.from.pester(p.data) // its own, reflected
				}
				if !s.step() {
					t.Fatal("nothing moves any more")
				}
			}
			s.exchange()
			for _, d := range []*side{s.client, s.server} {
				d.peer.pester(d.seal("genuine, and then lost"))
				if isUnified(d.seal("")[0]) {
					d.KeyUpdate(UpdateNotRequested, s.now)
					d.transmit()
					s.settle()
					d.peer.pester(d.seal("genuine, and then lost"))
				}
			}
			s.exchange()
			for _, d := range []*side{s.client, s.server} {
				d.Close(s.now)
				d.transmit()
			}
			s.settle()
			s.client.pester(s.sent[len(s.sent)-1].data)
		})
	}
}

// Every prefix of every datagram comes before it. The records in it that are
// whole count, and come again.
//
// RFC 9147 4.2.3 [1]
func TestTruncatedDatagrams(t *testing.T) {
	for _, c := range settings {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, server := with(c.change)
			s := simulate(t, 0, client, server)
			s.settle()
			s.exchange()
			again := simulate(t, 0, client, server)
			for !again.quiet() {
				if len(again.air) > 0 {
					p := again.air[0]
					for size := range p.data {
						p.from.peer.receive(p.data[:size])
					}
				}
				if !again.step() {
					t.Fatal("nothing moves any more")
				}
			}
			again.exchange()
			if again.now.Sub(epochOfSimulation) > s.now.Sub(epochOfSimulation)+time.Second {
				t.Errorf("took %v, %v without", again.now.Sub(epochOfSimulation), s.now.Sub(epochOfSimulation))
			}
		})
	}
}

// A plaintext record with the highest number shuts nothing: epoch 0 has no
// window.
func TestForgedNumberInEpoch0(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, mtu(300))
		s := simulate(t, 0, client, server)
		for !s.quiet() {
			if len(s.air) > 0 && isPlaintext(s.air[0].data) {
				p := s.air[0]
				n, _ := firstRecord(p.data)
				forged := bytes.Clone(p.data[:n])
				copy(forged[5:], "\xff\xff\xff\xff\xff\xff")
				p.from.peer.receive(forged)
			}
			s.step()
		}
		s.exchange()
		if s.now.Sub(epochOfSimulation) > time.Second {
			t.Errorf("took %v", s.now.Sub(epochOfSimulation))
		}
	})
}
