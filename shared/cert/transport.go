package cert

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// Key transport: a client of 1.2 encrypts a secret to the server's RSA key
// (RFC 5246 7.4.7.1). Who gets that key one day can read all that was recorded.

// premasterLen is the length of a premaster secret: two bytes of the version that
// the ClientHello named, and random ones.
const premasterLen = 48

// NewPremaster makes a premaster secret for the server's key, and encrypts it. A
// key that isn't an RSA key is an illegal_parameter.
func NewPremaster(public crypto.PublicKey, version [2]byte) (secret, encrypted []byte, err error) {
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, nil, alert.Peerf(alert.IllegalParameter, "%w: expected an RSA key, the server's is a %s", alert.WrongCertificateType, describe(public))
	}
	secret = make([]byte, premasterLen)
	rand.Read(secret) // never fails
	copy(secret, version[:])
	//lint:ignore SA1019 the suites that need it are enabled by name only
	if encrypted, err = rsa.EncryptPKCS1v15(rand.Reader, key, secret); err != nil {
		return nil, nil, alert.Localf(alert.InternalError, "encrypting to the server's %s: %w", describe(public), err)
	}
	return secret, encrypted, nil
}

// OpenPremaster decrypts a premaster secret. Whatever is wrong with it, the
// result is a random one in the same time, so that the handshake ends like one
// with a wrong key, and tells nothing of the padding (RFC 5246 7.4.7.1).
func OpenPremaster(key crypto.Decrypter, encrypted []byte, version [2]byte) ([]byte, error) {
	made := make([]byte, premasterLen)
	rand.Read(made)
	//lint:ignore SA1019 constant time by SessionKeyLen; the suites that need it are enabled by name only
	secret, err := key.Decrypt(rand.Reader, encrypted, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: premasterLen})
	// Without an error in front of it, its length is not that of the key, which is
	// no secret. A key of somebody else's making may know nothing of SessionKeyLen:
	// that its padding was right must not show either.
	if err != nil || len(secret) != premasterLen {
		return made, nil
	}
	rollback := 1 - subtle.ConstantTimeCompare(secret[:2], version[:])
	subtle.ConstantTimeCopy(rollback, secret, made)
	return secret, nil
}
