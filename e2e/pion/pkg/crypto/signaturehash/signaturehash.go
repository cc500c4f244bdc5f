// Package signaturehash names signature schemes in the two halves that 1.2 has them
// in.
package signaturehash

import (
	"crypto/tls"

	"github.com/pion/dtls/v3/pkg/crypto/hash"
	"github.com/pion/dtls/v3/pkg/crypto/signature"
)

// An Algorithm is a signature scheme.
type Algorithm struct {
	Hash      hash.Algorithm
	Signature signature.Algorithm
}

// Scheme is the scheme's number.
func (a Algorithm) Scheme() tls.SignatureScheme {
	return tls.SignatureScheme(uint16(a.Hash)<<8 | uint16(a.Signature)&0xff)
}

// Of is the scheme with a number.
func Of(scheme uint16) Algorithm {
	return Algorithm{hash.Algorithm(scheme >> 8), signature.Algorithm(scheme & 0xff)}
}
