package dtls

import (
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
)

func recordSizeLimit(client, server int) func(client, server *Config) {
	return func(c, s *Config) { c.RecordSizeLimit, s.RecordSizeLimit = client, server }
}

func fragmentLength(most int) func(client, server *Config) {
	return func(client, _ *Config) { client.MaxFragmentLength = most }
}

// content is how much plaintext a record of a trace has, with its padding, but
// for CBC's.
func content(s *simulation, e Event) int {
	switch {
	case e.Number.Epoch == 0:
		return e.Size - headerSize12
	case s.client.version.Is13():
		return e.Size - overhead13
	}
	return e.Size - headerSize12 - 8 - 16
}

// What the peers agree on bounds all records, of the handshake and after it, and
// with all that they are padded to; datagrams are no larger than a record or the
// smallest MTU.
func TestRecordSizes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(client, server *Config)
		want   [2]int // the client's records, the server's
		plain  bool   // in the clear, too
	}{
		"1.3, limits":          {recordSizeLimit(64, 200), [2]int{199, 63}, false},
		"1.3, length":          {fragmentLength(512), [2]int{512, 512}, true},
		"1.3, hybrid":          {together(hybrid, fragmentLength(512)), [2]int{512, 512}, true},
		"1.3, retry, padding":  {together(retry, recordSizeLimit(64, 200), padding(1000)), [2]int{199, 63}, false},
		"1.2, limits":          {together(only12, recordSizeLimit(64, 200)), [2]int{200, 64}, false},
		"1.2, length":          {together(only12, fragmentLength(512)), [2]int{512, 512}, true},
		"1.2, IDs":             {together(only12, identified(8, 8)), [2]int{1<<14 - 1, 1<<14 - 1}, false},
		"1.2, IDs, limits":     {together(only12, identified(8, 8), recordSizeLimit(64, 200)), [2]int{199, 63}, false},
		"1.2, IDs, length":     {together(only12, identified(8, 8), fragmentLength(512)), [2]int{512, 512}, true},
		"1.2, the server's":    {together(only12, recordSizeLimit(1<<14, 64)), [2]int{64, 1 << 14}, false},
		"1.3, both extensions": {together(recordSizeLimit(100, 0), fragmentLength(512)), [2]int{1 << 14, 99}, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := with(clientAuth, c.change)
			s := traced(t, client, server)
			s.settle()
			s.exchange()
			for i, d := range []*side{s.client, s.server} {
				most, records, datagrams, agreed := 0, 0, 0, i == 1
				for _, e := range d.events {
					if e.Direction != handshake.Sent || e.Kind == handshake.EventRecord && e.Number.Epoch == 0 && (!c.plain || i == 0) {
						continue // a ClientHello knows nothing yet
					}
					switch e.Kind {
					case handshake.EventRecord:
						most, records, agreed = max(most, content(s, e)), records+1, true
					case handshake.EventDatagram:
						if datagrams++; agreed && c.want[i] < 1<<12 && e.Size > max(handshake.MinMTU, c.want[i]+overhead13+8) {
							t.Errorf("%s: a datagram of %d bytes", d.name, e.Size)
						}
					}
				}
				cut := c.want[i] < 500 && d.version.Is13() // in 1.2 only Finished is protected
				if most > c.want[i] || cut && most < c.want[i] {
					t.Errorf("%s: records of up to %d bytes, expected %d", d.name, most, c.want[i])
				}
				if cut && c.want[i] < 100 && records < datagrams*3/2 {
					t.Errorf("%s: %d records in %d datagrams", d.name, records, datagrams)
				}
				if got := d.State().MaxPlaintext; got != c.want[i] {
					t.Errorf("%s: MaxPlaintext is %d", d.name, got)
				}
				if d.peer.Stats().Dropped != (DropStats{}) {
					t.Errorf("%s: %+v", d.peer.name, d.peer.Stats().Dropped)
				}
				data := strings.Repeat("x", c.want[i])
				d.peer.receive(d.seal(data))
				if got := d.peer.read; len(got) != 2 || string(got[1]) != data {
					t.Errorf("%s: %d bytes don't arrive: %v", d.name, len(data), d.peer.err)
				}
				if _, err := d.Write(make([]byte, 1<<15), make([]byte, c.want[i]+1), s.now); err != ErrTooLong {
					t.Errorf("%s: %d bytes: %v", d.name, c.want[i]+1, err)
				}
			}
		})
	}
}

