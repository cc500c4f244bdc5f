package cert

import (
	"crypto"
	"crypto/x509"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// RawPublicKey returns the SubjectPublicKeyInfo of a key in DER, which is what a
// raw public key shows (RFC 7250 3).
func RawPublicKey(public crypto.PublicKey) ([]byte, error) {
	info, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, alert.Localf(alert.HandshakeFailure, "our key can't be shown as a raw public key: %w", err)
	}
	return info, nil
}

// ParseRawPublicKey parses a peer's SubjectPublicKeyInfo. Errors are
// decode_error, unsupported_certificate for a key of no known Kind, and
// bad_certificate for an RSA key over 8192 bits.
func ParseRawPublicKey(info []byte) (crypto.PublicKey, error) {
	if len(info) == 0 {
		return nil, alert.Peerf(alert.DecodeError, "%w", alert.EmptyRawKey)
	}
	public, err := x509.ParsePKIXPublicKey(info)
	if key, ok := parsePSSPublicKey(info); ok {
		public, err = key, nil
	}
	switch {
	case err != nil:
		return nil, alert.Peerf(alert.DecodeError, "%w: the peer's raw public key: %w", alert.MalformedRawKey, err)
	case KindOf(public) == Unsupported:
		return nil, unsupportedKey(public)
	}
	if bits := rsaBits(public); bits > maxRSABits {
		return nil, alert.Peerf(alert.BadCertificate, "expected RSA keys of up to %d bits, the peer's raw public key has %d", maxRSABits, bits)
	}
	return public, nil
}
