package handshake

import (
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// byID are configs of 1.2 whose server keeps its sessions.
func byID() (client, server *Config, kept *shelf) {
	client, server, kept = resumingConfigs12()
	server.ServerSessionCache = session.NewLRUStore(0)
	return client, server, kept
}

// TestResumeByID: where either side has no tickets, with a client of both
// versions and with one of 1.2 alone.
//
// RFC 9147 5.3 [2]
func TestResumeByID(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, change := range map[string]func(client, server *Config){
			"no tickets at the server": func(_, server *Config) { server.SessionTicketsDisabled = true },
			"no tickets at the client": func(client, _ *Config) { client.SessionTicketsDisabled = true },
			"1.2 alone, client certificate": func(client, server *Config) {
				client.MaxVersion, client.SessionTicketsDisabled = uint16(protocol.VersionTLS12), true
				authenticated(client, server)
			},
		} {
			t.Run(name, func(t *testing.T) {
				client, server, kept := byID()
				change(client, server)
				first := complete(t, transport, client, server)
				for n := range 3 {
					if len(kept.sessions) != 1 || kept.sessions[0].Ticket != nil || len(kept.sessions[0].SessionID) != sessionIDLen {
						t.Fatalf("before connection %d: %+v", n, kept.sessions)
					}
					p := complete(t, transport, client, server)
					c, s := p.client.m.State(), p.server.m.State()
					if !c.DidResume || !s.DidResume || c.CurveID != first.client.m.State().CurveID {
						t.Errorf("connection %d: resumed %v, group %v", n, s.DidResume, c.CurveID)
					}
					if slices.Contains(typesOf(p.server.sent), protocol.NewSessionTicket) || slices.Contains(typesOf(p.server.sent), protocol.Certificate) {
						t.Error("a ticket, or a certificate")
					}
				}
			})
		}
	})
}

// TestTicketBeforeID: a client that can have a ticket gets one, and no name. The
// name of a session from before is taken all the same (RFC 5077 3.4).
func TestTicketBeforeID(t *testing.T) {
	client, server, kept := byID()
	complete(t, protocol.Stream, client, server)
	if len(kept.sessions) != 1 || kept.sessions[0].Ticket == nil || kept.sessions[0].SessionID != nil {
		t.Fatalf("%+v", kept.sessions)
	}
	kept.sessions = nil
	without := *client
	without.SessionTicketsDisabled = true
	complete(t, protocol.Stream, &without, server)
	if !complete(t, protocol.Stream, client, server).server.m.State().DidResume {
		t.Error("a session with a name is not resumed for a client that has tickets now")
	}
}

// TestNoResumeByID: what doesn't fit any more means a full handshake.
func TestNoResumeByID(t *testing.T) {
	for name, change := range map[string]func(client, server *Config, kept *shelf){
		"no cache":             func(_, s *Config, _ *shelf) { s.ServerSessionCache = nil },
		"another cache":        func(_, s *Config, _ *shelf) { s.ServerSessionCache = session.NewLRUStore(0) },
		"another id":           func(_, _ *Config, k *shelf) { k.sessions[0].SessionID[0] ^= 1 },
		"deleted":              func(_, s *Config, k *shelf) { s.ServerSessionCache.Delete(k.sessions[0].SessionID) },
		"expired":              func(_, _ *Config, k *shelf) { k.expire(8 * 24 * time.Hour) },
		"no session of either": func(_, _ *Config, k *shelf) { k.sessions[0].SessionID = nil },
		"now another suite": func(_, s *Config, _ *shelf) {
			s.CipherSuites = []uint16{suite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
		},
		"certificate needed": func(c, s *Config, _ *shelf) { authenticated(c, s) },
	} {
		t.Run(name, func(t *testing.T) {
			client, server, kept := byID()
			client.SessionTicketsDisabled = true
			complete(t, protocol.Stream, client, server)
			server = new(*server)
			change(client, server, kept)
			if complete(t, protocol.Stream, client, server).server.m.State().DidResume {
				t.Error("resumed")
			}
		})
	}
}

// TestEchoedSessionID: a server can resume only what it was offered, in the
// version that it was offered in.
func TestEchoedSessionID(t *testing.T) {
	client, server, _ := resumingConfigs12()
	echo := func(p *pair) {
		p.client.work()
		p.next(p.server)
		p.client.take(editServerHello(t, p.client.pop(), func(m *message.ServerHello, _ *extensionList) {
			m.SessionID, m.CipherSuite = p.client.m.hello.sessionID, 0x002f // which is looked at later
		}))
	}
	p := begin(t, protocol.Stream, client, server)
	echo(p)
	p.client.expectReason(t, alert.IllegalParameter, alert.UnknownSession)

	client, _, _ = resumingConfigs()
	client.MinVersion = uint16(protocol.VersionTLS12)
	server.MaxVersion = 0
	complete(t, protocol.Stream, client, server)
	older := *server
	older.MaxVersion = uint16(protocol.VersionTLS12)
	p = begin(t, protocol.Stream, client, &older)
	echo(p)
	p.client.expectReason(t, alert.IllegalParameter, alert.WrongSessionVersion)
}

// expectReason is expectRefused, and says why.
func (p *peer) expectReason(t *testing.T, a alert.Alert, r alert.Reason) {
	t.Helper()
	p.expectRefused(t, a)
	if e, ok := p.err.(*alert.Error); !ok || e.Reason() != r {
		t.Errorf("%v, expected %q", p.err, r)
	}
}

// TestRenewedTicket12: a ticket under an old key is taken, and a new one given;
// the session grows no younger by it.
func TestRenewedTicket12(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server, kept := resumingConfigs12()
		server.TicketKeys = [][32]byte{{7}}
		complete(t, transport, client, server)
		old := kept.sessions[0]
		server = new(*server)
		server.TicketKeys = [][32]byte{{8}, {7}}
		p := complete(t, transport, client, server)
		if !p.server.m.State().DidResume || !slices.Contains(typesOf(p.server.sent), protocol.NewSessionTicket) {
			t.Fatal("not resumed, or not renewed")
		}
		fresh := kept.sessions[0]
		inside := session.NewTicketKeys([][32]byte{{8}}).Open(fresh.Ticket, testTime)
		if len(kept.sessions) != 1 || slices.Equal(fresh.Ticket, old.Ticket) || inside == nil || !inside.Created.Equal(old.Created) {
			t.Fatalf("%+v", inside)
		}
		p = complete(t, transport, client, server)
		if !p.server.m.State().DidResume || slices.Contains(typesOf(p.server.sent), protocol.NewSessionTicket) {
			t.Error("not resumed, or renewed again")
		}
	})
}

