package dtls_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/pion/transport/v3"
)

// These tests run in virtual time: what waits, waits exactly as long as it says.

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := pair(t, 0)
		began := time.Now()
		c.SetReadDeadline(began.Add(time.Second))
		_, err := c.Read(make([]byte, 10))
		expectError(t, "Read", err, os.ErrDeadlineExceeded)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("Read waited %v", waited)
		}
		if _, err := s.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		_, err = c.Read(make([]byte, 10))
		expectError(t, "Read after the deadline", err, os.ErrDeadlineExceeded)
		c.SetReadDeadline(time.Time{})
		expectRead(t, c, "late")

		// A deadline that is set while Read waits wakes it.
		woken := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 10))
			woken <- err
		}()
		synctest.Wait()
		c.SetReadDeadline(time.Now())
		expectError(t, "the Read that waited", <-woken, os.ErrDeadlineExceeded)
		c.SetDeadline(time.Time{})
		send(t, s, c, "again")
	})
}

func TestWriteDeadline(t *testing.T) {
	c, s := pair(t, 0)
	c.SetWriteDeadline(time.Now().Add(-time.Second))
	_, err := c.Write([]byte("too late"))
	expectError(t, "Write", err, os.ErrDeadlineExceeded)
	c.SetWriteDeadline(time.Time{})
	send(t, c, s, "in time")
}

// A handshake that ran into a deadline goes on when it is tried again.
func TestHandshakeDeadline(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			c, s := ends(t, newLAN(), client, server)
			defer s.Close()
			defer c.Close()
			began := time.Now()
			c.SetDeadline(began.Add(time.Second))
			expectError(t, "Handshake", c.Handshake(), os.ErrDeadlineExceeded)
			if waited := time.Since(began); waited != time.Second {
				t.Errorf("waited %v", waited)
			}
			c.SetDeadline(time.Time{})
			if err1, err2 := handshakes(c, s); err1 != nil || err2 != nil {
				t.Fatalf("client: %v; server: %v", err1, err2)
			}
			send(t, c, s, "after all")
		})
	})
}

// A write deadline that has passed loses what the handshake sends, and no more: at its
// first datagram, or at what the timer repeats after Handshake has returned.
func TestHandshakeWriteDeadline(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		for _, begun := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				client, server := configs(t, version)
				c, s := ends(t, newLAN(), client, server)
				c.SetReadDeadline(time.Now().Add(time.Second))
				if begun {
					c.SetWriteDeadline(time.Now().Add(time.Second))
				} else {
					c.SetWriteDeadline(time.Now().Add(-time.Second))
				}
				expectError(t, "Handshake", c.Handshake(), os.ErrDeadlineExceeded)
				time.Sleep(5 * time.Second)
				c.SetDeadline(time.Time{})
				if err1, err2 := handshakes(c, s); err1 != nil || err2 != nil {
					t.Fatalf("begun %v: client: %v; server: %v", begun, err1, err2)
				}
				send(t, c, s, "after all")
				c.Close()
				s.Close()
				time.Sleep(10 * time.Second) // who lingers reads the link, for which time must go on
			})
		}
	})
}

func TestHandshakeTimeout(t *testing.T) {
	for configured, want := range map[time.Duration]time.Duration{0: 30 * time.Second, 5 * time.Second: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, 0)
			client.HandshakeTimeout = configured
			c, s := ends(t, newLAN(), client, server)
			defer s.Close()
			began := time.Now()
			err := c.Handshake()
			expectError(t, "Handshake", err, dtls.ErrHandshakeTimeout)
			if waited := time.Since(began); waited != want {
				t.Errorf("waited %v, want %v", waited, want)
			}
			if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
				t.Error("not a timeout")
			}
			expectError(t, "Handshake again", c.Handshake(), dtls.ErrHandshakeTimeout)
			_, err = c.Read(make([]byte, 10))
			expectError(t, "Read", err, dtls.ErrHandshakeTimeout)
			sent := c.Stats().DatagramsSent
			time.Sleep(time.Hour)
			if got := c.Stats().DatagramsSent; got != sent {
				t.Errorf("%d datagrams sent after the end", got-sent)
			}
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// Without a limit, it is the 13th expiry that ends a handshake.
//
// RFC 9147 5.10 [3]
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		client.HandshakeTimeout = -1
		c, s := ends(t, newLAN(), client, server)
		defer s.Close()
		defer c.Close()
		expectError(t, "Handshake", c.Handshake(), dtls.ErrTimeout)
		if c.Stats().Retransmits != 12 {
			t.Errorf("%d retransmissions", c.Stats().Retransmits)
		}
	})
}

