package handshake

import (
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// resumingConfigs12 are the same for 1.2.
func resumingConfigs12() (client, server *Config, kept *shelf) {
	client, server, kept = resumingConfigs()
	client.MaxVersion, client.MinVersion = 0, 0
	server.MaxVersion, server.MinVersion = uint16(protocol.VersionTLS12), 0
	return client, server, kept
}

// TestResume12: by ticket, with both versions enabled and with 1.2 alone.
func TestResume12(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, change := range map[string]func(client, server *Config){
			"both versions":      func(_, _ *Config) {},
			"1.2 alone":          func(client, _ *Config) { client.MaxVersion = uint16(protocol.VersionTLS12) },
			"client certificate": authenticated,
			"ALPN":               func(client, server *Config) { client.NextProtos, server.NextProtos = []string{"b", "a"}, []string{"a"} },
		} {
			t.Run(name, func(t *testing.T) {
				client, server, kept := resumingConfigs12()
				change(client, server)
				var verified int
				client.VerifyConnection = func(s ConnectionState) error {
					if len(s.PeerCertificates) != 1 || len(s.VerifiedChains) == 0 {
						t.Error("the application sees no server certificate")
					}
					verified++
					return nil
				}
				first := complete(t, transport, client, server)
				for n := range 3 {
					if len(kept.sessions) != 1 {
						t.Fatalf("%d sessions before connection %d", len(kept.sessions), n)
					}
					p := complete(t, transport, client, server)
					c, s := p.client.m.State(), p.server.m.State()
					if !c.DidResume || !s.DidResume || p.client.m.version.Is13() {
						t.Fatalf("connection %d: client %v, server %v", n, c.DidResume, s.DidResume)
					}
					for _, never := range []protocol.HandshakeType{protocol.Certificate, protocol.ServerKeyExchange, protocol.ClientKeyExchange, protocol.NewSessionTicket} {
						if slices.Contains(typesOf(p.server.sent), never) || slices.Contains(typesOf(p.client.sent), never) {
							t.Errorf("%v in a resumed handshake", never)
						}
					}
					if last := p.client.sent[len(p.client.sent)-1]; last.Type != protocol.Finished || !slices.Equal(p.client.replies, []Reply{AwaitReply, NoReply}) {
						t.Error("the client does not speak last")
					}
					if was := first.server.m.State(); len(s.PeerCertificates) != len(was.PeerCertificates) || s.NegotiatedProtocol != was.NegotiatedProtocol {
						t.Error("certificates or ALPN differ from the first connection")
					}
				}
				if verified != 4 {
					t.Errorf("VerifyConnection ran %d times, expected 4", verified)
				}
			})
		}
	})
}

// TestResumedServerHello12: a server that resumes something else.
func TestResumedServerHello12(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server, kept := resumingConfigs12()
		complete(t, transport, client, server)
		p := begin(t, transport, client, server)
		p.client.work()
		p.next(p.server)
		hello := p.client.pop()
		f := p.fork()
		f.client.take(editServerHello(t, hello, func(m *message.ServerHello, _ *extensionList) {
			m.CipherSuite = suite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
		}))
		f.client.expectRefused(t, alert.IllegalParameter)
		// Another session_id is a full handshake, whose messages don't come.
		p.client.take(editServerHello(t, hello, func(m *message.ServerHello, _ *extensionList) { m.SessionID = []byte{1} }))
		if p.client.err != nil || p.client.m.State().DidResume {
			t.Error(p.client.err)
		}
		p.run()
		p.client.expectRefused(t, alert.UnexpectedMessage)
		if len(kept.sessions) != 0 {
			t.Error("a session of a failed handshake")
		}
	})
}
