package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha1"   // linked for crypto.SHA1
	_ "crypto/sha256" // for crypto.SHA256
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
	unknown     algorithm = iota
	signECDSA             // ASN.1 form
	signEd25519           // of the whole content, without a hash before it
	signRSAE              // RSASSA-PSS by a key with the OID rsaEncryption
	signPSS               // RSASSA-PSS by a key with the OID RSASSA-PSS
	signPKCS1             // RSASSA-PKCS1-v1_5
)

// uses is a set of signatures that a scheme may make.
type uses uint8

const (
	in12 uses = 1 << iota
	in13
	clientIn13 // and only where a list names it
)

type scheme struct {
	id        tls.SignatureScheme
	name      string // in RFC 9846 4.3.3
	algorithm algorithm
	hash      crypto.Hash
	curve     elliptic.Curve // binding in 1.3 only
	uses      uses
}

// schemes are in order of preference. crypto/tls names all but rsa_pss_pss and
// the code points by which a client whose key can do nothing else (in old
// hardware, mostly) may sign with PKCS #1 in 1.3 after all (RFC 9963).
//
// RFC 9846 4.3.3 [12, 15, 18], 9.1 [2]
var schemes = [...]scheme{
	{tls.ECDSAWithP256AndSHA256, "ecdsa_secp256r1_sha256", signECDSA, crypto.SHA256, elliptic.P256(), in12 | in13},
	{tls.ECDSAWithP384AndSHA384, "ecdsa_secp384r1_sha384", signECDSA, crypto.SHA384, elliptic.P384(), in12 | in13},
	{tls.ECDSAWithP521AndSHA512, "ecdsa_secp521r1_sha512", signECDSA, crypto.SHA512, elliptic.P521(), in12 | in13},
	{tls.Ed25519, "ed25519", signEd25519, 0, nil, in12 | in13},
	{tls.PSSWithSHA256, "rsa_pss_rsae_sha256", signRSAE, crypto.SHA256, nil, in12 | in13},
	{tls.PSSWithSHA384, "rsa_pss_rsae_sha384", signRSAE, crypto.SHA384, nil, in12 | in13},
	{tls.PSSWithSHA512, "rsa_pss_rsae_sha512", signRSAE, crypto.SHA512, nil, in12 | in13},
	{0x0809, "rsa_pss_pss_sha256", signPSS, crypto.SHA256, nil, in12 | in13},
	{0x080a, "rsa_pss_pss_sha384", signPSS, crypto.SHA384, nil, in12 | in13},
	{0x080b, "rsa_pss_pss_sha512", signPSS, crypto.SHA512, nil, in12 | in13},
	{tls.PKCS1WithSHA256, "rsa_pkcs1_sha256", signPKCS1, crypto.SHA256, nil, in12},
	{tls.PKCS1WithSHA384, "rsa_pkcs1_sha384", signPKCS1, crypto.SHA384, nil, in12},
	{tls.PKCS1WithSHA512, "rsa_pkcs1_sha512", signPKCS1, crypto.SHA512, nil, in12},
	{0x0420, "rsa_pkcs1_sha256_legacy", signPKCS1, crypto.SHA256, nil, clientIn13},
	{0x0520, "rsa_pkcs1_sha384_legacy", signPKCS1, crypto.SHA384, nil, clientIn13},
	{0x0620, "rsa_pkcs1_sha512_legacy", signPKCS1, crypto.SHA512, nil, clientIn13},
	{tls.ECDSAWithSHA1, "ecdsa_sha1", signECDSA, crypto.SHA1, nil, in12}, // and Use.SHA1, RFC 9155
	{tls.PKCS1WithSHA1, "rsa_pkcs1_sha1", signPKCS1, crypto.SHA1, nil, in12},
}

// impliedSHA1 is what a peer of 1.2 verifies that does not say what
// (RFC 5246 7.4.1.4.1).
var impliedSHA1 = []tls.SignatureScheme{tls.PKCS1WithSHA1, tls.ECDSAWithSHA1}

