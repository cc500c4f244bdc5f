package dtls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A certificate is good from now on, for a month, and no two are alike.
func TestSelfSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, err := dtls.SelfSigned("godwit.example", "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		other, err := dtls.SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		if from, to := time.Since(one.Leaf.NotBefore), time.Until(one.Leaf.NotAfter); from != time.Hour || to != 30*24*time.Hour {
			t.Errorf("good since %v, for %v", from, to)
		}
		if len(one.Leaf.DNSNames) != 1 || len(one.Leaf.IPAddresses) != 1 || len(other.Leaf.DNSNames) != 0 {
			t.Errorf("names %v %v", one.Leaf.DNSNames, one.Leaf.IPAddresses)
		}
		if one.Leaf.SerialNumber.Cmp(other.Leaf.SerialNumber) == 0 || one.Leaf.SerialNumber.BitLen() < 64 {
			t.Errorf("serial numbers %v and %v", one.Leaf.SerialNumber, other.Leaf.SerialNumber)
		}
		a, b := one.PrivateKey.(*ecdsa.PrivateKey), other.PrivateKey.(*ecdsa.PrivateKey)
		if a.Curve != elliptic.P256() || a.Equal(b) {
			t.Error("the same key, or not one on P-256")
		}
	})
}
