package handshake

import (
	"crypto/tls"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// What messages did to other stacks, beside their order (rogue_test.go).
// docs/pitfalls.md has it all.

// TestPitfallNoProofOfPossession: who shows a certificate of which he has no key is
// not let in, be it that he signs nothing or that he signs with another key
// (CVE-2022-29222).
func TestPitfallNoProofOfPossession(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		authenticated(client, server)
		stolen := testPKI().leaf[p256]
		stolen.PrivateKey = newKey(p256)
		for _, mode := range []tls.ClientAuthType{tls.RequestClientCert, tls.RequireAnyClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert} {
			server.ClientAuth = mode
			client.Certificates = nil
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stolen, nil }
			p := begin(t, transport, client, server).run()
			if p.server.m.Open() || p.server.err == nil && p.client.err == nil {
				t.Errorf("%v: a certificate without its key is believed", mode)
			}
		}
		client, server = configs(v)
		server.Certificates = nil
		server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &stolen, nil }
		p := begin(t, transport, client, server).run()
		if p.client.m.Open() || p.server.err == nil && p.client.err == nil {
			t.Error("a server's certificate without its key is believed")
		}
	})
}

// TestPitfallSuiteNotOffered: a server can't choose a suite that the client has not
// offered, be it one that is off by default or one that protects nothing
// (CVE-2023-43615).
func TestPitfallSuiteNotOffered(t *testing.T) {
	ids := []uint16{0 /* TLS_NULL_WITH_NULL_NULL */, 0x002c /* PSK_WITH_NULL_SHA */, 0x0005 /* RSA_WITH_RC4_128_SHA */, 0x1301, 0xffff}
	for _, s := range suite.Table {
		if s.Insecure() {
			ids = append(ids, s.ID)
		}
	}
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, id := range ids {
			client, server := configs(v)
			if v.Is13() {
				client.CipherSuites = []uint16{suite.TLS_CHACHA20_POLY1305_SHA256} // so that 0x1301 is another one
			}
			p := begin(t, transport, client, server)
			p.onWay = func(to *peer, m Message) []Message {
				if to == p.client && m.Type == protocol.ServerHello {
					m = editServerHello(t, m, func(h *message.ServerHello, _ *extensionList) { h.CipherSuite = id })
				}
				return []Message{m}
			}
			p.run()
			p.client.expectRefused(t, alert.IllegalParameter)
			if p.client.m.suite != nil {
				t.Errorf("%04x: the client has suite %s", id, p.client.m.suite.Name)
			}
		}
	})
}
