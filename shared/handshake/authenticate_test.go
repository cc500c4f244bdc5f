package handshake

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A forgery is a signature that must not pass.
type forgery struct {
	name    string
	signer  func(own crypto.Signer) crypto.Signer
	scheme  tls.SignatureScheme // the signer's, unless it is claimed to be claimed
	claimed tls.SignatureScheme
	content func(m *Machine, r Role, content []byte) []byte
	want    alert.Alert
	only    []protocol.Version // nil: both
}

func forgeries() []forgery {
	own := func(k crypto.Signer) crypto.Signer { return k }
	same := func(_ *Machine, _ Role, content []byte) []byte { return content }
	another := newKey(p256)
	const sha256, sha384 = tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384
	only13 := []protocol.Version{protocol.VersionTLS13}
	return []forgery{
		{"none", own, sha256, sha256, same, alert.CloseNotify, nil},
		{"by another key", func(crypto.Signer) crypto.Signer { return another }, sha256, sha256, same, alert.DecryptError, nil},
		{"of something else", own, sha256, sha256, func(_ *Machine, _ Role, c []byte) []byte {
			c = slices.Clone(c)
			c[len(c)-1] ^= 1
			return c
		}, alert.DecryptError, nil},
		{"by a scheme that was not offered", own, sha256, tls.ECDSAWithSHA1, same, alert.IllegalParameter, nil},
		{"by a scheme that nobody knows", own, sha256, 0x2a2a, same, alert.IllegalParameter, nil},
		{"by a scheme for other keys", own, sha256, tls.PSSWithSHA256, same, alert.IllegalParameter, nil},
		{"with the hash of another scheme", own, sha256, sha384, same, alert.DecryptError, []protocol.Version{protocol.VersionTLS12}},
		// RFC 9846 4.3.3: 1.3 binds the curve to the scheme.
		{"for another curve", own, sha384, sha384, same, alert.IllegalParameter, only13},
		{"by a scheme of 1.2", own, sha256, tls.PKCS1WithSHA256, same, alert.IllegalParameter, only13},
		{"for the other role", own, sha256, sha256, func(m *Machine, r Role, _ []byte) []byte {
			return m.signedBy(r.Peer())
		}, alert.DecryptError, only13},
	}
}

// sign makes the forgery's signature.
func (f forgery) sign(t *testing.T, m *Machine, r Role, key crypto.PrivateKey, content []byte) []byte {
	t.Helper()
	signature, err := cert.Sign(f.signer(key.(crypto.Signer)), f.scheme, f.content(m, r, content))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// TestPitfallForgedSignatures replaces the signatures of both sides: no proof of
// possession but the right one counts (CVE-2022-29222), nor a scheme that was not
// offered (CVE-2022-25638).
//
// RFC 9846 4.5.2 [4, 8, 9]
func TestPitfallForgedSignatures(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, f := range forgeries() {
			if f.only != nil && !slices.Contains(f.only, v.Over(protocol.Stream)) {
				continue
			}
			for _, r := range []Role{Client, Server} {
				t.Run(fmt.Sprintf("signature of the %v %s", r, f.name), func(t *testing.T) {
					client, server := configs(v)
					client.Certificates, server.ClientAuth = []tls.Certificate{testPKI().leaf[p256]}, tls.RequireAndVerifyClientCert
					p := begin(t, transport, client, server)
					p.onWay = func(to *peer, m Message) []Message {
						if to.m.role == r.Peer() {
							m.Body = f.replace(t, to.m, r, m, server, client)
						}
						return []Message{m}
					}
					p.run()
					victim := p.client
					if r == Client {
						victim = p.server
					}
					if f.want != alert.CloseNotify {
						victim.expectRefused(t, f.want)
					} else if v.Is13() && victim.err != nil && alertOf(victim.err) != alert.DecryptError {
						t.Error(victim.err) // ECDSA is random: only Finished can differ
					}
					if f.want == alert.CloseNotify && victim.m.peer.scheme != tls.ECDSAWithP256AndSHA256 {
						t.Error("a good signature is refused: ", victim.err)
					}
				})
			}
		}
	})
}

// replace returns m's body with another signature, if it has one of r.
func (f forgery) replace(t *testing.T, to *Machine, r Role, m Message, server, client *Config) []byte {
	key := server.Certificates[0].PrivateKey
	if r == Client {
		key = client.Certificates[0].PrivateKey
	}
	switch m.Type {
	case protocol.CertificateVerify:
		out := message.CertificateVerify{Scheme: uint16(f.claimed), Signature: f.sign(t, to, r, key, to.signedBy(r))}
		return appended(out.Append)
	case protocol.ServerKeyExchange:
		var in message.ServerKeyExchange
		if err := in.Parse(m.Body); err != nil {
			t.Fatal(err)
		}
		in.Scheme, in.Signature = uint16(f.claimed), f.sign(t, to, r, key, to.signedParams(in.Params))
		return appended(in.Append)
	}
	return m.Body
}

