package handshake

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// secretOf makes a key of a name.
func secretOf(name string) []byte { return bytes.Repeat([]byte(name+"!"), 24)[:24] }

func keyNamed(name string, use PSKUse) Credential {
	return Credential{PSK: &ExternalPSK{Identity: []byte(name), Key: secretOf(name), Use: use}}
}

func shownCredential() Credential { return Credential{Certificate: new(testPKI().leaf[p256])} }

// pskConfigs are configs of peers that share these keys and no certificates.
func pskConfigs(v protocol.Version, keys ...Credential) (client, server *Config) {
	client, server = configs(v)
	server.Certificates = nil
	client.Credentials, server.Credentials = keys, slices.Clone(keys)
	return client, server
}

var certificates = []protocol.HandshakeType{
	protocol.Certificate, protocol.CertificateRequest, protocol.CertificateVerify, protocol.CertificateStatus,
}

// expectPSK checks that both sides were authenticated by one key.
func (p *pair) expectPSK(t *testing.T, name string) {
	t.Helper()
	for _, side := range []*peer{p.client, p.server} {
		state := side.m.State()
		if string(state.PSKIdentity) != name || len(state.PeerCertificates) != 0 {
			t.Errorf("%v: identity %q, %d certificates", side.m.role, state.PSKIdentity, len(state.PeerCertificates))
		}
		if c := state.LocalCredential; !state.DidResume && (c == nil || c.PSK == nil || string(c.PSK.Identity) != name) {
			t.Errorf("%v used %+v", side.m.role, c)
		}
		for _, never := range certificates {
			if slices.Contains(typesOf(side.sent), never) {
				t.Errorf("%v sent %v", side.m.role, never)
			}
		}
	}
}

// TestPSK13: every way to use a key, with suites of each hash and after a
// HelloRetryRequest, and the sessions that come of it.
//
// RFC 9846 2.2 [2], 4.2.2 [13], 4.3.11 [2], 4.4.2 [8], F.1 [1]
func TestPSK13(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, hash := range []crypto.Hash{0, crypto.SHA256, crypto.SHA384} {
			for _, use := range []PSKUse{PSKImported, PSKDirect} {
				for _, id := range []uint16{0, suite.TLS_AES_128_GCM_SHA256, suite.TLS_AES_256_GCM_SHA384} {
					for _, retry := range []bool{false, true} {
						key := &ExternalPSK{Identity: []byte("device"), Key: secretOf("device"), Use: use, Hash: hash}
						if use == PSKDirect && id != 0 && suite.ByID(id).Hash != key.hash() {
							continue
						}
						t.Run(fmt.Sprintf("%v/use %d/0x%04x/retry %v", hash, use, id, retry), func(t *testing.T) {
							onePSKHandshake(t, transport, key, id, retry)
						})
					}
				}
			}
		}
	})
}

func onePSKHandshake(t *testing.T, transport protocol.Transport, key *ExternalPSK, id uint16, retry bool) {
	client, server := pskConfigs(protocol.VersionTLS13, Credential{PSK: key})
	server.ClientAuth = tls.RequireAndVerifyClientCert // of those who are asked for one
	client.RequestSCTs, client.RequestOCSPStaple = true, true
	client.ClientSessionCache = new(shelf)
	if id != 0 {
		server.CipherSuites = []uint16{id}
	}
	if retry {
		server.CurvePreferences = []tls.CurveID{tls.CurveP256}
	}
	for n := range 2 {
		p := complete(t, transport, client, server)
		p.expectPSK(t, "device")
		state := p.client.m.State()
		if state.DidResume != (n == 1) || state.HelloRetryRequest != retry {
			t.Errorf("connection %d: %+v", n, state)
		}
		if used := suite.ByID(state.CipherSuite).Hash; key.Use == PSKDirect && used != key.hash() {
			t.Errorf("a key for %v went with %v", key.hash(), used)
		}
	}
}

