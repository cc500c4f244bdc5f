// Package cert chooses certificates and signature schemes, signs handshakes,
// and verifies the peer's signatures and chains. It knows no message and no
// cipher suite; certificates and schemes are crypto/tls's types.
//
// Packages below shared carry no compatibility promise of their own; what dtls
// and tls alias from them is covered by theirs.
package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"

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

// Public returns the public half of a private key, which must be a
// crypto.Signer.
func Public(private crypto.PrivateKey) (crypto.PublicKey, error) {
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, alert.Localf(alert.HandshakeFailure, "our private key must be a crypto.Signer, but is %T", private)
	}
	return signer.Public(), nil
}

// CurveOf returns the group of 1.2 that an ECDSA key is on, and whether it is
// on one: only ECDSA keys are (RFC 8422 5.1.1).
func CurveOf(public crypto.PublicKey) (tls.CurveID, bool) {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return 0, false
	}
	switch key.Curve {
	case elliptic.P224():
		return 21, true
	case elliptic.P256():
		return tls.CurveP256, true
	case elliptic.P384():
		return tls.CurveP384, true
	}
	return tls.CurveP521, true
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
//
// RFC 9846 4.5.1 [9]
func CheckKey(c *tls.Certificate) error {
	leaf, err := Leaf(c)
	if err != nil {
		return err
	}
	ours, err := Public(c.PrivateKey)
	if err != nil {
		return err
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if ok && !public.Equal(ours) {
		return alert.Localf(alert.HandshakeFailure, "%w: our certificate is %s", alert.KeyMismatch, leaf.Subject)
	}
	return nil
}

// HasIssuer reports whether one of the certificates of c was issued under one of
// the distinguished names, each in DER.
func HasIssuer(c *tls.Certificate, names [][]byte) bool {
	return slices.ContainsFunc(c.Certificate, func(der []byte) bool {
		parsed, err := known.parse(der)
		return err == nil && slices.ContainsFunc(names, func(name []byte) bool { return bytes.Equal(name, parsed.RawIssuer) })
	})
}
