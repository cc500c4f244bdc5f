package dtls

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/connectionid"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// identified gives both sides random IDs of so many bytes: what the peer of each
// puts on its records.
func identified(client, server int) func(client, server *Config) {
	return func(c, s *Config) {
		c.ConnectionIDs, s.ConnectionIDs = RandomConnectionIDs(client), RandomConnectionIDs(server)
	}
}

// expectCarried checks that the first protected record of every datagram from d
// carries the ID, which may be empty.
func (d *side) expectCarried(id []byte) {
	d.s.t.Helper()
	for _, p := range d.s.sent {
		rest, ok := p.data, p.from == d
		for ok && len(rest) > 0 && connectionid.InDatagram(rest) == nil {
			var h header12
			if h, rest, ok = parseHeader12(rest); ok && h.number.Epoch > 0 {
				rest = nil
				ok = false
				if len(id) > 0 {
					d.s.t.Fatalf("%s: %v goes out without a connection ID", d.name, h.number)
				}
			}
		}
		if got := connectionid.InDatagram(rest); ok && len(rest) > 0 && (len(id) == 0 || !bytes.HasPrefix(got, id)) {
			d.s.t.Fatalf("%s: a record carries % x, expected % x", d.name, got[:min(len(got), len(id))], id)
		}
	}
}

// expectIDs checks the lengths of both IDs, and that all that was sent has them.
func (s *simulation) expectIDs(client, server int) {
	s.t.Helper()
	c, v := s.client.State(), s.server.State()
	if len(c.LocalConnectionID) != client || len(v.LocalConnectionID) != server ||
		!bytes.Equal(c.LocalConnectionID, v.RemoteConnectionID) || !bytes.Equal(v.LocalConnectionID, c.RemoteConnectionID) {
		s.t.Fatalf("the client has % x and % x, the server % x and % x; expected %d and %d bytes",
			c.LocalConnectionID, c.RemoteConnectionID, v.LocalConnectionID, v.RemoteConnectionID, client, server)
	}
	s.client.expectCarried(c.RemoteConnectionID)
	s.server.expectCarried(v.RemoteConnectionID)
}

// Every kind of protection, with short and long IDs, one way and both.
//
// RFC 9147 4 [5]; RFC 9146 3 [1, 3, 4, 8]
func TestConnectionIDs(t *testing.T) {
	for _, p := range protections {
		for _, lengths := range [][2]int{{0, 0}, {0, 8}, {8, 0}, {1, 255}, {20, 4}} {
			t.Run(fmt.Sprintf("%s/%d and %d", p.name, lengths[0], lengths[1]), func(t *testing.T) {
				client, server := with(p.change, identified(lengths[0], lengths[1]))
				s := simulate(t, 1, client, server)
				s.settle()
				s.exchange()
				s.expectIDs(lengths[0], lengths[1])
				if dropped := s.client.Stats().Dropped.Total() + s.server.Stats().Dropped.Total(); dropped > 0 {
					t.Errorf("%d records are dropped", dropped)
				}
			})
		}
	}
}

// Every length in both directions (CVE-2022-46393: the lengths differ).
//
// RFC 9146 3 [2]
func TestPitfallConnectionIDLengths(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for n := 0; n < 256; n += stride(17) {
			client, server := with(version, sharedKey, identified(n, 255-n))
			s := simulate(t, uint64(n), client, server)
			s.settle()
			s.exchange()
			s.expectIDs(n, 255-n)
		}
	})
}

// With padding 1.2 has it too, where its records carry an ID (RFC 9146 4).
func TestConnectionIDPadding(t *testing.T) {
	client, server := with(only12, identified(8, 8))
	client.RecordPadding = 100
	s := established(t, client, server)
	short, long := s.client.seal("a"), s.client.seal(strings.Repeat("a", 90))
	if len(short) != len(long) {
		t.Errorf("1 byte goes out in %d, 90 in %d", len(short), len(long))
	}
	s.server.receive(short)
	s.server.receive(long)
	if got := s.server.read; len(got) != 2 || string(got[0]) != "a" || len(got[1]) != 90 {
		t.Errorf("read %q", got)
	}
}

// A peer that has no connection IDs works as before.
//
// RFC 9147 9 [4]
func TestOneSideWithoutConnectionIDs(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for name, who := range map[string]func(client, server *Config){
			"client": func(client, _ *Config) { client.ConnectionIDs = nil },
			"server": func(_, server *Config) { server.ConnectionIDs = nil },
		} {
			t.Run(name, func(t *testing.T) {
				client, server := with(version, identified(8, 8), who)
				s := simulate(t, 1, client, server)
				s.settle()
				s.exchange()
				s.expectIDs(0, 0)
				if s.server.State().ReturnRoutability {
					t.Error("return routability without connection IDs")
				}
				if err := s.client.RotateConnectionIDs(s.now); err == nil {
					t.Error("there is something to rotate")
				}
			})
		}
	})
}