// TestPSKOrder: which key or certificate a server of 1.3 takes.
func TestPSKOrder(t *testing.T) {
	a, b, c := keyNamed("a", PSKImported), keyNamed("b", PSKDirect), keyNamed("c", PSKImported)
	shown := shownCredential()
	longer := Credential{PSK: &ExternalPSK{Identity: []byte("b"), Key: secretOf("b"), Use: PSKDirect, Hash: crypto.SHA384}}
	const certificate = "certificate"
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, test := range map[string]struct {
			client, server []Credential
			want           string
		}{
			"the only one in common":        {[]Credential{a, b}, []Credential{c, b}, "b"},
			"the server's order":            {[]Credential{a, b, c}, []Credential{c, b, a}, "c"},
			"key before certificate":        {[]Credential{a}, []Credential{a, shown}, "a"},
			"certificate before key":        {[]Credential{a}, []Credential{shown, a}, certificate},
			"certificate for want of a key": {[]Credential{a}, []Credential{c, shown}, certificate},
			"one of SHA-384":                {[]Credential{a, longer}, []Credential{longer}, "b"},
			"for another version":           {[]Credential{a, b}, []Credential{keyNamed("a", PSKDirect12), b}, "b"},
		} {
			t.Run(name, func(t *testing.T) {
				client, server := pskConfigs(protocol.VersionTLS13)
				client.Credentials, server.Credentials = test.client, test.server
				client.PSKOrCertificate = true
				p := complete(t, transport, client, server)
				if test.want != certificate {
					p.expectPSK(t, test.want)
				} else if s := p.client.m.State(); len(s.PeerCertificates) == 0 || s.PSKIdentity != nil {
					t.Errorf("%+v", s)
				}
			})
		}
	})
}

// TestNoCommonPSK: keys that differ in whatever belongs to them.
func TestNoCommonPSK(t *testing.T) {
	ours := ExternalPSK{Identity: []byte("device"), Key: secretOf("device"), Context: []byte("role")}
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, test := range map[string]struct {
			change func(*ExternalPSK)
			want   alert.Alert
			reason error
		}{
			"identity":     {func(p *ExternalPSK) { p.Identity = []byte("devic") }, alert.HandshakeFailure, alert.NoCommonPSK},
			"context":      {func(p *ExternalPSK) { p.Context = nil }, alert.HandshakeFailure, alert.NoCommonPSK},
			"not imported": {func(p *ExternalPSK) { p.Context, p.Use = nil, PSKDirect }, alert.HandshakeFailure, alert.NoCommonPSK},
			"key":          {func(p *ExternalPSK) { p.Key = secretOf("other") }, alert.DecryptError, nil},
			"hash":         {func(p *ExternalPSK) { p.Hash = crypto.SHA384 }, alert.DecryptError, nil},
		} {
			t.Run(name, func(t *testing.T) {
				theirs := ours
				test.change(&theirs)
				client, server := pskConfigs(protocol.VersionTLS13, Credential{PSK: &theirs})
				server.Credentials = []Credential{{PSK: &ours}}
				p := begin(t, transport, client, server).run()
				p.server.expectRefused(t, test.want)
				if test.reason != nil && !errors.Is(p.server.err, test.reason) {
					t.Error(p.server.err)
				}
				// A certificate instead, but not where somebody tries to pass for the device.
				client.PSKOrCertificate = true
				server.Credentials = append(server.Credentials, shownCredential())
				if p = begin(t, transport, client, server).run(); (p.server.err == nil) != (test.want == alert.HandshakeFailure) {
					t.Error(p.server.err)
				}
			})
		}
	})
}

// TestPSKNeeded: a client with keys offers and takes nothing else by default.
func TestPSKNeeded(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, test := range []struct {
			key     Credential
			offered []protocol.Version // over a stream
		}{
			{keyNamed("a", PSKImported), []protocol.Version{protocol.VersionTLS13, protocol.VersionTLS12}}, // 1.2 to no avail
			{keyNamed("a", PSKDirect), []protocol.Version{protocol.VersionTLS13, protocol.VersionTLS12}},
			{keyNamed("a", PSKDirect12), nil},
			{Credential{PSK: &ExternalPSK{Key: secretOf("a"), Use: PSKDirect}}, nil}, // no identity: 1.2 alone
		} {
			client, server := pskConfigs(0, test.key)
			server.Credentials, server.Certificates = nil, []tls.Certificate{testPKI().leaf[p256]}
			client.ServerName = "" // there is no certificate to verify
			p := begin(t, transport, client, server)
			p.client.work()
			var hello message.ClientHello
			if err := hello.Parse(p.server.inbox[0].Body, transport); err != nil {
				t.Fatal(err)
			}
			var versions []protocol.Version
			if body, ok := hello.Extensions.Find(protocol.ExtSupportedVersions); ok {
				list, _ := message.ParseSupportedVersions(body)
				for v := range list.All() {
					versions = append(versions, protocol.Version(v).Over(protocol.Stream))
				}
			}
			if !slices.Equal(versions, test.offered) {
				t.Errorf("offered %v, want %v", versions, test.offered)
			}
			if _, ok := hello.Extensions.Find(protocol.ExtSignatureAlgorithms); ok {
				t.Error("signature_algorithms are offered")
			}
			for id := range hello.CipherSuites.All() {
				if auth := suite.ByID(id).Auth; auth != suite.AnyAuth && auth != suite.PSK && client.hasPSK(protocol.VersionTLS12) {
					t.Errorf("%s is offered", suite.ByID(id).Name)
				}
			}
			if p.run(); p.server.err == nil {
				t.Error("the handshake goes on")
			}
		}
	})
}

