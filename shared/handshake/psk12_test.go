package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// TestPSKSuites: every PSK suite of 1.2, with a hint and without, and the sessions
// that come of it.
func TestPSKSuites(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, s := range suite.Table {
			if s.Auth != suite.PSK {
				continue
			}
			for _, hint := range []string{"", "which network"} {
				for _, identity := range []string{"device", ""} {
					t.Run(fmt.Sprintf("%s/hint %q/identity %q", s.Name, hint, identity), func(t *testing.T) {
						onePSKSuite(t, transport, s, hint, identity)
					})
				}
			}
		}
	})
}

func onePSKSuite(t *testing.T, transport protocol.Transport, s *suite.Suite, hint, identity string) {
	client, server := pskConfigs(protocol.VersionTLS12, keyNamed("another", PSKDirect12), keyNamed(identity, PSKDirect))
	client.Credentials = client.Credentials[1:]
	client.CipherSuites, server.CipherSuites = []uint16{s.ID}, []uint16{s.ID}
	client.ClientSessionCache = new(shelf)
	server.PSKIdentityHint = []byte(hint)
	client.RequestSCTs, client.RequestOCSPStaple = true, true // of whoever has a certificate
	p := complete(t, transport, client, server)
	p.expectPSK(t, identity)
	i := slices.Index(typesOf(p.server.sent), protocol.ServerKeyExchange)
	if explained := i >= 0; explained != (hint != "" || s.Exchange == suite.ECDHE) {
		t.Errorf("ServerKeyExchange: %v", explained)
	}
	if i >= 0 && !bytes.HasPrefix(p.server.sent[i].Body, append([]byte{0, byte(len(hint))}, hint...)) {
		t.Errorf("the client gets %q, which begins with no hint %q", p.server.sent[i].Body, hint)
	}
	if group := p.client.m.State().CurveID; (group != 0) != (s.Exchange == suite.ECDHE) {
		t.Errorf("the group %v", group)
	}
	p = complete(t, transport, client, server)
	p.expectPSK(t, identity)
	if !p.client.m.State().DidResume {
		t.Error("the session is not resumed")
	}
}

