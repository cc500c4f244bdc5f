package dtls

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/transport/v3/packetio"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// A Conn is an association. It is a net.Conn on which Write sends one record in one
// datagram, and Read returns one record.
//
// godwit's Conn has no goroutine: whoever waits, reads the link. Pion's users rely
// on a Conn that reads by itself, and closes its link when the peer says goodbye,
// though nobody calls Read. So this one has a goroutine once its handshake is
// complete.
type Conn struct {
	inner    *godwit.Conn
	client   bool  // the role
	link     *link // nil of a listener's Conn, which closes no socket
	log      logging.LeveledLogger
	begin    sync.Once        // starts receive
	received *packetio.Buffer // what came and wasn't read
	cause    error            // what ended receive; set before received is closed
	closed   atomic.Bool      // by Close
	writeBy  atomic.Pointer[time.Time]
}

// maxReceived is how many bytes wait for Read; more are dropped, as a full socket
// buffer would drop them.
const maxReceived = 1 << 20

func newConn(inner *godwit.Conn, l *link, factory logging.LoggerFactory) *Conn {
	if factory == nil {
		factory = logging.NewDefaultLoggerFactory()
	}
	c := &Conn{inner: inner, link: l, log: factory.NewLogger("dtls"), received: packetio.NewBuffer()}
	c.received.SetLimitSize(maxReceived)
	return c
}

// ClientWithOptions returns the client's side of an association with the peer at
// rAddr. The first Read or Write runs the handshake, or Handshake. Close closes conn.
func ClientWithOptions(conn net.PacketConn, rAddr net.Addr, opts ...ClientOption) (*Conn, error) {
	config, err := clientConfig(opts)
	if err != nil {
		return nil, err
	}
	return Client(conn, rAddr, config)
}

// Client is ClientWithOptions with a Config.
func Client(conn net.PacketConn, rAddr net.Addr, config *Config) (*Conn, error) {
	g, err := config.client(rAddr)
	if err != nil {
		return nil, err
	}
	c, err := over(conn, rAddr, g, godwit.Client)
	if err != nil {
		return nil, err
	}
	c.client = true
	return c, nil
}

// ServerWithOptions is ClientWithOptions for the server's side. Whoever calls it
// vouches for the client's address: there is no cookie. ListenWithOptions asks for
// one.
func ServerWithOptions(conn net.PacketConn, rAddr net.Addr, opts ...ServerOption) (*Conn, error) {
	config, err := serverConfig(opts)
	if err != nil {
		return nil, err
	}
	return Server(conn, rAddr, config)
}

// Server is ServerWithOptions with a Config.
func Server(conn net.PacketConn, rAddr net.Addr, config *Config) (*Conn, error) {
	g, err := config.server()
	if err != nil {
		return nil, err
	}
	if config.OnConnectionAttempt != nil {
		if err := config.OnConnectionAttempt(rAddr); err != nil {
			return nil, err
		}
	}
	return over(conn, rAddr, g, godwit.Server)
}

// over makes a Conn over conn, which stays the caller's if that fails.
func over(conn net.PacketConn, rAddr net.Addr, g *godwit.Config, side func(net.Conn, *godwit.Config) (*godwit.Conn, error)) (*Conn, error) {
	l, err := newLink(conn, rAddr)
	if err != nil {
		return nil, err
	}
	inner, err := side(l, g)
	if err != nil {
		return nil, &FatalError{Err: err}
	}
	return newConn(inner, l, g.LoggerFactory), nil
}

// DialWithOptions is ClientWithOptions over a new socket.
func DialWithOptions(network string, rAddr *net.UDPAddr, opts ...ClientOption) (*Conn, error) {
	config, err := clientConfig(opts)
	if err != nil {
		return nil, err
	}
	return Dial(network, rAddr, config)
}

