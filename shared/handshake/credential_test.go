package handshake

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// credential is the credential of a certificate of the test's PKI.
func (p *pki) credential(kind keyKind, change ...func(*Credential)) Credential {
	leaf := p.leaf[kind]
	c := Credential{Certificate: &leaf}
	for _, f := range change {
		f(&c)
	}
	return c
}

func signingWith(schemes ...tls.SignatureScheme) func(*Credential) {
	return func(c *Credential) { c.SignatureSchemes = schemes }
}

func matchingIssuer(c *Credential) { c.MustMatchIssuer = true }

func ofStranger(c *Credential) { c.Certificate = new(testPKI().stranger) }

// A preference is a list of credentials, and what becomes of it.
type preference struct {
	name    string
	ours    []Credential
	peer    func(*Config) // the other side's Config
	want    int           // index in ours; -1 for none
	reason  alert.Reason  // then
	version protocol.Version
	roles   []Role
}

func preferences() []preference {
	p := testPKI()
	both, server, client := []Role{Server, Client}, []Role{Server}, []Role{Client}
	const v12, v13 = protocol.VersionTLS12, protocol.VersionTLS13
	only25519 := func(c *Config) { c.CurvePreferences = []tls.CurveID{x25519} }
	return []preference{
		{"the first", []Credential{p.credential(edwards), p.credential(p256)}, nil, 0, "", 0, both},
		{"the first, whatever the name", []Credential{p.credential(edwards, ofStranger), p.credential(p256)}, func(c *Config) {
			c.InsecureSkipVerify, c.ClientAuth = true, min(c.ClientAuth, tls.RequireAnyClientCert)
		}, 0, "", 0, both},
		{"by suite", []Credential{p.credential(p256), p.credential(rsaKey), p.credential(rsaKey)}, func(c *Config) {
			c.CipherSuites = []uint16{suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}, 1, "", v12, server},
		{"by suite, none", []Credential{p.credential(p256), p.credential(edwards)}, func(c *Config) {
			c.CipherSuites = []uint16{suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}, -1, alert.NoCommonSuite, v12, server},
		{"by curve", []Credential{p.credential(p256), p.credential(edwards)}, only25519, 1, "", v12, server},
		{"by curve, none", []Credential{p.credential(p256), p.credential(p384)}, only25519, -1, alert.NoCommonCurve, v12, server},
		{"by curve, which is of no concern in 1.3", []Credential{p.credential(p384), p.credential(edwards)}, only25519, 0, "", v13, server},
		{"by curve, which a client can't know", []Credential{p.credential(p384), p.credential(edwards)}, nil, 0, "", v12, client},
		{"by issuer, who is not asked for", []Credential{p.credential(p256, matchingIssuer), p.credential(edwards)}, func(c *Config) {
			c.ClientCAs, c.ClientAuth = nil, min(c.ClientAuth, tls.RequireAnyClientCert)
		}, 1, "", 0, both},
		{"by issuer", []Credential{p.credential(p256, ofStranger, matchingIssuer), p.credential(edwards, matchingIssuer)}, nil, 1, "", 0, client},
		{"by issuer, none", []Credential{p.credential(p256, ofStranger, matchingIssuer)}, nil, -1, alert.NoMatchingIssuer, 0, client},
		{"by issuer, who is a hint", []Credential{p.credential(p256, ofStranger)}, func(c *Config) { c.ClientAuth = tls.RequireAnyClientCert }, 0, "", 0, client},
	}
}

// TestCredentials: the first that the peer can verify is used, by either role.
//
// RFC 9846 4.5.1 [3], 4.5.1.2 [2]
func TestCredentials(t *testing.T) {
	for _, c := range preferences() {
		t.Run(c.name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
				for _, role := range c.roles {
					if c.version == 0 || c.version == v.Over(protocol.Stream) {
						t.Run(role.String(), func(t *testing.T) { c.try(t, role, transport, v) })
					}
				}
			})
		})
	}
}

