package handshake

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// 0-RTT (RFC 9846 2.3, 4.3.10): a client that resumes a session of 1.3 may send
// data right behind its ClientHello, under keys of the session alone.
//
//	client                                     server
//	ClientHello, early_data      ----------->  decideEarlyData
//	data under LevelEarly        ----------->  until EndOfEarlyData (over a stream)
//	                             <-----------  EncryptedExtensions, early_data; Finished
//	                             <-----------  data under LevelApplication
//	EndOfEarlyData (over a stream), Finished
//
// Whoever records a first flight can send it again, and nothing in it shows
// that: so an AntiReplay remembers it for as long as the ticket's age lets it be
// fresh (RFC 9846 8), and what is read of early data before the handshake is
// complete must be asked for by a name of its own. A handshake that is complete
// was no replay: its client has signed, so to speak, for all of it.

// EarlyDataReason says why there is 0-RTT on a connection, or why there is none.
type EarlyDataReason string

const (
	EarlyDataUndecided        EarlyDataReason = ""                        // the handshake hasn't said yet
	EarlyDataAccepted         EarlyDataReason = "accept"                  // the server takes it
	EarlyDataDisabled         EarlyDataReason = "disabled"                // Config.EarlyData is false
	EarlyDataProtocolVersion  EarlyDataReason = "protocol_version"        // 1.2 has none
	EarlyDataNoSession        EarlyDataReason = "no_session_offered"      // there is no session to resume
	EarlyDataUnsupported      EarlyDataReason = "unsupported_for_session" // the server promised none with the ticket
	EarlyDataALPNMismatch     EarlyDataReason = "alpn_mismatch"           // the session has another application protocol
	EarlyDataSuiteMismatch    EarlyDataReason = "cipher_suite_mismatch"   // the session has another suite
	EarlyDataNotResumed       EarlyDataReason = "session_not_resumed"     // the server didn't take the session
	EarlyDataHelloRetry       EarlyDataReason = "hello_retry_request"     // the server asked for another ClientHello
	EarlyDataPeerDeclined     EarlyDataReason = "peer_declined"           // the peer doesn't want it
	EarlyDataTicketAge        EarlyDataReason = "ticket_age_skew"         // the ticket's age is not what it should be
	EarlyDataReplayed         EarlyDataReason = "replayed"                // AntiReplay knows the ClientHello
	EarlyDataAntiReplayFailed EarlyDataReason = "anti_replay_failed"      // AntiReplay is full, too young, or failed
)

var (
	// ErrNoEarlyData says that data can't be written before the handshake is
	// complete, or no more of it.
	ErrNoEarlyData = errors.New("no (more) data can be sent before the handshake is complete")
	// ErrEarlyDataRejected says that the server has not taken the 0-RTT data that
	// was written: none of it has arrived.
	ErrEarlyDataRejected = errors.New("the server did not take the early data")
)

// early is what a Machine knows of 0-RTT.
type early struct {
	reason   EarlyDataReason
	offered  bool                 // in the first ClientHello
	accepted bool                 // by the server, as far as its message says so
	rejected bool                 // offered and not accepted; see ForgetEarlyData
	room     int64                // how many bytes a client may still write, and a server read
	written  bool                 // some were
	received int64                // bytes that came to a server
	skew     time.Duration        // of the ticket's age; see ConnectionState
	exporter *keys.ExporterSecret // of the session; nil without 0-RTT
}

// DefaultMaxEarlyData is Config.MaxEarlyData if that is zero. With maxOverhead
// it is the 16 KiB that a server of the stacks in use skips.
const DefaultMaxEarlyData = 14 << 10

// maxOverhead is how much longer than their data the records of early data may
// be, so that small ones can be skipped too.
const maxOverhead = 2 << 10

// maxTicketAgeSkew is how much the age of a ticket that a client tells may
// differ from that which the server knows (RFC 9846 8.3). Ten seconds would do
// for most round trips; stacks in use take a minute, for clocks that are off.
const maxTicketAgeSkew = time.Minute

