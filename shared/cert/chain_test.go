package cert

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// RFC 9846 4.5.1.2 [10], 6.2 [6]
func TestVerifyServer(t *testing.T) {
	root, stranger := newAuthority("root"), newAuthority("stranger")
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)

	issuer := authority{key: p384()}
	issuer.certificate = must(x509.ParseCertificate(root.issue(p384().Public(), func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.BasicConstraintsValid = pkix.Name{CommonName: "issuer"}, true, true
		c.KeyUsage, c.ExtKeyUsage, c.DNSNames = x509.KeyUsageCertSign, nil, nil
	})))
	intermediate := issuer.certificate.Raw

	for _, test := range []struct {
		name   string
		server string
		chain  [][]byte
		at     time.Time
		want   alert.Alert // CloseNotify for none
	}{
		{"good", "godwit.example", [][]byte{root.issue(p256().Public(), nil)}, now, alert.CloseNotify},
		{"good, RSA", "godwit.example", [][]byte{root.issue(rsa2048().Public(), nil)}, now, alert.CloseNotify},
		{"good, Ed25519", "godwit.example", [][]byte{root.issue(edwards().Public(), nil)}, now, alert.CloseNotify},
		{"good, through an intermediate", "godwit.example", [][]byte{issuer.issue(p256().Public(), nil), intermediate}, now, alert.CloseNotify},
		{"intermediate missing", "godwit.example", [][]byte{issuer.issue(p256().Public(), nil)}, now, alert.UnknownCA},
		{"unknown authority", "godwit.example", [][]byte{stranger.issue(p256().Public(), nil)}, now, alert.UnknownCA},
		{"unknown authority, its root beside it", "godwit.example",
			[][]byte{stranger.issue(p256().Public(), nil), stranger.certificate.Raw}, now, alert.UnknownCA},
		{"expired", "godwit.example", [][]byte{root.issue(p256().Public(), nil)}, now.Add(61 * time.Minute), alert.CertificateExpired},
		{"not yet valid", "godwit.example", [][]byte{root.issue(p256().Public(), nil)}, now.Add(-61 * time.Minute), alert.CertificateExpired},
		{"another name", "other.example", [][]byte{root.issue(p256().Public(), nil)}, now, alert.BadCertificate},
		{"an address instead", "192.0.2.1", [][]byte{root.issue(p256().Public(), nil)}, now, alert.BadCertificate},
		{"for clients only", "godwit.example", [][]byte{root.issue(p256().Public(), func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})}, now, alert.UnsupportedCertificate},
		{"unsupported curve", "godwit.example", [][]byte{root.issue(p224().Public(), nil)}, now, alert.UnsupportedCertificate},
		{"critical extension", "godwit.example", [][]byte{root.issue(p256().Public(), func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		})}, now, alert.BadCertificate},
		{"none", "godwit.example", nil, now, alert.DecodeError},
	} {
		t.Run(test.name, func(t *testing.T) {
			chain := must(Parse(test.chain))
			chains, err := VerifyServer(chain, roots, test.server, test.at)
			if test.want != alert.CloseNotify {
				wantAlert(t, err, test.want, alert.Peer)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if last := len(chains[0]) - 1; last != len(chain) || !chains[0][last].Equal(root.certificate) {
				t.Errorf("expected a chain of %d certificates to the root, got %d", len(chain)+1, last+1)
			}
		})
	}

	_, err := VerifyServer(must(Parse([][]byte{root.issue(p256().Public(), nil)})), roots, "", now)
	wantAlert(t, err, alert.InternalError, alert.Local)
}

