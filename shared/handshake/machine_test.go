package handshake

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A clientAuth is what a handshake does about the client's certificate.
type clientAuth string

const (
	unasked clientAuth = "not asked"
	shown   clientAuth = "shown"
	none    clientAuth = "none to show"
)

var clientAuths = []clientAuth{unasked, shown, none}

// decoy is a group of the same kind: a client that prefers it sends a share for
// it and none for g.
func decoy(g *suite.Group) tls.CurveID {
	for _, other := range suite.Groups {
		if other.PostQuantum == g.PostQuantum && other != g {
			return other.ID
		}
	}
	panic("no decoy")
}

// stride is how far apart the cases are that a test tries: it tries each, or with -short
// one of n.
func stride(n int) int {
	if testing.Short() {
		return n
	}
	return 1
}

// TestEveryHandshakeCompletes runs Machine against Machine over every protocol,
// suite, group and kind of key, with and without a HelloRetryRequest; the
// client's authentication takes turns.
//
// RFC 9846 4.2.4 [9], 4.3.8 [11], 7.1 [1], 9.3 [3], E [4]
func TestEveryHandshakeCompletes(t *testing.T) {
	turn := 0
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, s := range suite.Table {
			if s.Version != v.Over(protocol.Stream) || s.Auth == suite.PSK { // see TestPSKSuites
				continue
			}
			for _, g := range suite.Groups {
				if g.PostQuantum && !v.Is13() {
					continue
				}
				for _, kind := range keyKinds {
					if s.Exchange == suite.KeyTransport && g.ID != x25519 {
						continue // it has no group
					}
					if s.Auth != suite.AnyAuth && (s.Auth == suite.RSA) != (kind == rsaKey) {
						continue
					}
					for _, retry := range []bool{false, true} {
						if retry && !v.Is13() {
							continue
						}
						auth := clientAuths[turn%len(clientAuths)]
						if turn++; turn%stride(7) != 0 {
							continue
						}
						t.Run(fmt.Sprintf("%s/%s/%s/client certificate %s/retry %v", s.Name, g.Name, kind, auth, retry), func(t *testing.T) {
							oneHandshake(t, transport, v, s, g, kind, auth, retry)
						})
					}
				}
			}
		}
	})
}

func oneHandshake(t *testing.T, transport protocol.Transport, v protocol.Version, s *suite.Suite, g *suite.Group, kind keyKind, auth clientAuth, retry bool) {
	client, server := configs(v)
	server.Certificates = []tls.Certificate{testPKI().leaf[kind]}
	client.CipherSuites = []uint16{s.ID}
	if s.Insecure() {
		server.CipherSuites = client.CipherSuites
	}
	client.CurvePreferences = []tls.CurveID{g.ID}
	if retry {
		client.CurvePreferences = []tls.CurveID{decoy(g), g.ID}
	}
	server.CurvePreferences = []tls.CurveID{g.ID}
	if curve, ok := cert.CurveOf(testPKI().leaf[kind].Leaf.PublicKey); ok && !v.Is13() {
		client.CurvePreferences = append(client.CurvePreferences, curve)
	}
	client.NextProtos, server.NextProtos = []string{"one", "two"}, []string{"two"}
	if auth != unasked {
		server.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if auth == shown {
		client.Certificates = []tls.Certificate{testPKI().leaf[kind]}
	}
	p := complete(t, transport, client, server)

	group := g.ID
	if s.Exchange == suite.KeyTransport {
		group = 0
	}
	got := p.client.m.State()
	if got.Version != uint16(v) || got.CipherSuite != s.ID || got.CurveID != group || got.HelloRetryRequest != retry ||
		got.NegotiatedProtocol != "two" || got.ServerName != testName || !got.HandshakeComplete || !got.ExtendedMasterSecret || got.DidResume {
		t.Errorf("%+v", got)
	}
	if chain := got.PeerCertificates; len(chain) != 1 || !chain[0].Equal(server.Certificates[0].Leaf) || len(got.VerifiedChains) == 0 {
		t.Errorf("the client sees %d certificates, %d chains", len(chain), len(got.VerifiedChains))
	}
	state := p.server.m.State()
	switch auth {
	case shown:
		if chain := state.PeerCertificates; len(chain) != 1 || !chain[0].Equal(client.Certificates[0].Leaf) || len(state.VerifiedChains) == 0 || state.PeerSignature == 0 {
			t.Errorf("the server sees %d certificates, %d chains", len(chain), len(state.VerifiedChains))
		}
	default:
		if len(state.PeerCertificates) != 0 || state.PeerSignature != 0 {
			t.Error("the server sees a certificate that was not shown")
		}
	}
	expectForgotten(t, p.client.m)
	expectForgotten(t, p.server.m)
}

// expectForgotten checks that only what a connection needs outlives a handshake.
func expectForgotten(t *testing.T, m *Machine) {
	t.Helper()
	if m.scaffold != nil {
		t.Errorf("%v keeps secrets of the handshake", m.role)
	}
}

// TestDefaults: two zero Configs agree on the best there is.
func TestDefaults(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(0)
		client.CurvePreferences, server.CurvePreferences = nil, nil
		p := complete(t, transport, client, server)
		want := protocol.VersionTLS13.Over(transport)
		if got := p.client.m.State(); got.CurveID != tls.X25519MLKEM768 || got.Version != uint16(want) || got.CipherSuite != suite.TLS_AES_128_GCM_SHA256 {
			t.Errorf("%+v", got)
		}
		hello := parseHello(t, p.client.sent[0], transport)
		body, _ := hello.Extensions.Find(protocol.ExtKeyShare)
		shares, err := message.ParseKeyShares(body)
		if err != nil {
			t.Fatal(err)
		}
		var groups []uint16
		for g := range shares.All() {
			groups = append(groups, g)
		}
		if !slices.Equal(groups, []uint16{uint16(tls.X25519MLKEM768), uint16(tls.X25519)}) {
			t.Errorf("shares for %v", groups)
		}
		if (len(hello.SessionID) == 0) != (transport == protocol.Datagram) {
			t.Errorf("legacy_session_id has %d bytes", len(hello.SessionID)) // RFC 9147 5.3, RFC 9846 E.4
		}
		for i, want := range []Reply{AwaitReply, NoReply} {
			if i >= len(p.client.replies) || p.client.replies[i] != want {
				t.Errorf("the client's flights await %v", p.client.replies)
			}
		}
		if !slices.Equal(p.server.replies, []Reply{AwaitReply}) {
			t.Errorf("the server's flights await %v", p.server.replies)
		}
	})
}

