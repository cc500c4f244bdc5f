package handshake

import (
	"bytes"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/ech"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// --- ServerHello (RFC 9846 4.2.3, RFC 5246 7.4.1.3)

// RFC 9846 4.2.3 [1, 3, 4, 7, 12]
func writeServerHello(m *Machine, b *wire.Builder) error {
	if m.random.server == nil {
		m.random.server = randomBytes(32)
		if !m.version.Is13() && m.config.Enabled(protocol.VersionTLS13) {
			copy(m.random.server[24:], message.DowngradeTLS12)
		}
		m.keepTranscript()
		if !m.version.Is13() && !m.selected {
			m.nameSession()
		}
	}
	out := message.ServerHello{
		Version:     protocol.VersionTLS12.Over(m.transport),
		Random:      m.random.server,
		CipherSuite: m.suite.ID,
	}
	at := inServerHello12
	if m.version.Is13() {
		at, out.SessionID = inServerHello13, m.sessionEcho()
	} else if m.selected {
		out.SessionID = m.hello.sessionID // RFC 5077 3.4
	} else {
		out.SessionID = m.sessionID
	}
	var err error
	if out.Extensions, err = m.answerExtensions(at); err != nil {
		return err
	}
	out.Append(b)
	if err := m.rewrite(protocol.ServerHello, b); err != nil {
		return err
	}
	if m.version.Is13() && m.hello.inner {
		body, _ := b.Bytes()
		m.confirmInner(confirmHello, body, body[2+32-ech.ConfirmationLen:2+32]) // the end of random
	}
	return nil
}

func readServerHello(m *Machine, body []byte) error {
	in, err := parse(&message.ServerHello{}, body)
	if err != nil {
		return err
	}
	m.random.server = slices.Clone(in.Random)
	if err := m.readSelected(in); err != nil {
		return err
	}
	if err := m.settleHidden(body, in); err != nil {
		return err
	}
	at := inServerHello12
	if m.version.Is13() {
		at = inServerHello13
	}
	if err := m.acceptExtensions(at, in.Extensions); err != nil {
		return err
	}
	if m.version.Is13() {
		if err := m.checkShare(); err != nil {
			return err
		}
	} else if err := m.checkServerHello12(in); err != nil {
		return err
	}
	m.place.Learn(V13, m.version.Is13())
	if err := m.settleResumption(); err != nil {
		return err
	}
	if !m.version.Is13() { // which has not answered that yet
		m.resumeFragmentLength()
	}
	if !m.resumed {
		m.early.room = 0
	}
	m.settleConnectionIDs()
	m.place.Learn(Ticket, m.promised)
	if !m.shown.stapleMayCome {
		m.place.Learn(Stapled, false)
	}
	m.keepTranscript()
	return nil
}

// readSelected reads what HelloRetryRequest and ServerHello have in common
// apart from extensions: version, suite, and what is left of older versions.
//
// RFC 9846 4.2.3 [5, 6, 8], 4.2.4 [8, 10, 12]
func (m *Machine) readSelected(in *message.ServerHello) error {
	selected, err := m.selectedVersion(in)
	if err != nil {
		return err
	}
	if m.version != 0 && m.version != selected {
		return alert.Peerf(alert.IllegalParameter, "%w: %v after %v", alert.VersionChanged, selected, m.version)
	}
	m.setVersion(selected)
	if !selected.Is13() {
		if err := m.readSessionID12(in); err != nil {
			return err
		}
	}
	s := suite.ByID(in.CipherSuite)
	switch {
	case s == nil || !m.hello.suites.Contains(in.CipherSuite) || s.Version != selected.Over(protocol.Stream):
		return alert.Peerf(alert.IllegalParameter, "%w: 0x%04x for %v", alert.WrongSuite, in.CipherSuite, selected)
	case m.retried && m.suite != s:
		return alert.Peerf(alert.IllegalParameter, "%w: %s after a retry with %s", alert.WrongSuite, s.Name, m.suite.Name)
	case in.Compression != 0 && selected.Is13(): // a field without a use, RFC 9846 4.2.3
		return alert.Peerf(alert.DecodeError, "%w: legacy_compression_method is %d, expected 0", alert.MalformedMessage, in.Compression)
	case in.Compression != 0:
		return alert.Peerf(alert.IllegalParameter, "%w: %d", alert.WrongCompression, in.Compression)
	case selected.Is13() && !bytes.Equal(in.SessionID, m.sessionEcho()):
		return alert.Peerf(alert.IllegalParameter, "%w: legacy_session_id_echo is % x, expected % x", alert.MalformedMessage, in.SessionID, m.sessionEcho())
	}
	m.suite = s
	return nil
}

// selectedVersion is the version that the server chose: in supported_versions
// 1.3 (RFC 9846 4.3.1), without it what ServerHello always had.
//
// RFC 9846 4.2.3 [2], 4.3.1 [10, 11, 12], E.1 [3]
func (m *Machine) selectedVersion(in *message.ServerHello) (protocol.Version, error) {
	v12, v13 := protocol.VersionTLS12.Over(m.transport), protocol.VersionTLS13.Over(m.transport)
	body, ok := in.Extensions.Find(protocol.ExtSupportedVersions)
	if !ok || !slices.Contains(m.hello.offered, protocol.ExtSupportedVersions) {
		if in.Version != v12 || !m.config.Enabled(v12) {
			return 0, alert.Peerf(alert.ProtocolVersion, "%w: the server chose %v, which was not offered", alert.NoCommonVersion, in.Version)
		}
		if !m.config.servesPSK(v12) {
			return 0, alert.Peerf(alert.ProtocolVersion, "%w: the server chose %v, for which this client has no key (Config.PSKOrCertificate)", alert.NoCommonVersion, v12)
		}
		return v12, nil
	}
	selected, err := message.ParseSelectedVersion(body)
	switch {
	case err != nil:
		return 0, err
	case selected != v13:
		return 0, alert.Peerf(alert.IllegalParameter, "%w: supported_versions selects %v, it can select only %v", m.wrongVersion(selected), selected, v13)
	case in.Version != v12 && !m.retried: // RFC 9846 4.2.3
		return 0, alert.Peerf(alert.ProtocolVersion, "%w: legacy_version of %v is %v, expected %v", alert.NoCommonVersion, v13, in.Version, v12)
	case in.Version != v12:
		return 0, alert.Peerf(alert.ProtocolVersion, "%w: legacy_version of %v is %v, expected %v", alert.MalformedMessage, v13, in.Version, v12)
	}
	return v13, nil
}

// wrongVersion is what is wrong about a version in supported_versions: it changed,
// or 1.2 is said where 1.2 never says it, or it is not known.
func (m *Machine) wrongVersion(v protocol.Version) alert.Reason {
	switch {
	case m.version != 0:
		return alert.VersionChanged
	case v == protocol.VersionTLS12.Over(m.transport):
		return alert.UnexpectedExtension
	}
	return alert.NoCommonVersion
}

// checkServerHello12 refuses downgrades, a session that we don't have, and one
// without RFC 7627.
//
// RFC 9846 4.2.3 [15], E.3 [1]
func (m *Machine) checkServerHello12(in *message.ServerHello) error {
	if m.early.offered { // it had 1.3 when it gave the session, RFC 9846 D.3
		return alert.Peerf(alert.ProtocolVersion, "%w: the server chose %v", alert.EarlyDataVersion, m.version)
	}
	if m.config.Enabled(protocol.VersionTLS13) {
		// RFC 9846 4.2.3: a server that has 1.3 says so in its random.
		if end := string(in.Random[24:]); end == message.DowngradeTLS12 || end == message.DowngradeTLS11 {
			return alert.Peerf(alert.IllegalParameter, "%w: the server has 1.3 and yet chose %v", alert.Downgrade, m.version)
		}
	}
	if err := m.checkRenegotiation(); err != nil {
		return err
	}
	if err := m.checkResumed12(); err != nil {
		return err
	}
	if !m.extendedMasterSecret && !m.config.InsecureAllowMissingEMS {
		return alert.Peerf(alert.HandshakeFailure, "%w: the server's (Config.InsecureAllowMissingEMS)", alert.NoExtendedMasterSecret)
	}
	return nil
}

// keepTranscript fixes the transcript's hash when a ServerHello has no
// HelloRetryRequest before it.
func (m *Machine) keepTranscript() {
	if m.transcript.hash == nil {
		// 1.2's CertificateVerify signs all messages so far.
		m.transcript.keepRaw = !m.version.Is13() && (m.role == Client && m.config.maySign() || m.place.Is(CertRequested))
		m.transcript.begin(m.suite.Hash, m.version)
	}
}

func crossedServerHello(m *Machine) error {
	if err := m.useConnectionIDs(); err != nil {
		return err
	}
	if m.version.Is13() {
		return m.deriveHandshakeKeys()
	}
	if m.place.Is(Resumed) {
		m.resumeKeys12()
	}
	return nil
}

// --- EncryptedExtensions (RFC 9846 4.4.1)

func writeEncryptedExtensions(m *Machine, b *wire.Builder) error {
	extensions, err := m.answerExtensions(inEncrypted)
	if err != nil {
		return err
	}
	out := message.EncryptedExtensions{Extensions: extensions}
	out.Append(b)
	return nil
}

func readEncryptedExtensions(m *Machine, body []byte) error {
	in, err := parse(&message.EncryptedExtensions{}, body)
	if err != nil {
		return err
	}
	if err := m.acceptExtensions(inEncrypted, in.Extensions); err != nil {
		return err
	}
	m.resumeFragmentLength()
	return m.settleEarlyData()
}
