package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"sync/atomic"
	"time"

	coapdtls "github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/dtls/server"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/mux"
	coapnet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/net/blockwise"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp/client"

	"github.com/godwit-dtls/godwit/dtls"
)

// A Conn is go-coap's side of a connection, and blocks are what makes large
// messages of small ones on it.
type (
	Conn   = client.Conn
	blocks = blockwise.BlockWise[*Conn]
)

// A listener is what go-coap's server wants of one. The server itself runs the
// handshakes, on a goroutine for each connection.
type listener struct {
	*dtls.Listener
	accepted *atomic.Uint64
}

// listen gives devices connection IDs, by which they are known again when they
// wake up at another address.
func listen(address string, config *dtls.Config) (listener, error) {
	own := *config
	own.ConnectionIDs = dtls.RandomConnectionIDs(8)
	l, err := dtls.Listen("udp", address, &own)
	return listener{l, new(atomic.Uint64)}, err
}

// AcceptWithContext ends with Close, which go-coap knows by an error of its own;
// it calls Close when its context ends.
func (l listener) AcceptWithContext(context.Context) (net.Conn, error) {
	conn, err := l.AcceptConn()
	switch {
	case errors.Is(err, net.ErrClosed):
		return nil, coapnet.ErrListenerIsClosed
	case err != nil:
		return nil, err
	}
	return device{conn, name(fmt.Sprintf("%v#%d", conn.RemoteAddr(), l.accepted.Add(1)))}, nil
}

// A device is a connection under a name that lasts. go-coap keeps connections by
// their address; with connection IDs that of a device changes, and another may
// have it next.
type device struct {
	*dtls.Conn
	name
}

func (d device) RemoteAddr() net.Addr { return d.name }

// A name is where a device was when it came, and its number.
type name string

func (name) Network() string  { return "udp" }
func (n name) String() string { return string(n) }

// asleep is how long the server keeps a device that says nothing.
const asleep = 24 * time.Hour

// serve serves CoAP on a listener until the context ends, and closes it.
func serve(ctx context.Context, l listener, handler mux.Handler, out io.Writer) error {
	s := coapdtls.NewServer(
		options.WithMux(handler),
		options.WithOnNewConn(func(c *Conn) { fmt.Fprintf(out, "%v: %s\n", c.RemoteAddr(), agreed(c)) }),
		options.WithInactivityMonitor(asleep, func(c *Conn) { c.Close() }),
		options.WithErrors(func(err error) { log.Print(err) }),
	)
	defer context.AfterFunc(ctx, s.Stop)()
	return s.Serve(l)
}

// dial connects to a server and runs the handshake. It wants no connection IDs
// itself, but takes the server's. go-coap's own Dial knows one DTLS only; this is
// what it does around it.
func dial(ctx context.Context, address string, config *dtls.Config) (*Conn, error) {
	own := *config
	own.ConnectionIDs = dtls.RandomConnectionIDs(0)
	link, err := (&dtls.Dialer{Config: &own}).DialContext(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	c := coapdtls.DefaultConfig
	c.Errors = func(err error) {
		if !coapnet.IsCancelOrCloseError(err) {
			log.Print(err)
		}
	}
	session := server.NewSession(context.Background(), coapnet.NewConn(link), c.MaxMessageSize, c.MTU, true)
	conn := client.NewConnWithOpts(session, &c, client.WithBlockWise(func(conn *Conn) *blocks { // RFC 7959
		return blockwise.New(conn, c.BlockwiseTransferTimeout, c.Errors, func(token message.Token) (*pool.Message, bool) {
			return conn.GetObservationRequest(token)
		})
	}))
	c.PeriodicRunner(func(now time.Time) bool { // sends again what isn't acknowledged
		conn.CheckExpirations(now)
		return conn.Context().Err() == nil
	})
	go conn.Run() // until Close, or the peer's goodbye
	return conn, nil
}

// agreed is what the handshake agreed on.
func agreed(c *Conn) string {
	state := c.NetConn().(interface{ ConnectionState() dtls.ConnectionState }).ConnectionState()
	version := "DTLS 1.3"
	if state.Version == dtls.VersionDTLS12 {
		version = "DTLS 1.2"
	}
	suite := fmt.Sprintf("suite %#x", state.CipherSuite)
	for _, s := range slices.Concat(dtls.CipherSuites(), dtls.InsecureCipherSuites()) {
		if s.ID == state.CipherSuite {
			suite = s.Name
		}
	}
	text := fmt.Sprintf("%s, %s, key %q", version, suite, state.PSKIdentity)
	if id := slices.Concat(state.LocalConnectionID, state.RemoteConnectionID); len(id) > 0 { // the server's
		text += fmt.Sprintf(", connection ID %x", id)
	}
	return text
}
