package interop

import (
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
)

// TestPSK holds conversations with a pre-shared key and no certificates, over
// every suite and with every hint.
func TestPSK(t *testing.T) {
	for _, protocol := range protocols {
		for _, pair := range pairings(protocol) {
			server, client := pair[0], pair[1]
			if is[peer.CryptoTLS](server) || is[peer.CryptoTLS](client) {
				continue // it has none
			}
			for i, suite := range peer.PSKSuites(protocol) {
				if is[peer.GnuTLS](client) && strings.Contains(suite, "ECDHE_PSK") {
					continue // gnutls-cli crashes as it prints the group, with gnutls-serv too
				}
				r := row{protocol: protocol, server: server, client: client, suite: suite}
				t.Run(r.String(), func(t *testing.T) {
					t.Parallel()
					key := &peer.PSK{Identity: "curlew", Key: "000102030405060708090a0b0c0d0e0f"}
					if i%2 == 0 {
						key.Hint = "waders"
					}
					both := peer.Settings{Min: protocol, Max: protocol, Suites: []string{suite}, PSK: key}
					p := converse(t, server, both, client, both)
					if !p.server.Established || !p.client.Established || !p.client.Echoed {
						t.Fatalf("server established: %v, client established: %v, echoed: %v\n%v",
							p.server.Established, p.client.Established, p.client.Echoed, p)
					}
					for peer, report := range map[peer.Peer]peer.Report{server: p.server, client: p.client} {
						if isGodwit(peer) && (report.PSKIdentity != key.Identity || report.Cipher != suite || report.Version != string(protocol)) {
							t.Errorf("godwit reports %q, %s, %s\n%v", report.PSKIdentity, report.Cipher, report.Version, p)
						}
					}
					if a, b := p.server.Exporter, p.client.Exporter; a != b && a != "" && b != "" {
						t.Errorf("the exporters differ: %s and %s", a, b)
					}
				})
			}
		}
	}
}

// TestWrongPSK: a key that the peers don't share ends the handshake.
func TestWrongPSK(t *testing.T) {
	for _, protocol := range []peer.Protocol{peer.TLS12, peer.TLS13} { // over datagrams it is just lost
		for _, pair := range pairings(protocol) {
			if is[peer.CryptoTLS](pair[0]) || is[peer.CryptoTLS](pair[1]) || is[peer.GnuTLS](pair[0]) || is[peer.GnuTLS](pair[1]) {
				continue
			}
			r := row{protocol: protocol, server: pair[0], client: pair[1], suite: peer.PSKSuites(protocol)[0]}
			t.Run(r.String(), func(t *testing.T) {
				t.Parallel()
				server := peer.Settings{Min: protocol, Max: protocol, Suites: []string{r.suite},
					PSK: &peer.PSK{Identity: "curlew", Key: "000102030405060708090a0b0c0d0e0f"}}
				client := server
				client.PSK = &peer.PSK{Identity: "curlew", Key: "ff"}
				client.Mute = true
				listening := r.server.Serve(t, server)
				report := r.client.Connect(t, client, listening.Address()).Report()
				if report.Established && isGodwit(r.client) {
					t.Errorf("the client is content: %v", report.Output)
				}
			})
		}
	}
}
