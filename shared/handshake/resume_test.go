package handshake

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// shelf is a cache that shows what it holds.
type shelf struct{ sessions []*SessionState }

func (s *shelf) Get(string) (*SessionState, bool) {
	if len(s.sessions) == 0 {
		return nil, false
	}
	last := s.sessions[len(s.sessions)-1]
	s.sessions = s.sessions[:len(s.sessions)-1]
	return last, true
}

func (s *shelf) Put(_ string, state *SessionState) { s.sessions = append(s.sessions, state) }

// resumingConfigs are configs of 1.3 whose client keeps its sessions.
func resumingConfigs() (client, server *Config, kept *shelf) {
	client, server = configs(protocol.VersionTLS13)
	kept = new(shelf)
	client.ClientSessionCache = kept
	return client, server, kept
}

// typesOf are the handshake types that a peer sent.
func typesOf(sent []Message) (types []protocol.HandshakeType) {
	for _, m := range sent {
		types = append(types, m.Type)
	}
	return types
}

// TestResumedState: how the peer proved who it is, and in 1.2 the group, are those
// of the first handshake.
func TestResumedState(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server, _ := resumingConfigs()
		authenticated(client, server)
		client.MinVersion, client.MaxVersion, server.MinVersion, server.MaxVersion = uint16(v), uint16(v), uint16(v), uint16(v)
		for n := range 3 {
			p := complete(t, transport, client, server)
			c, s := p.client.m.State(), p.server.m.State()
			if c.DidResume != (n > 0) || c.PeerSignature != tls.ECDSAWithP256AndSHA256 || s.PeerSignature != tls.Ed25519 {
				t.Errorf("connection %d: resumed %v, schemes %v and %v", n, c.DidResume, c.PeerSignature, s.PeerSignature)
			}
			if c.CurveID != tls.X25519 || s.CurveID != tls.X25519 {
				t.Errorf("connection %d: groups %v and %v", n, c.CurveID, s.CurveID)
			}
		}
	})
}

// TestExtendedMasterSecretAndSessions: RFC 7627 5.3.
func TestExtendedMasterSecretAndSessions(t *testing.T) {
	without := func(_ *message.ClientHello, x *extensionList) { x.drop(protocol.ExtExtendedMasterSecret) }
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server, kept := resumingConfigs12()
		client.InsecureAllowMissingEMS, server.InsecureAllowMissingEMS = true, true
		complete(t, transport, client, server)
		p := begin(t, transport, client, server)
		p.client.work()
		p.server.take(editClientHello(t, transport, p.server.pop(), without))
		p.server.expectRefused(t, alert.HandshakeFailure)

		complete(t, transport, client, server)
		p = begin(t, transport, client, server)
		p.client.work()
		p.next(p.server)
		p.client.take(editServerHello(t, p.client.pop(), drop(protocol.ExtExtendedMasterSecret)))
		p.client.expectRefused(t, alert.HandshakeFailure)

		// The client's session has none, the server's has: which it says.
		complete(t, transport, client, server)
		kept.sessions[0].ExtendedMasterSecret = false
		p = begin(t, transport, client, server)
		p.run()
		p.client.expectRefused(t, alert.HandshakeFailure)

		// Neither's has, but now both have it: a full handshake.
		server.WrapSession = func(_ ConnectionState, s *SessionState) ([]byte, error) {
			old := *s
			old.ExtendedMasterSecret = false
			return old.Bytes()
		}
		server.UnwrapSession = func(ticket []byte, _ ConnectionState) (*SessionState, error) { return session.ParseState(ticket) }
		complete(t, transport, client, server)
		kept.sessions[0].ExtendedMasterSecret = false
		if p := complete(t, transport, client, server); p.client.m.State().DidResume {
			t.Error("a session without extended_master_secret is resumed with it")
		}

		// A client that insists on it offers no such session; the hello of one that
		// doesn't, without it, resumes it only at a server that doesn't either.
		kept.sessions[0].ExtendedMasterSecret = false
		strict := *client
		strict.InsecureAllowMissingEMS = false
		if p := begin(t, transport, &strict, server); p.client.m.resumption != nil {
			t.Error("a session without extended_master_secret is offered")
		}
		for _, allowed := range []bool{false, true} {
			kept.sessions = nil
			complete(t, transport, client, server)
			kept.sessions[0].ExtendedMasterSecret = false
			theirs := *server
			theirs.InsecureAllowMissingEMS = allowed
			p := begin(t, transport, client, &theirs)
			p.client.work()
			p.server.take(editClientHello(t, transport, p.server.pop(), without))
			p.server.work()
			if p.server.m.place.Is(Resumed) != allowed {
				t.Errorf("allowed %v: resumed %v, %v", allowed, !allowed, p.server.err)
			}
		}
	})
}

