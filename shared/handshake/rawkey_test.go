package handshake

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// rawCredential is the raw public key of a certificate of the test's PKI, and
// what is shown of it.
func (p *pki) rawCredential(kind keyKind) (c Credential, info []byte) {
	leaf := p.leaf[kind]
	return Credential{RawPublicKey: leaf.PrivateKey.(crypto.Signer)}, leaf.Leaf.RawSubjectPublicKeyInfo
}

// pins makes a Config take one raw public key, and no certificate.
func pins(c *Config, info []byte) {
	c.PeerCertificateTypes = []CertificateType{protocol.RawPublicKey}
	c.VerifyRawPublicKey = func(shown []byte) error {
		if !bytes.Equal(shown, info) {
			return errors.New("another key")
		}
		return nil
	}
}

// rawConfigs are configs whose sides show nothing but raw public keys.
func rawConfigs(v protocol.Version, kind keyKind) (client, server *Config) {
	client, server = configs(v)
	credential, info := testPKI().rawCredential(kind)
	server.Certificates, server.Credentials = nil, []Credential{credential}
	pins(client, info)
	credential, info = testPKI().rawCredential(edwards)
	client.Credentials = []Credential{credential}
	server.ClientAuth = tls.RequireAnyClientCert
	pins(server, info)
	client.ServerName, client.RootCAs = "", nil                                                      // there is nothing to verify them with
	client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521} // of keys
	return client, server
}

func TestRawPublicKeys(t *testing.T) {
	for _, kind := range keyKinds {
		t.Run(string(kind), func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
				client, server := rawConfigs(v, kind)
				var seen []byte
				client.VerifyConnection = func(s ConnectionState) error { seen = s.PeerRawPublicKey; return nil }
				client.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errors.New("there is none") }
				p := begin(t, transport, client, server).run()
				c, s := p.client.m.State(), p.server.m.State()
				expectOpen(t, p)
				if got := s.PeerRawPublicKey; !bytes.Equal(got, testPKI().leaf[edwards].Leaf.RawSubjectPublicKeyInfo) {
					t.Errorf("the server sees %x", got)
				}
				if got := c.PeerRawPublicKey; !bytes.Equal(got, testPKI().leaf[kind].Leaf.RawSubjectPublicKeyInfo) || !bytes.Equal(got, seen) {
					t.Errorf("the client sees %x, VerifyConnection %x", got, seen)
				}
				if c.PeerCertificates != nil || s.PeerCertificates != nil || c.LocalCredential != &client.Credentials[0] {
					t.Errorf("certificates %v, %v; credential %p", c.PeerCertificates, s.PeerCertificates, c.LocalCredential)
				}
			})
		})
	}
}

// expectOpen is expectAgreement for sides that show each other different things.
func expectOpen(t *testing.T, p *pair) {
	t.Helper()
	for _, side := range []*peer{p.client, p.server} {
		if side.err != nil || !side.m.Open() {
			t.Fatalf("%v stands at %v: %v", side.m.role, side.m.place.At, side.err)
		}
	}
}

// TestRawPublicKeyRefused: nothing but VerifyRawPublicKey says whose key it is,
// and that the peer has it is still to be proved.
func TestRawPublicKeyRefused(t *testing.T) {
	_, stranger := testPKI().rawCredential(p521)
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := rawConfigs(v, p256)
		pins(client, stranger)
		client.InsecureSkipVerify = true // of certificates
		p := begin(t, transport, client, server).run()
		p.client.expectRefused(t, alert.BadCertificate)

		client, server = rawConfigs(v, p256)
		pins(server, stranger)
		p = begin(t, transport, client, server).run()
		p.server.expectRefused(t, alert.BadCertificate)

		client, server = rawConfigs(v, p256)
		server.Credentials[0].RawPublicKey = impostor{server.Credentials[0].RawPublicKey, testPKI().stranger.PrivateKey.(crypto.Signer)}
		p = begin(t, transport, client, server).run()
		p.client.expectRefused(t, alert.DecryptError)

		client, server = rawConfigs(v, p256)
		client.VerifyRawPublicKey = func([]byte) error { return alert.Peerf(alert.CertificateRevoked, "that was yesterday") }
		p = begin(t, transport, client, server).run()
		p.client.expectRefused(t, alert.CertificateRevoked)
	})
}

