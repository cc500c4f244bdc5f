package handshake

import (
	"bytes"
	"crypto/tls"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A clientHelloCase changes a ClientHello. In 1.3 the transcript then differs,
// which is the least that must be noticed.
type clientHelloCase struct {
	name string
	edit func(*message.ClientHello, *extensionList)
	want alert.Alert // close_notify: the server takes it
}

func with(t protocol.ExtensionType, body ...byte) func(*message.ClientHello, *extensionList) {
	return func(_ *message.ClientHello, x *extensionList) { x.set(t, body) }
}

func without(types ...protocol.ExtensionType) func(*message.ClientHello, *extensionList) {
	return func(_ *message.ClientHello, x *extensionList) {
		for _, t := range types {
			x.drop(t)
		}
	}
}

func testClientHello(t *testing.T, v protocol.Version, cases []clientHelloCase) {
	for _, c := range cases {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			t.Run(c.name, func(t *testing.T) {
				client, server := configs(v)
				server.NextProtos = []string{"ours"}
				p := begin(t, transport, client, server)
				p.server.take(editClientHello(t, transport, p.server.pop(), c.edit))
				if c.want == alert.CloseNotify {
					if p.server.err != nil || len(p.server.sent) == 0 {
						t.Errorf("refused: %v", p.server.err)
					}
					return
				}
				p.server.expectRefused(t, c.want)
				if len(p.server.sent) > 0 {
					t.Error("it is answered")
				}
			})
		})
	}
}

// RFC 9846 4.2.1 [1, 3, 4], 4.2.2 [7, 12, 15, 17], 4.3.1 [3, 4], 4.3.3 [3], 4.5.1.1 [2], 9.2 [12],
// 9.3 [4], E.2 [3]
func TestClientHello13(t *testing.T) {
	testClientHello(t, protocol.VersionTLS13, []clientHelloCase{
		{"GREASE everywhere", func(m *message.ClientHello, x *extensionList) { // RFC 8701
			grease := []byte{0x2a, 0x2a}
			m.CipherSuites = append(append(message.Uint16s{}, grease...), m.CipherSuites...)
			x.set(0x2a2a, []byte{1, 2, 3})
			for _, e := range *x {
				switch e.kind {
				case protocol.ExtSupportedGroups, protocol.ExtSignatureAlgorithms:
					list := append(append([]byte{}, grease...), e.body[2:]...)
					x.set(e.kind, append([]byte{byte(len(list) >> 8), byte(len(list))}, list...))
				case protocol.ExtSupportedVersions:
					list := append(append([]byte{}, grease...), e.body[1:]...)
					x.set(e.kind, append([]byte{byte(len(list))}, list...))
				case protocol.ExtKeyShare:
					list := append([]byte{0x2a, 0x2a, 0, 1, 0}, e.body[2:]...)
					x.set(e.kind, append([]byte{byte(len(list) >> 8), byte(len(list))}, list...))
				}
			}
		}, alert.CloseNotify},
		{"no shares", with(protocol.ExtKeyShare, 0, 0), alert.CloseNotify}, // a HelloRetryRequest
		{"another legacy_version", func(m *message.ClientHello, _ *extensionList) { m.Version-- }, alert.CloseNotify},
		{"a legacy_version from the future", func(m *message.ClientHello, _ *extensionList) { m.Version = 0x1234 }, alert.CloseNotify},
		{"no null compression", func(m *message.ClientHello, _ *extensionList) { m.Compression = []byte{1} }, alert.IllegalParameter},
		{"more compression", func(m *message.ClientHello, _ *extensionList) { m.Compression = []byte{0, 1} }, alert.IllegalParameter},
		{"no supported_groups", without(protocol.ExtSupportedGroups), alert.MissingExtension},
		{"no key_share", without(protocol.ExtKeyShare), alert.MissingExtension},
		{"no signature_algorithms", without(protocol.ExtSignatureAlgorithms), alert.MissingExtension},
		{"neither signature_algorithms nor shares", func(_ *message.ClientHello, x *extensionList) {
			x.drop(protocol.ExtSignatureAlgorithms)
			x.set(protocol.ExtKeyShare, []byte{0, 0})
		}, alert.MissingExtension},
		{"no supported_versions", without(protocol.ExtSupportedVersions), alert.ProtocolVersion},
		{"only unknown versions", with(protocol.ExtSupportedVersions, 2, 0x2a, 0x2a), alert.ProtocolVersion},
		{"only unknown suites", func(m *message.ClientHello, _ *extensionList) { m.CipherSuites = message.Uint16s{0x2a, 0x2a} }, alert.HandshakeFailure},
		{"only suites of 1.2", func(m *message.ClientHello, _ *extensionList) {
			m.CipherSuites = message.MakeUint16s([]uint16{suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256})
		}, alert.HandshakeFailure},
		{"only unknown groups", with(protocol.ExtSupportedGroups, 0, 2, 0x2a, 0x2a), alert.HandshakeFailure},
		{"only unknown schemes", with(protocol.ExtSignatureAlgorithms, 0, 2, 0x2a, 0x2a), alert.HandshakeFailure},
		{"only RSA", with(protocol.ExtSignatureAlgorithms, 0, 2, 8, 4), alert.HandshakeFailure},
		{"a share that is too short", with(protocol.ExtKeyShare, 0, 5, 0, byte(tls.X25519), 0, 1, 1), alert.IllegalParameter},
		{"two shares of a group", with(protocol.ExtKeyShare, 0, 10, 0, 29, 0, 1, 1, 0, 29, 0, 1, 1), alert.IllegalParameter},
		{"ALPN without ours", with(protocol.ExtALPN, 0, 2, 1, 'x'), alert.NoApplicationProtocol},
		{"ALPN with ours", with(protocol.ExtALPN, 0, 7, 1, 'x', 4, 'o', 'u', 'r', 's'), alert.CloseNotify},
		{"an extension twice", func(_ *message.ClientHello, x *extensionList) { *x = append(*x, (*x)[0]) }, alert.DecodeError},
		{"a name that is none", with(protocol.ExtServerName, 0, 4, 0, 0, 1, 0xff), alert.IllegalParameter},
		{"a cookie from nowhere", with(protocol.ExtCookie, 0, 1, 1), alert.CloseNotify},
		{"early_data with contents", with(protocol.ExtEarlyData, 1), alert.DecodeError},
		{"signature_algorithms_cert with half a scheme", with(protocol.ExtSignatureAlgsCert, 0, 3, 4, 3, 8), alert.DecodeError},
	})
}

