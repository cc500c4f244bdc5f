package cert

import (
	"crypto"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// hashName is the name of a hash in a fingerprint: "sha-256".
func hashName(hash crypto.Hash) string { return strings.ToLower(hash.String()) }

// Fingerprint returns the fingerprint of a certificate's DER encoding as SDP
// writes it, "sha-256 AB:CD:..." (RFC 8122 5). It panics if the hash isn't linked in.
func Fingerprint(hash crypto.Hash, der []byte) string {
	return hashName(hash) + " " + strings.ReplaceAll(fmt.Sprintf("% X", sum(hash, der)), " ", ":")
}

// VerifyFingerprint compares a certificate's DER encoding with a fingerprint by
// sha-256, sha-384 or sha-512: "sha-256 AB:CD:..." as in SDP, or
// "sha-256:abcd...", in any case. Another certificate is bad_certificate, a
// fingerprint that can't be read is a local internal_error.
func VerifyFingerprint(fingerprint string, der []byte) error {
	end := max(0, strings.IndexAny(fingerprint, " :"))
	name, digits := fingerprint[:end], strings.ReplaceAll(fingerprint[end:], ":", "")
	hashes := []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}
	i := slices.IndexFunc(hashes, func(h crypto.Hash) bool { return strings.EqualFold(name, hashName(h)) })
	if i < 0 {
		return alert.Localf(alert.InternalError, "expected a sha-256, sha-384 or sha-512 fingerprint, not %q", fingerprint)
	}
	want, err := hex.DecodeString(strings.TrimPrefix(digits, " "))
	if err != nil || len(want) != hashes[i].Size() {
		return alert.Localf(alert.InternalError, "expected %d bytes of hex in the fingerprint %q", hashes[i].Size(), fingerprint)
	}
	if subtle.ConstantTimeCompare(sum(hashes[i], der), want) != 1 {
		return alert.Peerf(alert.BadCertificate, "expected the certificate %s, the peer sent %s", fingerprint, Fingerprint(hashes[i], der))
	}
	return nil
}
