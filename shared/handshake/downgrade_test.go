package handshake

import (
	"crypto/tls"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// offers changes the versions that a ClientHello offers.
func offers(versions ...protocol.Version) func(*message.ClientHello, *extensionList) {
	return func(_ *message.ClientHello, x *extensionList) {
		list := message.MakeUint16s(versions)
		x.set(protocol.ExtSupportedVersions, append([]byte{byte(len(list))}, list...))
	}
}

// TestDowngrade: somebody between two peers that have 1.3 makes the server
// believe that the client has not; the server's random tells.
//
// RFC 9846 4.2.3 [3, 12, 15], 4.3.1 [4, 6]
func TestDowngrade(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		v12 := protocol.VersionTLS12.Over(transport)
		for name, edit := range map[string]func(*message.ClientHello, *extensionList){
			"no supported_versions":      without(protocol.ExtSupportedVersions),
			"1.2 in supported_versions":  offers(v12),
			"unknown versions, then 1.2": offers(0x2a2a, 0x0305, v12),
		} {
			client, server := configs(0)
			p := begin(t, transport, client, server)
			p.server.take(editClientHello(t, transport, p.server.pop(), edit))
			if p.server.err != nil || p.server.m.version != v12 {
				t.Errorf("%s: %v, %v", name, p.server.m.version, p.server.err)
				continue
			}
			for _, sentinel := range []string{message.DowngradeTLS12, message.DowngradeTLS11} {
				f := p.fork()
				f.client.take(editServerHello(t, f.client.pop(), func(m *message.ServerHello, _ *extensionList) {
					if got := string(m.Random[24:]); got != message.DowngradeTLS12 {
						t.Errorf("%s: the random ends in %q", name, got)
					}
					m.Random = append(slices.Clone(m.Random[:24]), sentinel...)
				}))
				f.client.expectRefused(t, alert.IllegalParameter)
			}
			// Whoever changes the random too is caught by the signature of it.
			p.client.take(editServerHello(t, p.client.pop(), func(m *message.ServerHello, _ *extensionList) {
				m.Random = append(slices.Clone(m.Random[:24]), "12345678"...)
			}))
			p.run()
			p.client.expectRefused(t, alert.DecryptError)
		}
	})
}

// TestNoFalseAlarm: a server without 1.3 has a random of its own, and a client
// without 1.3 doesn't care.
func TestNoFalseAlarm(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(0)
		server.MaxVersion = tls.VersionTLS12
		p := complete(t, transport, client, server)
		if end := string(p.server.m.secrets12.server[24:]); end == message.DowngradeTLS12 || end == message.DowngradeTLS11 {
			t.Errorf("a server of 1.2 claims to have 1.3")
		}
		client, server = configs(0)
		client.MaxVersion = tls.VersionTLS12
		p = complete(t, transport, client, server)
		if end := string(p.server.m.secrets12.server[24:]); end != message.DowngradeTLS12 {
			t.Errorf("the random ends in %q", end)
		}
	})
}

// TestFallback is RFC 7507.
func TestFallback(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		v12 := protocol.VersionTLS12.Over(transport)
		for _, c := range []struct {
			name                 string
			clientMax, serverMax uint16
			version              protocol.Version
			want                 alert.Alert
		}{
			{"a server that has better", tls.VersionTLS12, tls.VersionTLS13, v12, alert.InappropriateFallback},
			{"a server that has not", tls.VersionTLS12, tls.VersionTLS12, v12, alert.CloseNotify},
			{"no fallback at all", tls.VersionTLS13, tls.VersionTLS13, v12, alert.CloseNotify},
			{"to what is not enabled", tls.VersionTLS12, tls.VersionTLS13, older(v12), alert.InappropriateFallback},
		} {
			t.Run(c.name, func(t *testing.T) {
				client, server := configs(0)
				client.MaxVersion, server.MaxVersion = c.clientMax, c.serverMax
				p := begin(t, transport, client, server)
				p.server.take(editClientHello(t, transport, p.server.pop(), func(m *message.ClientHello, _ *extensionList) {
					m.Version = c.version
					m.CipherSuites = message.AppendUint16s(slices.Clone(m.CipherSuites), []uint16{fallback})
				}))
				if c.want != alert.CloseNotify {
					p.server.expectRefused(t, c.want)
				} else if p.server.err != nil {
					t.Error(p.server.err)
				}
			})
		}
	})
}

