package handshake

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A where is a set of messages that carry extensions. An extension in another
// one than its row allows is an illegal_parameter (RFC 9846 4.3).
type where uint8

const (
	inServerHello12 where = 1 << iota
	inServerHello13
	inRetry
	inEncrypted
	inRequest           // CertificateRequest of 1.3
	inServerCertificate // the first entry of a Certificate of 1.3 (RFC 9846 4.5.1)
	inClientCertificate
)

func (w where) String() string {
	switch w {
	case inServerHello12, inServerHello13:
		return "ServerHello"
	case inRetry:
		return "HelloRetryRequest"
	case inEncrypted:
		return "EncryptedExtensions"
	case inServerCertificate, inClientCertificate:
		return "Certificate"
	}
	return "CertificateRequest"
}

// An extension is one row of the table below. A nil function means that the
// extension has no such part.
type extension struct {
	Type protocol.ExtensionType
	In   where // where it may stand beside ClientHello
	// offer appends the client's body for ClientHello, or returns false to leave
	// the extension out; receive is the server's reader of it.
	offer   func(m *Machine, b *wire.Builder) bool
	receive func(m *Machine, body []byte) error
	// answer appends the body for one of In; accept is the reader of it. Only what
	// was offered is answered.
	answer func(m *Machine, at where, b *wire.Builder) bool
	accept func(m *Machine, at where, body []byte) error
}

// extensions is every extension that this library reads or writes, in the
// order in which it writes them. To add one, add a row.
//
// RFC 9846 4.2.3 [9], 4.3 [6], 4.3.1 [7], 4.3.9 [6], 4.3.11 [15], 9.2 [1]
var extensions = []extension{
	{protocol.ExtServerName, inServerHello12 | inEncrypted, offerServerName, receiveServerName, answerServerName, acceptServerName},
	{protocol.ExtExtendedMasterSecret, inServerHello12, offerExtendedMasterSecret, receiveExtendedMasterSecret, answerExtendedMasterSecret, acceptExtendedMasterSecret},
	{protocol.ExtRenegotiationInfo, inServerHello12, offerRenegotiationInfo, receiveRenegotiationInfo, answerRenegotiationInfo, acceptRenegotiationInfo},
	// A 1.3 server may tell its groups for next time (RFC 9846 4.3.7); some 1.2
	// servers echo them against RFC 8422. Neither changes anything.
	{protocol.ExtSupportedGroups, inServerHello12 | inEncrypted, offerSupportedGroups, receiveSupportedGroups, nil, acceptIgnored},
	{protocol.ExtECPointFormats, inServerHello12, offerPointFormats, receivePointFormats, answerPointFormats, acceptPointFormats},
	{protocol.ExtALPN, inServerHello12 | inEncrypted, offerALPN, receiveALPN, answerALPN, acceptALPN},
	{protocol.ExtUseSRTP, inServerHello12 | inEncrypted, offerUseSRTP, receiveUseSRTP, answerUseSRTP, acceptUseSRTP},
	{protocol.ExtConnectionID, inServerHello12 | inServerHello13, offerConnectionID, receiveConnectionID, answerConnectionID, acceptConnectionID},
	{protocol.ExtReturnRoutability, inServerHello12 | inServerHello13, offerReturnRoutability, receiveReturnRoutability, answerReturnRoutability, acceptReturnRoutability}, // behind connection_id
	{protocol.ExtMaxFragmentLength, inServerHello12 | inEncrypted, offerMaxFragmentLength, receiveMaxFragmentLength, answerMaxFragmentLength, acceptMaxFragmentLength},
	{protocol.ExtRecordSizeLimit, inServerHello12 | inEncrypted, offerRecordSizeLimit, receiveRecordSizeLimit, answerRecordSizeLimit, acceptRecordSizeLimit},
	{protocol.ExtClientCertType, inServerHello12 | inEncrypted, offerClientCertType, receiveClientCertType, answerClientCertType, acceptClientCertType},
	{protocol.ExtServerCertType, inServerHello12 | inEncrypted, offerServerCertType, receiveServerCertType, answerServerCertType, acceptServerCertType},
	{protocol.ExtSignatureAlgorithms, inRequest, offerSignatureAlgorithms, receiveSignatureAlgorithms, answerSignatureAlgorithms, acceptSignatureAlgorithms},
	{protocol.ExtSignatureAlgsCert, inRequest, offerSignatureAlgsCert, receiveSignatureAlgsCert, answerSignatureAlgsCert, acceptSignatureAlgsCert},
	{protocol.ExtCertAuthorities, inRequest, offerCertAuthorities, receiveCertAuthorities, answerCertAuthorities, acceptCertAuthorities},
	{protocol.ExtDelegatedCredential, inServerCertificate, offerDelegated, receiveDelegated, answerDelegated, acceptDelegated},
	{protocol.ExtStatusRequest, inServerHello12 | inRequest | inServerCertificate | inClientCertificate, offerStatusRequest, receiveStatusRequest, answerStatusRequest, acceptStatusRequest},
	{protocol.ExtSCT, inServerHello12 | inRequest | inServerCertificate | inClientCertificate, offerSCTs, receiveSCTs, answerSCTs, acceptSCTs},
	{protocol.ExtCompressCertificate, inRequest, offerCompressCertificate, receiveCompressCertificate, answerCompressCertificate, acceptCompressCertificate},
	{protocol.ExtSupportedVersions, inServerHello13 | inRetry, offerSupportedVersions, receiveSupportedVersions, answerSupportedVersions, acceptIgnored}, // read before the others
	{protocol.ExtCookie, inRetry, offerCookie, nil, nil, acceptCookie},
	{protocol.ExtKeyShare, inServerHello13 | inRetry, offerKeyShare, receiveKeyShare, answerKeyShare, acceptKeyShare},
	{protocol.ExtSessionTicket, inServerHello12, offerSessionTicket, receiveSessionTicket, answerSessionTicket, acceptSessionTicket},
	{protocol.ExtEarlyData, inEncrypted, offerEarlyData, receiveEarlyData, answerEarlyData, acceptEarlyData},
	{protocol.ExtEncryptedClientHello, inEncrypted | inRetry, offerECH, receiveECH, answerECH, acceptECH},
	{protocol.ExtPSKModes, 0, offerPSKModes, receivePSKModes, nil, nil},
	{protocol.ExtPreSharedKey, inServerHello13, offerPreSharedKey, receivePreSharedKey, answerPreSharedKey, acceptPreSharedKey}, // the last
}

