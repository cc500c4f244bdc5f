package main

import (
	"crypto/rand"
	"crypto/rsa"
	"math/big"

	"github.com/godwit-dtls/godwit/shared/cert"
)

// premasterSubject times the decryption of what a client of RSA key transport sends:
// who can tell whether its padding is right decrypts what others have sent
// (Bleichenbacher 1998).
func premasterSubject() subject {
	return subject{name: "RSA key transport", classes: [2]string{"padding right", "padding wrong"}, effort: 40, open: func() (prepare, error) {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		version := [2]byte{3, 3}
		return func(class int) (trial, error) {
			block := paddedPremaster(private.Size(), version)
			block[1] += byte(class) // 2 is right
			encrypted := new(big.Int).Exp(new(big.Int).SetBytes(block), big.NewInt(int64(private.E)), private.N)
			sent := encrypted.FillBytes(make([]byte, private.Size()))
			return timed(func() { cert.OpenPremaster(private, sent, version) }), nil
		}, err
	}}
}

// paddedPremaster is 0, 2, random bytes other than 0, 0, version, 46 bytes.
func paddedPremaster(size int, version [2]byte) []byte {
	block := make([]byte, size)
	rand.Read(block)
	for i, b := range block {
		block[i] = b | 1
	}
	block[0], block[1], block[size-49] = 0, 2, 0
	copy(block[size-48:], version[:])
	return block
}
