package dtls

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

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
