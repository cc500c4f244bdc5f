package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/pion/transport/v3"
	"github.com/pion/transport/v3/test"
)

// checkLeaks checks that a test leaves no goroutine behind.
func checkLeaks(t *testing.T) {
	t.Cleanup(test.CheckRoutines(t))
}

// tcpPair is a connected pair of links with buffers.
func tcpPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// connPair returns two Conns over links; the handshake has not run.
func connPair(t testing.TB, client, server *Config, clientLink, serverLink net.Conn) (*Conn, *Conn) {
	t.Helper()
	c, err := Client(clientLink, client)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Server(serverLink, server)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// openPair is a connPair over TCP whose handshake is complete.
func openPair(t testing.TB, version uint16) (*Conn, *Conn) {
	t.Helper()
	client, server := configs(version)
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c, s
}

func eachVersion(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) { f(t, v.number) })
	}
}

// Read and Write run the handshake, over a link without any buffer too.
func TestConnOverPipe(t *testing.T) {
	checkLeaks(t)
	eachVersion(t, func(t *testing.T, version uint16) {
		client, server := configs(version)
		a, b := net.Pipe()
		c, s := connPair(t, client, server, a, b)
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(s, s)
			done <- errors.Join(err, s.Close())
		}()
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4)
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "ping" {
			t.Fatal(string(buf), err)
		}
		if c.NetConn() != a || c.LocalAddr() != a.LocalAddr() || c.RemoteAddr() != a.RemoteAddr() {
			t.Error("not the link")
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
		if _, err := c.Read(buf); err != io.EOF {
			t.Error("after the peer's close_notify:", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.Close()
	})
}

// Much data both ways at once, with keys changing under it.
func TestConnBothWays(t *testing.T) {
	checkLeaks(t)
	eachVersion(t, func(t *testing.T, version uint16) {
		c, s := openPair(t, version)
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17/16*5) // 640 KiB
		var wg sync.WaitGroup
		for _, conn := range []*Conn{c, s} {
			wg.Go(func() {
				for part := range 5 {
					if version == VersionTLS13 {
						if err := conn.KeyUpdate(UpdateRequested); err != nil {
							t.Error(err)
						}
					}
					n := len(sent) / 5
					if _, err := conn.Write(sent[part*n : (part+1)*n]); err != nil {
						t.Error(err)
					}
				}
				if err := conn.CloseWrite(); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() {
				got, err := io.ReadAll(conn)
				if err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d of %d bytes, %v", len(got), len(sent), err)
				}
			})
		}
		wg.Wait()
		c.Close()
		s.Close()
	})
}

// Writes of several goroutines don't mix; ConnectionState does not wait.
func TestConnConcurrentUse(t *testing.T) {
	checkLeaks(t)
	c, s := openPair(t, VersionTLS13)
	const writers, size = 8, 40000
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if _, err := c.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
				t.Error(err)
			}
			c.ConnectionState()
		})
	}
	buf := make([]byte, size)
	for range writers {
		if _, err := io.ReadFull(s, buf); err != nil {
			t.Fatal(err)
		}
		if bytes.Count(buf, buf[:1]) != size {
			t.Error("two Writes are mixed")
		}
	}
	wg.Wait()
	c.Close()
	s.Close()
}

func TestConnClose(t *testing.T) {
	checkLeaks(t)
	eachVersion(t, func(t *testing.T, version uint16) {
		c, s := openPair(t, version)
		c.Write([]byte("last words"))
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(s); err != nil || string(got) != "last words" {
			t.Errorf("%q, %v", got, err)
		}
		for name, f := range map[string]func() error{
			"Close":      c.Close,
			"CloseWrite": c.CloseWrite,
			"Read":       func() error { _, err := c.Read(make([]byte, 1)); return err },
			"Write":      func() error { _, err := c.Write([]byte("x")); return err },
			"KeyUpdate":  func() error { return c.KeyUpdate(UpdateRequested) },
		} {
			if err := f(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
		s.Close()
	})
}

func TestCloseWrite(t *testing.T) {
	c, s := openPair(t, VersionTLS13)
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Error("a second CloseWrite:", err)
	}
	if _, err := c.Write([]byte("x")); err != errClosed {
		t.Error("Write after CloseWrite:", err)
	}
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	if _, err := s.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	s.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "still here" {
		t.Errorf("%q, %v", got, err)
	}

	client, _ := configs(0)
	early, err := Client(nil, client)
	if err != nil || early.CloseWrite() != errNotOpen {
		t.Error("CloseWrite before the handshake")
	}
}

// A link that ends without close_notify may have been cut by anybody.
func TestConnTruncated(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		c, s := openPair(t, version)
		c.Write([]byte("half a story"))
		c.NetConn().Close()
		if got, err := io.ReadAll(s); err != io.ErrUnexpectedEOF || string(got) != "half a story" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := s.Read(make([]byte, 1)); err != io.ErrUnexpectedEOF {
			t.Error("the second time:", err)
		}
	})
	client, server := configs(0)
	a, b := net.Pipe()
	c, _ := connPair(t, client, server, a, b)
	go func() {
		b.Read(make([]byte, 10))
		b.Close()
	}()
	if err := c.Handshake(); err == nil {
		t.Error("a handshake with nobody")
	}
}

