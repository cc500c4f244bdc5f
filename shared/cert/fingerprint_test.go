package cert

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
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

// Of several fingerprints one must fit, and of several hashes the strongest that
// is known counts (RFC 8122 5.1).
func TestVerifyFingerprints(t *testing.T) {
	const unknown = "sha-1 A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D" // of abc, and right
	of := func(hash crypto.Hash, content string) string { return Fingerprint(hash, []byte(content)) }
	const fits = alert.CloseNotify
	for name, test := range map[string]struct {
		fingerprints []string
		want         alert.Alert
	}{
		"the first":                    {[]string{of(crypto.SHA256, "abc"), of(crypto.SHA256, "other")}, fits},
		"the last":                     {[]string{of(crypto.SHA256, "other"), of(crypto.SHA256, "another"), of(crypto.SHA256, "abc")}, fits},
		"twice":                        {[]string{of(crypto.SHA256, "abc"), of(crypto.SHA256, "abc")}, fits},
		"none":                         {[]string{of(crypto.SHA256, "other"), of(crypto.SHA256, "another")}, alert.BadCertificate},
		"by each hash":                 {[]string{of(crypto.SHA384, "abc"), of(crypto.SHA512, "abc"), of(crypto.SHA256, "abc")}, fits},
		"by the weaker hash alone":     {[]string{of(crypto.SHA256, "abc"), of(crypto.SHA512, "other")}, alert.BadCertificate},
		"by the weaker, in the end":    {[]string{of(crypto.SHA384, "other"), of(crypto.SHA256, "abc")}, alert.BadCertificate},
		"by the stronger hash":         {[]string{of(crypto.SHA256, "other"), of(crypto.SHA384, "abc")}, fits},
		"beside an unknown hash":       {[]string{unknown, of(crypto.SHA256, "abc"), "sha3-256 00"}, fits},
		"by an unknown hash":           {[]string{unknown, of(crypto.SHA256, "other")}, alert.BadCertificate},
		"of an unknown hash alone":     {[]string{unknown, "md5 90:01"}, alert.InternalError},
		"beside a malformed one":       {[]string{of(crypto.SHA256, "abc"), "sha-256 00"}, alert.InternalError},
		"beside a malformed, weaker":   {[]string{of(crypto.SHA512, "abc"), "sha-256 00"}, alert.InternalError},
		"beside one without a hash":    {[]string{of(crypto.SHA512, "abc"), "00"}, alert.InternalError},
		"beside one that is not there": {[]string{of(crypto.SHA512, "abc"), ""}, alert.InternalError},
		"no fingerprint":               {nil, alert.InternalError},
	} {
		switch err := VerifyFingerprint([]byte("abc"), test.fingerprints...); test.want {
		case fits:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case alert.BadCertificate:
			if wantAlert(t, err, alert.BadCertificate, alert.Peer); !errors.Is(err, alert.WrongFingerprint) {
				t.Errorf("%s: %v", name, err)
			}
		default:
			wantAlert(t, err, test.want, alert.Local)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func FuzzVerifyFingerprint(f *testing.F) {
	f.Add(Fingerprint(crypto.SHA256, nil), Fingerprint(crypto.SHA256, []byte{1}))
	f.Add(Fingerprint(crypto.SHA512, nil), Fingerprint(crypto.SHA256, []byte{0}))
	f.Add("sha-256:00", "sha-1 00")
	f.Fuzz(func(t *testing.T, one, other string) {
		if VerifyFingerprint(nil, one) == nil && VerifyFingerprint([]byte{0}, one) == nil {
			t.Errorf("%q fits two certificates", one)
		}
		parsed, err := ParseFingerprints(one, other)
		if err == nil && (len(parsed.sums) == 0 || len(parsed.sums[0]) != parsed.hash.Size()) {
			t.Errorf("%q and %q: %+v", one, other, parsed)
		}
		if VerifyFingerprint(nil, one, other) == nil && VerifyFingerprint(nil, one) != nil && VerifyFingerprint(nil, other) != nil {
			t.Errorf("neither %q nor %q fits, and both together do", one, other)
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
