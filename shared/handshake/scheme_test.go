package handshake

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// TestPeerSignatureSchemes: both roles name what they verify, in their order, and
// get it.
func TestPeerSignatureSchemes(t *testing.T) {
	named := []tls.SignatureScheme{0x2a2a, tls.PSSWithSHA384, tls.ECDSAWithP521AndSHA512, tls.PSSWithSHA256, tls.PKCS1WithSHA1}
	sent := named[:4] // without SHA-1
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		rsa := testPKI().credential(rsaKey, signingWith(tls.PSSWithSHA512, tls.PSSWithSHA256, tls.PSSWithSHA384))
		client.Credentials, server.Credentials, server.ClientAuth = []Credential{rsa}, []Credential{rsa}, tls.RequireAndVerifyClientCert
		client.PeerSignatureSchemes, server.PeerSignatureSchemes = named, named
		server.GetConfigForClient = func(info *tls.ClientHelloInfo) (*Config, error) {
			if !slices.Equal(info.SignatureSchemes, sent) {
				t.Errorf("the ClientHello names %v", info.SignatureSchemes)
			}
			return nil, nil
		}
		client.GetClientCredential = func(info *CertificateRequestInfo) (*Credential, error) {
			if !slices.Equal(info.SignatureSchemes, sent) {
				t.Errorf("the CertificateRequest names %v", info.SignatureSchemes)
			}
			return nil, nil
		}
		p := complete(t, transport, client, server)
		for _, side := range []*peer{p.client, p.server} {
			if got := side.m.State().PeerSignature; got != tls.PSSWithSHA256 {
				t.Errorf("the %v verified %v", side.m.role, got)
			}
		}
	})
}

// TestPeerSignatureSchemesHold: a peer that signs by another scheme is refused,
// though the key is good for it.
func TestPeerSignatureSchemesHold(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		server.Credentials = []Credential{testPKI().credential(rsaKey)}
		client.PeerSignatureSchemes = []tls.SignatureScheme{tls.PSSWithSHA384}
		p := begin(t, transport, client, server)
		p.server.take(editClientHello(t, transport, p.server.pop(), with(protocol.ExtSignatureAlgorithms, 0, 2, 0x08, 0x04)))
		p.run().client.expectRefused(t, alert.IllegalParameter)
		if !errors.Is(p.client.err, alert.WrongScheme) {
			t.Errorf("the client ended with %v", p.client.err)
		}
	})
}

// TestLegacyPKCS1: a client of 1.3 signs with PKCS #1 if both sides name its code
// point (RFC 9963 2); a server never does.
func TestLegacyPKCS1(t *testing.T) {
	const legacy = tls.SignatureScheme(0x0420)
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(protocol.VersionTLS13.Over(transport))
		client.Credentials = []Credential{testPKI().credential(rsaKey, signingWith(legacy))}
		server.ClientAuth = tls.RequireAndVerifyClientCert
		begin(t, transport, client, server).run().client.expectRefused(t, alert.HandshakeFailure)

		server.PeerSignatureSchemes = []tls.SignatureScheme{legacy}
		if got := complete(t, transport, client, server).server.m.State().PeerSignature; got != legacy {
			t.Errorf("the server verified %v", got)
		}

		server.ClientAuth, server.Credentials = tls.NoClientCert, client.Credentials
		client.PeerSignatureSchemes = []tls.SignatureScheme{legacy}
		begin(t, transport, client, server).run().server.expectRefused(t, alert.HandshakeFailure)
	})
}

// TestSHA1 is taken and given in 1.2 alone, and only by Config.InsecureAllowSHA1.
//
// RFC 9846 4.3.3 [11], 4.5.2 [7]
func TestSHA1(t *testing.T) {
	for kind, scheme := range map[keyKind]tls.SignatureScheme{rsaKey: tls.PKCS1WithSHA1, p256: tls.ECDSAWithSHA1} {
		eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
			client, server := configs(v)
			server.Credentials = []Credential{testPKI().credential(kind)}
			silent := func() *pair { // a client that doesn't say what it verifies
				p := begin(t, transport, client, server)
				p.server.take(editClientHello(t, transport, p.server.pop(), without(protocol.ExtSignatureAlgorithms)))
				return p.run()
			}
			want := map[bool]alert.Alert{false: alert.HandshakeFailure, true: alert.MissingExtension}[v.Is13()]
			silent().server.expectRefused(t, want)
			server.InsecureAllowSHA1 = true
			if p := silent(); v.Is13() {
				p.server.expectRefused(t, want)
			} else {
				p.client.expectRefused(t, alert.IllegalParameter) // which wasn't asked
				if p.server.m.State().LocalSignature != scheme {
					t.Errorf("the server signs with %v", p.server.m.State().LocalSignature)
				}
			}
			if v.Is13() {
				return
			}
			client.PeerSignatureSchemes, client.InsecureAllowSHA1 = []tls.SignatureScheme{scheme}, true
			if got := complete(t, transport, client, server).client.m.State().PeerSignature; got != scheme {
				t.Errorf("the client verified %v", got)
			}
			without := *client
			without.InsecureAllowSHA1 = false
			if err := without.Validate(Client, transport); err == nil {
				t.Error("a client that takes nothing but SHA-1, and not that")
			}
		})
	}
}

// TestServerCurve12: a client of 1.2 takes ECDSA keys on the curves that it names
// (RFC 8422 5.3); in 1.3 the scheme says it all.
//
// RFC 9846 4.3.3 [17]
func TestServerCurve12(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		client.CurvePreferences = []tls.CurveID{x25519}
		if v.Is13() {
			complete(t, transport, client, server)
			return
		}
		p := begin(t, transport, client, server)
		p.server.take(editClientHello(t, transport, p.server.pop(), with(protocol.ExtSupportedGroups, 0, 4, 0, 29, 0, 23)))
		p.run().client.expectRefused(t, alert.IllegalParameter)
		if !errors.Is(p.client.err, alert.WrongCurve) {
			t.Errorf("the client ended with %v", p.client.err)
		}
	})
}
