// Package peer is one side of a WebRTC connection, with godwit as its DTLS: ICE
// finds the way (RFC 8445), DTLS makes the keys, SCTP carries data channels over it
// (RFC 8831), and SRTP carries media beside it (RFC 5764). All of it shares one path.
//
// It is small on purpose: one description each way, which has all candidates; one
// path for everything (RFC 8843); and media that goes out, without RTCP reports.
package peer

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/pion/datachannel"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/sctp"

	"github.com/godwit-dtls/godwit/dtls"
)

// A Config says how this side speaks. The zero value is ready.
type Config struct {
	// DTLS has the versions, groups and the like; nil means the defaults. The
	// certificate, and what authenticates the peer, are not taken from here.
	DTLS *dtls.Config

	// Setup is this side's part in the DTLS handshake: Active or Passive. An offer
	// leaves it to the other side, so that it counts for answers alone. Empty
	// means Active, as RFC 8842 5.3 recommends.
	Setup Setup

	// Media is what an offer asks the other side to send. An answer follows
	// the offer, and sends what that can receive.
	Media []Kind

	// Link, if it is set, wraps the path that ICE found, in order to disturb it.
	Link func(net.Conn) net.Conn
}

// A Peer is this side of a connection.
type Peer struct {
	config      Config
	certificate tls.Certificate
	agent       *ice.Agent
	local       description
	remote      description
	tracks      []*Track
	progress    progress

	path        net.Conn   // what ICE found
	connecting  sync.Mutex // held by Connect, which sets what follows
	conn        *dtls.Conn
	media       *media
	association *sctp.Association
	running     sync.WaitGroup
}

// newPeer has its certificate and its candidates.
func newPeer(ctx context.Context, config Config) (*Peer, error) {
	p := &Peer{config: config}
	var err error
	if p.certificate, err = dtls.SelfSigned(); err != nil { // another each time, so that nobody knows us again by it
		return nil, err
	}
	// A browser that hides its addresses behind names of mDNS still sends its checks
	// from them, so that nothing has to resolve these names. Loopback is where the
	// browser is that runs on this machine alone.
	p.agent, err = ice.NewAgentWithOptions(
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithIncludeLoopback())
	if err != nil {
		return nil, fmt.Errorf("ice: %w", err)
	}
	// A path that is lost for good ends all that waits for something on it.
	err = p.agent.OnConnectionStateChange(func(s ice.ConnectionState) {
		if s == ice.ConnectionStateFailed {
			p.agent.Close()
		}
	})
	if err == nil {
		err = p.describe(ctx)
	}
	if err != nil {
		p.agent.Close()
		return nil, err
	}
	return p, nil
}

// describe fills in what is said of this side in an offer and in an answer.
func (p *Peer) describe(ctx context.Context) error {
	candidates, err := gather(ctx, p.agent)
	if err != nil {
		return fmt.Errorf("ice: %w", err)
	}
	p.local.candidates = candidates
	p.local.fingerprints = []string{dtls.Fingerprint(crypto.SHA256, p.certificate.Certificate[0])}
	if p.local.fragment, p.local.password, err = p.agent.GetLocalUserCredentials(); err != nil {
		return fmt.Errorf("ice: %w", err)
	}
	return nil
}