// TestVersionWithoutPSK: a client that has keys for 1.3 alone says why it doesn't
// take 1.2.
func TestVersionWithoutPSK(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, _ := pskConfigs(0, keyNamed("a", PSKImported))
		_, server := configs(protocol.VersionTLS12)
		p := begin(t, transport, client, server)
		p.client.work()
		p.server.take(editClientHello(t, transport, p.server.pop(), func(_ *message.ClientHello, x *extensionList) {
			x.set(protocol.ExtSignatureAlgorithms, []byte{0, 2, 4, 3}) // which this server would miss
		}))
		p.run().client.expectRefused(t, alert.ProtocolVersion)
	})
}

// TestServerWithoutPSK: a server of 1.3 that doesn't select any of the keys.
func TestServerWithoutPSK(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, test := range map[string]struct {
			change func(*message.ServerHello, *extensionList)
			want   alert.Alert
		}{
			"none":           {drop(protocol.ExtPreSharedKey), alert.MissingExtension},
			"beyond the end": {selecting(2), alert.IllegalParameter},
			"the other hash": {selecting(1), alert.IllegalParameter},
			"no key_share":   {drop(protocol.ExtKeyShare), alert.MissingExtension},
		} {
			t.Run(name, func(t *testing.T) {
				client, server := pskConfigs(protocol.VersionTLS13, keyNamed("a", PSKImported))
				p := begin(t, transport, client, server)
				p.client.work()
				p.next(p.server)
				p.client.take(editServerHello(t, p.client.pop(), test.change))
				p.client.expectRefused(t, test.want)
			})
		}
	})
}

func selecting(i byte) func(*message.ServerHello, *extensionList) {
	return func(_ *message.ServerHello, x *extensionList) { x.set(protocol.ExtPreSharedKey, []byte{0, i}) }
}

// TestSecondHelloPSKs: RFC 9846 4.2.2.
//
// RFC 9846 4.3.11 [8]
func TestSecondHelloPSKs(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := pskConfigs(protocol.VersionTLS13, keyNamed("a", PSKImported), keyNamed("b", PSKImported))
		server.Credentials = server.Credentials[:1]
		server.CurvePreferences = []tls.CurveID{tls.CurveP256}
		for name, test := range map[string]struct {
			edit func(*message.ClientHello, *extensionList)
			want alert.Alert
		}{
			"none": {func(_ *message.ClientHello, x *extensionList) { x.drop(protocol.ExtPreSharedKey) }, alert.MissingExtension},
			"without the key in common": {func(hello *message.ClientHello, x *extensionList) {
				body, _ := hello.Extensions.Find(protocol.ExtPreSharedKey)
				x.set(protocol.ExtPreSharedKey, psksWithout(t, body))
			}, alert.IllegalParameter},
			"with another binder": {func(hello *message.ClientHello, _ *extensionList) {
				body, _ := hello.Extensions.Find(protocol.ExtPreSharedKey)
				body[len(body)-40] ^= 1
			}, alert.DecryptError},
		} {
			t.Run(name, func(t *testing.T) {
				p := begin(t, transport, client, server)
				p.client.work()
				p.next(p.server) // answers with HelloRetryRequest
				p.next(p.client)
				p.server.take(editClientHello(t, transport, p.server.pop(), test.edit))
				p.server.expectRefused(t, test.want)
			})
		}
	})
}