func (c *preference) try(t *testing.T, role Role, transport protocol.Transport, v protocol.Version) {
	client, server := configs(v)
	ours, theirs := server, client
	if role == Client {
		ours, theirs = client, server
		server.ClientAuth = tls.RequireAndVerifyClientCert
	}
	ours.Certificates, ours.Credentials = nil, c.ours
	if c.peer != nil {
		c.peer(theirs)
	}
	p := begin(t, transport, client, server).run()
	self := p.server
	if role == Client {
		self = p.client
	}
	if c.want < 0 {
		self.expectRefused(t, alert.HandshakeFailure)
		if !errors.Is(self.err, c.reason) {
			t.Errorf("the reason is not %q: %v", c.reason, self.err)
		}
		return
	}
	p.expectAgreement(t)
	if got := self.m.State().LocalCredential; got != &c.ours[c.want] {
		t.Errorf("LocalCredential is %p, expected number %d of %p", got, c.want, c.ours)
	}
	if shown := self.other.m.State().PeerCertificates[0].Raw; !slices.Equal(shown, c.ours[c.want].Certificate.Certificate[0]) {
		t.Error("another certificate was shown")
	}
}

// TestCredentialSchemes: a credential signs with its first scheme that the peer
// verifies.
//
// RFC 9846 4.3.3 [4]
func TestCredentialSchemes(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		authenticated(client, server)
		own := testPKI().credential(rsaKey, signingWith(0x2a2a, tls.PSSWithSHA512, tls.PSSWithSHA256))
		client.Credentials, server.Credentials = []Credential{own}, []Credential{own}
		p := complete(t, transport, client, server)
		for _, side := range []*peer{p.client, p.server} {
			if got := side.m.State().LocalSignature; got != tls.PSSWithSHA512 {
				t.Errorf("%v signs with %v", side.m.role, got)
			}
		}
	})
}

// TestCredentialsAndCertificates: Credentials come first; Certificates follow,
// in crypto/tls's way.
func TestCredentialsAndCertificates(t *testing.T) {
	p := testPKI()
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		server.Credentials = []Credential{p.credential(p384, signingWith(tls.ECDSAWithSHA1, tls.ECDSAWithP384AndSHA384))}
		server.Certificates = []tls.Certificate{p.stranger, p.leaf[edwards]}
		client.CurvePreferences = append(client.CurvePreferences, nist384)
		q := complete(t, transport, client, server)
		if got := q.server.m.State().LocalCredential; got != &server.Credentials[0] {
			t.Error("Certificates came before Credentials")
		}

		// A client that has nothing fitting among its Certificates shows none.
		server.ClientAuth = tls.RequestClientCert
		client.Certificates = []tls.Certificate{p.stranger}
		q = complete(t, transport, client, server)
		if got := q.client.m.State().LocalCredential; got != nil {
			t.Errorf("the client showed %v", got)
		}
		asked := 0
		client.GetClientCredential = func(*CertificateRequestInfo) (*Credential, error) {
			asked++
			return nil, nil
		}
		client.Certificates = append(client.Certificates, p.leaf[p256])
		q = complete(t, transport, client, server)
		if got := q.client.m.State().LocalCredential; got == nil || got.Certificate != &client.Certificates[1] || asked != 1 {
			t.Errorf("the client showed %v, GetClientCredential was asked %d times", got, asked)
		}
	})
}