// RFC 9846 4.4.2 [7], C.4 [3]
func TestResume(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, change := range map[string]func(client, server *Config){
			"plain":              func(_, _ *Config) {},
			"client certificate": authenticated,
			"HelloRetryRequest":  retrying,
			"ALPN":               func(client, server *Config) { client.NextProtos, server.NextProtos = []string{"b", "a"}, []string{"a"} },
			"SHA-384":            func(client, _ *Config) { client.CipherSuites = []uint16{suite.TLS_AES_256_GCM_SHA384} },
		} {
			t.Run(name, func(t *testing.T) {
				client, server, kept := resumingConfigs()
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
				if len(kept.sessions) != DefaultSessionTickets || first.client.m.State().DidResume {
					t.Fatalf("%d sessions", len(kept.sessions))
				}
				for n := range 3 { // sessions of resumed connections, too
					p := complete(t, transport, client, server)
					c, s := p.client.m.State(), p.server.m.State()
					if !c.DidResume || !s.DidResume {
						t.Fatalf("connection %d: client %v, server %v", n, c.DidResume, s.DidResume)
					}
					if len(kept.sessions) != DefaultSessionTickets+n+1 {
						t.Errorf("%d sessions after connection %d", len(kept.sessions), n)
					}
					if slices.Contains(typesOf(p.server.sent), protocol.Certificate) || slices.Contains(typesOf(p.client.sent), protocol.Certificate) {
						t.Error("a certificate is shown")
					}
					was := first.server.m.State()
					if len(s.PeerCertificates) != len(was.PeerCertificates) || len(s.VerifiedChains) != len(was.VerifiedChains) {
						t.Errorf("the server knows %d certificates, before %d", len(s.PeerCertificates), len(was.PeerCertificates))
					}
					if s.NegotiatedProtocol != was.NegotiatedProtocol || s.HelloRetryRequest != was.HelloRetryRequest {
						t.Error("ALPN or HelloRetryRequest differ from the first connection")
					}
				}
				if verified != 4 {
					t.Errorf("VerifyConnection ran %d times, expected 4", verified)
				}
			})
		}
	})
}

// TestNoResume: a session that doesn't fit leads to a full handshake.
//
// RFC 9846 2.2 [1], 4.3.11 [4, 5, 6], 4.3.11.1 [1], 4.7.1 [2, 3, 4]
func TestNoResume(t *testing.T) {
	t.Run("1.3", func(t *testing.T) { testNoResume(t, resumingConfigs) })
	t.Run("1.2", func(t *testing.T) { testNoResume(t, resumingConfigs12) })
}

