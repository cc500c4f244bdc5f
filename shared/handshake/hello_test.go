package handshake

import (
	"bytes"
	"crypto/tls"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// retrying makes the server ask for another share.
func retrying(client, server *Config) {
	client.CurvePreferences = []tls.CurveID{tls.CurveP256, tls.X25519, tls.CurveP384}
	server.CurvePreferences = []tls.CurveID{tls.X25519}
}

// A serverHelloCase changes what a server says first.
type serverHelloCase struct {
	name string
	edit func(*message.ServerHello, *extensionList)
	want alert.Alert
}

func set(t protocol.ExtensionType, body ...byte) func(*message.ServerHello, *extensionList) {
	return func(_ *message.ServerHello, x *extensionList) { x.set(t, body) }
}

func drop(types ...protocol.ExtensionType) func(*message.ServerHello, *extensionList) {
	return func(_ *message.ServerHello, x *extensionList) {
		for _, t := range types {
			x.drop(t)
		}
	}
}

// forBothHellos are wrong in ServerHello of 1.3 and in HelloRetryRequest.
var forBothHellos = []serverHelloCase{
	{"version 1.2 in supported_versions", set(protocol.ExtSupportedVersions, 3, 3), alert.IllegalParameter},
	{"an unknown version", set(protocol.ExtSupportedVersions, 0x2a, 0x2a), alert.IllegalParameter},
	{"a longer supported_versions", set(protocol.ExtSupportedVersions, 3, 4, 0), alert.DecodeError},
	{"another legacy_version", func(m *message.ServerHello, _ *extensionList) { m.Version-- }, alert.ProtocolVersion},
	{"compression", func(m *message.ServerHello, _ *extensionList) { m.Compression = 1 }, alert.DecodeError},
	{"another session", func(m *message.ServerHello, _ *extensionList) { m.SessionID = []byte{1} }, alert.IllegalParameter},
	{"a suite that nobody knows", func(m *message.ServerHello, _ *extensionList) { m.CipherSuite = 0x2a2a }, alert.IllegalParameter},
	{"a suite of 1.2", func(m *message.ServerHello, _ *extensionList) {
		m.CipherSuite = suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	}, alert.IllegalParameter},
	{"a suite that was not offered", func(m *message.ServerHello, _ *extensionList) {
		m.CipherSuite = suite.TLS_CHACHA20_POLY1305_SHA256
	}, alert.IllegalParameter},
	{"an extension that was not offered", set(protocol.ExtALPN, 0, 2, 1, 'x'), alert.UnsupportedExtension},
	{"an extension that nobody knows", set(0x2a2a), alert.UnsupportedExtension},
	{"an extension of other messages", set(protocol.ExtSignatureAlgorithms, 0, 2, 4, 3), alert.IllegalParameter},
}

// RFC 9846 4.2.4 [4, 5, 8], 4.3.8 [8]
func TestHelloRetryRequest(t *testing.T) {
	for _, c := range append([]serverHelloCase{
		{"a group that was not named", set(protocol.ExtKeyShare, 0, byte(tls.CurveP521)), alert.IllegalParameter},
		{"a group that nobody knows", set(protocol.ExtKeyShare, 0x2a, 0x2a), alert.IllegalParameter},
		{"a group of which there is a share", set(protocol.ExtKeyShare, 0, byte(tls.CurveP256)), alert.IllegalParameter},
		{"no change", drop(protocol.ExtKeyShare), alert.IllegalParameter},
		{"no supported_versions", drop(protocol.ExtSupportedVersions), alert.MissingExtension},
		{"a share", set(protocol.ExtKeyShare, 0, 29, 0, 1, 1), alert.DecodeError},
		{"an empty cookie", set(protocol.ExtCookie, 0, 0), alert.DecodeError},
		{"an extension twice", func(_ *message.ServerHello, x *extensionList) { *x = append(*x, (*x)[0]) }, alert.IllegalParameter},
		{"1.2", func(m *message.ServerHello, x *extensionList) {
			x.drop(protocol.ExtSupportedVersions)
			m.CipherSuite = suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
		}, alert.MissingExtension},
	}, forBothHellos...) {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			t.Run(c.name, func(t *testing.T) {
				client, server := configs(0)
				retrying(client, server)
				client.CipherSuites = []uint16{suite.TLS_AES_128_GCM_SHA256}
				p := begin(t, transport, client, server)
				p.next(p.server)
				p.client.take(editServerHello(t, p.client.pop(), c.edit))
				p.client.expectRefused(t, c.want)
				if len(p.client.sent) != 1 {
					t.Error("it is answered")
				}
			})
		})
	}
}