// A record without the ID that was agreed, or with another, is dropped and
// changes nothing (RFC 9146 3, RFC 9147 4).
//
// RFC 9146 3 [5]
func TestWrongConnectionID(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(8, 8))
		s := established(t, client, server)
		w := s.client.newest()
		for name, ids := range map[string]*connectionIDs{"none": nil, "another": {remote: []byte("another!")}, "shorter": {remote: w.id()[:7]}} {
			right := w.ids
			w.ids = ids
			record := s.client.record(w.number, protocol.ApplicationData, []byte("data"))
			w.ids = right
			before, dropped := snapshot(s.server.Engine), s.server.Stats().Dropped.Total()
			s.server.receive(record)
			if snapshot(s.server.Engine) != before || len(s.server.read) > 0 {
				t.Errorf("%s: the record changes something", name)
			}
			if got := s.server.Stats().Dropped.Total() - dropped; got != 1 {
				t.Errorf("%s: %d records are dropped", name, got)
			}
		}
		s.exchange()
	})
}

// What follows a record of another association in a datagram is not read, and an
// association without connection IDs takes no record that has one (RFC 9147 4, 9.1).
//
// RFC 9147 4 [7], 9.1 [1]
func TestConnectionIDOfAnother(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	w := s.client.newest()
	part := func(data string, ids *connectionIDs) []byte {
		right := w.ids
		defer func() { w.ids = right }()
		w.ids = ids
		return s.client.record(w.number, protocol.ApplicationData, []byte(data))
	}
	s.server.receive(slices.Concat(part("first", w.ids), part("another's", &connectionIDs{remote: []byte("another!")}), part("behind it", w.ids)))
	s.server.expectRead("first")
	if n := s.server.Stats().Dropped.ConnectionID; n != 1 {
		t.Errorf("%d records are dropped", n)
	}
	s.exchange()

	client, server = with()
	s = established(t, client, server)
	w = s.client.newest()
	s.server.receive(part("with an ID", &connectionIDs{remote: []byte("whatever")}))
	s.server.expectRead()
	if n := s.server.Stats().Dropped.ConnectionID; n != 1 {
		t.Errorf("%d records are dropped", n)
	}
	s.exchange()
}

// IDs for later are used in the order in which they came (RFC 9147 9).
//
// RFC 9147 9 [2]
func TestConnectionIDsInOrder(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	if err := s.client.machine.RotateConnectionIDs(3); err != nil { // asks for so many
		t.Fatal(err)
	}
	s.client.transmit()
	s.settle()
	given := slices.Clone(s.client.ids.spare)
	if len(given) != 3 {
		t.Fatalf("%d spare IDs", len(given))
	}
	for _, want := range given {
		if err := s.client.RotateConnectionIDs(s.now); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.client.ids.remote, want) {
			t.Errorf("% x is used, expected % x", s.client.ids.remote, want)
		}
		s.client.transmit()
		s.settle()
		s.exchange()
	}
}

// The ID is authenticated: a record can't be made to look like one with another
// ID of the same association, though that is known.
//
// RFC 9146 3 [7]
func TestConnectionIDIsAuthenticated(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	old := bytes.Clone(s.client.ids.remote)
	if err := s.server.RotateConnectionIDs(s.now); err != nil {
		t.Fatal(err)
	}
	s.server.transmit()
	s.settle()
	record := s.client.seal("data")
	copy(record[1:], old)
	s.server.receive(record)
	if got := s.server.Stats().Dropped.Authentication; got != 1 || len(s.server.read) > 0 {
		t.Errorf("%d records don't authenticate, read %q", got, s.server.read)
	}
}

// --- New ones