// An impostor shows one key and has another.
type impostor struct {
	crypto.Signer
	has crypto.Signer
}

func (i impostor) Sign(r io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	return i.has.Sign(r, digest, options)
}

// TestCertificateTypes: who shows what to whom, by RFC 7250 4.
//
// RFC 9846 4.5.1.2 [1]
func TestCertificateTypes(t *testing.T) {
	raw, info := testPKI().rawCredential(p256)
	x509Credential := testPKI().credential(p256)
	const rawType, x509Type = protocol.RawPublicKey, protocol.X509
	for _, c := range []struct {
		name  string
		ours  []Credential
		takes []CertificateType
		offer []CertificateType // what a ClientHello says of it; nil if nothing
		want  int               // index in ours; -1 if the handshake fails
	}{
		{"certificates by default", []Credential{raw, x509Credential}, nil, nil, 1},
		{"certificates alone", []Credential{raw, x509Credential}, []CertificateType{x509Type}, nil, 1},
		{"raw keys alone", []Credential{x509Credential, raw}, []CertificateType{rawType}, []CertificateType{rawType}, 1},
		{"no raw key", []Credential{raw}, nil, nil, -1},
		{"nothing but a raw key", []Credential{x509Credential}, []CertificateType{rawType}, []CertificateType{rawType}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
				client, server := configs(v)
				server.Certificates, server.Credentials = nil, c.ours
				pins(client, info)
				client.PeerCertificateTypes = c.takes
				p := begin(t, transport, client, server).run()
				body, offered := parseHello(t, p.client.sent[0], transport).Extensions.Find(protocol.ExtServerCertType)
				types, _ := message.ParseCertificateTypes(protocol.ExtServerCertType, body)
				if !slices.Equal(types, c.offer) || offered != (c.offer != nil) {
					t.Errorf("the client offers %v, expected %v", types, c.offer)
				}
				if c.want < 0 {
					p.server.expectRefused(t, alert.HandshakeFailure)
					if !errors.Is(p.server.err, alert.NoCommonCertificateType) {
						t.Error(p.server.err)
					}
					return
				}
				expectOpen(t, p)
				if got := p.server.m.State().LocalCredential; got != &c.ours[c.want] {
					t.Errorf("the credential is %p of %p", got, c.ours)
				}
			})
		})
	}
}

// TestClientCertificateTypes: the server prefers among what the client has.
func TestClientCertificateTypes(t *testing.T) {
	raw, info := testPKI().rawCredential(p256)
	x509Credential := testPKI().credential(p256)
	const rawType, x509Type = protocol.RawPublicKey, protocol.X509
	for _, c := range []struct {
		name   string
		ours   []Credential
		says   []CertificateType // LocalCertificateTypes
		takes  []CertificateType
		want   int          // index in ours; -1 for none
		reason alert.Reason // why the server gives up
	}{
		{"the server's preference", []Credential{raw, x509Credential}, nil, []CertificateType{x509Type, rawType}, 1, ""},
		{"the server's other preference", []Credential{x509Credential, raw}, nil, []CertificateType{rawType, x509Type}, 1, ""},
		{"a certificate for an old server", []Credential{raw, x509Credential}, nil, nil, 1, ""},
		{"raw keys by callback", nil, []CertificateType{rawType}, []CertificateType{rawType}, -1, ""},
		{"no raw key", []Credential{x509Credential}, nil, []CertificateType{rawType}, -1, alert.UnsupportedCertificateType},
		{"no certificate", []Credential{raw}, nil, []CertificateType{x509Type}, -1, alert.UnsupportedCertificateType},
		{"kept back", []Credential{raw, x509Credential}, []CertificateType{x509Type}, []CertificateType{rawType}, -1, alert.UnsupportedCertificateType},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
				client, server := configs(v)
				server.ClientAuth = tls.RequestClientCert
				client.Credentials, client.LocalCertificateTypes = c.ours, c.says
				pins(server, info)
				server.PeerCertificateTypes = c.takes
				p := begin(t, transport, client, server).run()
				if c.reason != "" {
					p.server.expectRefused(t, alert.UnsupportedCertificate)
					if !errors.Is(p.server.err, c.reason) {
						t.Error(p.server.err)
					}
					return
				}
				expectOpen(t, p)
				got, want := p.client.m.State().LocalCredential, (*Credential)(nil)
				if c.want >= 0 {
					want = &c.ours[c.want]
				}
				if got != want {
					t.Errorf("the credential is %p of %p", got, c.ours)
				}
				if s := p.server.m.State(); want == nil && (s.PeerRawPublicKey != nil || s.PeerCertificates != nil) {
					t.Error("the server sees what was not shown")
				}
			})
		})
	}
}