func findExtension(t protocol.ExtensionType) *extension {
	for i := range extensions {
		if extensions[i].Type == t {
			return &extensions[i]
		}
	}
	return nil
}

// offerExtensions is the client's extension block.
func (m *Machine) offerExtensions() ([]byte, error) {
	m.hello.offered = m.hello.offered[:0]
	var b wire.Builder
	m.appendGreaseExtension(&b)
	for _, x := range m.offerOrder() {
		if x.offer != nil && appendExtension(&b, x.Type, func() bool { return x.offer(m, &b) }) {
			m.hello.offered = append(m.hello.offered, x.Type)
		}
	}
	return b.Bytes()
}

// receiveExtensions reads the client's block. Unknown extensions are ignored
// (RFC 9846 4.3), GREASE among them.
//
// RFC 9846 4.2.2 [17], 4.5.1.1 [2], 9.3 [4]
func (m *Machine) receiveExtensions(block message.Extensions) error {
	for t, body := range block.All() {
		if x := findExtension(t); x != nil && x.receive != nil {
			m.hello.offered = append(m.hello.offered, t)
			if err := x.receive(m, body); err != nil {
				return err
			}
		}
	}
	return nil
}

// answerExtensions is the block for one message: what its row allows there, if
// the reader offered it. CertificateRequest asks on its own.
//
// RFC 9846 4.3 [3], 4.5.1 [6]
func (m *Machine) answerExtensions(at where) ([]byte, error) {
	var b wire.Builder
	for _, x := range extensions {
		if x.answer == nil || x.In&at == 0 || at != inRequest && !slices.Contains(m.offered(at), x.Type) {
			continue
		}
		if appendExtension(&b, x.Type, func() bool { return x.answer(m, at, &b) }) && at == inRequest {
			m.request.offered = append(m.request.offered, x.Type)
		}
	}
	return b.Bytes()
}

// offered are the extensions that may be answered at a place: a client's
// Certificate answers CertificateRequest (RFC 9846 4.5.1), all else ClientHello.
//
// RFC 9846 4.5.1 [7]
func (m *Machine) offered(at where) []protocol.ExtensionType {
	if at == inClientCertificate {
		return m.request.offered
	}
	return m.hello.offered
}

