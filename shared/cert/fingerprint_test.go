package cert

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

func TestFingerprint(t *testing.T) {
	const abc = "sha-256 BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD" // FIPS 180-4
	if got := Fingerprint(crypto.SHA256, []byte("abc")); got != abc {
		t.Errorf("expected %s, got %s", abc, got)
	}
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		fingerprint := Fingerprint(hash, []byte("abc"))
		name, digits, _ := strings.Cut(fingerprint, " ")
		bare := strings.ReplaceAll(digits, ":", "")
		for _, form := range []string{
			fingerprint, strings.ToLower(fingerprint), strings.ToUpper(fingerprint),
			name + ":" + strings.ToLower(bare), name + " " + bare, name + ":" + digits,
		} {
			if err := VerifyFingerprint([]byte("abc"), form); err != nil {
				t.Errorf("%q: %v", form, err)
			}
			wantAlert(t, VerifyFingerprint([]byte("abd"), form), alert.BadCertificate, alert.Peer)
		}
		for n := range fingerprint {
			if fingerprint[n] != ':' { // up to a colon is up to the byte before it
				wantAlert(t, VerifyFingerprint([]byte("abc"), fingerprint[:n]), alert.InternalError, alert.Local)
			}
		}
	}
	for _, bad := range []string{
		"sha-1 A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D",
		"md5 90:01", abc + ":00", strings.Replace(abc, "B", "G", 1), " " + abc, abc[len("sha-256 "):], ":", " ", "",
	} {
		wantAlert(t, VerifyFingerprint([]byte("abc"), bad), alert.InternalError, alert.Local)
	}
}

func FuzzVerifyFingerprint(f *testing.F) {
	f.Add(Fingerprint(crypto.SHA256, nil))
	f.Add(Fingerprint(crypto.SHA512, nil))
	f.Add("sha-256:00")
	f.Fuzz(func(t *testing.T, fingerprint string) {
		if VerifyFingerprint(nil, fingerprint) == nil && VerifyFingerprint([]byte{0}, fingerprint) == nil {
			t.Errorf("%q fits two certificates", fingerprint)
		}
	})
}

func TestSelfSigned(t *testing.T) {
	c := must(SelfSigned(now, "godwit.example", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.2"))
	another := must(SelfSigned(now, "godwit.example"))
	if c.Leaf.SerialNumber.Cmp(another.Leaf.SerialNumber) == 0 || c.Leaf.SerialNumber.BitLen() < 64 {
		t.Errorf("the serial number %v isn't random", c.Leaf.SerialNumber)
	}
	chain := must(Parse(c.Certificate))
	roots := x509.NewCertPool()
	roots.AddCert(chain[0])
	for _, name := range []string{"godwit.example", "192.0.2.1", "2001:db8::1", "192.0.2.2"} {
		if _, err := VerifyServer(chain, roots, name, now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := VerifyClient(chain, roots, now.AddDate(0, 0, 29)); err != nil {
		t.Error(err)
	}
	_, err := VerifyClient(chain, roots, now.Add(-2*time.Hour))
	wantAlert(t, err, alert.CertificateExpired, alert.Peer)
	if err := CheckKeyUsage(chain[0], x509.KeyUsageDigitalSignature); err != nil {
		t.Error(err)
	}
	if _, err := SelfSigned(now, "not ascii é"); err == nil {
		t.Error("a name that no certificate can hold is accepted")
	}
}

func TestLeaf(t *testing.T) {
	c := must(SelfSigned(now, "godwit.example"))
	if leaf, err := Leaf(&c); err != nil || leaf != c.Leaf {
		t.Errorf("expected c.Leaf, got %v, %v", leaf, err)
	}
	if leaf, err := Leaf(&tls.Certificate{Certificate: c.Certificate}); err != nil || !leaf.Equal(c.Leaf) {
		t.Errorf("expected the parsed leaf, got %v, %v", leaf, err)
	}
	_, err := Leaf(&tls.Certificate{})
	wantAlert(t, err, alert.HandshakeFailure, alert.Local)
	_, err = Leaf(&tls.Certificate{Certificate: [][]byte{{1}}})
	wantAlert(t, err, alert.HandshakeFailure, alert.Local)
}
