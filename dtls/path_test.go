package dtls

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
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

// --- The application decides

// RFC 9146 6 [1]; RFC 9853 3 [4]
func TestAcceptMove(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, accept := range []bool{true, false} {
			client, server := with(version, identified(0, 8))
			client.PathCheck = NoPathCheck
			var asked []netip.AddrPort
			server.AcceptMove = func(from, to netip.AddrPort) bool {
				asked = append(asked, from, to)
				return accept
			}
			s := established(t, client, server)
			older := s.client.seal("older")
			s.client.at = address(1)
			s.client.post("from elsewhere")
			s.settle()
			want := home
			if accept {
				want = address(1)
			}
			if len(asked) != 2 || asked[1] != address(1).Remote || s.server.Path() != want {
				t.Errorf("asked %v, answered %v: the server writes to %v", asked, accept, s.server.Path())
			}
			// What is older moves nothing, and nobody is asked.
			s.server.receiveFrom(older, address(2))
			s.server.expectRead("from elsewhere", "older")
			if len(asked) != 2 || s.server.Path() != want {
				t.Errorf("an older record: asked %v, the server writes to %v", asked, s.server.Path())
			}
		}
	})
}

// Migrate moves at once. Who asks at the old path learns that we left it.
//
// RFC 9853 4 [2], 5.2 [2, 4]
func TestMigrate(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	s.server.at = address(9)
	if err := s.client.Migrate(address(9), s.now); err != nil {
		t.Fatal(err)
	}
	if s.client.Path() != address(9) {
		t.Fatalf("the client writes to %v", s.client.Path())
	}
	s.client.transmit()
	s.settle()

	// The client has two addresses, writes by the second and is asked at the first.
	s = established(t, client, server)
	for n := range byte(3) { // of two networks, one with an address after the other
		if err := s.client.Migrate(address(6+n), s.now); err != nil {
			t.Fatal(err)
		}
	}
	record := s.client.seal("by the new path")
	last := func(from *side) []byte { // what it has sent to the old path
		for _, p := range slices.Backward(s.sent) {
			if p.from == from && p.to == home {
				return p.data
			}
		}
		t.Fatalf("%s sends nothing to the old path", from.name)
		return nil
	}
	s.sent = nil
	s.server.receiveFrom(record, address(7))
	s.client.receiveFrom(last(s.server), home)
	s.server.receiveFrom(last(s.client), home)
	if c := s.server.paths.check; c == nil || c.asks != newPath {
		t.Errorf("after path_drop the server asks %+v", c)
	}

	// Where it has come back to, it is.
	if err := s.client.Migrate(home, s.now); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(s.client.paths.left, home) || !slices.Contains(s.client.paths.left, address(8)) {
		t.Errorf("the client has left %v", s.client.paths.left)
	}
}

// --- Attackers

// A copier is on the way of what the client sends and is faster: its copies come
// first, from an address of its own, and the true records are duplicates then.
// It draws nobody there by that, loses nobody anything, and floods nobody.
//
// RFC 9147 11 [6]; RFC 9146 6 [1]
func TestCopier(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, check := range []PathCheck{EnhancedPathCheck, BasicPathCheck, NoPathCheck} {
			t.Run(fmt.Sprint(check), func(t *testing.T) {
				client, server := with(version, identified(8, 8), pathCheckOf(check))
				s := established(t, client, server)
				in := 0
				s.fate = func(p *parcel) []time.Duration {
					if p.from == s.client {
						in += len(p.data)
						s.air = append(s.air, &parcel{from: p.from, data: p.data, by: address(66), at: s.now.Add(latency / 2)})
					}
					return prompt(p)
				}
				var sent, answered []string
				for n := range 40 {
					sent = append(sent, fmt.Sprint("request ", n))
					s.client.post(sent[n])
					s.advance(latency)
					answered = append(answered, fmt.Sprintf("a longer answer to request %d", n))
					s.server.post(answered[n])
					s.advance(300 * time.Millisecond)
				}
				s.settle()
				s.server.expectRead(sent...)
				s.client.expectRead(answered...)
				if s.server.Path() != home || s.server.Stats().Moves != 0 {
					t.Errorf("the server writes to %v", s.server.Path())
				}
				if out := s.server.bytesTo(address(66)); out > amplification*in {
					t.Errorf("%d bytes go to the copier, who sent %d", out, in)
				}
			})
		}
	})
}