// RFC 9846 4.2.3 [2, 5, 6, 8], 4.3 [4, 5], 4.3.1 [10, 11, 12], 4.3.8 [11], 7.4.2 [3]
func TestServerHello13(t *testing.T) {
	for _, c := range append([]serverHelloCase{
		{"no key_share", drop(protocol.ExtKeyShare), alert.MissingExtension},
		{"a share of a group of which none was sent", set(protocol.ExtKeyShare, 0, byte(tls.CurveP384), 0, 1, 1), alert.IllegalParameter},
		{"a share that is too short", set(protocol.ExtKeyShare, 0, byte(tls.X25519), 0, 1, 1), alert.IllegalParameter},
		{"a share without contents", set(protocol.ExtKeyShare, 0, byte(tls.X25519), 0, 0), alert.DecodeError},
		{"a share of zeros", set(protocol.ExtKeyShare, append([]byte{0, byte(tls.X25519), 0, 32}, make([]byte, 32)...)...), alert.IllegalParameter},
		{"no supported_versions", drop(protocol.ExtSupportedVersions), alert.IllegalParameter}, // its suite is of 1.3
		{"a cookie", set(protocol.ExtCookie, 0, 1, 1), alert.UnsupportedExtension},
		{"an extension twice", func(_ *message.ServerHello, x *extensionList) { *x = append(*x, (*x)[0]) }, alert.DecodeError},
		{"extended_master_secret", set(protocol.ExtExtendedMasterSecret), alert.IllegalParameter},
	}, forBothHellos...) {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			t.Run(c.name, func(t *testing.T) {
				client, server := configs(0)
				client.CipherSuites = []uint16{suite.TLS_AES_128_GCM_SHA256}
				p := begin(t, transport, client, server)
				p.next(p.server)
				p.client.take(editServerHello(t, p.client.pop(), c.edit))
				p.client.expectRefused(t, c.want)
			})
		})
	}
}

// RFC 9846 E.1 [3]
func TestServerHello12(t *testing.T) {
	for _, c := range []serverHelloCase{
		{"supported_versions", set(protocol.ExtSupportedVersions, 3, 4), alert.UnsupportedExtension},
		{"compression", func(m *message.ServerHello, _ *extensionList) { m.Compression = 1 }, alert.IllegalParameter},
		{"an older version", func(m *message.ServerHello, _ *extensionList) { m.Version = older(m.Version) }, alert.ProtocolVersion},
		{"a suite of 1.3", func(m *message.ServerHello, _ *extensionList) { m.CipherSuite = suite.TLS_AES_128_GCM_SHA256 }, alert.IllegalParameter},
		{"a suite that was not offered", func(m *message.ServerHello, _ *extensionList) {
			m.CipherSuite = suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
		}, alert.IllegalParameter},
		{"no extended_master_secret", drop(protocol.ExtExtendedMasterSecret), alert.HandshakeFailure},
		{"extended_master_secret with contents", set(protocol.ExtExtendedMasterSecret, 0), alert.DecodeError},
		{"verify_data of another handshake", set(protocol.ExtRenegotiationInfo, 1, 0), alert.HandshakeFailure},
		{"only compressed points", set(protocol.ExtECPointFormats, 1, 1), alert.IllegalParameter},
		{"ALPN that was not offered", set(protocol.ExtALPN, 0, 2, 1, 'x'), alert.UnsupportedExtension},
		{"status_request", set(protocol.ExtStatusRequest), alert.UnsupportedExtension},
		{"session_ticket", set(35), alert.UnsupportedExtension},
		{"key_share", set(protocol.ExtKeyShare, 0, 29), alert.UnsupportedExtension},
		{"signature_algorithms", set(protocol.ExtSignatureAlgorithms, 0, 2, 4, 3), alert.UnsupportedExtension},
	} {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			t.Run(c.name, func(t *testing.T) {
				client, server := configs(protocol.VersionTLS12)
				client.CipherSuites = []uint16{suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
				p := begin(t, transport, client, server)
				p.next(p.server)
				p.client.take(editServerHello(t, p.client.pop(), c.edit))
				p.client.expectRefused(t, c.want)
			})
		})
	}
}

// older is the version before 1.2.
func older(v protocol.Version) protocol.Version {
	if v == protocol.VersionDTLS12 {
		return protocol.VersionDTLS10
	}
	return protocol.VersionTLS11
}

