package dtls_test

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

var blobKey = bytes.Repeat([]byte{9}, 32)

// movable is configs for connections that go on elsewhere.
func movable(t testing.TB, version uint16) (client, server *dtls.Config) {
	client, server = configs(t, version)
	client.InsecureImportWithoutStore, server.InsecureImportWithoutStore = true, true
	return client, server
}

// A Conn stops at once, for whoever uses it, and goes on over another link.
func TestConnExport(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := movable(t, version)
			l := newLAN()
			c, s := established(t, l, client, server)
			send(t, c, s, "ping")
			send(t, s, c, "pong")
			waits := make(chan error)
			go func() {
				_, err := s.Read(make([]byte, 10))
				waits <- err
			}()
			synctest.Wait()
			blob, err := s.Export(blobKey)
			if err != nil {
				t.Fatal(err)
			}
			expectError(t, "the Read that waited", <-waits, dtls.ErrExported)
			_, err = s.Read(make([]byte, 10))
			expectError(t, "Read", err, dtls.ErrExported)
			_, err = s.Write([]byte("x"))
			expectError(t, "Write", err, dtls.ErrExported)
			_, err = s.Export(blobKey)
			expectError(t, "Export", err, dtls.ErrExported)
			if l.open("192.0.2.2:2000") {
				t.Error("the link is open")
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			expectError(t, "Close again", s.Close(), net.ErrClosed)

			link := dtls.FromPacketConn(l.listen("192.0.2.2:2000"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 1000})
			s, err = dtls.Import(link, server, blob, blobKey)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			send(t, c, s, "ping")
			send(t, s, c, "pong")
			if state := s.ConnectionState(); !state.HandshakeComplete || state.Version != version {
				t.Errorf("%+v", state)
			}
		})
	})
}

// What came while nobody read goes with the connection.
func TestConnExportBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := movable(t, dtls.VersionDTLS13)
		l := newLAN()
		c, s := established(t, l, client, server)
		send(t, s, c, "that the timer of s reads")
		for _, text := range []string{"one", "two", "three"} {
			c.Write([]byte(text))
		}
		time.Sleep(time.Minute) // of the bubble's: s has read aside
		blob, err := s.Export(blobKey)
		if err != nil {
			t.Fatal(err)
		}
		link := dtls.FromPacketConn(l.listen("192.0.2.2:2000"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 1000})
		if s, err = dtls.Import(link, server, blob, blobKey); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, text := range []string{"one", "two", "three"} {
			expectRead(t, s, text)
		}
	})
}

// A server restarts: its Conns go on at another Listener on the same address.
func TestListenerImport(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		client, server := movable(t, version)
		client.ConnectionIDs, server.ConnectionIDs = dtls.RandomConnectionIDs(0), dtls.RandomConnectionIDs(8)
		l, err := dtls.Listen("udp", "127.0.0.1:0", server)
		if err != nil {
			t.Fatal(err)
		}
		c, s := dialAndAccept(t, l, l.Addr().String(), client)
		defer c.Close()
		send(t, c, s, "ping")
		l.Close()
		blob, err := s.Export(blobKey)
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		if l, err = dtls.Listen("udp", address, server); err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s, err = l.Import(nil, blob, blobKey)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		send(t, c, s, "ping")
		send(t, s, c, "pong")
		if _, err := l.Import(c.LocalAddr(), blob, blobKey); err == nil {
			t.Error("two Conns with one ID")
		}
		mine, err := c.Export(blobKey)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Import(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, mine, blobKey); !errors.Is(err, dtls.ErrBlobRole) {
			t.Errorf("a client at a Listener: %v", err)
		}
	})
}
