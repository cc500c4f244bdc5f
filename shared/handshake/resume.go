package handshake

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// Resumption in 1.3 (RFC 9846 2.2), and what 1.2 shares with it: a server gives
// tickets away once the handshake is complete, and the secret of one is the PSK
// of another handshake (psk13.go).
//
// A session remembers its peer's certificates, not that they were verified:
// whoever resumes verifies them again, as its Config says now. Of an external key
// it remembers the name, and the Config must still know that. So a session never
// opens a door that a full handshake would find shut.

// A SessionState is what resumes a session, for WrapSession and
// ClientSessionCache.
type SessionState = session.State

// A ServerSessionCache keeps a server's sessions.
type ServerSessionCache = session.Store

// A ClientSessionCache keeps a client's sessions.
type ClientSessionCache = session.Cache

// An AntiReplay recognizes ClientHellos that come again.
type AntiReplay = session.AntiReplay

// A resumption is a session that may be resumed, and its peer's chain.
type resumption struct {
	state    *session.State
	peer     verified
	selected int // which of the client's identities it is
}

// resumable reports whether a session can be used in version v under c, and
// verifies its peer again.
//
// RFC 9846 4.3.11.1 [1], 4.7.1 [3, 4]
func (c *Config) resumable(role Role, s *session.State, state ConnectionState, name string, now time.Time) (*resumption, bool) {
	switch {
	case s.Check() != nil || s.Expired(now) || s.ServerName != name: // RFC 9846 4.7.1
		return nil, false
	case s.PSKIdentity != nil:
		if known, err := c.stillKnows(role, s, state); !known || err != nil {
			return nil, false
		}
		return &resumption{state: s}, true
	case role == Client && c.needsPSK(), role == Server && !c.hasCertificate():
		return nil, false
	}
	peer, err := c.reverify(role, s)
	if err != nil {
		return nil, false
	}
	return &resumption{state: s, peer: peer}, true
}

// reverify checks what the peer has shown in an earlier handshake. What a server
// wants of a client's certificate, it wants of that chain.
func (c *Config) reverify(role Role, s *session.State) (v verified, err error) {
	raw, shown := s.Chain, protocol.X509
	if s.RawPublicKey != nil {
		raw, shown = [][]byte{s.RawPublicKey}, protocol.RawPublicKey
	}
	switch {
	case len(raw) == 0 && (role == Client || c.requiresClientCert()):
		return v, errNotResumable
	case len(raw) == 0:
		return v, nil
	case role == Server && c.clientAuth() == tls.NoClientCert:
		return v, errNotResumable
	case !c.takes(shown):
		return v, errNotResumable
	case shown == protocol.RawPublicKey:
		return c.verifyRawPublicKey(role, suite.ByID(s.Suite), raw)
	}
	if v.chain, err = cert.Parse(raw); err != nil {
		return v, err
	}
	v.chains, err = c.buildChains(role, v.chain)
	return v, err
}

var errNotResumable = alert.Localf(alert.InternalError, "the session does not fit the Config")

// --- The client

// sessionKey is where a client keeps its sessions with this server. Sessions of
// the two transports don't mix.
func (m *Machine) sessionKey() string {
	name := m.config.ServerName
	if name == "" && m.Remote != nil {
		name = m.Remote()
	}
	return [...]string{protocol.Stream: "tls ", protocol.Datagram: "dtls "}[m.transport] + name
}

// resumes reports whether this client keeps and offers sessions.
func (m *Machine) resumes() bool { return m.role == Client && m.config.ClientSessionCache != nil }

// takeSession takes a session to offer out of the cache, if there is one.
//
// RFC 9846 E.1 [1]
func (m *Machine) takeSession() error {
	if !m.resumes() {
		return nil
	}
	c, key, now, transport, state, hides := m.config, m.sessionKey(), m.now, m.transport, m.State(), m.hidden != nil
	offer, err := later(m, func() (*resumption, error) {
		for range maxStale {
			s, ok := c.ClientSessionCache.Get(key)
			if !ok || s == nil {
				return nil, nil
			}
			if !c.offers(s, transport) || hides && !s.Version.Is13() {
				continue
			}
			if r, ok := c.resumable(Client, s, state, sentName(c.ServerName), now); ok {
				return r, nil
			}
		}
		return nil, nil
	})
	m.resumption = offer
	return err
}

// maxStale is how many sessions of a cache are looked at: one that keeps what it
// gives, as crypto/tls's does, would give the same for ever.
const maxStale = 16

