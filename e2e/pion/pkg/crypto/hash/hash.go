// Package hash names the first byte of a signature scheme of 1.2.
package hash

// An Algorithm is a hash (RFC 5246 7.4.1.4.1), or in newer schemes a part of their
// number (RFC 9846 4.3.3).
type Algorithm uint16

// The hashes in use.
const (
	SHA1   Algorithm = 2
	SHA256 Algorithm = 4
	SHA384 Algorithm = 5
	SHA512 Algorithm = 6
)