// --- Contexts

func TestHandshakeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		c, s := ends(t, newLAN(), client, server)
		defer s.Close()
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Second, cancel)
		expectError(t, "HandshakeContext", c.HandshakeContext(ctx), context.Canceled)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		expectError(t, "Handshake after that", c.Handshake(), context.Canceled)
		if c.ConnectionState().HandshakeComplete {
			t.Error("complete")
		}

		// The peer is told, so that it doesn't wait for its own timeout.
		err := s.Handshake()
		if e, ok := errors.AsType[*dtls.Error](err); !ok || !e.Received || e.Alert != alert.CloseNotify {
			t.Errorf("server: %v, want the client's close_notify", err)
		}
		if time.Since(began) != time.Second {
			t.Error("the server waited")
		}
	})
}

// The handshake ends for all who wait when the context of one of them ends.
func TestHandshakeContextOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		client.HandshakeTimeout = -1
		c, s := ends(t, newLAN(), client, server)
		defer s.Close()
		defer c.Close()
		first := make(chan error)
		go func() { first <- c.Handshake() }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		expectError(t, "HandshakeContext", c.HandshakeContext(ctx), context.DeadlineExceeded)
		expectError(t, "the other Handshake", <-first, context.DeadlineExceeded)
	})
}

func TestHandshakeContextDone(t *testing.T) {
	client, server := configs(t, 0)
	c, s := ends(t, newLAN(), client, server)
	defer s.Close()
	defer c.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	expectError(t, "HandshakeContext", c.HandshakeContext(ctx), io.ErrClosedPipe)
}

// A context that ends after the handshake changes nothing.
func TestHandshakeContextLater(t *testing.T) {
	client, server := configs(t, 0)
	c, s := ends(t, newLAN(), client, server)
	defer s.Close()
	defer c.Close()
	done := make(chan error)
	go func() { done <- s.Handshake() }()
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		t.Errorf("HandshakeContext of an open Conn: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	send(t, c, s, "still open")
}

// A Dial that fails closes its socket.
func TestDialCloses(t *testing.T) {
	client, _ := configs(t, 0)
	client.HandshakeTimeout = time.Millisecond
	pc := newLAN().listen(clientAddr)
	client.Net = network{conn: dtls.FromPacketConn(pc, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(serverAddr)))}
	_, err := dtls.Dial("udp", "192.0.2.1:4433", client)
	expectError(t, "Dial", err, dtls.ErrHandshakeTimeout)
	_, err = pc.WriteTo(nil, pc.addr)
	expectError(t, "the socket", err, net.ErrClosed)
}

// A network has one connection.
type network struct {
	transport.Net
	conn net.Conn
}

func (n network) Dial(string, string) (net.Conn, error) { return n.conn, nil }

func TestDialContext(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	client, _ := configs(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // cancelled once the ClientHello is there
		silent.ReadFrom(make([]byte, 2000))
		cancel()
	}()
	_, err = (&dtls.Dialer{Config: client}).DialContext(ctx, "udp", silent.LocalAddr().String())
	expectError(t, "DialContext", err, context.Canceled)

	// The limits of NetDialer include the handshake, as in crypto/tls.
	for name, dialer := range map[string]*net.Dialer{
		"Timeout":  {Timeout: 10 * time.Millisecond},
		"Deadline": {Deadline: time.Now().Add(10 * time.Millisecond)},
	} {
		_, err = (&dtls.Dialer{Config: client, NetDialer: dialer}).DialContext(t.Context(), "udp", silent.LocalAddr().String())
		expectError(t, name, err, context.DeadlineExceeded)
	}
}
