package cert

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

func TestContentDelegated(t *testing.T) {
	want := strings.Repeat(" ", 64) + "TLS, server delegated credentials\x00certificatecredential" // RFC 9345 4
	if got := string(ContentDelegated([]byte("certificate"), []byte("credential"))); got != want {
		t.Errorf("expected %q, got %q", want, got)
	}
}

func TestDelegable(t *testing.T) {
	want := []tls.SignatureScheme{0x0403, 0x0503, 0x0603, 0x0807, 0x0809, 0x080a, 0x080b}
	for _, id := range everyScheme {
		if got := Delegable(id); got != slices.Contains(want, id) {
			t.Errorf("%s: %v", SchemeName(id), got)
		}
	}
}

func TestCheckDelegation(t *testing.T) {
	root := newAuthority("root")
	leaf := func(usage x509.KeyUsage, extensions ...pkix.Extension) *x509.Certificate {
		return must(Parse([][]byte{root.issue(p256().Public(), func(c *x509.Certificate) {
			c.KeyUsage, c.ExtraExtensions = usage, extensions
		})}))[0]
	}
	delegates := pkix.Extension{Id: delegationUsage, Value: []byte{5, 0}}
	good := leaf(x509.KeyUsageDigitalSignature, delegates)
	for name, test := range map[string]struct {
		leaf    *x509.Certificate
		expires time.Time
		good    bool
	}{
		"good":             {good, now.Add(time.Hour), true},
		"to the second":    {good, now, true},
		"seven days":       {good, now.Add(maxDelegation), true},
		"over":             {good, now.Add(-time.Second), false},
		"too long":         {good, now.Add(maxDelegation + time.Second), false},
		"without mark":     {leaf(x509.KeyUsageDigitalSignature), now.Add(time.Hour), false},
		"without KeyUsage": {leaf(0, delegates), now.Add(time.Hour), false},
		"for other use":    {leaf(x509.KeyUsageKeyAgreement, delegates), now.Add(time.Hour), false},
	} {
		err := CheckDelegation(test.leaf, test.expires, now)
		if test.good && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !test.good {
			wantAlert(t, err, alert.IllegalParameter, alert.Peer)
		}
	}
}