// acceptExtensions reads such a block.
//
// RFC 9846 4.3.5 [4], 4.4.2 [6], 9.3 [5]
func (m *Machine) acceptExtensions(at where, block message.Extensions) error {
	if err := m.checkOffered(at, block); err != nil {
		return err
	}
	for t, body := range block.All() {
		x := findExtension(t)
		if x == nil {
			continue
		}
		if at == inRequest {
			m.request.offered = append(m.request.offered, t)
		}
		if x.In&at == 0 {
			return x.misplaced(at)
		}
		if err := x.accept(m, at, body); err != nil {
			return err
		}
	}
	return nil
}

// misplaced refuses an extension in a message that it doesn't belong into
// (RFC 9846 4.3).
//
// RFC 9846 4.3 [5], 4.4.1 [2]
func (x *extension) misplaced(at where) error {
	switch {
	case x.In == inServerHello12:
		return alert.Peerf(alert.IllegalParameter, "%w: %v, which 1.3 does not have", alert.MalformedExtension, x.Type)
	case at == inEncrypted || at == inServerHello12:
		// RFC 9846 wants illegal_parameter here too. To stacks in use,
		// EncryptedExtensions answers only what it can; as does ServerHello of 1.2
		// (RFC 5246 7.4.1.4).
		return alert.Peerf(alert.UnsupportedExtension, "%w: %v in %v", alert.UnexpectedExtension, x.Type, at)
	}
	return alert.Peerf(alert.IllegalParameter, "%w: %v in %v", alert.UnexpectedExtension, x.Type, at)
}

// checkOffered refuses what was not offered. A cookie and what a
// CertificateRequest says come unasked (RFC 9846 4.3.2, 4.4.2); all else answers
// an offer.
//
// RFC 9846 4.3 [4]
func (m *Machine) checkOffered(at where, block message.Extensions) error {
	for t := range block.All() {
		if at != inRequest && !(at == inRetry && t == protocol.ExtCookie) && !slices.Contains(m.offered(at), t) {
			return alert.Peerf(alert.UnsupportedExtension, "%w: %v has %v, which was not offered", alert.UnexpectedExtension, at, t)
		}
	}
	return nil
}

// appendExtension appends type, length and body, or nothing.
//
// RFC 9846 4.3 [1]
func appendExtension(b *wire.Builder, t protocol.ExtensionType, body func() bool) bool {
	start, ok := b.Len(), false
	b.Uint16(uint16(t))
	b.Vector16(func() { ok = body() })
	if !ok {
		b.Truncate(start)
	}
	return ok
}

// RFC 9846 4.3.7 [2]
func acceptIgnored(*Machine, where, []byte) error { return nil }

// --- server_name (RFC 6066 3)

// RFC 9846 4.5.1.2 [6], 9.2 [13]
func offerServerName(m *Machine, b *wire.Builder) bool {
	name := sentName(m.config.ServerName)
	if m.writesOuter() {
		name = m.hidden.config.PublicName
	}
	m.serverName = name
	if name == "" {
		return false
	}
	message.AppendServerName(b, name)
	return true
}

// sentName is what is sent of a name: nothing of a literal address, which is
// none.
func sentName(name string) string {
	name = strings.TrimSuffix(name, ".")
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return ""
	}
	return name
}

func receiveServerName(m *Machine, body []byte) (err error) {
	m.serverName, err = message.ParseServerName(body)
	return err
}

// answerServerName says that the name was used. A session that is resumed has had
// its own from the start (RFC 6066 3).
func answerServerName(m *Machine, _ where, _ *wire.Builder) bool {
	return !m.place.Is(Resumed) && !m.config.IgnoreServerName
}

func acceptServerName(_ *Machine, _ where, body []byte) error {
	return message.ParseEmptyExtension(protocol.ExtServerName, body)
}

// --- extended_master_secret (RFC 7627)

func offerExtendedMasterSecret(m *Machine, _ *wire.Builder) bool {
	return m.offersVersion(protocol.VersionTLS12)
}

func receiveExtendedMasterSecret(m *Machine, body []byte) error {
	return acceptExtendedMasterSecret(m, inServerHello12, body)
}