// --- Entry from a stateless cookie

var testCookie = []byte("a cookie that a Listener made")

// greet is a Listener: it answers the client's hello without state, and then
// makes a server of what the cookie says.
func (p *pair) greet(t *testing.T, again int) {
	t.Helper()
	var entry Entry
	for range again {
		entry = p.challenge(t)
		if p.client.take(p.client.pop()); p.client.err != nil {
			return
		}
	}
	p.server.m.Enter(entry)
}

// challenge sends the Listener's answer to the client's hello, and returns what it
// will know by the cookie.
func (p *pair) challenge(t *testing.T) Entry {
	t.Helper()
	m := p.server.pop()
	hello := parseHello(t, m, protocol.Datagram)
	choice, err := Choose(p.server.m.config, hello, protocol.Datagram)
	if err != nil {
		t.Fatal(err)
	}
	entry := Entry{Choice: choice, Seq: m.Seq + 1}
	answer := Message{Content: protocol.Handshake, Type: protocol.HelloVerifyRequest, Seq: m.Seq}
	if choice.Version.Is13() {
		answer.Type = protocol.ServerHello
		answer.Body = appended(func(b *wire.Builder) { AppendRetry(b, choice, hello.SessionID, testCookie) })
		entry.Retry, entry.HelloHash = answer.Body, sum(choice.Suite.Hash, header4(m), m.Body)
	} else {
		out := message.HelloVerifyRequest{Version: protocol.VersionDTLS10, Cookie: testCookie}
		answer.Body = appended(out.Append)
	}
	p.client.inbox = append(p.client.inbox, answer)
	return entry
}

