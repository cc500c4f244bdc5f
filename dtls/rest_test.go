package dtls

import (
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// rest lets both sides rest for as long as nothing happens.
func (s *simulation) rest(d time.Duration) {
	s.advance(d)
	for _, d := range []*side{s.client, s.server} {
		d.Rest(s.now)
	}
}

// asleep reports whether all that d has of its ciphers are their keys.
func (d *side) asleep() bool {
	for _, r := range d.reads {
		if !r.opener.Resting() || r.mask != nil && !r.mask.Resting() {
			return false
		}
	}
	for _, w := range d.writes {
		if w.sealer != nil && !w.sealer.Resting() || w.mask != nil && !w.mask.Resting() {
			return false
		}
	}
	return true
}

// Who is quiet puts its ciphers away, and takes them for the next record, in either
// direction and with every protection.
func TestCiphersRest(t *testing.T) {
	for _, c := range protections {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			s := established(t, client, server)
			for range 3 {
				s.rest(quiet - 1)
				if s.client.asleep() || s.server.asleep() {
					t.Fatal("asleep too early")
				}
				s.rest(1)
				if !s.client.asleep() || !s.server.asleep() {
					t.Fatal("awake")
				}
				if s.exchange(); s.client.asleep() || s.server.asleep() {
					t.Error("records were exchanged asleep")
				}
			}
		})
	}
}

// A forgery wakes nobody: neither what it took to see that it is one is kept, nor does
// it move when there is something to put away.
func TestForgeriesDoNotWake(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		forged := s.client.seal("nothing to see here, or there")
		forged[len(forged)-1] ^= 1
		s.rest(lifetime)
		for range 3 {
			s.server.receive(forged)
			if !s.server.asleep() || !s.server.RestAt().IsZero() {
				t.Fatal("the server is awake")
			}
		}
		if got := s.server.Stats().Dropped.Authentication; got != 3 {
			t.Errorf("%d records were dropped", got)
		}
		s.exchange()
	})
}

// What of a handshake may still come is read for four minutes, and not kept any longer.
func TestOldEpochsAreForgotten(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	s.rest(lifetime - time.Second)
	if len(s.client.reads) != 2 || len(s.server.reads) != 2 {
		t.Fatalf("%d and %d epochs can be read, want 2", len(s.client.reads), len(s.server.reads))
	}
	s.rest(time.Second)
	for _, d := range []*side{s.client, s.server} {
		if len(d.reads) != 1 || len(d.writes) != 1 || d.received.Len() > 0 || !d.flight.Empty() || !d.RestAt().IsZero() {
			t.Errorf("%s: %d epochs to read, %d to write, %d to acknowledge, something to do at %v", d.name, len(d.reads), len(d.writes), d.received.Len(), d.RestAt())
		}
	}
	s.exchange()
	s.client.update(UpdateRequested)
	s.settle()
	s.exchange() // the server's KeyUpdate goes with it,
	s.settle()
	s.exchange() // and what it protects opens
	if s.rest(lifetime); len(s.client.reads) != 1 || s.client.reads[0].number != 4 {
		t.Errorf("after a KeyUpdate %d epochs can be read", len(s.client.reads))
	}
}

// In 1.2 nothing acknowledges the last flight but what the peer says next. If it says
// nothing, it can't ask for the flight any more after four minutes.
func TestLastFlightIsForgotten(t *testing.T) {
	for name, end := range map[string]func(s *simulation){
		"data":    func(s *simulation) { s.server.receive(s.client.seal("data")) },
		"goodbye": func(s *simulation) { s.client.Close(s.now); s.client.did(nil); s.advance(latency) },
		"silence": func(s *simulation) { s.rest(lifetime) },
	} {
		t.Run(name, func(t *testing.T) {
			client, server := with(only12)
			s := simulate(t, 0, client, server)
			var finished []byte // the client's
			s.run(func() bool {
				flight := s.client.flight
				flight.Rewind()
				for part, ok := flight.Next(maxRecordBody); ok; part, ok = flight.Next(maxRecordBody) {
					finished = part.Message
				}
				return s.open()
			})
			// ask is what the client does that misses the server's last flight.
			ask := func() (answers uint64) {
				before := s.server.Stats().Retransmits
				s.client.flight.Add(finished, handshake.LevelEncrypted)
				s.client.repeat()
				s.client.did(nil)
				s.client.flight.Clear()
				s.advance(latency)
				return s.server.Stats().Retransmits - before
			}
			if s.rest(lifetime / 2); ask() != 1 {
				t.Fatal("the server doesn't repeat its last flight")
			}
			if end(s); !s.server.flight.Empty() || s.server.Outstanding() {
				t.Error("the flight is kept")
			}
			if ask() != 0 || s.server.Err() != nil {
				t.Errorf("it is repeated, or %v", s.server.Err())
			}
		})
	}
}

// RingsAt is when an alarm of c's, or of its Listener's, rings; zero: none does.
func (c *Conn) RingsAt() time.Time {
	c.alarms.mu.Lock()
	defer c.alarms.mu.Unlock()
	return c.alarms.rings
}

// The keys before a KeyUpdate stay at rest, too, until the peer has used the new ones: as
// long as no ACK gets through it knows no others.
func TestRestKeepsKeysBeforeUpdate(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	s.fate = losing(func(p *parcel) bool { return p.from == s.server })
	s.client.update(UpdateNotRequested)
	s.rest(lifetime + time.Minute)
	if at := s.server.RestAt(); !at.IsZero() && !s.now.Before(at) {
		t.Errorf("there is something to let go of since %v", s.now.Sub(at))
	}
	s.expectEpochs(3, 3)
	s.fate = prompt
	s.settle()
	s.expectEpochs(4, 3)
	s.exchange()
}
