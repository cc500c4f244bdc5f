package handshake

import (
	"crypto/tls"

	"github.com/godwit-dtls/godwit/shared/suite"
)

// CipherSuites lists the suites that are used by default, most preferred first,
// as crypto/tls's function of that name does. SupportedVersions has TLS's
// numbers.
func CipherSuites() []*tls.CipherSuite {
	var all []*tls.CipherSuite
	for _, s := range suite.Table {
		if !s.Insecure() {
			all = append(all, describeSuite(s))
		}
	}
	return all
}

// InsecureCipherSuites lists those that are used only where Config.CipherSuites
// names them; see there for what is wrong with them.
func InsecureCipherSuites() []*tls.CipherSuite {
	var all []*tls.CipherSuite
	for _, s := range suite.Table {
		if s.Insecure() {
			all = append(all, describeSuite(s))
		}
	}
	return all
}

func describeSuite(s *suite.Suite) *tls.CipherSuite {
	return &tls.CipherSuite{ID: s.ID, Name: s.Name, SupportedVersions: []uint16{uint16(s.Version)}, Insecure: s.Insecure()}
}