// Close ends whoever waits for the link.
func TestCloseWakes(t *testing.T) {
	checkLeaks(t)
	for name, wait := range map[string]func(c *Conn) error{
		"Read":      func(c *Conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"Write":     func(c *Conn) error { _, err := c.Write(make([]byte, 1<<20)); return err },
		"Handshake": func(c *Conn) error { return c.Handshake() },
	} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(0)
			a, b := net.Pipe()
			c, s := connPair(t, client, server, a, b)
			if name != "Handshake" {
				go s.Handshake()
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
			}
			waiting := &waitingLink{Conn: a, started: make(chan struct{})}
			c.link = waiting
			done := make(chan error, 1)
			go func() { done <- wait(c) }()
			<-waiting.started
			if name == "Read" {
				go io.Copy(io.Discard, b) // takes the close_notify
			}
			c.Close()
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			b.Close()
		})
	}
}

// A waitingLink says when it is used.
type waitingLink struct {
	net.Conn
	started chan struct{}
	once    sync.Once
}

func (l *waitingLink) Read(p []byte) (int, error) {
	l.once.Do(func() { close(l.started) })
	return l.Conn.Read(p)
}

func (l *waitingLink) Write(p []byte) (int, error) {
	l.once.Do(func() { close(l.started) })
	return l.Conn.Write(p)
}

func TestDeadlines(t *testing.T) {
	checkLeaks(t)
	isTimeout := func(err error) bool {
		var e net.Error
		return errors.As(err, &e) && e.Timeout() && errors.Is(err, os.ErrDeadlineExceeded)
	}
	c, s := openPair(t, VersionTLS13)
	past, never := time.Now().Add(-time.Second), time.Time{}
	buf := make([]byte, 10)

	c.SetReadDeadline(past)
	if _, err := c.Read(buf); !isTimeout(err) {
		t.Error("Read after its deadline:", err)
	}
	c.SetReadDeadline(never)
	s.Write([]byte("x"))
	if n, err := c.Read(buf); n != 1 || err != nil {
		t.Error("Read after a timeout:", err)
	}

	c.SetWriteDeadline(past)
	_, err := c.Write([]byte("x"))
	if !isTimeout(err) {
		t.Error("Write after its deadline:", err)
	}
	c.SetDeadline(never)
	if _, again := c.Write([]byte("x")); again != err {
		t.Error("Write after a timeout:", again)
	}
	s.Write([]byte("y"))
	if n, err := c.Read(buf); n != 1 || err != nil {
		t.Error("Read after a Write timed out:", err)
	}
	c.Close()
	s.Close()
}

func TestHandshakeContext(t *testing.T) {
	checkLeaks(t)
	client, server := configs(0)
	a, b := net.Pipe()
	c, _ := connPair(t, client, server, a, b)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		b.Read(make([]byte, 1)) // it is under way
		cancel()
	}()
	if err := c.HandshakeContext(ctx); err != context.Canceled {
		t.Error("cancelled:", err)
	}
	if _, err := c.Read(make([]byte, 1)); err != context.Canceled {
		t.Error("Read after it:", err)
	}
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Error("the link is open:", err)
	}

	// Once it is complete, the context has no effect.
	ctx, cancel = context.WithCancel(t.Context())
	d, e := openPair(t, VersionTLS13)
	if err := d.HandshakeContext(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	if err := d.HandshakeContext(ctx); err != nil {
		t.Error(err)
	}
	d.Write([]byte("x"))
	if n, err := e.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Error(err)
	}
	d.Close()
	e.Close()
}

