package dtls

import (
	"bytes"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// Every CCM suite protects handshake and data.
func TestCCM(t *testing.T) {
	for _, s := range suite.Table {
		if !strings.Contains(s.Name, "CCM") {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			changes := []func(client, server *Config){cipherSuite(s.ID)}
			if !s.Version.Is13() {
				changes = append(changes, only12)
			}
			if s.Auth == suite.PSK {
				changes = append(changes, sharedKey)
			}
			client, server := with(changes...)
			c := established(t, client, server)
			if got := c.client.State().CipherSuite; got != s.ID {
				t.Errorf("the suite is %#04x", got)
			}
			for _, n := range []int{1, 12, 384, 385, 1200} {
				c.server.receive(c.client.seal(strings.Repeat("x", n)))
				if got := c.server.read[len(c.server.read)-1]; len(got) != n {
					t.Errorf("%d bytes arrived as %d", n, len(got))
				}
			}
		})
	}
}

// A record whose tag is shorter than the sample for its number is padded
// (RFC 9147 4.2.3), and still fits.
//
// RFC 9147 4.2.3 [2]
func TestShortTag(t *testing.T) {
	for size := 228; size < 260; size++ {
		client, server := with(cipherSuite(suite.TLS_AES_128_CCM_8_SHA256), clientAuth, mtu(size))
		s := simulate(t, 0, client, server)
		s.settle()
		for _, p := range s.sent {
			if len(p.data) > size {
				t.Fatalf("MTU %d: a datagram of %d bytes", size, len(p.data))
			}
		}
		for n := 1; n < 20; n++ {
			data := strings.Repeat("x", n)
			record := s.client.seal(data)
			if want := headerSize13 + max(suite.SampleLen, n+1+8); len(record) != want {
				t.Errorf("%d bytes make a record of %d, want %d", n, len(record), want)
			}
			s.server.receive(record)
			if got := s.server.read[n-1]; string(got) != data {
				t.Fatalf("%d bytes arrived as %q (%v)", n, got, s.server.Err())
			}
		}
		if n, err := s.client.Write(make([]byte, headerSize13+suite.SampleLen-1), nil, s.now); err == nil {
			t.Errorf("an empty record of %d bytes, of which %d have no room", n, headerSize13+suite.SampleLen)
		}
	}
}

// forge gives d records of the newest epoch that don't authenticate.
func (d *side) forge(n int) {
	record := d.peer.seal("forged")
	for range n {
		forged := bytes.Clone(record)
		forged[len(forged)-1] ^= 1
		d.receive(forged)
	}
}

// Before the AEAD's integrity limit the peer is asked for another key; then the
// limit ends no more than an old epoch (RFC 9147 4.5.3).
//
// RFC 9147 4.5.3 [4, 5]; RFC 6347 4.1.2.1 [2]
func TestIntegrityLimit(t *testing.T) {
	const limit = 128
	ccm8 := cipherSuite(suite.TLS_AES_128_CCM_8_SHA256)
	client, server := with(ccm8)
	s := established(t, client, server)
	for round := range uint64(3) {
		s.server.forge(limit/4*3 - 1)
		s.expectEpochs(3+round, 3+round)
		s.server.forge(1)
		s.settle()
		s.exchange() // with the answer
		s.settle()
		s.expectEpochs(4+round, 4+round)
	}

	s = established(t, client, server)
	late, old := s.client.seal("late"), s.client.seal("forged")
	old[len(old)-1] ^= 1
	s.server.forge(limit / 4 * 3)
	s.settle()
	s.exchange()
	s.settle()
	for range limit {
		s.server.receive(bytes.Clone(old))
	}
	before := len(s.server.read)
	if s.server.receive(late); len(s.server.read) != before {
		t.Error("the old epoch is read beyond its limit")
	}
	s.exchange()

	server.DisableKeyUpdate = true
	s = established(t, client, server)
	s.server.forge(limit - 1)
	s.exchange()
	s.expectEpochs(3, 3)
	s.server.forge(1)
	expectAlert(t, s.server.err, alert.BadRecordMAC)
}

// In 1.2 a few forged datagrams end nothing.
//
// RFC 6347 4.1.2.6 [7]
func TestForgeriesIn12(t *testing.T) {
	client, server := with(only12, cipherSuite(suite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8))
	s := established(t, client, server)
	s.server.forge(1000)
	s.exchange()
	if got := s.server.Stats().Dropped.Authentication; got != 1000 {
		t.Errorf("%d of 1000 are dropped", got)
	}
}
