package interop

import (
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// TestStaple sends an OCSP response with the server's certificate, to clients
// that ask for one and to those that don't. GnuTLS's and crypto/tls's always do.
func TestStaple(t *testing.T) {
	for _, protocol := range protocols {
		for _, pair := range pairings(protocol) {
			r := row{
				protocol: protocol, server: pair[0], client: pair[1],
				suite: peer.Suites(protocol, pki.ECDSA)[0], kind: pki.ECDSA,
			}
			asks := map[string]bool{"asked for": true, "not asked for": false}
			if is[peer.GnuTLS](r.client) || is[peer.CryptoTLS](r.client) {
				delete(asks, "not asked for")
			}
			for name, ask := range asks {
				t.Run(r.String()+"/"+name, func(t *testing.T) {
					t.Parallel()
					server, client := r.settings()
					server.Staple, client.Staple = true, ask
					p := converse(t, r.server, server, r.client, client)
					r.check(t, p)
					want := ""
					if ask {
						want = "good"
					}
					if p.client.Staple != want || p.server.Staple != "" {
						t.Errorf("the client got the status %q, expected %q; the server got %q\n%v", p.client.Staple, want, p.server.Staple, p)
					}
				})
			}
		}
	}
}
