package dtls_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/pion/logging"
	"github.com/pion/transport/v3/dpipe"
	"github.com/pion/transport/v3/test"
)

// echo lets every Conn of a Listener say again what it hears, until the test is over.
func echo(t testing.TB, l *dtls.Listener) {
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { echoConn(t, c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
}

func echoConn(t testing.TB, c net.Conn) {
	defer c.Close()
	b := make([]byte, 20000)
	for {
		n, err := c.Read(b)
		if err != nil {
			if err != io.EOF {
				t.Errorf("server: %v", err)
			}
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			t.Errorf("server: %v", err)
		}
	}
}

func TestEchoOverUDP(t *testing.T) {
	defer test.CheckRoutines(t)()
	routes := []struct{ name, network, listen, dial string }{
		{"IPv4", "udp", "127.0.0.1:0", "127.0.0.1"},
		{"wildcard", "udp4", "0.0.0.0:0", "127.0.0.1"},
	}
	if runtime.GOOS == "linux" {
		routes = append(routes, struct{ name, network, listen, dial string }{"another address of the wildcard", "udp4", "0.0.0.0:0", "127.0.0.2"})
	}
	if pc, err := net.ListenPacket("udp6", "[::1]:0"); err == nil {
		pc.Close()
		routes = append(routes, []struct{ name, network, listen, dial string }{
			{"IPv6", "udp6", "[::1]:0", "::1"},
			{"dual stack, IPv4", "udp", "[::]:0", "127.0.0.1"},
			{"dual stack, IPv6", "udp", "[::]:0", "::1"},
		}...)
	}
	for _, r := range routes {
		t.Run(r.name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				client, server := configs(t, version)
				l, err := dtls.Listen(r.network, r.listen, server)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				echo(t, l)
				_, port, _ := net.SplitHostPort(l.Addr().String())
				c, err := dtls.Dial("udp", net.JoinHostPort(r.dial, port), client)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				send(t, c, c, "godwit")
				state := c.ConnectionState()
				if state.Version != version || !state.HandshakeComplete {
					t.Errorf("version %x, complete %v", state.Version, state.HandshakeComplete)
				}
				if got := l.Stats().Challenges; got != 1 {
					t.Errorf("%d challenges, want 1", got)
				}
				if host, _, _ := net.SplitHostPort(c.RemoteAddr().String()); host != r.dial {
					t.Errorf("the client's RemoteAddr is %v", c.RemoteAddr())
				}
			})
		})
	}
}

func TestEchoOverGivenLinks(t *testing.T) {
	links := map[string]func(t *testing.T) (a, b net.Conn){
		"dpipe": func(*testing.T) (a, b net.Conn) { return dpipe.Pipe() },
		"lan":   func(*testing.T) (a, b net.Conn) { return newLAN().link() },
		"FromPacketConn": func(t *testing.T) (a, b net.Conn) {
			var pcs [2]net.PacketConn
			for i := range pcs {
				pc, err := net.ListenPacket("udp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				pcs[i] = pc
			}
			return dtls.FromPacketConn(pcs[0], pcs[1].LocalAddr()), dtls.FromPacketConn(pcs[1], pcs[0].LocalAddr())
		},
	}
	for name, link := range links {
		t.Run(name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				client, server := authenticated(t, version)
				a, b := link(t)
				c, err := dtls.Client(a, client)
				if err != nil {
					t.Fatal(err)
				}
				s, err := dtls.Server(b, server)
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan struct{})
				go func() { defer close(done); echoConn(t, s) }()
				send(t, c, c, "godwit")
				if state := s.ConnectionState(); len(state.PeerCertificates) != 1 || state.VerifiedChains == nil {
					t.Error("the server has no certificate of the client")
				}
				if state := s.ConnectionState(); state.HelloRetryRequest {
					t.Error("a cookie over a given link")
				}
				if c.NetConn() != a {
					t.Error("NetConn is not the link")
				}
				c.Close()
				<-done
			})
		})
	}
}

func TestShortBuffer(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		c, s := pair(t, version)
		if _, err := s.Write([]byte("godwit")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 3)
		n, err := c.Read(b)
		expectError(t, "Read", err, io.ErrShortBuffer)
		if string(b[:n]) != "god" {
			t.Errorf("read %q", b[:n])
		}
		send(t, s, c, "the rest is lost")
	})
}

