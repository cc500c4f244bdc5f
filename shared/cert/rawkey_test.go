package cert

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"math/big"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
)

func TestRawPublicKey(t *testing.T) {
	for _, k := range keyTypes {
		public := k.key().Public()
		info := must(RawPublicKey(public))
		got, err := ParseRawPublicKey(info)
		if k.kind == Unsupported {
			wantAlert(t, err, alert.UnsupportedCertificate, alert.Peer)
			continue
		}
		if err != nil || !got.(interface{ Equal(crypto.PublicKey) bool }).Equal(public) {
			t.Errorf("%s: %v, %v", k.name, got, err)
		}
		for n := range info {
			_, err := ParseRawPublicKey(info[:n])
			wantAlert(t, err, alert.DecodeError, alert.Peer)
			if errors.Is(err, alert.EmptyRawKey) != (n == 0) {
				t.Errorf("%s: %d of %d bytes: %v", k.name, n, len(info), err)
			}
		}
		_, err = ParseRawPublicKey(append(bytes.Clone(info), 0))
		wantAlert(t, err, alert.DecodeError, alert.Peer)
	}
	_, err := RawPublicKey("no key")
	wantAlert(t, err, alert.HandshakeFailure, alert.Local)
	_, err = ParseRawPublicKey(must(SelfSigned(now, "godwit.example")).Certificate[0])
	wantAlert(t, err, alert.DecodeError, alert.Peer) // a certificate is no key
}

func TestRawPublicKeyOfPSS(t *testing.T) {
	leaf, _ := readPSS(t, "testdata/pss-sha256.pem")
	public, err := ParseRawPublicKey(leaf.RawSubjectPublicKeyInfo)
	if key, ok := public.(*PSSPublicKey); err != nil || !ok || key.Hash != crypto.SHA256 {
		t.Errorf("%v, %v", public, err)
	}
}

func TestRawPublicKeyOfManyBits(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), maxRSABits) // of 8193 bits
	_, err := ParseRawPublicKey(must(RawPublicKey(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537})))
	wantAlert(t, err, alert.BadCertificate, alert.Peer)
}

func FuzzParseRawPublicKey(f *testing.F) {
	for _, k := range keyTypes {
		f.Add(must(RawPublicKey(k.key().Public())))
	}
	f.Fuzz(func(t *testing.T, info []byte) {
		public, err := ParseRawPublicKey(info)
		if (err == nil) != (KindOf(public) != Unsupported) {
			t.Errorf("%v, %v", public, err)
		}
		if err != nil && !errors.As(err, new(*alert.Error)) {
			t.Errorf("an error with no alert: %v", err)
		}
	})
}
