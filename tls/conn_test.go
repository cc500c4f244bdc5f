package tls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

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
//
// RFC 9846 5.1 [12]
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

// RFC 9846 6.1 [5]
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

// What came with the end of a link is read before it.
func TestConnEndWithData(t *testing.T) {
	from, to := loop(t, VersionTLS13)
	from.Write([]byte("the end"))
	to.link = endingLink{to.link}
	buf := make([]byte, 100)
	if n, err := to.Read(buf); string(buf[:n]) != "the end" || err != nil {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if _, err := to.Read(buf); err != io.ErrUnexpectedEOF {
		t.Error("the second time:", err)
	}
}

// An endingLink gives io.EOF together with its last bytes.
type endingLink struct{ net.Conn }

func (l endingLink) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err == nil {
		err = io.EOF
	}
	return n, err
}

// A close_notify that can't be sent is an error of Close.
func TestCloseOverDeadLink(t *testing.T) {
	c, _ := openPair(t, VersionTLS13)
	c.SetWriteDeadline(time.Now().Add(-time.Second))
	_, err := c.Write([]byte("x"))
	if closeErr := c.Close(); err == nil || !errors.Is(closeErr, err) {
		t.Errorf("%v after %v", closeErr, err)
	}
}

// A link that ends without close_notify may have been cut by anybody.
//
// RFC 9846 6.1 [6]
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
	client, server := configs(0)
	early, _ := Client(nil, client)
	if err := early.VerifyHostname(serverName); err != errNotOpen {
		t.Error("before the handshake:", err)
	}
	client.InsecureSkipVerify = true
	p := connected(t, client, server)
	if err := newConn(nil, p.client).VerifyHostname(serverName); err == nil || err == errNotOpen {
		t.Error("of a certificate that nobody has verified:", err)
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

// What can't have new keys says so, and goes on otherwise.
func TestConnKeyUpdateRefused(t *testing.T) {
	client, server := configs(VersionTLS12)
	old := newConn(nil, connected(t, client, server).client)
	if err := old.KeyUpdate(UpdateRequested); err != errNoKeyUpdate || old.engine.Err() != nil {
		t.Errorf("1.2: %v", err)
	}
	a, b := tcpPair(t)
	b.Close()
	c, err := Client(a, client)
	if err != nil {
		t.Fatal(err)
	}
	first := c.Handshake()
	if err := c.KeyUpdate(UpdateRequested); err == nil || err != first {
		t.Errorf("after a handshake that failed with %v: %v", first, err)
	}
	new, closed := openPair(t, VersionTLS13)
	new.engine.Close(time.Now())
	if err := new.KeyUpdate(UpdateNotRequested); err != errClosed {
		t.Errorf("behind a goodbye: %v", err)
	}
	new.Close()
	closed.Close()
	if err := new.KeyUpdate(UpdateNotRequested); err != net.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// A namelessLink has no addresses.
type namelessLink struct{ net.Conn }

func (namelessLink) RemoteAddr() net.Addr { return nil }

// A client without ServerName keeps sessions by its peer's address, and by none where
// the link has none.
func TestSessionsByAddress(t *testing.T) {
	client, server := configs(VersionTLS13)
	client.ServerName, client.InsecureSkipVerify = "", true
	client.ClientSessionCache = NewLRUClientSessionCache(0)
	for i, want := range []bool{false, false, true} {
		a, b := tcpPair(t)
		if i > 0 {
			a = namelessLink{a}
		}
		c, s := connPair(t, client, server, a, b)
		go s.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 1)); err != nil { // behind the tickets
			t.Fatal(err)
		}
		if got := c.ConnectionState().DidResume; got != want {
			t.Errorf("connection %d resumes: %v", i, got)
		}
	}
}

func TestHandshakeTimeoutError(t *testing.T) {
	var err net.Error
	if !errors.As(ErrHandshakeTimeout, &err) || !err.Timeout() || !strings.HasPrefix(err.Error(), "tls: ") {
		t.Errorf("%v", ErrHandshakeTimeout)
	}
}

// The lists name what a Config uses and what it has to name, each once.
func TestSuiteLists(t *testing.T) {
	names := map[string]bool{}
	for insecure, list := range map[bool][]*tls.CipherSuite{false: CipherSuites(), true: InsecureCipherSuites()} {
		for _, s := range list {
			if names[s.Name] || s.Insecure != insecure || len(s.SupportedVersions) == 0 {
				t.Errorf("%+v", s)
			}
			names[s.Name] = true
		}
	}
	if !names["TLS_AES_128_GCM_SHA256"] || !names["TLS_RSA_WITH_AES_128_GCM_SHA256"] {
		t.Error(names)
	}
}
