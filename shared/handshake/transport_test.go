package handshake

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// transporting are Configs of 1.2 for key transport alone.
func transporting(transport protocol.Transport) (client, server *Config) {
	client, server = configs(protocol.VersionTLS12.Over(transport))
	client.CipherSuites = []uint16{suite.TLS_RSA_WITH_AES_128_GCM_SHA256}
	server.CipherSuites, server.Certificates = client.CipherSuites, []tls.Certificate{testPKI().leaf[rsaKey]}
	return client, server
}

// TestKeyTransportLast: a server that may use it does so where ECDHE is
// impossible, and nowhere else.
func TestKeyTransportLast(t *testing.T) {
	const ecdhe, rsa = suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, suite.TLS_RSA_WITH_AES_128_GCM_SHA256
	for name, c := range map[string]struct {
		change func(client, server *Config)
		want   uint16
		reason alert.Reason
	}{
		"both":         {func(_, _ *Config) {}, ecdhe, ""},
		"no group":     {func(client, _ *Config) { client.CurvePreferences = []tls.CurveID{nist256} }, rsa, ""},
		"no signature": {func(client, _ *Config) { client.PeerSignatureSchemes = []tls.SignatureScheme{tls.Ed25519} }, rsa, ""},
		"not enabled": {func(client, server *Config) {
			client.CurvePreferences, server.CipherSuites = []tls.CurveID{nist256}, nil
		}, 0, alert.NoCommonGroup},
		"cannot decrypt": {func(client, server *Config) {
			server.Certificates[0].PrivateKey = onlySigns{server.Certificates[0].PrivateKey.(crypto.Signer)}
			client.CurvePreferences = []tls.CurveID{nist256}
		}, 0, alert.NoCommonGroup},
	} {
		t.Run(name, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, transport protocol.Transport) {
				client, server := transporting(transport)
				client.CipherSuites = []uint16{ecdhe, rsa}
				server.CipherSuites = client.CipherSuites
				c.change(client, server)
				p := begin(t, transport, client, server).run()
				if c.want == 0 {
					if p.server.expectRefused(t, alert.HandshakeFailure); !errors.Is(p.server.err, c.reason) {
						t.Errorf("the reason is not %q: %v", c.reason, p.server.err)
					}
					return
				}
				p.expectAgreement(t)
				state := p.server.m.State()
				if state.CipherSuite != c.want || (state.LocalSignature == 0) != (c.want == rsa) || (state.CurveID == 0) != (c.want == rsa) {
					t.Errorf("%+v", state)
				}
			})
		})
	}
}

// onlySigns is a key that can do nothing else.
type onlySigns struct{ crypto.Signer }

// TestBadPremaster: whatever is wrong with it, the handshake ends at Finished, as
// with a wrong key (RFC 5246 7.4.7.1).
func TestBadPremaster(t *testing.T) {
	for name, change := range map[string]func(encrypted []byte) []byte{
		"another ciphertext": func(c []byte) []byte { c[len(c)-1] ^= 1; return c },
		"cut short":          func(c []byte) []byte { return c[1:] },
		"longer":             func(c []byte) []byte { return append(c, 0) },
		"one byte":           func([]byte) []byte { return []byte{1} },
	} {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			t.Run(name, func(t *testing.T) {
				client, server := transporting(transport)
				p := begin(t, transport, client, server)
				p.onWay = func(_ *peer, m Message) []Message {
					if m.Type == protocol.ClientKeyExchange && m.Content == protocol.Handshake {
						var in message.ClientKeyExchangeRSA
						if err := in.Parse(m.Body); err != nil {
							t.Fatal(err)
						}
						out := message.ClientKeyExchangeRSA{Encrypted: change(append([]byte{}, in.Encrypted...))}
						m.Body = appended(out.Append)
					}
					return []Message{m}
				}
				p.run().server.expectRefused(t, alert.DecryptError)
				if at := p.server.m.place.At; at != ClientChangeCipherSpec {
					t.Errorf("the server ended after %v: %v", at, p.server.err)
				}
			})
		})
	}
}

// TestKeyTransportUsage: the certificate must allow keyEncipherment (RFC 5246
// 7.4.2), which both sides check.
func TestKeyTransportUsage(t *testing.T) {
	p := testPKI()
	key := p.leaf[rsaKey].PrivateKey.(crypto.Signer)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), DNSNames: []string{testName}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: testTime.AddDate(-1, 0, 0), NotAfter: testTime.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(nil, template, p.root.Leaf, key.Public(), p.root.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	client, server := transporting(protocol.Stream)
	good := server.Certificates
	server.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	begin(t, protocol.Stream, client, server).run().server.expectRefused(t, alert.HandshakeFailure)

	server.Certificates = good
	q := begin(t, protocol.Stream, client, server)
	q.onWay = func(_ *peer, m Message) []Message {
		if m.Type == protocol.Certificate {
			out := message.Certificate12{Chain: [][]byte{der}}
			m.Body = appended(out.Append)
		}
		return []Message{m}
	}
	q.run().client.expectRefused(t, alert.BadCertificate)
}

// TestKeyTransportStaples: with a staple on offer the certificate is verified at
// what comes after it, which here is another message than with ECDHE.
func TestKeyTransportStaples(t *testing.T) {
	for _, staple := range [][]byte{nil, []byte("staple")} {
		for _, mode := range []tls.ClientAuthType{tls.NoClientCert, tls.RequestClientCert} {
			eachTransport(t, func(t *testing.T, transport protocol.Transport) {
				client, server := transporting(transport)
				client.RequestOCSPStaple, server.ClientAuth = true, mode
				server.Certificates[0].OCSPStaple = staple
				verified := 0
				client.VerifyConnection = func(s ConnectionState) error {
					if verified++; string(s.OCSPResponse) != string(staple) {
						t.Errorf("the staple is %q", s.OCSPResponse)
					}
					return nil
				}
				if complete(t, transport, client, server); verified != 1 {
					t.Errorf("VerifyConnection ran %d times", verified)
				}
				client.ServerName = "another.example"
				begin(t, transport, client, server).run().client.expectRefused(t, alert.BadCertificate)
			})
		}
	}
}

// TestKeyTransportWithoutPromisedStaple: a server may leave out the
// CertificateStatus that it has promised; the certificate is verified all the same.
func TestKeyTransportWithoutPromisedStaple(t *testing.T) {
	for _, mode := range []tls.ClientAuthType{tls.NoClientCert, tls.RequestClientCert} {
		client, server := transporting(protocol.Stream)
		client.RequestOCSPStaple, server.ClientAuth = true, mode
		server.Certificates[0].OCSPStaple = []byte("staple")
		verified := 0
		client.VerifyConnection = func(s ConnectionState) error {
			if verified++; s.OCSPResponse != nil {
				t.Errorf("the staple is %q", s.OCSPResponse)
			}
			return nil
		}
		p := begin(t, protocol.Stream, client, server)
		p.onWay = func(_ *peer, m Message) []Message {
			if m.Type == protocol.CertificateStatus {
				return nil
			}
			return []Message{m}
		}
		p.run().server.expectRefused(t, alert.DecryptError) // which has sent it
		if verified != 1 {
			t.Errorf("VerifyConnection ran %d times", verified)
		}
	}
}