func testNoResume(t *testing.T, configs func() (client, server *Config, kept *shelf)) {
	day := 24 * time.Hour
	for name, change := range map[string]func(client, server *Config, kept *shelf){
		"changed ticket": func(_, _ *Config, k *shelf) {
			k.sessions[len(k.sessions)-1].Ticket[40] ^= 1
			k.sessions[0].Ticket[3] ^= 1
		},
		"cut ticket":             func(_, _ *Config, k *shelf) { k.sessions = k.sessions[:1]; k.sessions[0].Ticket = []byte{1} },
		"other keys":             func(_, s *Config, _ *shelf) { s.TicketKeys = [][32]byte{{1}} },
		"expired at the client":  func(_, _ *Config, k *shelf) { k.expire(8 * day) },
		"from the future":        func(_, _ *Config, k *shelf) { k.expire(-day) },
		"no ticket":              func(_, _ *Config, k *shelf) { k.sessions = k.sessions[:1]; k.sessions[0].Ticket = nil },
		"not a session":          func(_, _ *Config, k *shelf) { k.sessions = []*SessionState{{}} },
		"client disabled":        func(c, _ *Config, _ *shelf) { c.SessionTicketsDisabled = true },
		"server disabled":        func(_, s *Config, _ *shelf) { s.SessionTicketsDisabled = true },
		"client cache gone":      func(c, _ *Config, _ *shelf) { c.ClientSessionCache = nil },
		"certificate now needed": func(c, s *Config, _ *shelf) { authenticated(c, s) },
		"another hash": func(c, _ *Config, _ *shelf) {
			c.CipherSuites = []uint16{suite.TLS_AES_256_GCM_SHA384, suite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
		},
		"another transport": func(_, _ *Config, k *shelf) {
			for _, s := range k.sessions {
				if s.Version.Over(protocol.Stream) == s.Version {
					s.Version = s.Version.Over(protocol.Datagram)
				} else {
					s.Version = s.Version.Over(protocol.Stream)
				}
			}
		},
		"another name": func(c, _ *Config, k *shelf) {
			c.ServerName, c.InsecureSkipVerify = "other.example", true
		},
		"another name, and the client lies": func(c, _ *Config, k *shelf) {
			c.ServerName, c.InsecureSkipVerify = "other.example", true
			k.sessions = k.sessions[:1]
			k.sessions[0].ServerName = "other.example"
		},
	} {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			t.Run(name, func(t *testing.T) {
				client, server, kept := configs()
				server.TicketKeys = [][32]byte{{7}}
				complete(t, transport, client, server)
				server = new(*server) // a Config is not changed after its first use
				change(client, server, kept)
				p := complete(t, transport, client, server)
				if p.client.m.State().DidResume || p.server.m.State().DidResume {
					t.Error("resumed")
				}
			})
		})
	}
}

func (s *shelf) expire(age time.Duration) {
	for _, state := range s.sessions {
		state.Created = state.Created.Add(-age)
	}
}

// TestResumeServerExpiry: the server's clock decides at the server.
func TestResumeServerExpiry(t *testing.T) {
	client, server, kept := resumingConfigs()
	server.TicketKeys = [][32]byte{{7}}
	complete(t, protocol.Stream, client, server)
	k := session.NewTicketKeys(server.TicketKeys)
	for _, s := range kept.sessions {
		inside := k.Open(s.Ticket, testTime)
		if inside == nil {
			t.Fatal("the ticket does not open under its key")
		}
		inside.Created = inside.Created.Add(-session.MaxLifetime)
		s.Ticket, _ = k.Seal(inside, testTime)
	}
	if complete(t, protocol.Stream, client, server).server.m.State().DidResume {
		t.Error("an expired ticket is resumed")
	}
}

// TestResumeClientPolicy: what a server wants of its clients now counts, not
// what it wanted when it gave the ticket.
func TestResumeClientPolicy(t *testing.T) {
	other := issue("another root", nil, newKey(p256))
	for _, c := range []struct {
		name    string
		change  func(server *Config)
		resumed bool
	}{
		{"as it was", func(*Config) {}, true},
		{"asks no more", func(s *Config) { s.ClientAuth = tls.NoClientCert }, false},
		{"takes any", func(s *Config) { s.ClientAuth = tls.RequireAnyClientCert }, true},
		{"no longer trusts", func(s *Config) {
			s.ClientAuth, s.ClientCAs = tls.VerifyClientCertIfGiven, testPKI().roots.Clone()
			s.ClientCAs = certPool(other)
		}, false},
		{"expired", func(s *Config) { s.Time = func() time.Time { return testTime.AddDate(2, 0, 0) } }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server, _ := resumingConfigs()
			authenticated(client, server)
			server.TicketKeys = [][32]byte{{7}}
			complete(t, protocol.Datagram, client, server)
			server = new(*server)
			c.change(server)
			p := begin(t, protocol.Datagram, client, server).run()
			if p.server.m.State().DidResume != c.resumed {
				t.Errorf("resumed: %v", p.server.m.State().DidResume)
			}
		})
	}
}

