package suite

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

// An AEAD is how most suites protect records, and how often one key may be used.
// All nonces are 12 bytes: SaltLen from the key schedule, ExplicitLen from the
// wire. Where nothing is explicit, the record number is XORed in instead.
type AEAD struct {
	KeyLen      int // bytes
	SaltLen     int // bytes of IV out of the key schedule: 4 for GCM in 1.2 (RFC 5288 3), else 12
	ExplicitLen int // bytes of nonce before the ciphertext: 8 for GCM in 1.2, else 0
	TagLen      int // bytes

	// New returns the AEAD for a key of KeyLen bytes.
	New func(key []byte) (cipher.AEAD, error)

	// NewMask returns the encryption of record numbers for a key of KeyLen
	// bytes (RFC 9147 4.2.3). It is nil for what only 1.2 uses.
	NewMask func(key []byte) (MaskFunc, error)

	Limits
}

// Limits are how often one key may be used.
type Limits struct {
	// It may seal this many records (RFC 9846 5.5, RFC 9147 4.5.3), or this many
	// blocks of 16 bytes, or Unlimited.
	ConfidentialityRecords uint64
	ConfidentialityBlocks  uint64

	// It may meet this many records that don't authenticate (RFC 9147 4.5.3).
	Integrity uint64
}

// A MaskFunc writes 16 bytes of mask, of which the first are XORed to a record
// number. The sample is the first 16 bytes of the ciphertext.
type MaskFunc func(mask, sample []byte)

// SampleLen is the length of a mask and of the ciphertext it is made from.
const SampleLen = 16

// Limits on the use of one key.
const (
	// Unlimited is beyond what record numbers can count in DTLS, and never
	// reached in TLS. Doubling it does not overflow.
	Unlimited uint64 = 1 << 62

	// 2^24.5 full-size records of AES-GCM (RFC 9846 5.5).
	gcmRecords uint64 = 23_726_566

	// The same amount of data, 2^24.5 times 2^14 bytes, in blocks. RFC 9846
	// 5.5 follows an analysis that counts blocks. 1.3 can update its keys and
	// goes by records; 1.2 can't, and would end a connection of small records
	// a thousand times too early.
	gcmBlocks uint64 = 24_296_003_999

	// RFC 9147 4.5.3, the same for GCM and ChaCha20-Poly1305.
	forgeries uint64 = 1 << 36
)

var (
	aes128GCM   = gcm13(16)
	aes256GCM   = gcm13(32)
	aes128GCM12 = gcm12(16)
	aes256GCM12 = gcm12(32)

	// One construction in both versions: RFC 7905 2 does in 1.2 what
	// RFC 9846 5.3 does in 1.3.
	chacha20Poly1305 = &AEAD{
		KeyLen:  chacha20poly1305.KeySize,
		SaltLen: chacha20poly1305.NonceSize,
		TagLen:  chacha20poly1305.Overhead,
		New:     chacha20poly1305.New,
		NewMask: newChaCha20Mask,
		Limits:  Limits{Unlimited, Unlimited, forgeries}, // RFC 9846 5.5: the sequence number wraps first
	}
)

// gcm13 is AES-GCM as 1.3 uses it (RFC 9846 5.3).
func gcm13(keyLen int) *AEAD {
	return &AEAD{
		KeyLen:  keyLen,
		SaltLen: 12,
		TagLen:  16,
		New:     newAESGCM,
		NewMask: newAESMask,
		Limits:  Limits{gcmRecords, Unlimited, forgeries},
	}
}

// gcm12 is AES-GCM as 1.2 uses it (RFC 5288 3).
func gcm12(keyLen int) *AEAD {
	return &AEAD{
		KeyLen:      keyLen,
		SaltLen:     4,
		ExplicitLen: 8,
		TagLen:      16,
		New:         newAESGCM,
		Limits:      Limits{Unlimited, gcmBlocks, forgeries},
	}
}

func newAESGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// newAESMask makes masks by one AES block: RFC 9147 4.2.3.
func newAESMask(key []byte) (MaskFunc, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return block.Encrypt, nil
}

// newChaCha20Mask makes masks by one ChaCha20 block, with the sample as block
// counter (4 bytes, little-endian) and nonce (12 bytes): RFC 9147 4.2.3.
func newChaCha20Mask(key []byte) (MaskFunc, error) {
	if _, err := chacha20.NewUnauthenticatedCipher(key, make([]byte, chacha20.NonceSize)); err != nil {
		return nil, err
	}
	key = bytes.Clone(key)
	return func(mask, sample []byte) {
		// Key and nonce have the one length that is accepted.
		stream, _ := chacha20.NewUnauthenticatedCipher(key, sample[4:SampleLen])
		stream.SetCounter(binary.LittleEndian.Uint32(sample))
		clear(mask)
		stream.XORKeyStream(mask, mask)
	}, nil
}
