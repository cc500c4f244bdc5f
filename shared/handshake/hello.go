package handshake

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/ech"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A hello is what a ClientHello says: what we said as a client, or what the
// client said to us.
type hello struct {
	version   protocol.Version // legacy_version
	sessionID []byte
	suites    message.Uint16s
	offered   []protocol.ExtensionType // and understood: what may be answered
	block     message.Extensions       // all of the peer's

	versions          message.Uint16s
	groups            message.Uint16s
	schemes           []tls.SignatureScheme // signature_algorithms
	authorities       [][]byte              // certificate_authorities
	delegated         []tls.SignatureScheme // of delegated keys
	protocols         []string              // ALPN
	srtpProfiles      message.Uint16s
	srtpIdentifier    []byte            // the master key identifier beside them
	clientTypes       []CertificateType // client_certificate_type
	serverTypes       []CertificateType // server_certificate_type
	compression       message.Uint16s   // compress_certificate
	maxFragmentLength int               // max_fragment_length, in bytes
	recordSizeLimit   int               // record_size_limit, as on the wire
	shares            message.KeyShares
	wantsStaple       bool // an OCSP response
	earlyData         bool // 0-RTT data follow
	pskModes          []byte
	pskOffer          []byte // of pre_shared_key
	psks              message.OfferedPSKs
	inner             bool     // it went encrypted in another one (RFC 9849)
	before            int      // how many PSKs the ClientHello before a HelloRetryRequest offered
	dropped           [][]byte // its tickets, if this one has none
	ticket            []byte   // of session_ticket
	raw               []byte   // the peer's, whole: its binders are over it

	legacyCookie []byte // of HelloVerifyRequest
	cookie       []byte // of HelloRetryRequest
}

// said is what a connection remembers of the hellos.
type said struct {
	serverName           string
	extendedMasterSecret bool
	secureRenegotiation  bool // the peer signals RFC 5746
	retried              bool // there was a HelloRetryRequest
}

const (
	emptyRenegotiationInfo uint16 = 0x00ff // RFC 5746 3.3
	fallback               uint16 = 0x5600 // RFC 7507 2
)

// maxVerifyRequests is how often a client answers HelloVerifyRequest: a server
// may lose its cookie key while we talk, but a loop must end.
const maxVerifyRequests = 3

// --- ClientHello, and the one that follows a HelloVerifyRequest or
// HelloRetryRequest: the same but for cookie and key shares (RFC 9846 4.2.2,
// RFC 6347 4.2.1).

// RFC 6347 4.2.1 [5]; RFC 9846 4.2.2 [2]
func writeClientHello(m *Machine, b *wire.Builder) error {
	if m.random.client == nil {
		if err := m.prepareHidden(); err != nil {
			return err
		}
		if err := m.takeSession(); err != nil {
			return err
		}
		if err := m.considerEarlyData(); err != nil {
			return err
		}
		if err := m.prepareHello(); err != nil {
			return err
		}
	}
	if m.hides(undecided) {
		return m.composeHidden(b)
	}
	extensions, err := m.offerExtensions()
	if err != nil {
		return err
	}
	m.composeHello(b, extensions)
	if err := m.rewrite(protocol.ClientHello, b); err != nil {
		return err
	}
	if body, err := b.Bytes(); err == nil { // else the caller meets it
		m.bind(&m.transcript, body)
	}
	return nil
}

// composeHello writes a ClientHello with these extensions.
//
// RFC 9147 5.1 [2], 5.3 [1]; RFC 6347 4.2.1 [1]; RFC 9846 4.2.2 [6, 14]
func (m *Machine) composeHello(b *wire.Builder, extensions message.Extensions) {
	hello := message.ClientHello{
		Version:      protocol.VersionTLS12.Over(m.transport), // legacy_version
		Random:       m.random.client,
		SessionID:    m.hello.sessionID,
		Cookie:       m.hello.legacyCookie,
		CipherSuites: m.hello.suites,
		Compression:  []byte{0},
		Extensions:   extensions,
	}
	hello.Append(b, m.transport)
}