func TestEntry(t *testing.T) {
	for _, c := range []struct {
		name        string
		version     protocol.Version
		clientGroup []tls.CurveID
		again       int
	}{
		{"HelloVerifyRequest", protocol.VersionDTLS12, nil, 1},
		{"HelloVerifyRequest three times", protocol.VersionDTLS12, nil, 3},
		{"HelloRetryRequest", protocol.VersionDTLS13, nil, 1},
		{"HelloRetryRequest with a group", protocol.VersionDTLS13, []tls.CurveID{tls.CurveP256, tls.X25519}, 1},
	} {
		for _, both := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/client of both versions %v", c.name, both), func(t *testing.T) {
				client, server := configs(c.version)
				if both {
					client.MinVersion, client.MaxVersion = 0, 0
				}
				if c.clientGroup != nil {
					client.CurvePreferences = c.clientGroup
				}
				authenticated(client, server)
				asked := 0
				server.GetConfigForClient = func(*tls.ClientHelloInfo) (*Config, error) { asked++; return nil, nil }
				p := begin(t, protocol.Datagram, client, server)
				p.greet(t, c.again)
				if got := p.server.inbox[0].Seq; got != uint16(c.again) {
					t.Errorf("the last ClientHello has message_seq %d", got)
				}
				p.run().expectAgreement(t)
				if got := p.server.sent[0].Seq; got != uint16(c.again) {
					t.Errorf("ServerHello has message_seq %d", got)
				}
				if asked != 1 {
					t.Errorf("GetConfigForClient was asked %d times", asked)
				}
				if got := p.client.m.State().HelloRetryRequest; got != c.version.Is13() {
					t.Errorf("HelloRetryRequest %v", got)
				}
			})
		}
	}
}

// TestEntryBinds: who comes back with a cookie can't change what it settled.
//
// RFC 9846 4.2.4 [9]
func TestEntryBinds(t *testing.T) {
	for name, edit := range map[string]func(*message.ClientHello, *extensionList){
		"version": offers(protocol.VersionDTLS12),
		"suite": func(m *message.ClientHello, _ *extensionList) {
			m.CipherSuites = message.MakeUint16s([]uint16{suite.TLS_AES_256_GCM_SHA384})
		},
		"group": with(protocol.ExtSupportedGroups, 0, 2, 0, byte(tls.CurveP256)),
		"share": with(protocol.ExtKeyShare, 0, 0),
	} {
		client, server := configs(0)
		server.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		p := begin(t, protocol.Datagram, client, server)
		p.greet(t, 1)
		p.server.take(editClientHello(t, protocol.Datagram, p.server.pop(), edit))
		if p.server.expectRefused(t, alert.IllegalParameter); len(p.server.versions) != 1 {
			t.Errorf("%s: versions %v", name, p.server.versions)
		}
	}
}

// TestPitfallVerifyRequestLoop: a client doesn't answer for ever (botan#5834).
//
// RFC 6347 4.2.1 [17]
func TestPitfallVerifyRequestLoop(t *testing.T) {
	client, server := configs(protocol.VersionDTLS12)
	p := begin(t, protocol.Datagram, client, server)
	p.greet(t, maxVerifyRequests+1)
	p.client.expectRefused(t, alert.UnexpectedMessage)
}

// TestCookieEcho: the second ClientHello is the first with the cookie, and with
// the share that was asked for.
//
// RFC 9147 5.1 [1, 8]; RFC 6347 4.2.1 [1, 3, 5, 15]; RFC 9846 4.2.2 [2], 4.2.4 [7], 4.3.2 [1],
// 4.3.8 [10]
func TestCookieEcho(t *testing.T) {
	client, server := configs(0)
	client.CurvePreferences = []tls.CurveID{tls.CurveP256, tls.X25519}
	for _, v := range []protocol.Version{protocol.VersionDTLS12, protocol.VersionDTLS13} {
		server.MinVersion, server.MaxVersion = uint16(v), uint16(v)
		p := begin(t, protocol.Datagram, client, server)
		p.greet(t, 1)
		first, second := parseHello(t, p.client.sent[0], protocol.Datagram), parseHello(t, p.client.sent[1], protocol.Datagram)
		x := listOf(second.Extensions)
		if v.Is13() {
			if body, _ := second.Extensions.Find(protocol.ExtCookie); !bytes.Equal(body[2:], testCookie) {
				t.Errorf("cookie %q", body)
			}
			share, _ := second.Extensions.Find(protocol.ExtKeyShare)
			if shares, err := message.ParseKeyShares(share); err != nil || shares.Len() != 1 {
				t.Errorf("%d shares, %v", shares.Len(), err)
			}
			old, _ := first.Extensions.Find(protocol.ExtKeyShare)
			x.drop(protocol.ExtCookie)
			x.set(protocol.ExtKeyShare, old)
		} else if !bytes.Equal(second.Cookie, testCookie) {
			t.Errorf("cookie %q", second.Cookie)
		}
		second.Cookie, second.Extensions = nil, x.block()
		if !bytes.Equal(
			appended(func(b *wire.Builder) { first.Append(b, protocol.Datagram) }),
			appended(func(b *wire.Builder) { second.Append(b, protocol.Datagram) })) {
			t.Errorf("%v: the hellos differ in more", v)
		}
	}
}
