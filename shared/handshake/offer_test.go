package handshake

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// TestServerNameAcknowledged: in a full handshake whose server uses the name, and
// in no other (RFC 6066 3).
//
// RFC 9846 4.3 [3]
func TestServerNameAcknowledged(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, ignored := range []bool{false, true} {
			client, server, _ := resumingConfigs()
			client.MinVersion, client.MaxVersion, server.MinVersion, server.MaxVersion = uint16(v), uint16(v), uint16(v), uint16(v)
			server.IgnoreServerName = ignored
			server.Certificates = []tls.Certificate{issue("other.example", &testPKI().root, newKey(p256)), testPKI().leaf[p256]}
			if ignored {
				slices.Reverse(server.Certificates) // whatever the name, the first
			}
			for n := range 2 {
				p := begin(t, transport, client, server)
				acknowledged := false
				p.onWay = func(_ *peer, m Message) []Message {
					var in message.ServerHello
					var encrypted message.EncryptedExtensions
					block := message.Extensions(nil)
					switch {
					case m.Type == protocol.EncryptedExtensions && encrypted.Parse(m.Body) == nil:
						block = encrypted.Extensions
					case m.Type == protocol.ServerHello && in.Parse(m.Body) == nil:
						block = in.Extensions
					}
					if _, found := block.Find(protocol.ExtServerName); found {
						acknowledged = true
					}
					return []Message{m}
				}
				p.run().expectAgreement(t)
				if want := n == 0 && !ignored; acknowledged != want {
					t.Errorf("connection %d, ignored %v: acknowledged: %v", n, ignored, acknowledged)
				}
				if s := p.server.m.State(); s.ServerName != testName || s.DidResume != (n == 1) {
					t.Errorf("connection %d: name %q, resumed %v", n, s.ServerName, s.DidResume)
				}
			}
		}
	})
}

// TestProtocolByCallback: GetConfigForClient chooses the ALPN protocol, goes on
// without, or refuses.
func TestProtocolByCallback(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for name, test := range map[string]struct {
			protocols []string
			err       error
			want      string
			alert     alert.Alert
		}{
			"chosen":  {[]string{"b"}, nil, "b", alert.CloseNotify},
			"without": {nil, nil, "", alert.CloseNotify},
			"refused": {nil, fmt.Errorf("no: %w", alert.Peerf(alert.NoApplicationProtocol, "%w", alert.NoCommonProtocol)), "", alert.NoApplicationProtocol},
			"empty":   {[]string{""}, nil, "", alert.InternalError},
		} {
			client, server := configs(v)
			client.NextProtos = []string{"a", "b"}
			server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*Config, error) {
				if !slices.Equal(hello.SupportedProtos, client.NextProtos) {
					t.Errorf("%s: the callback sees %q", name, hello.SupportedProtos)
				}
				c := *server
				c.NextProtos, c.GetConfigForClient = test.protocols, nil
				return &c, test.err
			}
			p := begin(t, transport, client, server).run()
			if test.alert != alert.CloseNotify {
				p.server.expectRefused(t, test.alert)
				continue
			}
			p.expectAgreement(t)
			if got := p.client.m.State().NegotiatedProtocol; got != test.want {
				t.Errorf("%s: %q", name, got)
			}
		}
	})
}

// TestUnknownProtocol: a client takes an ALPN protocol that it did not offer only
// by option, and one without any offer never.
func TestUnknownProtocol(t *testing.T) {
	chosen := appended(func(b *wire.Builder) { message.AppendALPN(b, []string{"z"}) })
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, test := range []struct {
			offered []string
			allowed bool
			want    alert.Alert
		}{
			{[]string{"a"}, false, alert.IllegalParameter},
			{[]string{"a"}, true, alert.CloseNotify},
			{nil, true, alert.UnsupportedExtension},
		} {
			client, server := configs(protocol.VersionTLS12)
			client.NextProtos, client.AllowUnknownProtocol = test.offered, test.allowed
			p := begin(t, transport, client, server)
			p.next(p.server)
			p.client.take(editServerHello(t, p.client.pop(), func(_ *message.ServerHello, x *extensionList) { x.set(protocol.ExtALPN, chosen) }))
			if test.want != alert.CloseNotify {
				p.client.expectRefused(t, test.want)
				if test.want == alert.IllegalParameter && !errors.Is(p.client.err, alert.UnknownProtocol) {
					t.Error(p.client.err)
				}
			} else if p.client.err != nil || p.client.m.State().NegotiatedProtocol != "z" {
				t.Error(p.client.err)
			}
		}
	})
}

