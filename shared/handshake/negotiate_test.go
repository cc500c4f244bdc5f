package handshake

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

const (
	pq       = tls.X25519MLKEM768
	pq256    = tls.SecP256r1MLKEM768
	x25519   = tls.X25519
	nist256  = tls.CurveP256
	nist384  = tls.CurveP384
	noGroups = tls.CurveID(0)
)

// TestChooseGroup: our preference decides. If we don't insist on one, a share beats
// a better place, and nothing beats a hybrid group.
//
// RFC 9846 4.2.1 [3]
func TestChooseGroup(t *testing.T) {
	for _, c := range []struct {
		ours, theirs, shares []tls.CurveID
		want                 tls.CurveID
		needShare            bool
	}{
		{nil, []tls.CurveID{pq, x25519}, []tls.CurveID{pq, x25519}, pq, false},
		{nil, []tls.CurveID{pq, x25519}, []tls.CurveID{x25519}, pq, true},
		{nil, []tls.CurveID{x25519, nist256}, []tls.CurveID{nist256}, nist256, false},
		{nil, []tls.CurveID{x25519, nist256}, []tls.CurveID{x25519, nist256}, x25519, false},
		{nil, []tls.CurveID{nist256, x25519}, nil, x25519, true},
		{[]tls.CurveID{nist256, x25519}, []tls.CurveID{x25519, nist256}, []tls.CurveID{x25519}, nist256, true},
		{[]tls.CurveID{nist256, x25519}, []tls.CurveID{x25519, nist256}, []tls.CurveID{x25519, nist256}, nist256, false},
		{[]tls.CurveID{nist256, x25519}, []tls.CurveID{x25519, nist256}, nil, nist256, true},
		{[]tls.CurveID{nist256, pq, x25519}, []tls.CurveID{pq, x25519, nist256}, []tls.CurveID{x25519}, nist256, true},
		{[]tls.CurveID{nist256, pq, x25519}, []tls.CurveID{pq, x25519, nist256}, []tls.CurveID{pq, nist256}, nist256, false},
		{[]tls.CurveID{pq, pq256, x25519}, []tls.CurveID{x25519, pq256}, []tls.CurveID{x25519}, pq256, true},
		{nil, []tls.CurveID{x25519, pq256}, []tls.CurveID{x25519}, x25519, false},
		// A share of a group that supported_groups doesn't name counts for nothing.
		{nil, []tls.CurveID{nist384}, []tls.CurveID{x25519}, nist384, true},
		{[]tls.CurveID{x25519}, []tls.CurveID{nist256, 0x2a2a}, []tls.CurveID{nist256}, noGroups, false},
	} {
		hello := message.ClientHello{Extensions: offer(t, c.theirs, c.shares)}
		choice := Choice{Version: protocol.VersionTLS13}
		err := choice.chooseGroup(&Config{CurvePreferences: c.ours}, &hello)
		if c.want == noGroups {
			expectAlert(t, err, alert.HandshakeFailure)
			continue
		}
		if err != nil || choice.Group.ID != c.want || choice.NeedShare != c.needShare {
			t.Errorf("we %v, they %v with shares %v: %v, need share %v, %v", c.ours, c.theirs, c.shares, choice.Group, choice.NeedShare, err)
		}
	}
}

// offer is a client's supported_groups and key_share.
// TestEqualCurves: among groups that the server prefers alike, the client's order
// decides, in 1.2 too.
//
// RFC 9846 4.3.8 [2]
func TestEqualCurves(t *testing.T) {
	for _, c := range []struct {
		ours, theirs []tls.CurveID
		equal        [][]tls.CurveID
		want         tls.CurveID
	}{
		{[]tls.CurveID{nist256, nist384, x25519}, []tls.CurveID{x25519, nist384, nist256}, nil, nist256},
		{[]tls.CurveID{nist256, nist384, x25519}, []tls.CurveID{x25519, nist384, nist256}, [][]tls.CurveID{{nist256, nist384}}, nist384},
		{[]tls.CurveID{nist256, nist384, x25519}, []tls.CurveID{x25519, nist384, nist256}, [][]tls.CurveID{{nist384, x25519}}, nist256},
		{[]tls.CurveID{nist256, nist384, x25519}, []tls.CurveID{x25519, nist384, nist256}, [][]tls.CurveID{{nist384}, {x25519, nist256}}, x25519},
		// What isn't enabled isn't, whatever it equals.
		{[]tls.CurveID{nist256, nist384}, []tls.CurveID{x25519, nist384, nist256}, [][]tls.CurveID{{x25519, nist256}}, nist256},
	} {
		eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
			client, server := configs(v)
			server.CurvePreferences, server.EqualCurves, client.CurvePreferences = c.ours, c.equal, c.theirs
			client.KeyShares = c.theirs
			if got := complete(t, transport, client, server).client.m.State().CurveID; got != c.want {
				t.Errorf("we %v, equal %v, they %v: %v, expected %v", c.ours, c.equal, c.theirs, got, c.want)
			}
		})
	}
}

