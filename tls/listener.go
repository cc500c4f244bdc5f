package tls

import (
	"context"
	"net"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// Listen listens on a stream network, such as "tcp" or "unix", for clients. If
// Config.Net is set it is there, and the network must be a kind of TCP. It
// returns a *ConfigError for a Config that no server can use.
func Listen(network, address string, c *Config) (net.Listener, error) {
	if err := validate(c, handshake.Server); err != nil {
		return nil, err
	}
	inner, err := listen(network, address, c)
	if err != nil {
		return nil, err
	}
	return NewListener(inner, c)
}

func listen(network, address string, c *Config) (net.Listener, error) {
	if c.Net == nil {
		return net.Listen(network, address)
	}
	local, err := c.Net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, err
	}
	return c.Net.ListenTCP(network, local)
}

// NewListener secures the connections that inner accepts. What it accepts are
// *Conn; Accept does not wait for their handshake, which HandshakeContext or the
// first Read or Write runs. A Conn that nobody drives is closed after
// Config.HandshakeTimeout.
func NewListener(inner net.Listener, c *Config) (net.Listener, error) {
	if err := validate(c, handshake.Server); err != nil {
		return nil, err
	}
	return &listener{inner, c}, nil
}

type listener struct {
	net.Listener
	config *Config
}

func (l *listener) Accept() (net.Conn, error) {
	link, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c, err := Server(link, l.config)
	if err != nil { // somebody changed the Config
		link.Close()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limitHandshake()
	return c, nil
}

func validate(c *Config, r handshake.Role) error {
	if c == nil {
		c = &Config{}
	}
	return c.Validate(r, protocol.Stream)
}

// A Dialer dials with options for the link.
type Dialer struct {
	// NetDialer dials the link; nil means a zero net.Dialer. Its Timeout and
	// Deadline bound the handshake too.
	NetDialer *net.Dialer
	// Config may be nil; it may lack a ServerName.
	Config *Config
}

// Dial connects to an address and runs the handshake. If Config.ServerName is
// empty, the host of the address takes its place. It returns a *ConfigError for
// a Config that no client can use.
func Dial(network, address string, c *Config) (*Conn, error) {
	d := Dialer{Config: c}
	return d.dial(context.Background(), network, address)
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext is Dial; ctx bounds dialing and handshake, but has no effect on
// the connection that comes of it, a *Conn.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (d *Dialer) dial(ctx context.Context, network, address string) (*Conn, error) {
	config, err := d.configFor(address)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	if d.NetDialer != nil {
		dialer = *d.NetDialer
	}
	if dialer.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, dialer.Timeout)
		defer cancel()
	}
	if !dialer.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, dialer.Deadline)
		defer cancel()
	}
	link, err := dialLink(ctx, &dialer, config, network, address)
	if err != nil {
		return nil, err
	}
	c, err := Client(link, config)
	if err != nil {
		link.Close()
		return nil, err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// configFor is the Config, with a server name; a Config is never modified.
func (d *Dialer) configFor(address string) (*Config, error) {
	var config Config
	if d.Config != nil {
		config = *d.Config
	}
	if config.ServerName == "" {
		if host, _, err := net.SplitHostPort(address); err == nil {
			config.ServerName = host
		}
	}
	return &config, validate(&config, handshake.Client)
}

func dialLink(ctx context.Context, dialer *net.Dialer, c *Config, network, address string) (net.Conn, error) {
	if c.Net == nil {
		return dialer.DialContext(ctx, network, address)
	}
	// A transport.Net knows no context; what it makes of a net.Dialer may know
	// its deadline and Cancel.
	if deadline, ok := ctx.Deadline(); ok {
		dialer.Deadline = deadline
	}
	//lint:ignore SA1019 the only way to end it
	dialer.Cancel = ctx.Done()
	return c.Net.CreateDialer(dialer).Dial(network, address)
}
