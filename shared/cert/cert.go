// Package cert chooses certificates and signature schemes, signs handshakes,
// and verifies the peer's signatures and chains. It knows no message and no
// cipher suite; certificates and schemes are crypto/tls's types.
//
// Packages below shared carry no compatibility promise of their own; what dtls
// and tls alias from them is covered by theirs.
package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// A Kind is the family of a public key. The ECDHE_ECDSA suites of 1.2 take
// ECDSA and Ed25519 (RFC 8422 2.2), the ECDHE_RSA suites take RSA.
type Kind uint8

const (
	Unsupported Kind = iota
	ECDSA            // on P-256, P-384 or P-521
	Ed25519
	RSA // under the OID rsaEncryption or RSASSA-PSS
)

// KindOf returns the family of a public key; nil and what cannot sign a
// handshake is Unsupported.
func KindOf(public crypto.PublicKey) Kind {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return ECDSA
		}
	case ed25519.PublicKey:
		return Ed25519
	case *rsa.PublicKey, *PSSPublicKey:
		return RSA
	}
	return Unsupported
}

// describe names a key in an error.
func describe(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ECDSA key on %s", key.Curve.Params().Name)
	case ed25519.PublicKey:
		return "Ed25519 key"
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA key of %d bits", key.N.BitLen())
	case *PSSPublicKey:
		return fmt.Sprintf("RSASSA-PSS key of %d bits", key.RSA.N.BitLen())
	}
	return fmt.Sprintf("key of type %T", public)
}

// Leaf returns c.Leaf, or parses the first certificate of c.
func Leaf(c *tls.Certificate) (*x509.Certificate, error) {
	if c.Leaf != nil {
		return c.Leaf, nil
	}
	if len(c.Certificate) == 0 {
		return nil, alert.Localf(alert.HandshakeFailure, "our tls.Certificate holds no certificate")
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil, alert.Localf(alert.HandshakeFailure, "our certificate can't be parsed: %w", err)
	}
	return leaf, nil
}

// CheckKey reports a private key that is not the leaf's: its signatures would
// only fail at the peer.
func CheckKey(c *tls.Certificate) error {
	leaf, err := Leaf(c)
	if err != nil {
		return err
	}
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return alert.Localf(alert.HandshakeFailure, "our private key must be a crypto.Signer, but is %T", c.PrivateKey)
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if ok && !public.Equal(signer.Public()) {
		return alert.Localf(alert.HandshakeFailure, "our private key is not that of our certificate, %s", leaf.Subject)
	}
	return nil
}

// Match selects among the configured certificates as crypto/tls does: the first
// that fits and is valid for serverName, or else the first that fits. fits says
// why a certificate can't serve this peer, which is Choose's error in 1.3; in
// 1.2 a suite on offer must take the key's Kind, too. serverName is empty if the
// peer named none.
//
// If none fits, the error is that of the first.
func Match(certs []tls.Certificate, serverName string, fits func(*tls.Certificate) error) (*tls.Certificate, error) {
	if len(certs) == 0 {
		return nil, alert.Localf(alert.HandshakeFailure, "no certificate is configured")
	}
	var fallback *tls.Certificate
	var reason error
	for i := range certs {
		c := &certs[i]
		if err := fits(c); err != nil {
			if reason == nil {
				reason = err
			}
			continue
		}
		if serverName == "" {
			return c, nil
		}
		if leaf, err := Leaf(c); err == nil && leaf.VerifyHostname(serverName) == nil {
			return c, nil
		}
		if fallback == nil {
			fallback = c
		}
	}
	if fallback == nil {
		return nil, reason
	}
	return fallback, nil
}
