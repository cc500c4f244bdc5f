package handshake

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// --- CertificateRequest (RFC 9846 4.4.2, RFC 5246 7.4.4)

// The certificate types of 1.2 (RFC 5246 7.4.4, RFC 8422 5.5). ecdsa_sign
// covers Ed25519 too.
const (
	typeRSASign   = 1
	typeECDSASign = 64
)

// RFC 9846 4.4.2 [3]
func writeCertificateRequest(m *Machine, b *wire.Builder) error {
	if !m.version.Is13() {
		out := message.CertificateRequest12{
			Types:       []byte{typeECDSASign, typeRSASign},
			Schemes:     message.MakeUint16s(m.requestable()),
			Authorities: m.config.authorities(),
		}
		out.Append(b)
		return m.rewrite(protocol.CertificateRequest, b)
	}
	extensions, err := m.answerExtensions(inRequest)
	if err != nil {
		return err
	}
	out := message.CertificateRequest13{Extensions: extensions}
	out.Append(b)
	return nil
}

func readCertificateRequest(m *Machine, body []byte) error {
	m.request = demand{}
	if m.version.Is13() {
		in, err := parse(&message.CertificateRequest13{}, body)
		if err != nil {
			return err
		}
		if len(in.Context) != 0 { // empty during the handshake, RFC 9846 4.4.2
			return alert.Peerf(alert.IllegalParameter, "%w: certificate_request_context has %d bytes during the handshake", alert.MalformedMessage, len(in.Context))
		}
		if err := m.acceptExtensions(inRequest, in.Extensions); err != nil {
			return err
		}
		if m.request.schemes == nil {
			return alert.Peerf(alert.MissingExtension, "%w: CertificateRequest without signature_algorithms", alert.MalformedMessage)
		}
	} else {
		in, err := parse(&message.CertificateRequest12{}, body)
		if err != nil {
			return err
		}
		m.request.types, m.request.authorities = slices.Clone(in.Types), in.Authorities
		m.request.schemes = message.Collect[tls.SignatureScheme](in.Schemes)
		if err := m.verifyUnstapled(); err != nil {
			return err
		}
	}
	m.request.authorities = cloneAll(m.request.authorities)
	return m.chooseClientCredential()
}

// typeOf is the certificate type of 1.2 for keys of a kind.
func typeOf(k cert.Kind) uint8 {
	if k == cert.RSA {
		return typeRSASign
	}
	return typeECDSASign
}

// --- Certificate (RFC 9846 4.5.1, RFC 5246 7.4.2)

func writeCertificate(m *Machine, b *wire.Builder) error {
	var chain [][]byte
	if m.credential != nil {
		var err error
		if chain, err = m.credential.chain(); err != nil {
			return err
		}
	}
	switch {
	case m.version.Is13():
		return m.writeChain13(b, chain)
	case m.shows == protocol.RawPublicKey:
		writeRawPublicKey12(b, chain)
	default:
		out := message.Certificate12{Chain: chain}
		out.Append(b)
	}
	return nil
}

// RFC 9846 4.5.1 [8]
func (m *Machine) writeChain13(b *wire.Builder, chain [][]byte) error {
	var out message.Certificate13
	for _, c := range chain {
		out.Entries = append(out.Entries, message.CertificateEntry{Data: c})
	}
	if len(chain) > 0 {
		var err error
		if out.Entries[0].Extensions, err = m.answerExtensions(inCertificateOf(m.role)); err != nil {
			return err
		}
	}
	out.Append(b)
	return nil
}

func inCertificateOf(r Role) where {
	if r == Client {
		return inClientCertificate
	}
	return inServerCertificate
}

// RFC 9846 4.5.1.3 [1]
func readServerCertificate(m *Machine, body []byte) error {
	raw, err := m.readChain(body)
	if err != nil {
		return err
	}
	switch {
	case len(raw) == 0 && m.version.Is13(): // RFC 9846 4.5.1.2
		return alert.Peerf(alert.DecodeError, "%w, which a server must", alert.NoCertificate)
	case len(raw) == 0:
		return alert.Peerf(alert.DecodeError, "the server's Certificate is empty")
	case !m.config.takes(m.shown.as):
		return alert.Peerf(alert.UnsupportedCertificate, "%w: the server shows %v", alert.UnsupportedCertificateType, m.shown.as)
	}
	if !m.place.Knows(Stapled) {
		m.shown.chain = raw // see verifyUnstapled
		return nil
	}
	return m.verifyPeer(raw)
}

func readClientCertificate(m *Machine, body []byte) error {
	raw, err := m.readChain(body)
	if err != nil {
		return err
	}
	m.place.Learn(ClientCert, len(raw) > 0)
	if len(raw) > 0 || !m.config.requiresClientCert() {
		return m.verifyPeer(raw)
	}
	if m.version.Is13() {
		return alert.Peerf(alert.CertificateRequired, "%w, and our Config requires one", alert.NoCertificate)
	}
	return alert.Peerf(alert.HandshakeFailure, "%w, and our Config requires one", alert.NoCertificate) // RFC 5246 7.4.6
}