// Behind the leaf certificates may stand in any order, and some that nobody needs
// (RFC 9846 4.5.1).
//
// RFC 9846 4.5.1 [11]
func TestVerifyAnyOrder(t *testing.T) {
	root, stranger := newAuthority("root"), newAuthority("stranger")
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)
	below := func(above authority, name string) authority {
		a := authority{key: p256()}
		a.certificate = must(x509.ParseCertificate(above.issue(a.key.Public(), func(c *x509.Certificate) {
			c.Subject, c.IsCA, c.BasicConstraintsValid = pkix.Name{CommonName: name}, true, true
			c.KeyUsage, c.ExtKeyUsage, c.DNSNames = x509.KeyUsageCertSign, nil, nil
		})))
		return a
	}
	first := below(root, "first")
	second := below(first, "second")
	chain := must(Parse([][]byte{second.issue(p256().Public(), nil), stranger.certificate.Raw, first.certificate.Raw, second.certificate.Raw}))
	chains, err := VerifyServer(chain, roots, "godwit.example", now)
	if err != nil || len(chains[0]) != 4 {
		t.Errorf("%v, %v", chains, err)
	}
}

// What only a signature over MD5 or SHA-1 ties to a root is a bad certificate
// (RFC 9846 4.5.1.3), and not one of an unknown authority.
//
// RFC 9846 4.5.1.3 [2, 3]
func TestVerifyBrokenHashes(t *testing.T) {
	below := func(above authority, name string, key crypto.Signer, algorithm x509.SignatureAlgorithm) authority {
		a := authority{key: key}
		a.certificate = must(x509.ParseCertificate(above.issue(a.key.Public(), func(c *x509.Certificate) {
			c.Subject, c.IsCA, c.BasicConstraintsValid = pkix.Name{CommonName: name}, true, true
			c.KeyUsage, c.ExtKeyUsage, c.DNSNames = x509.KeyUsageCertSign, nil, nil
			c.SignatureAlgorithm = algorithm
		})))
		return a
	}
	root := below(newAuthority("above"), "root", rsa2048(), x509.ECDSAWithSHA256)
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)
	broken := below(root, "broken", rsaOther(), x509.SHA1WithRSA)
	leaf := func(above authority, algorithm x509.SignatureAlgorithm) []byte {
		return above.issue(p256().Public(), func(c *x509.Certificate) { c.SignatureAlgorithm = algorithm })
	}
	for _, test := range []struct {
		name  string
		chain [][]byte
		want  alert.Alert // CloseNotify for none
	}{
		{"SHA-1", [][]byte{leaf(root, x509.SHA1WithRSA)}, alert.BadCertificate},
		{"MD5", [][]byte{overMD5(leaf(root, x509.SHA1WithRSA))}, alert.BadCertificate},
		{"SHA-1 above the leaf", [][]byte{leaf(broken, x509.SHA256WithRSA), broken.certificate.Raw}, alert.BadCertificate},
		{"SHA-1 beside a chain", [][]byte{leaf(root, x509.SHA256WithRSA), broken.certificate.Raw}, alert.CloseNotify},
	} {
		_, err := VerifyServer(must(Parse(test.chain)), roots, "godwit.example", now)
		switch {
		case test.want != alert.CloseNotify:
			t.Run(test.name, func(t *testing.T) { wantAlert(t, err, test.want, alert.Peer) })
		case err != nil:
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// overMD5 is a certificate with sha1WithRSAEncryption that says md5WithRSAEncryption
// instead, which crypto/x509 makes none with.
func overMD5(der []byte) []byte {
	sha1WithRSA := must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}))
	md5WithRSA := must(asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}))
	return bytes.ReplaceAll(der, sha1WithRSA, md5WithRSA)
}

// Applications look into errors for the types of crypto/tls and crypto/x509.
func TestVerifyServerErrorTypes(t *testing.T) {
	root, stranger := newAuthority("root"), newAuthority("stranger")
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)
	good := must(Parse([][]byte{root.issue(p256().Public(), nil)}))

	_, err := VerifyServer(must(Parse([][]byte{stranger.issue(p256().Public(), nil)})), roots, "godwit.example", now)
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok || unknown.Cert == nil {
		t.Errorf("expected an x509.UnknownAuthorityError, got %v", err)
	}
	_, err = VerifyServer(good, roots, "other.example", now)
	if name, ok := errors.AsType[x509.HostnameError](err); !ok || name.Host != "other.example" {
		t.Errorf("expected an x509.HostnameError, got %v", err)
	}
	_, err = VerifyServer(good, roots, "godwit.example", now.AddDate(1, 0, 0))
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); !ok || invalid.Reason != x509.Expired {
		t.Errorf("expected an x509.CertificateInvalidError, got %v", err)
	}
	if failed, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || failed.UnverifiedCertificates[0] != good[0] {
		t.Errorf("expected a *tls.CertificateVerificationError with the chain, got %v", err)
	}
}

