package handshake

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// The server's tickets, of both versions: it finds a session by one, makes them,
// and keeps the keys that they are sealed with.

// --- Opening

// tickets are those of a ClientHello that are tried.
func (h *hello) tickets() (tickets [][]byte) {
	for _, id := range h.psks.Identities[:min(len(h.psks.Identities), maxIdentities)] {
		tickets = append(tickets, id.Identity)
	}
	return tickets
}

// checkDropped refuses a second ClientHello without the PSKs of the first,
// unless there was none that goes with the suite (RFC 9846 4.2.2).
func (m *Machine) checkDropped() error {
	found, err := m.openTickets(m.hello.dropped)
	if err == nil && found != nil {
		err = alert.Peerf(alert.MissingExtension, "the second ClientHello has no pre_shared_key, the first had one of a session for %s", m.suite.Name)
	}
	return err
}

// openTickets finds the first ticket of a session that can be resumed with the
// suite of this handshake. 1.3 would take another one with the same hash too, but
// what is preferred now counts, and 0-RTT data needs the very suite.
//
// RFC 9846 4.3.11 [5]
func (m *Machine) openTickets(tickets [][]byte) (*resumption, error) {
	c, k, state, now := m.config, m.ticketKeys(), m.State(), m.now
	version, name, chosen, sizes := m.version, m.serverName, m.suite.ID, m.sizes
	run := later[*resumption]
	if c.UnwrapSession == nil && c.GetPSK == nil && c.judgesAlone(Server) {
		run = atOnce[*resumption]
	}
	found, err := run(m, func() (*resumption, error) {
		for i, ticket := range tickets {
			s, err := c.unwrap(k, ticket, state, now)
			if err != nil {
				return nil, err
			}
			if s == nil || s.Check() != nil || s.Version != version || s.Suite != chosen || !sizes.keep(s) {
				continue
			}
			if r, ok := c.resumable(Server, s, state, name, now); ok {
				r.selected = i
				return r, nil
			}
		}
		return nil, nil
	})
	return found, wrap(err, alert.InternalError, "UnwrapSession")
}

// unwrap opens a ticket; nil if it is not good any more.
func (c *Config) unwrap(k *session.TicketKeys, ticket []byte, state ConnectionState, now time.Time) (*session.State, error) {
	if c.UnwrapSession != nil {
		return c.UnwrapSession(ticket, state)
	}
	return k.Open(ticket, now), nil
}

// wrapper makes tickets of sessions, outside of the Machine.
func (m *Machine) wrapper() func(*session.State) ([]byte, error) {
	wrap, state, k, now := m.config.WrapSession, m.State(), m.ticketKeys(), m.now
	return func(s *session.State) ([]byte, error) {
		if wrap == nil {
			return k.Seal(s, now)
		}
		ticket, err := wrap(state, s)
		if err == nil && len(ticket) > math.MaxUint16 {
			err = fmt.Errorf("a ticket has at most 65535 bytes, not %d", len(ticket))
		}
		return ticket, err
	}
}

// spend takes a ticket for the session that it opened to, and reports whether that
// may be resumed: where tickets are for single use, only if this is the first time
// (RFC 9846 8.1). The register remembers it for as long as the session lives. What
// it can't remember is not resumed either.
func (m *Machine) spend(ticket []byte, s *session.State) (first bool, err error) {
	if !m.config.SingleUseTickets {
		return true, nil
	}
	register, now, key := m.antiReplay(), m.now, sha256.Sum256(ticket)
	from, until := s.Life()
	return later(m, func() (bool, error) {
		fresh, err := register.Record(key[:], from, now, until)
		return fresh && err == nil, nil
	})
}

// --- Making

