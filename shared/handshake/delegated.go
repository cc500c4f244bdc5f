package handshake

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Delegated credentials (RFC 9345): the owner of a certificate signs another
// key, for some days at most, and a server of 1.3 signs with that one. So the
// certificate's own key need not be where the server is.

// A DelegatedCredential lets another key sign for a Credential's Certificate.
type DelegatedCredential struct {
	// Raw is what the certificate's key has signed, with the signature: a
	// DelegatedCredential as it goes over the wire (RFC 9345 4).
	Raw []byte
	// PrivateKey is the delegated key: ECDSA or Ed25519.
	PrivateKey crypto.Signer
}

// NewDelegatedCredential makes a DelegatedCredential for key by the key of
// parent, a certificate that may delegate. Clients take it until expires, and
// if that is no more than seven days away.
func NewDelegatedCredential(parent *tls.Certificate, key crypto.Signer, expires time.Time) (*DelegatedCredential, error) {
	leaf, err := cert.Leaf(parent)
	if err != nil {
		return nil, err
	}
	if !cert.MayDelegate(leaf) {
		return nil, errors.New("the certificate has no DelegationUsage extension, or no digitalSignature in its KeyUsage (RFC 9345 4.2)")
	}
	validTime := expires.Sub(leaf.NotBefore) / time.Second
	if validTime < 0 || validTime > math.MaxUint32 {
		return nil, fmt.Errorf("%v is not within 136 years after the certificate's notBefore, %v", expires, leaf.NotBefore)
	}
	use := cert.Use{Version: protocol.VersionTLS13, By: cert.ServerVerify}
	theirs, err := cert.Usable(key, nil, use)
	if err != nil {
		return nil, err
	}
	ours, err := cert.Usable(parent.PrivateKey, parent.SupportedSignatureAlgorithms, use)
	if err != nil {
		return nil, err
	}
	out := message.DelegatedCredential{ValidTime: uint32(validTime), Scheme: uint16(theirs[0]), Algorithm: uint16(ours[0])}
	if !cert.Delegable(theirs[0]) {
		return nil, fmt.Errorf("%w: %s", alert.WrongScheme, cert.SchemeName(theirs[0]))
	}
	if out.Info, err = cert.RawPublicKey(key.Public()); err != nil {
		return nil, err
	}
	if out.Signature, err = cert.Sign(parent.PrivateKey.(crypto.Signer), ours[0], delegationContent(leaf, &out)); err != nil {
		return nil, err
	}
	var b wire.Builder
	out.Append(&b)
	raw, err := b.Bytes()
	return &DelegatedCredential{Raw: raw, PrivateKey: key}, err
}

// delegationContent is what the certificate's key signs.
func delegationContent(leaf *x509.Certificate, d *message.DelegatedCredential) []byte {
	var b wire.Builder
	d.AppendSigned(&b)
	signed, _ := b.Bytes() // it came out of fields of the same length
	return cert.ContentDelegated(leaf.Raw, signed)
}

// validate says why a delegated credential can't be used. Whether the certificate
// has delegated is for clients to judge.
func (d *DelegatedCredential) validate() error {
	in, err := parse(&message.DelegatedCredential{}, d.Raw)
	if err != nil {
		return err
	}
	public, err := cert.Public(d.PrivateKey)
	if err != nil {
		return err
	}
	if info, err := cert.RawPublicKey(public); err != nil || !slices.Equal(info, in.Info) {
		return alert.Localf(alert.InternalError, "%w: of the DelegatedCredential", alert.KeyMismatch)
	}
	scheme := tls.SignatureScheme(in.Scheme)
	if !cert.Delegable(scheme) {
		return alert.Localf(alert.InternalError, "%w: %s", alert.WrongScheme, cert.SchemeName(scheme))
	}
	_, err = cert.Usable(d.PrivateKey, []tls.SignatureScheme{scheme}, cert.Use{Version: protocol.VersionTLS13, By: cert.ServerVerify})
	return err
}

