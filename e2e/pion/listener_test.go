package dtls_test

import (
	"errors"
	"net"
	"testing"

	"github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/transport/v3/dpipe"
	"github.com/pion/transport/v3/test"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

var loopback = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}

func listen(t *testing.T, options ...dtls.ServerOption) (net.Listener, *net.UDPAddr) {
	t.Helper()
	l, err := dtls.ListenWithOptions("udp4", loopback, append(options, dtls.WithCertificates(certificate(t)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().(*net.UDPAddr)
}

func dial(t *testing.T, to *net.UDPAddr, options ...dtls.ClientOption) *dtls.Conn {
	t.Helper()
	c, err := dtls.DialWithOptions("udp4", to, append(options, dtls.WithInsecureSkipVerify(true))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A listener's connections are *Conns, with connection IDs if both want them.
func TestListen(t *testing.T) {
	defer test.CheckRoutines(t)()
	bothVersions(t, func(t *testing.T, version uint16, limit dtls.Option) {
		l, to := listen(t, limit, dtls.WithConnectionIDGenerator(dtls.RandomCIDGenerator(6)))
		client := dial(t, to, limit, dtls.WithConnectionIDGenerator(dtls.OnlySendCIDGenerator()))
		began := make(chan error)
		go func() { began <- client.Handshake() }()
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		server := accepted.(*dtls.Conn)
		if err := server.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-began; err != nil {
			t.Fatal(err)
		}
		send(t, client, server, "there")
		send(t, server, client, "and back")
		s := state(t, server)
		if got := s.Godwit(); got.Version != version || len(got.LocalConnectionID) != 6 || len(got.RemoteConnectionID) != 0 {
			t.Errorf("version %#x, IDs % x and % x", got.Version, got.LocalConnectionID, got.RemoteConnectionID)
		}
		if client.RemoteAddr().String() != to.String() || server.RemoteAddr().String() != client.LocalAddr().String() {
			t.Error("addresses", client.LocalAddr(), client.RemoteAddr(), server.LocalAddr(), server.RemoteAddr())
		}
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error("Accept of what is closed:", err)
		}
		send(t, client, server, "it goes on")
	})
}

// Who is refused by his address gets no connection.
func TestOnConnectionAttempt(t *testing.T) {
	no := errors.New("not from there")
	l, to := listen(t, dtls.WithOnConnectionAttempt(func(a net.Addr) error {
		if a.(*net.UDPAddr).IP.IsLoopback() {
			return no
		}
		return nil
	}))
	client := dial(t, to)
	go client.Handshake()
	if _, err := l.Accept(); !errors.Is(err, no) {
		t.Error("Accept:", err)
	}
	_, b := link()
	if _, err := dtls.ServerWithOptions(b, to, dtls.WithCertificates(certificate(t)), dtls.WithOnConnectionAttempt(func(net.Addr) error { return no })); !errors.Is(err, no) {
		t.Error("Server:", err)
	}
}

// pipes is a listener of links that somebody else has made.
type pipes struct {
	net.Listener
	links chan net.Conn
}

func (p pipes) Accept() (net.Conn, error) { return <-p.links, nil }

// A listener over links has to be told that there are no cookies.
func TestNewListener(t *testing.T) {
	inner := pipes{links: make(chan net.Conn, 1)}
	options := []dtls.ServerOption{dtls.WithCertificates(certificate(t))}
	if _, err := dtls.NewListenerWithOptions(dtlsnet.PacketListenerFromListener(inner), options...); err == nil {
		t.Error("a listener without cookies, and nobody said so")
	}
	l, err := dtls.NewListenerWithOptions(dtlsnet.PacketListenerFromListener(inner), append(options, dtls.WithInsecureSkipVerifyHello(true))...)
	if err != nil {
		t.Fatal(err)
	}
	a, b := dpipe.Pipe()
	inner.links <- b
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client, err := dtls.ClientWithOptions(dtlsnet.PacketConnFromConn(a), address, dtls.WithInsecureSkipVerify(true))
	if err != nil {
		t.Fatal(err)
	}
	if c, s := shake(client, server.(*dtls.Conn)); c != nil || s != nil {
		t.Fatal(c, s)
	}
	send(t, client, server, "there")
	client.Close()
	server.Close()
}

// Without cookies a server answers the first hello.
func TestInsecureSkipVerifyHello(t *testing.T) {
	for _, skip := range []bool{false, true} {
		l, to := listen(t, dtls.WithInsecureSkipVerifyHello(skip))
		client := dial(t, to)
		go client.Handshake()
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		if err := accepted.(*dtls.Conn).Handshake(); err != nil {
			t.Fatal(err)
		}
		if s := state(t, accepted.(*dtls.Conn)); s.Godwit().HelloRetryRequest == skip {
			t.Errorf("skip %v, and a HelloRetryRequest %v", skip, s.Godwit().HelloRetryRequest)
		}
	}
}

// sockets are two that are not connected.
func sockets(t testing.TB) (a, b *net.UDPConn) {
	t.Helper()
	var both [2]*net.UDPConn
	for i := range both {
		c, err := net.ListenUDP("udp4", loopback)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		both[i] = c
	}
	return both[0], both[1]
}

// Over a socket that is not connected, the address says who the peer is.
func TestPacketConn(t *testing.T) {
	a, b := sockets(t)
	client, err := dtls.Client(a, b.LocalAddr(), &dtls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	server, err := dtls.ServerWithOptions(b, a.LocalAddr(), dtls.WithCertificates(certificate(t)))
	if err != nil {
		t.Fatal(err)
	}
	if c, s := shake(client, server); c != nil || s != nil {
		t.Fatal(c, s)
	}
	send(t, client, server, "there")
	if s := state(t, client); s.Godwit().Version != godwit.VersionDTLS13 {
		t.Errorf("version %#x", s.Godwit().Version)
	}
	client.Close()
	server.Close()
	if _, err := a.WriteTo([]byte("no more"), b.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Error("Close leaves the socket open:", err)
	}
}
