package dtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/pion/transport/v3/deadline"
)

// A lan carries datagrams between its ports, in memory, at once and in order. It
// has no goroutine, works in virtual time, and doesn't allocate for a datagram.
type lan struct {
	mu    sync.Mutex
	ports map[netip.AddrPort]*port
	pass  func(datagram) error // if set, asked for each: nil, errLost, or the writer's error
}

// errLost loses a datagram without the writer's knowledge.
var errLost = errors.New("lost")

type datagram struct {
	from, to netip.AddrPort
	data     []byte
}

// A port is a net.PacketConn of a lan.
type port struct {
	lan      *lan
	addr     *net.UDPAddr
	in       chan arrived
	free     chan []byte
	reads    *deadline.Deadline
	writes   *deadline.Deadline
	closed   chan struct{}
	closeOne sync.Once
}

type arrived struct {
	from *net.UDPAddr
	data []byte
}

const portQueue = 64

func newLAN() *lan { return &lan{ports: map[netip.AddrPort]*port{}} }

// filter sets what decides about each datagram from now on.
func (l *lan) filter(pass func(datagram) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pass = pass
}

// open reports whether a port is.
func (l *lan) open(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ports[netip.MustParseAddrPort(address)] != nil
}

func (l *lan) listen(address string) *port { return l.listenWithRoom(address, portQueue) }

// listenWithRoom opens a port in which so many datagrams can wait.
func (l *lan) listenWithRoom(address string, queue int) *port {
	p := &port{
		lan: l, addr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)),
		in: make(chan arrived, queue), free: make(chan []byte, queue),
		reads: deadline.New(), writes: deadline.New(), closed: make(chan struct{}),
	}
	for range queue {
		p.free <- make([]byte, 0, 2048)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ports[p.addr.AddrPort()] = p
	return p
}

// direct lets a port have what is sent to its address, whoever had it meanwhile.
func (l *lan) direct(p *port) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ports[p.addr.AddrPort()] = p
}

// move gives a port another address.
func (l *lan) move(p *port, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ports, p.addr.AddrPort())
	p.addr = net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address))
	l.ports[p.addr.AddrPort()] = p
}

// link returns both ends of a link.
func (l *lan) link() (a, b net.Conn) {
	pa, pb := l.listen("192.0.2.1:1000"), l.listen("192.0.2.2:2000")
	return dtls.FromPacketConn(pa, pb.addr), dtls.FromPacketConn(pb, pa.addr)
}

func (p *port) ReadFrom(b []byte) (int, net.Addr, error) {
	if p.reads.Err() != nil {
		return 0, nil, os.ErrDeadlineExceeded
	}
	select {
	case in := <-p.in:
		n := copy(b, in.data)
		p.free <- in.data
		return n, in.from, nil
	case <-p.reads.Done():
		return 0, nil, os.ErrDeadlineExceeded
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

func (p *port) WriteTo(b []byte, to net.Addr) (int, error) {
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	case <-p.writes.Done():
		return 0, os.ErrDeadlineExceeded
	default:
	}
	addr := to.(*net.UDPAddr).AddrPort()
	p.lan.mu.Lock()
	defer p.lan.mu.Unlock()
	if p.lan.pass != nil {
		switch err := p.lan.pass(datagram{p.addr.AddrPort(), addr, b}); err {
		case nil:
		case errLost:
			return len(b), nil
		default:
			return 0, err
		}
	}
	if peer := p.lan.ports[addr]; peer != nil {
		peer.deliver(p.addr, b)
	}
	return len(b), nil
}

// deliver drops what the queue has no room for.
func (p *port) deliver(from *net.UDPAddr, b []byte) {
	select {
	case room := <-p.free:
		p.in <- arrived{from, append(room[:0], b...)}
	default:
	}
}

func (p *port) Close() error {
	p.closeOne.Do(func() {
		close(p.closed)
		p.lan.mu.Lock()
		defer p.lan.mu.Unlock()
		if p.lan.ports[p.addr.AddrPort()] == p {
			delete(p.lan.ports, p.addr.AddrPort())
		}
	})
	return nil
}

func (p *port) LocalAddr() net.Addr                { return p.addr }
func (p *port) SetReadDeadline(t time.Time) error  { p.reads.Set(t); return nil }
func (p *port) SetWriteDeadline(t time.Time) error { p.writes.Set(t); return nil }
func (p *port) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}

// --- Configurations

// bothVersions runs f for 1.3 and 1.2.
func bothVersions(t *testing.T, f func(t *testing.T, version uint16)) {
	t.Run("1.3", func(t *testing.T) { f(t, dtls.VersionDTLS13) })
	t.Run("1.2", func(t *testing.T) { f(t, dtls.VersionDTLS12) })
}

// identity returns a certificate, good from now on, and the pool that trusts it.
func identity(t testing.TB, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	c, err := dtls.SelfSigned(names...)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.Leaf)
	return c, roots
}

// configs returns Configs of a client and a server that trust each other.
func configs(t testing.TB, version uint16) (client, server *dtls.Config) {
	t.Helper()
	c, roots := identity(t, "server.example", "127.0.0.1")
	server = &dtls.Config{Certificates: []tls.Certificate{c}, MinVersion: version, MaxVersion: version}
	client = &dtls.Config{RootCAs: roots, ServerName: "server.example", MinVersion: version, MaxVersion: version}
	return client, server
}

// authenticated returns Configs of which the client has a certificate too.
func authenticated(t testing.TB, version uint16) (client, server *dtls.Config) {
	client, server = configs(t, version)
	c, roots := identity(t, "client.example")
	client.Certificates = []tls.Certificate{c}
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, roots
	return client, server
}

// --- Conns

// ends returns a client and a server over a lan, which have not spoken yet.
func ends(t testing.TB, l *lan, client, server *dtls.Config) (c, s *dtls.Conn) {
	t.Helper()
	a, b := l.link()
	c, err := dtls.Client(a, client)
	if err != nil {
		t.Fatal(err)
	}
	s, err = dtls.Server(b, server)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// handshakes runs the handshakes of both at once.
func handshakes(c, s *dtls.Conn) (clientErr, serverErr error) {
	done := make(chan error)
	go func() { done <- s.Handshake() }()
	clientErr = c.Handshake()
	return clientErr, <-done
}

// established returns both ends of an association over l. They are closed when
// the test ends.
func established(t testing.TB, l *lan, client, server *dtls.Config) (c, s *dtls.Conn) {
	t.Helper()
	c, s = ends(t, l, client, server)
	if err1, err2 := handshakes(c, s); err1 != nil || err2 != nil {
		t.Fatalf("client: %v; server: %v", err1, err2)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c, s
}

// pair is established over a lan of its own.
func pair(t testing.TB, version uint16) (c, s *dtls.Conn) {
	t.Helper()
	client, server := configs(t, version)
	return established(t, newLAN(), client, server)
}

// send writes and reads one message.
func send(t testing.TB, from, to net.Conn, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatalf("Write: %v", err)
	}
	expectRead(t, to, text)
}

func expectRead(t testing.TB, c net.Conn, text string) {
	t.Helper()
	b := make([]byte, 20000)
	n, err := c.Read(b)
	if err != nil || string(b[:n]) != text {
		t.Fatalf("Read: %.60q, %v, want %.60q", b[:n], err, text)
	}
}

// expectError checks that err is target.
func expectError(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

// accept returns the Listener's next Conn.
func accept(t testing.TB, l *dtls.Listener) *dtls.Conn {
	t.Helper()
	c, err := l.AcceptConn()
	if err != nil {
		t.Fatal(err)
	}
	return c
}