// TestKeyShares: a client sends shares of the groups that its Config says, in the
// order of supported_groups.
//
// RFC 9846 4.3.8 [1, 4, 5]
func TestKeyShares(t *testing.T) {
	groups := []tls.CurveID{tls.X25519, tls.X25519MLKEM768, tls.CurveP256}
	for name, test := range map[string]struct {
		shares, want []tls.CurveID
		group        tls.CurveID
		retried      bool
	}{
		"by default":        {nil, []tls.CurveID{tls.X25519, tls.X25519MLKEM768}, tls.X25519, false},
		"one":               {[]tls.CurveID{tls.CurveP256}, []tls.CurveID{tls.CurveP256}, tls.X25519, true},
		"in another order":  {[]tls.CurveID{tls.CurveP256, tls.X25519}, []tls.CurveID{tls.X25519, tls.CurveP256}, tls.X25519, false},
		"one twice":         {[]tls.CurveID{tls.X25519, tls.X25519}, []tls.CurveID{tls.X25519}, tls.X25519, false},
		"none":              {[]tls.CurveID{}, nil, tls.X25519, true},
		"not the server's":  {[]tls.CurveID{tls.X25519MLKEM768}, []tls.CurveID{tls.X25519MLKEM768}, tls.X25519, true},
		"two of the hybrid": {[]tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}, []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}, tls.X25519, true},
	} {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			client, server := configs(protocol.VersionTLS13)
			client.CurvePreferences, client.KeyShares = groups, test.shares
			server.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} // it insists on X25519
			p := begin(t, transport, client, server)
			body, found := parseHello(t, p.server.inbox[0], transport).Extensions.Find(protocol.ExtKeyShare)
			shares, err := message.ParseKeyShares(body)
			if !found || err != nil {
				t.Fatalf("%s: no key_share: %v", name, err)
			}
			var sent []tls.CurveID
			for group := range shares.All() {
				sent = append(sent, tls.CurveID(group))
			}
			if !slices.Equal(sent, test.want) {
				t.Errorf("%s: shares of %v, expected %v", name, sent, test.want)
			}
			p.run().expectAgreement(t)
			if s := p.client.m.State(); s.CurveID != test.group || s.HelloRetryRequest != test.retried {
				t.Errorf("%s: group %v, retried %v", name, s.CurveID, s.HelloRetryRequest)
			}
		})
	}
	for name, test := range map[string]struct{ hint, shares, want []tls.CurveID }{
		"a hint, in our order":        {[]tls.CurveID{tls.CurveP256, tls.X25519MLKEM768}, nil, []tls.CurveID{tls.X25519MLKEM768}},
		"a hint before KeyShares":     {[]tls.CurveID{4711, tls.CurveP256}, []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256}},
		"a hint before no KeyShares":  {[]tls.CurveID{tls.CurveP256}, []tls.CurveID{}, []tls.CurveID{tls.CurveP256}},
		"a hint that doesn't help":    {[]tls.CurveID{tls.CurveP384}, []tls.CurveID{tls.CurveP256}, []tls.CurveID{tls.CurveP256}},
		"nor where there are none":    {[]tls.CurveID{tls.CurveP384}, []tls.CurveID{}, nil},
		"nor where there is no other": {[]tls.CurveID{tls.CurveP384}, nil, []tls.CurveID{tls.X25519, tls.X25519MLKEM768}},
	} {
		c := &Config{CurvePreferences: groups, KeyShares: test.shares, ServerGroupsHint: test.hint}
		if got := c.shareGroups(); !slices.Equal(got, test.want) {
			t.Errorf("%s: shares of %v, expected %v", name, got, test.want)
		}
	}
	client, _ := configs(0)
	client.CurvePreferences, client.KeyShares = groups, []tls.CurveID{tls.CurveP384}
	if field := (*ConfigError)(nil); !errors.As(client.Validate(Client, protocol.Stream), &field) || field.Field != "KeyShares" {
		t.Error(field)
	}
}

