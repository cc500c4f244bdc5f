package dtls

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// What records did to other stacks. docs/pitfalls.md has them all.

// unmoved checks that d takes datagrams without any effect but on its counters.
func (d *side) unmoved(what string, datagrams ...[]byte) {
	d.s.t.Helper()
	before, read, sent := snapshot(d.Engine), len(d.read), len(d.s.sent)
	for _, b := range datagrams {
		d.receive(b)
	}
	switch after := snapshot(d.Engine); {
	case d.err != nil:
		d.s.t.Fatalf("%s: %s: %v", d.name, what, d.err)
	case len(d.read) > read || len(d.s.sent) > sent:
		d.s.t.Fatalf("%s: %s: read %q, %d answers", d.name, what, d.read[read:], len(d.s.sent)-sent)
	case after != before:
		d.s.t.Fatalf("%s: %s: %s", d.name, what, difference(before, after))
	}
}

// Application data in the clear is never delivered, at whatever point of a
// handshake it comes, and behind it nobody even looks at it (CVE-2019-20786,
// CVE-2020-24585).
func TestPitfallPlaintextData(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, mtu(300))
		plain := forged12(protocol.ApplicationData, 0, 9, []byte("plain"))
		for steps := 0; ; steps++ {
			s := simulate(t, 0, client, server)
			for range steps {
				s.step()
			}
			if s.quiet() {
				break
			}
			for _, d := range s.sides() {
				d.receive(plain)
			}
			for n := 0; n < 100 && s.step(); n++ {
			}
			if len(s.client.read)+len(s.server.read) > 0 {
				t.Fatalf("after %d steps: the client reads %q, the server %q", steps, s.client.read, s.server.read)
			}
		}
		s := established(t, client, server)
		for _, d := range s.sides() {
			d.unmoved("plaintext", plain)
		}
		s.exchange()
	})
}

// Records of every short length, genuine ones cut and ones of noise, end nothing
// (CVE-2026-75806).
func TestPitfallShortRecords(t *testing.T) {
	for _, p := range protections {
		t.Run(p.name, func(t *testing.T) {
			client, server := with(p.change)
			s := established(t, client, server)
			genuine := s.client.seal("data")
			var short [][]byte
			add := func(record []byte) {
				if s.server.version.Is13() {
					record[0] |= byte(longForm)
					record[3], record[4] = byte((len(record)-headerSize13)>>8), byte(len(record)-headerSize13)
				} else {
					record[11], record[12] = byte((len(record)-headerSize12)>>8), byte(len(record)-headerSize12)
				}
				short = append(short, record)
			}
			header := headerSize12
			if s.server.version.Is13() {
				header = headerSize13
			}
			for n := header; n < len(genuine); n++ {
				add(bytes.Clone(genuine[:n]))
			}
			for n := range len(genuine) {
				noise := bytes.Repeat([]byte{byte(n)}, n)
				add(append(bytes.Clone(genuine[:header]), noise...))
			}
			for n := range header {
				short = append(short, genuine[:n+1])
			}
			s.server.unmoved("short records", short...)
			s.server.receive(genuine)
			s.server.once([]string{"data"})
			s.exchange()
		})
	}
}

// Where there are keys, an alert, an ACK, a ChangeCipherSpec or a handshake message
// in the clear means nothing, whatever it says (NSS bug 2056235).
func TestPitfallForgedPlaintext(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, clientAuth)
		s := established(t, client, server)
		var forged [][]byte
		for level := range byte(4) {
			for description := range 256 {
				forged = append(forged, forged12(protocol.Alert, 0, 7, []byte{level, byte(description)}))
			}
		}
		for kind := range 256 {
			forged = append(forged, forged12(protocol.ContentType(kind), 0, maxSequence12, []byte{1, 0}))
			forged = append(forged, forged12(protocol.Handshake, 0, 8, whole(protocol.HandshakeType(kind), s.server.assembler.Next(), []byte{0})))
		}
		for _, d := range s.sides() {
			d.unmoved("plaintext", forged...)
		}
		s.exchange()
	})
}

// A record with connection ID carries its content type inside, behind which only
// zeros may follow; the type outside is nothing that may come inside
// (RFC 9146 4 and 5, wolfSSL PR#11177).
func TestPitfallInnerType(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, c := range []struct {
			kind protocol.ContentType
			body []byte
			want alert.Alert // zero: none
		}{
			{0, []byte("\x00\x00"), alert.UnexpectedMessage},                 // zeros alone
			{0, []byte("data\x17\x00\x00\x00"), alert.CloseNotify},           // the type is before the padding
			{protocol.ConnectionID, []byte("data"), alert.UnexpectedMessage}, // the outer type
			{0xff, []byte("data"), alert.UnexpectedMessage},
			{protocol.ApplicationData, []byte("data"), alert.CloseNotify},
		} {
			client, server := with(version, identified(4, 8))
			s := established(t, client, server)
			s.server.receive(s.client.record(s.client.newest().number, c.kind, c.body))
			if c.want != alert.CloseNotify {
				expectAlert(t, s.server.err, c.want)
				continue
			}
			s.server.once([]string{"data"})
		}
	})
}

