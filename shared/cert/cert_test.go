package cert

import (
	"crypto"
	"crypto/tls"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// RFC 9846 4.5.1 [9]
func TestCheckKey(t *testing.T) {
	ours, other := must(SelfSigned(now, "a.example")), must(SelfSigned(now, "b.example"))
	if err := CheckKey(&ours); err != nil {
		t.Errorf("a certificate with its own key: %v", err)
	}
	ours.PrivateKey = other.PrivateKey
	wantAlert(t, CheckKey(&ours), alert.HandshakeFailure, alert.Local)
	ours.PrivateKey = nil
	wantAlert(t, CheckKey(&ours), alert.HandshakeFailure, alert.Local)
	ours.Certificate, ours.Leaf = [][]byte{{1, 2, 3}}, nil
	wantAlert(t, CheckKey(&ours), alert.HandshakeFailure, alert.Local)
}

func TestHasIssuer(t *testing.T) {
	root, issuer := newAuthority("root"), newAuthority("issuer")
	chain := &tls.Certificate{Certificate: [][]byte{issuer.issue(p256().Public(), nil), root.issue(p256().Public(), nil), {1, 2}}}
	for name, test := range map[string]struct {
		names [][]byte
		want  bool
	}{
		"leaf's":           {[][]byte{newAuthority("stranger").certificate.RawSubject, issuer.certificate.RawSubject}, true},
		"intermediate's":   {[][]byte{root.certificate.RawSubject}, true},
		"another":          {[][]byte{newAuthority("stranger").certificate.RawSubject}, false},
		"a part of a name": {[][]byte{root.certificate.RawSubject[1:]}, false},
		"none":             {nil, false},
	} {
		if got := HasIssuer(chain, test.names); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestCurveOf(t *testing.T) {
	for want, key := range map[tls.CurveID]func() crypto.Signer{21: p224, tls.CurveP256: p256, tls.CurveP384: p384, tls.CurveP521: p521} {
		if got, ok := CurveOf(key().Public()); !ok || got != want {
			t.Errorf("expected %v, got %v", want, got)
		}
	}
	if got, ok := CurveOf(edwards().Public()); ok {
		t.Errorf("an Ed25519 key is on %v", got)
	}
}
