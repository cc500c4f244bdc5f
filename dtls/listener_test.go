package dtls_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/pion/transport/v3/test"
)

var (
	serverAddr = "192.0.2.1:4433"
	clientAddr = "192.0.2.2:1000"
)

// serve returns a Listener on a lan and the link of one client to it.
func serve(t testing.TB, l *lan, server *dtls.Config) (*dtls.Listener, net.Conn) {
	t.Helper()
	listener := listenLAN(t, l, server)
	return listener, dtls.FromPacketConn(l.listen(clientAddr), listener.Addr())
}

// join runs both handshakes of a client and a Listener.
func join(t testing.TB, listener *dtls.Listener, link net.Conn, client *dtls.Config) (c, s *dtls.Conn) {
	t.Helper()
	c, err := dtls.Client(link, client)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- c.Handshake() }()
	s = accept(t, listener)
	if err := s.Handshake(); err != nil {
		t.Fatalf("server: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatalf("client: %v", err)
	}
	return c, s
}

// Every shape that a handshake behind a cookie has.
//
// RFC 9147 5.1 [5]
func TestListenerHandshakes(t *testing.T) {
	only := func(groups ...tls.CurveID) func(client, server *dtls.Config) {
		return func(_, server *dtls.Config) { server.CurvePreferences = groups }
	}
	tests := []struct {
		name    string
		change  func(client, server *dtls.Config)
		version uint16
		group   tls.CurveID
		retry   bool
	}{
		{"1.3, hello in two datagrams", func(_, _ *dtls.Config) {}, dtls.VersionDTLS13, tls.X25519MLKEM768, true},
		{"1.3, X25519", func(client, _ *dtls.Config) { client.CurvePreferences = []tls.CurveID{tls.X25519} }, dtls.VersionDTLS13, tls.X25519, true},
		{"1.3, another group", only(tls.CurveP384), dtls.VersionDTLS13, tls.CurveP384, true},
		{"1.3, no cookie", func(_, server *dtls.Config) { server.InsecureDisableCookies = true }, dtls.VersionDTLS13, tls.X25519MLKEM768, false},
		{"1.3, no cookie, another group", func(_, server *dtls.Config) {
			server.InsecureDisableCookies, server.CurvePreferences = true, []tls.CurveID{tls.CurveP384}
		}, dtls.VersionDTLS13, tls.CurveP384, true},
		{"1.2, server has 1.2 only", func(_, server *dtls.Config) { server.MaxVersion = dtls.VersionDTLS12 }, dtls.VersionDTLS12, tls.X25519, false},
		{"1.2, client has 1.2 only", func(client, _ *dtls.Config) { client.MaxVersion = dtls.VersionDTLS12 }, dtls.VersionDTLS12, tls.X25519, false},
		{"1.2, no cookie", func(client, server *dtls.Config) {
			client.MaxVersion, server.InsecureDisableCookies = dtls.VersionDTLS12, true
		}, dtls.VersionDTLS12, tls.X25519, false},
	}
	for _, tt := range tests {
		for _, authentication := range []func(testing.TB, uint16) (client, server *dtls.Config){configs, authenticated} {
			t.Run(tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // or a busy machine is a lossy link
					client, server := authentication(t, 0)
					tt.change(client, server)
					l, link := serve(t, newLAN(), server)
					defer l.Close()
					c, s := join(t, l, link, client)
					defer s.Close()
					defer c.Close()
					send(t, c, s, "ping")
					send(t, s, c, "pong")
					for _, state := range []dtls.ConnectionState{c.ConnectionState(), s.ConnectionState()} {
						if state.Version != tt.version || state.CurveID != tt.group || state.HelloRetryRequest != tt.retry {
							t.Errorf("version %x, group %v, retry %v", state.Version, state.CurveID, state.HelloRetryRequest)
						}
					}
					if got := len(s.ConnectionState().PeerCertificates); got != len(client.Certificates) {
						t.Errorf("%d certificates of the client", got)
					}
					stats, want := l.Stats(), uint64(1)
					if server.InsecureDisableCookies {
						want = 0
					}
					if stats.Challenges != want || stats.Connections != 1 || stats.Dropped != 0 {
						t.Errorf("%+v, want %d challenges", stats, want)
					}
					if c.Stats().Retransmits+s.Stats().Retransmits != 0 {
						t.Error("retransmissions on a perfect link")
					}
				})
			})
		}
	}
}

