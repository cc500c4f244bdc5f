package dtls_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/pion/transport/v3/test"
)

// A served is a Listener whose Serve runs, and what its handler has seen.
type served struct {
	*dtls.Listener
	data  []string
	conns map[*dtls.Conn]int // calls, by connection
	over  []error
	ended chan error
}

// serving lets a Listener serve: it echoes.
func serving(l *dtls.Listener) *served {
	s := &served{Listener: l, conns: map[*dtls.Conn]int{}, ended: make(chan error, 1)}
	go func() {
		s.ended <- l.Serve(func(c *dtls.Conn, data []byte) {
			s.conns[c]++
			if data == nil {
				_, err := c.Read(nil)
				s.over = append(s.over, err)
				return
			}
			s.data = append(s.data, string(data))
			c.Write(data)
		})
	}()
	return s
}

// stop closes the Listener, and waits for Serve and the Conns that linger.
func (s *served) stop(t *testing.T) {
	t.Helper()
	s.Close()
	expectError(t, "Serve", <-s.ended, net.ErrClosed)
	time.Sleep(time.Minute)
	synctest.Wait()
}

// listenLAN listens on a lan.
func listenLAN(t testing.TB, l *lan, config *dtls.Config) *dtls.Listener {
	t.Helper()
	listener, err := dtls.NewListener(l.listen(serverAddr), config)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// dialLAN connects a client from an address of a lan.
func dialLAN(t testing.TB, l *lan, from string, to net.Addr, config *dtls.Config) *dtls.Conn {
	t.Helper()
	c, err := dtls.Client(dtls.FromPacketConn(l.listen(from), to), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c
}

// Many clients are served without a goroutine for each.
func TestServe(t *testing.T) {
	defer test.CheckRoutines(t)()
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			lan := newLAN()
			listener := listenLAN(t, lan, server)
			s := serving(listener)
			var clients []*dtls.Conn
			for i := range 5 {
				clients = append(clients, dialLAN(t, lan, fmt.Sprintf("192.0.2.2:%d", 1000+i), listener.Addr(), client))
			}
			for round := range 3 {
				for i, c := range clients {
					text := fmt.Sprint(round, i)
					c.Write([]byte(text))
					expectRead(t, c, text)
				}
				time.Sleep(time.Hour)
			}
			synctest.Wait()
			if len(s.data) != 15 || len(s.conns) != 5 {
				t.Errorf("%d records of %d connections", len(s.data), len(s.conns))
			}
			clients[0].Close()
			synctest.Wait()
			if len(s.over) != 1 || s.over[0] != io.EOF {
				t.Errorf("after the first client's goodbye: %v", s.over)
			}
			if n := listener.Stats().Connections; n != 4 {
				t.Errorf("%d connections are left", n)
			}
			s.stop(t)
			if len(s.over) != 5 {
				t.Errorf("%d connections are over", len(s.over))
			}
			_, err := clients[1].Read(nil)
			expectError(t, "a client's Read", err, io.EOF)
			for _, c := range clients[1:] {
				c.Close()
			}
			if lan.open(serverAddr) {
				t.Error("the socket is open")
			}
		})
	})
}

// A client that connects and says nothing is found among the Listener's Conns, and can be
// closed.
func TestServeSilentClients(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			lan := newLAN()
			listener := listenLAN(t, lan, server)
			s := serving(listener)
			silent := dialLAN(t, lan, clientAddr, listener.Addr(), client)
			time.Sleep(time.Hour)
			conns := listener.Conns()
			if len(conns) != 1 || conns[0].RemoteAddr().String() != clientAddr {
				t.Fatalf("%d connections", len(conns))
			}
			conns[0].Close()
			synctest.Wait()
			if len(listener.Conns()) != 0 || len(s.over) != 1 || s.over[0] != net.ErrClosed {
				t.Errorf("closed: %d connections are left, the handler has heard %v", len(listener.Conns()), s.over)
			}
			_, err := silent.Read(nil)
			expectError(t, "the client's Read", err, io.EOF)
			silent.Close()
			s.stop(t)
		})
	})
}

// What comes while the handshake isn't over at the server, and together, is served, too.
func TestServeTakesWhatCameEarly(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			lan := newLAN()
			listener := listenLAN(t, lan, server)
			c, err := dtls.Client(dtls.FromPacketConn(lan.listen(clientAddr), listener.Addr()), client)
			if err != nil {
				t.Fatal(err)
			}
			wrote := make(chan error)
			go func() {
				_, err := c.Write([]byte("first")) // with Finished
				wrote <- err
			}()
			synctest.Wait() // for Accept
			s := serving(listener)
			if err := <-wrote; err != nil {
				t.Fatal(err)
			}
			if n, err := c.WriteBatch([][]byte{[]byte("second"), []byte("third")}); n != 2 || err != nil {
				t.Fatal(n, err)
			}
			for _, text := range []string{"first", "second", "third"} {
				expectRead(t, c, text)
			}
			c.Close()
			synctest.Wait()
			if fmt.Sprint(s.data) != "[first second third]" {
				t.Errorf("served %q", s.data)
			}
			s.stop(t)
		})
	})
}