// psksWithout is a pre_shared_key without the first PSK.
func psksWithout(t *testing.T, body []byte) []byte {
	offered, err := message.ParsePreSharedKey(body)
	if err != nil || len(offered.Binders) != 2 {
		t.Fatal(err, "the second ClientHello should have keys of one hash", len(offered.Binders))
	}
	return appended(func(b *wire.Builder) {
		message.AppendPreSharedKey(b, message.OfferedPSKs{Identities: offered.Identities[1:], Binders: offered.Binders[1:]})
	})
}

// TestPSKModes: a server that can't use the client's modes.
//
// RFC 9846 4.2.1 [2], 4.3.9 [4]
func TestPSKModes(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := pskConfigs(protocol.VersionTLS13, keyNamed("a", PSKImported))
		client.PSKOrCertificate = true
		for _, fallback := range []bool{false, true} {
			if fallback {
				server.Certificates = []tls.Certificate{testPKI().leaf[p256]}
			}
			p := begin(t, transport, client, server)
			p.client.work()
			p.server.take(editClientHello(t, transport, p.server.pop(), func(_ *message.ClientHello, x *extensionList) {
				x.set(protocol.ExtPSKModes, []byte{1, message.PSKOnly})
			}))
			if fallback != slices.Contains(typesOf(p.server.sent), protocol.Certificate) {
				t.Errorf("fall-back %v: %v", fallback, p.server.err)
			}
			if !fallback && !errors.Is(p.server.err, alert.NoCommonPSKMode) {
				t.Error(p.server.err)
			}
		}
	})
}

// TestWantedHashes: the suite goes by the keys that are offered, and deciding so
// before a cookie costs no memory.
//
// RFC 9846 4.3.11 [3, 7]
func TestWantedHashes(t *testing.T) {
	short, long := keyNamed("a", PSKDirect), keyNamed("b", PSKDirect)
	long.PSK.Hash = crypto.SHA384
	both := keyNamed("c", PSKImported)
	lookUp := func([]byte, ConnectionState) (*ExternalPSK, error) { return nil, nil }
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, test := range map[string]struct {
			offered []Credential
			server  Config
			want    crypto.Hash
		}{
			"no keys":              {nil, Config{}, crypto.SHA256},
			"unknown key":          {[]Credential{long}, Config{}, crypto.SHA256},
			"known key":            {[]Credential{short, long}, Config{Credentials: []Credential{long}}, crypto.SHA384},
			"imported, both":       {[]Credential{long, both}, Config{Credentials: []Credential{both}}, crypto.SHA256},
			"the application's":    {[]Credential{long}, Config{GetPSK: lookUp}, crypto.SHA384},
			"known before unknown": {[]Credential{short, long}, Config{GetPSK: lookUp, Credentials: []Credential{long}}, crypto.SHA384},
		} {
			client, server := pskConfigs(protocol.VersionTLS13, test.offered...)
			client.PSKOrCertificate, server.Certificates = true, []tls.Certificate{testPKI().leaf[p256]}
			p := begin(t, transport, client, server)
			body := p.server.inbox[0].Body
			if n := testing.AllocsPerRun(20, func() {
				var hello message.ClientHello
				if err := hello.Parse(body, transport); err != nil {
					t.Fatal(err)
				}
				choice, err := Choose(&test.server, &hello, transport)
				if err != nil || choice.Suite.Hash != test.want {
					t.Errorf("%s: %v, %v", name, choice.Suite, err)
				}
			}); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	})
}

