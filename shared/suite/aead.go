package suite

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/godwit-dtls/godwit/shared/ccm"
)

const nonceLen = 12 // bytes, of all AEADs of the table

// An AEAD is how most suites protect records, and how often one key may be used.
// All nonces are 12 bytes: SaltLen from the key schedule, ExplicitLen from the
// wire. Where nothing is explicit, the record number is XORed in instead.
//
// RFC 9846 5.2 [4], 5.3 [3]
type AEAD struct {
	KeyLen      int // bytes
	SaltLen     int // bytes of IV out of the key schedule: 4 for GCM and CCM in 1.2 (RFC 5288 3), else 12
	ExplicitLen int // bytes of nonce before the ciphertext: 8 for GCM and CCM in 1.2, else 0
	TagLen      int // bytes

	// New returns the AEAD for a key of KeyLen bytes, for one goroutine at a time.
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

	// 2^23 records of AES-CCM (RFC 9147 4.5.3).
	ccmRecords uint64 = 1 << 23

	// The same amount of data, 2^23 times 2^14 bytes, in blocks, for 1.2: the bound
	// counts them, and that CCM encrypts two for each (RFC 9147 B.1).
	ccmBlocks uint64 = 1 << 33

	// 2^23.5 (RFC 9147 4.5.3), which is where the MAC's inner blocks get as many as
	// is good; with tags of 8 bytes the tag itself is guessed sooner, and to keep the
	// same margin it may be tried 2^7 times (RFC 9147 B.3). Where that ended an
	// association of 1.2, which has no other keys to go on with, 128 datagrams from
	// anybody would do so. It has the first limit instead: all that it lets through
	// finds a tag with a chance of 2^-40.
	ccmForgeries      uint64 = 11_863_283
	shortCCMForgeries uint64 = 1 << 7
)

var (
	aes128GCM   = gcm13(16)
	aes256GCM   = gcm13(32)
	aes128GCM12 = gcm12(16)
	aes256GCM12 = gcm12(32)

	aes128CCM        = ccm13(16, ccmForgeries)
	aes128ShortCCM   = ccm13(8, shortCCMForgeries)
	aes128CCM12      = ccm12(16, 16)
	aes256CCM12      = ccm12(32, 16)
	aes128ShortCCM12 = ccm12(16, 8)
	aes256ShortCCM12 = ccm12(32, 8)

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

// ccm13 is AES-CCM as 1.3 uses it, with keys of 16 bytes alone (RFC 9846 B.4).
//
// RFC 9147 4.5.3 [7]
func ccm13(tagLen int, forgeries uint64) *AEAD {
	return &AEAD{
		KeyLen:  16,
		SaltLen: 12,
		TagLen:  tagLen,
		New:     newAESCCM(tagLen),
		NewMask: newAESMask,
		Limits:  Limits{ccmRecords, Unlimited, forgeries},
	}
}

// ccm12 is AES-CCM as 1.2 uses it (RFC 6655 3).
func ccm12(keyLen, tagLen int) *AEAD {
	return &AEAD{
		KeyLen:      keyLen,
		SaltLen:     4,
		ExplicitLen: 8,
		TagLen:      tagLen,
		New:         newAESCCM(tagLen),
		Limits:      Limits{Unlimited, ccmBlocks, ccmForgeries},
	}
}

func newAESCCM(tagLen int) func(key []byte) (cipher.AEAD, error) {
	return func(key []byte) (cipher.AEAD, error) {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return ccm.New(block, nonceLen, tagLen)
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
