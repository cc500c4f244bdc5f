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
func TestKeyShares(t *testing.T) {
	groups := []tls.CurveID{tls.X25519, tls.X25519MLKEM768, tls.CurveP256}
	for name, test := range map[string]struct {
		shares, want []tls.CurveID
		group        tls.CurveID
		retried      bool
	}{
		"by default":        {nil, []tls.CurveID{tls.X25519, tls.X25519MLKEM768}, tls.X25519, false},
		"one":               {[]tls.CurveID{tls.CurveP256}, []tls.CurveID{tls.CurveP256}, tls.CurveP256, false},
		"in another order":  {[]tls.CurveID{tls.CurveP256, tls.X25519}, []tls.CurveID{tls.X25519, tls.CurveP256}, tls.X25519, false},
		"one twice":         {[]tls.CurveID{tls.X25519, tls.X25519}, []tls.CurveID{tls.X25519}, tls.X25519, false},
		"none":              {[]tls.CurveID{}, nil, tls.X25519, true},
		"not the server's":  {[]tls.CurveID{tls.X25519MLKEM768}, []tls.CurveID{tls.X25519MLKEM768}, tls.X25519, true},
		"two of the hybrid": {[]tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}, []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}, tls.CurveP256, false},
	} {
		eachTransport(t, func(t *testing.T, transport protocol.Transport) {
			client, server := configs(protocol.VersionTLS13)
			client.CurvePreferences, client.KeyShares = groups, test.shares
			server.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
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
	client, _ := configs(0)
	client.CurvePreferences, client.KeyShares = groups, []tls.CurveID{tls.CurveP384}
	if field := (*ConfigError)(nil); !errors.As(client.Validate(Client, protocol.Stream), &field) || field.Field != "KeyShares" {
		t.Error(field)
	}
}
