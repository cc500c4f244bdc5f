package interop

import (
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// TestCCM goes over the suites of CCM with certificates; TestPSK has the others.
func TestCCM(t *testing.T) {
	for _, protocol := range protocols {
		for _, pair := range pairings(protocol) {
			if is[peer.CryptoTLS](pair[0]) || is[peer.CryptoTLS](pair[1]) {
				continue // it has none
			}
			for _, suite := range peer.CCMSuites(protocol) {
				r := row{
					protocol: protocol, server: pair[0], client: pair[1],
					suite: suite, kind: pki.ECDSA, verify: true,
				}
				t.Run(r.String(), func(t *testing.T) {
					t.Parallel()
					r.talk(t)
				})
			}
		}
	}
}