// TestSessionEcho: a server of 1.2 that echoes the session ID, which was made up
// for middleboxes, resumes nothing that there is; one of DTLS 1.3 never echoes.
//
// RFC 9147 5 [1]
func TestSessionEcho(t *testing.T) {
	client, server := configs(0)
	server.MaxVersion = tls.VersionTLS12
	p := begin(t, protocol.Stream, client, server)
	p.next(p.server)
	p.client.take(editServerHello(t, p.client.pop(), func(m *message.ServerHello, _ *extensionList) { m.SessionID = p.client.m.hello.sessionID }))
	p.client.expectRefused(t, alert.IllegalParameter)

	client, server = configs(0)
	retrying(client, server)
	p = begin(t, protocol.Datagram, client, server)
	p.onWay = func(to *peer, m Message) []Message {
		if m.Type == protocol.ClientHello {
			m = editClientHello(t, protocol.Datagram, m, func(h *message.ClientHello, _ *extensionList) { h.SessionID = []byte("of a session of 1.2") })
		}
		if m.Type == protocol.ServerHello {
			editServerHello(t, m, func(h *message.ServerHello, _ *extensionList) {
				if len(h.SessionID) != 0 {
					t.Errorf("echo %x", h.SessionID)
				}
			})
		}
		return []Message{m}
	}
	p.run()
	p.client.expectRefused(t, alert.DecryptError) // the hellos were changed
	if p.server.err != nil {
		t.Error(p.server.err)
	}
}

// TestSecondRetry: there is one HelloRetryRequest, and ServerHello keeps to it.
//
// RFC 9147 5.1 [10]; RFC 9846 4.2.4 [6, 10, 12], 4.3.8 [13]
func TestSecondRetry(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(retry Message) func(Message) Message
		want alert.Alert
	}{
		{"another HelloRetryRequest", func(retry Message) func(Message) Message {
			return func(Message) Message { return retry }
		}, alert.UnexpectedMessage},
		{"another suite", func(Message) func(Message) Message {
			return func(m Message) Message {
				return editServerHello(t, m, func(h *message.ServerHello, _ *extensionList) { h.CipherSuite = suite.TLS_AES_256_GCM_SHA384 })
			}
		}, alert.IllegalParameter},
		{"another group", func(Message) func(Message) Message {
			return func(m Message) Message {
				return editServerHello(t, m, func(_ *message.ServerHello, x *extensionList) {
					x.set(protocol.ExtKeyShare, []byte{0, byte(tls.CurveP256), 0, 1, 4})
				})
			}
		}, alert.IllegalParameter},
		{"another version", func(Message) func(Message) Message {
			return func(m Message) Message {
				return editServerHello(t, m, func(h *message.ServerHello, x *extensionList) {
					x.drop(protocol.ExtSupportedVersions)
					h.CipherSuite = suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
				})
			}
		}, alert.IllegalParameter},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := configs(0)
			retrying(client, server)
			p := begin(t, protocol.Stream, client, server)
			p.next(p.server)
			retry := p.client.inbox[0]
			p.next(p.client)
			p.next(p.server)
			p.client.take(c.edit(retry)(p.client.pop()))
			p.client.expectRefused(t, c.want)
		})
	}
}

// TestPitfallVerifyRequestThen13: HelloVerifyRequest settles on 1.2 (RFC 9147 5.2,
// NSS bug 2033783).
func TestPitfallVerifyRequestThen13(t *testing.T) {
	client, server := configs(0)
	retrying(client, server)
	verify := Message{Content: protocol.Handshake, Type: protocol.HelloVerifyRequest, Body: appended((&message.HelloVerifyRequest{Version: protocol.VersionDTLS10, Cookie: testCookie}).Append)}
	for _, want := range []alert.Alert{alert.UnexpectedMessage, alert.IllegalParameter} {
		p := begin(t, protocol.Datagram, client, server)
		p.next(p.server)
		p.client.take(verify)
		p.client.take(p.client.pop())
		p.client.expectRefused(t, want)
		server.CurvePreferences = client.CurvePreferences // then ServerHello comes at once
	}
	// And who has 1.3 alone learns from one that the server has not.
	client.MinVersion = tls.VersionTLS13
	p := begin(t, protocol.Datagram, client, server)
	p.client.take(verify)
	p.client.expectRefused(t, alert.ProtocolVersion)
	// Nor does 1.3's retry go before it.
	client, server = configs(0)
	retrying(client, server)
	p = begin(t, protocol.Datagram, client, server)
	p.next(p.server)
	p.next(p.client)
	p.client.take(verify)
	p.client.expectRefused(t, alert.UnexpectedMessage)
	// Its version can only be one of the two.
	client.MaxVersion = tls.VersionTLS12
	p = begin(t, protocol.Datagram, client, server)
	verify.Body[0] = 3
	p.client.take(verify)
	p.client.expectRefused(t, alert.ProtocolVersion)
}

