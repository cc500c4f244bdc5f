// Package fingerprint computes the fingerprints of certificates that SDP carries
// (RFC 8122 5). To compare one, dtls.VerifyFingerprint of godwit takes constant time.
package fingerprint

import (
	"crypto"
	_ "crypto/sha256" // registers what hashes has
	_ "crypto/sha512"
	"crypto/x509"
	"fmt"
	"strings"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// hashes are those that RFC 8122 5 names and nobody has broken.
var hashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}

// Fingerprint is the hash of a certificate in lower-case hexadecimal, with a colon
// between its bytes.
func Fingerprint(cert *x509.Certificate, algo crypto.Hash) (string, error) {
	if _, err := StringFromHash(algo); err != nil {
		return "", err
	}
	_, digits, _ := strings.Cut(godwit.Fingerprint(algo, cert.Raw), " ")
	return strings.ToLower(digits), nil
}

// HashFromString finds a hash by its name in SDP: sha-256, sha-384 or sha-512, in
// any case.
func HashFromString(s string) (crypto.Hash, error) {
	for _, hash := range hashes {
		if strings.EqualFold(s, hash.String()) {
			return hash, nil
		}
	}
	return 0, fmt.Errorf("fingerprint: a hash named %q, expected sha-256, sha-384 or sha-512", s)
}

// StringFromHash is the name of a hash in SDP.
func StringFromHash(hash crypto.Hash) (string, error) {
	for _, known := range hashes {
		if hash == known {
			return strings.ToLower(hash.String()), nil
		}
	}
	return "", fmt.Errorf("fingerprint: %v is not SHA-256, SHA-384 or SHA-512", hash)
}
