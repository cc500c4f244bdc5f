package dtls

import (
	"crypto/tls"
	"time"

	"github.com/godwit-dtls/godwit/shared/cert"
)

// SelfSigned makes a fresh certificate that is its own root, for peers that compare
// fingerprints, as in WebRTC: P-256, for servers and clients, a random serial number,
// valid from an hour ago for 30 days. A name is a host name or an IP address; there
// need be none.
func SelfSigned(names ...string) (tls.Certificate, error) {
	return cert.SelfSigned(time.Now(), names...)
}
