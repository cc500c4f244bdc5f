package interop

import (
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// TestRawKey shows the server's key without a certificate (RFC 7250), between
// godwit and GnuTLS: OpenSSL has it from 3.2 on, crypto/tls not at all.
func TestRawKey(t *testing.T) {
	for _, protocol := range protocols {
		for _, pair := range [][2]peer.Peer{{peer.Godwit{}, peer.GnuTLS{}}, {peer.GnuTLS{}, peer.Godwit{}}} {
			if !(peer.GnuTLS{}).Speaks(protocol) {
				continue
			}
			for _, kind := range []pki.Kind{pki.ECDSA, pki.RSA, pki.Ed25519} {
				r := row{protocol: protocol, server: pair[0], client: pair[1], suite: peer.Suites(protocol, kind)[0], kind: kind}
				t.Run(r.String(), func(t *testing.T) {
					t.Parallel()
					server, client := r.settings()
					server.Raw, client.Raw, client.Root = true, true, ""
					p := converse(t, r.server, server, r.client, client)
					if a, b := p.client.Exporter, p.server.Exporter; !p.client.Echoed || a == "" || b != "" && a != b {
						t.Fatal(p)
					}
					if got := p.client.Fingerprint; is[peer.Godwit](r.client) && got != server.Leaf.KeyPrint {
						t.Errorf("the client saw the key %s, expected %s", got, server.Leaf.KeyPrint)
					}
				})
			}
		}
	}
}
