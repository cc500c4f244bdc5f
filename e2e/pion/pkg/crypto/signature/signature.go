// Package signature names the second byte of a signature scheme of 1.2.
package signature

// An Algorithm is a way to sign (RFC 5246 7.4.1.4.1), or in newer schemes a part of
// their number (RFC 9846 4.3.3).
type Algorithm uint16

// The ways in use.
const (
	RSA   Algorithm = 1
	ECDSA Algorithm = 3
)