// replayWindow is from when, and until when, a server takes the 0-RTT of a
// ClientHello whose ticket has this skew at now: around the time when it would
// have come by a clock that is right (RFC 9846 8.2).
func replayWindow(skew time.Duration, now time.Time) (from, until time.Time) {
	expected := now.Add(skew)
	return expected.Add(-maxTicketAgeSkew), expected.Add(maxTicketAgeSkew + time.Second)
}

func (c *Config) maxEarlyData() int64 {
	if c.MaxEarlyData == 0 {
		return DefaultMaxEarlyData
	}
	return int64(c.MaxEarlyData)
}

// maxSkipped is how many bytes of records are passed over when a client sends
// 0-RTT data that we don't take (RFC 9846 4.3.10).
func (c *Config) maxSkipped() int { return int(c.maxEarlyData()) + maxOverhead }

// --- early_data (RFC 9846 4.3.10)

// considerEarlyData decides whether the client offers 0-RTT. Data would be on its
// way before the handshake's VerifyConnection, so it is asked here too.
func (m *Machine) considerEarlyData() error {
	m.early.reason = m.config.earlyDataFor(m.resumption)
	m.early.offered = m.early.reason == EarlyDataUndecided
	if !m.early.offered {
		m.place.Learn(EarlyData, false)
		return nil
	}
	return m.verifyUnasked()
}

// earlyDataFor says why a client can't offer 0-RTT with a session, if it can't.
//
// RFC 9846 4.3.10 [1], E.1 [2], F.5 [3]
func (c *Config) earlyDataFor(r *resumption) EarlyDataReason {
	switch {
	case !c.EarlyData:
		return EarlyDataDisabled
	case !c.Enabled(protocol.VersionTLS13):
		return EarlyDataProtocolVersion
	case r == nil:
		return EarlyDataNoSession
	case !r.state.Version.Is13() || r.state.MaxEarlyData == 0:
		return EarlyDataUnsupported
	case r.state.Protocol != "" && !slices.Contains(c.NextProtos, r.state.Protocol):
		return EarlyDataALPNMismatch
	case !c.has(suite.ByID(r.state.Suite)):
		return EarlyDataSuiteMismatch
	}
	return EarlyDataUndecided
}

// RFC 9846 4.3.10 [6]
func offerEarlyData(m *Machine, _ *wire.Builder) bool {
	return m.early.offered && !m.retried // RFC 9846 4.2.2
}

// receiveEarlyData reads it. A second ClientHello must not have it (RFC 9846
// 4.2.2); the stacks in use ignore it there, and refuse what comes with it
// because that doesn't open.
func receiveEarlyData(m *Machine, body []byte) error {
	m.hello.earlyData = !m.retried
	m.early.offered = m.early.offered || m.hello.earlyData
	return message.ParseEmptyExtension(protocol.ExtEarlyData, body)
}

func answerEarlyData(m *Machine, _ where, _ *wire.Builder) bool { return m.early.accepted }

// RFC 9846 4.3.11 [13, 14]
func acceptEarlyData(m *Machine, _ where, body []byte) error {
	switch {
	case m.resumed:
	case m.psk != nil: // RFC 9846 4.3.11: early data is the first identity's, the session's
		return alert.Peerf(alert.IllegalParameter, "%w: early_data with an external key", alert.UnexpectedExtension)
	default:
		return alert.Peerf(alert.UnsupportedExtension, "%w: early_data without the session that it belongs to", alert.UnexpectedExtension)
	}
	m.early.accepted = true
	return message.ParseEmptyExtension(protocol.ExtEarlyData, body)
}

// settleEarlyData is what EncryptedExtensions tell a client about its 0-RTT.
func (m *Machine) settleEarlyData() error {
	if m.place.Knows(EarlyData) { // without the session, there is none
		m.rejectEarlyData(EarlyDataNotResumed)
		return nil
	}
	m.place.Learn(EarlyData, m.early.accepted)
	switch {
	case !m.resumed: // but by an external key
		m.rejectEarlyData(EarlyDataNotResumed)
		return nil
	case !m.early.accepted:
		m.rejectEarlyData(EarlyDataPeerDeclined)
		return nil
	}
	// What was written early was written under these (RFC 9846 4.3.10).
	switch s := m.resumption.state; {
	case s.Suite != m.suite.ID:
		return alert.Peerf(alert.IllegalParameter, "%w: of the session, %s, is not %s", alert.EarlyDataSuite, suite.ByID(s.Suite).Name, m.suite.Name)
	case s.Protocol != m.protocol:
		return alert.Peerf(alert.IllegalParameter, "%w: of the session, %q, is not %q", alert.EarlyDataProtocol, s.Protocol, m.protocol)
	}
	m.early.reason = EarlyDataAccepted
	return nil
}