// TestPitfallUnfinishedSession: a handshake that fails, or is not complete,
// leaves nothing to resume (CVE-2026-94419).
func TestPitfallUnfinishedSession(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server, kept := resumingConfigs()
		p := begin(t, transport, client, server)
		p.onWay = func(to *peer, m Message) []Message {
			if to == p.server && m.Type == protocol.Finished {
				m.Body[0] ^= 1
			}
			return []Message{m}
		}
		p.run()
		p.server.expectRefused(t, alert.DecryptError)
		if len(kept.sessions) != 0 || slices.Contains(typesOf(p.server.sent), protocol.NewSessionTicket) {
			t.Error("a ticket after a wrong Finished")
		}
		client.RootCAs = certPool(issue("another root", nil, newKey(p256)))
		p = begin(t, transport, client, server).run()
		p.client.expectRefused(t, alert.UnknownCA)
		if len(kept.sessions) != 0 {
			t.Error("a session with a server that was refused")
		}
		client.RootCAs = testPKI().roots
		server.VerifyConnection = func(ConnectionState) error { return errors.New("no") }
		p = begin(t, transport, client, server).run()
		p.server.expectRefused(t, alert.BadCertificate)
		if len(kept.sessions) != 0 {
			t.Error("a session that the server's application refused")
		}
		// A resumed one is judged, too.
		server.VerifyConnection = nil
		complete(t, transport, client, server)
		client.VerifyConnection = func(ConnectionState) error { return errors.New("no") }
		p = begin(t, transport, client, server).run()
		p.client.expectRefused(t, alert.BadCertificate)
	})
}

func certPool(c tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Leaf)
	return pool
}

// body is the body of an extension that is there.
func (x extensionList) body(t protocol.ExtensionType) []byte {
	i := slices.IndexFunc(x, func(e extensionEntry) bool { return e.kind == t })
	return slices.Clone(x[i].body)
}

// TestPreSharedKeyMisdeeds: a hello whose PSK is wrong in ways that no honest
// client's is.
//
// RFC 9846 4.3 [6], 4.3.9 [1, 3], 4.3.11 [8, 15, 16]
func TestPreSharedKeyMisdeeds(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(x *extensionList)
		want alert.Alert
	}{
		"binder": {func(x *extensionList) {
			body := x.body(protocol.ExtPreSharedKey)
			body[len(body)-1] ^= 1
			x.set(protocol.ExtPreSharedKey, body)
		}, alert.DecryptError},
		"something before it changed": {func(x *extensionList) { x.set(protocol.ExtPSKModes, []byte{2, 1, 1}) }, alert.DecryptError},
		"no modes":                    {func(x *extensionList) { x.drop(protocol.ExtPSKModes) }, alert.MissingExtension},
		"not last":                    {func(x *extensionList) { x.set(0x2a2a, nil) }, alert.IllegalParameter},
		"cut": {func(x *extensionList) {
			body := x.body(protocol.ExtPreSharedKey)
			x.set(protocol.ExtPreSharedKey, body[:len(body)-1])
		}, alert.DecodeError},
	} {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			t.Run(name, func(t *testing.T) {
				client, server, _ := resumingConfigs()
				complete(t, transport, client, server)
				p := begin(t, transport, client, server)
				p.client.work() // the cache
				p.server.take(editClientHello(t, transport, p.server.pop(), func(_ *message.ClientHello, x *extensionList) { c.edit(x) }))
				p.server.expectRefused(t, c.want)
			})
		})
	}
}