// A copier that also carries what comes to it on to the client, and back: with the
// enhanced check it gets nowhere as long as the way that it is on works
// (RFC 9853 8.1.2).
//
// RFC 9853 5.2 [3]
func TestForwardingCopier(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(8, 8))
		s := established(t, client, server)
		s.fate = func(p *parcel) []time.Duration {
			if p.from == s.client { // faster than the network
				s.air = append(s.air, &parcel{from: p.from, data: p.data, by: address(66), at: s.now.Add(latency / 2)})
			}
			if p.from == s.server && p.to == address(66) {
				s.air = append(s.air, &parcel{from: p.from, data: p.data, at: s.now.Add(latency)})
				return nil
			}
			return prompt(p)
		}
		for n := range 20 {
			s.client.post(fmt.Sprint("request ", n))
			s.advance(700 * time.Millisecond)
		}
		s.settle()
		if s.server.Path() != home || s.server.Stats().Moves != 0 {
			t.Errorf("the server writes to %v", s.server.Path())
		}
		if len(s.server.read) != 20 {
			t.Errorf("%d of 20 requests arrived", len(s.server.read))
		}
	})
}

// Old records, and forged ones, that come from elsewhere change nothing: stacks
// move the address with any record that opens (RFC 9146 6).
//
// RFC 9147 11 [6]; RFC 9146 6 [1]
func TestPitfallReplayFromElsewhere(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(8, 8))
		server.AcceptMove = func(_, _ netip.AddrPort) bool { return true }
		s := established(t, client, server)
		s.client.post("data")
		late := s.client.seal("late")
		s.client.post("newest")
		s.settle()
		replayed := s.sent[0].data
		forged := bytes.Clone(late)
		forged[len(forged)-1] ^= 1
		for name, record := range map[string][]byte{"replayed": replayed, "forged": forged} {
			before := snapshot(s.server.Engine)
			s.server.receiveFrom(record, address(66))
			if snapshot(s.server.Engine) != before {
				t.Errorf("%s: it changes something", name)
			}
		}
		s.server.receiveFrom(late, address(66)) // genuine, but not the newest
		s.server.expectRead("data", "newest", "late")
		if s.server.Path() != home || s.server.paths.check != nil || s.server.bytesTo(address(66)) > 0 {
			t.Errorf("the server writes to %v, asks %+v", s.server.Path(), s.server.paths.check)
		}
	})
}

// While a path is asked about, what goes there stays within three times what came
// from there, however much there is to write.
//
// RFC 9853 5 [1]
func TestCandidateBudget(t *testing.T) {
	client, server := with(identified(8, 8), pathCheckOf(BasicPathCheck))
	s := established(t, client, server)
	s.client.at = address(66)
	s.client.post("x")
	in := len(s.sent[0].data)
	s.client.at = home // nobody answers at address(66)
	s.advance(latency)
	for range 100 {
		s.server.post("a long answer, again and again")
	}
	s.settle()
	if out := s.server.bytesTo(address(66)); out == 0 || out > amplification*in {
		t.Errorf("%d bytes out, %d came from there", out, in)
	}
	if s.server.Path() != home || s.server.paths.check != nil {
		t.Errorf("the server writes to %v, asks %+v", s.server.Path(), s.server.paths.check)
	}
	if n := len(s.client.read); n != 100 {
		t.Errorf("the client read %d of 100", n)
	}
}

// --- Messages

func checkMessage(kind uint8, c uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, c)
}

// Each challenge is answered once, with its cookie, to where it came from; what
// answers nothing of ours, and what is unknown, is ignored.
//
// RFC 9853 4 [2, 3], 5.2 [1], 5.4 [1, 2, 3, 4]
func TestChallengeIsAnswered(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(8, 8))
		s := established(t, client, server)
		for n, body := range [][]byte{
			checkMessage(pathChallenge, 1), checkMessage(pathResponse, 2), checkMessage(pathDrop, 3), checkMessage(77, 4), {77},
			{pathResponse}, append(checkMessage(pathDrop, 5), 0), // RFC 9853 5.4
		} {
			s.sent, s.air = nil, nil
			s.client.receiveFrom(s.server.record(s.server.newest().number, protocol.ReturnRoutability, body), home)
			if n > 0 {
				if len(s.sent) > 0 || s.client.Err() != nil {
					t.Errorf("% x: %d datagrams, %v", body, len(s.sent), s.client.Err())
				}
				continue
			}
			if len(s.sent) != 1 || s.sent[0].to != home {
				t.Fatalf("a challenge has %d answers", len(s.sent))
			}
		}
		s.exchange()
	})
}