func TestHandshakeTimeout(t *testing.T) {
	checkLeaks(t)
	client, server := configs(0)
	client.HandshakeTimeout, server.HandshakeTimeout = time.Millisecond, time.Millisecond
	a, b := net.Pipe()
	c, _ := connPair(t, client, server, a, b)
	err := c.Handshake()
	var e net.Error
	if err != ErrHandshakeTimeout || !errors.As(err, &e) || !e.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}

	// An accepted Conn that nobody drives is closed.
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewListener(inner, server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	link, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	idle, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := link.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
	if _, err := idle.Write([]byte("x")); err != ErrHandshakeTimeout {
		t.Error(err)
	}
}

// Callbacks of the application run without a lock that others wait for, and see
// the link.
func TestCallbacks(t *testing.T) {
	checkLeaks(t)
	client, server := configs(0)
	a, b := net.Pipe()
	var c, s *Conn
	var asked []string
	client.VerifyConnection = func(state ConnectionState) error {
		asked = append(asked, "VerifyConnection")
		if c.ConnectionState().HandshakeComplete || len(state.PeerCertificates) == 0 {
			t.Error("state", state)
		}
		return nil
	}
	server.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
		asked = append(asked, "GetCertificate")
		if info.Conn != b || info.ServerName != serverName || s.ConnectionState().HandshakeComplete {
			t.Errorf("info %+v", info)
		}
		return nil, info.SupportsCertificate(&server.Certificates[0])
	}
	c, s = connPair(t, client, server, a, b)
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(asked) != "[GetCertificate VerifyConnection]" {
		t.Error(asked)
	}
	a.Close()
	b.Close()
}

// A callback that panics takes no lock with it.
func TestCallbackPanics(t *testing.T) {
	client, server := configs(0)
	server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("callback") }
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	go c.Handshake()
	func() {
		defer func() {
			if r := recover(); r != "callback" {
				t.Error("recovered", r)
			}
		}()
		s.Handshake()
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The alert of a failed handshake is on the link before Handshake returns.
func TestAlertReachesThePeer(t *testing.T) {
	checkLeaks(t)
	eachVersion(t, func(t *testing.T, version uint16) {
		client, server := configs(version)
		client.RootCAs = pki().strangers
		a, b := net.Pipe()
		c, s := connPair(t, client, server, a, b)
		told := make(chan error, 1)
		go func() {
			err := s.Handshake()
			for buf := make([]byte, 1); err == nil; {
				_, err = s.Read(buf)
			}
			told <- err
		}()
		err := c.Handshake()
		wantAlert(t, "client", err, alert.UnknownCA, false)
		wantAlert(t, "server", <-told, alert.UnknownCA, true)
		if again := c.Handshake(); again != err {
			t.Error("the second time:", again)
		}
		if _, again := c.Write([]byte("x")); again != err {
			t.Error("a Write:", again)
		}
		a.Close()
		b.Close()
	})
}

// A hostNet is the operating system's network, as far as TLS asks for it.
type hostNet struct{ transport.Net }

func (hostNet) ResolveTCPAddr(network, address string) (*net.TCPAddr, error) {
	return net.ResolveTCPAddr(network, address)
}

func (hostNet) ListenTCP(network string, local *net.TCPAddr) (transport.TCPListener, error) {
	l, err := net.ListenTCP(network, local)
	return hostListener{l}, err
}

func (hostNet) CreateDialer(d *net.Dialer) transport.Dialer { return d }

type hostListener struct{ *net.TCPListener }

func (l hostListener) AcceptTCP() (transport.TCPConn, error) { return l.TCPListener.AcceptTCP() }

func TestDialAndListen(t *testing.T) {
	checkLeaks(t)
	for _, name := range []string{"net", "Config.Net"} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(0)
			if name == "Config.Net" {
				client.Net, server.Net = hostNet{}, hostNet{}
			}
			l, err := Listen("tcp", "127.0.0.1:0", server)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			served := make(chan error, 1)
			go func() {
				for range 2 {
					conn, err := l.Accept()
					if err == nil {
						io.Copy(conn, conn)
						err = conn.Close()
					}
					served <- err
				}
			}()
			echo := func(c net.Conn, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				c.Write([]byte("x"))
				if _, err := c.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
				c.Close()
				if err := <-served; err != nil {
					t.Error(err)
				}
			}
			c, err := Dial("tcp", l.Addr().String(), client)
			echo(c, err)
			dialer := &Dialer{NetDialer: &net.Dialer{Timeout: time.Minute, Deadline: time.Now().Add(time.Minute)}, Config: client}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			echo(dialer.DialContext(ctx, "tcp", l.Addr().String()))
		})
	}
}