// TestClientAuth runs all of crypto/tls's modes.
//
// RFC 9846 4.5.1 [2, 4]
func TestClientAuth(t *testing.T) {
	shows := map[string]tls.Certificate{
		"none": {}, "trusted": testPKI().leaf[p256], "of a stranger": testPKI().stranger,
	}
	modes := []tls.ClientAuthType{
		tls.NoClientCert, tls.RequestClientCert, tls.RequireAnyClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert,
	}
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, mode := range modes {
			for name, shown := range shows {
				t.Run(fmt.Sprintf("%v/%s", mode, name), func(t *testing.T) {
					asked, shows := mode != tls.NoClientCert, name != "none"
					requires := mode == tls.RequireAnyClientCert || mode == tls.RequireAndVerifyClientCert
					verifies := mode >= tls.VerifyClientCertIfGiven

					client, server := configs(v)
					client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
					server.ClientAuth = mode
					certificates, connections := 0, 0
					server.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
						certificates++
						if (len(raw) > 0) != shows || (len(chains) > 0) != (shows && verifies) {
							t.Errorf("VerifyPeerCertificate: %d certificates, %d chains", len(raw), len(chains))
						}
						return nil
					}
					server.VerifyConnection = func(s ConnectionState) error {
						connections++
						if (len(s.PeerCertificates) > 0) != (asked && shows) || s.HandshakeComplete || s.Version != uint16(v) {
							t.Errorf("VerifyConnection: %+v", s)
						}
						if _, err := s.ExportKeyingMaterial("EXPORTER-test", nil, 32); err == nil {
							t.Error("keying material is exported before the handshake is complete")
						}
						return nil
					}
					p := begin(t, transport, client, server).run()
					switch {
					case requires && !shows && v.Is13():
						p.server.expectRefused(t, alert.CertificateRequired)
					case requires && !shows:
						p.server.expectRefused(t, alert.HandshakeFailure)
					case verifies && name == "of a stranger":
						p.server.expectRefused(t, alert.UnknownCA)
					default:
						p.expectAgreement(t)
						want := 0
						if asked {
							want = 1
						}
						if certificates != want || connections != 1 {
							t.Errorf("VerifyPeerCertificate ran %d times, want %d; VerifyConnection %d times", certificates, want, connections)
						}
						return
					}
					if certificates+connections != 0 {
						t.Error("the application was asked about a client that is refused anyway")
					}
				})
			}
		}
	})
}

// TestServerVerification is the client's side.
//
// RFC 9846 E [3]
func TestServerVerification(t *testing.T) {
	p := testPKI()
	expired := func(c *Config) { c.Time = func() time.Time { return testTime.AddDate(2, 0, 0) } }
	for name, c := range map[string]struct {
		shown  tls.Certificate
		change func(*Config)
		want   alert.Alert
	}{
		"good":          {p.leaf[p256], func(*Config) {}, alert.CloseNotify},
		"of a stranger": {p.stranger, func(*Config) {}, alert.UnknownCA},
		"expired":       {p.leaf[p256], expired, alert.CertificateExpired},
		"of other name": {p.leaf[p256], func(c *Config) { c.ServerName = "another.example" }, alert.BadCertificate},
		"unverified":    {p.stranger, func(c *Config) { c.InsecureSkipVerify = true }, alert.CloseNotify},
		"pinned": {p.stranger, func(c *Config) {
			c.InsecureSkipVerify = true
			c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
				if len(raw) != 1 || chains != nil {
					return errors.New("unexpected certificates")
				}
				return nil
			}
		}, alert.CloseNotify},
		"not pinned": {p.stranger, func(c *Config) {
			c.InsecureSkipVerify = true
			c.VerifyConnection = func(ConnectionState) error { return errors.New("another fingerprint") }
		}, alert.BadCertificate},
	} {
		eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
			t.Run(name, func(t *testing.T) {
				client, server := configs(v)
				server.Certificates = []tls.Certificate{c.shown}
				c.change(client)
				p := begin(t, transport, client, server).run()
				if c.want == alert.CloseNotify {
					p.expectAgreement(t)
					return
				}
				p.client.expectRefused(t, c.want)
				if state := p.client.m.State(); state.HandshakeComplete || state.export != nil {
					t.Error("a refused server leaves a usable connection")
				}
			})
		})
	}
}