// TestNoTicketFromWrapSession: an application may decline.
func TestNoTicketFromWrapSession(t *testing.T) {
	for _, configs := range []func() (client, server *Config, kept *shelf){resumingConfigs, resumingConfigs12} {
		client, server, kept := configs()
		server.WrapSession = func(ConnectionState, *SessionState) ([]byte, error) { return nil, nil }
		server.UnwrapSession = func([]byte, ConnectionState) (*SessionState, error) { return nil, nil }
		p := complete(t, protocol.Datagram, client, server)
		if len(kept.sessions) != 0 || p.server.m.version.Is13() && slices.Contains(typesOf(p.server.sent), protocol.NewSessionTicket) {
			t.Errorf("%v: a session without a ticket", p.server.m.version)
		}
	}
}

// TestPreferenceBeforeResumption: the suite that is preferred now counts, in 1.3
// too.
func TestPreferenceBeforeResumption(t *testing.T) {
	client, server, _ := resumingConfigs()
	client.CipherSuites = []uint16{suite.TLS_CHACHA20_POLY1305_SHA256}
	server.TicketKeys = [][32]byte{{7}}
	complete(t, protocol.Stream, client, server)
	client.CipherSuites = []uint16{suite.TLS_AES_128_GCM_SHA256} // of the same hash
	if complete(t, protocol.Stream, client, server).client.m.State().DidResume {
		t.Error("resumed with another suite")
	}
}

// TestNameIsNotAcknowledged: a session that is resumed has its name already
// (RFC 6066 3).
func TestNameIsNotAcknowledged(t *testing.T) {
	for _, configs := range []func() (client, server *Config, kept *shelf){resumingConfigs, resumingConfigs12} {
		client, server, _ := configs()
		for n := range 2 {
			p := begin(t, protocol.Stream, client, server)
			accepted := false
			p.onWay = func(to *peer, m Message) []Message {
				at := map[protocol.HandshakeType]func([]byte) []byte{
					protocol.ServerHello:         func(b []byte) []byte { return must(parse(&message.ServerHello{}, b)).Extensions },
					protocol.EncryptedExtensions: func(b []byte) []byte { return must(parse(&message.EncryptedExtensions{}, b)).Extensions },
				}[m.Type]
				if to == p.client && at != nil {
					_, ok := message.Extensions(at(m.Body)).Find(protocol.ExtServerName)
					accepted = accepted || ok
				}
				return []Message{m}
			}
			p.run().expectAgreement(t)
			if accepted != (n == 0) {
				t.Errorf("%v, connection %d: server_name %v", p.client.m.version, n, accepted)
			}
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestTicketAgeSkew: what the client says of its ticket's age beyond what the
// server knows.
func TestTicketAgeSkew(t *testing.T) {
	for _, skew := range []time.Duration{0, 5 * time.Second, -time.Minute} {
		client, server, kept := resumingConfigs()
		complete(t, protocol.Stream, client, server)
		kept.expire(skew)
		p := begin(t, protocol.Stream, client, server).run()
		if state := p.server.m.State(); !state.DidResume || state.TicketAgeSkew != skew {
			t.Errorf("resumed %v, skew %v, expected %v", state.DidResume, state.TicketAgeSkew, skew)
		}
	}
}

// TestPreSharedKeyIn12: a server that chooses 1.2 doesn't look into pre_shared_key.
func TestPreSharedKeyIn12(t *testing.T) {
	client, server := configs(protocol.VersionTLS12)
	server.MaxVersion = 0
	p := begin(t, protocol.Stream, client, server)
	p.server.take(editClientHello(t, protocol.Stream, p.server.pop(), func(_ *message.ClientHello, x *extensionList) {
		*x = slices.Insert(*x, 0, extensionEntry{protocol.ExtPreSharedKey, []byte("nonsense")})
	}))
	if p.server.err != nil {
		t.Error(p.server.err)
	}
}

// TestDroppedPreSharedKey: a second ClientHello may leave out only what does not
// go with the suite that was chosen (RFC 9846 4.2.2).
func TestDroppedPreSharedKey(t *testing.T) {
	for _, good := range []bool{true, false} {
		client, server, kept := resumingConfigs()
		retrying(client, server)
		complete(t, protocol.Stream, client, server)
		for _, s := range kept.sessions {
			if !good {
				s.Ticket[0] ^= 1
			}
		}
		p := begin(t, protocol.Stream, client, server)
		p.client.work()
		p.next(p.server)
		p.next(p.client)
		p.server.take(editClientHello(t, protocol.Stream, p.server.pop(), func(_ *message.ClientHello, x *extensionList) { x.drop(protocol.ExtPreSharedKey) }))
		if good {
			p.server.expectRefused(t, alert.MissingExtension)
		} else if p.server.err != nil {
			t.Error(p.server.err)
		}
	}
}
