package cert

import (
	"crypto/tls"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// RFC 9846 4.3.3 [12, 15]
func TestSchemes(t *testing.T) {
	common := []tls.SignatureScheme{0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b}
	for _, u := range everyUse {
		want := common
		if !u.Version.Is13() {
			want = append(slices.Clone(common), 0x0401, 0x0501, 0x0601)
			if u.SHA1 {
				want = append(want, 0x0203, 0x0201)
			}
		}
		if got := Schemes(nil, u); !slices.Equal(got, want) {
			t.Errorf("%v: expected [%s], got [%s]", u, schemeNames(want), schemeNames(got))
		}
	}
	in12, in13 := Use{Version: protocol.VersionTLS12, By: ClientVerify}, Use{Version: protocol.VersionTLS13, By: ClientVerify}
	if got := Schemes(nil, in13, in12); !slices.Equal(got, Schemes(nil, in12)) {
		t.Errorf("both versions: got [%s]", schemeNames(got))
	}
	named := []tls.SignatureScheme{0x0201, 0x0520, 0x0401, 0x2a2a, 0x0403}
	for _, test := range []struct {
		uses []Use
		want []tls.SignatureScheme
	}{
		{[]Use{in12}, []tls.SignatureScheme{0x0401, 0x0403}},
		{[]Use{in13}, []tls.SignatureScheme{0x0520, 0x0403}},
		{[]Use{in12, in13}, []tls.SignatureScheme{0x0520, 0x0401, 0x0403}},
		{[]Use{{Version: protocol.VersionTLS13, By: ServerVerify}}, []tls.SignatureScheme{0x0403}},
		{[]Use{{Version: protocol.VersionTLS12, SHA1: true}}, []tls.SignatureScheme{0x0201, 0x0401, 0x0403}},
	} {
		if got := Schemes(named, test.uses...); !slices.Equal(got, test.want) {
			t.Errorf("%v: expected [%s], got [%s]", test.uses, schemeNames(test.want), schemeNames(got))
		}
	}
	if got := Schemes([]tls.SignatureScheme{}, in12); len(got) != 0 {
		t.Errorf("an empty list gives [%s]", schemeNames(got))
	}
}

func TestSchemeName(t *testing.T) {
	for id, want := range map[tls.SignatureScheme]string{
		0x0403: "ecdsa_secp256r1_sha256", 0x0503: "ecdsa_secp384r1_sha384", 0x0603: "ecdsa_secp521r1_sha512",
		0x0804: "rsa_pss_rsae_sha256", 0x0805: "rsa_pss_rsae_sha384", 0x0806: "rsa_pss_rsae_sha512",
		0x0809: "rsa_pss_pss_sha256", 0x080a: "rsa_pss_pss_sha384", 0x080b: "rsa_pss_pss_sha512",
		0x0401: "rsa_pkcs1_sha256", 0x0501: "rsa_pkcs1_sha384", 0x0601: "rsa_pkcs1_sha512",
		0x0807: "ed25519", 0x0420: "rsa_pkcs1_sha256_legacy", 0x0201: "rsa_pkcs1_sha1", 0x0203: "ecdsa_sha1", 0xabcd: "signature scheme 0xabcd",
	} {
		if got := SchemeName(id); got != want {
			t.Errorf("0x%04x: expected %q, got %q", uint16(id), want, got)
		}
	}
}

func TestUsable(t *testing.T) {
	for _, k := range keyTypes {
		if got := KindOf(k.key().Public()); got != k.kind {
			t.Errorf("%s: expected the kind %d, got %d", k.name, k.kind, got)
		}
		key := k.key()
		for _, v := range versions {
			want := k.in12
			if v.Is13() {
				want = k.in13
			}
			got, err := Usable(key, nil, Use{Version: v})
			if !slices.Equal(got, want) {
				t.Errorf("%s in %v: expected [%s], got [%s]", k.name, v, schemeNames(want), schemeNames(got))
			}
			if len(want) == 0 {
				wantAlert(t, err, alert.HandshakeFailure, alert.Local)
			} else if err != nil {
				t.Errorf("%s in %v: %v", k.name, v, err)
			}
		}
	}
}

func TestUsableKeepsToTheList(t *testing.T) {
	within := []tls.SignatureScheme{tls.PKCS1WithSHA256, tls.Ed25519, 0x2a2a, tls.PSSWithSHA384} // in another order than ours
	got, err := Usable(rsa2048(), within, Use{Version: protocol.VersionDTLS12})
	if want := []tls.SignatureScheme{tls.PKCS1WithSHA256, tls.PSSWithSHA384}; err != nil || !slices.Equal(got, want) {
		t.Errorf("expected [%s], got [%s], %v", schemeNames(want), schemeNames(got), err)
	}
	_, err = Usable(rsa2048(), []tls.SignatureScheme{tls.PKCS1WithSHA256}, Use{Version: protocol.VersionDTLS13})
	wantAlert(t, err, alert.HandshakeFailure, alert.Local)

	_, err = Usable("no key", nil, Use{Version: protocol.VersionDTLS13})
	wantAlert(t, err, alert.HandshakeFailure, alert.Local)
	_, err = Usable(nil, nil, Use{Version: protocol.VersionDTLS13})
	wantAlert(t, err, alert.HandshakeFailure, alert.Local)
}

// RFC 9846 4.5.2 [4]
func TestChoose(t *testing.T) {
	key := rsa2048()
	peer := []tls.SignatureScheme{0x0a0a, tls.Ed25519, tls.PKCS1WithSHA256, tls.PSSWithSHA512, tls.PSSWithSHA384}
	if got, err := Choose(key, nil, Use{Version: protocol.VersionDTLS13}, peer); err != nil || got != tls.PSSWithSHA384 {
		t.Errorf("expected our first of the peer's, rsa_pss_rsae_sha384; got %s, %v", SchemeName(got), err)
	}
	peer = []tls.SignatureScheme{tls.PKCS1WithSHA1, tls.PKCS1WithSHA512}
	if got, err := Choose(key, nil, Use{Version: protocol.VersionDTLS12}, peer); err != nil || got != tls.PKCS1WithSHA512 {
		t.Errorf("expected rsa_pkcs1_sha512; got %s, %v", SchemeName(got), err)
	}
	_, err := Choose(key, nil, Use{Version: protocol.VersionDTLS13}, peer)
	wantAlert(t, err, alert.HandshakeFailure, alert.Peer)
	_, err = Choose(key, nil, Use{Version: protocol.VersionDTLS13}, nil)
	wantAlert(t, err, alert.MissingExtension, alert.Peer)
	_, err = Choose(key, nil, Use{Version: protocol.VersionDTLS12}, nil)
	wantAlert(t, err, alert.HandshakeFailure, alert.Peer)
	if got, err := Choose(key, nil, Use{Version: protocol.VersionDTLS12, SHA1: true}, nil); err != nil || got != tls.PKCS1WithSHA1 {
		t.Errorf("expected the SHA-1 that is implied; got %s, %v", SchemeName(got), err)
	}
	_, err = Choose(p224(), nil, Use{Version: protocol.VersionDTLS12}, peer)
	wantAlert(t, err, alert.HandshakeFailure, alert.Local)
}

// crypto/tls judges every key and scheme as we do. Its CertificateRequestInfo,
// which a GetClientCertificate callback asks, works with the exported fields
// alone, if Version is TLS's number also for DTLS.
func TestChooseAgreesWithCryptoTLS(t *testing.T) {
	for _, k := range keyTypes {
		if k.kind == Unsupported {
			continue // crypto/tls takes P-224 in 1.2; nobody offers it as a group
		}
		c := &tls.Certificate{PrivateKey: k.key()}
		for _, v := range versions {
			for _, id := range everyScheme {
				_, err := Choose(c.PrivateKey, nil, Use{Version: v}, []tls.SignatureScheme{id})
				request := &tls.CertificateRequestInfo{
					Version:          uint16(v.Over(protocol.Stream)),
					SignatureSchemes: []tls.SignatureScheme{id},
				}
				if theirs := request.SupportsCertificate(c); (err == nil) != (theirs == nil) {
					t.Errorf("%s in %v with %s: we say %v, crypto/tls says %v", k.name, v, SchemeName(id), err, theirs)
				}
			}
		}
	}
}

func TestSchemeKind(t *testing.T) {
	for _, k := range keyTypes {
		for _, id := range k.in12 {
			if got := SchemeKind(id); got != k.kind {
				t.Errorf("%s: expected the kind %d, got %d", SchemeName(id), k.kind, got)
			}
		}
	}
	for _, id := range []tls.SignatureScheme{0, 0x1234} {
		if got := SchemeKind(id); got != Unsupported {
			t.Errorf("%s: expected no kind, got %d", SchemeName(id), got)
		}
	}
}