// rejectEarlyData notes that a server did not take what a client offered.
func (m *Machine) rejectEarlyData(r EarlyDataReason) {
	if m.early.offered && !m.early.rejected {
		m.early.reason, m.early.rejected, m.early.room = r, true, 0
	}
}

// --- The server

// decideEarlyData decides whether the server takes 0-RTT, once it has decided
// about the session. It may have to wait for AntiReplay.
//
// RFC 9846 4.3.10 [5, 10]
func (m *Machine) decideEarlyData() error {
	reason, err := m.judgeEarlyData()
	if err != nil {
		return err
	}
	m.early.reason, m.early.accepted = reason, reason == EarlyDataAccepted
	if m.hello.earlyData && !m.early.accepted {
		m.layer.SkipEarly(m.config.maxSkipped())
	}
	return nil
}

// RFC 9846 4.3.10 [3, 4, 7, 8]
func (m *Machine) judgeEarlyData() (EarlyDataReason, error) {
	switch s := m.sessionOf13(); {
	case !m.config.EarlyData:
		return EarlyDataDisabled, nil
	case s == nil && len(m.hello.psks.Identities) == 0:
		return EarlyDataNoSession, nil
	case s == nil:
		return EarlyDataNotResumed, nil
	case !m.early.offered:
		return EarlyDataPeerDeclined, nil
	case s.MaxEarlyData == 0 || int64(s.MaxEarlyData) > m.config.maxEarlyData(): // there was once more room
		return EarlyDataUnsupported, nil
	case m.ReceiveLimit(LevelEarly) > m.ReceiveLimit(LevelApplication): // there was once more room in a record, too
		return EarlyDataUnsupported, nil
	case m.resumption.selected != 0: // RFC 9846 4.3.10: only of the first identity
		return EarlyDataNotResumed, nil
	case s.Protocol != m.protocol:
		return EarlyDataALPNMismatch, nil
	case m.early.skew.Abs() > maxTicketAgeSkew:
		return EarlyDataTicketAge, nil
	case m.retried:
		return EarlyDataHelloRetry, nil
	}
	return m.recordEarlyData()
}

// sessionOf13 is the session of a ticket that the server resumes, or nil.
func (m *Machine) sessionOf13() *session.State {
	if m.resumption == nil {
		return nil
	}
	return m.resumption.state
}

// recordEarlyData asks AntiReplay about the ClientHello. Its binder stands for
// it: it is over all of it, and none but those who know the session can make
// another (RFC 9846 8.2). When AntiReplay forgets it, its ticket's age doesn't
// fit any more.
//
// RFC 9846 8 [1, 3], 8.2 [1, 2]
func (m *Machine) recordEarlyData() (EarlyDataReason, error) {
	if m.config.SingleUseTickets {
		return EarlyDataAccepted, nil // it knows the ticket already (RFC 9846 8.1)
	}
	register, now := m.antiReplay(), m.now
	binder := slices.Clone(m.hello.psks.Binders[m.resumption.selected])
	from, until := replayWindow(m.early.skew, now)
	return later(m, func() (EarlyDataReason, error) {
		switch fresh, err := register.Record(binder, from, now, until); {
		case err != nil:
			return EarlyDataAntiReplayFailed, nil
		case !fresh:
			return EarlyDataReplayed, nil
		}
		return EarlyDataAccepted, nil
	})
}

// antiReplay is the application's, or a register beside the ticket keys that are
// this process's own. A Config in force that has neither uses both of the Config
// that the connection began with (see ticketKeys).
//
// RFC 9846 8 [4]
func (m *Machine) antiReplay() AntiReplay {
	for _, c := range []*Config{m.config, m.given} {
		if c.AntiReplay != nil {
			return c.AntiReplay
		}
	}
	return m.ticketKeys().AntiReplay()
}