// The handler may close, and so may anybody else: either way there is one last call.
func TestServeCloses(t *testing.T) {
	for _, who := range []string{"the handler", "another goroutine", "the timer"} {
		t.Run(who, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := configs(t, 0)
				lan := newLAN()
				listener := listenLAN(t, lan, server)
				calls, last := 0, error(nil)
				ended := make(chan error)
				go func() {
					ended <- listener.Serve(func(c *dtls.Conn, data []byte) {
						if calls++; data == nil {
							_, last = c.Read(nil)
							return
						}
						switch who {
						case "the handler":
							c.Close()
						case "another goroutine":
							go c.Close()
						default: // nobody acknowledges it
							lan.filter(func(datagram) error { return errLost })
							c.KeyUpdate(dtls.UpdateNotRequested)
						}
					})
				}()
				c := dialLAN(t, lan, clientAddr, listener.Addr(), client)
				c.Write([]byte("ping"))
				time.Sleep(time.Hour)
				synctest.Wait()
				want := net.ErrClosed
				if who == "the timer" {
					want = dtls.ErrTimeout
				}
				if calls != 2 || !errors.Is(last, want) {
					t.Errorf("%d calls, %v", calls, last)
				}
				if n := listener.Stats().Connections; n != 0 {
					t.Errorf("%d connections", n)
				}
				c.Close()
				listener.Close()
				<-ended
			})
		})
	}
}

// There is one handler.
func TestServeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := configs(t, 0)
		listener := listenLAN(t, newLAN(), server)
		s := serving(listener)
		synctest.Wait()
		if err := listener.Serve(nil); err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("a second Serve: %v", err)
		}
		s.stop(t)
	})
}

// Steps after the handshake whose work is the application's don't stop the handler: here,
// a server's sessions are wrapped while records come.
func TestServeWorksAside(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			client.ClientSessionCache = dtls.NewLRUClientSessionCache(0)
			server.SessionTicketsDisabled = false
			lan := newLAN()
			listener := listenLAN(t, lan, server)
			s := serving(listener)
			for i := range 2 {
				c := dialLAN(t, lan, fmt.Sprintf("192.0.2.2:%d", 1000+i), listener.Addr(), client)
				c.Write([]byte("ping"))
				expectRead(t, c, "ping")
				if version == dtls.VersionDTLS13 {
					if err := c.KeyUpdate(dtls.UpdateRequested); err != nil {
						t.Fatal(err)
					}
					c.Write([]byte("pong"))
					expectRead(t, c, "pong")
				}
				if resumed := c.ConnectionState().DidResume; resumed != (i > 0) {
					t.Errorf("connection %d: resumed %v", i, resumed)
				}
				c.Close()
			}
			s.stop(t)
		})
	})
}

// A handler may close a connection whose datagram has more records, and whose peer goes on
// as if nothing had happened, while the Conn still repeats what it doesn't acknowledge.
func TestServeCloseWithUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, dtls.VersionDTLS13)
		client.ClientSessionCache = dtls.NewLRUClientSessionCache(1) // or there are no tickets
		lan := newLAN()
		listener := listenLAN(t, lan, server)
		ended, calls := make(chan error, 1), 0
		go func() {
			ended <- listener.Serve(func(c *dtls.Conn, data []byte) {
				calls++
				c.Close()
			})
		}()
		c, err := dtls.Client(&gathering{Conn: dtls.FromPacketConn(lan.listen("192.0.2.2:1000"), listener.Addr())}, client)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 50 {
			if _, err := c.Write([]byte("again")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if calls != 2 { // a record, and that it is over
			t.Errorf("%d calls", calls)
		}
		listener.Close()
		expectError(t, "Serve", <-ended, net.ErrClosed)
		c.Close()
		time.Sleep(time.Minute)
	})
}

// A gathering sends five records of data, or ACKs, in one datagram.
type gathering struct {
	net.Conn
	datagram []byte
	n        int
}

func (g *gathering) Write(b []byte) (int, error) {
	const mask, epoch3 = 0b111_0_0_0_11, 0b001_0_0_0_11 // of the first byte, RFC 9147 4
	if b[0]&mask != epoch3 {
		return g.Conn.Write(b)
	}
	g.datagram = append(g.datagram, b...)
	if g.n++; g.n%5 > 0 {
		return len(b), nil
	}
	defer func() { g.datagram = nil }()
	_, err := g.Conn.Write(g.datagram)
	return len(b), err
}

// What a handler writes leaves, even if it closes the Listener with its last connection.
func TestServeLastWords(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			lan := newLAN()
			listener := listenLAN(t, lan, server)
			ended := make(chan error, 1)
			go func() {
				ended <- listener.Serve(func(c *dtls.Conn, data []byte) {
					if data != nil {
						c.Write([]byte("farewell"))
						listener.Close()
						c.Close()
					}
				})
			}()
			c := dialLAN(t, lan, "192.0.2.2:1000", listener.Addr(), client)
			synctest.Wait()
			c.Write([]byte("quit"))
			expectRead(t, c, "farewell")
			_, err := c.Read(nil)
			expectError(t, "Read", err, io.EOF)
			expectError(t, "Serve", <-ended, net.ErrClosed)
			c.Close()
			time.Sleep(time.Minute)
		})
	})
}
