package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // linked for crypto.SHA256
	_ "crypto/sha512" // and for crypto.SHA384, crypto.SHA512
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// An algorithm is the way to sign that a scheme names, beside hash and curve.
type algorithm uint8

const (
	outdated    algorithm = iota // signs no handshake here: RFC 9155, RFC 9846 4.3.3
	signECDSA                    // ASN.1 form
	signEd25519                  // of the whole content, without a hash before it
	signRSAE                     // RSASSA-PSS by a key with the OID rsaEncryption
	signPSS                      // RSASSA-PSS by a key with the OID RSASSA-PSS
	signPKCS1                    // RSASSA-PKCS1-v1_5, in 1.2 only
)

type scheme struct {
	id        tls.SignatureScheme
	name      string // in RFC 9846 4.3.3
	algorithm algorithm
	hash      crypto.Hash
	curve     elliptic.Curve // binding in 1.3 only
}

// schemes are in order of preference. crypto/tls names all but rsa_pss_pss.
var schemes = [...]scheme{
	{tls.ECDSAWithP256AndSHA256, "ecdsa_secp256r1_sha256", signECDSA, crypto.SHA256, elliptic.P256()},
	{tls.ECDSAWithP384AndSHA384, "ecdsa_secp384r1_sha384", signECDSA, crypto.SHA384, elliptic.P384()},
	{tls.ECDSAWithP521AndSHA512, "ecdsa_secp521r1_sha512", signECDSA, crypto.SHA512, elliptic.P521()},
	{tls.Ed25519, "ed25519", signEd25519, 0, nil},
	{tls.PSSWithSHA256, "rsa_pss_rsae_sha256", signRSAE, crypto.SHA256, nil},
	{tls.PSSWithSHA384, "rsa_pss_rsae_sha384", signRSAE, crypto.SHA384, nil},
	{tls.PSSWithSHA512, "rsa_pss_rsae_sha512", signRSAE, crypto.SHA512, nil},
	{0x0809, "rsa_pss_pss_sha256", signPSS, crypto.SHA256, nil},
	{0x080a, "rsa_pss_pss_sha384", signPSS, crypto.SHA384, nil},
	{0x080b, "rsa_pss_pss_sha512", signPSS, crypto.SHA512, nil},
	{tls.PKCS1WithSHA256, "rsa_pkcs1_sha256", signPKCS1, crypto.SHA256, nil},
	{tls.PKCS1WithSHA384, "rsa_pkcs1_sha384", signPKCS1, crypto.SHA384, nil},
	{tls.PKCS1WithSHA512, "rsa_pkcs1_sha512", signPKCS1, crypto.SHA512, nil},
	{tls.ECDSAWithSHA1, "ecdsa_sha1", outdated, crypto.SHA1, nil},
	{tls.PKCS1WithSHA1, "rsa_pkcs1_sha1", outdated, crypto.SHA1, nil},
}

func find(id tls.SignatureScheme) (s scheme, known bool) {
	i := slices.IndexFunc(schemes[:], func(s scheme) bool { return s.id == id })
	if i < 0 {
		return scheme{}, false
	}
	return schemes[i], true
}

// allowed reports whether s may sign a handshake of version v.
func (s scheme) allowed(v protocol.Version) bool {
	return s.algorithm != outdated && !(s.algorithm == signPKCS1 && v.Is13())
}

// fits reports whether a key may sign a handshake of version v in scheme s.
func (s scheme) fits(public crypto.PublicKey, v protocol.Version) bool {
	if !s.allowed(v) {
		return false
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		// RFC 9846 4.3.3: 1.3 binds the curve to the scheme, 1.2 doesn't.
		return s.algorithm == signECDSA && KindOf(key) == ECDSA && (key.Curve == s.curve || !v.Is13())
	case ed25519.PublicKey:
		return s.algorithm == signEd25519
	case *rsa.PublicKey:
		return s.algorithm == signPKCS1 || s.algorithm == signRSAE && s.fitsModulus(key)
	case *PSSPublicKey:
		return s.algorithm == signPSS && s.fitsModulus(key.RSA) && (key.Hash == 0 || key.Hash == s.hash)
	}
	return false
}

