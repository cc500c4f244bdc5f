package record

import (
	"testing"

	"github.com/godwit-dtls/godwit/shared/suite"
)

// TestPitfallFreshIV: no two records of CBC have one IV, nor has one the last block of
// the record before (wolfSSL before 5.1.1). docs/pitfalls.md has more like this.
func TestPitfallFreshIV(t *testing.T) {
	eachCBC(t, func(t *testing.T, s *suite.Suite) {
		sealer, _ := pair(t, s)
		seen := map[string]bool{string(make([]byte, ivLen)): true}
		for n := range uint64(1000) {
			body := sealer.Seal(nil, []byte("content"), additional(0), n)
			if iv := string(body[:ivLen]); seen[iv] {
				t.Fatalf("record %d has IV %x", n, iv)
			}
			seen[string(body[:ivLen])], seen[string(body[len(body)-ivLen:])] = true, true
		}
	})
}
