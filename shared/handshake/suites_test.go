package handshake

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// What isn't safe has to be asked for: by both sides.
//
// RFC 9147 4.5.3 [6]
func TestInsecureSuitesAreOffByDefault(t *testing.T) {
	insecure := InsecureCipherSuites()
	if len(insecure) == 0 || slices.ContainsFunc(CipherSuites(), func(s *tls.CipherSuite) bool { return s.Insecure || suite.ByID(s.ID).CBC != nil }) {
		t.Fatalf("%d suites are insecure, and one of the others is, too", len(insecure))
	}
	if got := len(CipherSuites()) + len(insecure); got != len(suite.Table) {
		t.Errorf("%d suites are listed of %d", got, len(suite.Table))
	}
	for _, config := range []*Config{{}, {CipherSuites: []uint16{suite.TLS_AES_128_GCM_SHA256}}} {
		for s := range config.suites(protocol.VersionTLS12) {
			if s.Insecure() {
				t.Errorf("%s is enabled without being named", s.Name)
			}
		}
	}
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, named := range []Role{Client, Server} {
			client, server := configs(protocol.VersionTLS12)
			config := client
			if named == Server {
				config = server
			}
			config.CipherSuites = []uint16{suite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
			p := begin(t, transport, client, server).run()
			p.server.expectRefused(t, alert.HandshakeFailure)
			if !errors.Is(p.server.err, alert.NoCommonSuite) {
				t.Errorf("%v has not the reason that no suite is in common", p.server.err)
			}
		}
	})
}

// TestChaCha20First: a client that puts ChaCha20 first gets it, unless the server
// has an order of its own.
func TestChaCha20First(t *testing.T) {
	const chacha, aes = suite.TLS_CHACHA20_POLY1305_SHA256, suite.TLS_AES_128_GCM_SHA256
	const chacha12, aes12 = suite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	for _, c := range []struct {
		version      protocol.Version
		client, ours []uint16
		want         uint16
	}{
		{protocol.VersionTLS13, []uint16{chacha, aes}, nil, chacha},
		{protocol.VersionTLS13, []uint16{aes, chacha}, nil, aes},
		{protocol.VersionTLS13, []uint16{chacha, aes}, []uint16{aes, chacha}, aes},
		{protocol.VersionTLS13, []uint16{chacha, aes}, []uint16{aes12}, chacha}, // orders those of 1.2
		{protocol.VersionTLS12, []uint16{chacha12, aes12}, nil, chacha12},
		{protocol.VersionTLS12, []uint16{aes12, chacha12}, nil, aes12},
	} {
		client, server := configs(c.version)
		client.CipherSuites, server.CipherSuites = c.client, c.ours
		if got := complete(t, protocol.Stream, client, server).client.m.State().CipherSuite; got != c.want {
			t.Errorf("client %#x, server %#x: %#x", c.client, c.ours, got)
		}
	}
}

// TestShortTags: with keys and certificates a client offers suites with tags of 8
// bytes after all others of 1.2, in 1.3 not at all, and gets one if the server has
// no other.
//
// RFC 9147 4.5.3 [6]
func TestShortTags(t *testing.T) {
	client, server := pskConfigs(protocol.VersionTLS12, keyNamed("device", PSKDirect12))
	client.PSKOrCertificate = true
	var short []uint16
	for s := range client.offeredSuites(protocol.VersionTLS12) {
		if s.AEAD.TagLen == 8 {
			short = append(short, s.ID)
		} else if len(short) > 0 {
			t.Errorf("%s is offered after a suite with a short tag", s.Name)
		}
	}
	want := []uint16{
		suite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, suite.TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8,
		suite.TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256, suite.TLS_PSK_WITH_AES_128_CCM_8, suite.TLS_PSK_WITH_AES_256_CCM_8,
	}
	if !slices.Equal(short, want) {
		t.Errorf("offered %#04x with short tags, want %#04x", short, want)
	}
	last := uint16(0)
	for s := range new(Config).suites(protocol.VersionTLS13) {
		last = s.ID
	}
	if last != suite.TLS_AES_128_CCM_SHA256 {
		t.Errorf("the last of 1.3 is %#04x", last)
	}
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, id := range []uint16{suite.TLS_PSK_WITH_AES_128_CCM_8, suite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8} {
			device, server := client, server
			if suite.ByID(id).Auth != suite.PSK {
				device, server = configs(protocol.VersionTLS12)
			}
			device.CipherSuites = []uint16{id}
			if got := complete(t, transport, device, server).client.m.State().CipherSuite; got != id {
				t.Errorf("the device has %#04x and gets %#04x", id, got)
			}
		}
		client, server := configs(protocol.VersionTLS13)
		client.CipherSuites = []uint16{suite.TLS_AES_128_CCM_8_SHA256}
		begin(t, transport, client, server).run().server.expectRefused(t, alert.HandshakeFailure)
	})
}