// Rotation changes the IDs of both directions; what is under way meanwhile
// arrives.
//
// RFC 9147 9 [1]
func TestRotateConnectionIDs(t *testing.T) {
	client, server := with(identified(8, 4))
	s := established(t, client, server)
	seen := map[string]bool{}
	for range 50 {
		for _, d := range []*side{s.client, s.server} {
			before, late := d.State(), d.peer.seal("late")
			if err := d.RotateConnectionIDs(s.now); err != nil {
				t.Fatal(err)
			}
			d.transmit()
			s.settle()
			d.receive(late) // under the ID before
			s.exchange()
			after := d.State()
			if bytes.Equal(before.LocalConnectionID, after.LocalConnectionID) || bytes.Equal(before.RemoteConnectionID, after.RemoteConnectionID) {
				t.Fatalf("%s: from % x and % x to % x and % x", d.name,
					before.LocalConnectionID, before.RemoteConnectionID, after.LocalConnectionID, after.RemoteConnectionID)
			}
			for _, id := range [][]byte{after.LocalConnectionID, after.RemoteConnectionID} {
				if seen[string(id)] {
					t.Fatalf("% x comes again", id)
				}
				seen[string(id)] = true
			}
		}
		for _, d := range []*side{s.client, s.server} {
			if len(d.ids.local) > maxIDs || d.ids.given > maxIDs || len(d.ids.spare) > maxIDs {
				t.Fatalf("%s: has %d IDs, gave %d, keeps %d of the peer's", d.name, len(d.ids.local), d.ids.given, len(d.ids.spare))
			}
		}
	}
	if n := len(s.server.read); n != 50*2+50 {
		t.Errorf("the server read %d records", n)
	}
}

func TestRotateIsOf13(t *testing.T) {
	client, server := with(only12, identified(8, 8))
	s := established(t, client, server)
	if err := s.client.RotateConnectionIDs(s.now); err != errNoConnectionIDs {
		t.Errorf("in 1.2: %v", err)
	}
	s.exchange()
}

// A peer that asks for more than it gets is answered with what there is, and
// after that with nothing (RFC 9147 9).
//
// RFC 9147 9 [8]
func TestRequestManyConnectionIDs(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	for range 3 {
		if err := s.client.machine.RotateConnectionIDs(255); err != nil {
			t.Fatal(err)
		}
		s.client.transmit()
		s.settle()
		if got := len(s.client.ids.spare); got != maxIDs-1 || s.server.ids.given != maxIDs {
			t.Fatalf("the client has %d spare IDs, the server gave %d", got, s.server.ids.given)
		}
	}
	s.exchange()
}

// There is one RequestConnectionId at a time: an ID that the peer gives by itself
// meanwhile is no answer (RFC 9147 9).
//
// RFC 9147 5.8.4 [1], 9 [9]
func TestOneRequestAtATime(t *testing.T) {
	client, server := with(identified(8, 8))
	s := traced(t, client, server)
	s.settle()
	sent, lost := 0, true // its ACKs: the server's flight stays out, and so the answer waits
	s.fate = losing(func(p *parcel) bool {
		if p.from == s.client {
			sent++
		}
		return lost && p.from == s.client && (sent == 2 || sent > 3)
	})
	for range 2 {
		for _, d := range []*side{s.client, s.server} {
			if err := d.RotateConnectionIDs(s.now); err != nil {
				t.Fatal(err)
			}
			d.transmit()
		}
		s.advance(s.client.backoff.Timeout())
	}
	requests := map[uint16]bool{}
	for _, e := range s.client.events {
		if e.Kind == handshake.EventMessage && e.Direction == handshake.Sent && e.Message == protocol.RequestConnectionID {
			requests[e.Seq] = true
		}
	}
	lost = false
	s.settle()
	if len(requests) != 1 {
		t.Errorf("%d requests", len(requests))
	}
	if n := len(s.client.ids.spare); n < spareIDs {
		t.Errorf("the answer has %d IDs", n)
	}
	s.exchange()
}

// NewConnectionId and RequestConnectionId come only where the records that they
// speak of carry IDs (RFC 9147 9).
//
// RFC 9147 9 [6]
func TestUnexpectedConnectionIDMessages(t *testing.T) {
	var b wire.Builder
	fresh := message.NewConnectionID{IDs: [][]byte{[]byte("new")}}
	fresh.Append(&b)
	body, _ := b.Bytes()
	for _, c := range []struct {
		name   string
		change func(client, server *Config)
		kind   protocol.HandshakeType
		body   []byte
		want   alert.Alert
	}{
		{"new without any", together(), protocol.NewConnectionID, body, alert.UnexpectedMessage},
		{"request without any", together(), protocol.RequestConnectionID, []byte{1}, alert.UnexpectedMessage},
		{"new of a client that has none", identified(0, 8), protocol.NewConnectionID, body, alert.UnexpectedMessage},
		{"request for a client whose records have none", identified(8, 0), protocol.RequestConnectionID, []byte{1}, alert.UnexpectedMessage},
		{"new, empty", identified(8, 8), protocol.NewConnectionID, []byte{0, 1, 0, 0}, alert.IllegalParameter},
		{"new, of unknown use", identified(8, 8), protocol.NewConnectionID, []byte{0, 0, 2}, alert.IllegalParameter},
		{"request without a number", identified(8, 8), protocol.RequestConnectionID, nil, alert.DecodeError},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(sharedKey, c.change)
			s := established(t, client, server)
			s.server.receive(s.client.record(3, protocol.Handshake, whole(c.kind, s.server.assembler.Next(), c.body)))
			expectAlert(t, s.server.err, c.want)
		})
	}
}