// HelloVerifyRequest is for 1.2 alone: a client that has both hears it only from
// a server that chose 1.2.
//
// RFC 9147 5.2 [3, 4]
func TestChallengeFitsVersion(t *testing.T) {
	for _, highest := range []uint16{dtls.VersionDTLS13, dtls.VersionDTLS12} {
		client, server := configs(t, 0)
		server.MaxVersion = highest
		var first byte // message type of the first answer
		lan := newLAN()
		lan.filter(func(d datagram) error {
			if d.from == netip.MustParseAddrPort(serverAddr) && first == 0 {
				first = d.data[13]
			}
			return nil
		})
		l, link := serve(t, lan, server)
		c, s := join(t, l, link, client)
		const serverHello, helloVerifyRequest = 2, 3
		want := byte(serverHello)
		if highest == dtls.VersionDTLS12 {
			want = helloVerifyRequest
		}
		if first != want {
			t.Errorf("%x: the first answer is message %d", highest, first)
		}
		c.Close()
		s.Close()
		l.Close()
	}
}

// Behind a cookie of 1.3 no ClientHello is decrypted. The client learns from a
// server that is authenticated that it can't hide its name there.
func TestListenerRejectsECH(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, dtls.VersionDTLS13)
		dtls.Hidden(t)(client, server)
		client.EncryptedClientHelloRejectionVerify = func(dtls.ConnectionState) error { return nil }
		listener, link := serve(t, newLAN(), server)
		defer listener.Close()
		c, err := dtls.Client(link, client)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- c.Handshake() }()
		s := accept(t, listener)
		s.Handshake()
		defer s.Close()
		var rejection *tls.ECHRejectionError
		if err := <-done; !errors.As(err, &rejection) || rejection.RetryConfigList == nil {
			t.Errorf("%v, %+v", err, rejection)
		}
		c.Close()
	})
}

// Two processes with the same keys take each other's cookies.
func TestListenersShareCookieKeys(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			server.CookieKeys = [][32]byte{{1}}
			lan := newLAN()
			first, link := serve(t, lan, server)
			c, err := dtls.Client(link, client)
			if err != nil {
				t.Fatal(err)
			}
			// The first one's challenge arrives, and then the second has its address.
			lan.filter(func(d datagram) error {
				if d.from == netip.MustParseAddrPort(clientAddr) && first.Stats().Challenges > 0 {
					return errLost
				}
				return nil
			})
			done := make(chan error)
			go func() { done <- c.Handshake() }()
			synctest.Wait()
			first.Close()
			lan.filter(nil)
			second, err := dtls.NewListener(lan.listen(serverAddr), server)
			if err != nil {
				t.Fatal(err)
			}
			s := accept(t, second)
			if err := s.Handshake(); err != nil {
				t.Fatalf("server: %v", err)
			}
			if err := <-done; err != nil {
				t.Fatalf("client: %v", err)
			}
			send(t, c, s, "ping")
			if first.Stats().Challenges != 1 || second.Stats().Challenges != 0 {
				t.Errorf("%d and %d challenges, want 1 and 0", first.Stats().Challenges, second.Stats().Challenges)
			}
			c.Close()
			s.Close()
			second.Close()
		})
	})
}

// --- Conns of a Listener

func TestAcceptedConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		l, link := serve(t, newLAN(), server)
		c, s := join(t, l, link, client)
		defer l.Close()
		defer c.Close()
		defer s.Close()
		began := time.Now()
		s.SetReadDeadline(began.Add(time.Second))
		_, err := s.Read(make([]byte, 10))
		expectError(t, "Read", err, os.ErrDeadlineExceeded)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		for range 10 { // whichever a select would choose
			c.Write([]byte("late"))
			synctest.Wait()
			_, err = s.Read(make([]byte, 10))
			expectError(t, "Read after the deadline", err, os.ErrDeadlineExceeded)
		}
		s.SetReadDeadline(time.Time{})
		for range 10 {
			expectRead(t, s, "late")
		}
		s.SetWriteDeadline(time.Now())
		_, err = s.Write([]byte("too late"))
		expectError(t, "Write", err, os.ErrDeadlineExceeded)
		s.SetDeadline(time.Time{})
		send(t, s, c, "in time")
	})
}

// An accepted Conn that nobody uses after the handshake still repeats its last
// flight, and answers a KeyUpdate.
func TestAcceptedConnUnused(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			lan := newLAN()
			l, link := serve(t, lan, server)
			defer l.Close()
			lost := 0
			lan.filter(func(d datagram) error { // the end of the handshake, or the ACK for it, twice
				if d.from == netip.MustParseAddrPort(serverAddr) && (endsHandshake(d.data) || d.data[0]&0xe3 == 0x23) && lost < 2 {
					lost++
					return errLost
				}
				return nil
			})
			c, s := join(t, l, link, client)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if lost != 2 {
				t.Errorf("%d datagrams lost", lost)
			}
			if version == dtls.VersionDTLS13 {
				before := c.Stats().Retransmits
				for range 3 { // the second waits for the ACK of the first
					if err := c.KeyUpdate(dtls.UpdateRequested); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				if got := c.Stats().Retransmits - before; got > 3 {
					t.Errorf("%d retransmissions of 3 KeyUpdates", got)
				}
			}
			sent := c.Stats().DatagramsSent
			time.Sleep(time.Hour)
			if c.Stats().DatagramsSent != sent {
				t.Error("the client still repeats its flight")
			}
			send(t, c, s, "ping")
			send(t, s, c, "pong")
			c.Close()
			s.Close()
		})
	})
}

// An accepted Conn that nobody drives, whether Accept returned it or not, is
// dropped after the handshake timeout.
func TestUndrivenConnIsDropped(t *testing.T) {
	for _, take := range []string{"accepted", "waiting"} {
		t.Run(take, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				synctest.Test(t, func(t *testing.T) {
					client, server := configs(t, version)
					client.HandshakeTimeout, server.HandshakeTimeout = time.Hour, 5*time.Second
					l, link := serve(t, newLAN(), server)
					defer l.Close()
					c, err := dtls.Client(link, client)
					if err != nil {
						t.Fatal(err)
					}
					done := make(chan error)
					go func() { done <- c.Handshake() }()
					synctest.Wait()
					if got := l.Stats().Connections; got != 1 {
						t.Fatalf("%d connections", got)
					}
					var s *dtls.Conn
					if take == "accepted" {
						s = accept(t, l)
					}
					time.Sleep(5*time.Second - 1)
					if got := l.Stats().Connections; got != 1 {
						t.Errorf("%d connections before the timeout", got)
					}
					time.Sleep(2 * time.Nanosecond)
					if got := l.Stats().Connections; got != 0 {
						t.Errorf("%d connections after the timeout", got)
					}
					if s != nil {
						expectError(t, "Handshake", s.Handshake(), dtls.ErrHandshakeTimeout)
						if err := s.Close(); err != nil {
							t.Errorf("Close: %v", err)
						}
					}
					c.Close()
					<-done
				})
			})
		})
	}
}