// RFC 9846 4.2.2 [16], 4.3.3 [4], E.5 [4]
func TestClientHello12(t *testing.T) {
	testClientHello(t, protocol.VersionTLS12, []clientHelloCase{
		{"no null compression", func(m *message.ClientHello, _ *extensionList) { m.Compression = []byte{1} }, alert.IllegalParameter},
		{"more compression", func(m *message.ClientHello, _ *extensionList) { m.Compression = []byte{1, 0} }, alert.CloseNotify},
		{"no supported_groups", without(protocol.ExtSupportedGroups), alert.HandshakeFailure},
		{"no ec_point_formats", without(protocol.ExtECPointFormats), alert.CloseNotify},
		{"only compressed points", with(protocol.ExtECPointFormats, 1, 1), alert.IllegalParameter},
		{"verify_data", with(protocol.ExtRenegotiationInfo, 1, 0), alert.HandshakeFailure},
		{"no renegotiation_info", without(protocol.ExtRenegotiationInfo), alert.CloseNotify},
		{"no signature_algorithms", without(protocol.ExtSignatureAlgorithms), alert.HandshakeFailure}, // RFC 9155 2
		{"only SHA-1", with(protocol.ExtSignatureAlgorithms, 0, 4, 2, 1, 2, 3), alert.HandshakeFailure},
		{"no extended_master_secret", without(protocol.ExtExtendedMasterSecret), alert.HandshakeFailure},
		{"only suites of RSA", func(m *message.ClientHello, _ *extensionList) {
			m.CipherSuites = message.MakeUint16s([]uint16{suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256})
		}, alert.HandshakeFailure},
		{"only suites of 1.3", func(m *message.ClientHello, _ *extensionList) {
			m.CipherSuites = message.MakeUint16s([]uint16{suite.TLS_AES_128_GCM_SHA256})
		}, alert.HandshakeFailure},
		{"a hybrid group alone", with(protocol.ExtSupportedGroups, 0, 2, 0x11, 0xec), alert.HandshakeFailure},
		{"an older version", func(m *message.ClientHello, _ *extensionList) { m.Version = older(m.Version) }, alert.ProtocolVersion},
		{"no extensions at all", func(_ *message.ClientHello, x *extensionList) { *x = nil }, alert.HandshakeFailure},
	})
}