// Dial takes the name to verify from the address, and a Config stays as it is.
func TestDialServerName(t *testing.T) {
	checkLeaks(t)
	client, server := configs(0)
	client.ServerName = ""
	l, err := Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.(*Conn).Handshake()
			conn.Close()
		}
		served <- err
	}()
	_, err = (&Dialer{Config: client}).Dial("tcp", l.Addr().String())
	wantAlert(t, "client", err, alert.BadCertificate, false) // no certificate for 127.0.0.1
	wantAlert(t, "server", <-served, alert.BadCertificate, true)
	if client.ServerName != "" {
		t.Error("the Config was modified")
	}
	if _, err := Dial("tcp", "127.0.0.1:0", client); err == nil {
		t.Error("dialed nobody")
	}
	client.Net = hostNet{}
	if _, err := Dial("tcp", "127.0.0.1:0", client); err == nil {
		t.Error("dialed nobody on Config.Net")
	}
	server.Net = client.Net
	for _, address := range []string{"nonsense", "192.0.2.1:0"} {
		if l, err := Listen("tcp", address, server); err == nil {
			l.Close()
			t.Error("listens at", address)
		}
	}
}

func TestVerifyHostname(t *testing.T) {
	c, s := openPair(t, VersionTLS13)
	if err := c.VerifyHostname(serverName); err != nil {
		t.Error(err)
	}
	if err := c.VerifyHostname("other.example"); err == nil {
		t.Error("any name is good")
	}
	if err := s.VerifyHostname(serverName); err == nil {
		t.Error("for a server")
	}
	client, _ := configs(0)
	early, _ := Client(nil, client)
	if err := early.VerifyHostname(serverName); err != errNotOpen {
		t.Error("before the handshake:", err)
	}
	c.Close()
	s.Close()
}

// Several KeyUpdates in a row are all answered.
func TestConnKeyUpdate(t *testing.T) {
	c, s := openPair(t, VersionTLS13)
	for range 3 {
		if err := c.KeyUpdate(UpdateRequested); err != nil {
			t.Fatal(err)
		}
	}
	c.Write([]byte("x"))
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("y"))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.Close()
}

// A memoryLink is one end of a link that never waits: what is written to it is
// read from it.
type memoryLink struct {
	net.Conn
	buf bytes.Buffer
}

func (l *memoryLink) Read(p []byte) (int, error)  { return l.buf.Read(p) }
func (l *memoryLink) Write(p []byte) (int, error) { return l.buf.Write(p) }

// loop makes of an open pair two Conns where what one writes the other reads,
// on one goroutine.
func loop(t testing.TB, version uint16) (from, to *Conn) {
	from, to = openPair(t, version)
	from.Read(nil)
	link := &memoryLink{Conn: from.link}
	from.link, to.link = link, link
	return from, to
}

// Records in and out do not allocate.
func TestReadWriteAllocateNothing(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, size := range []int{1, 1000, maxPlaintext} {
			from, to := loop(t, version)
			text, buf := make([]byte, size), make([]byte, size)
			once := func() {
				if n, err := from.Write(text); n != size || err != nil {
					t.Fatal(n, err)
				}
				if n, err := to.Read(buf); n != size || err != nil {
					t.Fatal(n, err)
				}
			}
			for range 5 {
				once()
			}
			if n := testing.AllocsPerRun(100, once); n != 0 {
				t.Errorf("%d bytes: %v allocations", size, n)
			}
		}
	})
}

// An open Conn that has been read and written costs little, and no goroutine.
func TestConnCost(t *testing.T) {
	checkLeaks(t)
	before := runtime.NumGoroutine()
	c, s := openPair(t, VersionTLS13)
	c.Write([]byte("x"))
	s.Read(make([]byte, 1))
	for range 1000 { // those of openPair may be about to end
		if runtime.NumGoroutine() <= before {
			break
		}
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines more", n-before)
	}
	for _, conn := range []*Conn{c, s} {
		e := conn.engine
		if n := cap(e.in) + cap(e.out) + cap(e.messages); n > 16<<10 {
			t.Errorf("%v has %d bytes of buffers", conn.role, n)
		}
	}
	c.Close()
	s.Close()
}
