package cert

import (
	"bytes"
	"crypto"
	"io"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
)

func TestPremaster(t *testing.T) {
	version, other := [2]byte{3, 3}, [2]byte{3, 2}
	key := rsa2048().(crypto.Decrypter)
	secret, encrypted, err := NewPremaster(rsa2048().Public(), version)
	if err != nil || len(secret) != 48 || !bytes.Equal(secret[:2], version[:]) {
		t.Fatalf("%x, %v", secret, err)
	}
	if got, err := OpenPremaster(key, encrypted, version); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%x is opened as %x, %v", secret, got, err)
	}
	// What is wrong gives another secret, each time, and no error.
	damaged := bytes.Clone(encrypted)
	damaged[0] ^= 1
	_, short, _ := NewPremaster(rsa1024().Public(), version)
	for name, test := range map[string]struct {
		encrypted []byte
		version   [2]byte
	}{
		"padding": {damaged, version}, "version": {encrypted, other}, "length": {encrypted[1:], version},
		"another key": {short, version}, "nothing": {nil, version},
	} {
		first, err := OpenPremaster(key, test.encrypted, test.version)
		second, again := OpenPremaster(key, test.encrypted, test.version)
		if err != nil || again != nil || len(first) != 48 || bytes.Equal(first, secret) || bytes.Equal(first, second) {
			t.Errorf("%s: %x and %x, %v", name, first, second, err)
		}
	}
	_, _, err = NewPremaster(p256().Public(), version)
	wantAlert(t, err, alert.IllegalParameter, alert.Peer)
}

// wilful decrypts in its own way, as keys in hardware do that know nothing of
// SessionKeyLen.
type wilful struct {
	crypto.Decrypter
	text []byte
}

func (w wilful) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) { return w.text, nil }

// TestPremasterOfOtherLength: good padding around something of another length must
// not look different from bad padding (RFC 5246 7.4.7.1).
func TestPremasterOfOtherLength(t *testing.T) {
	for _, n := range []int{0, 1, 47, 49, 128} {
		key := wilful{rsa2048().(crypto.Decrypter), make([]byte, n)}
		first, err := OpenPremaster(key, []byte("encrypted"), [2]byte{3, 3})
		second, again := OpenPremaster(key, []byte("encrypted"), [2]byte{3, 3})
		if err != nil || again != nil || len(first) != 48 || bytes.Equal(first, second) {
			t.Errorf("%d bytes: %x and %x, %v", n, first, second, err)
		}
	}
}