// A Write is one record of up to 16384 bytes.
//
// RFC 9147 4.4 [4]
func TestRecordSizes(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		client, server := configs(t, version)
		l, err := dtls.Listen("udp", "127.0.0.1:0", server)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		echo(t, l)
		c, err := dtls.Dial("udp", l.Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, size := range []int{1, 64, 1200, 1500, 16383, 16384} {
			send(t, c, c, strings.Repeat("x", size))
		}
		_, err = c.Write(make([]byte, 16385))
		expectError(t, "Write of 16385 bytes", err, dtls.ErrTooLong)
		if n, err := c.Write(nil); n != 0 || err != nil {
			t.Errorf("Write of nothing: %d, %v", n, err)
		}
		send(t, c, c, "still there")
	})
}

// A Conn pads what it writes, whatever room a record of it would need.
func TestConnPadding(t *testing.T) {
	client, server := configs(t, dtls.VersionDTLS13)
	client.RecordPadding = 1000
	written := 0
	client.Trace = func(e dtls.Event) {
		if e.Kind == handshake.EventRecord && e.Direction == handshake.Sent && e.Content == protocol.ApplicationData {
			written = e.Size
		}
	}
	c, s := established(t, newLAN(), client, server)
	send(t, c, s, "x")
	if want := 5 + 1000 + 1 + 16; written != want {
		t.Errorf("a record of %d bytes, want %d", written, want)
	}
}

// Reads, writes, key updates and the end at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		c, s := pair(t, version)
		var all sync.WaitGroup
		for _, end := range []*dtls.Conn{c, s} {
			for range 2 {
				all.Go(func() {
					b := make([]byte, 100)
					for {
						if _, err := end.Read(b); err != nil {
							return
						}
					}
				})
				all.Go(func() {
					for range 200 {
						if _, err := end.Write([]byte("message")); err != nil {
							return
						}
						end.ConnectionState()
						end.Stats()
						end.SetReadDeadline(time.Time{})
						if version == dtls.VersionDTLS13 {
							end.KeyUpdate(dtls.UpdateRequested)
						}
					}
					end.Close()
				})
			}
		}
		all.Wait()
	})
}

// Whoever comes first runs the handshake; the others wait for it.
func TestConcurrentHandshake(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		client, server := configs(t, version)
		c, s := ends(t, newLAN(), client, server)
		defer c.Close()
		defer s.Close()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := c.Handshake(); err != nil {
					t.Errorf("client: %v", err)
				}
			})
			all.Go(func() {
				if _, err := s.Write([]byte("one of four")); err != nil {
					t.Errorf("server: %v", err)
				}
			})
			all.Go(func() { expectRead(t, c, "one of four") })
		}
		all.Wait()
	})
}

// What several write at once doesn't overtake the flight that the first of them shares a
// datagram with: the peer couldn't open it, and would drop it.
func TestConcurrentFirstWrites(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		client, server := configs(t, version)
		a, b := newLAN().link()
		c, err := dtls.Client(slowLink{a}, client)
		if err != nil {
			t.Fatal(err)
		}
		s, err := dtls.Server(slowLink{b}, server)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		defer s.Close()
		var all sync.WaitGroup
		for _, end := range []*dtls.Conn{c, s} {
			for range 4 {
				all.Go(func() {
					if _, err := end.Write([]byte("one of four")); err != nil {
						t.Error(err)
					}
				})
			}
			all.Go(func() {
				for range 4 {
					expectRead(t, end, "one of four")
				}
			})
		}
		all.Wait()
	})
}

// A slowLink lets others go first when it is to write a datagram that begins with
// something else than data of 1.2, as one with a flight and data does.
type slowLink struct{ net.Conn }

func (l slowLink) Write(b []byte) (int, error) {
	if b[0] != 23 {
		for range 100 {
			runtime.Gosched()
		}
	}
	return l.Conn.Write(b)
}