// prepareHello makes what both ClientHellos share.
//
// RFC 9846 9.3 [3]
func (m *Machine) prepareHello() error {
	m.random.client = randomBytes(32)
	rand.Read(m.grease[:]) // never fails
	var suites []uint16
	for _, v := range []protocol.Version{protocol.VersionTLS13, protocol.VersionTLS12} {
		if !m.config.Enabled(v) {
			continue
		}
		for s := range m.config.offeredSuites(v) {
			suites = append(suites, s.ID)
		}
	}
	if m.config.SendFallbackSCSV {
		suites = append(suites, fallback)
	}
	m.hello.suites = message.MakeUint16s(greasy(m, greaseSuite, suites))
	is13 := m.config.Enabled(protocol.VersionTLS13)
	m.offerSessionID()
	if !is13 {
		return nil
	}
	var err error
	m.keyShares, err = suite.Generate(m.config.shareGroups()...)
	return err
}

func readClientHello(m *Machine, body []byte) error {
	var in message.ClientHello
	body, err := m.openHello(slices.Clone(body)) // hello's views outlive the call
	if err != nil {
		return err
	}
	if err := in.Parse(body, m.transport); err != nil {
		return err
	}
	first, before, random := m.hello, m.said, m.random.client
	again := first.suites != nil // and not by a cookie, which has checked it
	m.hello, m.said = hello{}, said{retried: m.place.At == HelloRetryRequest}
	m.hello.before = len(first.psks.Identities)
	if before.retried { // it is the same hello, after a wait
		m.hello.before = first.before
	}
	m.hello.raw, m.hello.block, m.hello.version = body, in.Extensions, in.Version
	m.random.client, m.hello.sessionID, m.hello.suites = in.Random, in.SessionID, in.CipherSuites
	if err := m.receiveExtensions(in.Extensions); err != nil {
		return err
	}
	if again && m.hello.pskOffer == nil {
		m.hello.dropped = append(first.tickets(), first.dropped...)
	}
	if m.hello.suites.Contains(emptyRenegotiationInfo) && !slices.Contains(m.hello.offered, protocol.ExtRenegotiationInfo) {
		// This suite offers the extension, as an empty one (RFC 5746 3.6).
		m.hello.offered = append(m.hello.offered, protocol.ExtRenegotiationInfo)
		m.secureRenegotiation = true
	}
	if err := m.configure(); err != nil {
		return err
	}
	if again && !(bytes.Equal(random, in.Random) && sameHello(&first, &m.hello) && before.same(m.said)) {
		return alert.Peerf(alert.IllegalParameter, "the second ClientHello differs from the first in more than cookie and key shares")
	}
	return m.negotiate(&in)
}

// sameHello compares what may not change between two ClientHellos
// (RFC 9846 4.2.2).
//
// RFC 9846 4.2.2 [2]
func sameHello(a, b *hello) bool {
	return bytes.Equal(a.sessionID, b.sessionID) && bytes.Equal(a.suites, b.suites) &&
		bytes.Equal(a.versions, b.versions) && bytes.Equal(a.groups, b.groups) &&
		slices.Equal(a.schemes, b.schemes) && slices.Equal(a.protocols, b.protocols) &&
		slices.Equal(a.clientTypes, b.clientTypes) && slices.Equal(a.serverTypes, b.serverTypes) &&
		a.maxFragmentLength == b.maxFragmentLength && a.recordSizeLimit == b.recordSizeLimit
}

func (s said) same(other said) bool {
	return s.serverName == other.serverName && s.extendedMasterSecret == other.extendedMasterSecret
}

// --- HelloVerifyRequest (RFC 6347 4.2.1). Ours are written by the Listener,
// without a Machine.

// RFC 9147 5.2 [4]; RFC 6347 4.2.1 [3, 15, 17]
func readHelloVerifyRequest(m *Machine, body []byte) error {
	in, err := parse(&message.HelloVerifyRequest{}, body)
	if err != nil {
		return err
	}
	// Either version number is lawful here, and says nothing (RFC 6347 4.2.1).
	if in.Version != protocol.VersionDTLS10 && in.Version != protocol.VersionDTLS12 {
		return alert.Peerf(alert.ProtocolVersion, "%w: HelloVerifyRequest with %v", alert.NoCommonVersion, in.Version)
	}
	if m.verifyRequests++; m.verifyRequests > maxVerifyRequests {
		return alert.Peerf(alert.UnexpectedMessage, "%w: more than %d HelloVerifyRequests", alert.MessageNotDue, maxVerifyRequests)
	}
	m.hello.legacyCookie = slices.Clone(in.Cookie)
	if m.hides(undecided) { // only a server that has chosen 1.2 sends it
		m.rejectHidden()
	}
	return nil
}

