package peer

import (
	"context"
	"crypto"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// secure runs DTLS on a path.
func (p *Peer) secure(ctx context.Context, path net.Conn) error {
	var err error
	if p.local.setup == Active {
		p.conn, err = dtls.Client(path, p.dtlsConfig())
	} else {
		p.conn, err = dtls.Server(path, p.dtlsConfig())
	}
	if err != nil {
		return err
	}
	if err := p.conn.HandshakeContext(ctx); err != nil {
		return err
	}
	p.progress.finish()
	return nil
}

// dtlsConfig is the caller's, with what WebRTC asks for: certificates on both sides,
// which nobody has issued, and which are those of the descriptions (RFC 8827 6.5).
func (p *Peer) dtlsConfig() *dtls.Config {
	var c dtls.Config
	if p.config.DTLS != nil {
		c = *p.config.DTLS
	}
	c.Certificates = []tls.Certificate{p.certificate}
	c.PeerFingerprints = p.remote.fingerprints
	c.SRTPProfiles = srtpProfiles
	c.SessionTicketsDisabled = true // no certificate, and so no session, is used twice
	c.Trace = p.progress.watch(c.Trace)
	if c.MTU == 0 {
		c.MTU = handshake.DefaultMTU // which every path of WebRTC carries: what is lost was not too large
	}
	if c.InitialTimeout == 0 {
		c.InitialTimeout, c.AdaptiveTimeout = p.initialTimeout(), true
	}
	return &c
}

// initialTimeout begins with what ICE knows of the round trip, and the margin of RFC
// 9147 5.8.2. Browsers begin with 50 ms, whatever the path is.
func (p *Peer) initialTimeout() time.Duration {
	pair, ok := p.agent.GetSelectedCandidatePairStats()
	if !ok || pair.CurrentRoundTripTime == 0 {
		return handshake.DefaultInitialTimeout
	}
	roundTrip := time.Duration(pair.CurrentRoundTripTime * float64(time.Second))
	return max(50*time.Millisecond, roundTrip*3/2)
}

// --- What is known of the handshake

// A State is what was negotiated, and how long that took.
type State struct {
	Setup       Setup  `json:"setup"`   // this side's
	Version     string `json:"version"` // "DTLS 1.3"
	Suite       string `json:"suite"`   // IANA's name, as the next two
	Group       string `json:"group"`
	SRTPProfile string `json:"srtp_profile"`
	Peer        string `json:"peer"` // the fingerprint of its certificate

	// Milliseconds are from the first datagram of DTLS, in either direction, to the
	// end of the handshake on this side.
	Milliseconds float64 `json:"dtls_ms"`

	// RoundTrips are half of the Flights up to the last that came in: what this side
	// sends at the end takes none of its time.
	RoundTrips  float64  `json:"round_trips"`
	Flights     []Flight `json:"flights"`
	Retransmits uint64   `json:"retransmits"` // by this side
}

// A Flight is what one side says without waiting for the other. What it repeats of it
// doesn't count.
type Flight struct {
	Sent         bool     `json:"sent"` // by this side
	Milliseconds float64  `json:"ms"`   // after the first datagram
	Messages     []string `json:"messages"`
}

// State describes a connection that is connected.
func (p *Peer) State() State {
	s := p.conn.ConnectionState()
	state := State{
		Setup:       p.local.setup,
		Version:     protocol.Version(s.Version).String(),
		Suite:       tls.CipherSuiteName(s.CipherSuite),
		Group:       s.CurveID.String(),
		SRTPProfile: s.SRTPProfile.String(),
		Peer:        dtls.Fingerprint(crypto.SHA256, s.PeerCertificates[0].Raw),
		Retransmits: p.conn.Stats().Retransmits,
	}
	p.progress.describe(&state)
	return state
}

// A progress follows one handshake, by what Config.Trace is told.
type progress struct {
	mu       sync.Mutex // Trace may be called while State is
	start    time.Time
	duration time.Duration // zero until the handshake is complete
	flights  []Flight
	next     [2]int // by direction: the message_seq that the next new message has
}

// watch returns a Trace that also calls another one, if there is one.
func (p *progress) watch(also func(dtls.Event)) func(dtls.Event) {
	return func(e dtls.Event) {
		p.see(e)
		if also != nil {
			also(e)
		}
	}
}

// see begins a flight when a new message goes the other way than the one before. Its
// fragments, and copies, have the same message_seq.
func (p *progress) see(e dtls.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.duration != 0:
	case e.Kind == handshake.EventDatagram && p.start.IsZero():
		p.start = e.Time
	case e.Kind == handshake.EventMessage && int(e.Seq) >= p.next[e.Direction]:
		p.next[e.Direction] = int(e.Seq) + 1
		p.note(e)
	}
}

func (p *progress) note(e dtls.Event) {
	sent := e.Direction == handshake.Sent
	if n := len(p.flights); n == 0 || p.flights[n-1].Sent != sent {
		f := Flight{Sent: sent}
		if !p.start.IsZero() { // the very first message comes before its datagram
			f.Milliseconds = milliseconds(e.Time.Sub(p.start))
		}
		p.flights = append(p.flights, f)
	}
	last := &p.flights[len(p.flights)-1]
	last.Messages = append(last.Messages, e.Message.String())
}

func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.duration = time.Since(p.start)
}

func (p *progress) describe(s *State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Milliseconds, s.Flights = milliseconds(p.duration), slices.Clone(p.flights)
	for i, f := range s.Flights {
		if !f.Sent {
			s.RoundTrips = float64(i+1) / 2
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
