package handshake

import (
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

// Resumption in 1.2 is by ticket (RFC 5077), which a server gives within a full
// handshake, after it has verified the client's Finished, and takes until it
// expires; or by session_id (sessionid.go). A session without an extended master
// secret is not bound to its handshake, and only resumed where a Config accepts
// such connections (RFC 7627 5.3, 6.2).

// offers12 reports whether the session that this client offers is of 1.2.
func (m *Machine) offers12() bool { return m.resumption != nil && !m.resumption.state.Version.Is13() }

// --- session_ticket (RFC 5077 3.2)

func offerSessionTicket(m *Machine, b *wire.Builder) bool {
	if m.offers12() {
		b.Raw(m.resumption.state.Ticket)
	}
	return m.resumes() && !m.config.SessionTicketsDisabled && m.offersVersion(protocol.VersionTLS12)
}

func receiveSessionTicket(m *Machine, body []byte) error {
	m.hello.ticket = body
	return nil
}

// answerSessionTicket promises a NewSessionTicket.
func answerSessionTicket(m *Machine, _ where, _ *wire.Builder) bool { return m.place.Is(Ticket) }

func acceptSessionTicket(m *Machine, _ where, body []byte) error {
	m.promised = true
	return message.ParseEmptyExtension(protocol.ExtSessionTicket, body)
}

// --- The client

// has reports whether a suite is enabled.
func (c *Config) has(s *suite.Suite) bool {
	for enabled := range c.suites(s.Version) {
		if enabled == s {
			return true
		}
	}
	return false
}

// checkResumed12 checks a ServerHello that resumes the session: with all that was
// agreed in it.
func (m *Machine) checkResumed12() error {
	if !m.selected {
		return nil
	}
	s := m.resumption.state
	if m.suite.ID != s.Suite { // RFC 5246 7.4.1.3
		return alert.Peerf(alert.IllegalParameter, "%w, and resumed with %s", alert.WrongSessionSuite, m.suite.Name)
	}
	return m.checkResumedMaster(s, "server")
}

// checkResumedMaster holds what the peer says of extended_master_secret against
// its session (RFC 7627 5.3).
func (m *Machine) checkResumedMaster(s *session.State, peer string) error {
	switch has := m.extendedMasterSecret; {
	case s.ExtendedMasterSecret && !has:
		return alert.Peerf(alert.HandshakeFailure, "%w at the %s", alert.SessionLostMasterSecret, peer)
	case !s.ExtendedMasterSecret && has:
		return alert.Peerf(alert.HandshakeFailure, "%w at the %s", alert.SessionGainedMasterSecret, peer)
	}
	return nil
}

func readNewSessionTicket(m *Machine, body []byte) error {
	in, err := parse(&message.NewSessionTicket12{}, body)
	if err != nil {
		return err
	}
	m.ticket = *in
	m.ticket.Ticket = slices.Clone(in.Ticket)
	return nil
}

// keepSession12 keeps the session of a handshake that is about to be complete.
func (m *Machine) keepSession12() error {
	switch {
	case m.version.Is13():
		return nil
	case m.role == Server:
		return m.storeSession()
	case !m.resumes() || !m.resumable12():
		return nil
	case len(m.ticket.Ticket) > 0:
		lifetime := session.MaxLifetime // if the server says nothing
		if m.ticket.Lifetime > 0 {
			lifetime = min(lifetime, time.Duration(m.ticket.Lifetime)*time.Second)
		}
		s := m.session12(lifetime)
		s.Ticket = m.ticket.Ticket
		return m.keep(s)
	case m.selected:
		return m.keep(m.resumption.state)
	case len(m.sessionID) > 0:
		s := m.session12(session.MaxLifetime)
		s.SessionID = m.sessionID
		return m.keep(s)
	}
	return nil
}

// resumable12 reports whether a session of this handshake may be resumed.
func (m *Machine) resumable12() bool {
	return m.extendedMasterSecret || m.config.InsecureAllowMissingEMS
}

// session12 is this connection's session of 1.2.
func (m *Machine) session12(lifetime time.Duration) *session.State {
	s := m.session(m.secrets12.master.Bytes(), lifetime)
	s.ExtendedMasterSecret = m.extendedMasterSecret
	return s
}

// --- The server

// findSession12 finds the session of the client's ticket, or else of its
// session_id (RFC 5077 3.4). It must have the suite that a full handshake would
// have, so that what is preferred now counts. Without one there is a full
// handshake.
func (m *Machine) findSession12() error {
	m.resumption, m.selected = nil, false
	found, err := m.lookUp12()
	if err != nil || found == nil || found.state.Suite != m.suite.ID {
		return err
	}
	s := found.state
	if !s.ExtendedMasterSecret && (m.extendedMasterSecret || !m.config.InsecureAllowMissingEMS) {
		return nil // RFC 7627 5.3
	}
	if err := m.checkResumedMaster(s, "client"); err != nil {
		return err
	}
	if m.byTicket12() {
		// Anybody who saw the ticket can spend it: in 1.2 only Finished shows whose it
		// is. That costs a full handshake.
		if first, err := m.spend(m.hello.ticket, s); err != nil || !first {
			return err
		}
	}
	m.resumption, m.selected = found, true
	m.credential, m.scheme = nil, 0 // nobody shows one
	return nil
}

// lookUp12 finds it by what the client sent.
func (m *Machine) lookUp12() (*resumption, error) {
	if m.byTicket12() {
		return m.openTickets([][]byte{m.hello.ticket})
	}
	return m.findSessionByID()
}

// byTicket12 reports whether a ticket says which session the client wants.
func (m *Machine) byTicket12() bool { return m.takesTickets12() && len(m.hello.ticket) > 0 }

// givesTicket12 reports whether a ServerHello promises a ticket. One that is
// resumed stays good for as long as it lives, unless it is to be renewed or was
// for single use.
func (m *Machine) givesTicket12() bool {
	needed := !m.selected || m.resumption.state.Renew || m.config.SingleUseTickets
	return !m.version.Is13() && needed && m.resumable12() && m.takesTickets12()
}

// takesTickets12 reports whether tickets are on, here and at the client.
func (m *Machine) takesTickets12() bool {
	return !m.config.SessionTicketsDisabled && slices.Contains(m.hello.offered, protocol.ExtSessionTicket)
}

func writeNewSessionTicket(m *Machine, b *wire.Builder) error {
	var out message.NewSessionTicket12 // empty if there is to be none after all, RFC 5077 3.3
	if m.ticketFits() {
		s, wrapped := m.session12(session.MaxLifetime), m.wrapper()
		if m.selected { // a new ticket makes the secret no younger
			s.Created, s.Lifetime = m.resumption.state.Created, m.resumption.state.Lifetime
		}
		ticket, err := later(m, func() ([]byte, error) { return wrapped(s) })
		if err != nil {
			return wrap(err, alert.InternalError, "WrapSession")
		}
		left := s.Lifetime - m.now.Sub(s.Created)
		out = message.NewSessionTicket12{Lifetime: uint32(left / time.Second), Ticket: ticket}
	}
	out.Append(b)
	return nil
}

// --- Keys

// resumeKeys12 derives the keys of a resumed session: its master secret, and
// the randoms of this handshake.
func (m *Machine) resumeKeys12() {
	master := keys.Master12{Hash: m.suite.Hash, Secret: [48]byte(m.resumption.state.Secret)}
	m.deriveKeys12(master)
}