// TestPremaster: RFC 4279 2 and RFC 5489 2.
func TestPremaster(t *testing.T) {
	m := new(Machine)
	if got, want := m.premaster(nil, []byte("key")), "\x00\x03\x00\x00\x00\x00\x03key"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := m.premaster([]byte("shared"), []byte("key")), "\x00\x06shared\x00\x03key"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestExplicitEmptyHint: RFC 4279 2 leaves such a ServerKeyExchange out, and some
// servers send it.
func TestExplicitEmptyHint(t *testing.T) {
	client, server := pskConfigs(protocol.VersionTLS12, keyNamed("device", PSKDirect12))
	client.CipherSuites = []uint16{suite.TLS_PSK_WITH_AES_128_GCM_SHA256}
	server.PSKIdentityHint = []byte("hint")
	p := begin(t, protocol.Stream, client, server)
	p.onWay = func(_ *peer, m Message) []Message {
		if m.Type == protocol.ServerKeyExchange {
			m.Body = []byte{0, 0}
		}
		return []Message{m}
	}
	p.run()
	if p.client.m.place.At != ClientFinished || len(p.client.m.pskHint) != 0 {
		t.Errorf("the client stands at %v: %v", p.client.m.place.At, p.client.err)
	}
}

// TestPSKShares: a message with a share where there is none, and the other way
// round.
func TestPSKShares(t *testing.T) {
	for _, id := range []uint16{suite.TLS_PSK_WITH_AES_128_GCM_SHA256, suite.TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256} {
		for _, wrong := range []protocol.HandshakeType{protocol.ServerKeyExchange, protocol.ClientKeyExchange} {
			client, server := pskConfigs(protocol.VersionTLS12, keyNamed("device", PSKDirect12))
			client.CipherSuites, server.PSKIdentityHint = []uint16{id}, []byte("hint")
			p := begin(t, protocol.Stream, client, server)
			p.onWay = func(to *peer, m Message) []Message {
				if m.Type == wrong {
					m.Body = otherwise(m, suite.ByID(id).Exchange == suite.ECDHE)
				}
				return []Message{m}
			}
			p.run()
			refuser := p.client
			if wrong == protocol.ClientKeyExchange {
				refuser = p.server
			}
			refuser.expectRefused(t, alert.DecodeError)
		}
	}
}

// otherwise is a key exchange message without its share, or with one.
func otherwise(m Message, hasShare bool) []byte {
	named := 2 + int(m.Body[1])
	switch {
	case hasShare:
		return m.Body[:named]
	case m.Type == protocol.ServerKeyExchange:
		return append(slices.Clone(m.Body), 3, 0, 29, 1, 9)
	}
	return append(slices.Clone(m.Body), 1, 9)
}

// TestPSKNeedsShare: a server of ECDHE_PSK can't leave ServerKeyExchange out.
func TestPSKNeedsShare(t *testing.T) {
	client, server := pskConfigs(protocol.VersionTLS12, keyNamed("device", PSKDirect12))
	p := begin(t, protocol.Stream, client, server)
	p.onWay = func(to *peer, m Message) []Message {
		if m.Type == protocol.ServerKeyExchange {
			return nil
		}
		return []Message{m}
	}
	p.run().client.expectRefused(t, alert.UnexpectedMessage)
}

// TestUnknownIdentity12: a wrong identity and a wrong key look alike, and take keys of
// one length.
func TestUnknownIdentity12(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		wrongKey := keyNamed("device", PSKDirect12)
		wrongKey.PSK.Key = secretOf("another")
		for name, theirs := range map[string]Credential{"identity": keyNamed("nobody", PSKDirect12), "key": wrongKey} {
			client, server := pskConfigs(protocol.VersionTLS12, theirs)
			server.Credentials = []Credential{keyNamed("device", PSKDirect12)}
			p := begin(t, transport, client, server).run()
			p.server.expectRefused(t, alert.DecryptError)
			if p.server.m.place.At != ClientChangeCipherSpec {
				t.Errorf("wrong %s: the server gives up at %v", name, p.server.m.place.At)
			}
			if used := p.server.m.credential; used == nil || len(used.PSK.Key) != len(secretOf("device")) || bytes.Equal(used.PSK.Key, make([]byte, len(used.PSK.Key))) {
				t.Errorf("wrong %s: the server goes on with %+v", name, used)
			}
		}
	})
}

// lookUp is a GetPSK that knows one key.
func lookUp(key Credential, asked *[]string) func([]byte, ConnectionState) (*ExternalPSK, error) {
	return func(identity []byte, _ ConnectionState) (*ExternalPSK, error) {
		*asked = append(*asked, string(identity))
		if !bytes.Equal(identity, key.PSK.Identity) {
			return nil, nil
		}
		return key.PSK, nil
	}
}

// TestGetPSK: one callback for both versions; what it takes back ends sessions,
// too.
func TestGetPSK(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, use := range []PSKUse{PSKImported, PSKDirect} {
			if use == PSKImported && !v.Is13() {
				continue
			}
			key := keyNamed("device", use)
			client, server := pskConfigs(v, keyNamed("other", use), key)
			if !v.Is13() {
				client.Credentials = client.Credentials[1:]
			}
			client.ClientSessionCache = new(shelf)
			var asked []string
			server.Credentials, server.GetPSK = nil, lookUp(key, &asked)
			complete(t, transport, client, server).expectPSK(t, "device")
			if want := []string{"other", "device"}; v.Is13() && !slices.Equal(asked, want) {
				t.Errorf("asked for %q, want %q", asked, want)
			}

			p := complete(t, transport, client, server)
			p.expectPSK(t, "device")
			if !p.client.m.State().DidResume {
				t.Error("the session is not resumed")
			}

			server.GetPSK = lookUp(keyNamed("somebody", use), &asked)
			if p := begin(t, transport, client, server).run(); p.server.err == nil {
				t.Error("a device whose key was taken back still resumes")
			}

			refusal := alert.Peerf(alert.UnknownPSKIdentity, "blocked")
			server.GetPSK = func([]byte, ConnectionState) (*ExternalPSK, error) { return nil, refusal }
			p = begin(t, transport, client, server).run()
			p.server.expectRefused(t, alert.UnknownPSKIdentity)
			if !errors.Is(p.server.err, refusal) {
				t.Error(p.server.err)
			}

			server.GetPSK = func([]byte, ConnectionState) (*ExternalPSK, error) { return new(ExternalPSK), nil }
			begin(t, transport, client, server).run().server.expectRefused(t, alert.InternalError)
		}
	})
}

