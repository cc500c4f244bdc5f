package fingerprint

import (
	"crypto"
	_ "crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

func TestFingerprint(t *testing.T) {
	c, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Fingerprint(c.Leaf, crypto.SHA256)
	sum := sha256.Sum256(c.Certificate[0])
	if err != nil || strings.ReplaceAll(got, ":", "") != hex.EncodeToString(sum[:]) || len(got) != 95 {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Fingerprint(c.Leaf, crypto.SHA1); err == nil {
		t.Error("a fingerprint by SHA-1")
	}
	for name, hash := range map[string]crypto.Hash{"sha-256": crypto.SHA256, "SHA-384": crypto.SHA384, "sha-512": crypto.SHA512} {
		if got, err := HashFromString(name); err != nil || got != hash {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if got, err := StringFromHash(hash); err != nil || got != strings.ToLower(name) {
			t.Errorf("%v: %s, %v", hash, got, err)
		}
	}
	if _, err := HashFromString("md5"); err == nil {
		t.Error("md5 is a hash")
	}
	if _, err := StringFromHash(crypto.SHA1); err == nil {
		t.Error("SHA-1 has a name")
	}
}