// A record that opens and has more than was agreed ends the association, with
// padding, too. What doesn't open is just dropped, and so is plaintext, of which
// nobody knows whose it is.
//
// RFC 9146 5 [2]
func TestRecordOverflow(t *testing.T) {
	for _, size := range []func(client, server *Config){recordSizeLimit(100, 100), fragmentLength(512)} {
		bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
			client, server := with(version, size)
			s := established(t, client, server)
			epoch, most := s.client.newest().number, s.client.State().MaxPlaintext
			long := s.client.record(epoch, protocol.ApplicationData, make([]byte, most+1))
			forged := slices.Clone(long)
			forged[len(forged)-1] ^= 1
			s.server.receive(forged)
			if s.server.err != nil || s.server.Stats().Dropped.Authentication != 1 {
				t.Fatalf("forged: %v, %+v", s.server.err, s.server.Stats().Dropped)
			}
			s.server.receive(long)
			expectAlert(t, s.server.err, alert.RecordOverflow)
			s.advance(latency)
			expectReceived(t, s.client.err, alert.RecordOverflow)

			if s = established(t, client, server); s.client.version.Is13() {
				w := s.client.newest()
				w.padding = most + 1
				s.server.receive(s.client.sealInto(make([]byte, w.size(most+1)), "x"))
				expectAlert(t, s.server.err, alert.RecordOverflow)
			}
		})
	}
	client, server := with(only12, fragmentLength(512))
	s := simulate(t, 0, client, server)
	s.arrive() // the server has answered
	long := make([]byte, headerSize12+513)
	putHeader12(long, protocol.Handshake, protocol.VersionDTLS12, protocol.RecordNumber{Sequence: 99}, 513)
	s.server.receive(long)
	if s.server.err != nil || s.server.Stats().Dropped.Header != 1 {
		t.Errorf("in the clear: %v, %+v", s.server.err, s.server.Stats().Dropped)
	}
	s.settle()
}

// sealInto makes a record of all of buf, as far as padding goes.
func (d *side) sealInto(buf []byte, data string) []byte {
	d.s.t.Helper()
	w := d.newest()
	n, err := w.finish(buf, w.form(), protocol.ApplicationData, []byte(data), record.Padding(len(data), w.padding, w.room(len(buf))))
	if err != nil {
		d.s.t.Fatal(err)
	}
	return buf[:n]
}

// 0-RTT keeps to what was agreed when the ticket came; Write and WriteEarly say
// what is too long, and nothing is lost of it.
func TestEarlyRecordSizes(t *testing.T) {
	client, server := earlyConfigs(t, recordSizeLimit(1000, 64))
	s := later(t, 0, client, server)
	if err := s.client.writeEarly(strings.Repeat("x", 64)); err != ErrTooLong {
		t.Errorf("64 bytes: %v", err)
	}
	if got := s.client.State().MaxPlaintext; got != 63 {
		t.Errorf("MaxPlaintext is %d", got)
	}
	s.mustWriteEarly(strings.Repeat("x", 63))
	s.settle()
	if len(s.server.read) != 1 || !s.server.State().EarlyDataAccepted {
		t.Errorf("%q, %v", s.server.read, s.server.err)
	}
	s.exchange()
}

// In 1.2 with connection IDs the content type is encrypted, too, and counts.
//
// RFC 9146 5 [2]
func TestRecordSizesWithConnectionIDs(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, recordSizeLimit(64, 100), identified(4, 0))
		s := established(t, client, server)
		s.exchange()
		want := [2]int{99, 63} // only what comes to the client has an ID
		if !s.client.version.Is13() {
			want[0] = 100
		}
		for i, d := range []*side{s.client, s.server} {
			if got := d.State().MaxPlaintext; got != want[i] {
				t.Errorf("%s: MaxPlaintext is %d", d.name, got)
			}
			d.peer.read = nil
			if d.peer.receive(d.seal(strings.Repeat("x", want[i]))); len(d.peer.read) != 1 {
				t.Errorf("%s: %v", d.name, d.peer.err)
			}
		}
	})
}