func answerExtendedMasterSecret(*Machine, where, *wire.Builder) bool { return true }

func acceptExtendedMasterSecret(m *Machine, _ where, body []byte) error {
	m.extendedMasterSecret = true
	return message.ParseEmptyExtension(protocol.ExtExtendedMasterSecret, body)
}

// --- renegotiation_info (RFC 5746). There is no renegotiation, so both sides'
// verify_data are always empty.

func offerRenegotiationInfo(m *Machine, b *wire.Builder) bool {
	b.Uint8(0)
	return m.offersVersion(protocol.VersionTLS12)
}

func receiveRenegotiationInfo(m *Machine, body []byte) error {
	return acceptRenegotiationInfo(m, inServerHello12, body)
}

func answerRenegotiationInfo(_ *Machine, _ where, b *wire.Builder) bool {
	b.Uint8(0)
	return true
}

func acceptRenegotiationInfo(m *Machine, _ where, body []byte) error {
	m.secureRenegotiation = true
	data, err := message.ParseRenegotiationInfo(body)
	if err == nil && len(data) != 0 {
		// RFC 5746 3.4, 3.6
		err = alert.Peerf(alert.HandshakeFailure, "%w: of a first handshake it has %d bytes of verify_data", alert.RenegotiationMismatch, len(data))
	}
	return err
}

// checkRenegotiation refuses a peer without it, if Config says so.
func (m *Machine) checkRenegotiation() error {
	if m.config.RequireSecureRenegotiation && !m.secureRenegotiation {
		return alert.Peerf(alert.HandshakeFailure, "%w (Config.RequireSecureRenegotiation)", alert.NoSecureRenegotiation) // RFC 5746 4.1
	}
	return nil
}

// --- application_layer_protocol_negotiation (RFC 7301)

func offerALPN(m *Machine, b *wire.Builder) bool {
	if len(m.config.NextProtos) == 0 {
		return false
	}
	message.AppendALPN(b, m.config.NextProtos)
	return true
}

func receiveALPN(m *Machine, body []byte) (err error) {
	m.hello.protocols, err = message.ParseALPN(body)
	return err
}

func answerALPN(m *Machine, _ where, b *wire.Builder) bool {
	if m.protocol == "" {
		return false
	}
	message.AppendALPN(b, []string{m.protocol})
	return true
}

func acceptALPN(m *Machine, _ where, body []byte) error {
	chosen, err := message.ParseALPNSelected(body)
	if err != nil {
		return err
	}
	if !slices.Contains(m.config.NextProtos, chosen) && !m.config.AllowUnknownProtocol {
		return alert.Peerf(alert.IllegalParameter, "%w: %q of %q", alert.UnknownProtocol, chosen, m.config.NextProtos)
	}
	m.protocol = chosen
	return nil
}

// --- signature_algorithms (RFC 9846 4.3.3), in ClientHello and CertificateRequest

// RFC 9846 4.3.3 [2], 9.2 [10]
func offerSignatureAlgorithms(m *Machine, b *wire.Builder) bool {
	if m.config.needsPSK() && !m.writesOuter() {
		return false // there is nothing to sign
	}
	// Both ClientHellos say what any enabled version can do, though a
	// HelloRetryRequest has settled it.
	var in []cert.Use
	for _, v := range []protocol.Version{protocol.VersionTLS12, protocol.VersionTLS13} {
		if m.config.Enabled(v) {
			in = append(in, m.config.use(v, Server))
		}
	}
	message.AppendSignatureAlgorithms(b, message.MakeUint16s(greasy(m, greaseScheme, m.config.verifiable(in...))))
	return true
}

func receiveSignatureAlgorithms(m *Machine, body []byte) error {
	schemes, err := message.ParseSignatureAlgorithms(body)
	m.hello.schemes = message.Collect[tls.SignatureScheme](schemes)
	return err
}

// RFC 9846 4.4.2 [5]
func answerSignatureAlgorithms(m *Machine, _ where, b *wire.Builder) bool {
	message.AppendSignatureAlgorithms(b, message.MakeUint16s(m.requestable()))
	return true
}

