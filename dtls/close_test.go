package dtls_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// RFC 9846 6.1 [5]
func TestClose(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, s := pair(t, version)
			send(t, c, s, "hello")
			send(t, s, c, "hello")
			blocked := make(chan error)
			go func() {
				_, err := c.Read(make([]byte, 10))
				blocked <- err
			}()
			synctest.Wait()
			if err := c.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			expectError(t, "the Read that waited", <-blocked, net.ErrClosed)
			_, err := c.Read(make([]byte, 10))
			expectError(t, "Read", err, net.ErrClosed)
			_, err = c.Write([]byte("more"))
			expectError(t, "Write", err, net.ErrClosed)
			expectError(t, "Close", c.Close(), net.ErrClosed)
			expectError(t, "SetReadDeadline", c.SetReadDeadline(time.Time{}), net.ErrClosed)
			if version == dtls.VersionDTLS13 {
				expectError(t, "KeyUpdate", c.KeyUpdate(dtls.UpdateRequested), net.ErrClosed)
			}
			for range 2 {
				_, err = s.Read(make([]byte, 10))
				expectError(t, "the peer's Read", err, io.EOF)
			}
		})
	})
}

// What came before the goodbye is read first.
func TestCloseAfterData(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		c, s := pair(t, version)
		for i := range 3 {
			if _, err := c.Write(fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		for i := range 3 {
			expectRead(t, s, fmt.Sprint(i))
		}
		_, err := s.Read(make([]byte, 10))
		expectError(t, "Read", err, io.EOF)
	})
}

func TestCloseDuringHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		c, s := ends(t, newLAN(), client, server)
		defer s.Close()
		done := make(chan error)
		go func() { done <- c.Handshake() }()
		synctest.Wait()
		c.Close()
		expectError(t, "Handshake", <-done, net.ErrClosed)
		sent := c.Stats().DatagramsSent
		time.Sleep(time.Hour)
		if got := c.Stats().DatagramsSent; got != sent {
			t.Errorf("%d datagrams sent after Close", got-sent)
		}
	})
}

func TestCloseBeforeHandshake(t *testing.T) {
	client, server := configs(t, 0)
	c, s := ends(t, newLAN(), client, server)
	c.Close()
	s.Close()
	expectError(t, "client's Handshake", c.Handshake(), net.ErrClosed)
	expectError(t, "server's Handshake", s.Handshake(), net.ErrClosed)
}