// TestCertificateMessages: what the message itself may be.
//
// RFC 9846 4.5.1 [5, 6], 4.5.1.3 [1]
func TestCertificateMessages(t *testing.T) {
	leaf := testPKI().leaf[p256].Certificate[0]
	entry := func(extensions ...byte) message.CertificateEntry {
		return message.CertificateEntry{Data: leaf, Extensions: extensions}
	}
	for name, c := range map[string]struct {
		out  message.Certificate13
		want alert.Alert
	}{
		"empty":             {message.Certificate13{}, alert.DecodeError},
		"with a context":    {message.Certificate13{Context: []byte{1}, Entries: []message.CertificateEntry{entry()}}, alert.IllegalParameter},
		"with an extension": {message.Certificate13{Entries: []message.CertificateEntry{entry(0, 5, 0, 0)}}, alert.UnsupportedExtension},
		"no certificate":    {message.Certificate13{Entries: []message.CertificateEntry{{Data: []byte{1, 2, 3}}}}, alert.DecodeError},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(protocol.VersionTLS13)
			p := begin(t, protocol.Stream, client, server)
			p.onWay = func(_ *peer, m Message) []Message {
				if m.Type == protocol.Certificate {
					m.Body = appended(c.out.Append)
				}
				return []Message{m}
			}
			p.run()
			p.client.expectRefused(t, c.want)
		})
	}
	t.Run("1.2, empty", func(t *testing.T) {
		client, server := configs(protocol.VersionTLS12)
		p := begin(t, protocol.Stream, client, server)
		p.onWay = func(_ *peer, m Message) []Message {
			if m.Type == protocol.Certificate {
				m.Body = []byte{0, 0, 0}
			}
			return []Message{m}
		}
		p.run()
		p.client.expectRefused(t, alert.DecodeError)
	})
}

// resign makes ServerKeyExchange anew, as another server would.
func resign(t *testing.T, m Message, to *Machine, key crypto.Signer, scheme tls.SignatureScheme, group tls.CurveID) Message {
	t.Helper()
	share, err := suite.Generate(group)
	if err != nil {
		t.Fatal(err)
	}
	out := message.ServerKeyExchange{Group: uint16(group), Public: share[0].Public(), Scheme: uint16(scheme)}
	params := appended(func(b *wire.Builder) { message.AppendECDHEParams(b, out.Group, out.Public) })
	if out.Signature, err = cert.Sign(key, scheme, to.signedParams(params)); err != nil {
		t.Fatal(err)
	}
	m.Body = appended(out.Append)
	return m
}

// TestServerOutsideItsOffer: in 1.2 the kind of key follows from the suite, and
// the group is one that the client named. Everything else is in order.
func TestServerOutsideItsOffer(t *testing.T) {
	ecdsa, rsa := testPKI().leaf[p256], testPKI().leaf[rsaKey]
	for name, c := range map[string]struct {
		leaf   tls.Certificate
		scheme tls.SignatureScheme
		group  tls.CurveID
	}{
		"certificate": {rsa, tls.PSSWithSHA256, x25519},
		"group":       {ecdsa, tls.ECDSAWithP256AndSHA256, nist384},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(protocol.VersionTLS12)
			p := begin(t, protocol.Stream, client, server)
			p.onWay = func(to *peer, m Message) []Message {
				switch m.Type {
				case protocol.Certificate:
					out := message.Certificate12{Chain: c.leaf.Certificate}
					m.Body = appended(out.Append)
				case protocol.ServerKeyExchange:
					m = resign(t, m, to.m, c.leaf.PrivateKey.(crypto.Signer), c.scheme, c.group)
				}
				return []Message{m}
			}
			p.run()
			p.client.expectRefused(t, alert.IllegalParameter)
		})
	}
}

// TestKeyUsage: a key that must not sign proves nothing (RFC 9846 4.5.1.2).
//
// RFC 9846 4.5.1.2 [3]
func TestKeyUsage(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		client.InsecureSkipVerify = true
		server.Certificates = []tls.Certificate{testPKI().root} // signs certificates alone
		p := begin(t, transport, client, server).run()
		p.client.expectRefused(t, alert.BadCertificate)
	})
}