func offer(t *testing.T, groups, shares []tls.CurveID) message.Extensions {
	t.Helper()
	var entries []message.KeyShare
	for _, g := range shares {
		entries = append(entries, message.KeyShare{Group: uint16(g), Key: []byte{1}})
	}
	var x extensionList
	x.set(protocol.ExtSupportedGroups, appended(func(b *wire.Builder) { message.AppendSupportedGroups(b, message.MakeUint16s(groups)) }))
	x.set(protocol.ExtKeyShare, appended(func(b *wire.Builder) { message.AppendKeyShares(b, entries) }))
	return x.block()
}

// TestChooseAllocatesNothing: a Listener chooses for hellos that nobody vouches
// for.
func TestChooseAllocatesNothing(t *testing.T) {
	for _, v := range []protocol.Version{protocol.VersionDTLS12, protocol.VersionDTLS13} {
		client, server := configs(v)
		p := begin(t, protocol.Datagram, client, server)
		body := p.server.inbox[0].Body
		if n := testing.AllocsPerRun(100, func() {
			var hello message.ClientHello
			if hello.Parse(body, protocol.Datagram) != nil {
				t.Error("the hello is refused")
			}
			if choice, err := Choose(server, &hello, protocol.Datagram); err != nil || choice.Version != v {
				t.Errorf("%v: %v", choice, err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", v, n)
		}
	}
}

// TestSuitePreference: the server's order counts.
func TestSuitePreference(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, s := range suite.Table {
			if s.Version != v.Over(protocol.Stream) || s.Auth == suite.RSA || s.Auth == suite.PSK {
				continue
			}
			client, server := configs(v)
			server.CipherSuites = []uint16{s.ID}
			for _, all := range suite.Table {
				client.CipherSuites = append(client.CipherSuites, all.ID)
			}
			for other := range client.suites(v) {
				if other != s {
					server.CipherSuites = append(server.CipherSuites, other.ID)
				}
			}
			if got := complete(t, transport, client, server).client.m.State().CipherSuite; got != s.ID {
				t.Errorf("suite 0x%04x, want %s", got, s.Name)
			}
		}
	})
}

// TestCertificateChoice: by name, by what the client verifies, by the suites.
//
// RFC 9846 4.5.1.2 [2]
func TestCertificateChoice(t *testing.T) {
	p := testPKI()
	other := issue("other.example", &p.root, newKey(p256))
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		server.Certificates = []tls.Certificate{other, p.leaf[rsaKey], p.leaf[p256]}
		if got := complete(t, transport, client, server).client.m.State().PeerCertificates[0]; !got.Equal(p.leaf[rsaKey].Leaf) {
			t.Error("not the first with the name that the client asked for, but", got.Subject, got.PublicKeyAlgorithm)
		}
		limited := other
		limited.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.ECDSAWithP384AndSHA384}
		server.Certificates = []tls.Certificate{limited}
		client.InsecureSkipVerify = true
		q := begin(t, transport, client, server).run()
		if v.Is13() {
			q.server.expectRefused(t, alert.HandshakeFailure) // the curve doesn't fit
		} else {
			q.expectAgreement(t)
		}
	})
}

// TestGetCertificate is asked when crypto/tls asks it.
func TestGetCertificate(t *testing.T) {
	leaf := testPKI().leaf[p256]
	for _, c := range []struct {
		name     string
		sni, has bool
		answer   *tls.Certificate
		err      error
		asked    int
		want     alert.Alert
	}{
		{"name", true, true, &leaf, nil, 1, alert.CloseNotify},
		{"name, no answer", true, true, nil, nil, 1, alert.CloseNotify},
		{"no name", false, true, &leaf, nil, 0, alert.CloseNotify},
		{"no name, no certificates", false, false, &leaf, nil, 1, alert.CloseNotify},
		{"nothing", true, false, nil, nil, 1, alert.HandshakeFailure},
		{"error", true, true, nil, errors.New("no"), 1, alert.InternalError},
		{"error with an alert", true, true, nil, alert.Localf(alert.UnrecognizedName, "no"), 1, alert.UnrecognizedName},
		{"one without a key", true, true, &tls.Certificate{}, nil, 1, alert.HandshakeFailure},
	} {
		eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
			t.Run(c.name, func(t *testing.T) {
				client, server := configs(v)
				client.InsecureSkipVerify = true
				client.CurvePreferences = append(client.CurvePreferences, nist256) // crypto/tls wants the certificate's curve
				if !c.sni {
					client.ServerName = ""
				}
				if !c.has {
					server.Certificates = nil
				}
				asked := 0
				server.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
					asked++
					if (info.ServerName != "") != c.sni || info.SupportsCertificate(&leaf) != nil && c.sni {
						t.Errorf("%+v: %v", info, info.SupportsCertificate(&leaf))
					}
					return c.answer, c.err
				}
				p := begin(t, transport, client, server).run()
				if asked != c.asked {
					t.Errorf("asked %d times, want %d", asked, c.asked)
				}
				if c.want == alert.CloseNotify {
					p.expectAgreement(t)
				} else {
					p.server.expectRefused(t, c.want)
				}
			})
		})
	}
}

