package dtls

import (
	"context"
	"net"

	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/logging"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// ListenWithOptions accepts associations on a new UDP socket, each a *Conn, from
// clients that have brought a cookie back.
func ListenWithOptions(network string, laddr *net.UDPAddr, opts ...ServerOption) (net.Listener, error) {
	config, err := serverConfig(opts)
	if err != nil {
		return nil, err
	}
	return Listen(network, laddr, config)
}

// Listen is ListenWithOptions with a Config.
func Listen(network string, laddr *net.UDPAddr, config *Config) (net.Listener, error) {
	g, err := config.server()
	if err != nil {
		return nil, err
	}
	if laddr == nil {
		laddr = &net.UDPAddr{}
	}
	socket, err := config.listen.ListenPacket(context.Background(), network, laddr.String())
	if err != nil {
		return nil, err
	}
	inner, err := godwit.NewListener(socket, g)
	if err != nil {
		socket.Close()
		return nil, &FatalError{Err: err}
	}
	return &listener{inner, config.OnConnectionAttempt, g.LoggerFactory}, nil
}

type listener struct {
	*godwit.Listener
	attempt func(net.Addr) error // may refuse a client
	logs    logging.LoggerFactory
}

// Accept returns the next client, or the reason why it was refused.
func (l *listener) Accept() (net.Conn, error) {
	inner, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	if l.attempt != nil {
		if err := l.attempt(inner.RemoteAddr()); err != nil {
			inner.Close()
			return nil, err
		}
	}
	return newConn(inner, nil, l.logs), nil
}

// NewListenerWithOptions accepts associations over the links that inner accepts. It
// asks for no cookie, and so has to be told by WithInsecureSkipVerifyHello that
// nobody can come from an address that isn't his.
func NewListenerWithOptions(inner dtlsnet.PacketListener, opts ...ServerOption) (net.Listener, error) {
	config, err := serverConfig(opts)
	if err != nil {
		return nil, err
	}
	return NewListener(inner, config)
}

// NewListener is NewListenerWithOptions with a Config.
func NewListener(inner dtlsnet.PacketListener, config *Config) (net.Listener, error) {
	if _, err := config.server(); err != nil {
		return nil, err
	}
	if !config.InsecureSkipVerifyHello {
		return nil, refused("NewListener sends no cookies: it needs InsecureSkipVerifyHello, or Listen instead of it")
	}
	return &linkListener{inner, config}, nil
}

type linkListener struct {
	dtlsnet.PacketListener
	config *Config
}

func (l *linkListener) Accept() (net.Conn, error) {
	conn, remote, err := l.PacketListener.Accept()
	if err != nil {
		return nil, err
	}
	c, err := Server(conn, remote, l.config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}
