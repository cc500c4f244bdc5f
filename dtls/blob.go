package dtls

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// A blob is a connection written down and encrypted:
//
//	u8   format
//	[8]  check     tells another key from bytes that were altered
//	[32] salt      random: each blob has a key of its own
//	u32  length    of what follows
//	     sealed    AES-256-GCM; what stands before it is authenticated too
//
// check, key and nonce come by HKDF-SHA256 from the caller's key and the salt.
const (
	blobFormat = 5
	checkSize  = 8
	saltSize   = 32
	blobHeader = 1 + checkSize + saltSize + 4

	blobKeySize   = 32 // of the caller's key, and of AES-256
	blobNonceSize = 12
)

// Why a blob is refused.
var (
	// ErrBlobVersion says that another version of this library has made it, whose
	// format this one doesn't read.
	ErrBlobVersion = errors.New("dtls: an exported connection in another version's format")
	// ErrBlobTruncated says that its end is missing.
	ErrBlobTruncated = errors.New("dtls: an exported connection is cut short")
	// ErrBlobKey says that it was made with another key.
	ErrBlobKey = errors.New("dtls: an exported connection under another key")
	// ErrBlobAltered says that it is not what Export gave.
	ErrBlobAltered = errors.New("dtls: an exported connection was altered")
	// ErrBlobRole says that it is of a client, and the Config one of a server, or the
	// other way round.
	ErrBlobRole = errors.New("dtls: an exported connection of the other role")
	// ErrBlobConfig says that the Config doesn't enable the connection's version.
	ErrBlobConfig = errors.New("dtls: an exported connection that the Config doesn't allow")
)

// sealBlob encrypts a state under the caller's key.
func sealBlob(key, state []byte) ([]byte, error) {
	blob := make([]byte, blobHeader, blobHeader+len(state)+aes.BlockSize)
	blob[0] = blobFormat
	salt := blob[1+checkSize:][:saltSize]
	rand.Read(salt) // never fails
	aead, nonce, check, err := blobKeys(key, salt)
	if err != nil {
		return nil, err
	}
	copy(blob[1:], check)
	binary.BigEndian.PutUint32(blob[blobHeader-4:], uint32(len(state)+aead.Overhead()))
	return aead.Seal(blob, nonce, state, blob[:blobHeader]), nil
}

// openBlob is the reverse of sealBlob.
func openBlob(key, blob []byte) ([]byte, error) {
	switch {
	case len(blob) == 0:
		return nil, ErrBlobTruncated
	case blob[0] != blobFormat:
		return nil, fmt.Errorf("%w: %d, expected %d", ErrBlobVersion, blob[0], blobFormat)
	case len(blob) < blobHeader:
		return nil, ErrBlobTruncated
	}
	header, sealed := blob[:blobHeader], blob[blobHeader:]
	aead, nonce, check, err := blobKeys(key, header[1+checkSize:][:saltSize])
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(check, header[1:][:checkSize]) != 1 {
		return nil, ErrBlobKey
	}
	if uint64(len(sealed)) < uint64(binary.BigEndian.Uint32(header[blobHeader-4:])) {
		return nil, ErrBlobTruncated
	}
	state, err := aead.Open(nil, nonce, sealed, header)
	if err != nil {
		return nil, ErrBlobAltered
	}
	return state, nil
}

// blobKeys derives what protects the blob with this salt.
func blobKeys(key, salt []byte) (aead cipher.AEAD, nonce, check []byte, err error) {
	if len(key) != blobKeySize {
		return nil, nil, nil, errBlobKeySize(key)
	}
	derived, err := hkdf.Key(sha256.New, key, salt, "godwit exported connection", blobKeySize+blobNonceSize+checkSize)
	if err != nil {
		return nil, nil, nil, err
	}
	block, err := aes.NewCipher(derived[:blobKeySize])
	if err != nil {
		return nil, nil, nil, err
	}
	aead, err = cipher.NewGCM(block)
	rest := derived[blobKeySize:]
	return aead, rest[:blobNonceSize], rest[blobNonceSize:], err
}

func errBlobKeySize(key []byte) error {
	return fmt.Errorf("dtls: the key for an exported connection has %d bytes, not %d", blobKeySize, len(key))
}