// TestGetClientPSK: the client of 1.2 chooses by the hint.
func TestGetClientPSK(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		home, work := keyNamed("home", PSKDirect12), keyNamed("work", PSKDirect12)
		for _, test := range []struct {
			hint, want string
			fallback   []Credential
			err        error
		}{
			{hint: "office", want: "work"},
			{hint: "elsewhere", want: "home", fallback: []Credential{home}},
			{hint: "elsewhere"},
			{hint: "office", err: errors.New("no")},
		} {
			client, server := pskConfigs(protocol.VersionTLS12, home, work)
			server.PSKIdentityHint, client.Credentials = []byte(test.hint), test.fallback
			client.GetClientPSK = func(hint []byte, s ConnectionState) (*ExternalPSK, error) {
				if string(hint) == "office" {
					return work.PSK, test.err
				}
				return nil, test.err
			}
			if test.want != "" {
				complete(t, transport, client, server).expectPSK(t, test.want)
				continue
			}
			p := begin(t, transport, client, server).run()
			want := alert.HandshakeFailure
			if test.err != nil {
				want = alert.InternalError
			}
			p.client.expectRefused(t, want)
		}
	})
}

// TestPSKOrCertificate12: the suites of both kinds are offered, and the server's
// order counts.
func TestPSKOrCertificate12(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		key, shown := keyNamed("device", PSKDirect12), shownCredential()
		for _, keyFirst := range []bool{true, false} {
			client, server := pskConfigs(protocol.VersionTLS12, key)
			client.PSKOrCertificate = true
			server.Credentials = []Credential{shown, key}
			if keyFirst {
				server.Credentials = []Credential{key, shown}
			}
			p := complete(t, transport, client, server)
			if keyFirst {
				p.expectPSK(t, "device")
			} else if len(p.client.m.State().PeerCertificates) == 0 {
				t.Error("no certificate")
			}
		}
	})
}

// TestVerifyConnectionWithPSK: it runs on both sides, and knows the identity.
func TestVerifyConnectionWithPSK(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := pskConfigs(v, keyNamed("device", PSKDirect))
		var seen int
		for _, c := range []*Config{client, server} {
			c.VerifyConnection = func(s ConnectionState) error {
				if seen++; string(s.PSKIdentity) != "device" {
					t.Errorf("identity %q", s.PSKIdentity)
				}
				return nil
			}
		}
		complete(t, transport, client, server)
		if seen != 2 {
			t.Errorf("it ran %d times", seen)
		}
		server.VerifyConnection = func(ConnectionState) error { return errors.New("no") }
		begin(t, transport, client, server).run().server.expectRefused(t, alert.BadCertificate)
	})
}

// TestPSKSession: a session that came from a certificate is no way round the key
// that a client wants now.
func TestPSKSession(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		client.ClientSessionCache = new(shelf)
		complete(t, transport, client, server)
		again := *client
		again.Credentials = []Credential{keyNamed("device", PSKDirect)}
		server.Credentials = again.Credentials
		p := complete(t, transport, &again, server)
		p.expectPSK(t, "device")
		if p.client.m.State().DidResume {
			t.Error("the session is resumed")
		}
		hello := parseHello(t, p.client.sent[0], transport)
		if body, ok := hello.Extensions.Find(protocol.ExtPreSharedKey); ok != v.Is13() {
			t.Errorf("pre_shared_key: %v", ok)
		} else if offered, err := message.ParsePreSharedKey(body); ok && (err != nil || len(offered.Identities) != 1) {
			t.Errorf("%d identities, %v", len(offered.Identities), err)
		}
	})
}