// TestCertificateRequests: which certificate a client shows.
//
// RFC 9846 4.3.4 [1], 4.5.1 [3], 4.5.1.2 [4]
func TestCertificateRequests(t *testing.T) {
	p := testPKI()
	types := func(types ...uint8) func(*message.CertificateRequest12) {
		return func(m *message.CertificateRequest12) { m.Types = types }
	}
	schemes := func(schemes ...tls.SignatureScheme) func(*message.CertificateRequest12) {
		return func(m *message.CertificateRequest12) { m.Schemes = message.MakeUint16s(schemes) }
	}
	for name, c := range map[string]struct {
		edit func(*message.CertificateRequest12)
		want tls.SignatureScheme // of the certificate that is shown; 0: none
	}{
		"all":                    {types(typeECDSASign, typeRSASign), tls.ECDSAWithP256AndSHA256},
		"RSA alone":              {types(typeRSASign), tls.PSSWithSHA256},
		"a type that we have no": {types(2), 0},
		"PSS alone":              {schemes(tls.PSSWithSHA256), tls.PSSWithSHA256},
		"Ed25519 alone":          {schemes(tls.Ed25519), 0},
		"another authority":      {func(m *message.CertificateRequest12) { m.Authorities = [][]byte{{0x30, 0}} }, 0},
		"schemes nobody knows":   {schemes(0x2a2a, 0xfafa), 0},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(protocol.VersionTLS12)
			client.Certificates = []tls.Certificate{p.leaf[p256], p.leaf[rsaKey]}
			server.ClientAuth = tls.RequestClientCert
			pair := begin(t, protocol.Stream, client, server)
			pair.onWay = func(_ *peer, m Message) []Message {
				if m.Type == protocol.CertificateRequest {
					var in message.CertificateRequest12
					if err := in.Parse(m.Body); err != nil {
						t.Fatal(err)
					}
					c.edit(&in)
					m.Body = appended(in.Append)
				}
				return []Message{m}
			}
			pair.run()
			if pair.client.err != nil {
				t.Fatal(pair.client.err)
			}
			if got := pair.client.m.scheme; got != c.want {
				t.Errorf("signs with %v, want %v", got, c.want)
			}
		})
	}
}

// TestCertificateRequest13 checks the extensions of 1.3's CertificateRequest.
//
// RFC 9846 4.3 [5], 4.3.5 [4], 4.4.2 [3, 5, 6], 9.3 [5]
func TestCertificateRequest13(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*message.CertificateRequest13, *extensionList)
		want alert.Alert
	}{
		"unknown extensions": {func(_ *message.CertificateRequest13, x *extensionList) {
			x.set(0x2a2a, []byte{1, 2, 3})
			x.set(protocol.ExtSignatureAlgsCert, []byte{0, 2, 4, 1})
		}, alert.DecryptError}, // lawful: only the transcript shows it
		"context": {func(m *message.CertificateRequest13, _ *extensionList) { m.Context = []byte{1} }, alert.IllegalParameter},
		"no signature_algorithms": {func(_ *message.CertificateRequest13, x *extensionList) {
			x.drop(protocol.ExtSignatureAlgorithms)
		}, alert.MissingExtension},
		"no scheme": {func(_ *message.CertificateRequest13, x *extensionList) {
			x.set(protocol.ExtSignatureAlgorithms, []byte{0, 0})
		}, alert.DecodeError},
		"key_share": {func(_ *message.CertificateRequest13, x *extensionList) {
			x.set(protocol.ExtKeyShare, []byte{0, 29})
		}, alert.IllegalParameter},
		"signature_algorithms_cert with half a scheme": {func(_ *message.CertificateRequest13, x *extensionList) {
			x.set(protocol.ExtSignatureAlgsCert, []byte{0, 3, 4, 3, 8})
		}, alert.DecodeError},
		"two of a kind": {func(_ *message.CertificateRequest13, x *extensionList) {
			*x = append(*x, (*x)[0])
		}, alert.IllegalParameter},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(protocol.VersionTLS13)
			authenticated(client, server)
			p := begin(t, protocol.Stream, client, server)
			p.onWay = func(_ *peer, m Message) []Message {
				if m.Type == protocol.CertificateRequest {
					var in message.CertificateRequest13
					if err := in.Parse(m.Body); err != nil {
						t.Fatal(err)
					}
					x := listOf(in.Extensions)
					c.edit(&in, &x)
					in.Extensions = x.block()
					m.Body = appended(func(b *wire.Builder) { in.Append(b) })
				}
				return []Message{m}
			}
			p.run()
			p.client.expectRefused(t, c.want)
			if name == "no scheme" && !errors.Is(p.client.err, alert.MalformedMessage) {
				t.Errorf("it is not the message that is malformed: %v", p.client.err)
			}
		})
	}
}