// A link that ends without the peer's close_notify is no end of data.
func TestLinkEnds(t *testing.T) {
	client, _ := configs(t, 0)
	a, _ := newLAN().link()
	c, err := dtls.Client(ending{a}, client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expectError(t, "Handshake", c.Handshake(), io.ErrUnexpectedEOF)
}

type ending struct{ net.Conn }

func (ending) Read([]byte) (int, error) { return 0, io.EOF }

// A link that takes no datagrams any more ends the handshake at once: at its first
// one, or while the other side is waited for.
func TestLinkRefuses(t *testing.T) {
	for taken := range 2 {
		bothVersions(t, func(t *testing.T, version uint16) {
			synctest.Test(t, func(t *testing.T) {
				client, server := configs(t, version)
				client.CurvePreferences = []tls.CurveID{tls.X25519} // a hello of one datagram
				l := newLAN()
				c, _ := ends(t, l, client, server) // of whom the server doesn't answer
				n := 0
				l.filter(func(datagram) error {
					if n++; n > taken {
						return io.ErrClosedPipe
					}
					return nil
				})
				began := time.Now()
				expectError(t, "Handshake", c.Handshake(), io.ErrClosedPipe)
				if waited, want := time.Since(began), time.Duration(taken)*handshake.DefaultInitialTimeout; waited != want {
					t.Errorf("after %v, want %v", waited, want)
				}
				_, err := c.Write([]byte("more"))
				expectError(t, "Write", err, io.ErrClosedPipe)
			})
		})
	}
}

// --- The last flight

// A Conn that is closed right after its handshake still repeats its last flight,
// for five seconds at most.
func TestCloseRepeatsLastFlight(t *testing.T) {
	for _, losses := range []int{1, 2, 1 << 30} {
		bothVersions(t, func(t *testing.T, version uint16) {
			synctest.Test(t, func(t *testing.T) {
				client, server := configs(t, version)
				l := newLAN()
				c, s := ends(t, l, client, server)
				defer c.Close()
				defer s.Close()
				last, other := c, s // who writes last: the client in 1.3
				if version == dtls.VersionDTLS12 {
					last, other = s, c
				}
				// Lose what the one that is done sends, from its last flight on.
				from := last.LocalAddr().(*net.UDPAddr).AddrPort()
				var lost atomic.Int64
				l.filter(func(d datagram) error {
					if d.from == from && endsHandshake(d.data) && lost.Add(1) <= int64(losses) {
						return errLost
					}
					return nil
				})
				result := make(chan error, 1)
				go func() { result <- other.Handshake() }()
				if err := last.Handshake(); err != nil {
					t.Fatal(err)
				}
				blocked := make(chan error)
				go func() {
					_, err := last.Read(make([]byte, 10))
					blocked <- err
				}()
				synctest.Wait()
				began := time.Now()
				last.Close()
				expectError(t, "the Read that waited", <-blocked, net.ErrClosed)
				if !time.Now().Equal(began) {
					t.Error("Read waited on")
				}
				_, err := last.Write([]byte("closed"))
				expectError(t, "Write", err, net.ErrClosed)
				if losses > 2 {
					time.Sleep(6 * time.Second)
					sent := last.Stats().DatagramsSent
					time.Sleep(time.Minute)
					if last.Stats().DatagramsSent != sent {
						t.Error("it still sends after a minute")
					}
					_, err := last.NetConn().Write([]byte("x"))
					expectError(t, "the link", err, net.ErrClosed)
					other.Close()
					<-result
					return
				}
				if err := <-result; err != nil {
					t.Fatalf("the other side: %v", err)
				}
				if waited := time.Since(began); waited > 2*time.Second {
					t.Errorf("the other side waited %v", waited)
				}
				time.Sleep(6 * time.Second)
				_, err = last.NetConn().Write([]byte("x"))
				expectError(t, "the link", err, net.ErrClosed)
			})
		})
	}
}

// endsHandshake reports whether a datagram has the last flight of the handshake
// without a client certificate: ChangeCipherSpec in 1.2, and in 1.3 a short
// record of epoch 2.
func endsHandshake(b []byte) bool {
	const changeCipherSpec = 20
	return bytes.HasPrefix(b, []byte{changeCipherSpec, 0xfe, 0xfd}) || b[0]&0xe3 == 0x22 && len(b) < 100
}

// Once the peer has spoken, there is nothing to wait for.
func TestCloseDoesNotLinger(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, s := pair(t, version)
			send(t, c, s, "ping")
			send(t, s, c, "pong")
			for _, end := range []*dtls.Conn{c, s} {
				end.Close()
				_, err := end.NetConn().Write([]byte("x"))
				expectError(t, "the link", err, net.ErrClosed)
			}
		})
	})
}

// Nor once the peer has said goodbye, though it may not have said that it has our
// tickets.
func TestCloseAfterGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, dtls.VersionDTLS13)
		client.ClientSessionCache = dtls.NewLRUClientSessionCache(1)
		l := newLAN()
		c, s := established(t, l, client, server)
		from := c.LocalAddr().(*net.UDPAddr).AddrPort()
		l.filter(func(d datagram) error {
			if d.from == from {
				return errLost // with the ACK of the tickets
			}
			return nil
		})
		send(t, s, c, "what brings the tickets")
		time.Sleep(time.Second)
		l.filter(nil)
		c.Close()
		_, err := s.Read(make([]byte, 10))
		expectError(t, "Read", err, io.EOF)
		s.Close()
		_, err = s.NetConn().Write([]byte("x"))
		expectError(t, "the link", err, net.ErrClosed)
	})
}

// --- Nobody reads

// A Conn that is only written to still answers the peer's KeyUpdate and takes
// its ACKs.
func TestWriteOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type keys struct{ sent, received atomic.Uint64 } // newest epochs
		var clientKeys, serverKeys keys
		follow := func(k *keys) func(dtls.Event) {
			return func(e dtls.Event) {
				switch {
				case e.Kind != handshake.EventKey:
				case e.Direction == handshake.Sent:
					k.sent.Store(e.Number.Epoch)
				default:
					k.received.Store(e.Number.Epoch)
				}
			}
		}
		client, server := configs(t, dtls.VersionDTLS13)
		client.Trace, server.Trace = follow(&clientKeys), follow(&serverKeys)
		c, s := established(t, newLAN(), client, server)
		go io.Copy(io.Discard, s)
		for epoch := uint64(4); epoch < 8; epoch++ {
			if err := s.KeyUpdate(dtls.UpdateRequested); err != nil {
				t.Fatal(err)
			}
			for range 2 { // before the second one the request has been read
				if _, err := c.Write([]byte("only written")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			for _, got := range []uint64{clientKeys.sent.Load(), clientKeys.received.Load(), serverKeys.sent.Load(), serverKeys.received.Load()} {
				if got != epoch {
					t.Errorf("epoch %d, want %d", got, epoch)
				}
			}
		}
		if got := s.Stats().Retransmits; got > 4 {
			t.Errorf("%d retransmissions of 4 KeyUpdates", got)
		}
	})
}

