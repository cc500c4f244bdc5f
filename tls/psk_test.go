package tls

import (
	"crypto/tls"
	"testing"
)

// TestPSKOnly: a PSK without a key exchange, for want of a group in common: an
// external key first, then its session, with 0-RTT.
func TestPSKOnly(t *testing.T) {
	client, server := configs(VersionTLS13)
	server.Certificates = nil
	client.Credentials = []Credential{{PSK: &ExternalPSK{Identity: []byte("sensor"), Key: []byte("sixteen bytes or")}}}
	server.Credentials = client.Credentials
	client.CurvePreferences, server.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256}
	client.InsecureAllowPSKOnly, server.InsecureAllowPSKOnly = true, true
	client.ClientSessionCache = NewLRUClientSessionCache(0)
	client.EarlyData, server.EarlyData = true, true
	for n := range 3 {
		p := newPair(t, client, server)
		if early := p.begin(t, "early"); (early > 0) != (n > 0) {
			t.Fatalf("connection %d: %d bytes of early data", n, early)
		}
		if clientErr, serverErr := p.connect(); clientErr != nil || serverErr != nil {
			t.Fatal(clientErr, serverErr)
		}
		if n > 0 {
			if got := string(readAll(p.server)); got != "early" {
				t.Errorf("connection %d: early data %q", n, got)
			}
		}
		p.exchange(t)
		for _, e := range []*Engine{p.client, p.server} {
			if s := e.State(); s.CurveID != 0 || s.DidResume != (n > 0) || s.HelloRetryRequest || string(s.PSKIdentity) != "sensor" {
				t.Errorf("connection %d: %+v", n, s)
			}
		}
	}
}