// TestPreSharedKeyAnswers: a server that selects what was not offered.
//
// RFC 9846 4.3.9 [8], 4.3.11 [11, 12], 4.7.1 [2]
func TestPreSharedKeyAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*message.ServerHello, *extensionList)
		want alert.Alert
	}{
		"another identity": {set(protocol.ExtPreSharedKey, 0, 1), alert.IllegalParameter},
		"too short":        {set(protocol.ExtPreSharedKey, 0), alert.DecodeError},
		"no key exchange":  {drop(protocol.ExtKeyShare), alert.MissingExtension},
		"another hash":     {func(m *message.ServerHello, _ *extensionList) { m.CipherSuite = suite.TLS_AES_256_GCM_SHA384 }, alert.IllegalParameter},
	} {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			t.Run(name, func(t *testing.T) {
				client, server, _ := resumingConfigs()
				complete(t, transport, client, server)
				p := begin(t, transport, client, server)
				p.client.work() // the cache
				p.next(p.server)
				p.client.take(editServerHello(t, p.client.pop(), c.edit))
				p.client.expectRefused(t, c.want)
			})
		})
	}
	// Selected, but not offered.
	client, server := configs(protocol.VersionTLS13)
	p := begin(t, protocol.Stream, client, server)
	p.next(p.server)
	p.client.take(editServerHello(t, p.client.pop(), set(protocol.ExtPreSharedKey, 0, 0)))
	p.client.expectRefused(t, alert.UnsupportedExtension)
}

// TestWrapSession: tickets made and found by the application.
func TestWrapSession(t *testing.T) {
	client, server, kept := resumingConfigs()
	server.SessionTickets = 3
	store := map[string][]byte{}
	var unwrapErr error
	var made byte
	server.WrapSession = func(c ConnectionState, s *SessionState) ([]byte, error) {
		if !c.HandshakeComplete {
			t.Error("a ticket before the handshake is complete")
		}
		made++
		name := []byte{made, 'n'}
		raw, err := s.Bytes()
		store[string(name)] = raw
		return name, err
	}
	server.UnwrapSession = func(id []byte, _ ConnectionState) (*SessionState, error) {
		raw, ok := store[string(id)]
		if !ok {
			return nil, unwrapErr
		}
		delete(store, string(id)) // single use
		return session.ParseState(raw)
	}
	complete(t, protocol.Datagram, client, server)
	if len(store) != 3 || len(kept.sessions) != 3 {
		t.Fatal(len(store), len(kept.sessions))
	}
	spent := kept.sessions[2]
	if !complete(t, protocol.Datagram, client, server).server.m.State().DidResume {
		t.Error("not resumed")
	}
	kept.sessions = []*SessionState{spent}
	if complete(t, protocol.Datagram, client, server).server.m.State().DidResume {
		t.Error("resumed twice")
	}
	unwrapErr = errors.New("the store is gone")
	kept.sessions = []*SessionState{spent}
	begin(t, protocol.Datagram, client, server).run().server.expectRefused(t, alert.InternalError)
}

// TestTicketsOnlyWhereUseful: a client that can't use tickets gets none.
//
// RFC 9846 4.3.9 [5]
func TestTicketsOnlyWhereUseful(t *testing.T) {
	client, server := configs(protocol.VersionTLS13)
	if p := complete(t, protocol.Stream, client, server); slices.Contains(typesOf(p.server.sent), protocol.NewSessionTicket) {
		t.Error("a ticket to a client without psk_key_exchange_modes")
	}
	client, server, kept := resumingConfigs()
	server.SessionTicketsDisabled = true
	if complete(t, protocol.Stream, client, server); len(kept.sessions) != 0 {
		t.Error("a ticket in spite of SessionTicketsDisabled")
	}
}