// TestRawPublicKeyResumption: a session knows its peer's key, and it is verified
// again.
func TestRawPublicKeyResumption(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := rawConfigs(v, p256)
		kept := new(shelf)
		client.ClientSessionCache, client.ServerName = kept, testName
		connect := func() (c, s ConnectionState) {
			t.Helper()
			p := begin(t, transport, client, server).run()
			expectOpen(t, p)
			return p.client.m.State(), p.server.m.State()
		}
		first, _ := connect()
		c, s := connect()
		if first.DidResume || !c.DidResume || !s.DidResume {
			t.Fatal("it is not resumed")
		}
		if !bytes.Equal(c.PeerRawPublicKey, first.PeerRawPublicKey) || len(s.PeerRawPublicKey) == 0 {
			t.Errorf("the client knows %x, the server %x", c.PeerRawPublicKey, s.PeerRawPublicKey)
		}
		for name, change := range map[string]func(){
			"the server takes the key no more": func() { pins(server, []byte("another")) },
			"the client takes the key no more": func() { pins(client, []byte("another")) },
			"the client takes no raw keys":     func() { client.PeerCertificateTypes = []CertificateType{protocol.X509} },
		} {
			client, server = rawConfigs(v, p256)
			client.ClientSessionCache, client.ServerName = kept, testName
			connect()
			change()
			p := begin(t, transport, client, server).run()
			if p.client.m.State().DidResume || p.client.m.Open() && p.server.m.Open() {
				t.Errorf("%s, and yet the session is resumed", name)
			}
		}
	})
}

// TestCertificateTypeAnswers: what a client refuses of a server's choice.
func TestCertificateTypeAnswers(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, extension := range []protocol.ExtensionType{protocol.ExtClientCertType, protocol.ExtServerCertType} {
			for _, c := range []struct {
				name  string
				body  []byte
				alert alert.Alert
			}{
				{"a type that was not offered", []byte{byte(protocol.X509)}, alert.UnsupportedCertificate},
				{"an unknown type", []byte{5}, alert.UnsupportedCertificate},
				{"nothing", nil, alert.DecodeError},
			} {
				client, server := rawConfigs(v, p256)
				p := newPair(t, transport, client, server)
				override(t, extension, c.body, func() {
					p.client.fail(p.client.m.Start(testTime))
					p.run()
				})
				t.Run(extension.String()+" "+c.name, func(t *testing.T) { p.client.expectRefused(t, c.alert) })
			}
		}
	})
}

// override lets servers answer an extension with a body while f runs.
func override(t *testing.T, kind protocol.ExtensionType, body []byte, f func()) {
	x := findExtension(kind)
	was := x.answer
	x.answer = func(_ *Machine, _ where, b *wire.Builder) bool { b.Raw(body); return true }
	defer func() { x.answer = was }()
	f()
}

// TestRawPublicKeyMessages: how a raw public key must not be shown.
//
// RFC 9846 4.5.1 [12]
func TestRawPublicKeyMessages(t *testing.T) {
	_, info := testPKI().rawCredential(p256)
	entry := message.CertificateEntry{Data: info}
	append13 := func(entries ...message.CertificateEntry) []byte {
		return appended((&message.Certificate13{Entries: entries}).Append)
	}
	certificate := testPKI().leaf[p256].Certificate[0]
	const v12, v13 = protocol.VersionTLS12, protocol.VersionTLS13
	for _, c := range []struct {
		name    string
		version protocol.Version
		body    []byte
		alert   alert.Alert
	}{
		{"a certificate", v13, append13(message.CertificateEntry{Data: certificate}), alert.DecodeError},
		{"a certificate", v12, appended((&message.Certificate12{Chain: [][]byte{certificate}}).Append), alert.DecodeError},
		{"two keys", v13, append13(entry, entry), alert.IllegalParameter},
		{"an extension that was not asked for", v13, append13(message.CertificateEntry{Data: info, Extensions: extensionList{{protocol.ExtSCT, []byte("\x00\x03\x00\x01t")}}.block()}), alert.UnsupportedExtension},
		{"none", v13, append13(), alert.DecodeError},
		{"none", v12, appended((&message.RawPublicKey12{}).Append), alert.DecodeError},
		{"an empty one", v13, []byte("\x00\x00\x00\x05\x00\x00\x00\x00\x00"), alert.DecodeError},
	} {
		t.Run(c.name+" in "+c.version.String(), func(t *testing.T) {
			client, server := rawConfigs(c.version, p256)
			p := begin(t, protocol.Stream, client, server)
			p.onWay = func(to *peer, m Message) []Message {
				if m.Type == protocol.Certificate {
					m.Body = c.body
				}
				return []Message{m}
			}
			p.run()
			p.client.expectRefused(t, c.alert)
		})
	}
}

