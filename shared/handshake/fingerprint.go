package handshake

import (
	"crypto/tls"

	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A peer may be known by its certificate's fingerprint, which came over a channel
// that is trusted (RFC 8122, RFC 8827 6.5), instead of by roots and a name: see
// buildChains. Whatever else a Config says, nothing turns that off.

// clientAuth is a server's policy for client certificates. Fingerprints would say
// nothing of a client that need not show any.
func (c *Config) clientAuth() tls.ClientAuthType {
	if len(c.PeerFingerprints) > 0 {
		return tls.RequireAnyClientCert
	}
	return c.ClientAuth
}

func (c *Config) requiresClientCert() bool {
	auth := c.clientAuth()
	return auth == tls.RequireAnyClientCert || auth == tls.RequireAndVerifyClientCert
}

// verifiesName reports whether a client can't do without a name.
//
// RFC 9846 C.5 [1]
func (c *Config) verifiesName() bool {
	return !c.InsecureSkipVerify && len(c.PeerFingerprints) == 0 && !c.needsPSK() && c.takes(protocol.X509)
}

// validateFingerprints also refuses what PeerFingerprints would stand in the place
// of: whoever wants both would not notice that only one of them counts.
func (c *Config) validateFingerprints(role Role) error {
	if len(c.PeerFingerprints) == 0 {
		return nil
	}
	_, err := cert.ParseFingerprints(c.PeerFingerprints...)
	const both = "PeerFingerprints are there in their place; for both, compare the fingerprint in VerifyConnection"
	switch {
	case err != nil:
		return unusable("PeerFingerprints", "%w", err)
	case role == Client && c.RootCAs != nil:
		return unusable("RootCAs", both)
	case role == Server && c.ClientAuth >= tls.VerifyClientCertIfGiven:
		return unusable("ClientAuth", "%v wants roots; "+both, c.ClientAuth)
	}
	return nil
}
