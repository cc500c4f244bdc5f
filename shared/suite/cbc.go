package suite

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	_ "crypto/sha1" // for CBC.MAC
)

// A CBC is how the suites of RFC 5246 6.2.3.2 protect records: HMAC first, then
// padding, then encryption. The receiver decrypts what nobody has authenticated
// yet; all that it learns there, it may not show, by its timing either.
type CBC struct {
	KeyLen int         // bytes
	MAC    crypto.Hash // of the HMAC: SHA-1 or SHA-256

	// New returns the block cipher for a key of KeyLen bytes.
	New func(key []byte) (cipher.Block, error)

	Limits
}

// MACLen is the length of the HMAC, and of its key, in bytes.
func (c *CBC) MACLen() int { return c.MAC.Size() }

var (
	aes128CBCSHA    = &CBC{16, crypto.SHA1, aes.NewCipher, cbcLimits}
	aes256CBCSHA    = &CBC{32, crypto.SHA1, aes.NewCipher, cbcLimits}
	aes128CBCSHA256 = &CBC{16, crypto.SHA256, aes.NewCipher, cbcLimits}

	// Blocks under one key must not repeat: the same amount of data as of GCM,
	// whose bound has the same cause (RFC 9846 5.5).
	cbcLimits = Limits{Unlimited, gcmBlocks, forgeries}
)
