package dtls

import (
	"context"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// Dial connects to a UDP address, "host:port", and runs the handshake. If
// Config.ServerName is empty, the host is the name to verify. A nil Config is
// the zero one.
func Dial(network, address string, config *Config) (*Conn, error) {
	return (&Dialer{Config: config}).dial(context.Background(), network, address)
}

// A Dialer dials with options. The zero value is ready.
type Dialer struct {
	// NetDialer opens the socket; nil means the zero net.Dialer, or Config.Net
	// if that is set. Its Timeout and Deadline include the handshake.
	NetDialer *net.Dialer
	// Config is nil for the zero one.
	Config *Config
}

// DialContext is Dial, given up when ctx ends before the handshake does. The
// net.Conn is a *Conn.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err // not a nil *Conn in a net.Conn
	}
	return c, nil
}

func (d *Dialer) dial(ctx context.Context, network, address string) (*Conn, error) {
	config, err := dialConfig(d.Config, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := d.limit(ctx)
	defer cancel()
	link, err := d.open(ctx, config, network, address)
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

// limit is ctx with the limits of NetDialer.
func (d *Dialer) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	var end time.Time
	if d.NetDialer != nil {
		end = d.NetDialer.Deadline
		if t := d.NetDialer.Timeout; t != 0 && (end.IsZero() || time.Until(end) > t) {
			end = time.Now().Add(t)
		}
	}
	if end.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, end)
}

// dialConfig is a Config with a name to verify.
func dialConfig(c *Config, address string) (*Config, error) {
	c = orZero(c)
	if c.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		named := *c
		named.ServerName = host
		c = &named
	}
	return c, c.Validate(handshake.Client, protocol.Datagram)
}

// orZero is c, or the zero Config for nil.
func orZero(c *Config) *Config {
	if c == nil {
		return &Config{}
	}
	return c
}

func (d *Dialer) open(ctx context.Context, config *Config, network, address string) (net.Conn, error) {
	switch {
	case d.NetDialer != nil:
		return d.NetDialer.DialContext(ctx, network, address)
	case config.Net != nil:
		return config.Net.Dial(network, address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}