// readChain parses Certificate of either version into copies: certificates, or
// one raw public key.
func (m *Machine) readChain(body []byte) ([][]byte, error) {
	switch {
	case m.version.Is13():
		return m.readChain13(body)
	case m.shown.as == protocol.RawPublicKey:
		return readRawPublicKey12(body)
	}
	in, err := parse(&message.Certificate12{}, body)
	return cloneAll(in.Chain), err
}

// RFC 9846 4.5.1 [5]
func (m *Machine) readChain13(body []byte) ([][]byte, error) {
	in, err := parse(&message.Certificate13{}, body)
	if err != nil {
		return nil, err
	}
	if len(in.Context) != 0 {
		return nil, alert.Peerf(alert.IllegalParameter, "%w: certificate_request_context has %d bytes during the handshake", alert.MalformedMessage, len(in.Context))
	}
	at := inCertificateOf(m.role.Peer())
	var raw [][]byte
	for i, entry := range in.Entries {
		// The extensions of all but the first are checked and not used: nobody is
		// asked about the certificates of authorities.
		check := m.acceptExtensions
		if i > 0 {
			check = m.checkOffered
		}
		if err := check(at, entry.Extensions); err != nil {
			return nil, err
		}
		raw = append(raw, bytes.Clone(entry.Data))
	}
	return raw, nil
}

// verified is what checking a peer's Certificate gave.
type verified struct {
	chain  []*x509.Certificate
	chains [][]*x509.Certificate
	rawKey []byte           // instead of a chain: a SubjectPublicKeyInfo
	key    crypto.PublicKey // what the peer must prove to have
}

// peerIdentity is who the peer is, as a connection remembers it.
type peerIdentity struct {
	verified
	staple     []byte
	timestamps [][]byte
	scheme     tls.SignatureScheme
}

// nobody is what all peers are that show nothing. It is never written to.
var nobody peerIdentity

func (p *peerIdentity) none() bool { return p.chain == nil && p.rawKey == nil }

// peerShown is what it has shown of that.
type peerShown struct {
	as            CertificateType              // how it shows its key; X509, if nothing else was agreed
	chain         [][]byte                     // its Certificate, before it is verified
	delegated     *message.DelegatedCredential // that came with its certificate
	stapleMayCome bool                         // 1.2: CertificateStatus may follow
}

// verifyPeer checks what the peer shows, as Config says, and asks the
// application. It is nothing if the client has nothing to show.
func (m *Machine) verifyPeer(raw [][]byte) error {
	if m.hides(rejected) {
		return m.verifyRejecting(raw)
	}
	c, role, s, shows := m.config, m.role, m.suite, m.shown.as
	delegated, now, ask := m.shown.delegated, m.now, m.askAboutPeer()
	run := later[verified]
	if c.judgesAlone(role) {
		run = atOnce[verified]
	}
	v, err := run(m, func() (v verified, err error) {
		if len(raw) > 0 {
			check := c.verifyChain
			if shows == protocol.RawPublicKey {
				check = c.verifyRawPublicKey
			}
			if v, err = check(role, s, raw); err != nil {
				return v, err
			}
			if delegated != nil {
				if v.key, err = c.verifyDelegated(delegated, v.chain, now); err != nil {
					return v, err
				}
			}
		}
		if c.VerifyPeerCertificate != nil && v.rawKey == nil {
			if err := c.VerifyPeerCertificate(raw, v.chains); err != nil {
				return v, err
			}
		}
		return v, ask(v)
	})
	if err != nil {
		return wrap(err, alert.BadCertificate, "the application refused the peer's certificate")
	}
	m.peer.verified = v
	return nil
}

// askAboutPeer is VerifyConnection, if there is one, for this connection with a peer
// that is verified so.
func (m *Machine) askAboutPeer() func(v verified) error {
	verify := m.config.VerifyConnection
	if verify == nil {
		return func(verified) error { return nil }
	}
	state := m.State()
	return func(v verified) error {
		state.PeerCertificates, state.VerifiedChains, state.PeerRawPublicKey = v.chain, v.chains, v.rawKey
		return verify(state)
	}
}

// verifyUnasked lets the application judge a peer that shows no certificate
// because it was not asked or is known from a session: VerifyConnection runs for
// every connection.
func (m *Machine) verifyUnasked() error {
	verify := m.config.VerifyConnection
	if verify == nil {
		return nil
	}
	state := m.State()
	_, err := later(m, func() (verified, error) { return verified{}, verify(state) })
	return wrap(err, alert.BadCertificate, "the application refused the connection")
}

// judgesAlone reports whether neither the application nor roots have a part in
// verifying what a peer shows.
func (c *Config) judgesAlone(verifier Role) bool {
	return !c.trustsRoots(verifier) && c.VerifyRawPublicKey == nil && c.VerifyPeerCertificate == nil && c.VerifyConnection == nil
}