// TestPSKConfig: what can't work is told by the name of its field.
func TestPSKConfig(t *testing.T) {
	for name, test := range map[string]struct {
		config Config
		role   Role
		field  string
	}{
		"empty key":                {Config{Credentials: []Credential{{PSK: &ExternalPSK{Identity: []byte("a")}}}}, Server, "Credentials"},
		"short key to import":      {Config{Credentials: []Credential{{PSK: &ExternalPSK{Identity: []byte("a"), Key: make([]byte, 15)}}}}, Server, "Credentials"},
		"no identity to import":    {Config{Credentials: []Credential{{PSK: &ExternalPSK{Key: make([]byte, 16)}}}}, Server, "Credentials"},
		"context without importer": {Config{Credentials: []Credential{{PSK: &ExternalPSK{Key: make([]byte, 16), Use: PSKDirect, Context: []byte("c")}}}}, Server, "Credentials"},
		"hash":                     {Config{Credentials: []Credential{{PSK: &ExternalPSK{Identity: []byte("a"), Key: make([]byte, 16), Hash: crypto.SHA512}}}}, Server, "Credentials"},
		"use":                      {Config{Credentials: []Credential{{PSK: &ExternalPSK{Identity: []byte("a"), Key: make([]byte, 16), Use: 9}}}}, Server, "Credentials"},
		"long identity":            {Config{Credentials: []Credential{{PSK: &ExternalPSK{Identity: make([]byte, 1<<14), Context: []byte("c"), Key: make([]byte, 16)}}}}, Server, "Credentials"},
		"two kinds":                {Config{Credentials: []Credential{{PSK: keyNamed("a", PSKImported).PSK, Certificate: shownCredential().Certificate}}}, Server, "Credentials"},
		"signing key":              {Config{Credentials: []Credential{{PSK: keyNamed("a", PSKImported).PSK, SignatureSchemes: []tls.SignatureScheme{tls.Ed25519}}}}, Server, "Credentials"},
		"no version for the key":   {Config{Credentials: []Credential{keyNamed("a", PSKImported)}, MaxVersion: tls.VersionTLS12}, Client, "Credentials"},
		"no suite for the key":     {Config{Credentials: []Credential{keyNamed("a", PSKDirect12)}, CipherSuites: []uint16{suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, Client, "CipherSuites"},
		"no key for the suite":     {Config{ServerName: "a", CipherSuites: []uint16{suite.TLS_PSK_WITH_AES_128_GCM_SHA256}}, Client, "CipherSuites"},
		"long hint":                {Config{GetPSK: func([]byte, ConnectionState) (*ExternalPSK, error) { return nil, nil }, PSKIdentityHint: make([]byte, 1<<16)}, Server, "PSKIdentityHint"},
		"or certificate, unnamed":  {Config{Credentials: []Credential{keyNamed("a", PSKImported)}, PSKOrCertificate: true}, Client, "ServerName"},
	} {
		err := test.config.Validate(test.role, protocol.Stream)
		if config, ok := errors.AsType[*ConfigError](err); !ok || config.Field != test.field {
			t.Errorf("%s: %v", name, err)
		}
	}
	for role, config := range map[Role]*Config{
		Client: {Credentials: []Credential{keyNamed("a", PSKImported)}},
		Server: {Credentials: []Credential{keyNamed("a", PSKDirect)}},
	} {
		if err := config.Validate(role, protocol.Stream); err != nil {
			t.Errorf("%v: %v", role, err)
		}
	}
}

// TestSessionWithoutKey: where a server has nothing but external keys, a client
// that never had one doesn't get in with a session of another Config, which
// shares the ticket keys.
func TestSessionWithoutKey(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, keys := range map[string]func(*Config){
			"Credentials": func(c *Config) { c.Credentials = []Credential{keyNamed("device", PSKImported)} },
			"GetPSK": func(c *Config) {
				c.GetPSK = func([]byte, ConnectionState) (*ExternalPSK, error) { return nil, nil }
			},
		} {
			t.Run(name, func(t *testing.T) {
				client, open, _ := resumingConfigs()
				open.TicketKeys = [][32]byte{{1}}
				complete(t, transport, client, open)
				closed := *open
				closed.Certificates = nil
				keys(&closed)
				p := begin(t, transport, client, &closed).run()
				if p.server.m.Open() {
					t.Fatal("the server let it in")
				}
				p.server.expectRefused(t, alert.HandshakeFailure)
			})
		}
	})
}

// TestOneBinder: of the binders of a ClientHello the server looks at that of the key
// that it takes alone.
//
// RFC 9846 4.3.11 [10]
func TestOneBinder(t *testing.T) {
	for _, c := range []struct {
		binder  string
		wrong   int // from the end of the ClientHello
		matters bool
	}{{"second", 1, false}, {"first", 1 + 33, true}} {
		first, second := keyNamed("first", PSKDirect), keyNamed("second", PSKDirect)
		client, server := pskConfigs(protocol.VersionTLS13, first, second)
		server.Credentials = []Credential{first}
		p := begin(t, protocol.Stream, client, server)
		hello := p.server.pop()
		hello.Body[len(hello.Body)-c.wrong] ^= 1
		p.server.take(hello)
		if c.matters {
			p.server.expectRefused(t, alert.DecryptError)
		} else if p.server.err != nil || !slices.Contains(typesOf(p.server.sent), protocol.ServerHello) {
			t.Errorf("the %s binder is wrong: %v", c.binder, p.server.err)
		}
	}
}