// What Engine has as SetMTU and SetInitialTimeout holds for its Conn.
func TestConnSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		l := newLAN()
		c, s := ends(t, l, client, server)
		for _, err := range []error{c.SetMTU(100), c.SetInitialTimeout(0)} {
			if _, ok := errors.AsType[*dtls.ConfigError](err); !ok {
				t.Errorf("%v", err)
			}
		}
		if err := errors.Join(c.SetMTU(300), c.SetInitialTimeout(time.Second)); err != nil {
			t.Fatal(err)
		}
		largest, begin := 0, time.Now()
		l.filter(func(d datagram) error {
			if d.from.Port() == uint16(c.LocalAddr().(*net.UDPAddr).Port) {
				largest = max(largest, len(d.data))
			}
			if time.Since(begin) < 900*time.Millisecond {
				return syscall.ECONNREFUSED // a loss
			}
			return nil
		})
		if err1, err2 := handshakes(c, s); err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if took := time.Since(begin); took < time.Second || took > 1500*time.Millisecond {
			t.Errorf("the first flight was repeated after %v", took)
		}
		c.Close()
		s.Close()
		synctest.Wait()
		if largest > 300 || largest < 250 {
			t.Errorf("the largest datagram of the client has %d bytes", largest)
		}
	})
}

// Both timeouts are net.Errors that say whose they are.
func TestTimeoutErrors(t *testing.T) {
	for _, timeout := range []error{dtls.ErrTimeout, dtls.ErrHandshakeTimeout} {
		var err net.Error
		if !errors.As(timeout, &err) || !err.Timeout() || !strings.HasPrefix(err.Error(), "dtls: ") {
			t.Errorf("%v", timeout)
		}
	}
}

// The lists name what a Config uses and what it has to name, each once.
func TestSuiteLists(t *testing.T) {
	names := map[string]bool{}
	for insecure, list := range map[bool][]*tls.CipherSuite{false: dtls.CipherSuites(), true: dtls.InsecureCipherSuites()} {
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

// NetConn of an accepted Conn goes past it.
func TestAcceptedNetConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		lan := newLAN()
		l := listenLAN(t, lan, server)
		accepted := make(chan *dtls.Conn, 1)
		go func() {
			s := accept(t, l)
			s.Handshake()
			accepted <- s
		}()
		c := dialLAN(t, lan, "192.0.2.2:1000", l.Addr(), client)
		s := <-accepted
		time.Sleep(time.Second) // the ACKs are here
		link := s.NetConn()
		if link.LocalAddr().String() != l.Addr().String() || link.RemoteAddr().String() != "192.0.2.2:1000" {
			t.Errorf("it is at %v, and the peer at %v", link.LocalAddr(), link.RemoteAddr())
		}
		if err := link.SetDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		_, err := link.Read(make([]byte, 10))
		expectError(t, "Read after the deadline", err, os.ErrDeadlineExceeded)
		_, err = link.Write([]byte("late"))
		expectError(t, "Write after the deadline", err, os.ErrDeadlineExceeded)
		if err := link.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if n, err := link.Write([]byte("godwit")); n != 6 || err != nil {
			t.Fatal(n, err)
		}
		send(t, s, c, "behind it") // which reads what came before
		if dropped := c.Stats().Dropped; dropped.Header != 1 {
			t.Errorf("the client has dropped %+v", dropped)
		}
		c.Write([]byte("question"))
		b := make([]byte, 100)
		if n, err := link.Read(b); err != nil || n <= len("question") || bytes.Contains(b[:n], []byte("question")) {
			t.Errorf("%d bytes of a record: %q, %v", n, b[:n], err)
		}
		c.Close()
		s.Close()
		l.Close()
		time.Sleep(time.Minute)
	})
}

// WriteEarly is Write where it is not early any more.
func TestConnWriteEarlyLate(t *testing.T) {
	c, s := pair(t, 0)
	if n, err := c.WriteEarly([]byte("late")); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	expectRead(t, s, "late")
}

// Loggers say how a connection began and ended.
func TestConnLogs(t *testing.T) {
	var log bytes.Buffer
	factory := logging.NewDefaultLoggerFactory()
	factory.Writer, factory.DefaultLogLevel = &log, logging.LogLevelDebug
	client, server := configs(t, dtls.VersionDTLS13)
	client.LoggerFactory = factory
	c, s := established(t, newLAN(), client, server)
	s.Abort(alert.AccessDenied)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("nothing has ended it")
	}
	for _, want := range []string{"client: handshake complete", "access_denied"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in %q", want, log.String())
		}
	}
}