// verifyChain checks a chain by what the protocol says, and against the roots
// that Config names for it.
func (c *Config) verifyChain(verifier Role, s *suite.Suite, raw [][]byte) (v verified, err error) {
	if v.chain, err = cert.Parse(raw); err != nil {
		return v, err
	}
	if err := cert.CheckKeyUsage(v.chain[0], keyUsage(verifier, s)); err != nil {
		return v, err
	}
	v.key = v.chain[0].PublicKey
	if err := c.checkKey(verifier, v.key, s); err != nil {
		return v, err
	}
	v.chains, err = c.buildChains(verifier, v.chain)
	return v, err
}

// checkKey holds a server's key to what the ClientHello says of it: 1.2 names its
// kind by the suite, and its curve by supported_groups (RFC 8422 5.3).
func (c *Config) checkKey(verifier Role, public crypto.PublicKey, s *suite.Suite) error {
	if verifier == Server || s.Auth == suite.AnyAuth {
		return nil
	}
	if s.Auth != authOf(public) {
		return alert.Peerf(alert.IllegalParameter, "%w: the server's does not go with %s", alert.WrongCertificateType, s.Name)
	}
	if curve, ok := cert.CurveOf(public); ok && !hasGroup(c.groups(s.Version), curve) {
		return alert.Peerf(alert.IllegalParameter, "%w: %v", alert.WrongCurve, curve)
	}
	return nil
}

// buildChains finds the ways from a certificate to the roots that Config names, or
// compares it with the fingerprints that stand there in their place.
func (c *Config) buildChains(verifier Role, chain []*x509.Certificate) ([][]*x509.Certificate, error) {
	switch {
	case len(c.PeerFingerprints) > 0:
		return nil, cert.VerifyFingerprint(chain[0].Raw, c.PeerFingerprints...)
	case !c.trustsRoots(verifier):
		return nil, nil
	case verifier == Client:
		return cert.VerifyServer(chain, c.RootCAs, c.ServerName, c.verifyTime())
	}
	return cert.VerifyClient(chain, c.ClientCAs, c.verifyTime())
}

// verifyTime is the time for certificates; zero lets crypto/x509 ask the system.
func (c *Config) verifyTime() time.Time {
	if c.Time != nil {
		return c.Time()
	}
	return time.Time{}
}

// trustsRoots reports whether the peer is known by a chain to a root.
func (c *Config) trustsRoots(verifier Role) bool {
	switch {
	case len(c.PeerFingerprints) > 0:
		return false
	case verifier == Client:
		return !c.InsecureSkipVerify
	}
	return c.ClientAuth >= tls.VerifyClientCertIfGiven
}

// --- CertificateVerify (RFC 9846 4.5.2, RFC 5246 7.4.8)

func writeCertificateVerify(m *Machine, b *wire.Builder) error {
	signature, err := m.sign(m.signedBy(m.role))
	if err != nil {
		return err
	}
	out := message.CertificateVerify{Scheme: uint16(m.scheme), Signature: signature}
	out.Append(b)
	return nil
}

func readCertificateVerify(m *Machine, body []byte) error {
	in, err := parse(&message.CertificateVerify{}, body)
	if err != nil {
		return err
	}
	return m.checkSignature(in.Scheme, m.signedBy(m.role.Peer()), in.Signature)
}

// signedBy is what a side's CertificateVerify signs.
func (m *Machine) signedBy(r Role) []byte {
	if !m.version.Is13() {
		return m.transcript.signed()
	}
	return cert.Content13(m.config.use(m.version, r).By, m.transcript.sum())
}

// sign signs with our credential's key, outside of the Machine: keys may live
// in slow hardware.
func (m *Machine) sign(content []byte) ([]byte, error) {
	key, scheme := m.credential.key().(crypto.Signer), m.scheme
	signature, err := later(m, func() ([]byte, error) { return cert.Sign(key, scheme, content) })
	return signature, wrap(err, alert.InternalError, "signing")
}

// checkSignature checks a signature of the peer's key, by a scheme that we offered
// or that its delegated credential names.
//
// RFC 9846 4.5.2 [8]
func (m *Machine) checkSignature(scheme uint16, content, signature []byte) error {
	s, accepted := tls.SignatureScheme(scheme), m.acceptable()
	if d := m.shown.delegated; d != nil {
		accepted = []tls.SignatureScheme{tls.SignatureScheme(d.Scheme)}
	}
	if !slices.Contains(accepted, s) {
		return alert.Peerf(alert.IllegalParameter, "%w: %s", alert.WrongScheme, cert.SchemeName(s))
	}
	if err := cert.Verify(m.peer.key, m.config.use(m.version, m.role.Peer()), s, content, signature); err != nil {
		return err
	}
	m.peer.scheme = s
	return nil
}

func cloneAll(list [][]byte) [][]byte {
	var copies [][]byte
	for _, b := range list {
		copies = append(copies, bytes.Clone(b))
	}
	return copies
}
