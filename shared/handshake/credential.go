package handshake

import (
	"crypto"
	"crypto/tls"
	"errors"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A Credential is something that this side can authenticate with. Exactly one of
// its kinds is set.
type Credential struct {
	// Certificate is the kind X.509: a chain, leaf first, and the leaf's key.
	Certificate *tls.Certificate

	// Delegated makes the Certificate one that lets another key sign for it. It is
	// for servers of 1.3, and clients that ask for it (RFC 9345); the Certificate
	// needs no PrivateKey then.
	Delegated *DelegatedCredential

	// RawPublicKey is the kind of raw public keys (RFC 7250): a private key, whose
	// public half is shown without a certificate to peers that take such.
	RawPublicKey crypto.Signer

	// PSK is the kind external key. A client offers all that it has, and takes no
	// certificate then (see Config.PSKOrCertificate).
	PSK *ExternalPSK

	// SignatureSchemes are the schemes that the key may sign with, most
	// preferred first. Nil means the Certificate's SupportedSignatureAlgorithms
	// or, without those, all that fit the key in an order of this library's.
	SignatureSchemes []tls.SignatureScheme

	// MustMatchIssuer keeps a Certificate for peers that ask for certificates of
	// its issuers (certificate_authorities, RFC 9846 4.3.4). Otherwise what the
	// peer asks for is taken as a hint, and another certificate may turn out to
	// be good enough.
	MustMatchIssuer bool
}

// validate says why a credential can't be used.
func (c *Credential) validate() error {
	switch {
	case c.kinds() == 0:
		return errors.New("is of no kind: it needs a Certificate, a RawPublicKey or a PSK")
	case c.kinds() > 1:
		return errors.New("is of two kinds")
	case c.Certificate == nil && c.Delegated != nil:
		return errors.New("delegates, which only a Certificate can")
	case c.Certificate == nil && c.MustMatchIssuer:
		return errors.New("must match an issuer, which only a Certificate has")
	case c.PSK != nil && c.SignatureSchemes != nil:
		return errors.New("is a PSK, which signs nothing")
	case c.PSK != nil:
		return c.PSK.validate()
	case c.Certificate != nil && len(c.Certificate.Certificate) == 0:
		return errors.New("holds no certificate")
	}
	if c.Delegated != nil {
		return errors.Join(c.Delegated.validate(), checkTimestamps(c.Certificate))
	}
	_, not12 := cert.Usable(c.key(), c.schemes(), cert.Use{Version: protocol.VersionTLS12, SHA1: true})
	_, not13 := cert.Usable(c.key(), c.schemes(), cert.Use{Version: protocol.VersionTLS13, By: cert.ClientVerify})
	if not12 != nil && not13 != nil {
		return not13
	}
	if c.RawPublicKey != nil {
		_, err := cert.RawPublicKey(c.RawPublicKey.Public())
		return err
	}
	if err := cert.CheckKey(c.Certificate); err != nil {
		return err
	}
	return checkTimestamps(c.Certificate)
}

// kinds is how many kinds a credential is of.
func (c *Credential) kinds() (n int) {
	for _, set := range []bool{c.Certificate != nil, c.RawPublicKey != nil, c.PSK != nil} {
		if set {
			n++
		}
	}
	return n
}

// key is what signs.
func (c *Credential) key() crypto.PrivateKey {
	switch {
	case c.RawPublicKey != nil:
		return c.RawPublicKey
	case c.Delegated != nil:
		return c.Delegated.PrivateKey
	}
	return c.Certificate.PrivateKey
}

// chain is what Certificate shows of it.
func (c *Credential) chain() ([][]byte, error) {
	if c.RawPublicKey != nil {
		info, err := cert.RawPublicKey(c.RawPublicKey.Public())
		return [][]byte{info}, err
	}
	return c.Certificate.Certificate, nil
}

// schemes are those that the key may sign with, in order of preference; nil for
// all.
func (c *Credential) schemes() []tls.SignatureScheme {
	switch {
	case c.Delegated != nil:
		return []tls.SignatureScheme{c.Delegated.scheme()}
	case c.SignatureSchemes != nil || c.RawPublicKey != nil:
		return c.SignatureSchemes
	}
	return c.Certificate.SupportedSignatureAlgorithms
}

// A demand is what a side wants of the other's credential: a ClientHello or a
// CertificateRequest says it.
type demand struct {
	offered     []protocol.ExtensionType // of CertificateRequest: what Certificate may answer
	types       []byte                   // certificate_types of 1.2; nil if it says nothing of them
	schemes     []tls.SignatureScheme
	authorities [][]byte        // distinguished names in DER; none: any will do
	compression message.Uint16s // of certificates: what it decompresses
}

// demanded is what the peer wants of our credential.
func (m *Machine) demanded() demand {
	if m.role == Client {
		return m.request
	}
	return demand{schemes: m.hello.schemes, authorities: m.hello.authorities, compression: m.hello.compression}
}

// chooseCredential takes the first of our candidates that the peer can verify.
// If there is none it says why the most preferred isn't one, or is
// errNoCandidate if there was nothing to choose from.
func (m *Machine) chooseCredential(candidates []*Credential) error {
	var refused error
	for _, c := range candidates {
		scheme, suite, err := m.fit(c)
		if err == nil {
			m.credential, m.shows, m.scheme, m.suite = c, c.certificateType(), scheme, suite
			return nil
		}
		if refused == nil {
			refused = err
		}
	}
	if refused == nil {
		return errNoCandidate
	}
	return refused
}

var errNoCandidate = alert.Localf(alert.HandshakeFailure, "no credential is configured")

// fit asks whether the peer can verify a credential: by which scheme, and in
// 1.2, where the suite names the kind of key, under which suite.
//
// RFC 9846 4.3.3 [4], 4.5.1.2 [2]
func (m *Machine) fit(c *Credential) (tls.SignatureScheme, *suite.Suite, error) {
	if c.PSK != nil {
		s, err := m.fitPSK(c)
		return 0, s, err
	}
	public, err := cert.Public(c.key())
	if err != nil {
		return 0, nil, err
	}
	if err := m.checkType(c); err != nil {
		return 0, nil, err
	}
	if m.role == Server && m.version.Is13() && m.group == nil { // only a PSK can do
		return 0, nil, alert.Peerf(alert.HandshakeFailure, "%w", alert.NoCommonGroup)
	}
	wants := m.demanded()
	if c.MustMatchIssuer && !cert.HasIssuer(c.Certificate, wants.authorities) {
		return 0, nil, alert.Peerf(alert.HandshakeFailure, "%w: the peer names %d", alert.NoMatchingIssuer, len(wants.authorities))
	}
	if wants.types != nil && !slices.Contains(wants.types, typeOf(cert.KindOf(public))) {
		return 0, nil, alert.Peerf(alert.HandshakeFailure, "%w: the server takes certificate_types %v", alert.NoCommonCertificateType, wants.types)
	}
	if c.Delegated != nil {
		if wants.schemes, err = m.takesDelegated(c.Delegated); err != nil {
			return 0, nil, err
		}
	}
	scheme, unsigned := cert.Choose(c.key(), c.schemes(), m.config.use(m.version, m.role), wants.schemes)
	if m.role == Client || m.version.Is13() {
		return scheme, m.suite, unsigned
	}
	chosen, err := m.suiteFor(c, public, unsigned)
	if err == nil && chosen.Exchange == suite.KeyTransport {
		scheme = 0 // nothing is signed
	}
	return scheme, chosen, err
}

// suiteFor returns the suite of 1.2 that goes with a credential, of which unsigned
// says why it can't sign for this client.
func (m *Machine) suiteFor(c *Credential, public crypto.PublicKey, unsigned error) (*suite.Suite, error) {
	// RFC 8422 5.1: supported_groups bounds the curve of ECDSA certificates, too.
	if curve, ok := cert.CurveOf(public); ok && !m.hello.groups.Contains(uint16(curve)) {
		return nil, alert.Peerf(alert.HandshakeFailure, "%w: ours is on %v", alert.NoCommonCurve, curve)
	}
	return m.suiteBy(authOf(public), func(s *suite.Suite) error {
		if s.Exchange == suite.KeyTransport {
			_, err := c.decrypter()
			return err
		}
		return unsigned
	})
}

// suiteBy returns the suite of 1.2 that authenticates by auth, and that a
// credential serves. Without a group in common it can't be one with ECDHE.
func (m *Machine) suiteBy(auth suite.Auth, serves func(*suite.Suite) error) (*suite.Suite, error) {
	var lacking error
	for s := range m.config.common(m.version, m.hello.suites) {
		if s.Auth != auth {
			continue
		}
		err := serves(s)
		if s.Exchange == suite.ECDHE && m.group == nil {
			err = alert.NoCommonGroup
		}
		if err == nil {
			return s, nil
		}
		if lacking == nil { // what the most preferred suite lacks
			lacking = err
		}
	}
	if lacking == nil {
		lacking = errors.New("of this credential's kind")
	}
	return nil, alert.Peerf(alert.HandshakeFailure, "%w for %v: %w", alert.NoCommonSuite, m.version, lacking)
}

// authOf is the kind of 1.2 suite that a key goes with: none, if it can't sign.
func authOf(public crypto.PublicKey) suite.Auth {
	switch cert.KindOf(public) {
	case cert.RSA:
		return suite.RSA
	case cert.ECDSA, cert.Ed25519:
		return suite.ECDSA
	}
	return suite.AnyAuth
}

// --- The server's candidates

// RFC 9846 4.5.1.2 [8]
func (m *Machine) chooseServerCredential() error {
	candidates, err := m.serverCandidates()
	if err != nil {
		return err
	}
	err = m.chooseCredential(candidates)
	if err == errNoCandidate && m.config.GetPSK != nil {
		return m.noCommonPSK()
	}
	return err
}

// serverCandidates are the key that GetPSK knows, and then what GetCertificate
// says; or the Credentials, and then the Certificates: those for the name that the
// client asks for before the others, as crypto/tls has it.
func (m *Machine) serverCandidates() ([]*Credential, error) {
	candidates, err := m.lookUpPSK()
	if err != nil {
		return nil, err
	}
	if c, err := m.askCertificate(); c != nil || err != nil {
		return append(candidates, &Credential{Certificate: c}), err
	}
	candidates = append(candidates, pointers(m.config.Credentials)...)
	var others []*Credential
	name := m.serverName
	all := name == "" || m.config.IgnoreServerName || len(m.config.Certificates) == 1
	for i := range m.config.Certificates {
		c := &m.config.Certificates[i]
		if all || isFor(c, name) {
			candidates = append(candidates, &Credential{Certificate: c})
		} else {
			others = append(others, &Credential{Certificate: c})
		}
	}
	return append(candidates, others...), nil
}

// isFor reports whether a certificate is for a server of this name.
func isFor(c *tls.Certificate, name string) bool {
	leaf, err := cert.Leaf(c)
	return err == nil && leaf.VerifyHostname(name) == nil
}

// askCertificate asks the application for a certificate, when crypto/tls does.
func (m *Machine) askCertificate() (*tls.Certificate, error) {
	c := m.config
	if c.GetCertificate == nil || m.serverName == "" && len(c.Credentials)+len(c.Certificates) > 0 {
		return nil, nil
	}
	info := m.clientHelloInfo()
	answer, err := later(m, func() (*tls.Certificate, error) { return c.GetCertificate(info) })
	return answer, wrap(err, alert.InternalError, "GetCertificate")
}

func pointers(credentials []Credential) (list []*Credential) {
	for i := range credentials {
		list = append(list, &credentials[i])
	}
	return list
}

// --- The client's candidates

// chooseClientCredential chooses what a CertificateRequest is answered with.
// Without a candidate the client sends an empty Certificate (RFC 9846 4.5.1).
// But whoever has named Credentials doesn't want to be taken for nobody.
//
// RFC 9846 4.5.1 [3]
func (m *Machine) chooseClientCredential() error {
	candidates, err := m.clientCandidates()
	if err != nil {
		return err
	}
	if err := m.chooseCredential(candidates); err != nil && err != errNoCandidate {
		return err
	}
	m.place.Learn(ClientCert, m.credential != nil)
	if m.credential == nil {
		return nil
	}
	if m.credential.Certificate == nil {
		return m.staples(nil)
	}
	return m.staples(m.credential.Certificate.OCSPStaple)
}

// clientCandidates are what a callback says; or the Credentials, and then the
// Certificates that the server asks for: crypto/tls shows no others.
//
// RFC 9846 4.3.4 [1], 4.5.1.2 [4]
func (m *Machine) clientCandidates() ([]*Credential, error) {
	if m.hides(rejected) { // the server is not the one that we want (RFC 9849 6.1.6)
		return nil, nil
	}
	c, err := m.askClientCredential()
	switch {
	case err != nil:
		return nil, err
	case c != nil && c.none():
		return nil, nil
	case c != nil:
		return []*Credential{c}, nil
	}
	candidates := slices.DeleteFunc(pointers(m.config.Credentials), func(c *Credential) bool { return c.PSK != nil })
	for i := range m.config.Certificates {
		c := &Credential{Certificate: &m.config.Certificates[i]}
		asked := len(m.request.authorities) == 0 || cert.HasIssuer(c.Certificate, m.request.authorities)
		if _, _, err := m.fit(c); asked && err == nil {
			candidates = append(candidates, c)
		}
	}
	return candidates, nil
}

// maySign reports whether a client has, or may be given, a key to sign with.
func (c *Config) maySign() bool {
	return c.GetClientCredential != nil || c.GetClientCertificate != nil || len(c.Credentials)+len(c.Certificates) > 0
}

// none reports whether a callback means that there is nothing to give.
func (c *Credential) none() bool {
	return c.RawPublicKey == nil && (c.Certificate == nil || len(c.Certificate.Certificate) == 0)
}

// A CertificateRequestInfo is a server's CertificateRequest as
// Config.GetClientCredential sees it.
type CertificateRequestInfo struct {
	// The embedded info is crypto/tls's: of the Schemes only those that go with
	// CertificateTypes, and Version in TLS's numbers, for datagrams too, so that
	// SupportsCertificate works.
	tls.CertificateRequestInfo

	// CertificateTypes are the kinds of key that a server of 1.2 takes
	// (RFC 5246 7.4.4): 1 is RSA, 64 ECDSA and Ed25519. Nil in 1.3.
	CertificateTypes []uint8
}

// askClientCredential asks the application, in one way or the other; it returns
// nil if the choice is ours.
func (m *Machine) askClientCredential() (*Credential, error) {
	info := &CertificateRequestInfo{CertificateTypes: m.request.types, CertificateRequestInfo: tls.CertificateRequestInfo{
		AcceptableCAs: m.request.authorities,
		SignatureSchemes: slices.DeleteFunc(slices.Clone(m.request.schemes), func(s tls.SignatureScheme) bool {
			return m.request.types != nil && !slices.Contains(m.request.types, typeOf(cert.SchemeKind(s)))
		}),
		Version: uint16(m.version.Over(protocol.Stream)),
	}}
	if ask := m.config.GetClientCredential; ask != nil {
		c, err := later(m, func() (*Credential, error) { return ask(info) })
		if c != nil && err == nil && !c.none() {
			err = c.validate()
		}
		if c != nil || err != nil {
			return c, wrap(err, alert.InternalError, "GetClientCredential")
		}
	}
	if ask := m.config.GetClientCertificate; ask != nil {
		c, err := later(m, func() (*tls.Certificate, error) { return ask(&info.CertificateRequestInfo) })
		if c == nil && err == nil {
			return nil, alert.Localf(alert.InternalError, "GetClientCertificate returned neither a certificate nor an error")
		}
		return &Credential{Certificate: c}, wrap(err, alert.InternalError, "GetClientCertificate")
	}
	return nil, nil
}