// scheme is what the delegated key signs with.
func (d *DelegatedCredential) scheme() tls.SignatureScheme {
	var in message.DelegatedCredential
	in.Parse(d.Raw) // validate has seen to it
	return tls.SignatureScheme(in.Scheme)
}

// takesDelegated is by which schemes the client lets a delegated key sign, if it
// takes the signature that delegates (RFC 9345 4.1.1).
func (m *Machine) takesDelegated(d *DelegatedCredential) ([]tls.SignatureScheme, error) {
	if m.role != Server || !m.version.Is13() || len(m.hello.delegated) == 0 {
		return nil, alert.Peerf(alert.HandshakeFailure, "%w: the peer takes no delegated credentials", alert.NoCommonCertificateType)
	}
	in, err := parse(&message.DelegatedCredential{}, d.Raw)
	if err != nil {
		return nil, err
	}
	if algorithm := tls.SignatureScheme(in.Algorithm); !slices.Contains(m.hello.schemes, algorithm) {
		return nil, alert.Peerf(alert.HandshakeFailure, "%w: the delegated credential is signed with %s", alert.NoCommonScheme, cert.SchemeName(algorithm))
	}
	return m.hello.delegated, nil
}

// --- delegated_credential (RFC 9345 4.1)

func offerDelegated(m *Machine, b *wire.Builder) bool {
	schemes := m.config.DelegatedCredentialSchemes
	message.AppendDelegatedSchemes(b, message.MakeUint16s(schemes))
	return len(schemes) > 0 && m.config.Enabled(protocol.VersionTLS13)
}

func receiveDelegated(m *Machine, body []byte) error {
	schemes, err := message.ParseDelegatedSchemes(body)
	m.hello.delegated = message.Collect[tls.SignatureScheme](schemes)
	return err
}

func answerDelegated(m *Machine, _ where, b *wire.Builder) bool {
	if m.credential.Delegated == nil {
		return false
	}
	b.Raw(m.credential.Delegated.Raw)
	return true
}

func acceptDelegated(m *Machine, _ where, body []byte) error {
	in, err := parse(&message.DelegatedCredential{}, slices.Clone(body))
	m.shown.delegated = in
	return err
}

// verifyDelegated checks a server's delegated credential, and returns the key in
// it (RFC 9345 4.1.3). Whatever is wrong is an illegal_parameter.
func (c *Config) verifyDelegated(d *message.DelegatedCredential, chain []*x509.Certificate, now time.Time) (crypto.PublicKey, error) {
	if len(chain) == 0 {
		return nil, alert.Peerf(alert.IllegalParameter, "%w: with a raw public key", alert.WrongDelegation)
	}
	if c.Time != nil {
		now = c.Time()
	}
	leaf, use := chain[0], c.use(protocol.VersionTLS13, Server)
	expires := leaf.NotBefore.Add(time.Duration(d.ValidTime) * time.Second)
	if err := cert.CheckDelegation(leaf, expires, now); err != nil {
		return nil, err
	}
	if !slices.Contains(c.DelegatedCredentialSchemes, tls.SignatureScheme(d.Scheme)) || !slices.Contains(c.verifiable(use), tls.SignatureScheme(d.Algorithm)) {
		return nil, alert.Peerf(alert.IllegalParameter, "%w: in a delegated credential", alert.WrongScheme)
	}
	if err := cert.Verify(leaf.PublicKey, use, tls.SignatureScheme(d.Algorithm), delegationContent(leaf, d), d.Signature); err != nil {
		return nil, alert.Peerf(alert.IllegalParameter, "%w: %w", alert.WrongDelegation, err)
	}
	public, err := cert.ParseRawPublicKey(d.Info)
	if err != nil {
		return nil, alert.Peerf(alert.IllegalParameter, "%w: %w", alert.WrongDelegation, err)
	}
	return public, nil
}

func (c *Config) validateDelegatedSchemes() error {
	for _, id := range c.DelegatedCredentialSchemes {
		if !cert.Delegable(id) {
			return unusable("DelegatedCredentialSchemes", "%s is not one for delegated keys", cert.SchemeName(id))
		}
	}
	return nil
}