// TestRenegotiationInfo: what offers it gets it, the suite too (RFC 5746 3.6).
func TestRenegotiationInfo(t *testing.T) {
	for name, edit := range map[string]func(*message.ClientHello, *extensionList){
		"extension": func(*message.ClientHello, *extensionList) {},
		"suite": func(m *message.ClientHello, x *extensionList) {
			x.drop(protocol.ExtRenegotiationInfo)
			m.CipherSuites = message.AppendUint16s(append(message.Uint16s{}, m.CipherSuites...), []uint16{emptyRenegotiationInfo})
		},
		"neither": without(protocol.ExtRenegotiationInfo),
	} {
		client, server := configs(protocol.VersionTLS12)
		p := begin(t, protocol.Stream, client, server)
		p.server.take(editClientHello(t, protocol.Stream, p.server.pop(), edit))
		editServerHello(t, p.client.inbox[0], func(_ *message.ServerHello, x *extensionList) {
			body, ok := x.block().Find(protocol.ExtRenegotiationInfo)
			if ok != (name != "neither") || ok && !bytes.Equal(body, []byte{0}) {
				t.Errorf("%s: renegotiation_info %v %x", name, ok, body)
			}
		})
	}
}

// RFC 9846 4.2.2 [2]
func TestSecondClientHello(t *testing.T) {
	for _, c := range []clientHelloCase{
		{"no share", with(protocol.ExtKeyShare, 0, 0), alert.IllegalParameter},
		{"another share", with(protocol.ExtKeyShare, 0, 5, 0, 23, 0, 1, 4), alert.IllegalParameter},
		{"one more share", func(_ *message.ClientHello, x *extensionList) {
			for _, e := range *x {
				if e.kind == protocol.ExtKeyShare {
					list := append(append([]byte{}, e.body[2:]...), 0, 23, 0, 1, 4)
					x.set(e.kind, append([]byte{0, byte(len(list))}, list...))
				}
			}
		}, alert.IllegalParameter},
		{"another random", func(m *message.ClientHello, _ *extensionList) { m.Random = make([]byte, 32) }, alert.IllegalParameter},
		{"another session", func(m *message.ClientHello, _ *extensionList) { m.SessionID = []byte{1} }, alert.IllegalParameter},
		{"other suites", func(m *message.ClientHello, _ *extensionList) { m.CipherSuites = m.CipherSuites[:2] }, alert.IllegalParameter},
		{"other groups", with(protocol.ExtSupportedGroups, 0, 2, 0, 29), alert.IllegalParameter},
		{"other schemes", with(protocol.ExtSignatureAlgorithms, 0, 2, 4, 3), alert.IllegalParameter},
		{"another name", with(protocol.ExtServerName, 0, 4, 0, 0, 1, 'x'), alert.IllegalParameter},
		{"other protocols", with(protocol.ExtALPN, 0, 2, 1, 'x'), alert.IllegalParameter},
		{"another version", with(protocol.ExtSupportedVersions, 2, 3, 3), alert.IllegalParameter},
		{"padding", with(21, 0, 0, 0), alert.CloseNotify}, // RFC 9846 4.2.2 allows it
	} {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			t.Run(c.name, func(t *testing.T) {
				client, server := configs(0)
				retrying(client, server)
				p := begin(t, transport, client, server)
				p.next(p.server)
				p.next(p.client)
				p.server.take(editClientHello(t, transport, p.server.pop(), c.edit))
				if c.want == alert.CloseNotify {
					if p.server.err != nil {
						t.Error(p.server.err)
					}
					return
				}
				p.server.expectRefused(t, c.want)
			})
		})
	}
}

// TestLegacyCookie: DTLS 1.3 has none (RFC 9147 5.3).
//
// RFC 9147 5.3 [5]
func TestLegacyCookie(t *testing.T) {
	client, server := configs(protocol.VersionDTLS13)
	p := begin(t, protocol.Datagram, client, server)
	p.server.take(editClientHello(t, protocol.Datagram, p.server.pop(), func(m *message.ClientHello, _ *extensionList) { m.Cookie = testCookie }))
	p.server.expectRefused(t, alert.IllegalParameter)
}

// TestEarlyDataIsSkipped: a client may offer 0-RTT for a session of another
// server; its data are to be passed over.
func TestEarlyDataIsSkipped(t *testing.T) {
	client, server := configs(0)
	for _, retry := range []bool{false, true} {
		if retry {
			retrying(client, server)
		}
		p := begin(t, protocol.Stream, client, server)
		p.server.take(editClientHello(t, protocol.Stream, p.server.pop(), with(protocol.ExtEarlyData)))
		if p.server.err != nil || p.server.skipped != server.maxSkipped() {
			t.Errorf("%d bytes are skipped; %v", p.server.skipped, p.server.err)
		}
	}
	if p := complete(t, protocol.Stream, client, server); p.server.skipped != 0 {
		t.Errorf("%d bytes are skipped that were not announced", p.server.skipped)
	}
}
