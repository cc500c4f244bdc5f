// Package keys derives the secrets of a connection: the PRF of 1.2, and the key
// schedule of 1.3, where each secret has a type, so that a derivation in the
// wrong order doesn't compile.
//
// Every secret is a value that is never modified. Its methods may be called from
// several goroutines.
//
// Packages below shared carry no compatibility promise of their own.
package keys

import (
	"fmt"
	"math"
)

// A RecordKey protects the records of one direction, in one epoch. The lengths
// are those of Suite.Lengths.
type RecordKey struct {
	MAC    []byte // the HMAC's key of a CBC suite, else nil
	Key    []byte
	IV     []byte // SaltLen bytes of the nonce: "fixed IV" in 1.2, "write_iv" in 1.3
	Number []byte // encrypts record numbers; DTLS 1.3 only, else nil
}

// checkExport refuses what neither version can export.
func checkExport(context []byte, n int) error {
	if len(context) > math.MaxUint16 { // RFC 5705 4: a 2-byte length
		return fmt.Errorf("keys: exporter context of %d bytes, expected at most %d", len(context), math.MaxUint16)
	}
	if n < 0 || n > math.MaxUint16 {
		return fmt.Errorf("keys: exporter length %d, expected 0 to %d", n, math.MaxUint16)
	}
	return nil
}

// cut divides key material.
func cut(block []byte, n int) (part, rest []byte) { return block[:n:n], block[n:] }
