package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// expectations are what a test expects of the connection. What is nil or empty
// can be anything.
type expectations struct {
	credential           *int
	serverName           *string
	protocol             *string
	offeredProtocols     *string // as they stand on the wire
	offeredSchemes       []tls.SignatureScheme
	offeredTypes         []byte
	offeredAuthorities   [][]byte
	retry                *bool // a HelloRetryRequest
	group                *tls.CurveID
	suite                *uint16
	version              *uint16
	peerScheme           *tls.SignatureScheme
	extendedMasterSecret bool
	secureRenegotiation  *bool
	peerChainFile        string
	peerType             *dtls.CertificateType
	peerKeyHash          []byte // SHA-256 of the peer's raw public key
	verifyResult         bool
	staple               []byte
	timestamps           []byte // as they stand on the wire
	noPeerCertificate    bool
	messages             *string

	ech        bool    // Encrypted Client Hello is accepted
	echRetry   []byte  // what a server that rejects it offers instead
	noECHRetry bool    // it offers nothing
	publicName *string // whom a server that rejects it is verified as; empty: it is not

	sessionMiss bool  // nothing is resumed
	noSession   bool  // the client gets none
	renewal     bool  // the client gets a new one when it resumes
	cached      *bool // the server keeps the first

	acceptsEarlyData  bool
	rejectsEarlyData  bool
	offersNoEarlyData bool
	acrossNames       *bool // so the session that the client gets says
	earlySession      bool  // the session that the client gets allows early data
	earlyDataReason   *string
	ticketAgeSkew     time.Duration // zero: any
}

// check holds an open connection against what is expected of it.
func (e *expectations) check(c *connection) error {
	state := c.State()
	for _, err := range []error{
		differ("credential", e.credential, new(c.selectedCredential())),
		differ("server name", e.serverName, &state.ServerName),
		differ("ALPN protocol", e.protocol, &state.NegotiatedProtocol),
		differ("protocols on offer", e.offeredProtocols, new(protocolList(c.observer.offeredProtocols))),
		differ("HelloRetryRequest", e.retry, &state.HelloRetryRequest),
		differ("group", e.group, &state.CurveID),
		differ("cipher suite", e.suite, &state.CipherSuite),
		differ("version", e.version, &state.Version),
		differ("peer's signature scheme", e.peerScheme, &state.PeerSignature),
		differ("peer's certificate type", e.peerType, new(peerType(state))),
		differ("secure renegotiation", e.secureRenegotiation, &state.SecureRenegotiation),
		e.checkPeer(state),
		e.checkOffered(c.observer),
		e.checkResumption(c, state),
		e.checkStaples(c, state),
		e.checkEarlyData(c),
	} {
		if err != nil {
			return err
		}
	}
	if state.HandshakeComplete { // else it is not known yet
		if err := e.checkECH(state); err != nil {
			return err
		}
	}
	if e.extendedMasterSecret && !state.ExtendedMasterSecret {
		return fmt.Errorf("expected extended_master_secret, it was not negotiated")
	}
	return nil
}

// checkOffered is for what the peer says of our certificate.
func (e *expectations) checkOffered(o *observer) error {
	switch {
	case e.offeredSchemes != nil && !slices.Equal(e.offeredSchemes, o.offeredSchemes):
		return fmt.Errorf("expected the peer's schemes %v, got %v", e.offeredSchemes, o.offeredSchemes)
	case e.offeredTypes != nil && !bytes.Equal(e.offeredTypes, o.offeredTypes):
		return fmt.Errorf("expected the certificate types %v, got %v", e.offeredTypes, o.offeredTypes)
	case e.offeredAuthorities != nil && !slices.EqualFunc(e.offeredAuthorities, o.offeredAuthorities, bytes.Equal):
		return fmt.Errorf("expected the authorities %x, got %x", e.offeredAuthorities, o.offeredAuthorities)
	}
	return nil
}