// --- Configuration

// sized makes IDs that its Len takes for others.
type sized struct{ makes, tells int }

func (g sized) New() []byte    { return make([]byte, g.makes) }
func (g sized) Len([]byte) int { return g.tells }

func TestConnectionIDConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		want   []string // in the error; none: there is none
	}{
		{"too long", Config{ConnectionIDs: RandomConnectionIDs(256)}, []string{"ConnectionIDs", "256"}},
		{"misjudged", Config{ConnectionIDs: sized{8, 7}}, []string{"ConnectionIDs", "8", "7"}},
		{"no room", Config{ConnectionIDs: RandomConnectionIDs(200), MTU: 300}, []string{"ConnectionIDs", "200", "MTU", "300", "64"}},
		{"room", Config{ConnectionIDs: RandomConnectionIDs(200), MTU: 302}, nil},
		{"unknown check", Config{PathCheck: 3}, []string{"PathCheck"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.config.ServerName = "server.example"
			_, err := NewClientEngine(&c.config)
			if c.want == nil && err != nil {
				t.Fatal(err)
			}
			for _, part := range c.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("%v, expected %q in it", err, part)
				}
			}
		})
	}
}

// The peer's ID may be too long for our MTU, which only the handshake shows.
func TestConnectionIDAgainstMTU(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(0, 200))
		client.MTU = 300
		s := simulate(t, 1, client, server)
		err := s.run(s.open)
		if err == nil || !strings.Contains(err.Error(), "200") || !strings.Contains(err.Error(), "MTU of 300") {
			t.Errorf("%v, expected both to be named", err)
		}
	})
}

// A server whose IDs are all taken goes on without (short IDs run out).
func TestConnectionIDsTaken(t *testing.T) {
	client, server := with(identified(8, 1))
	s := simulate(t, 1, client, server, func(s *simulation) {
		s.server.ids.register = func([]byte) bool { return false }
	})
	s.settle()
	s.exchange()
	s.expectIDs(8, 0)
}

// Handshakes with IDs survive every loss of a single datagram.
func TestConnectionIDsAndLoss(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for lost := range 12 {
			client, server := with(version, clientAuth, identified(8, 8), mtu(400))
			s := simulate(t, 1, client, server, fated(losing(func(p *parcel) bool { return p.index == lost })))
			s.settle()
			s.exchange()
			s.expectIDs(8, 8)
		}
	})
}

// Record and message of a rotation get lost, each once and together.
func TestRotationAndLoss(t *testing.T) {
	client, server := with(identified(8, 8))
	for mask := 0; mask < 1<<8; mask += stride(7) {
		s := established(t, client, server)
		s.fate = losing(func(p *parcel) bool { return p.index < 8 && mask>>p.index&1 == 1 })
		for _, d := range []*side{s.client, s.server} {
			if err := d.RotateConnectionIDs(s.now); err != nil {
				t.Fatal(err)
			}
			d.transmit()
		}
		before := slices.Concat(s.client.ids.remote, s.server.ids.remote)
		s.settle()
		s.exchange()
		if bytes.Equal(before, slices.Concat(s.client.ids.remote, s.server.ids.remote)) {
			t.Fatalf("%08b: nothing is new", mask)
		}
	}
}

// Nothing follows close_notify.
func TestRotateAfterClose(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	s.server.Close(s.now)
	s.server.did(nil)
	sent := len(s.sent)
	if err := s.server.RotateConnectionIDs(s.now); err != errClosed {
		t.Errorf("%v, expected %v", err, errClosed)
	}
	if s.server.did(nil); len(s.sent) > sent {
		t.Error("something follows close_notify")
	}
}

// What State returns is the caller's.
func TestStateOfConnectionIDs(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	state := s.server.State()
	clear(state.LocalConnectionID)
	clear(state.RemoteConnectionID)
	s.exchange()
}

// An MTU without room beside the peer's IDs is refused.
func TestSetMTUBelowConnectionID(t *testing.T) {
	client, server := with(identified(255, 8))
	s := established(t, client, server)
	if err := s.server.SetMTU(228); err == nil {
		t.Error("the server has an MTU of 228")
	}
	if err := s.client.SetMTU(228); err != nil {
		t.Error(err)
	}
	s.exchange()
}