// TestTicketReading: what a client makes of a server's tickets.
//
// RFC 9846 4.7.1 [6, 7, 8], 9.3 [5]
func TestTicketReading(t *testing.T) {
	for name, c := range map[string]struct {
		ticket message.NewSessionTicket13
		kept   int
		want   alert.Alert
	}{
		"lifetime 0":     {message.NewSessionTicket13{Ticket: []byte{1}}, 2, alert.CloseNotify},
		"long lifetime":  {message.NewSessionTicket13{Lifetime: 1 << 31, Ticket: []byte{1}}, 3, alert.CloseNotify},
		"GREASE":         {message.NewSessionTicket13{Lifetime: 1, Ticket: []byte{1}, Extensions: message.Extensions{0x2a, 0x2a, 0, 0}}, 3, alert.CloseNotify},
		"unknown flags":  {message.NewSessionTicket13{Lifetime: 1, Ticket: []byte{1}, Extensions: message.Extensions{0, 62, 0, 3, 2, 2, 4}}, 3, alert.CloseNotify},
		"no flags":       {message.NewSessionTicket13{Lifetime: 1, Ticket: []byte{1}, Extensions: message.Extensions{0, 62, 0, 1, 0}}, 2, alert.DecodeError},
		"flags and zero": {message.NewSessionTicket13{Lifetime: 1, Ticket: []byte{1}, Extensions: message.Extensions{0, 62, 0, 3, 2, 2, 0}}, 2, alert.IllegalParameter},
		"bad early_data": {message.NewSessionTicket13{Lifetime: 1, Ticket: []byte{1}, Extensions: message.Extensions{0, 42, 0, 0}}, 2, alert.DecodeError},
	} {
		client, server, kept := resumingConfigs()
		p := complete(t, protocol.Stream, client, server)
		p.client.take(Message{Content: protocol.Handshake, Type: protocol.NewSessionTicket, Body: appended(c.ticket.Append)})
		if alertOf(p.client.err) != c.want || len(kept.sessions) != c.kept {
			t.Errorf("%s: %v, %d sessions", name, p.client.err, len(kept.sessions))
		}
		if last := kept.sessions[len(kept.sessions)-1]; last.Lifetime > session.MaxLifetime {
			t.Errorf("%s: kept for %v", name, last.Lifetime)
		}
	}
	client, server, kept := resumingConfigs()
	complete(t, protocol.Stream, client, server)
	if a, b := kept.sessions[0], kept.sessions[1]; bytes.Equal(a.Secret, b.Secret) || a.AgeAdd == b.AgeAdd || bytes.Equal(a.Ticket, b.Ticket) {
		t.Error("two tickets of a connection are alike")
	}
}

// TestTicketsThenKeyUpdate: over datagrams a KeyUpdate waits until the tickets
// are acknowledged.
func TestTicketsThenKeyUpdate(t *testing.T) {
	client, server, kept := resumingConfigs()
	p := begin(t, protocol.Datagram, client, server)
	for !p.server.m.Open() {
		for _, to := range []*peer{p.client, p.server} {
			if !to.work() && len(to.inbox) > 0 {
				p.next(to)
			}
		}
	}
	if err := p.server.m.KeyUpdate(message.NotRequested); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(typesOf(p.server.sent), protocol.KeyUpdate) {
		t.Error("KeyUpdate while tickets are not acknowledged")
	}
	p.run()
	if !slices.Contains(typesOf(p.server.sent), protocol.KeyUpdate) || len(kept.sessions) != 2 {
		t.Error("no KeyUpdate after the ACK, or no tickets")
	}
}

// TestGivenTicketKeys: the first key seals, all open; a Config of its own keys
// doesn't open another's.
func TestGivenTicketKeys(t *testing.T) {
	client, server, kept := resumingConfigs()
	server.TicketKeys = [][32]byte{{1}}
	complete(t, protocol.Stream, client, server)
	old := *kept.sessions[0]
	rotated := *server
	rotated.TicketKeys = [][32]byte{{2}, {1}}
	if !complete(t, protocol.Stream, client, &rotated).client.m.State().DidResume {
		t.Error("a key that is no longer the first does not open")
	}
	forgotten := *server
	forgotten.TicketKeys = [][32]byte{{2}}
	kept.sessions = []*SessionState{&old}
	if complete(t, protocol.Stream, client, &forgotten).client.m.State().DidResume {
		t.Error("a key that is gone opens")
	}
}