// A datagram full of challenges gets no more than so many answers.
//
// RFC 9853 5.4 [2]
func TestManyChallengesAtOnce(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(8, 8))
		s := established(t, client, server)
		var datagram []byte
		for n := range uint64(2 * maxAnswers) {
			datagram = append(datagram, s.server.record(s.server.newest().number, protocol.ReturnRoutability, checkMessage(pathChallenge, n))...)
		}
		s.client.receiveFrom(datagram, home)
		if len(s.sent) != maxAnswers {
			t.Errorf("%d answers, expected %d", len(s.sent), maxAnswers)
		}
		s.exchange()
	})
}

// Each challenge has a cookie of its own, which nobody can guess (RFC 9853 5.3).
//
// RFC 9853 5.3 [3]
func TestChallengesDiffer(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	s.fate = losing(func(p *parcel) bool { return p.from == s.server })
	s.client.at = address(1)
	s.client.post("from elsewhere")
	seen := map[cookie]bool{{}: true}
	for range 20 {
		s.advance(checkTime / 10)
		if c := s.server.paths.check; c != nil && len(c.challenges) > 0 {
			seen[c.challenges[len(c.challenges)-1]] = true
		}
	}
	if len(seen) != 1+2*maxChallenges {
		t.Errorf("%d cookies, of %d challenges", len(seen)-1, 2*maxChallenges)
	}
}

// Of an open connection the keys of the handshake have nothing to ask (RFC 9853 4).
//
// RFC 9853 4 [1]
func TestChallengeUnderKeysOfTheHandshake(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	s.server.receive(s.client.record(handshake.LevelHandshake, protocol.ReturnRoutability, checkMessage(pathChallenge, 1)))
	expectAlert(t, s.server.err, alert.UnexpectedMessage)
}

// What both have not agreed on is an unexpected message; what is cut short can't
// be read.
//
// RFC 9853 3 [4], 4 [1]
func TestReturnRoutabilityIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(client, server *Config)
		body   []byte
		want   alert.Alert
	}{
		{"not agreed", pathCheckOf(NoPathCheck), checkMessage(pathChallenge, 1), alert.UnexpectedMessage},
		{"empty", together(), nil, alert.DecodeError},
		{"short", together(), checkMessage(pathChallenge, 1)[:8], alert.DecodeError},
		{"long", together(), append(checkMessage(pathChallenge, 1), 0), alert.DecodeError},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
				client, server := with(version, identified(8, 8), c.change)
				s := established(t, client, server)
				s.client.receive(s.server.record(s.server.newest().number, protocol.ReturnRoutability, c.body))
				expectAlert(t, s.client.err, c.want)
			})
		})
	}
}

// --- At the edges

// What checks a path keeps its length where data may follow in its datagram.
//
// RFC 9147 4 [4]
func TestChecksBeforeData(t *testing.T) {
	client, server := with(identified(8, 8), shortHeaders)
	s := established(t, client, server)
	record := s.server.record(s.server.newest().number, protocol.ReturnRoutability, checkMessage(pathChallenge, 1))
	if err := s.client.ReceiveFrom(record, home, s.now); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1500)
	first, _ := s.client.transmitBefore(buf)
	n, err := s.client.Write(buf[first:], []byte("data"), s.now)
	if first == 0 || err != nil {
		t.Fatalf("an answer of %d bytes, %v", first, err)
	}
	s.server.receive(buf[:first+n])
	s.server.expectRead("data")
	if n := s.server.Stats().Dropped.Total(); n > 0 {
		t.Errorf("%d records are dropped", n)
	}
}

// Padding is no reason to send more than three times what came.
func TestCandidateBudgetAndPadding(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(8, 8), pathCheckOf(BasicPathCheck))
		server.RecordPadding = 1000
		s := established(t, client, server)
		s.client.at = address(66)
		s.client.post("x")
		challenge := s.client.record(s.client.newest().number, protocol.ReturnRoutability, checkMessage(pathChallenge, 1))
		in := len(s.sent[0].data)
		s.client.at = home
		s.settle()
		if out := s.server.bytesTo(address(66)); out == 0 || out > amplification*in {
			t.Errorf("%d bytes out, %d came from there", out, in)
		}
		s.server.receiveFrom(challenge, address(77)) // older than the newest: this is nobody's candidate
		s.settle()
		if out := s.server.bytesTo(address(77)); out == 0 || out > amplification*len(challenge) {
			t.Errorf("an answer of %d bytes for %d", out, len(challenge))
		}
	})
}