// TestRawPublicKeySuite: in 1.2 the suite says what kind of key signs.
func TestRawPublicKeySuite(t *testing.T) {
	client, server := rawConfigs(protocol.VersionTLS12, p256)
	p := begin(t, protocol.Stream, client, server)
	p.onWay = func(to *peer, m Message) []Message {
		if m.Type == protocol.ServerHello {
			m = editServerHello(t, m, func(hello *message.ServerHello, _ *extensionList) {
				hello.CipherSuite = suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
			})
		}
		return []Message{m}
	}
	p.run()
	p.client.expectRefused(t, alert.IllegalParameter)
}

// TestCertificateTypesAfterRetry: the second ClientHello offers what the first
// did (RFC 9846 4.2.2).
func TestCertificateTypesAfterRetry(t *testing.T) {
	for _, extension := range []protocol.ExtensionType{protocol.ExtClientCertType, protocol.ExtServerCertType} {
		client, server := rawConfigs(protocol.VersionTLS13, p256)
		client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		server.CurvePreferences = []tls.CurveID{tls.CurveP256}
		p := begin(t, protocol.Stream, client, server)
		hellos := 0
		p.onWay = func(to *peer, m Message) []Message {
			if m.Type == protocol.ClientHello {
				if hellos++; hellos == 2 {
					m = editClientHello(t, protocol.Stream, m, func(_ *message.ClientHello, x *extensionList) { x.set(extension, []byte{2, 2, 0}) })
				}
			}
			return []Message{m}
		}
		p.run()
		p.server.expectRefused(t, alert.IllegalParameter)
	}
}

// RFC 9846 4.5.1 [13]
func TestCertificateTypeConfigs(t *testing.T) {
	raw, _ := testPKI().rawCredential(p256)
	accept := func([]byte) error { return nil }
	both := testPKI().credential(p256)
	both.RawPublicKey = raw.RawPublicKey
	issued := raw
	issued.MustMatchIssuer = true
	for _, c := range []struct {
		field  string
		change func(*Config)
	}{
		{"VerifyRawPublicKey", func(c *Config) { c.PeerCertificateTypes = []CertificateType{protocol.RawPublicKey} }},
		{"VerifyRawPublicKey", func(c *Config) {
			c.PeerCertificateTypes, c.InsecureSkipVerify = []CertificateType{protocol.X509, protocol.RawPublicKey}, true
		}},
		{"PeerCertificateTypes", func(c *Config) { c.PeerCertificateTypes = []CertificateType{1} }},
		{"LocalCertificateTypes", func(c *Config) { c.LocalCertificateTypes = []CertificateType{1} }},
		{"Credentials", func(c *Config) { c.Credentials = []Credential{both} }},
		{"Credentials", func(c *Config) { c.Credentials = []Credential{issued} }},
		{"ServerName", func(c *Config) {
			c.PeerCertificateTypes = []CertificateType{protocol.RawPublicKey, protocol.X509}
			c.VerifyRawPublicKey, c.ServerName = accept, ""
		}},
	} {
		client, _ := configs(0)
		c.change(client)
		if got, ok := errors.AsType[*ConfigError](client.Validate(Client, protocol.Stream)); !ok || got.Field != c.field {
			t.Errorf("got %v, expected %s to be at fault", got, c.field)
		}
	}
}