func TestVerifyClient(t *testing.T) {
	root := newAuthority("root")
	roots := x509.NewCertPool()
	roots.AddCert(root.certificate)
	forClients := must(Parse([][]byte{root.issue(p256().Public(), func(c *x509.Certificate) {
		c.ExtKeyUsage, c.DNSNames = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, nil
	})}))
	if chains, err := VerifyClient(forClients, roots, now); err != nil || len(chains) != 1 {
		t.Errorf("expected one chain, got %d, %v", len(chains), err)
	}
	_, err := VerifyClient(forClients, roots, now.AddDate(1, 0, 0))
	wantAlert(t, err, alert.CertificateExpired, alert.Peer)
	_, err = VerifyClient(forClients, x509.NewCertPool(), now)
	wantAlert(t, err, alert.UnknownCA, alert.Peer)
	_, err = VerifyClient(must(Parse([][]byte{root.issue(p256().Public(), nil)})), roots, now)
	wantAlert(t, err, alert.UnsupportedCertificate, alert.Peer)
	_, err = VerifyClient(nil, roots, now)
	wantAlert(t, err, alert.DecodeError, alert.Peer)
}

func TestClassifyMissingSystemRoots(t *testing.T) {
	if description, fault := classify(x509.SystemRootsError{}, nil); description != alert.UnknownCA || fault != alert.Local {
		t.Errorf("expected unknown_ca by local fault, got %v by %v fault", description, fault)
	}
}

// RFC 9846 4.5.1.2 [1], C.2 [1]
func TestParseRefuses(t *testing.T) {
	root := newAuthority("root")
	good := root.issue(p256().Public(), nil)
	for n := range good {
		_, err := Parse([][]byte{good[:n]})
		wantAlert(t, err, alert.DecodeError, alert.Peer)
	}
	_, err := Parse([][]byte{good, append(good[:len(good):len(good)], 0)})
	wantAlert(t, err, alert.DecodeError, alert.Peer)

	modulus := func(bits uint) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
	}
	if _, err := Parse([][]byte{good, root.issue(modulus(8192), nil)}); err != nil {
		t.Errorf("8192 bits: %v", err)
	}
	_, err = Parse([][]byte{good, root.issue(modulus(8193), nil)})
	wantAlert(t, err, alert.BadCertificate, alert.Peer)
}

// RFC 9846 4.5.1.2 [3]
func TestCheckKeyUsage(t *testing.T) {
	root := newAuthority("root")
	leaf := func(edit func(*x509.Certificate)) *x509.Certificate {
		return must(Parse([][]byte{root.issue(p256().Public(), edit)}))[0]
	}
	for name, usage := range map[string]x509.KeyUsage{
		"absent":            0,
		"digitalSignature":  x509.KeyUsageDigitalSignature,
		"and encipherment":  x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		"and encipherOnly9": x509.KeyUsageDigitalSignature | x509.KeyUsageDecipherOnly,
	} {
		if err := CheckKeyUsage(leaf(func(c *x509.Certificate) { c.KeyUsage = usage }), x509.KeyUsageDigitalSignature); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	encipherment := leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement })
	wantAlert(t, CheckKeyUsage(encipherment, x509.KeyUsageDigitalSignature), alert.BadCertificate, alert.Peer)
	if err := CheckKeyUsage(encipherment, x509.KeyUsageKeyEncipherment); err != nil {
		t.Errorf("for key transport: %v", err)
	}
	nothing := leaf(func(c *x509.Certificate) {
		c.KeyUsage = 0
		c.ExtraExtensions = []pkix.Extension{{Id: keyUsage, Critical: true, Value: []byte{3, 1, 0}}}
	})
	wantAlert(t, CheckKeyUsage(nothing, x509.KeyUsageDigitalSignature), alert.BadCertificate, alert.Peer)
}