// What comes while nobody reads is kept up to a bound, in order.
func TestBacklog(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, s := pair(t, version)
			go io.Copy(io.Discard, s)
			const size = 1000
			for i := range 200 {
				if _, err := s.Write(fmt.Appendf(nil, "%0*d", size, i)); err != nil {
					t.Fatal(err)
				}
				if i%20 == 0 { // the client writes, so that its timer reads
					if _, err := c.Write([]byte("x")); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
			}
			c.SetReadDeadline(time.Now().Add(time.Second))
			last, count := -1, 0
			for {
				b := make([]byte, size)
				n, err := c.Read(b)
				if err != nil {
					break
				}
				i := 0
				if _, err := fmt.Sscan(strings.TrimLeft(string(b[:n-1]), "0")+string(b[n-1]), &i); err != nil || n != size || i <= last {
					t.Fatalf("read %q after %d: %v", b[:n], last, err)
				}
				last, count = i, count+1
			}
			// The backlog, the socket's queue, and what the engine holds.
			if most := 64<<10/size + portQueue + 1; count < 60 || count > most {
				t.Errorf("%d messages of %d bytes were kept, want 60 to %d", count, size, most)
			}
		})
	})
}

// --- The network

// A refused datagram is a lost one: the server may be about to start.
func TestConnectionRefused(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := pc.LocalAddr().String()
	pc.Close()
	link, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	client, server := configs(t, 0)
	client.InitialTimeout = 20 * time.Millisecond
	refused := &refusals{Conn: link, first: make(chan struct{})}
	c, err := dtls.Client(refused, client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()
	<-refused.first
	l, err := dtls.Listen("udp", address, server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	echo(t, l)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	send(t, c, c, "in the end")
	if c.Stats().LinkErrors == 0 {
		t.Error("Stats().LinkErrors is 0")
	}
}

// refusals closes first when the link reports an error.
type refusals struct {
	net.Conn
	first chan struct{}
	once  sync.Once
}

func (r *refusals) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	return n, r.see(err)
}

func (r *refusals) Write(b []byte) (int, error) {
	n, err := r.Conn.Write(b)
	return n, r.see(err)
}

func (r *refusals) see(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		r.once.Do(func() { close(r.first) })
	}
	return err
}

// Where the socket refuses large datagrams, the handshake makes smaller ones.
//
// RFC 9147 4.4 [7, 12]
func TestMessageTooLong(t *testing.T) {
	for _, limit := range []int{1100, 600, 300} {
		bothVersions(t, func(t *testing.T, version uint16) {
			synctest.Test(t, func(t *testing.T) {
				client, server := authenticated(t, version)
				l := newLAN()
				l.filter(func(d datagram) error {
					if len(d.data) > limit {
						return syscall.EMSGSIZE
					}
					return nil
				})
				began := time.Now()
				c, s := established(t, l, client, server)
				if waited := time.Since(began); waited != 0 {
					t.Errorf("the handshake waited %v", waited)
				}
				_, err := c.Write(make([]byte, limit))
				expectError(t, "Write", err, syscall.EMSGSIZE)
				send(t, c, s, "short")
			})
		})
	}
}

// A full queue of the interface is loss, and counted.
func TestNoBufferSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		l := newLAN()
		tried := map[netip.AddrPort]int{}
		l.filter(func(d datagram) error {
			if tried[d.from]++; tried[d.from] <= 2 {
				return syscall.ENOBUFS
			}
			return nil
		})
		c, s := established(t, l, client, server)
		synctest.Wait()
		l.filter(func(datagram) error { return syscall.ENOBUFS })
		for range 3 {
			if _, err := c.Write([]byte("perhaps")); err != nil {
				t.Errorf("Write: %v", err)
			}
		}
		if c, s := c.Stats().LinkErrors, s.Stats().LinkErrors; c != 2+3 || s != 2 {
			t.Errorf("LinkErrors %d and %d, want 5 and 2", c, s)
		}
	})
}

func TestConnAbort(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, s := pair(t, version)
			send(t, c, s, "hello")
			send(t, s, c, "hello")
			if err := c.Abort(alert.AccessDenied); err != nil {
				t.Fatal(err)
			}
			_, err := s.Read(make([]byte, 10))
			if e := (*dtls.Error)(nil); !errors.As(err, &e) || e.Alert != alert.AccessDenied || !e.Received {
				t.Error("the peer's Read:", err)
			}
			expectError(t, "Close", c.Close(), net.ErrClosed)
		})
	})
}
