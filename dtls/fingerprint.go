package dtls

import (
	"crypto"

	"github.com/godwit-dtls/godwit/shared/cert"
)

// Fingerprint returns the fingerprint of a certificate in DER as SDP writes it after
// "a=fingerprint:", "sha-256 AB:CD:..." (RFC 8122 5). It panics if the hash isn't
// linked in.
func Fingerprint(hash crypto.Hash, der []byte) string { return cert.Fingerprint(hash, der) }

// VerifyFingerprint compares a certificate in DER, in constant time, with the
// fingerprints that its owner has told by other means: "sha-256 AB:CD:..." as in SDP,
// or "sha-256:abcd...", in any case. If they are by several hashes, one by the
// strongest of sha-512, sha-384 and sha-256 must fit (RFC 8122 5.1); those by other
// hashes don't count. Another certificate is an *Error with bad_certificate, whose
// reason is alert.WrongFingerprint; it is an internal_error if no fingerprint can be used,
// or one is malformed.
//
// Config.PeerFingerprints is this, for fingerprints that are known in advance.
func VerifyFingerprint(der []byte, fingerprints ...string) error {
	return cert.VerifyFingerprint(der, fingerprints...)
}
