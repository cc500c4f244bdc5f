package differ

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"iter"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/protocol"
	godwit "github.com/godwit-dtls/godwit/tls"
)

// A subject is one side of a connection that is told things which no lawful peer says.
// What it sends comes as the datagrams, or as the pieces of a stream, that it wrote.
type subject interface {
	start() [][]byte            // a client speaks first
	receive(in []byte) [][]byte // a datagram, or a piece of a stream
	view() view
	close()
}

// A view is what a subject says of itself.
type view struct {
	open  bool
	err   error
	data  []byte // that it has delivered
	hello string // what it read in the ClientHello; empty if it doesn't say
}

var now = time.Unix(1_790_000_000, 0)

// --- godwit

type tlsEngine struct {
	*godwit.Engine
	seen view
}

func (e *tlsEngine) start() [][]byte {
	e.Start(now)
	return e.drain()
}

func (e *tlsEngine) receive(in []byte) [][]byte {
	e.Receive(in, now)
	return e.drain()
}

func (e *tlsEngine) drain() (out [][]byte) {
	for work := e.Work(); work != nil; work = e.Work() {
		work()
		e.Resume(now)
	}
	buf := make([]byte, 1<<15)
	for n, ok := e.Read(buf); ok; n, ok = e.Read(buf) {
		e.seen.data = append(e.seen.data, buf[:n]...)
	}
	for n := e.Transmit(buf); n > 0; n = e.Transmit(buf) {
		out = append(out, bytes.Clone(buf[:n]))
	}
	return out
}

func (e *tlsEngine) view() view {
	e.seen.open, e.seen.err = e.Open(), e.Closed()
	return e.seen
}

func (e *tlsEngine) close() {}

type dtlsEngine struct {
	*dtls.Engine
	seen view
}

func (e *dtlsEngine) start() [][]byte {
	e.Start(now)
	return e.drain()
}

func (e *dtlsEngine) receive(in []byte) [][]byte {
	e.Receive(in, now)
	return e.drain()
}

func (e *dtlsEngine) drain() (out [][]byte) {
	buf := make([]byte, 1<<15)
	read := func() {
		for n, ok := e.Read(buf); ok; n, ok = e.Read(buf) {
			e.seen.data = append(e.seen.data, buf[:n]...)
		}
	}
	read()
	for work := e.Work(); work != nil; work = e.Work() {
		work()
		e.Resume(now)
		read()
	}
	for n := e.Transmit(buf); n > 0; n = e.Transmit(buf) {
		out = append(out, bytes.Clone(buf[:n]))
	}
	return out
}

func (e *dtlsEngine) view() view {
	e.seen.open, e.seen.err = e.Open(), e.Err()
	return e.seen
}

func (e *dtlsEngine) close() {}

// --- crypto/tls

// A goConn is a connection of crypto/tls that runs in a coroutine: it goes on while it
// has something to read, and then we do.
type goConn struct {
	net.Conn // no other method is called
	conn     *tls.Conn
	next     func() (struct{}, bool)
	stop     func()
	yield    func(struct{}) bool
	in       []byte
	out      [][]byte
	over     bool
	seen     view
}

func newGoConn(conn func(net.Conn, *tls.Config) *tls.Conn, c *tls.Config) *goConn {
	g := &goConn{}
	g.conn = conn(g, c)
	g.next, g.stop = iter.Pull(func(yield func(struct{}) bool) {
		g.yield = yield
		g.seen.err = g.conn.Handshake()
		g.seen.open = g.seen.err == nil
		for buf := make([]byte, 1<<15); g.seen.err == nil; {
			var n int
			n, g.seen.err = g.conn.Read(buf)
			g.seen.data = append(g.seen.data, buf[:n]...)
		}
	})
	return g
}

func (g *goConn) Read(p []byte) (int, error) {
	for len(g.in) == 0 {
		if g.over || !g.yield(struct{}{}) {
			g.over = true
			return 0, net.ErrClosed
		}
	}
	n := copy(p, g.in)
	g.in = g.in[n:]
	return n, nil
}

func (g *goConn) Write(p []byte) (int, error) {
	g.out = append(g.out, bytes.Clone(p))
	return len(p), nil
}

func (g *goConn) Close() error                     { return nil }
func (g *goConn) SetWriteDeadline(time.Time) error { return nil }

func (g *goConn) start() [][]byte {
	g.next()
	out := g.out
	g.out = nil
	return out
}

func (g *goConn) receive(in []byte) [][]byte {
	g.in = append(g.in, in...)
	return g.start()
}

func (g *goConn) view() view { return g.seen }
func (g *goConn) close()     { g.stop() }

// describe says what a hello was read as. Left out is what the two say in another way by
// design: versions that nobody has any more, and that without ec_point_formats there are
// those of RFC 8422 5.1.2.
func describe(h *tls.ClientHelloInfo) string {
	versions := slices.DeleteFunc(slices.Clone(h.SupportedVersions), func(v uint16) bool {
		return v != tls.VersionTLS12 && v != tls.VersionTLS13
	})
	points := h.SupportedPoints
	if !slices.Contains(h.Extensions, uint16(protocol.ExtECPointFormats)) {
		points = nil
	}
	return fmt.Sprintf("suites %x, name %q, groups %x, points %x, schemes %x, protocols %q, versions %x, extensions %d",
		h.CipherSuites, h.ServerName, numbers(h.SupportedCurves), points, numbers(h.SignatureSchemes), h.SupportedProtos, versions, h.Extensions)
}

func numbers[T ~uint16](values []T) (all []uint16) {
	for _, v := range values {
		all = append(all, uint16(v))
	}
	return all
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
