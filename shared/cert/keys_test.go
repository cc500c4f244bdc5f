package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

var versions = []protocol.Version{protocol.VersionTLS12, protocol.VersionTLS13, protocol.VersionDTLS12, protocol.VersionDTLS13}

// now is inside the validity of what the tests issue.
var now = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func wantAlert(t *testing.T, err error, want alert.Alert, fault alert.Fault) {
	t.Helper()
	var got *alert.Error
	switch {
	case !errors.As(err, &got):
		t.Errorf("expected the alert %v, got %v", want, err)
	case got.Alert != want || got.Fault != fault:
		t.Errorf("expected the alert %v by %v fault, got: %v", want, fault, err)
	}
}

func newECDSA(curve elliptic.Curve) func() crypto.Signer {
	return sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(curve, rand.Reader)) })
}

func newRSA(bits int) func() crypto.Signer {
	return sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, bits)) })
}

func newEd25519() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must(key, err)
}

var (
	p224      = newECDSA(elliptic.P224())
	p256      = newECDSA(elliptic.P256())
	p256Other = newECDSA(elliptic.P256())
	p384      = newECDSA(elliptic.P384())
	p521      = newECDSA(elliptic.P521())
	edwards   = sync.OnceValue(newEd25519)
	rsa1024   = newRSA(1024)
	rsa2048   = newRSA(2048)
	rsaOther  = newRSA(2048)
)

// keyTypes says what the RFCs allow each key to sign with, in our order. It is
// written by hand: the package's own table must agree with it.
var keyTypes = []keyType{
	{"P-224", p224, p224, Unsupported, nil, nil, nil},
	{"P-256", p256, p256Other, ECDSA, []tls.SignatureScheme{0x0403, 0x0503, 0x0603}, []tls.SignatureScheme{0x0403}, sha1ECDSA},
	{"P-384", p384, newECDSA(elliptic.P384()), ECDSA, []tls.SignatureScheme{0x0403, 0x0503, 0x0603}, []tls.SignatureScheme{0x0503}, sha1ECDSA},
	{"P-521", p521, newECDSA(elliptic.P521()), ECDSA, []tls.SignatureScheme{0x0403, 0x0503, 0x0603}, []tls.SignatureScheme{0x0603}, sha1ECDSA},
	{"Ed25519", edwards, newEd25519, Ed25519, []tls.SignatureScheme{0x0807}, []tls.SignatureScheme{0x0807}, nil},
	{"RSA-1024", rsa1024, newRSA(1024), RSA,
		[]tls.SignatureScheme{0x0804, 0x0805, 0x0401, 0x0501, 0x0601}, []tls.SignatureScheme{0x0804, 0x0805}, legacyRSA},
	{"RSA-2048", rsa2048, rsaOther, RSA,
		[]tls.SignatureScheme{0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601}, []tls.SignatureScheme{0x0804, 0x0805, 0x0806}, legacyRSA},
}

var (
	sha1ECDSA = []tls.SignatureScheme{0x0203}
	legacyRSA = []tls.SignatureScheme{0x0420, 0x0520, 0x0620, 0x0201}
)

type keyType struct {
	name       string
	key, other func() crypto.Signer // other is one of the same type
	kind       Kind
	in12, in13 []tls.SignatureScheme
	byName     []tls.SignatureScheme // allowed under some condition: see allowed
}

// everyUse is where signatures stand.
var everyUse = func() (all []Use) {
	for _, v := range versions {
		for _, by := range []Context{ServerVerify, ClientVerify} {
			all = append(all, Use{v, by, false}, Use{v, by, true})
		}
	}
	return all
}()

// allowed are the schemes that may stand there, by name too.
func (k keyType) allowed(u Use) []tls.SignatureScheme {
	if u.Version.Is13() {
		if u.By == ClientVerify && k.kind == RSA {
			return append(slices.Clone(k.in13), k.byName[:3]...)
		}
		return k.in13
	}
	if u.SHA1 && k.byName != nil {
		return append(slices.Clone(k.in12), k.byName[len(k.byName)-1])
	}
	return k.in12
}

// everyScheme holds all that RFC 9846 4.3.3 names and one that nobody knows.
var everyScheme = []tls.SignatureScheme{
	0x0401, 0x0501, 0x0601, 0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806,
	0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x0201, 0x0203, 0x1234, 0x0420, 0x0520, 0x0620,
}

// An authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newAuthority(name string) authority {
	key := newECDSA(elliptic.P256())()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.AddDate(-1, 0, 0),
		NotAfter:              now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	return authority{must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)))), key}
}

// issue returns the DER encoding of a certificate of public, good for servers
// under the name godwit.example unless edit changes it.
func (a authority) issue(public crypto.PublicKey, edit func(*x509.Certificate)) []byte {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(time.Hour),
		DNSNames:     []string{"godwit.example"},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(template)
	}
	return must(x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key))
}
