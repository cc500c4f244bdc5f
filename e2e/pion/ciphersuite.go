package dtls

import (
	"crypto/tls"
	"fmt"
	"slices"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// VersionDTLS12 is DTLS 1.2 on the wire. What godwit has more is 1.3, 0xfefc.
const VersionDTLS12 = 0xfefd

// A CipherSuiteID is a cipher suite, as IANA numbers them.
type CipherSuiteID uint16

// The suites of 1.2. Two that Pion has are unknown to godwit, as nobody should use
// them any more: TLS_PSK_WITH_AES_128_CBC_SHA256 and TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256.
const (
	TLS_ECDHE_ECDSA_WITH_AES_128_CCM   = CipherSuiteID(godwit.TLS_ECDHE_ECDSA_WITH_AES_128_CCM)
	TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 = CipherSuiteID(godwit.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8)

	TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = CipherSuiteID(godwit.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256   = CipherSuiteID(godwit.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)
	TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 = CipherSuiteID(godwit.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)
	TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384   = CipherSuiteID(godwit.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)

	// Used only if they are named: see the warning at godwit's Config.CipherSuites.
	TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA = CipherSuiteID(godwit.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA)
	TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA   = CipherSuiteID(godwit.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA)

	TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = CipherSuiteID(godwit.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256)
	TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   = CipherSuiteID(godwit.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)

	TLS_PSK_WITH_AES_128_CCM                    = CipherSuiteID(godwit.TLS_PSK_WITH_AES_128_CCM)
	TLS_PSK_WITH_AES_128_CCM_8                  = CipherSuiteID(godwit.TLS_PSK_WITH_AES_128_CCM_8)
	TLS_PSK_WITH_AES_256_CCM_8                  = CipherSuiteID(godwit.TLS_PSK_WITH_AES_256_CCM_8)
	TLS_PSK_WITH_AES_128_GCM_SHA256             = CipherSuiteID(godwit.TLS_PSK_WITH_AES_128_GCM_SHA256)
	TLS_PSK_WITH_CHACHA20_POLY1305_SHA256       = CipherSuiteID(godwit.TLS_PSK_WITH_CHACHA20_POLY1305_SHA256)
	TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256 = CipherSuiteID(godwit.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256)
)

// The suites of 1.3, which are on whatever suites of 1.2 are named.
const (
	TLS_AES_128_GCM_SHA256       = CipherSuiteID(godwit.TLS_AES_128_GCM_SHA256)
	TLS_AES_256_GCM_SHA384       = CipherSuiteID(godwit.TLS_AES_256_GCM_SHA384)
	TLS_CHACHA20_POLY1305_SHA256 = CipherSuiteID(godwit.TLS_CHACHA20_POLY1305_SHA256)
	TLS_AES_128_CCM_SHA256       = CipherSuiteID(godwit.TLS_AES_128_CCM_SHA256)
)

// String is the suite's name.
func (id CipherSuiteID) String() string { return CipherSuiteName(id) }

// CipherSuiteName is a suite's name, or its number if godwit doesn't have it.
func CipherSuiteName(id CipherSuiteID) string {
	for _, s := range slices.Concat(CipherSuites(), InsecureCipherSuites()) {
		if s.ID == uint16(id) {
			return s.Name
		}
	}
	return fmt.Sprintf("0x%04X", uint16(id))
}

// CipherSuites are the suites of both versions that are on by default.
func CipherSuites() []*tls.CipherSuite { return godwit.CipherSuites() }

// InsecureCipherSuites are those that are used only if they are named.
func InsecureCipherSuites() []*tls.CipherSuite { return godwit.InsecureCipherSuites() }

// A CipherSuite stands for one of the application's own, which godwit doesn't take.
type CipherSuite interface {
	String() string
	ID() CipherSuiteID
}
