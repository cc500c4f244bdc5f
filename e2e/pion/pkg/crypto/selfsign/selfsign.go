// Package selfsign makes certificates that are their own roots, for tests and for
// peers that compare fingerprints.
package selfsign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"time"
)

// GenerateSelfSigned makes a P-256 key and signs it, under a name of random digits.
func GenerateSelfSigned() (tls.Certificate, error) {
	return generate(SelfSign)
}

// GenerateSelfSignedWithDNS makes a P-256 key and signs it under these names.
func GenerateSelfSignedWithDNS(cn string, sans ...string) (tls.Certificate, error) {
	return generate(func(key crypto.PrivateKey) (tls.Certificate, error) { return WithDNS(key, cn, sans...) })
}

func generate(sign func(crypto.PrivateKey) (tls.Certificate, error)) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	return sign(key)
}

// SelfSign signs a key with itself, under a name of random digits.
func SelfSign(key crypto.PrivateKey) (tls.Certificate, error) {
	name := make([]byte, 16)
	rand.Read(name) // never fails
	return WithDNS(key, hex.EncodeToString(name))
}

// WithDNS signs a key with itself under these names, for servers and clients, for
// 30 days and with a random serial number.
func WithDNS(key crypto.PrivateKey, cn string, sans ...string) (tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("selfsign: a %T signs nothing", key)
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: cn},
		DNSNames:              append([]string{cn}, sans...),
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(0, 0, 30),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true, // so that a pool with it verifies it
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