// The Conns of a closed Listener go on, and the socket closes with the last.
func TestListenerClose(t *testing.T) {
	defer test.CheckRoutines(t)()
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			lan := newLAN()
			l, link := serve(t, lan, server)
			c, s := join(t, l, link, client)
			send(t, c, s, "ping")
			send(t, s, c, "pong")
			waiting := make(chan error)
			go func() {
				_, err := l.Accept()
				waiting <- err
			}()
			synctest.Wait()
			if err := l.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			expectError(t, "the Accept that waited", <-waiting, net.ErrClosed)
			_, err := l.Accept()
			expectError(t, "Accept", err, net.ErrClosed)
			expectError(t, "Close again", l.Close(), net.ErrClosed)
			send(t, c, s, "still here")
			send(t, s, c, "here too")

			// A newcomer gets no answer.
			late, err := dtls.Client(dtls.FromPacketConn(lan.listen("192.0.2.3:1000"), l.Addr()), client)
			if err != nil {
				t.Fatal(err)
			}
			late.SetDeadline(time.Now().Add(time.Second))
			expectError(t, "the newcomer", late.Handshake(), os.ErrDeadlineExceeded)
			late.Close()

			c.Close()
			_, err = s.Read(make([]byte, 10))
			expectError(t, "Read", err, io.EOF)
			if open := lan.open(serverAddr); !open {
				t.Error("the socket is closed before the last Conn")
			}
			s.Close()
			if open := lan.open(serverAddr); open {
				t.Error("the socket is still open")
			}
		})
	})
}

// Those who wait for Accept are told when the Listener closes.
func TestListenerCloseEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		lan := newLAN()
		l, link := serve(t, lan, server)
		c, err := dtls.Client(link, client)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		done := make(chan error)
		go func() { done <- c.Handshake() }()
		synctest.Wait()
		l.Close()
		err = <-done
		if e, ok := errors.AsType[*dtls.Error](err); !ok || !e.Received || e.Alert != alert.CloseNotify {
			t.Errorf("client: %v, want the server's close_notify", err)
		}
		if lan.open(serverAddr) {
			t.Error("the socket is still open")
		}
	})
}

// When the socket is lost, so is everything on it.
func TestListenerSocketLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		lan := newLAN()
		pc := lan.listen(serverAddr)
		l, err := dtls.NewListener(pc, server)
		if err != nil {
			t.Fatal(err)
		}
		c, s := join(t, l, dtls.FromPacketConn(lan.listen(clientAddr), l.Addr()), client)
		defer c.Close()
		defer s.Close()
		pc.Close()
		_, err = s.Read(make([]byte, 10))
		expectError(t, "Read", err, net.ErrClosed)
		_, err = l.Accept()
		expectError(t, "Accept", err, net.ErrClosed)
	})
}

// --- Many Conns

// Idle Conns cost no goroutine: not those of a Listener, and not dialed ones.
func TestIdleConnsHaveNoGoroutine(t *testing.T) {
	conns := 1000
	if testing.Short() {
		conns = 100
	}
	client, server := configs(t, 0)
	client.CurvePreferences = []tls.CurveID{tls.X25519}
	l, err := dtls.Listen("udp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before := runtime.NumGoroutine() // with the Listener's own
	accepted := make(chan *dtls.Conn)
	go func() {
		for range conns {
			s := accept(t, l)
			if err := s.Handshake(); err != nil {
				t.Errorf("server: %v", err)
			}
			accepted <- s
		}
	}()
	for range conns {
		c, err := dtls.Dial("udp", l.Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s := <-accepted
		defer s.Close()
		send(t, c, s, "ping")
		send(t, s, c, "pong")
	}
	if got := l.Stats().Connections; got != conns {
		t.Errorf("%d connections", got)
	}
	// A goroutine that is about to end still counts, and so does a timer's.
	after := runtime.NumGoroutine()
	for began := time.Now(); after > before && time.Since(began) < time.Minute; after = runtime.NumGoroutine() {
		runtime.Gosched()
	}
	if after > before {
		t.Errorf("%d goroutines before, %d with %d Conns", before, after, conns)
	}
}
