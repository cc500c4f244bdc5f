package cert

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"runtime"
	"testing"
	"time"
)

// dense is a certificate that has one thing many times.
func dense(t *testing.T, change func(*x509.Certificate)) []byte {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	change(template)
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func extension(id asn1.ObjectIdentifier, body []byte) func(*x509.Certificate) {
	der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body})
	if err != nil {
		panic(err)
	}
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Value: der})
	}
}

// What a peer's chain costs is bounded by the bytes that it came in, whatever it has many
// times: lists of URIs, which would cost the most, are refused.
func TestExpansion(t *testing.T) {
	san, usages := asn1.ObjectIdentifier{2, 5, 29, 17}, asn1.ObjectIdentifier{2, 5, 29, 37}
	for name, list := range map[string]func(n int) func(*x509.Certificate){
		"nothing":    func(int) func(*x509.Certificate) { return func(*x509.Certificate) {} },
		"URIs":       func(n int) func(*x509.Certificate) { return extension(san, bytes.Repeat([]byte("\x86\x00"), n)) },
		"names":      func(n int) func(*x509.Certificate) { return extension(san, bytes.Repeat([]byte("\x82\x00"), n)) },
		"addresses":  func(n int) func(*x509.Certificate) { return extension(san, bytes.Repeat([]byte("\x87\x04ipv4"), n)) },
		"usages":     func(n int) func(*x509.Certificate) { return extension(usages, bytes.Repeat([]byte("\x06\x01\x2a"), n)) },
		"extensions": manyExtensions,
		"attributes": manyAttributes,
	} {
		for _, n := range []int{2, 260, 2000} { // behind a power of two slices have just grown
			der := dense(t, list(n))
			const copies = 20
			ders := make([][]byte, copies)
			for i := range ders {
				ders[i] = bytes.Clone(der)
				ders[i][len(der)-1] = byte(i) // the signature, or they would be one
			}
			before := heap()
			chain, err := Parse(ders)
			after := heap()
			runtime.KeepAlive(chain)
			runtime.KeepAlive(ders)
			if (err != nil) != (name == "URIs" && n*copies > maxURIs) {
				t.Errorf("%d %s: %v", n, name, err)
			}
			if times := int(after-before) / copies / len(der); after > before && times > Expansion {
				t.Errorf("%d %s: %d times the %d bytes of each", n, name, times, len(der))
			}
		}
	}
}

func manyExtensions(n int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for i := range n {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, i}})
		}
	}
}

func manyAttributes(n int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for i := range n {
			c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, i % 100}, Value: ""})
		}
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
