package interop

import (
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// TestResume connects twice: the second time the session of the first is
// resumed. That crypto/tls and the library resume each other's sessions is
// tested beside the library.
func TestResume(t *testing.T) {
	for _, protocol := range protocols {
		for _, pair := range pairings(protocol) {
			r := row{
				protocol: protocol, server: pair[0], client: pair[1],
				suite: peer.Suites(protocol, pki.ECDSA)[0], kind: pki.ECDSA,
			}
			if is[peer.CryptoTLS](r.server) || is[peer.CryptoTLS](r.client) {
				continue
			}
			t.Run(r.String(), func(t *testing.T) {
				t.Parallel()
				server, client := r.settings()
				server.Resume, client.Resume = true, true
				p := converse(t, r.server, server, r.client, client)
				ours := p.client
				if isGodwit(r.server) {
					ours = p.server
				}
				if !ours.Established || !ours.Resumed || !p.client.Resumed || !p.client.Echoed {
					t.Errorf("established %v, resumed %v, the client says %v, echoed %v\n%v",
						ours.Established, ours.Resumed, p.client.Resumed, p.client.Echoed, p)
				}
				if ours.Version != string(protocol) || ours.Cipher != r.suite {
					t.Errorf("%s with %s, expected %s\n%v", ours.Version, ours.Cipher, r.suite, p)
				}
			})
		}
	}
}