// A record belongs to the connection ID that it carries: with another one of the same
// receiver's it doesn't open (RFC 9146 5, RFC 9147 9, wolfSSL #6365).
func TestPitfallConnectionIDBinding(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(8, 8))
		s := established(t, client, server)
		for _, d := range s.sides() {
			record := d.peer.seal("data")
			id, other := d.ids.current(), []byte("an other")
			altered := bytes.Replace(record, id, other, 1)
			if bytes.Equal(altered, record) {
				t.Fatalf("%s: % x carries no ID", d.name, record)
			}
			d.ids.local = append(d.ids.local, other)
			d.unmoved("a record with another ID", altered)
			d.receive(record)
			d.once([]string{"data"})
		}
	})
}

// The explicit nonce of a GCM record is its epoch and its sequence number, never
// chosen at random, and goes on where a connection goes on in another process
// (CVE-2026-26014).
func TestPitfallExplicitNonce(t *testing.T) {
	client, server := with(only12, movable)
	s := simulate(t, 0, client, server)
	s.settle()
	for _, d := range s.sides() {
		seen, last := map[string]bool{}, ""
		check := func(record []byte) {
			nonce := string(record[headerSize12:][:8])
			if nonce != string(record[3:11]) || seen[nonce] || nonce <= last {
				t.Fatalf("%s: record %x has nonce %x, the last was %x", d.name, record[3:11], nonce, last)
			}
			seen[nonce], last = true, nonce
		}
		for _, p := range s.sent {
			for rest := p.data; p.from == d && len(rest) > 0; rest = rest[firstRecordSize(rest):] {
				if h, _, _ := parseHeader12(rest); h.number.Epoch > 0 {
					check(rest)
				}
			}
		}
		for range 50 {
			for range 20 {
				check(d.seal("data"))
			}
			d.move()
		}
	}
}

// No record number is used twice under a key, and no key twice: not when keys are
// updated, when a session is resumed, nor when a connection moves (CVE-2026-5446).
func TestPitfallNoncesNeverRepeat(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, movable)
		client.ClientSessionCache, server.TicketKeys = NewLRUClientSessionCache(1), [][32]byte{{1}}
		keys := map[string]string{}
		for connection := range 3 {
			s := traced(t, client, server)
			s.settle()
			if resumed := s.client.State().DidResume; resumed != (connection > 0) {
				t.Fatalf("connection %d: resumed %v", connection, resumed)
			}
			for range 5 {
				s.exchange()
				for _, d := range s.sides() {
					if d.version.Is13() {
						d.update(UpdateRequested)
						s.settle()
					}
					d.move()
				}
			}
			for _, d := range s.sides() {
				for _, w := range d.writes { // the newest is not yet among the epochs
					d.epochs[w.number] = w
				}
				for epoch, w := range d.epochs {
					if epoch == 0 {
						continue
					}
					key, who := w.sealer.Key(), fmt.Sprintf("%s, connection %d, epoch %d", d.name, connection, epoch)
					of := string(key.Key) + string(key.IV)
					if other := keys[of]; other != "" {
						t.Errorf("%s has the keys of %s", who, other)
					}
					keys[of] = who
				}
				d.expectNumbersOnce()
			}
		}
	})
}

// expectNumbersOnce checks that no two records of a traced side have one number.
func (d *side) expectNumbersOnce() {
	d.s.t.Helper()
	seen, records := map[protocol.RecordNumber]bool{}, 0
	for _, e := range d.events {
		if e.Kind != handshake.EventRecord || e.Direction != handshake.Sent {
			continue
		}
		if records++; seen[e.Number] {
			d.s.t.Errorf("%s: record %v is sent twice", d.name, e.Number)
		}
		seen[e.Number] = true
	}
	if records < 8 {
		d.s.t.Errorf("%s: %d records: the test tests nothing", d.name, records)
	}
}

// Under CBC a record with wrong padding and one with a wrong MAC look the same to
// whoever sent them: they are dropped, counted alike and not answered (AlFardan and
// Paterson, NDSS 2012).
func TestPitfallPaddingOracle(t *testing.T) {
	for _, p := range protections[len(protections)-2:] {
		t.Run(p.name, func(t *testing.T) {
			client, server := with(p.change)
			s := established(t, client, server)
			genuine := s.client.seal("sixteen bytes or seventeen, and on to another block")
			var forged [][]byte
			for at := headerSize12; at < len(genuine); at++ { // in the IV, the content, the MAC or the padding
				for _, bit := range []byte{1, 0x80} {
					damaged := bytes.Clone(genuine)
					damaged[at] ^= bit
					forged = append(forged, damaged)
				}
			}
			want := s.server.Stats().Incidents
			s.server.unmoved("damaged records", forged...)
			want.Dropped.Authentication += uint64(len(forged))
			if got := s.server.Stats().Incidents; got != want {
				t.Errorf("counted %+v, want %+v", got, want)
			}
			s.server.receive(genuine)
			s.exchange()
		})
	}
}
