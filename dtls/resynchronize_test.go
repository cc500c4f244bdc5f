package dtls

import (
	"bytes"
	"fmt"
	"math/bits"
	"testing"

	"github.com/godwit-dtls/godwit/shared/suite"
)

// lose is a burst of n records of d that nobody gets.
func (d *side) lose(n uint64) { d.newest().next += n }

// farOn is established with numbers that can be counted back from.
func farOn(t *testing.T, client, server *Config) *simulation {
	s := established(t, client, server)
	for range 1 << 10 {
		s.client.lose(127)
		s.exchange()
	}
	s.client.read, s.server.read = nil, nil
	return s
}

// newestRead is where d reads the newest records.
func (d *side) newestRead() *readEpoch { return d.reads[len(d.reads)-1] }

// missed sends records of d until one arrives, and returns how many didn't. Before each
// it calls between.
func (d *side) missed(most int, between func()) int {
	d.s.t.Helper()
	before := len(d.peer.read)
	for n := 0; n <= most; n++ {
		between()
		data := fmt.Sprint("record ", n)
		if d.peer.receive(d.seal(data)); len(d.peer.read) > before {
			if got := string(d.peer.read[before]); got != data {
				d.s.t.Fatalf("read %q, want %q", got, data)
			}
			return n
		}
	}
	d.s.t.Fatalf("no record of %d arrives (%v)", most, d.peer.err)
	return 0
}

// mostMissed is how many records get lost after a burst, of which one in steps may
// find back: more than these once in e^40 bursts.
func mostMissed(lost uint64, steps int) int {
	k := (lost + 1<<15) >> 16
	return lostAfter + 40*16*steps<<(bits.Len64(k)-1)
}

// A receiver finds back after any burst, and then its window is where the peer is.
func TestResynchronize(t *testing.T) {
	for _, c := range []setting{
		protections[0],
		{"ChaCha20", cipherSuite(suite.TLS_CHACHA20_POLY1305_SHA256)},
		{"CCM", cipherSuite(suite.TLS_AES_128_CCM_SHA256)},
		{"connection IDs", identified(8, 8)},
		{"a Store", keeping},
	} {
		losses := [...]uint64{1<<15 - 1, 1<<15 + 1, 100_000, 10_000_000}
		for i := 0; i < len(losses); i += stride(3) {
			lost := losses[i]
			t.Run(fmt.Sprintf("%s/%d", c.name, lost), func(t *testing.T) {
				client, server := with(c.change)
				s := farOn(t, client, server)
				old := s.client.seal("old")
				s.client.lose(lost)
				most := 0
				if lost > 1<<15 {
					most = mostMissed(lost, 1)
				}
				n := s.client.missed(most, func() {})
				t.Logf("%d more", n)
				if lost > 1<<15 && n < lostAfter {
					t.Errorf("after %d records that didn't open it seeks", n)
				}

				s.server.read = nil
				var want []string
				var records [][]byte
				for i := range 5 {
					want = append(want, fmt.Sprint(i))
					records = append(records, s.client.seal(want[i]))
				}
				for i := range 2 * len(records) {
					s.server.receive(bytes.Clone(records[(i*3)%len(records)]))
				}
				s.server.receive(old)
				s.server.once(want)
				s.exchange()
			})
		}
	}
}

// With short headers each 64th record tells, which has 16 bits; where only 8 come, all do.
func TestResynchronizeShortHeaders(t *testing.T) {
	for _, lost := range []uint64{1<<15 + 1, 100_000} {
		client, server := with(shortHeaders)
		s := farOn(t, client, server)
		s.client.lose(lost)
		s.client.missed(mostMissed(lost, fullNumbers), func() {})
		s.exchange()
	}
	client, server := with(shortHeaders)
	s := farOn(t, client, server)
	s.client.lose(1 << 14)
	w := s.client.newest()
	s.client.missed(lostAfter+40*16<<6, func() {
		if w.form() == longForm {
			w.next++
		}
	})
}

// Forged records, and old ones, neither keep a receiver from finding back nor make it
// lose its way, and none costs more than two attempts.
func TestResynchronizeInFlood(t *testing.T) {
	client, server := with()
	s := farOn(t, client, server)
	r := s.server.newestRead()
	old, forged := s.client.seal("old"), s.client.seal("forged")
	s.server.receive(bytes.Clone(old))
	begin := r.window.Highest()
	flood := func() {
		for range 20 {
			for i := range forged[headerSize13:] {
				forged[headerSize13+i] = byte(s.random.Uint32())
			}
			failed := r.opener.Failed()
			s.server.receive(bytes.Clone(forged))
			if attempts := r.opener.Failed() - failed; attempts < 1 || attempts > 2 {
				t.Fatalf("a forged record is tried %d times", attempts)
			}
			failed = r.opener.Failed()
			s.server.receive(bytes.Clone(old))
			if r.opener.Failed() != failed && r.window.Highest() < begin+1<<14 {
				t.Fatal("an old record doesn't open any more")
			}
		}
	}
	for range 50 {
		if n := s.client.missed(0, flood); n != 0 {
			t.Fatalf("%d records don't arrive in a flood", n)
		}
	}
	for _, lost := range []uint64{1<<15 + 1, 100_000, 1_000_000} {
		s.client.lose(lost)
		t.Logf("%d more of %d", s.client.missed(mostMissed(lost, 1), flood), lost)
		if n := s.client.missed(0, flood); n != 0 {
			t.Errorf("after it has found back, %d records don't arrive", n)
		}
	}
}

// What doesn't open is tried once as long as records in between do, in old epochs, and
// where the integrity limit is too close.
func TestOneAttempt(t *testing.T) {
	attempts := func(s *simulation, r *readEpoch, n int) uint64 {
		failed := r.opener.Failed()
		s.server.forge(n)
		return r.opener.Failed() - failed
	}
	client, server := with()
	s := established(t, client, server)
	r := s.server.newestRead()
	for range 10 {
		if got := attempts(s, r, lostAfter); got != lostAfter {
			t.Errorf("%d records were tried %d times", lostAfter, got)
		}
		s.exchange()
	}
	if got := attempts(s, r, lostAfter+10); got != lostAfter+20 {
		t.Errorf("%d records were tried %d times", lostAfter+10, got)
	}
	r.opener.Resume(1 << 35)
	if got := attempts(s, r, 10); got != 10 {
		t.Errorf("beyond half of the limit, 10 records were tried %d times", got)
	}

	s = established(t, client, server)
	r = s.server.newestRead()
	late := s.client.seal("late")
	late[len(late)-1] ^= 1
	s.client.update(UpdateNotRequested)
	s.settle()
	s.exchange()
	for range lostAfter + 10 {
		s.server.receive(bytes.Clone(late))
	}
	if got := r.opener.Failed(); r == s.server.newestRead() || got != lostAfter+10 {
		t.Errorf("%d records of an old epoch were tried %d times", lostAfter+10, got)
	}

	client, server = with(cipherSuite(suite.TLS_AES_128_CCM_8_SHA256))
	s = established(t, client, server)
	if got := attempts(s, s.server.newestRead(), 90); got != 90 {
		t.Errorf("90 records of CCM_8 were tried %d times", got)
	}
}