// TestSecureRenegotiation: both sides tell whether the other signals RFC 5746, and
// refuse who doesn't by option.
func TestSecureRenegotiation(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		client.RequireSecureRenegotiation, server.RequireSecureRenegotiation = true, true
		p := complete(t, transport, client, server)
		if !p.client.m.State().SecureRenegotiation || !p.server.m.State().SecureRenegotiation {
			t.Error("it is not told")
		}
		if v.Is13() {
			return
		}
		for _, required := range []bool{true, false} {
			client.RequireSecureRenegotiation, server.RequireSecureRenegotiation = required, required
			p := begin(t, transport, client, server)
			p.server.take(editClientHello(t, transport, p.server.pop(), without(protocol.ExtRenegotiationInfo)))
			if required {
				p.server.expectRefused(t, alert.HandshakeFailure)
			} else if p.server.err != nil || p.server.m.State().SecureRenegotiation {
				t.Error("server:", p.server.err)
			}
			p = begin(t, transport, client, server)
			p.next(p.server)
			p.client.take(editServerHello(t, p.client.pop(), drop(protocol.ExtRenegotiationInfo)))
			if required {
				p.client.expectRefused(t, alert.HandshakeFailure)
				if !errors.Is(p.client.err, alert.NoSecureRenegotiation) {
					t.Error(p.client.err)
				}
			} else if p.client.err != nil || p.client.m.State().SecureRenegotiation {
				t.Error("client:", p.client.err)
			}
		}
	})
}

// TestSendFallbackSCSV: a server that has more than the client now asks for says
// so (RFC 7507 3).
func TestSendFallbackSCSV(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(0)
		client.SendFallbackSCSV = true
		complete(t, transport, client, server) // nothing was lost
		client.MaxVersion = uint16(protocol.VersionTLS12)
		p := begin(t, transport, client, server).run()
		p.server.expectRefused(t, alert.InappropriateFallback)
		server.MaxVersion = client.MaxVersion
		complete(t, transport, client, server)
	})
}

// TestTLSUnique: the Finished that comes first, known to both (RFC 5929 3.1).
func TestTLSUnique(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server, _ := resumingConfigs()
		client.MinVersion, client.MaxVersion, server.MinVersion, server.MaxVersion = uint16(v), uint16(v), uint16(v), uint16(v)
		for _, first := range []Role{Client, Server} {
			p := complete(t, transport, client, server) // and they are the same on both sides
			got := p.client.m.State().TLSUnique
			if v.Is13() {
				if got != nil {
					t.Error("1.3 has none")
				}
				continue
			}
			by := p.client
			if first == Server {
				by = p.server
			}
			finished := slices.IndexFunc(by.sent, func(m Message) bool { return m.Type == protocol.Finished })
			if !slices.Equal(got, by.sent[finished].Body) || len(got) != 12 {
				t.Errorf("%x is not the Finished of the %v", got, first)
			}
		}
	})
	// Without extended_master_secret a resumed session has none (RFC 7627 6.3).
	client, server, _ := resumingConfigs12()
	client.MaxVersion = uint16(protocol.VersionTLS12)
	client.InsecureAllowMissingEMS, server.InsecureAllowMissingEMS = true, true
	for n := range 2 {
		p := newPair(t, protocol.Stream, client, server)
		p.client.edit = disguiseEMS
		p.client.fail(p.client.m.Start(testTime))
		p.run().expectAgreement(t)
		if got := p.client.m.State().TLSUnique; (got != nil) != (n == 0) || p.client.m.State().DidResume != (n == 1) {
			t.Errorf("connection %d: %x", n, got)
		}
	}
}