// TestLegacyVersion: without supported_versions the version is that of the
// hello, up to 1.2 (RFC 9846 E.2).
//
// RFC 9846 4.3.1 [2], E.2 [2]
func TestLegacyVersion(t *testing.T) {
	for _, c := range []struct {
		transport protocol.Transport
		version   protocol.Version
		want      alert.Alert
	}{
		{protocol.Stream, 0x0300, alert.ProtocolVersion},
		{protocol.Stream, protocol.VersionTLS10, alert.ProtocolVersion},
		{protocol.Stream, protocol.VersionTLS11, alert.ProtocolVersion},
		{protocol.Stream, protocol.VersionTLS12, alert.CloseNotify},
		{protocol.Stream, protocol.VersionTLS13, alert.CloseNotify},
		{protocol.Stream, 0x03ff, alert.CloseNotify},
		{protocol.Datagram, 0x0100, alert.ProtocolVersion},
		{protocol.Datagram, protocol.VersionTLS12, alert.ProtocolVersion},
		{protocol.Datagram, protocol.VersionDTLS10, alert.ProtocolVersion},
		{protocol.Datagram, 0xfefe, alert.ProtocolVersion},
		{protocol.Datagram, protocol.VersionDTLS12, alert.CloseNotify},
		{protocol.Datagram, protocol.VersionDTLS13, alert.CloseNotify},
		{protocol.Datagram, 0xfdff, alert.CloseNotify}, // 2.0
	} {
		client, server := configs(0)
		p := begin(t, c.transport, client, server)
		p.server.take(editClientHello(t, c.transport, p.server.pop(), func(m *message.ClientHello, x *extensionList) {
			x.drop(protocol.ExtSupportedVersions)
			m.Version = c.version
		}))
		if c.want != alert.CloseNotify {
			p.server.expectRefused(t, c.want)
		} else if p.server.err != nil || p.server.m.version.Is13() {
			t.Errorf("%v: %v, %v", c.version, p.server.m.version, p.server.err)
		}
	}
}

// TestNoCommonVersion fails on the server, with an alert that tells the client.
//
// RFC 9846 E.2 [3]
func TestNoCommonVersion(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, c := range [][2]protocol.Version{{protocol.VersionTLS12, protocol.VersionTLS13}, {protocol.VersionTLS13, protocol.VersionTLS12}} {
			client, _ := configs(c[0])
			_, server := configs(c[1])
			p := begin(t, transport, client, server).run()
			p.server.expectRefused(t, alert.ProtocolVersion)
		}
	})
}

// disguiseEMS makes an old peer of one that offers extended_master_secret:
// before the transcript sees the hello, the extension's type becomes that of
// one which nobody knows.
func disguiseEMS(m *Message) {
	ems := binary.BigEndian.AppendUint32(nil, uint32(protocol.ExtExtendedMasterSecret)<<16)
	for i := range m.Body {
		if m.Type == protocol.ClientHello && len(m.Body)-i >= 4 && slices.Equal(m.Body[i:i+4], ems) {
			m.Body[i] = 0x2a
			return
		}
	}
}

// TestMissingEMS: without RFC 7627 there is a connection only by option, and
// then none that exports.
func TestMissingEMS(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, c := range []struct {
			client, server bool // InsecureAllowMissingEMS
		}{{false, false}, {true, false}, {false, true}, {true, true}} {
			client, server := configs(protocol.VersionTLS12)
			authenticated(client, server)
			client.InsecureAllowMissingEMS, server.InsecureAllowMissingEMS = c.client, c.server
			p := newPair(t, transport, client, server)
			p.client.edit = disguiseEMS
			p.client.fail(p.client.m.Start(testTime))
			p.run()
			switch {
			case !c.server:
				p.server.expectRefused(t, alert.HandshakeFailure)
			case !c.client:
				p.client.expectRefused(t, alert.HandshakeFailure)
			default:
				p.expectAgreement(t)
				for _, side := range []*peer{p.client, p.server} {
					state := side.m.State()
					if state.ExtendedMasterSecret {
						t.Error("extended_master_secret was not used")
					}
					if _, err := state.ExportKeyingMaterial("EXPORTER-test", nil, 32); err == nil { // RFC 7627 5.4
						t.Error("keying material is exported")
					}
				}
			}
		}
	})
}
