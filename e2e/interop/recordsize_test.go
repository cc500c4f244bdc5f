package interop

import (
	"fmt"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// TestRecordSizes holds conversations whose records have to be small: certificates
// are longer than any of them. godwit reports what the other side takes.
func TestRecordSizes(t *testing.T) {
	const most, all = 512, 1 << 14
	for _, protocol := range protocols {
		for _, pair := range pairings(protocol) {
			server, client := pair[0], pair[1]
			if is[peer.CryptoTLS](server) || is[peer.CryptoTLS](client) {
				continue // it has neither
			}
			limit := func(of peer.Peer) int {
				if isGodwit(of) && protocol.Number() == "1.3" {
					return most - 1 // it means what is on the wire, where the content type counts
				}
				return most
			}
			for _, test := range []struct {
				name           string
				server, client peer.Settings // Fragment and Record of them
				want           [2]int        // what server and client report, if they are godwit
			}{
				{"max_fragment_length", peer.Settings{}, peer.Settings{Fragment: most}, [2]int{most, most}},
				{"record_size_limit", peer.Settings{}, peer.Settings{Record: most}, [2]int{limit(client), all}},
				{"record_size_limit of both", peer.Settings{Record: most}, peer.Settings{Record: most}, [2]int{limit(client), limit(server)}},
			} {
				known := is[peer.OpenSSL] // has max_fragment_length alone
				if test.client.Fragment != 0 {
					known = is[peer.GnuTLS] // of its programs, none asks for that alone
				}
				if known(client) || test.client.Fragment == 0 && known(server) {
					continue
				}
				r := row{protocol: protocol, server: server, client: client, suite: peer.Suites(protocol, pki.ECDSA)[0], kind: pki.ECDSA, verify: true}
				t.Run(fmt.Sprintf("%v/%s", r, test.name), func(t *testing.T) {
					t.Parallel()
					serves, connects := r.settings()
					serves.Record = test.server.Record
					connects.Record, connects.Fragment = test.client.Record, test.client.Fragment
					p := converse(t, server, serves, client, connects)
					r.check(t, p)
					if isGodwit(server) && p.server.MaxPlaintext != test.want[0] || isGodwit(client) && p.client.MaxPlaintext != test.want[1] {
						t.Errorf("the server may send %d bytes, the client %d\n%v", p.server.MaxPlaintext, p.client.MaxPlaintext, p)
					}
				})
			}
		}
	}
}
