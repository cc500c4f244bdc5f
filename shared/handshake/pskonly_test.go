package handshake

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// pskOnlyConfigs have a key, the option, and no group in common.
func pskOnlyConfigs() (client, server *Config) {
	client, server = pskConfigs(protocol.VersionTLS13, keyNamed("a", PSKImported))
	client.ClientSessionCache = new(shelf)
	client.InsecureAllowPSKOnly, server.InsecureAllowPSKOnly = true, true
	client.CurvePreferences, server.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256}
	return client, server
}

// expectPSKOnly checks that ServerHello had no key_share, or that it had one.
func (p *pair) expectPSKOnly(t *testing.T, only bool) {
	t.Helper()
	for _, m := range p.server.sent {
		if m.Type != protocol.ServerHello {
			continue
		}
		var hello message.ServerHello
		if err := hello.Parse(m.Body); err != nil {
			t.Fatal(err)
		}
		if _, share := hello.Extensions.Find(protocol.ExtKeyShare); share == only {
			t.Errorf("key_share in ServerHello: %v", share)
		}
	}
	for _, side := range []*peer{p.client, p.server} {
		if group := side.m.State().CurveID; (group == 0) != only {
			t.Errorf("%v: group %v", side.m.role, group)
		}
	}
}

// TestPSKOnly: an external key and its sessions, without a group in common; where
// there is one, the key exchange takes place.
//
// RFC 9846 4.3.8 [12]
func TestPSKOnly(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, test := range map[string]struct {
			groups []tls.CurveID // of the server
			only   bool
		}{
			"no group in common":           {[]tls.CurveID{tls.CurveP256}, true},
			"a group in common":            {[]tls.CurveID{tls.X25519}, false},
			"a group by HelloRetryRequest": {[]tls.CurveID{tls.CurveP384}, false},
		} {
			t.Run(name, func(t *testing.T) {
				client, server := pskOnlyConfigs()
				client.CurvePreferences, client.KeyShares = []tls.CurveID{tls.X25519, tls.CurveP384}, []tls.CurveID{tls.X25519}
				server.CurvePreferences = test.groups
				// A certificate is of no use without a group.
				if test.only {
					server.Credentials = append([]Credential{shownCredential()}, server.Credentials...)
				}
				for n := range 2 {
					p := complete(t, transport, client, server)
					p.expectPSK(t, "a")
					p.expectPSKOnly(t, test.only)
					if s := p.client.m.State(); s.DidResume != (n == 1) || s.HelloRetryRequest != (test.groups[0] == tls.CurveP384) {
						t.Errorf("connection %d: %+v", n, s)
					}
				}
			})
		}
	})
}

// TestPSKOnlyOfCertificate: a session that began with a certificate and a key
// exchange is resumed without, and once more.
func TestPSKOnlyOfCertificate(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(protocol.VersionTLS13)
		client.ClientSessionCache = new(shelf)
		client.InsecureAllowPSKOnly, server.InsecureAllowPSKOnly = true, true
		client.EarlyData, server.EarlyData = true, true
		for n := range 3 {
			p := complete(t, transport, client, server)
			p.expectPSKOnly(t, n > 0)
			s := p.server.m.State()
			if c := p.client.m.State(); c.DidResume != (n > 0) || c.HelloRetryRequest || len(c.PeerCertificates) == 0 {
				t.Errorf("connection %d: %+v", n, c)
			}
			if s.EarlyDataAccepted != (n > 0) {
				t.Errorf("connection %d: early data: %q", n, s.EarlyDataReason)
			}
			client.CurvePreferences = []tls.CurveID{tls.X25519}
			server.CurvePreferences = []tls.CurveID{tls.CurveP256}
		}
	})
}

// TestPSKOnlyNeedsBoth: neither side alone leaves the key exchange out.
//
// RFC 9846 4.2.1 [2]
func TestPSKOnlyNeedsBoth(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, side := range []Role{Client, Server} {
			client, server := pskOnlyConfigs()
			client.InsecureAllowPSKOnly, server.InsecureAllowPSKOnly = side == Client, side == Server
			p := begin(t, transport, client, server).run()
			p.server.expectRefused(t, alert.HandshakeFailure)
			if !errors.Is(p.server.err, alert.NoCommonGroup) {
				t.Error(p.server.err)
			}
		}
	})
}

