package handshake

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// What isn't safe has to be asked for: by both sides.
func TestInsecureSuitesAreOffByDefault(t *testing.T) {
	insecure := InsecureCipherSuites()
	if len(insecure) == 0 || slices.ContainsFunc(CipherSuites(), func(s *tls.CipherSuite) bool { return s.Insecure || suite.ByID(s.ID).CBC != nil }) {
		t.Fatalf("%d suites are insecure, and one of the others is, too", len(insecure))
	}
	if got := len(CipherSuites()) + len(insecure); got != len(suite.Table) {
		t.Errorf("%d suites are listed of %d", got, len(suite.Table))
	}
	for _, config := range []*Config{{}, {CipherSuites: []uint16{suite.TLS_AES_128_GCM_SHA256}}} {
		for s := range config.suites(protocol.VersionTLS12) {
			if s.Insecure() {
				t.Errorf("%s is enabled without being named", s.Name)
			}
		}
	}
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, named := range []Role{Client, Server} {
			client, server := configs(protocol.VersionTLS12)
			config := client
			if named == Server {
				config = server
			}
			config.CipherSuites = []uint16{suite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
			p := begin(t, transport, client, server).run()
			p.server.expectRefused(t, alert.HandshakeFailure)
			if !errors.Is(p.server.err, alert.NoCommonSuite) {
				t.Errorf("%v has not the reason that no suite is in common", p.server.err)
			}
		}
	})
}