// allowEarlyData writes into a session, and into its ticket's extensions, that it
// may bring 0-RTT.
func (m *Machine) allowEarlyData(s *session.State) ([]byte, error) {
	if !m.config.EarlyData {
		return nil, nil
	}
	s.MaxEarlyData, s.Client = uint32(m.config.maxEarlyData()), m.ClientAddress
	s.MaxPlaintext = uint16(m.ReceiveLimit(LevelApplication))
	var b wire.Builder
	message.AppendExtension(&b, protocol.ExtEarlyData, func() { message.AppendEarlyData(&b, s.MaxEarlyData) })
	return b.Bytes()
}

// KnownClient reports whether a ClientHello may be answered though its sender
// has not shown that its address is its own: it brings 0-RTT, under a ticket that
// we gave to a client at that address not long ago (RFC 9147 5.1), and is new to
// the register. It does not check the binder: that needs the secrets of a Machine.
func KnownClient(c *Config, in *message.ClientHello, client netip.Addr, register AntiReplay, now time.Time) bool {
	if !c.EarlyData || c.SessionTicketsDisabled || c.UnwrapSession != nil {
		return false // an application's callback would run for anybody
	}
	if _, early := in.Extensions.Find(protocol.ExtEarlyData); !early {
		return false
	}
	body, _ := in.Extensions.Find(protocol.ExtPreSharedKey)
	offered, err := message.ParsePreSharedKey(body)
	if err != nil {
		return false
	}
	first := offered.Identities[0]
	s := c.ticketKeys().Open(first.Identity, now)
	if s == nil || s.MaxEarlyData == 0 || !s.Client.IsValid() || s.Client != client {
		return false
	}
	skew := s.Skew(first.ObfuscatedAge, now)
	if skew.Abs() > maxTicketAgeSkew {
		return false
	}
	from, until := replayWindow(skew, now)
	fresh, err := register.Record(offered.Binders[0], from, now, until)
	return fresh && err == nil
}

// --- Keys (RFC 9846 7.1)

// crossedClientHello begins the level of 0-RTT: at a client that offers it, and
// at a server that takes it.
//
// RFC 9846 4.3.11.3 [1]
func crossedClientHello(m *Machine) error {
	if m.place.Is(EarlyData) || m.role == Client && !m.place.Knows(EarlyData) {
		return m.beginEarlyData(m.resumption.state)
	}
	return nil
}

func (m *Machine) beginEarlyData(s *session.State) error {
	used := suite.ByID(s.Suite)
	schedule := keys.Schedule{Hash: used.Hash, Transport: m.transport}
	secret, sum := schedule.Early(s.Secret), m.helloTranscript().sumHello(used.Hash)
	traffic := secret.ClientTraffic(sum)
	exporter := secret.Exporter(sum)
	m.early.exporter = &exporter
	m.logKey("CLIENT_EARLY_TRAFFIC_SECRET", traffic.Bytes())
	m.logKey("EARLY_EXPORTER_SECRET", exporter.Bytes())
	m.early.room = int64(s.MaxEarlyData)
	if m.role == Server {
		m.readLevel = LevelEarly
		return m.layer.ReadKey(TrafficKey{LevelEarly, used, traffic.Key(used)})
	}
	m.writeLevel = LevelEarly
	return m.layer.WriteKey(TrafficKey{LevelEarly, used, traffic.Key(used)})
}

// staysEarly reports whether the client's records are still, or may still be,
// those of 0-RTT, though the handshake has keys. Over datagrams epochs tell them
// apart (RFC 9147 5.6).
func (m *Machine) staysEarly() bool {
	return m.transport == protocol.Stream && (m.place.Is(EarlyData) || !m.place.Knows(EarlyData))
}

// crossedEncryptedExtensions takes a client whose 0-RTT is refused there to the
// keys of the handshake.
//
// RFC 9846 A.1 [1]
func crossedEncryptedExtensions(m *Machine) error {
	if m.role == Client && m.writeLevel == LevelEarly && !m.place.Is(EarlyData) {
		return m.writeUnder(LevelHandshake, m.finishedClient.Key(m.suite))
	}
	return nil
}