// prepareTickets decides how many tickets the server gives: none to a client
// that could not use them (RFC 9846 4.3.9).
//
// RFC 9846 4.3.9 [5], 4.7.1 [5, 11], C.4 [3]
func (m *Machine) prepareTickets() {
	c := m.config
	if m.role != Server || c.SessionTicketsDisabled || !m.takesPSK() || !m.ticketFits() {
		return
	}
	// A resumed session proves no key anew: without an end, one that was stolen
	// would be good for ever (RFC 9846 4.7.1).
	m.ticketLifetime = session.MaxLifetime
	if r := m.resumption; r != nil {
		left := r.state.Created.Add(r.state.Lifetime).Sub(m.now)
		m.ticketLifetime = min(m.ticketLifetime, left.Truncate(time.Second))
	}
	if m.ticketLifetime <= 0 {
		return
	}
	m.ticketsDue = c.SessionTickets
	if m.ticketsDue == 0 {
		m.ticketsDue = DefaultSessionTickets
	}
}

// maxChain is up to how many bytes of a client's certificates go into a ticket.
// It must come back in a ClientHello, and over datagrams in one that a Listener
// takes in pieces: of 4 KiB, half of which may be key shares.
var maxChain = [...]int{protocol.Stream: 1 << 14, protocol.Datagram: 1536}

// ticketFits reports whether what tells who the client is fits into a ticket: its
// certificates, and what came with them, or the name of its key.
func (m *Machine) ticketFits() bool {
	size := len(m.peer.staple) + len(m.peer.rawKey) + len(m.pskIdentity)
	for _, c := range m.peer.chain {
		size += len(c.Raw)
	}
	for _, t := range m.peer.timestamps {
		size += len(t)
	}
	return size <= maxChain[m.transport]
}

// acrossNamesFlag is tls_flags with resumption_across_names alone.
var acrossNamesFlag = func() []byte {
	var b wire.Builder
	message.AppendExtension(&b, protocol.ExtTLSFlags, func() { message.AppendFlags(&b, message.Flags{}.With(message.ResumptionAcrossNames)) })
	extension, _ := b.Bytes() // three bytes fit
	return extension
}()

// makeTickets makes the tickets that are due, all at once.
//
// RFC 9846 4.7.1 [7]
func (m *Machine) makeTickets() error {
	if m.ticketsDue == 0 {
		return nil
	}
	due, like, secret, wrapped := m.ticketsDue, m.session(nil, m.ticketLifetime), m.secrets13.resumption, m.wrapper()
	extensions, err := m.allowEarlyData(like)
	if err != nil {
		return err
	}
	if m.config.ResumptionAcrossNames {
		extensions = append(extensions, acrossNamesFlag...)
	}
	if m.config.GREASE {
		extensions = append(extensions, ticketGrease...)
	}
	tickets, err := later(m, func() (tickets []message.NewSessionTicket13, err error) {
		for i := range due {
			s, nonce := *like, []byte{byte(i)} // another for each ticket of a connection
			s.Secret, s.AgeAdd = secret.PSK(nonce), binary.BigEndian.Uint32(randomBytes(4))
			out := message.NewSessionTicket13{Lifetime: uint32(s.Lifetime / time.Second), AgeAdd: s.AgeAdd, Nonce: nonce, Extensions: extensions}
			if out.Ticket, err = wrapped(&s); err != nil {
				return nil, err
			}
			if len(out.Ticket) > 0 {
				tickets = append(tickets, out)
			}
		}
		return tickets, nil
	})
	if err != nil {
		return wrap(err, alert.InternalError, "WrapSession")
	}
	m.tickets, m.ticketsDue = tickets, 0
	return nil
}

func writePostTicket(m *Machine, b *wire.Builder) error {
	m.tickets[0].Append(b)
	m.tickets = m.tickets[1:]
	return nil
}

// --- Ticket keys

// ticketKeys are those of the Config in force if it was given some, else of
// the Config that the connection began with.
func (m *Machine) ticketKeys() *session.TicketKeys {
	if len(m.config.TicketKeys) > 0 {
		return m.config.ticketKeys()
	}
	return m.given.ticketKeys()
}

// ticketKeys are the keys of one Config: those that it was given, or its own.
func (c *Config) ticketKeys() *session.TicketKeys { return c.companion().ticketKeys() }