// differ is an error if a value is not what is expected of it, if anything is.
func differ[T comparable](what string, want, got *T) error {
	switch {
	case want == nil || got != nil && *got == *want:
		return nil
	case got == nil:
		return fmt.Errorf("%s: expected %v, got none", what, *want)
	}
	return fmt.Errorf("%s: expected %v, got %v", what, *want, *got)
}

func (e *expectations) checkPeer(state dtls.ConnectionState) error {
	if e.noPeerCertificate && len(state.PeerCertificates) > 0 {
		return fmt.Errorf("expected no certificate of the peer, got %d", len(state.PeerCertificates))
	}
	if e.peerChainFile == "" {
		return nil
	}
	want, err := loadPEM(e.peerChainFile)
	if err != nil {
		return err
	}
	var got [][]byte
	for _, certificate := range state.PeerCertificates {
		got = append(got, certificate.Raw)
	}
	if !slices.EqualFunc(want, got, bytes.Equal) {
		return fmt.Errorf("the peer's chain of %d certificates is not the expected one of %d", len(got), len(want))
	}
	return nil
}

// peerType is what the peer has shown its key in.
func peerType(state dtls.ConnectionState) dtls.CertificateType {
	if state.PeerRawPublicKey != nil {
		return dtls.RawPublicKey
	}
	return dtls.X509
}

// checkResumption is for what is known of sessions after the handshake.
func (e *expectations) checkResumption(c *connection, state dtls.ConnectionState) error {
	resumes := c.again && (!e.sessionMiss || c.offersEarlyData(state))
	switch {
	case state.DidResume != resumes:
		return fmt.Errorf("resumption: expected %t, got %t", resumes, state.DidResume)
	case !c.again && c.settings.server && e.cached != nil && c.sessions.cached != *e.cached:
		return fmt.Errorf("the server keeps the session: expected %t, got %t", *e.cached, c.sessions.cached)
	case c.again && e.ticketAgeSkew != 0 && state.TicketAgeSkew.Round(time.Second) != e.ticketAgeSkew:
		return fmt.Errorf("ticket age skew: expected %v, got %v", e.ticketAgeSkew, state.TicketAgeSkew)
	case c.settings.server || is13(state.Version) || !c.Open(): // tickets come later
		return nil
	}
	comes := !e.noSession && (!state.DidResume || e.renewal)
	return e.checkSession(c, comes)
}

// checkSession is for whether the client got a session.
func (e *expectations) checkSession(c *connection, comes bool) error {
	if came := c.sessions.fresh != nil; came != comes {
		return fmt.Errorf("new session: expected %t, got %t", comes, came)
	}
	return nil
}

// checkEnd is for what can only be said when all is over.
func (e *expectations) checkEnd(c *connection) error {
	if !c.settings.server && is13(c.State().Version) {
		if err := e.checkSession(c, !e.noSession && !c.settings.shutsDown); err != nil {
			return err
		}
	}
	if err := e.checkEarlyData(c); err != nil {
		return err
	}
	if err := e.checkECH(c.State()); err != nil {
		return err
	}
	if s := c.sessions.fresh; s != nil && is13(uint16(s.Version)) && (s.MaxEarlyData > 0) != e.earlySession {
		return fmt.Errorf("session for early data: expected %t, got %d bytes", e.earlySession, s.MaxEarlyData)
	}
	if s := c.sessions.fresh; s != nil && e.acrossNames != nil && s.AcrossNames != *e.acrossNames {
		return fmt.Errorf("session across names: expected %t, got %t", *e.acrossNames, s.AcrossNames)
	}
	return differ("messages", e.messages, new(c.observer.messages.String()))
}

// protocolList is a ProtocolNameList (RFC 7301 3.1) without its length.
func protocolList(protocols []string) string {
	var list []byte
	for _, p := range protocols {
		list = append(list, byte(len(p)))
		list = append(list, p...)
	}
	return string(list)
}
