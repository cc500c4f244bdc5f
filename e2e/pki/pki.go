// Package pki makes the certificates of an interop test: a root, an
// intermediate, and leaves of every kind, as the PEM files that peers read.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ocsp"
)

// A Kind is a kind of key.
type Kind string

const (
	ECDSA   Kind = "ECDSA" // on P-256
	P384    Kind = "P384"  // ECDSA on P-384
	P521    Kind = "P521"  // ECDSA on P-521
	RSA     Kind = "RSA"   // 2048 bits
	Ed25519 Kind = "Ed25519"
)

// Host is the name in every leaf that Authority.Leaf makes for no other name.
const Host = "godwit.test"

// An Authority issues leaves through an intermediate, so that every chain on
// the wire holds two certificates. Not for concurrent use.
type Authority struct {
	Root         string // PEM file
	Intermediate string // PEM file

	dir          string
	root         issuer
	intermediate issuer
	serial       int64
}

type issuer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// A Leaf is an end entity's certificate and key.
type Leaf struct {
	Chain        string // PEM file: the leaf, then the intermediate
	Intermediate string // PEM file: the intermediate alone
	Key          string // PEM file: PKCS #8
	Public       string // PEM file: its public half, which is the leaf's
	Staple       string // DER file: its issuer's OCSP response, good until tomorrow
	Fingerprint  string // SHA-256 of the leaf, lower-case hex
	KeyPrint     string // SHA-256 of the public key, lower-case hex
}

// A Request says what a leaf certifies. The zero Request is an ECDSA leaf for
// Host that is valid now.
type Request struct {
	Kind    Kind
	Name    string    // Host when empty
	Expires time.Time // tomorrow when zero
}

// NewAuthority makes a root and an intermediate and writes them into dir.
func NewAuthority(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	for _, step := range []struct {
		name     string
		from, to *issuer
	}{
		{"Godwit Test Root", &a.root, &a.root},
		{"Godwit Test Intermediate", &a.root, &a.intermediate},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		template := a.template(step.name, time.Now().AddDate(0, 0, 2))
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		if step.from.key == nil { // the root signs itself
			step.from.certificate, step.from.key = template, key
		}
		certificate, err := step.from.sign(template, key.Public())
		if err != nil {
			return nil, err
		}
		step.to.certificate, step.to.key = certificate, key
	}
	var err error
	if a.Root, err = a.write("root", certificateBlock(a.root.certificate)); err != nil {
		return nil, err
	}
	a.Intermediate, err = a.write("intermediate", certificateBlock(a.intermediate.certificate))
	return a, err
}

// Leaf issues a leaf and writes its files.
func (a *Authority) Leaf(r Request) (*Leaf, error) {
	if r.Kind == "" {
		r.Kind = ECDSA
	}
	if r.Name == "" {
		r.Name = Host
	}
	if r.Expires.IsZero() {
		r.Expires = time.Now().AddDate(0, 0, 1)
	}
	key, err := generate(r.Kind)
	if err != nil {
		return nil, err
	}
	template := a.template(r.Name, r.Expires)
	template.DNSNames = []string{r.Name}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	certificate, err := a.intermediate.sign(template, key.Public())
	if err != nil {
		return nil, err
	}
	return a.writeLeaf(certificate, key)
}

func (a *Authority) writeLeaf(certificate *x509.Certificate, key crypto.Signer) (*Leaf, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(certificate.Raw)
	keyDigest := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	leaf := &Leaf{Intermediate: a.Intermediate, Fingerprint: hex.EncodeToString(digest[:]), KeyPrint: hex.EncodeToString(keyDigest[:])}
	name := "leaf" + certificate.SerialNumber.String()
	if leaf.Chain, err = a.write(name, certificateBlock(certificate), certificateBlock(a.intermediate.certificate)); err != nil {
		return nil, err
	}
	if leaf.Key, err = a.write(name+"-key", &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return nil, err
	}
	if leaf.Public, err = a.write(name+"-public", &pem.Block{Type: "PUBLIC KEY", Bytes: certificate.RawSubjectPublicKeyInfo}); err != nil {
		return nil, err
	}
	leaf.Staple = filepath.Join(a.dir, name+"-staple.der")
	return leaf, a.writeStaple(leaf.Staple, certificate)
}

// writeStaple says of a certificate that it is not revoked (RFC 6960).
func (a *Authority) writeStaple(file string, c *x509.Certificate) error {
	now := time.Now()
	issuer := a.intermediate
	response, err := ocsp.CreateResponse(issuer.certificate, issuer.certificate, ocsp.Response{
		Status:       ocsp.Good,
		SerialNumber: c.SerialNumber,
		ThisUpdate:   now.Add(-time.Hour),
		NextUpdate:   now.AddDate(0, 0, 1),
	}, issuer.key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, response, 0o600)
}

// template is what all certificates have in common.
func (a *Authority) template(name string, expires time.Time) *x509.Certificate {
	a.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    expires.AddDate(0, 0, -3),
		NotAfter:     expires,
	}
}

func (a *Authority) write(name string, blocks ...*pem.Block) (string, error) {
	var text bytes.Buffer
	for _, block := range blocks {
		if err := pem.Encode(&text, block); err != nil {
			return "", err
		}
	}
	file := filepath.Join(a.dir, name+".pem")
	return file, os.WriteFile(file, text.Bytes(), 0o600)
}

func (i *issuer) sign(template *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, i.certificate, public, i.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func certificateBlock(c *x509.Certificate) *pem.Block {
	return &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}
}

func generate(kind Kind) (crypto.Signer, error) {
	switch kind {
	case ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case P521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case RSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("pki: no kind of key is called %q", kind)
}
