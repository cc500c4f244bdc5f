package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
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
type listener struct{ *dtls.Listener }

// AcceptWithContext ends with Close, which go-coap knows by an error of its own;
// it calls Close when its context ends.
func (l listener) AcceptWithContext(context.Context) (net.Conn, error) {
	conn, err := l.Accept()
	if errors.Is(err, net.ErrClosed) {
		return nil, coapnet.ErrListenerIsClosed
	}
	return conn, err
}

// asleep is how long the server keeps a device that says nothing.
const asleep = 24 * time.Hour

// serve serves CoAP on a listener until the context ends, and closes it.
func serve(ctx context.Context, l *dtls.Listener, handler mux.Handler, out io.Writer) error {
	s := coapdtls.NewServer(
		options.WithMux(handler),
		options.WithOnNewConn(func(c *Conn) { fmt.Fprintf(out, "%v: %s\n", c.RemoteAddr(), agreed(c)) }),
		options.WithInactivityMonitor(asleep, func(c *Conn) { c.Close() }),
		options.WithErrors(func(err error) { log.Print(err) }),
	)
	defer context.AfterFunc(ctx, s.Stop)()
	return s.Serve(listener{l})
}

// dial connects to a server and runs the handshake. go-coap's own Dial knows one
// DTLS only; this is what it does around it.
func dial(ctx context.Context, address string, config *dtls.Config) (*Conn, error) {
	link, err := (&dtls.Dialer{Config: config}).DialContext(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	c := coapdtls.DefaultConfig
	c.Errors = func(err error) { log.Print(err) }
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
	state := c.NetConn().(*dtls.Conn).ConnectionState()
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
	return fmt.Sprintf("%s, %s, key %q", version, suite, state.PSKIdentity)
}
