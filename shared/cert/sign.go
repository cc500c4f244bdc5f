package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"strings"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A Context keeps a server's signature from passing for a client's.
type Context string

// The contexts of CertificateVerify, the same in TLS and DTLS (RFC 9846 4.5.2).
const (
	ServerVerify Context = "TLS 1.3, server CertificateVerify"
	ClientVerify Context = "TLS 1.3, client CertificateVerify"
)

// padding fills the place of the random that begins what a 1.2 server signs, so
// that no signature means something in both versions.
var padding = strings.Repeat(" ", 64)

// Content13 returns what a 1.3 CertificateVerify signs: 64 spaces, the context,
// a zero byte, the transcript hash (RFC 9846 4.5.2).
func Content13(context Context, transcriptHash []byte) []byte {
	content := make([]byte, 0, len(padding)+len(context)+1+len(transcriptHash))
	content = append(content, padding...)
	content = append(content, context...)
	content = append(content, 0)
	return append(content, transcriptHash...)
}

// options are what a crypto.Signer needs to know: the hash, and for PSS a salt
// as long as it.
func (s scheme) options() crypto.SignerOpts {
	if s.algorithm == signRSAE || s.algorithm == signPSS {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.hash}
	}
	return s.hash
}

// Sign signs content, which it hashes as the scheme says (the key does, if it is
// a crypto.MessageSigner). It may take as long as the key does. A scheme that
// doesn't fit the key, and a key that fails, is a local internal_error.
func Sign(key crypto.Signer, id tls.SignatureScheme, content []byte) ([]byte, error) {
	s, known := find(id)
	// Choose has applied the rules of the version. 1.2 has the fewest.
	if !known || !s.fits(key.Public(), protocol.VersionTLS12) {
		return nil, alert.Localf(alert.InternalError, "our %s can't sign with %s", describe(key.Public()), SchemeName(id))
	}
	signature, err := crypto.SignMessage(key, rand.Reader, content, s.options())
	if err != nil {
		return nil, alert.Localf(alert.InternalError, "our %s failed to sign with %s: %w", describe(key.Public()), s.name, err)
	}
	return signature, nil
}

// Verify checks the peer's signature of content, made where u says. Its
// errors are unsupported_certificate for a key of no known Kind, illegal_parameter
// for a scheme that the key or the version doesn't allow, and decrypt_error for a
// signature that is wrong. That the scheme was offered is for the caller to check.
//
// RFC 9846 4.5.2 [9]
func Verify(public crypto.PublicKey, u Use, id tls.SignatureScheme, content, signature []byte) error {
	if KindOf(public) == Unsupported {
		return unsupportedKey(public)
	}
	s, known := find(id)
	if _, pss := public.(*PSSPublicKey); pss && known && s.algorithm == signRSAE {
		return alert.Peerf(alert.IllegalParameter, "%w: the peer signed with %s under the OID RSASSA-PSS", alert.WrongKey, s.name) // RFC 9846 4.3.3
	}
	if !known || !s.allowed(u) || !s.fits(public, u.Version) {
		return alert.Peerf(alert.IllegalParameter, "%w: expected one for an %s in %v, the peer signed with %s",
			alert.WrongScheme, describe(public), u.Version, SchemeName(id))
	}
	if !s.verify(public, content, signature) {
		return alert.Peerf(alert.DecryptError, "%w: %s by the peer's %s", alert.BadSignature, s.name, describe(public))
	}
	return nil
}

func (s scheme) verify(public crypto.PublicKey, content, signature []byte) bool {
	digest := content
	if s.hash != 0 {
		digest = sum(s.hash, content)
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, signature)
	case ed25519.PublicKey:
		return ed25519.Verify(key, digest, signature)
	case *PSSPublicKey:
		return s.verifyPSS(key.RSA, digest, signature)
	case *rsa.PublicKey:
		if s.algorithm == signPKCS1 {
			return rsa.VerifyPKCS1v15(key, s.hash, digest, signature) == nil
		}
		return s.verifyPSS(key, digest, signature)
	}
	return false
}

func sum(hash crypto.Hash, content []byte) []byte {
	h := hash.New()
	h.Write(content)
	return h.Sum(nil)
}

// RFC 9846 4.3.3 [5]
func (s scheme) verifyPSS(key *rsa.PublicKey, digest, signature []byte) bool {
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return rsa.VerifyPSS(key, s.hash, digest, signature, options) == nil
}