// An Engine that can't ask any more doesn't want to be woken for it all the time.
func TestPathDeadline(t *testing.T) {
	for name, stop := range map[string]func(s *simulation){
		"aborted": func(s *simulation) { s.server.Abort(alert.UserCanceled, s.now) },
		"closed":  func(s *simulation) { s.server.Close(s.now) },
		"without numbers": func(s *simulation) {
			s.server.newest().limit = s.server.newest().next
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := with(identified(8, 8), keeping)
			s := established(t, client, server)
			s.client.at = address(1)
			s.server.ReceiveFrom(s.client.seal("from elsewhere"), address(1), s.now)
			if s.server.paths.check == nil {
				t.Fatal("nothing is asked")
			}
			stop(s)
			buf := make([]byte, 1500)
			now, wakes := s.now, 0
			for at := s.server.Deadline(); !at.IsZero() && at.Before(s.now.Add(time.Minute)) && wakes < 1000; at = s.server.Deadline() {
				if at.After(now) {
					now = at
				}
				s.server.Expire(now)
				for n := s.server.Transmit(buf); n > 0; n = s.server.Transmit(buf) {
				}
				wakes++
			}
			if wakes > 20 {
				t.Errorf("woken %d times", wakes)
			}
		})
	}
}

// Before the handshake is complete there is no path to be asked about, and the keys
// to answer under may not be there yet.
func TestChallengeWithinTheHandshake(t *testing.T) {
	client, server := with(identified(8, 8))
	s := simulate(t, 1, client, server)
	for len(s.server.reads) == 0 || s.client.newest().number == 0 {
		if !s.step() {
			t.Fatal("no keys")
		}
	}
	record := s.client.record(s.server.readLevel(), protocol.ReturnRoutability, checkMessage(pathChallenge, 1))
	before := len(s.sent)
	s.server.receiveFrom(record, address(66))
	if s.server.Open() || len(s.sent) > before || s.server.Err() != nil {
		t.Errorf("%d datagrams are sent, open: %v, %v", len(s.sent)-before, s.server.Open(), s.server.Err())
	}
	s.settle()
	s.exchange()
}

// The answer of a peer that waits for the Store counts where it came from, whatever
// comes from elsewhere meanwhile.
func TestParkedPathResponse(t *testing.T) {
	client, server := with(identified(8, 8), keeping, pathCheckOf(BasicPathCheck))
	s := established(t, client, server)
	s.advance(time.Minute) // all is stored, and little reserved
	s.fate = func(p *parcel) []time.Duration {
		if p.to == address(66) {
			p.to = home // whoever is there forwards what he gets
		}
		return prompt(p)
	}
	// Somebody has copied a record and sent it from address(66).
	s.server.receiveFrom(s.client.seal("copied"), address(66))
	s.server.ReceiveFrom(s.client.seal("as it was"), home, s.now)
	if s.server.paths.check == nil {
		t.Fatal("nothing is asked")
	}
	c := s.server.paths.check.challenges[0]
	for _, r := range s.server.reads {
		r.limit = 0 // the Store is slow
	}
	answer := s.client.record(s.client.newest().number, protocol.ReturnRoutability, append([]byte{pathResponse}, c[:]...))
	s.server.ReceiveFrom(answer, home, s.now)
	if len(s.server.reserve.parked) == 0 {
		t.Fatal("the answer does not wait")
	}
	s.server.ReceiveFrom([]byte("garbage"), address(66), s.now)
	s.server.did(nil) // the Store answers
	if s.server.Path() != home {
		t.Errorf("the server writes to %v", s.server.Path())
	}
}

// However much there is to write to a candidate, it can be asked.
func TestCandidateIsAsked(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	s.client.at = address(1)
	s.client.post("x")
	in := len(s.sent[0].data)
	s.advance(latency)
	s.server.post(string(make([]byte, amplification*in-len(s.server.seal(""))-2))) // as much as is allowed
	s.settle()
	if s.server.Path() != address(1) {
		t.Errorf("the server writes to %v", s.server.Path())
	}
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

// Only an open association moves, and where it is already it stays.
func TestMigrateRefused(t *testing.T) {
	client, server := with(identified(8, 8))
	s := simulate(t, 0, client, server)
	if err := s.client.Migrate(address(9), s.now); err != errNotOpen {
		t.Errorf("before the handshake: %v", err)
	}
	s = established(t, client, server)
	if err := s.client.Migrate(s.client.Path(), s.now); err != nil || len(s.client.paths.left) > 0 {
		t.Errorf("to where it is: %v, and it has left %v", err, s.client.paths.left)
	}
	s.client.Abort(alert.AccessDenied, s.now)
	if err := s.client.Migrate(address(9), s.now); err == nil || err != s.client.Err() {
		t.Errorf("after its end: %v", err)
	}
	if err := s.client.RotateConnectionIDs(s.now); err == nil || err != s.client.Err() {
		t.Errorf("RotateConnectionIDs after its end: %v", err)
	}
}
