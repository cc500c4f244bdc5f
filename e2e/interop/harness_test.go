package interop

import (
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// TestPeers lets the other implementations talk with each other. If it fails,
// the peers or this harness have changed, not godwit.
func TestPeers(t *testing.T) {
	for _, protocol := range protocols {
		for _, server := range peer.All() {
			for _, client := range peer.All() {
				if !server.Speaks(protocol) || !client.Speaks(protocol) || isGodwit(server) || isGodwit(client) {
					continue
				}
				for i, kind := range []pki.Kind{pki.ECDSA, pki.RSA, pki.Ed25519} {
					if !server.Certifies(protocol, kind) {
						continue
					}
					r := row{
						protocol: protocol, server: server, client: client,
						suite: peer.Suites(protocol, kind)[i], kind: kind, verify: true,
					}
					if server == client && protocol == peer.TLS13 {
						r.suite = peer.Suites(protocol, kind)[0] // crypto/tls chooses for itself
					}
					if protocol.Datagram() {
						r.mtu = small
					}
					t.Run(r.String(), func(t *testing.T) {
						t.Parallel()
						r.talk(t)
					})
				}
			}
		}
	}
}