// TestVersionChangesBetweenSessions: a session of one version never meets the
// other, and a server that has learned 1.3 is believed.
//
// RFC 9846 E.1 [1]
func TestVersionChangesBetweenSessions(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, old, kept := resumingConfigs12()
		fresh := new(*old)
		fresh.MaxVersion = 0
		old.TicketKeys, fresh.TicketKeys = [][32]byte{{7}}, [][32]byte{{7}}
		for n, server := range []*Config{old, fresh, old, fresh} {
			p := complete(t, transport, client, server)
			if is13 := server == fresh; p.client.m.version.Is13() != is13 || p.client.m.State().DidResume {
				t.Errorf("connection %d: %v, resumed %v", n, p.client.m.version, p.client.m.State().DidResume)
			}
			kept.sessions = kept.sessions[len(kept.sessions)-1:]
		}
	})
}

// hoarder is a cache that gives away the same session again and again, as
// crypto/tls's does.
type hoarder struct{ state *SessionState }

func (h *hoarder) Get(string) (*SessionState, bool)  { return h.state, h.state != nil }
func (h *hoarder) Put(_ string, state *SessionState) { h.state = state }

// TestCacheThatKeeps: a session that is no good, and doesn't leave its cache, is
// not looked at for ever.
func TestCacheThatKeeps(t *testing.T) {
	client, server := configs(protocol.VersionTLS13)
	kept := new(hoarder)
	client.ClientSessionCache = kept
	complete(t, protocol.Stream, client, server)
	old := *kept.state
	old.Created = old.Created.Add(-session.MaxLifetime)
	kept.state = &old
	done := make(chan bool, 1)
	go func() {
		begin(t, protocol.Stream, client, server).client.work()
		done <- true
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the client looks for a session without end")
	}
	if p := complete(t, protocol.Stream, client, server); p.client.m.State().DidResume {
		t.Error("a session was resumed that has expired")
	}
}

// TestStateOutlivesFailure: what State gave while the connection was open can be
// used whenever the application comes to it.
func TestStateOutlivesFailure(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		p := complete(t, transport, client, server)
		state := p.client.m.State()
		want, err := state.ExportKeyingMaterial("EXPORTER-test", nil, 32)
		if err != nil {
			t.Fatal(err)
		}
		p.client.m.latch(alert.Peerf(alert.DecodeError, "%w", alert.MalformedMessage))
		got, err := state.ExportKeyingMaterial("EXPORTER-test", nil, 32)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x, %v, expected %x", got, err, want)
		}
		if after := p.client.m.State(); after.export != nil {
			t.Error("a connection that failed still exports")
		}
	})
}

// TestTicketsOfResumption: the tickets of a connection that resumes live no longer
// than the session that it resumed, or nobody would ever show a key again.
//
// RFC 9846 4.7.1 [5, 11]
func TestTicketsOfResumption(t *testing.T) {
	client, server, kept := resumingConfigs()
	complete(t, protocol.Stream, client, server)
	const left = time.Hour
	for range 2 {
		p := begin(t, protocol.Stream, client, server)
		p.client.work()
		p.run().expectAgreement(t)
		if !p.server.m.State().DidResume {
			t.Fatal("not resumed")
		}
		if p.server.m.scaffold != nil || p.client.m.scaffold != nil {
			t.Error("the secret of the session is kept")
		}
	}
	for _, c := range []struct{ age, want time.Duration }{{0, session.MaxLifetime}, {session.MaxLifetime - left, left}} {
		m := &Machine{config: server, role: Server, now: testTime, peer: &nobody, scaffold: new(scaffold)}
		m.hello.pskModes = []byte{message.PSKWithECDHE}
		m.resumption = &resumption{state: &SessionState{Created: testTime.Add(-c.age), Lifetime: session.MaxLifetime}}
		m.prepareTickets()
		if m.ticketLifetime != c.want || m.ticketsDue != DefaultSessionTickets {
			t.Errorf("after %v: %d tickets for %v, expected %v", c.age, m.ticketsDue, m.ticketLifetime, c.want)
		}
	}
	if len(kept.sessions) == 0 {
		t.Error("no sessions")
	}
}
