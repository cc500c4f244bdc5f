package handshake

import (
	"bytes"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
)

// Sessions of 1.2 by their session_id (RFC 5246 7.3, F.1.4), which the server
// keeps: for clients without tickets, or where tickets are off.

const sessionIDLen = 32 // bytes of an id of ours; the most that there can be

// --- The client

// offerSessionID chooses the session_id of a ClientHello.
//
// RFC 9147 5.3 [2, 3]; RFC 9846 4.2.2 [9, 10]
func (m *Machine) offerSessionID() {
	switch {
	case m.offers12() && m.resumption.state.Ticket == nil:
		m.hello.sessionID = m.resumption.state.SessionID
	case m.offers12(), m.transport == protocol.Stream && m.config.Enabled(protocol.VersionTLS13):
		// To see whether the session of a ticket is resumed (RFC 5077 3.4), or for
		// middleboxes (RFC 9846 E.4; over datagrams it stays empty, RFC 9147 5.3).
		m.hello.sessionID = randomBytes(sessionIDLen)
	}
}

// readSessionID12 reads the session_id of a ServerHello of 1.2. Our own says
// that the session is resumed (RFC 5246 7.4.1.3, RFC 5077 3.4); another one is
// the name of the session that begins here. It is read before the suite, which
// is no fault of its own if the session is not ours.
func (m *Machine) readSessionID12(in *message.ServerHello) error {
	switch {
	case len(in.SessionID) == 0 || !bytes.Equal(in.SessionID, m.hello.sessionID):
		m.sessionID = slices.Clone(in.SessionID)
		return nil
	case m.resumption == nil || m.hidden != nil: // an outer hello offers none (RFC 9849 6.1)
		return alert.Peerf(alert.IllegalParameter, "%w", alert.UnknownSession)
	case !m.offers12(): // our session_id was made up for 1.3
		return alert.Peerf(alert.IllegalParameter, "%w: the server resumes one of 1.3 with %v", alert.WrongSessionVersion, m.version)
	}
	m.selected = true
	return nil
}

// --- The server

// findSessionByID finds the session that the client names.
func (m *Machine) findSessionByID() (*resumption, error) {
	c, id := m.config, m.hello.sessionID
	if c.ServerSessionCache == nil || len(id) == 0 {
		return nil, nil
	}
	now, name, version, state, sizes := m.now, m.serverName, m.version, m.State(), m.sizes
	return later(m, func() (*resumption, error) {
		s, ok := c.ServerSessionCache.Get(id)
		if !ok || s == nil || s.Version != version || !sizes.keep(s) {
			return nil, nil
		}
		r, _ := c.resumable(Server, s, state, name, now)
		return r, nil
	})
}

// nameSession gives the session that begins a name, if it is to be kept here.
func (m *Machine) nameSession() {
	if m.config.ServerSessionCache != nil && !m.place.Is(Ticket) && m.resumable12() {
		m.sessionID = randomBytes(sessionIDLen)
	}
}

// storeSession keeps the session of a complete handshake under the name that
// ServerHello gave it.
func (m *Machine) storeSession() error {
	if m.sessionID == nil {
		return nil
	}
	c, id, s := m.config.ServerSessionCache, m.sessionID, m.session12(session.MaxLifetime)
	return aside(m, func() { c.Put(id, s) })
}