func acceptSignatureAlgorithms(m *Machine, _ where, body []byte) error {
	schemes, err := message.ParseSignatureAlgorithms(body)
	m.request.schemes = message.Collect[tls.SignatureScheme](schemes)
	if err != nil { // what a CertificateRequest must have, in 1.2 too, is not an extra
		return alert.Peerf(alert.DecodeError, "%w: CertificateRequest: %w", alert.MalformedMessage, errors.Unwrap(err))
	}
	return nil
}

// requestable are the schemes that a CertificateRequest names.
func (m *Machine) requestable() []tls.SignatureScheme {
	return m.config.verifiable(m.config.use(m.version, Client))
}

// verifiable are the schemes that are named to a peer who signs somewhere in
// these places. A list that is given goes out as it is: what no handshake may be
// signed with, a certificate may be (RFC 9846 4.3.3).
func (c *Config) verifiable(in ...cert.Use) []tls.SignatureScheme {
	if c.PeerSignatureSchemes == nil {
		return cert.Schemes(nil, in...)
	}
	return slices.DeleteFunc(slices.Clone(c.PeerSignatureSchemes), func(s tls.SignatureScheme) bool {
		return !c.InsecureAllowSHA1 && (s == tls.ECDSAWithSHA1 || s == tls.PKCS1WithSHA1)
	})
}

// acceptable are the signature schemes that we take from the peer.
func (m *Machine) acceptable() []tls.SignatureScheme {
	return cert.Schemes(m.config.PeerSignatureSchemes, m.config.use(m.version, m.role.Peer()))
}

// use is where a side's signature of the handshake stands.
func (c *Config) use(v protocol.Version, signer Role) cert.Use {
	by := cert.ServerVerify
	if signer == Client {
		by = cert.ClientVerify
	}
	return cert.Use{Version: v.Over(protocol.Stream), By: by, SHA1: c.InsecureAllowSHA1}
}

// signature_algorithms_cert says what the signatures inside certificates may
// be, where signature_algorithms is too narrow for them: most certificates are
// signed with RSA PKCS #1, which 1.3 no longer takes for itself. What the peer says is
// read and not used: who has one chain shows that (RFC 9846 4.5.1.2).

func offerSignatureAlgsCert(m *Machine, b *wire.Builder) bool {
	return !m.config.Enabled(protocol.VersionTLS12) && !m.config.needsPSK() && answerSignatureAlgsCert(m, inRequest, b)
}

func answerSignatureAlgsCert(_ *Machine, _ where, b *wire.Builder) bool {
	message.AppendSignatureAlgsCert(b, message.MakeUint16s(cert.Schemes(nil, cert.Use{Version: protocol.VersionTLS12})))
	return true
}

func receiveSignatureAlgsCert(_ *Machine, body []byte) error {
	_, err := message.ParseSignatureAlgsCert(body)
	return err
}

func acceptSignatureAlgsCert(m *Machine, _ where, body []byte) error {
	return receiveSignatureAlgsCert(m, body)
}

// --- supported_versions (RFC 9846 4.3.1)

// RFC 9846 4.3.1 [1]
func offerSupportedVersions(m *Machine, b *wire.Builder) bool {
	if !m.offersVersion(protocol.VersionTLS13) {
		return false
	}
	versions := []protocol.Version{protocol.VersionTLS13.Over(m.transport)}
	if m.offersVersion(protocol.VersionTLS12) {
		versions = append(versions, protocol.VersionTLS12.Over(m.transport))
	}
	message.AppendSupportedVersions(b, message.MakeUint16s(greasy(m, greaseVersion, versions)))
	return true
}

func receiveSupportedVersions(m *Machine, body []byte) (err error) {
	m.hello.versions, err = message.ParseSupportedVersions(body)
	return err
}

// RFC 9846 4.2.3 [10]
func answerSupportedVersions(m *Machine, _ where, b *wire.Builder) bool {
	b.Uint16(uint16(m.version))
	return true
}

// --- cookie (RFC 9846 4.3.2)

// RFC 9147 5.1 [1]; RFC 9846 4.3.2 [1, 2]
func offerCookie(m *Machine, b *wire.Builder) bool {
	if m.hello.cookie == nil {
		return false
	}
	message.AppendCookie(b, m.hello.cookie)
	return true
}

func acceptCookie(m *Machine, _ where, body []byte) error {
	cookie, err := message.ParseCookie(body)
	m.hello.cookie = slices.Clone(cookie)
	return err
}
