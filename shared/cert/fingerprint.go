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

// fingerprintHashes are those that a fingerprint may be by, weakest first. RFC 8122
// 5 names more, which are broken.
var fingerprintHashes = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}

// hashName is the name of a hash in a fingerprint: "sha-256".
func hashName(hash crypto.Hash) string { return strings.ToLower(hash.String()) }

// Fingerprint returns the fingerprint of a certificate's DER encoding as SDP
// writes it, "sha-256 AB:CD:..." (RFC 8122 5). It panics if the hash isn't linked in.
func Fingerprint(hash crypto.Hash, der []byte) string {
	return hashName(hash) + " " + strings.ReplaceAll(fmt.Sprintf("% X", sum(hash, der)), " ", ":")
}

// VerifyFingerprint compares a certificate's DER encoding with what ParseFingerprints
// reads. Another certificate is bad_certificate.
func VerifyFingerprint(der []byte, fingerprints ...string) error {
	f, err := ParseFingerprints(fingerprints...)
	if err != nil {
		return err
	}
	return f.Verify(der)
}

// Fingerprints are those of the certificates that a peer may have.
type Fingerprints struct {
	hash crypto.Hash
	sums [][]byte
}

// ParseFingerprints reads fingerprints by sha-256, sha-384 or sha-512: "sha-256
// AB:CD:..." as in SDP, or "sha-256:abcd...", in any case. If they are by several
// hashes, those by the strongest count (RFC 8122 5.1): the others may be of the same
// certificates, and would only make it easier to find another that fits. Those by
// other hashes are passed over. It is a local internal_error if none is left, or if
// one can't be read.
func ParseFingerprints(fingerprints ...string) (f Fingerprints, err error) {
	strongest := -1
	for _, fingerprint := range fingerprints {
		end := strings.IndexAny(fingerprint, " :")
		if end <= 0 {
			return f, alert.Localf(alert.InternalError, "expected the name of a hash before a space or colon in the fingerprint %q", fingerprint)
		}
		name, digits := fingerprint[:end], strings.ReplaceAll(fingerprint[end:], ":", "")
		i := slices.IndexFunc(fingerprintHashes, func(h crypto.Hash) bool { return strings.EqualFold(name, hashName(h)) })
		if i < 0 {
			continue
		}
		hash := fingerprintHashes[i]
		sum, err := hex.DecodeString(strings.TrimPrefix(digits, " "))
		if err != nil || len(sum) != hash.Size() {
			return f, alert.Localf(alert.InternalError, "expected %d bytes of hex in the fingerprint %q", hash.Size(), fingerprint)
		}
		if i > strongest {
			strongest, f = i, Fingerprints{hash: hash}
		}
		if i == strongest {
			f.sums = append(f.sums, sum)
		}
	}
	if strongest < 0 {
		return f, alert.Localf(alert.InternalError, "expected a sha-256, sha-384 or sha-512 fingerprint among %q", fingerprints)
	}
	return f, nil
}

// Verify refuses, with bad_certificate, a certificate in DER that none of the
// fingerprints is of. That takes the same time wherever they differ.
func (f Fingerprints) Verify(der []byte) error {
	got, found := sum(f.hash, der), 0
	for _, want := range f.sums {
		found |= subtle.ConstantTimeCompare(got, want)
	}
	if found != 1 {
		return alert.Peerf(alert.BadCertificate, "%w: the peer's certificate is %s", alert.WrongFingerprint, Fingerprint(f.hash, der))
	}
	return nil
}
