package dtls

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// address is a path to a host of its own.
func address(n byte) Path {
	return Path{Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, n}), 4433)}
}

// home is where everybody is at first.
var home = Path{}

func pathCheckOf(c PathCheck) func(client, server *Config) {
	return func(client, server *Config) { client.PathCheck, server.PathCheck = c, c }
}

// post sends data from d to where the peer is thought to be.
func (d *side) post(data string) {
	d.s.t.Helper()
	b := d.seal(data)
	d.s.send(d, b, d.Path())
	if also, ok := d.Candidate(len(b)); ok {
		d.s.send(d, b, also)
	}
}

// expectRead checks what d has read since the last time.
func (d *side) expectRead(want ...string) {
	d.s.t.Helper()
	if fmt.Sprintf("%q", d.read) != fmt.Sprintf("%q", want) {
		d.s.t.Fatalf("%s: read %q, expected %q", d.name, d.read, want)
	}
	d.read = nil
}

// bytesTo counts what d has sent to a path.
func (d *side) bytesTo(to Path) (n int) {
	for _, p := range d.s.sent {
		if p.from == d && p.to == to {
			n += len(p.data)
		}
	}
	return n
}

// A NAT gives the client another port: what it sends arrives, what the server
// answers arrives, the server moves there after a check, and in 1.3 both get new
// IDs.
//
// RFC 9147 9 [7], 11 [8]; RFC 9853 3 [3], 3.1 [1], 5.2 [5], 5.5 [1, 2]
func TestRebinding(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, c := range []struct {
			name  string
			check PathCheck
			takes time.Duration // at most, until it has moved
		}{{"enhanced", EnhancedPathCheck, checkTime + 4*latency}, {"basic", BasicPathCheck, 4 * latency}} {
			t.Run(c.name, func(t *testing.T) {
				client, server := with(version, identified(8, 8), pathCheckOf(c.check))
				s := established(t, client, server)
				before := s.client.State()
				s.client.at = address(1)
				s.client.post("from elsewhere")
				s.advance(latency)
				s.server.expectRead("from elsewhere")
				s.server.post("answer")
				s.advance(latency)
				s.client.expectRead("answer") // the old path is dead
				s.advance(c.takes)
				if got := s.server.Path(); got != address(1) {
					t.Fatalf("the server writes to %v", got)
				}
				s.settle()
				s.server.post("settled")
				s.settle()
				s.client.expectRead("settled")
				after := s.client.State()
				renewed := !bytes.Equal(before.LocalConnectionID, after.LocalConnectionID) && !bytes.Equal(before.RemoteConnectionID, after.RemoteConnectionID)
				if renewed != s.server.version.Is13() {
					t.Errorf("IDs were % x, % x and are % x, % x", before.LocalConnectionID, before.RemoteConnectionID, after.LocalConnectionID, after.RemoteConnectionID)
				}
				if n := s.server.Stats().Moves; n != 1 {
					t.Errorf("moved %d times", n)
				}
			})
		}
	})
}

// A NAT that gives the client one port after another is followed to the last.
func TestRebindingWhileAsked(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, check := range []PathCheck{EnhancedPathCheck, BasicPathCheck} {
			client, server := with(version, identified(8, 8), pathCheckOf(check))
			s := established(t, client, server)
			for n := range byte(10) {
				s.client.at = address(n + 1)
				s.client.post("from elsewhere")
				s.advance(latency)
				s.server.expectRead("from elsewhere")
				s.server.post("answer")
				s.advance(2 * latency)
				s.client.expectRead("answer")
			}
			s.settle()
			if s.server.Path() != address(10) {
				t.Errorf("the server writes to %v", s.server.Path())
			}
		}
	})
}

// A client whose address changes before the ACK of its KeyUpdate comes writes under the
// keys of before, until it gets the ACK at the new address.
//
// RFC 9147 8 [4]
func TestRebindingBeforeACK(t *testing.T) {
	for _, check := range []PathCheck{EnhancedPathCheck, BasicPathCheck} {
		client, server := with(identified(8, 8), pathCheckOf(check))
		s := established(t, client, server)
		s.fate = losing(func(p *parcel) bool { return p.from == s.server && p.to == home })
		s.client.update(UpdateNotRequested)
		s.advance(time.Second)
		s.client.at = address(1)
		s.client.post("from elsewhere")
		s.advance(10 * time.Second)
		if s.server.Path() != address(1) {
			t.Errorf("check %d: the server writes to %v", check, s.server.Path())
		}
		s.settle()
		s.server.expectRead("from elsewhere")
		s.expectEpochs(4, 3)
		s.exchange()
	}
}

// Without connection IDs the peer is lost: this is what they are for.
func TestRebindingWithoutConnectionIDs(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		s.client.at = address(1)
		s.client.post("from elsewhere") // a Listener would not even find us
		s.settle()
		s.server.read = nil
		s.server.post("answer")
		s.settle()
		s.client.expectRead()
		if s.server.Path() != home {
			t.Errorf("the server writes to %v", s.server.Path())
		}
	})
}

// A challenge or two may get lost.
//
// RFC 9853 5.3 [1, 2]
func TestRebindingAndLoss(t *testing.T) {
	for lost := range 2 {
		client, server := with(identified(8, 8), pathCheckOf(BasicPathCheck))
		s := established(t, client, server)
		s.client.at = address(1)
		challenges := 0
		s.fate = losing(func(p *parcel) bool {
			if p.from == s.server && p.to == address(1) {
				challenges++
			}
			return p.from == s.server && p.to == address(1) && challenges <= lost
		})
		s.client.post("from elsewhere, with some more bytes")
		s.settle()
		if s.server.Path() != address(1) || challenges <= lost {
			t.Errorf("%d lost of %d: the server writes to %v", lost, challenges, s.server.Path())
		}
	}
}

// The handshake stays where it began.
func TestNoMoveWithinTheHandshake(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(8, 8), clientAuth)
		s := simulate(t, 1, client, server, func(s *simulation) {
			s.fate = func(p *parcel) []time.Duration {
				if p.from == s.client && len(s.sent) > 2 {
					p.by = address(1) // somebody copies the end of the handshake
				}
				return prompt(p)
			}
		})
		s.settle()
		if s.server.Path() != home || s.server.Stats().Moves != 0 {
			t.Errorf("the server writes to %v", s.server.Path())
		}
	})
}

// Records that came while a step of the handshake waited say nothing about where the
// last datagram came from, which may be anybody's.
func TestHeldRecordsMoveNothing(t *testing.T) {
	client, server := with(identified(8, 8), clientAuth)
	s := simulate(t, 1, client, server, func(s *simulation) {
		s.workTime = func() time.Duration { return 3 * latency }
	})
	for !s.client.Open() || s.server.current == nil {
		if !s.step() {
			t.Fatal("nothing waits")
		}
	}
	s.server.receiveFrom(s.client.seal("early"), home)
	if s.server.held == nil {
		t.Fatal("nothing is held")
	}
	s.workTime, s.server.doneAt = nil, s.now
	s.server.ReceiveFrom([]byte("garbage"), address(66), s.now)
	s.server.work()
	s.server.work = nil
	s.server.did(s.server.Resume(s.now))
	if !s.server.Open() || s.server.paths.check != nil {
		t.Errorf("the server is open: %v, and asks %+v", s.server.Open(), s.server.paths.check)
	}
	s.settle()
	s.exchange()
}