// TestClientHelloInfo: what callbacks see.
func TestClientHelloInfo(t *testing.T) {
	client, server := configs(0)
	client.NextProtos = []string{"one", "two"}
	retrying(client, server)
	server.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if !slices.Equal(info.SupportedVersions, []uint16{tls.VersionTLS13, tls.VersionTLS12}) ||
			!slices.Equal(info.SupportedProtos, client.NextProtos) || !slices.Equal(info.SupportedCurves, client.CurvePreferences) ||
			info.ServerName != testName || !info.HelloRetryRequest || len(info.SignatureSchemes) == 0 || len(info.CipherSuites) == 0 ||
			!slices.Contains(info.Extensions, uint16(protocol.ExtKeyShare)) || !slices.Contains(info.Extensions, 0x2a2a) {
			t.Errorf("%+v", info)
		}
		return nil, nil
	}
	p := begin(t, protocol.Datagram, client, server)
	p.onWay = func(to *peer, m Message) []Message {
		if m.Type == protocol.ClientHello {
			m = editClientHello(t, protocol.Datagram, m, with(0x2a2a))
		}
		return []Message{m}
	}
	p.run()
	if p.server.err != nil {
		t.Error(p.server.err)
	}
}

// TestGetConfigForClient replaces the Config for one client.
func TestGetConfigForClient(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		other := *server
		other.Certificates = []tls.Certificate{testPKI().leaf[rsaKey]}
		server.GetConfigForClient = func(*tls.ClientHelloInfo) (*Config, error) { return &other, nil }
		if got := complete(t, transport, client, server).client.m.State().PeerCertificates[0]; !got.Equal(testPKI().leaf[rsaKey].Leaf) {
			t.Error("the certificate is not that of the Config for this client")
		}
		unusable := other
		unusable.MTU, unusable.NextProtos = 1, []string{""}
		server.GetConfigForClient = func(*tls.ClientHelloInfo) (*Config, error) { return &unusable, nil }
		begin(t, transport, client, server).run().server.expectRefused(t, alert.InternalError)
	})
}

// TestALPN is RFC 7301.
func TestALPN(t *testing.T) {
	for _, c := range []struct {
		ours, theirs []string
		want         string
		refused      bool
	}{
		{[]string{"a", "b"}, []string{"b", "a"}, "a", false},
		{[]string{"a"}, []string{"b"}, "", true},
		{nil, []string{"b"}, "", false},
		{[]string{"a"}, nil, "", false},
	} {
		eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
			client, server := configs(v)
			client.NextProtos, server.NextProtos = c.theirs, c.ours
			p := begin(t, transport, client, server).run()
			if c.refused {
				p.server.expectRefused(t, alert.NoApplicationProtocol)
				return
			}
			p.expectAgreement(t)
			if got := p.client.m.State().NegotiatedProtocol; got != c.want {
				t.Errorf("%v and %v give %q", c.ours, c.theirs, got)
			}
		})
	}
}

// TestShareIsUsedAgain: a server answers a key share that it has seen before, in a
// ClientHello that it hasn't.
//
// RFC 9846 4.3.8 [7]
func TestShareIsUsedAgain(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(protocol.VersionTLS13)
		hello := begin(t, transport, client, server).server.pop()
		for range 3 {
			p := newPair(t, transport, client, server)
			rand.Read(hello.Body[2:34]) // its random
			p.server.take(hello)
			p.server.work()
			if p.server.err != nil || !slices.Contains(typesOf(p.server.sent), protocol.ServerHello) {
				t.Errorf("the server sends %v, and ends with %v", typesOf(p.server.sent), p.server.err)
			}
		}
	})
}
