package main

import (
	"crypto/rand"
	"errors"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/tls"
)

// A family is the connections of one test. They share a clock, and what it takes
// to resume a session.
type family struct {
	clock      *clock
	ticketKeys [][32]byte
	antiReplay dtls.AntiReplay
	kept       dtls.ServerSessionCache
	session    *dtls.SessionState // the client's newest, of the connection before
}

func newFamily() *family {
	f := &family{clock: newClock(), ticketKeys: make([][32]byte, 1), antiReplay: tls.NewReplayRegister(0, time.Time{}), kept: dtls.NewLRUServerSessionCache(0)}
	rand.Read(f.ticketKeys[0][:]) // never fails
	return f
}

// end hands on what the next connection resumes.
func (f *family) end(c *connection) {
	f.session = c.sessions.newest()
	f.clock.advance(c.settings.resumptionDelay)
}

// sessions are what one connection knows of them: a client's cache.
type sessions struct {
	family   *family
	settings *settings
	offered  *dtls.SessionState // until it is taken
	taken    *dtls.SessionState
	good     bool               // taken was given back
	fresh    *dtls.SessionState // the newest that came
	cached   bool               // at the server
}

var errNoSession = errors.New("there is no session to offer")

// begin is before a connection.
func (s *sessions) begin(f *family, c *connection) error {
	s.family, s.settings, s.offered = f, c.settings, f.session
	if c.again && !c.settings.server && f.session == nil {
		return errNoSession
	}
	return nil
}

func (s *sessions) configure(config *dtls.Config) {
	config.ClientSessionCache = s
	config.ServerSessionCache = serverSessions{s.family.kept, s}
	config.TicketKeys = s.family.ticketKeys
	config.EarlyData = s.settings.earlyData && !s.settings.dtls // the runner has it over TLS alone
	config.AntiReplay = s.family.antiReplay
	config.ResumptionAcrossNames = s.settings.acrossNames
	config.SessionTicketsDisabled = s.settings.noTickets
	if f := &s.settings.tickets; f.key != nil {
		config.WrapSession, config.UnwrapSession = f.wrap, f.unwrap
	}
}

// newest is the session for the next connection to offer.
func (s *sessions) newest() *dtls.SessionState {
	if s.fresh == nil && s.good {
		return s.taken
	}
	return s.fresh
}

// Get gives the session away, once.
func (s *sessions) Get(string) (*dtls.SessionState, bool) {
	s.taken, s.offered = s.offered, nil
	return s.taken, s.taken != nil
}

// Put takes a session, which may be the old one that was good again.
func (s *sessions) Put(_ string, session *dtls.SessionState) {
	if session == s.taken {
		s.good = true
		return
	}
	s.fresh = session
}

// serverSessions are the server's cache, which tells when it is used.
type serverSessions struct {
	dtls.ServerSessionCache
	of *sessions
}

func (s serverSessions) Put(id []byte, state *dtls.SessionState) {
	s.of.cached = true
	s.ServerSessionCache.Put(id, state)
}

func is13(version uint16) bool { return protocol.Version(version).Is13() }
