package dtls

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/tls"
	"errors"
	"testing"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Hidden is for the tests of Listeners.
var Hidden = hidden

// hidden gives a server a key for Encrypted Client Hello, and a client what
// belongs to it.
func hidden(t testing.TB) func(client, server *Config) {
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	var config, list wire.Builder
	config.Uint16(0xfe0d)
	config.Vector16(func() {
		config.Uint8(1)
		config.Uint16(0x20)
		config.Bytes16(private.PublicKey().Bytes())
		config.Bytes16([]byte{0, 1, 0, 1})
		config.Uint8(64)
		config.Bytes8([]byte("public.example"))
		config.Bytes16(nil)
	})
	key := tls.EncryptedClientHelloKey{SendAsRetry: true}
	key.Config, _ = config.Bytes()
	key.PrivateKey, _ = private.Bytes()
	list.Bytes16(key.Config)
	return func(client, server *Config) {
		client.EncryptedClientHelloConfigList, _ = list.Bytes()
		server.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{key}
	}
}

func TestECH(t *testing.T) {
	for _, c := range []setting{
		{"plain", func(client, server *Config) {}},
		{"HelloRetryRequest", retry},
		{"client authentication", clientAuth},
		{"ML-KEM and small datagrams", together(hybrid, mtu(handshake.MinMTU))},
		{"client with 1.2", func(client, _ *Config) { client.MinVersion = VersionDTLS12 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change, hidden(t))
			s := established(t, client, server)
			for _, d := range []*side{s.client, s.server} {
				if state := d.State(); !state.ECHAccepted || state.ServerName != "leaf.example" {
					t.Errorf("the %s has %+v", d.name, state)
				}
			}
			for mask := 0; mask < 1<<6; mask += stride(5) { // lost once
				s := simulate(t, 0, client, server, fated(losing(func(p *parcel) bool { return p.index < 6 && mask>>p.index&1 != 0 })))
				s.settle()
				s.exchange()
			}
		})
	}
}

// A server of 1.2 rejects what it doesn't know. The client's hellos before and
// after HelloVerifyRequest are the same but for the cookie.
func TestECHRejectedBy12(t *testing.T) {
	client, server := with(hidden(t), func(client, server *Config) {
		server.MaxVersion, server.EncryptedClientHelloKeys = VersionDTLS12, nil
		client.EncryptedClientHelloRejectionVerify = func(ConnectionState) error { return nil }
	})
	s := simulate(t, 0, client, server)
	err := s.run(s.open)
	var rejection *tls.ECHRejectionError
	if !errors.As(err, &rejection) || rejection.RetryConfigList != nil {
		t.Errorf("%v, %+v", err, rejection)
	}
}
