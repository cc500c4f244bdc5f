package dtls

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

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