func crossedHelloVerifyRequest(m *Machine) error {
	m.transcript.restart()
	return nil
}

// --- HelloRetryRequest (RFC 9846 4.2.4)

// RFC 9147 5.1 [8]; RFC 9846 4.2.4 [4, 5, 7]
func readHelloRetryRequest(m *Machine, body []byte) error {
	in, err := parse(&message.ServerHello{}, body)
	if err != nil {
		return err
	}
	if _, ok := in.Extensions.Find(protocol.ExtSupportedVersions); !ok {
		return alert.Peerf(alert.MissingExtension, "HelloRetryRequest without supported_versions")
	}
	if err := m.readSelected(in); err != nil {
		return err
	}
	if err := m.acceptExtensions(inRetry, in.Extensions); err != nil {
		return err
	}
	if m.group == nil && m.hello.cookie == nil {
		return alert.Peerf(alert.IllegalParameter, "%w", alert.EmptyRetry)
	}
	m.retried = true
	m.rejectEarlyData(EarlyDataHelloRetry)
	m.writeLevel = LevelPlain
	m.beginRetry()
	m.settleHiddenRetry(body)
	return nil
}

func writeHelloRetryRequest(m *Machine, b *wire.Builder) error {
	m.beginRetry()
	m.askedShare = true
	c := Choice{Version: m.version, Suite: m.suite, Group: m.group, NeedShare: true}
	if !m.hello.inner {
		AppendRetry(b, c, m.sessionEcho(), nil)
		return nil
	}
	appendRetry(b, c, m.sessionEcho(), func() {
		message.AppendExtension(b, protocol.ExtEncryptedClientHello, func() { b.Raw(make([]byte, ech.ConfirmationLen)) })
	})
	body, err := b.Bytes()
	if err == nil {
		m.confirmInner(confirmRetry, body, body[len(body)-ech.ConfirmationLen:])
	}
	return err
}

// sessionEcho is the legacy_session_id_echo of 1.3: what the client sent over a
// stream (RFC 9846 4.2.3), and nothing over datagrams, even if the client has a
// session of 1.2 (RFC 9147 5).
//
// RFC 9147 5 [1]
func (m *Machine) sessionEcho() []byte {
	if m.transport == protocol.Datagram {
		return nil
	}
	return m.hello.sessionID
}

// beginRetry fixes the transcript on what the first ClientHello led to.
func (m *Machine) beginRetry() {
	m.transcript.begin(m.suite.Hash, m.version)
	m.transcript.retry(m.transcript.sum())
}

// AppendRetry appends the body of a HelloRetryRequest for what was chosen. A
// Listener writes one without a Machine, and writes the same bytes again for
// Entry when the cookie returns.
func AppendRetry(b *wire.Builder, c Choice, sessionID, cookie []byte) {
	appendRetry(b, c, sessionID, func() {
		if cookie != nil {
			b.Uint16(uint16(protocol.ExtCookie))
			b.Vector16(func() { b.Bytes16(cookie) })
		}
	})
}

// appendRetry lets last append what stands at the end of the extensions.
//
// RFC 9846 4.2.4 [1, 3]
func appendRetry(b *wire.Builder, c Choice, sessionID []byte, last func()) {
	out := message.ServerHello{
		Version:     protocol.VersionTLS12.Over(transportOf(c.Version)),
		Random:      message.HelloRetryRandom[:],
		SessionID:   sessionID,
		CipherSuite: c.Suite.ID,
	}
	out.Append(b) // up to the extensions
	b.Vector16(func() {
		b.Uint16(uint16(protocol.ExtSupportedVersions))
		b.Vector16(func() { b.Uint16(uint16(c.Version)) })
		if c.NeedShare {
			b.Uint16(uint16(protocol.ExtKeyShare))
			b.Vector16(func() { b.Uint16(uint16(c.Group.ID)) })
		}
		last()
	})
}

func transportOf(v protocol.Version) protocol.Transport {
	if v.Over(protocol.Datagram) == v {
		return protocol.Datagram
	}
	return protocol.Stream
}

// RFC 9846 C.1 [1]
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}