// fitsModulus reports whether PSS has room for the hash, a salt of the same
// length and two more bytes (RFC 8017 9.1.1). RSA-1024 with SHA-512 has not.
func (s scheme) fitsModulus(key *rsa.PublicKey) bool {
	return (key.N.BitLen()-1+7)/8 >= 2*s.hash.Size()+2
}

// SchemeName returns the name of a scheme as the RFCs write it:
// "ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256", "ed25519".
func SchemeName(id tls.SignatureScheme) string {
	if s, known := find(id); known {
		return s.name
	}
	return fmt.Sprintf("signature scheme 0x%04x", uint16(id))
}

func schemeNames(ids []tls.SignatureScheme) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = SchemeName(id)
	}
	return strings.Join(names, " ")
}

// Schemes returns what may sign a handshake of version v, in our order. With
// the lowest version on offer as v, it is our signature_algorithms.
//
// Without PKCS #1, thus in 1.3 alone, send Schemes(protocol.VersionTLS12) as
// signature_algorithms_cert beside it: most CAs still sign certificates with
// PKCS #1, which is allowed there (RFC 9846 4.3.3).
func Schemes(v protocol.Version) []tls.SignatureScheme {
	var ids []tls.SignatureScheme
	for _, s := range schemes {
		if s.allowed(v) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// SchemeKind returns the family of keys that sign with a scheme.
func SchemeKind(id tls.SignatureScheme) Kind {
	s, _ := find(id)
	switch s.algorithm {
	case signECDSA:
		return ECDSA
	case signEd25519:
		return Ed25519
	case signRSAE, signPSS, signPKCS1:
		return RSA
	}
	return Unsupported
}

// Usable returns the schemes that a key can sign with in version v: those of
// within in its order or, if that is nil, all in ours. No scheme at all is a
// local handshake_failure.
func Usable(key crypto.PrivateKey, within []tls.SignatureScheme, v protocol.Version) ([]tls.SignatureScheme, error) {
	public, err := Public(key)
	if err != nil {
		return nil, err
	}
	candidates := within
	if within == nil {
		candidates = Schemes(v)
	}
	var ids []tls.SignatureScheme
	for _, id := range candidates {
		if s, known := find(id); known && s.fits(public, v) {
			ids = append(ids, id)
		}
	}
	switch {
	case len(ids) > 0:
		return ids, nil
	case within != nil:
		return nil, alert.Localf(alert.HandshakeFailure, "our %s can sign %v with none of [%s]", describe(public), v, schemeNames(within))
	}
	return nil, alert.Localf(alert.HandshakeFailure, "our %s can't sign %v", describe(public), v)
}

// Choose returns the first of the Usable schemes that peer, the peer's
// signature_algorithms, holds. No scheme in common is handshake_failure; in 1.3
// a peer without the extension gets missing_extension.
func Choose(key crypto.PrivateKey, within []tls.SignatureScheme, v protocol.Version, peer []tls.SignatureScheme) (tls.SignatureScheme, error) {
	usable, err := Usable(key, within, v)
	if err != nil {
		return 0, err
	}
	for _, id := range usable {
		if slices.Contains(peer, id) {
			return id, nil
		}
	}
	switch {
	case len(peer) > 0:
		return 0, alert.Peerf(alert.HandshakeFailure, "%w: our key signs with [%s], the peer verifies [%s]",
			alert.NoCommonScheme, schemeNames(usable), schemeNames(peer))
	case v.Is13():
		return 0, alert.Peerf(alert.MissingExtension, "expected signature_algorithms, the peer sent none") // RFC 9846 4.3.3
	}
	// 1.2 once took SHA-1 for granted here. RFC 9155 2 ended that.
	return 0, alert.Peerf(alert.HandshakeFailure, "expected signature_algorithms, the peer sent none")
}
