package handshake

import (
	"bytes"
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

// Resumption in 1.2 is by ticket (RFC 5077): a server gives one within a full
// handshake, after it has verified the client's Finished, and takes it until it
// expires. Only sessions with an extended master secret are resumed, as others
// are not bound to their handshake (RFC 7627 5.3).

// offers12 reports whether the session that this client offers is of 1.2.
func (m *Machine) offers12() bool { return m.resumption != nil && !m.resumption.state.Version.Is13() }

// --- session_ticket (RFC 5077 3.2)

func offerSessionTicket(m *Machine, b *wire.Builder) bool {
	if m.offers12() {
		b.Raw(m.resumption.state.Ticket)
	}
	return m.resumes() && m.offersVersion(protocol.VersionTLS12)
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

// checkResumed12 checks a ServerHello that echoes our session_id: it resumes the
// session (RFC 5077 3.4), with all that was agreed in it.
func (m *Machine) checkResumed12(in *message.ServerHello) error {
	if len(in.SessionID) == 0 || !bytes.Equal(in.SessionID, m.hello.sessionID) {
		return nil
	}
	switch {
	case !m.offers12():
		// Ours was made up for 1.3.
		return alert.Peerf(alert.IllegalParameter, "the server resumes a session that was never made")
	case m.suite.ID != m.resumption.state.Suite: // RFC 5246 7.4.1.3
		return alert.Peerf(alert.IllegalParameter, "the server resumes a session of another suite with %s", m.suite.Name)
	case !m.hello.extendedMasterSecret: // RFC 7627 5.3
		return alert.Peerf(alert.HandshakeFailure, "the server resumes a session without its extended_master_secret")
	}
	m.selected = true
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

// keepSession12 puts the session of a complete handshake into the cache: with
// a new ticket, or with the one that was good again.
func (m *Machine) keepSession12() error {
	switch {
	case m.version.Is13() || !m.resumes() || !m.hello.extendedMasterSecret:
	case len(m.ticket.Ticket) > 0:
		lifetime := session.MaxLifetime // if the server says nothing
		if m.ticket.Lifetime > 0 {
			lifetime = min(lifetime, time.Duration(m.ticket.Lifetime)*time.Second)
		}
		s := m.session(m.secrets12.master.Bytes(), lifetime)
		s.Ticket = m.ticket.Ticket
		return m.keep(s)
	case m.selected:
		return m.keep(m.resumption.state)
	}
	return nil
}

// --- The server

// findSession12 finds the session of the client's ticket. Without one there is a
// full handshake.
func (m *Machine) findSession12() error {
	m.resumption, m.selected = nil, false
	if len(m.hello.ticket) == 0 || m.config.SessionTicketsDisabled {
		return nil
	}
	found, err := m.openTickets([][]byte{m.hello.ticket}, func(s *session.State) bool {
		return m.hello.suites.Contains(s.Suite) && m.config.has(suite.ByID(s.Suite))
	})
	switch {
	case err != nil || found == nil:
		return err
	case !m.hello.extendedMasterSecret: // RFC 7627 5.3
		return alert.Peerf(alert.HandshakeFailure, "the client resumes a session without its extended_master_secret")
	}
	m.resumption, m.selected, m.suite = found, true, suite.ByID(found.state.Suite)
	return nil
}

// has reports whether a suite is enabled.
func (c *Config) has(s *suite.Suite) bool {
	for enabled := range c.suites(s.Version) {
		if enabled == s {
			return true
		}
	}
	return false
}

// givesTicket12 reports whether a ServerHello promises a ticket. One that is
// resumed stays good for as long as it lives.
func (m *Machine) givesTicket12() bool {
	return !m.version.Is13() && !m.selected && m.hello.extendedMasterSecret && !m.config.SessionTicketsDisabled &&
		slices.Contains(m.hello.offered, protocol.ExtSessionTicket)
}

func writeNewSessionTicket(m *Machine, b *wire.Builder) error {
	var out message.NewSessionTicket12 // empty if there is to be none after all, RFC 5077 3.3
	if m.ticketFits() {
		s := m.session(m.secrets12.master.Bytes(), session.MaxLifetime)
		wrapped := m.wrapper()
		ticket, err := later(m, func() ([]byte, error) { return wrapped(s) })
		if err != nil {
			return wrap(err, alert.InternalError, "WrapSession")
		}
		out = message.NewSessionTicket12{Lifetime: uint32(s.Lifetime / time.Second), Ticket: ticket}
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
