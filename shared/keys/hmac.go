package keys

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
)

// appendHMAC appends the HMAC of all parts to dst, of which they may be a part:
//
//	HMAC = H(key ^ opad | H(key ^ ipad | parts))    (RFC 2104)
//
// A handshake has some fifty of them, of a few blocks each, under two dozen keys.
// crypto/hmac makes two hashes and four blocks for each key, which is more work
// than the hashing; this takes no memory.
func appendHMAC(dst []byte, h crypto.Hash, key []byte, parts ...[]byte) []byte {
	var inner, outer [256]byte // zeros behind the key; more than most parts need
	var sum [sha512.Size]byte
	block := blockLen(h)
	if len(key) > block {
		key = appendSum(sum[:0], h, key)
	}
	copy(inner[:], key)
	subtle.XORBytes(outer[:], inner[:block], opad)
	subtle.XORBytes(inner[:], inner[:block], ipad)
	text := inner[:block]
	for _, part := range parts {
		text = append(text, part...)
	}
	return appendSum(dst, h, appendSum(outer[:block], h, text))
}

var ipad, opad = bytes.Repeat([]byte{0x36}, sha512.BlockSize), bytes.Repeat([]byte{0x5c}, sha512.BlockSize)

// blockLen is the size of what a hash takes at a time: all but SHA-256 are SHA-512,
// cut or not.
func blockLen(h crypto.Hash) int {
	if h == crypto.SHA256 {
		return sha256.BlockSize
	}
	return sha512.BlockSize
}

// appendSum appends the hash of text to dst.
func appendSum(dst []byte, h crypto.Hash, text []byte) []byte {
	switch h {
	case crypto.SHA256:
		sum := sha256.Sum256(text)
		return append(dst, sum[:]...)
	case crypto.SHA384:
		sum := sha512.Sum384(text)
		return append(dst, sum[:]...)
	}
	sum := sha512.Sum512(text)
	return append(dst, sum[:]...)
}