// RFC 9846 4.3 [4], 4.3.7 [2], 4.4.1 [2], 4.5.3 [1]
func TestEncryptedExtensions(t *testing.T) {
	for name, c := range map[string]struct {
		body []byte
		want alert.Alert
	}{
		"empty":                    {[]byte{0, 0}, alert.DecryptError}, // lawful, but not what was sent
		"supported_groups":         {[]byte{0, 8, 0, 10, 0, 4, 0, 2, 0, 29}, alert.DecryptError},
		"ALPN that wasn't offered": {[]byte{0, 9, 0, 16, 0, 5, 0, 3, 2, 'n', 'o'}, alert.IllegalParameter},
		"two ALPN protocols":       {[]byte{0, 13, 0, 16, 0, 9, 0, 7, 3, 'o', 'n', 'e', 2, 'n', 'o'}, alert.IllegalParameter},
		"unknown":                  {[]byte{0, 4, 0x2a, 0x2a, 0, 0}, alert.UnsupportedExtension},
		"early_data":               {[]byte{0, 4, 0, 42, 0, 0}, alert.UnsupportedExtension},
		"key_share":                {[]byte{0, 4, 0, 51, 0, 0}, alert.UnsupportedExtension},
		"supported_versions":       {[]byte{0, 6, 0, 43, 0, 2, 3, 4}, alert.UnsupportedExtension},
		"server_name with a name":  {[]byte{0, 5, 0, 0, 0, 1, 0}, alert.DecodeError},
		"renegotiation_info":       {[]byte{0, 5, 0xff, 1, 0, 1, 0}, alert.IllegalParameter},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(0)
			client.NextProtos, server.NextProtos = []string{"one"}, []string{"one"}
			p := begin(t, protocol.Stream, client, server)
			p.onWay = func(_ *peer, m Message) []Message {
				if m.Type == protocol.EncryptedExtensions {
					m.Body = c.body
				}
				return []Message{m}
			}
			p.run()
			p.client.expectRefused(t, c.want)
		})
	}
}

// TestServerNames: names go out, addresses don't.
//
// RFC 9846 4.5.1.2 [6], 9.2 [13]
func TestServerNames(t *testing.T) {
	for name, want := range map[string]string{
		"server.example": "server.example", "server.example.": "server.example",
		"192.0.2.1": "", "2001:db8::1": "", "[2001:db8::1]": "", "fe80::1%eth0": "",
	} {
		client, server := configs(0)
		client.ServerName = name
		p := begin(t, protocol.Stream, client, server)
		body, ok := parseHello(t, p.client.sent[0], protocol.Stream).Extensions.Find(protocol.ExtServerName)
		got := ""
		if ok {
			var err error
			if got, err = message.ParseServerName(body); err != nil {
				t.Error(err)
			}
		}
		if got != want {
			t.Errorf("%s: server_name %q", name, got)
		}
	}
}

// TestPitfallRandoms: no two handshakes share a random, none is zero
// (CVE-2020-11501), and the second ClientHello repeats that of the first
// (RFC 9846 4.2.2).
//
// RFC 9846 4.2.3 [3, 4]
func TestPitfallRandoms(t *testing.T) {
	seen := map[string]bool{string(make([]byte, 32)): true}
	once := func(random []byte) {
		if len(random) != 32 || seen[string(random)] {
			t.Errorf("random %x is there twice", random)
		}
		seen[string(random)] = true
	}
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for range 20 {
			client, server := configs(v)
			if v.Is13() {
				retrying(client, server)
			}
			p := complete(t, transport, client, server)
			once(parseHello(t, p.client.sent[0], transport).Random)
			hellos := slices.DeleteFunc(slices.Clone(p.server.sent), func(m Message) bool { return m.Type != protocol.ServerHello })
			editServerHello(t, hellos[len(hellos)-1], func(m *message.ServerHello, _ *extensionList) { once(m.Random) })
			if v.Is13() && !bytes.Equal(parseHello(t, p.client.sent[0], transport).Random, parseHello(t, p.client.sent[1], transport).Random) {
				t.Error("the second ClientHello has another random")
			}
		}
	})
}

// TestNoRenegotiation: a connection of 1.2 has no second handshake, one of 1.3
// doesn't know the word.
//
// RFC 9846 4.2.2 [3]
func TestNoRenegotiation(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		want := alert.NoRenegotiation
		if v.Is13() {
			want = alert.UnexpectedMessage // RFC 9846 4.2.2
		}
		client, server := configs(v)
		p := complete(t, transport, client, server)
		p.server.take(p.client.sent[0])
		expectAlert(t, p.server.err, want)
		p.client.take(Message{Content: protocol.Handshake, Type: protocol.HelloRequest})
		expectAlert(t, p.client.err, want)
	})
}