// TestPSKOnlyWithoutKey: without a PSK in common there must be a group.
func TestPSKOnlyWithoutKey(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := pskOnlyConfigs()
		client.PSKOrCertificate = true
		server.Credentials = []Credential{shownCredential()}
		p := begin(t, transport, client, server).run()
		p.server.expectRefused(t, alert.HandshakeFailure)
		if !errors.Is(p.server.err, alert.NoCommonGroup) {
			t.Error(p.server.err)
		}
	})
}

// editBound changes the first ClientHello of a client and makes its binders anew.
func editBound(t *testing.T, p *pair, transport protocol.Transport, edit func(*extensionList)) Message {
	t.Helper()
	m := editClientHello(t, transport, p.server.pop(), func(_ *message.ClientHello, x *extensionList) { edit(x) })
	p.client.m.bind(new(transcript), m.Body)
	return m
}

// TestPSKOnlyClients: clients that want no other mode get it, groups in common or
// not, and tickets for it; what half a key exchange is stays an error.
func TestPSKOnlyClients(t *testing.T) {
	alone := func(x *extensionList) { x.set(protocol.ExtPSKModes, []byte{1, message.PSKOnly}) }
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, test := range map[string]struct {
			edit func(*extensionList)
			want alert.Alert // zero: it works
		}{
			"with a share": {alone, 0},
			"with nothing of a key exchange": {func(x *extensionList) {
				alone(x)
				x.drop(protocol.ExtKeyShare)
				x.drop(protocol.ExtSupportedGroups)
				x.drop(protocol.ExtSignatureAlgorithms)
			}, 0},
			"without key_share": {func(x *extensionList) {
				alone(x)
				x.drop(protocol.ExtKeyShare)
			}, alert.MissingExtension},
			"without supported_groups": {func(x *extensionList) {
				alone(x)
				x.drop(protocol.ExtSupportedGroups)
			}, alert.MissingExtension},
		} {
			t.Run(name, func(t *testing.T) {
				client, server := pskOnlyConfigs()
				server.CurvePreferences = client.CurvePreferences
				p := begin(t, transport, client, server)
				p.client.work()
				p.server.take(editBound(t, p, transport, test.edit))
				if test.want != 0 {
					p.server.expectRefused(t, test.want)
					return
				}
				if p.server.err != nil || !slices.Contains(typesOf(p.server.sent), protocol.Finished) {
					t.Fatal(p.server.err)
				}
				if s := p.server.m.State(); s.CurveID != 0 || string(s.PSKIdentity) != "a" {
					t.Errorf("%+v", s)
				}
			})
		}
	})
}

// TestMissingShare: a client takes a ServerHello without key_share only with the
// option, and only beside pre_shared_key.
//
// RFC 9846 4.3.9 [8]
func TestMissingShare(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, allowed := range []bool{false, true} {
			for _, selected := range []bool{false, true} {
				client, server := pskOnlyConfigs()
				server.CurvePreferences = client.CurvePreferences
				client.PSKOrCertificate, client.InsecureAllowPSKOnly = true, allowed
				p := begin(t, transport, client, server)
				p.client.work()
				p.server.take(p.server.pop())
				p.client.take(editServerHello(t, p.client.pop(), func(_ *message.ServerHello, x *extensionList) {
					x.drop(protocol.ExtKeyShare)
					if !selected {
						x.drop(protocol.ExtPreSharedKey)
					}
				}))
				if allowed && selected {
					if p.client.err != nil {
						t.Error(p.client.err) // what comes next won't open
					}
					continue
				}
				p.client.expectRefused(t, alert.MissingExtension)
				if !errors.Is(p.client.err, alert.MissingKeyShare) {
					t.Error(p.client.err)
				}
			}
		}
	})
}

// TestPSKOnlyCookie: a cookie of a server that would do without a group comes back
// to one that has the cookie's key and another Config.
func TestPSKOnlyCookie(t *testing.T) {
	client, server := pskOnlyConfigs()
	p := begin(t, protocol.Datagram, client, server)
	p.client.work()
	p.greet(t, 1)
	another := *server
	another.InsecureAllowPSKOnly, another.CurvePreferences = false, client.CurvePreferences
	p.server.m.given, p.server.m.config = &another, &another
	p.run()
	p.server.expectRefused(t, alert.HandshakeFailure)
	if !errors.Is(p.server.err, alert.NoCommonGroup) {
		t.Error(p.server.err)
	}
}