// Dial is DialWithOptions with a Config.
func Dial(network string, rAddr *net.UDPAddr, config *Config) (*Conn, error) {
	socket, err := net.DialUDP(network, nil, rAddr)
	if err != nil {
		return nil, err
	}
	c, err := Client(socket, rAddr, config)
	if err != nil {
		socket.Close()
		return nil, err
	}
	return c, nil
}

// Handshake runs the handshake if it hasn't run yet.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext runs the handshake if it hasn't run yet, and gives it up for good
// when ctx ends before it. A handshake that fails closes the link.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if err := c.inner.HandshakeContext(ctx); err != nil {
		c.shut()
		return &HandshakeError{Err: err}
	}
	c.begin.Do(func() {
		state := c.inner.ConnectionState()
		c.log.Debugf("connected: version %#x, %s, %v", state.Version, CipherSuiteName(CipherSuiteID(state.CipherSuite)), state.CurveID)
		go c.receive()
	})
	return nil
}

// receive reads until something ends the Conn, and then lets go of the link.
func (c *Conn) receive() {
	record := make([]byte, 1<<14) // the longest
	for {
		n, err := c.inner.Read(record)
		if err != nil {
			c.cause = err
			c.received.Close()
			c.shut()
			return
		}
		c.received.Write(record[:n]) // or it is lost
	}
}

// Read returns the data of one record. After the peer's goodbye, and after Close, it
// is io.EOF.
func (c *Conn) Read(buff []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	n, err := c.received.Read(buff)
	var timeout net.Error
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.ErrShortBuffer):
		return 0, errTooShort
	case errors.As(err, &timeout) && timeout.Timeout():
		return 0, errDeadline
	case c.closed.Load() || errors.Is(c.cause, net.ErrClosed):
		return 0, io.EOF
	}
	return 0, c.cause
}

// Write sends payload as one record in one datagram.
func (c *Conn) Write(payload []byte) (int, error) {
	if c.closed.Load() {
		return 0, ErrConnClosed
	}
	if by := c.writeBy.Load(); by != nil && !by.IsZero() && !time.Now().Before(*by) {
		return 0, errDeadline
	}
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	n, err := c.inner.Write(payload)
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		err = ErrConnClosed
	}
	return n, err
}

// Close says goodbye to the peer and closes the link.
func (c *Conn) Close() error { return c.shut() }

// shut ends the Conn and its link, as often as anybody likes.
func (c *Conn) shut() error {
	c.closed.Store(true)
	err := c.inner.Close()
	if c.link != nil {
		return c.link.Close() // now, though godwit would repeat its last flight
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline ends every Read that waits for data until then. It doesn't count
// for the handshake: see HandshakeContext.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.received.SetReadDeadline(t) }

// SetWriteDeadline lets every Write fail that begins after it. A link with one peer is
// often shared with others, so that its own deadline is left alone.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.Store(&t)
	return nil
}

// LocalAddr is the link's address.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// ConnectionState describes the association; ok is false as long as nothing is
// agreed.
func (c *Conn) ConnectionState() (state State, ok bool) {
	inner := c.inner.ConnectionState()
	if inner.CipherSuite == 0 {
		return State{}, false
	}
	return *newState(inner, c), true
}

// SelectedSRTPProtectionProfile is the profile that was agreed, if one was.
func (c *Conn) SelectedSRTPProtectionProfile() (SRTPProtectionProfile, bool) {
	p := SRTPProtectionProfile(c.inner.ConnectionState().SRTPProfile)
	return p, p != 0
}

// RemoteSRTPMasterKeyIdentifier is the MKI that was agreed, empty if there is none;
// and false without a profile.
func (c *Conn) RemoteSRTPMasterKeyIdentifier() ([]byte, bool) {
	state := c.inner.ConnectionState()
	return state.SRTPMasterKeyIdentifier, state.SRTPProfile != 0
}

// Godwit is not Pion's: it is the Conn below, for what this one has no name for.
// Its Read is taken, and its Close is not enough.
func (c *Conn) Godwit() *godwit.Conn { return c.inner }