// A Use is where a signature is made. It decides which schemes may make it.
type Use struct {
	Version protocol.Version
	By      Context // who signs, for schemes that are for one role only
	SHA1    bool    // allowed in 1.2, against RFC 9155
}

func find(id tls.SignatureScheme) (s scheme, known bool) {
	i := slices.IndexFunc(schemes[:], func(s scheme) bool { return s.id == id })
	if i < 0 {
		return scheme{}, false
	}
	return schemes[i], true
}

// allowed reports whether s may make a signature.
//
// RFC 9846 4.3.3 [11], 4.5.2 [7]
func (s scheme) allowed(u Use) bool {
	switch {
	case s.hash == crypto.SHA1 && !u.SHA1:
		return false
	case !u.Version.Is13():
		return s.uses&in12 != 0
	case s.uses&clientIn13 != 0:
		return u.By == ClientVerify
	}
	return s.uses&in13 != 0
}

// fits reports whether a key of a handshake of version v signs in scheme s.
//
// RFC 9846 4.3.3 [1, 6, 17], 4.5.2 [6]
func (s scheme) fits(public crypto.PublicKey, v protocol.Version) bool {
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

// Schemes returns those of named that may sign where u says, in their order, or
// without any names all that may by default, in ours: it is what goes into
// signature_algorithms. With several uses it is those that may sign in one of
// them.
//
// Without PKCS #1, thus in 1.3 alone, send Schemes of 1.2 as
// signature_algorithms_cert beside it: most CAs still sign certificates with
// PKCS #1, which is allowed there (RFC 9846 4.3.3).
func Schemes(named []tls.SignatureScheme, in ...Use) []tls.SignatureScheme {
	ids := make([]tls.SignatureScheme, 0, max(len(named), len(schemes)))
	if named == nil {
		for _, s := range schemes {
			if s.uses&clientIn13 == 0 && slices.ContainsFunc(in, s.allowed) {
				ids = append(ids, s.id)
			}
		}
	}
	for _, id := range named {
		if s, known := find(id); known && slices.ContainsFunc(in, s.allowed) {
			ids = append(ids, id)
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

// Usable returns the schemes that a key can sign with where u says: those of
// within in its order or, if that is nil, all in ours. No scheme at all is a
// local handshake_failure.
func Usable(key crypto.PrivateKey, within []tls.SignatureScheme, u Use) ([]tls.SignatureScheme, error) {
	public, err := Public(key)
	if err != nil {
		return nil, err
	}
	ids := slices.DeleteFunc(Schemes(within, u), func(id tls.SignatureScheme) bool {
		s, _ := find(id)
		return !s.fits(public, u.Version)
	})
	switch {
	case len(ids) > 0:
		return ids, nil
	case within != nil:
		return nil, alert.Localf(alert.HandshakeFailure, "%w: our %s can sign %v with none of [%s]",
			alert.NoCommonScheme, describe(public), u.Version, schemeNames(within))
	}
	return nil, alert.Localf(alert.HandshakeFailure, "%w: our %s can't sign %v", alert.NoCommonScheme, describe(public), u.Version)
}

// Choose returns the first of the Usable schemes that peer, the peer's
// signature_algorithms, holds. No scheme in common is handshake_failure; in 1.3
// a peer without the extension gets missing_extension.
//
// RFC 9846 4.5.2 [4]
func Choose(key crypto.PrivateKey, within []tls.SignatureScheme, u Use, peer []tls.SignatureScheme) (tls.SignatureScheme, error) {
	if len(peer) == 0 && u.Version.Is13() { // RFC 9846 4.3.3
		return 0, alert.Peerf(alert.MissingExtension, "%w: expected signature_algorithms, the peer sent none", alert.NoCommonScheme)
	}
	usable, err := Usable(key, within, u)
	if err != nil {
		return 0, err
	}
	if len(peer) == 0 {
		peer = impliedSHA1
	}
	for _, id := range usable {
		if slices.Contains(peer, id) {
			return id, nil
		}
	}
	return 0, alert.Peerf(alert.HandshakeFailure, "%w: our key signs with [%s], the peer verifies [%s]",
		alert.NoCommonScheme, schemeNames(usable), schemeNames(peer))
}