// TestGetClientCredential: what it sees, and what becomes of its answer.
func TestGetClientCredential(t *testing.T) {
	p := testPKI()
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		server.ClientAuth = tls.RequestClientCert
		server.CertificateAuthorities = [][]byte{{1, 2}, {3}}
		client.Credentials = []Credential{p.credential(p256)}
		chosen := p.credential(edwards)
		client.GetClientCredential = func(info *CertificateRequestInfo) (*Credential, error) {
			types := []uint8{64, 1}
			if v.Is13() {
				types = nil
			}
			if !slices.Equal(info.CertificateTypes, types) || !slices.EqualFunc(info.AcceptableCAs, server.CertificateAuthorities, slices.Equal) ||
				info.SupportsCertificate(&p.stranger) == nil || len(info.SignatureSchemes) == 0 {
				t.Errorf("%+v", info)
			}
			return &chosen, nil
		}
		if got := complete(t, transport, client, server).client.m.State().LocalCredential; got != &chosen {
			t.Errorf("the client showed %v", got)
		}
		client.GetClientCredential = func(*CertificateRequestInfo) (*Credential, error) { return &Credential{}, nil }
		if got := complete(t, transport, client, server).client.m.State().LocalCredential; got != nil {
			t.Errorf("the client showed %v", got)
		}
		client.GetClientCredential = func(*CertificateRequestInfo) (*Credential, error) {
			return &Credential{Certificate: chosen.Certificate, RawPublicKey: newKey(p256)}, nil
		}
		begin(t, transport, client, server).run().client.expectRefused(t, alert.InternalError)
		client.GetClientCredential = func(*CertificateRequestInfo) (*Credential, error) { return nil, errors.New("no") }
		begin(t, transport, client, server).run().client.expectRefused(t, alert.InternalError)
		client.GetClientCredential = nil
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, nil }
		begin(t, transport, client, server).run().client.expectRefused(t, alert.InternalError)
	})
}

// TestCertificateTypes12: a server of 1.2 that takes RSA alone gets nothing else.
func TestCertificateTypes12(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(protocol.VersionTLS12.Over(transport))
		server.ClientAuth = tls.RequestClientCert
		for name, c := range map[string]struct {
			ours []Credential
			want int
		}{
			"one that fits": {[]Credential{testPKI().credential(p256), testPKI().credential(rsaKey)}, 1},
			"none":          {[]Credential{testPKI().credential(p256)}, -1},
		} {
			client.Credentials = c.ours
			p := begin(t, transport, client, server)
			p.onWay = func(_ *peer, m Message) []Message {
				if m.Type == protocol.CertificateRequest {
					var in message.CertificateRequest12
					if err := in.Parse(m.Body); err != nil {
						t.Fatal(err)
					}
					in.Types = []byte{1}
					m.Body = appended(in.Append)
				}
				return []Message{m}
			}
			p.run()
			switch {
			case c.want < 0 && !errors.Is(p.client.err, alert.NoCommonCertificateType):
				t.Errorf("%s: the client ended with %v", name, p.client.err)
			case c.want >= 0 && p.client.m.credential != &c.ours[c.want]:
				t.Errorf("%s: the client chose %v", name, p.client.m.credential)
			}
		}
	})
}

// TestCertificateAuthorities: a client says with its hello whom it trusts, and a
// server of 1.3 may heed it.
//
// RFC 9846 4.3.4 [1]
func TestCertificateAuthorities(t *testing.T) {
	p := testPKI()
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		server.Certificates = nil
		server.Credentials = []Credential{p.credential(edwards, ofStranger, matchingIssuer), p.credential(p256, matchingIssuer)}
		begin(t, transport, client, server).run().server.expectRefused(t, alert.HandshakeFailure)
		client.CertificateAuthorities = [][]byte{p.root.Leaf.RawSubject}
		if got := complete(t, transport, client, server).server.m.State().LocalCredential; got != &server.Credentials[1] {
			t.Errorf("the server showed %v", got)
		}
	})
}

// TestChainOfOtherSchemes: a server whose chain is signed by a scheme that the client
// doesn't name shows it nevertheless.
//
// RFC 9846 4.5.1.2 [8]
func TestChainOfOtherSchemes(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(protocol.VersionTLS13)
		leaf := testPKI().leaf[p384] // its issuer's key is of P-256
		client.PeerSignatureSchemes, server.Certificates = []tls.SignatureScheme{tls.ECDSAWithP384AndSHA384}, []tls.Certificate{leaf}
		if leaf.Leaf.SignatureAlgorithm != x509.ECDSAWithSHA256 {
			t.Fatal(leaf.Leaf.SignatureAlgorithm)
		}
		complete(t, transport, client, server)
	})
}
