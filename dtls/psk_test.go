package dtls_test

import (
	"crypto"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A Listener chooses the suite, and with it the hash, before the cookie: one that
// goes with the keys that the client offers and the server has.
func TestListenerWithPSK(t *testing.T) {
	key := func(use dtls.PSKUse, hash crypto.Hash) dtls.ExternalPSK {
		return dtls.ExternalPSK{Identity: []byte("sensor"), Key: []byte("sixteen bytes or"), Use: use, Hash: hash}
	}
	for name, test := range map[string]struct {
		key     dtls.ExternalPSK
		version uint16
		suite   uint16
	}{
		"imported":         {key(dtls.PSKImported, 0), dtls.VersionDTLS13, dtls.TLS_AES_128_GCM_SHA256},
		"direct":           {key(dtls.PSKDirect, 0), dtls.VersionDTLS13, dtls.TLS_AES_128_GCM_SHA256},
		"direct, SHA-384":  {key(dtls.PSKDirect, crypto.SHA384), dtls.VersionDTLS13, dtls.TLS_AES_256_GCM_SHA384},
		"in 1.2":           {key(dtls.PSKDirect12, 0), dtls.VersionDTLS12, dtls.TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256},
		"in 1.2, SHA-384 ": {key(dtls.PSKDirect12, crypto.SHA384), dtls.VersionDTLS12, dtls.TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256},
	} {
		for _, asked := range []string{"credential", "callback"} {
			t.Run(name+", "+asked, func(t *testing.T) {
				client := &dtls.Config{Credentials: []dtls.Credential{{PSK: &test.key}}}
				server := &dtls.Config{Credentials: client.Credentials}
				if asked == "callback" {
					server = &dtls.Config{GetPSK: func(identity []byte, _ dtls.ConnectionState) (*dtls.ExternalPSK, error) {
						if string(identity) != "sensor" {
							return nil, nil
						}
						return &test.key, nil
					}}
				}
				synctest.Test(t, func(t *testing.T) {
					l, link := serve(t, newLAN(), server)
					defer time.Sleep(time.Minute) // s may linger
					defer l.Close()
					c, s := join(t, l, link, client)
					defer s.Close()
					defer c.Close()
					send(t, c, s, "12 degrees")
					for _, state := range []dtls.ConnectionState{c.ConnectionState(), s.ConnectionState()} {
						if state.Version != test.version || state.CipherSuite != test.suite || string(state.PSKIdentity) != "sensor" {
							t.Errorf("version %x, suite %x, identity %q", state.Version, state.CipherSuite, state.PSKIdentity)
						}
					}
					if l.Stats().Challenges != 1 {
						t.Errorf("%d challenges", l.Stats().Challenges)
					}
				})
			})
		}
	}
}

// A Listener without a group in common lets clients in that use a PSK alone,
// behind a cookie: its HelloRetryRequest asks for no key_share.
func TestListenerWithPSKOnly(t *testing.T) {
	key := &dtls.ExternalPSK{Identity: []byte("sensor"), Key: []byte("sixteen bytes or")}
	client := &dtls.Config{Credentials: []dtls.Credential{{PSK: key}}}
	server := &dtls.Config{Credentials: client.Credentials}
	client.CurvePreferences, server.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256}
	client.InsecureAllowPSKOnly, server.InsecureAllowPSKOnly = true, true
	synctest.Test(t, func(t *testing.T) {
		l, link := serve(t, newLAN(), server)
		defer time.Sleep(time.Minute) // s may linger
		defer l.Close()
		c, s := join(t, l, link, client)
		defer s.Close()
		defer c.Close()
		send(t, c, s, "12 degrees")
		send(t, s, c, "colder than yesterday")
		for _, state := range []dtls.ConnectionState{c.ConnectionState(), s.ConnectionState()} {
			if state.CurveID != 0 || string(state.PSKIdentity) != "sensor" {
				t.Errorf("group %v, identity %q", state.CurveID, state.PSKIdentity)
			}
		}
	})
}
