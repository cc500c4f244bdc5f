package dtls_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// texts are some data, of different lengths.
func texts(n int) (bufs [][]byte) {
	for i := range n {
		bufs = append(bufs, bytes.Repeat(fmt.Appendf(nil, "%d,", i), 1+i/3%7))
	}
	return bufs
}

// Each of a batch arrives as one record, over every kind of link.
func TestWriteBatch(t *testing.T) {
	client, server := configs(t, 0)
	overLAN := func(t *testing.T) (c, s *dtls.Conn) { return pair(t, 0) }
	overSocket := func(network, address string) func(*testing.T) (c, s *dtls.Conn) {
		return func(t *testing.T) (c, s *dtls.Conn) { return overUDP(t, network, address, client, server) }
	}
	for name, connect := range map[string]func(*testing.T) (c, s *dtls.Conn){
		"a lan":         overLAN,
		"UDP":           overSocket("udp4", "127.0.0.1:0"),
		"UDP, wildcard": overSocket("udp", "[::]:0"),
	} {
		t.Run(name, func(t *testing.T) {
			c, s := connect(t)
			for _, way := range [][2]*dtls.Conn{{c, s}, {s, c}} {
				bufs := texts(50)
				if n, err := way[0].WriteBatch(bufs); n != len(bufs) || err != nil {
					t.Fatal(n, err)
				}
				for _, b := range bufs {
					expectRead(t, way[1], string(b))
				}
				if n, err := way[0].WriteBatch(nil); n != 0 || err != nil {
					t.Error(n, err)
				}
			}
		})
	}
}

// More than one buffer holds is sent by parts.
func TestWriteBatchOfLargeRecords(t *testing.T) {
	client, server := configs(t, 0)
	c, s := overUDP(t, "udp4", "127.0.0.1:0", client, server)
	var bufs [][]byte
	for i := range 9 {
		bufs = append(bufs, bytes.Repeat([]byte{byte(i)}, 16384))
	}
	for range 3 {
		if n, err := c.WriteBatch(bufs); n != len(bufs) || err != nil {
			t.Fatal(n, err)
		}
		for _, b := range bufs {
			expectRead(t, s, string(b))
		}
	}
	send(t, s, c, "done") // c has read all, and needn't linger
}

// The count says what was written before the error.
func TestWriteBatchErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		lan := newLAN()
		c, s := established(t, lan, client, server)
		time.Sleep(time.Second) // the ACK is here

		long := [][]byte{[]byte("one"), []byte("two"), make([]byte, 16385), []byte("four")}
		n, err := c.WriteBatch(long)
		expectError(t, "too long", err, dtls.ErrTooLong)
		if n != 2 {
			t.Errorf("%d written before the one that is too long", n)
		}
		expectRead(t, s, "one")
		expectRead(t, s, "two")

		sent := 0
		var fault error
		lan.filter(func(datagram) error {
			if sent++; sent == 3 {
				return fault
			}
			return nil
		})
		bufs := [][]byte{[]byte("1"), []byte("2"), []byte("3"), []byte("4")}
		for _, tt := range []struct {
			fault, want error
			n           int
		}{
			{syscall.ECONNREFUSED, nil, 4}, // a loss like any other
			{syscall.EMSGSIZE, syscall.EMSGSIZE, 2},
			{os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, 2},
		} {
			sent, fault = 0, tt.fault
			n, err := c.WriteBatch(bufs)
			if n != tt.n || !errors.Is(err, tt.want) {
				t.Errorf("%v: %d, %v", tt.fault, n, err)
			}
			expectRead(t, s, "1")
			expectRead(t, s, "2")
			if tt.want == nil {
				expectRead(t, s, "4")
			}
		}
		if got := c.Stats().LinkErrors; got != 1 {
			t.Errorf("%d errors of the link", got)
		}
		c.Close()
		n, err = c.WriteBatch(bufs)
		if n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %d, %v", n, err)
		}
	})
}

// WriteBatch doesn't allocate, nor does reading what it wrote.
func TestWriteBatchDoesNotAllocate(t *testing.T) {
	if !dtls.Alone(t) {
		return
	}
	client, server := configs(t, 0)
	c, s := overUDP(t, "udp4", "127.0.0.1:0", client, server)
	bufs := make([][]byte, 32)
	for i := range bufs {
		bufs[i] = make([]byte, 1200)
	}
	buf := make([]byte, 1500)
	if n := testing.AllocsPerRun(50, func() {
		for _, way := range [...][2]*dtls.Conn{{c, s}, {s, c}} {
			if n, err := way[0].WriteBatch(bufs); n != len(bufs) || err != nil {
				t.Fatal(n, err)
			}
			for range bufs {
				if n, err := way[1].Read(buf); n != 1200 || err != nil {
					t.Fatal(n, err)
				}
			}
		}
	}); n != 0 && !dtls.RaceDetector {
		t.Errorf("%v allocations", n)
	}
}

// Serve and its handler's WriteBatch and Write don't allocate.
func TestServeDoesNotAllocate(t *testing.T) {
	if !dtls.Alone(t) {
		return
	}
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		client, server := configs(t, 0)
		l, err := dtls.Listen("udp4", address, server)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			ended <- l.Serve(func(c *dtls.Conn, data []byte) {
				if data != nil {
					c.Write(data)
				}
			})
		}()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		c, err := dtls.Dial("udp4", net.JoinHostPort("127.0.0.1", port), client)
		if err != nil {
			t.Fatal(err)
		}
		bufs := make([][]byte, 32)
		for i := range bufs {
			bufs[i] = make([]byte, 1200)
		}
		buf := make([]byte, 1500)
		if n := testing.AllocsPerRun(50, func() {
			if n, err := c.WriteBatch(bufs); n != len(bufs) || err != nil {
				t.Fatal(n, err)
			}
			for range bufs {
				if n, err := c.Read(buf); n != 1200 || err != nil {
					t.Fatal(n, err)
				}
			}
		}); n != 0 && !dtls.RaceDetector {
			t.Errorf("%s: %v allocations", address, n)
		}
		c.Close()
		l.Close()
		<-ended
	}
}

// The first WriteBatch ends the handshake as Write does.
func TestWriteBatchFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		lan := newLAN()
		c, s := ends(t, lan, client, server)
		go s.Handshake()
		if n, err := c.WriteBatch(texts(3)); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		for _, want := range texts(3) {
			expectRead(t, s, string(want))
		}
		c.Close()
		s.Close()
		c, _ = ends(t, lan, client, server)
		c.Close()
		n, err := c.WriteBatch(texts(3))
		if n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed before: %d, %v", n, err)
		}
	})
}

// A handler may answer with many.
func TestServeWriteBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, 0)
		lan := newLAN()
		l := listenLAN(t, lan, server)
		ended := make(chan error)
		go func() {
			ended <- l.Serve(func(c *dtls.Conn, data []byte) {
				if data != nil {
					c.WriteBatch(texts(30))
				}
			})
		}()
		c := dialLAN(t, lan, "192.0.2.2:1000", l.Addr(), client)
		c.Write([]byte("all of them"))
		for _, want := range texts(30) {
			expectRead(t, c, string(want))
		}
		c.Close()
		l.Close()
		expectError(t, "Serve", <-ended, net.ErrClosed)
		time.Sleep(time.Minute)
	})
}