// offers reports whether a session is one over this transport, of a version that
// is enabled, and of a suite that is offered; in 1.3 one with its hash is enough.
func (c *Config) offers(s *session.State, t protocol.Transport) bool {
	byTicket := len(s.Ticket) > 0
	switch {
	case s.Check() != nil || s.Version.Over(t) != s.Version || !c.Enabled(s.Version):
		return false
	case s.FragmentLength != 0 && int(s.FragmentLength) != c.MaxFragmentLength: // RFC 6066 4: it stays with the session
		return false
	case byTicket && c.SessionTicketsDisabled || !byTicket && len(s.SessionID) == 0:
		return false
	case !s.Version.Is13():
		return c.has(suite.ByID(s.Suite)) && (s.ExtendedMasterSecret || c.InsecureAllowMissingEMS)
	}
	for known := range c.suites(s.Version) {
		if known.Hash == suite.ByID(s.Suite).Hash {
			return true
		}
	}
	return false
}

// settleResumption is what both sides do when a ServerHello has said whether
// a session is resumed, or in 1.3 a PSK used.
func (m *Machine) settleResumption() error {
	if m.version.Is13() {
		if err := m.settlePSK(); err != nil {
			return err
		}
	} else if !m.selected {
		m.resumption = nil
	}
	m.resumed = m.resumption != nil
	if r := m.resumption; r != nil {
		m.peer.verified = r.peer
		// Some servers of 1.2 show theirs again, as RFC 6962 3.3 forgot to forbid.
		m.peer.staple, m.peer.timestamps = r.state.Staple, r.state.Timestamps
		m.peer.scheme = r.state.Signature
		if !m.version.Is13() { // which has no key exchange of its own
			m.group = suite.GroupByID(r.state.Group)
		}
		m.pskIdentity = r.state.PSKIdentity
	}
	withoutCertificate := m.resumed || m.psk != nil
	m.place.Learn(Resumed, withoutCertificate)
	m.place.Learn(ServerCert, !withoutCertificate && m.suite.Auth != suite.PSK)
	m.place.Learn(KeyTransport, !withoutCertificate && m.suite.Exchange == suite.KeyTransport)
	if m.suite.Auth == suite.PSK && m.suite.Exchange == suite.ECDHE && !m.resumed {
		m.place.Learn(KeyExchange, true) // it has the server's share
	}
	return nil
}

// readPostTicket puts a session into the client's cache, if it has one.
//
// RFC 9846 4.7.1 [1, 6, 8]
func readPostTicket(m *Machine, body []byte) error {
	in, err := parse(&message.NewSessionTicket13{}, body)
	if err != nil {
		return err
	}
	var maxEarlyData uint32
	if early, ok := in.Extensions.Find(protocol.ExtEarlyData); ok {
		if maxEarlyData, err = message.ParseEarlyData(early); err != nil {
			return err
		}
	}
	var acrossNames bool
	if body, ok := in.Extensions.Find(protocol.ExtTLSFlags); ok {
		flags, err := message.ParseFlags(body)
		if err != nil {
			return err
		}
		acrossNames = flags.Has(message.ResumptionAcrossNames)
	}
	if in.Lifetime == 0 || !m.resumes() || m.config.SessionTicketsDisabled { // zero: to be discarded at once, RFC 9846 4.7.1
		return nil
	}
	s := m.session(m.secrets13.resumption.PSK(in.Nonce), min(time.Duration(in.Lifetime)*time.Second, session.MaxLifetime))
	s.AgeAdd, s.Ticket, s.MaxEarlyData = in.AgeAdd, slices.Clone(in.Ticket), maxEarlyData
	s.AcrossNames = acrossNames
	if maxEarlyData > 0 {
		s.MaxPlaintext = uint16(m.SendLimit(LevelApplication))
	}
	return m.keep(s)
}

// keep puts a session into the client's cache.
func (m *Machine) keep(s *session.State) error {
	cache, key := m.config.ClientSessionCache, m.sessionKey()
	return aside(m, func() { cache.Put(key, s) })
}

// session is this connection's session, which begins now.
//
// RFC 9846 4.3.11 [4]
func (m *Machine) session(secret []byte, lifetime time.Duration) *session.State {
	s := &session.State{
		Version:    m.version,
		Suite:      m.suite.ID,
		Secret:     slices.Clone(secret),
		Created:    m.now,
		Lifetime:   lifetime,
		ServerName: m.serverName,
		Protocol:   m.protocol,
		Chain:      rawChain(m.peer.chain),
		Staple:     m.peer.staple,
		Timestamps: m.peer.timestamps,
		Signature:  m.peer.scheme,

		PSKIdentity:  m.pskIdentity,
		RawPublicKey: m.peer.rawKey,

		FragmentLength: uint16(m.sizes.fragment),
	}
	if m.group != nil {
		s.Group = m.group.ID
	}
	return s
}

func rawChain(chain []*x509.Certificate) (raw [][]byte) {
	for _, c := range chain {
		raw = append(raw, c.Raw)
	}
	return raw
}
