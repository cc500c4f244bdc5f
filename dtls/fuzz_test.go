package dtls

import (
	"bytes"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// The input of a fuzzed Engine: one byte for the setting, one for the number of
// events before the trouble begins (255: until all is open), then operations of
// a byte for what to do, one for the length, and so many bytes.
const (
	opDatagram  = iota // the bytes as they are
	opPlain            // a record of epoch 0: content type, payload
	opSealed           // a record under the peer's keys: content type, payload
	opMessage          // the next handshake message, likewise: type, body
	opGenuine          // one event of the simulation happens
	opTime             // so many times ten milliseconds pass
	opElsewhere        // the peer goes to one of four addresses
	opCount
)

func fuzzSeeds(f *testing.F) {
	for setting := range byte(len(settings)) {
		for _, events := range []byte{0, 1, 2, 255} {
			head := []byte{setting, events}
			for _, ops := range [][]byte{
				{opDatagram, 5, 22, 0xfe, 0xfd, 0, 0},
				{opPlain, 3, 21, 2, 40, opGenuine, 0, opTime, 1, 50},
				{opSealed, 3, 26, 0, 0, opSealed, 6, 23, 'h', 'e', 'l', 'l', 'o'},
				{opElsewhere, 1, 1, opSealed, 2, 23, 'x', opTime, 1, 50, opElsewhere, 1, 2, opSealed, 2, 23, 'y', opTime, 1, 250},
				{opSealed, 10, 27, 0, 1, 2, 3, 4, 5, 6, 7, 8, opMessage, 2, 9, 3, opGenuine, 0},
				{opMessage, 2, 24, 1, opTime, 1, 100, opGenuine, 0},
				{opMessage, 3, 20, 1, 2, opGenuine, 0, opGenuine, 0},
				{opPlain, 2, 20, 1, opPlain, 2, 20, 1, opGenuine, 0},
			} {
				f.Add(append(bytes.Clone(head), ops...))
			}
		}
	}
}

func FuzzClientEngine(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte) { fuzzEngine(t, in, func(s *simulation) *side { return s.client }) })
}

func FuzzServerEngine(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, in []byte) { fuzzEngine(t, in, func(s *simulation) *side { return s.server }) })
}

func fuzzEngine(t *testing.T, in []byte, which func(*simulation) *side) {
	if len(in) < 2 {
		return
	}
	client, server := with(settings[int(in[0])%len(settings)].change)
	s := simulate(t, 0, client, server)
	for range in[1] {
		if s.quiet() || !s.step() {
			break
		}
	}
	d := which(s)
	for ops := in[2:]; len(ops) >= 2; {
		op, n := ops[0]%opCount, min(int(ops[1]), len(ops)-2)
		payload := ops[2 : 2+n]
		ops = ops[2+n:]
		sent, read := len(s.sent), len(d.read)
		opened := d.Open()
		d.operate(op, payload)
		if !opened && !d.Open() && len(d.read) > read {
			t.Fatal("data is read before the association is open")
		}
		if op != opTime && len(s.sent) > sent+50 {
			t.Fatalf("%d datagrams answer one", len(s.sent)-sent)
		}
		for _, p := range s.sent[sent:] {
			if len(p.data) > handshake.DefaultMTU {
				t.Fatalf("a datagram of %d bytes", len(p.data))
			}
		}
		if d.Err() != nil {
			if len(d.read) > read && !opened {
				t.Fatal("data is read of an association that failed")
			}
			d.refusesAll()
			return
		}
	}
}

// operate does one operation to d.
func (d *side) operate(op byte, payload []byte) {
	if len(payload) == 0 && op != opGenuine {
		return
	}
	newest := d.peer.newest().number
	switch op {
	case opDatagram:
		d.receive(payload)
	case opPlain:
		d.receive(forged12(protocol.ContentType(payload[0]), 0, 1, payload[1:]))
	case opSealed:
		d.receive(d.peer.record(newest, protocol.ContentType(payload[0]), payload[1:]))
	case opMessage:
		m := whole(protocol.HandshakeType(payload[0]), d.assembler.Next(), payload[1:])
		d.receive(d.peer.record(newest, protocol.Handshake, m))
	case opGenuine:
		d.s.step()
	case opElsewhere:
		d.peer.at = address(payload[0] % 4)
	case opTime:
		d.s.advance(time.Duration(payload[0]) * 10 * time.Millisecond)
	}
}
