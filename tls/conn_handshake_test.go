package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

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