// gather returns the addresses at which the agent can be reached, as SDP has them.
func gather(ctx context.Context, agent *ice.Agent) ([]string, error) {
	var found []string
	done := make(chan struct{})
	err := agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(done)
			return
		}
		found = append(found, c.Marshal())
	})
	if err != nil {
		return nil, err
	}
	if err := agent.GatherCandidates(); err != nil {
		return nil, err
	}
	select {
	case <-done:
		return found, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Offer returns a Peer and the description of it that Answer takes, of this package
// or of a browser. What comes back goes to Accept.
func Offer(ctx context.Context, config Config) (*Peer, string, error) {
	p, err := newPeer(ctx, config)
	if err != nil {
		return nil, "", err
	}
	p.local.setup = actpass
	p.local.offer(config.Media)
	return p, p.local.String(), nil
}

// Accept takes the answer to the offer of this Peer.
func (p *Peer) Accept(answer string) error {
	var err error
	if p.remote, err = parseDescription(answer); err != nil {
		return err
	}
	if p.local.setup, err = p.remote.setup.opposite(); err != nil {
		return err
	}
	return p.start(p.agent.StartDial) // who offers is in control (RFC 8445 6.1.1)
}

// Answer returns the Peer that an offer asks for, and the description of it.
func Answer(ctx context.Context, offer string, config Config) (*Peer, string, error) {
	remote, err := parseDescription(offer)
	if err != nil {
		return nil, "", err
	}
	p, err := newPeer(ctx, config)
	if err != nil {
		return nil, "", err
	}
	p.remote = remote
	p.local.setup = config.Setup
	if p.local.setup == "" {
		p.local.setup = Active
	}
	p.tracks = p.local.answer(remote)
	if err := p.start(p.agent.StartAccept); err != nil {
		p.agent.Close()
		return nil, "", err
	}
	return p, p.local.String(), nil
}

// start begins to look for a path.
func (p *Peer) start(begin func(fragment, password string) (*ice.Conn, error)) error {
	for _, line := range p.remote.candidates {
		// What can't be read here, a name of mDNS for instance, is no way for us.
		if c, err := ice.UnmarshalCandidate(line); err == nil {
			if err := p.agent.AddRemoteCandidate(c); err != nil {
				return fmt.Errorf("ice: %w", err)
			}
		}
	}
	path, err := begin(p.remote.fragment, p.remote.password)
	if err != nil {
		return fmt.Errorf("ice: %w", err)
	}
	p.path = path
	return nil
}

// Connect waits for the path, and sets up DTLS, media and data channels on it. After
// an error nothing is left but to Close.
func (p *Peer) Connect(ctx context.Context) error {
	p.connecting.Lock()
	defer p.connecting.Unlock()
	if err := p.agent.AwaitConnect(ctx); err != nil {
		return fmt.Errorf("ice: %w", cmp.Or(ctx.Err(), err)) // the agent says only that it was cancelled
	}
	if p.config.Link != nil {
		p.path = p.config.Link(p.path)
	}
	d := demultiplex(p.path)
	p.running.Go(d.run)
	if err := p.secure(ctx, d.dtls); err != nil {
		return fmt.Errorf("dtls: %w", err)
	}
	var err error
	if p.media, err = newMedia(p.conn, p.local.setup, p.path); err != nil {
		return fmt.Errorf("srtp: %w", err)
	}
	for _, t := range p.tracks {
		t.media = p.media
	}
	if p.media != nil {
		p.running.Go(func() { p.media.receive(d.media) })
	}
	return p.associate(ctx)
}

// associate sets up SCTP. Both sides begin, whatever their other roles are (RFC 8841 10.1).
func (p *Peer) associate(ctx context.Context) error {
	link := &lastWords{Conn: p.conn}
	association, err := sctp.ClientContext(ctx,
		sctp.WithNetConn(link), sctp.WithMTU(sctpMTU), sctp.WithMaxMessageSize(MaxMessage), sctp.WithRTOMax(sctpPatience))
	if err != nil {
		return fmt.Errorf("sctp: %w", errors.Join(err, link.err()))
	}
	p.association = association
	return nil
}

// A lastWords is a connection that remembers why there is nothing more to read, which
// SCTP keeps to itself.
type lastWords struct {
	net.Conn
	words atomic.Pointer[error]
}

func (l *lastWords) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err != nil {
		l.words.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (l *lastWords) err() error {
	if e := l.words.Load(); e != nil {
		return *e
	}
	return nil
}

// loggers are pion's own: they say what PION_LOG_DEBUG and the like name.
var loggers = logging.NewDefaultLoggerFactory()

// sctpMTU leaves room for DTLS and UDP in the 1,280 bytes that every path of IPv6
// carries.
const sctpMTU = 1191

// sctpPatience is the longest time after which SCTP repeats itself, in milliseconds:
// where somebody waits for an answer, the minute of RFC 9260 16 is too long.
const sctpPatience = 1000

// MaxMessage is how long a message on a data channel may be, in bytes.
const MaxMessage = 1 << 16

// AcceptChannel waits for the next data channel that the other side opens. Its error
// is the end of the connection.
func (p *Peer) AcceptChannel() (*datachannel.DataChannel, error) {
	return datachannel.Accept(p.association, &datachannel.Config{LoggerFactory: loggers})
}

// OpenChannel opens the first data channel of this side.
func (p *Peer) OpenChannel(label string) (*datachannel.DataChannel, error) {
	var id uint16 // RFC 8832 6: even for the DTLS client, odd for the server
	if p.local.setup == Passive {
		id = 1
	}
	return datachannel.Dial(p.association, id, &datachannel.Config{Label: label, LoggerFactory: loggers})
}

// Tracks are the media that this side sends, once it is connected.
func (p *Peer) Tracks() []*Track { return p.tracks }

// SRTPProfile is what media is protected by, zero if there can be none.
func (p *Peer) SRTPProfile() dtls.SRTPProfile { return p.conn.SRTPProfile() }

// Received is how many RTP packets of the other side's have opened.
func (p *Peer) Received() uint64 {
	if p.media == nil {
		return 0
	}
	return p.media.packets.Load()
}

// Close ends the connection, or the attempt at it, and all that is left of it here.
func (p *Peer) Close() error {
	if !p.connecting.TryLock() {
		p.agent.Close() // which ends Connect
		p.connecting.Lock()
	}
	defer p.connecting.Unlock()
	if p.association != nil {
		p.association.Close() // and what is below it
	} else if p.conn != nil {
		p.conn.Close()
	}
	err := p.agent.GracefulClose()
	p.running.Wait()
	return err
}