// --- EndOfEarlyData (RFC 9846 4.6)

func readEndOfEarlyData(_ *Machine, body []byte) error { return message.ParseEmpty(body) }

func crossedEndOfEarlyData(m *Machine) error {
	key := m.finishedClient.Key(m.suite)
	if m.role == Client {
		m.early.room = 0
		return m.writeUnder(LevelHandshake, key)
	}
	return m.readUnder(LevelHandshake, key)
}

// --- For the Layer's owner

// EarlyRoom is how many bytes may be written before the handshake is complete:
// as 0-RTT by a client, and behind its Finished by a server that takes 0-RTT.
func (m *Machine) EarlyRoom() int64 {
	switch {
	case m.flow != handshaking:
		return 0
	case m.role == Client:
		return m.early.room
	case m.place.Is(EarlyData) && m.writeLevel == LevelApplication:
		return math.MaxInt64
	}
	return 0
}

// WroteEarly notes that n bytes more were.
func (m *Machine) WroteEarly(n int) {
	m.early.written = m.early.written || n > 0
	if m.role == Client {
		m.early.room -= int64(n)
	}
}

// ReceivedEarly counts n bytes more of 0-RTT, of which the server takes only as
// many as the ticket said (RFC 9846 4.3.10).
//
// RFC 9846 4.7.1 [9]
func (m *Machine) ReceivedEarly(n int) error {
	if m.early.room -= int64(n); m.early.room < 0 {
		return alert.Peerf(alert.UnexpectedMessage, "%w: more than %d bytes", alert.TooMuchEarlyData, m.early.received)
	}
	m.early.received += int64(n)
	return nil
}

// EarlyOver reports whether it is certain that no more 0-RTT comes before the
// handshake is complete.
func (m *Machine) EarlyOver() bool {
	refused := m.place.Knows(EarlyData) && !m.place.Is(EarlyData)
	return m.role == Client || m.flow != handshaking || refused ||
		m.transport == protocol.Stream && m.readLevel >= LevelHandshake
}

// EarlyRejected reports whether 0-RTT was written and got lost.
//
// RFC 9846 4.3.10 [13]
func (m *Machine) EarlyRejected() bool { return m.early.rejected && m.early.written }

// ForgetEarlyData ends EarlyRejected: the application knows.
func (m *Machine) ForgetEarlyData() {
	if m.early.rejected {
		m.early.written = false
	}
}

// predicts reports whether a client may write as if the handshake were complete,
// and had agreed on what its session has.
func (m *Machine) predicts() bool {
	return m.role == Client && m.early.offered && m.resumption != nil && m.flow == handshaking && !m.place.Knows(EarlyData)
}

// describeEarlyData adds to what State says.
func (m *Machine) describeEarlyData(s *ConnectionState) {
	s.EarlyDataAccepted, s.EarlyDataReason = m.place.Is(EarlyData), m.early.reason
	s.EarlyBytes, s.TicketAgeSkew = m.early.received, m.early.skew
	if m.predicts() {
		r := m.resumption
		s.Version, s.CipherSuite, s.DidResume = uint16(r.state.Version), r.state.Suite, true
		s.NegotiatedProtocol, s.PSKIdentity = r.state.Protocol, r.state.PSKIdentity
		s.ServerName, s.PeerRawPublicKey = r.state.ServerName, r.peer.rawKey
		s.PeerCertificates, s.VerifiedChains = r.peer.chain, r.peer.chains
		s.OCSPResponse, s.SignedCertificateTimestamps = r.state.Staple, r.state.Timestamps
		s.PeerSignature = r.state.Signature
		s.ExtendedMasterSecret, s.SecureRenegotiation = true, true // as it is 1.3
		s.ECHAccepted = m.hidden != nil                            // else early data isn't
	}
	if m.early.exporter != nil && (m.place.Is(EarlyData) || m.predicts()) {
		s.exportEarly = m.early.exporter.Export
	}
}
