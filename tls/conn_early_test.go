package tls

import (
	"errors"
	"io"
	"testing"
	"time"
)

// liveEarlyConfigs is earlyConfigs for Conns, whose clock is the system's.
func liveEarlyConfigs(t *testing.T) (client, server *Config) {
	client, server = configs(VersionTLS13)
	client.ClientSessionCache = NewLRUClientSessionCache(0)
	client.EarlyData, server.EarlyData = true, true
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	go s.Write([]byte("x"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // behind the tickets
		t.Fatal(err)
	}
	return client, server
}

// RFC 9846 F.5 [4]
func TestConnEarlyData(t *testing.T) {
	checkLeaks(t)
	client, server := liveEarlyConfigs(t)
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	if n, err := c.WriteEarly([]byte("question")); n != 8 || err != nil {
		t.Fatal(n, err)
	}
	buf := make([]byte, 100)
	n, err := s.ReadEarly(buf)
	if err != nil || string(buf[:n]) != "question" || s.ConnectionState().HandshakeComplete {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if _, err := s.WriteEarly([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if _, err := s.ReadEarly(buf); err != io.EOF {
		t.Errorf("the end of the early data: %v", err)
	}
	if _, err := c.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "more" || s.ConnectionState().EarlyBytes != 8 {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

// A server that knows nothing of early data, or waits for the handshake, reads
// it once the client is there.
func TestConnEarlyDataRead(t *testing.T) {
	client, server := liveEarlyConfigs(t)
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	c.WriteEarly([]byte("question"))
	go c.Handshake()
	buf := make([]byte, 100)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "question" || !s.ConnectionState().HandshakeComplete {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

// After a refusal, nothing works until the client knows; then it writes again.
//
// RFC 9846 4.3.10 [13], F.5 [3]
func TestConnEarlyDataRejected(t *testing.T) {
	client, server := liveEarlyConfigs(t)
	server.EarlyData = false
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	c.WriteEarly([]byte("question"))
	go func() {
		if _, err := s.ReadEarly(make([]byte, 10)); err != io.EOF {
			t.Errorf("ReadEarly where there is none: %v", err)
		}
		s.Handshake()
	}()
	for range 2 {
		if _, err := c.Read(make([]byte, 10)); err != ErrEarlyDataRejected {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("more")); err != ErrEarlyDataRejected {
			t.Fatal(err)
		}
	}
	c.ForgetEarlyData()
	if _, err := c.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "question" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

// WriteEarly is Write where it is not early any more, and says why where nothing can be
// written at all.
func TestConnWriteEarlyLate(t *testing.T) {
	c, s := openPair(t, VersionTLS13)
	if n, err := c.WriteEarly([]byte("late")); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	buf := make([]byte, 10)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "late" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	c.Close()
	s.Close()

	client, server := liveEarlyConfigs(t)
	a, b := tcpPair(t)
	a.Close()
	c, s = connPair(t, client, server, a, b)
	if _, err := c.WriteEarly([]byte("question")); err == nil {
		t.Error("written over a link that is closed")
	}
	first := c.Handshake()
	if _, err := c.WriteEarly([]byte("question")); err == nil || err != first {
		t.Errorf("after a handshake that failed with %v: %v", first, err)
	}
	b.Close()
	first = s.Handshake()
	if _, err := s.ReadEarly(buf); err == nil || err != first {
		t.Errorf("after a handshake that failed with %v: %v", first, err)
	}
	e := newPair(t, client, server).client
	e.Start(time.Now())
	e.Close(time.Now())
	if _, err := e.WriteEarly([]byte("x"), time.Now()); err != errClosed {
		t.Errorf("behind a goodbye: %v", err)
	}
	e.Abort(0, time.Now()) // a goodbye was sent: it ends silently
	if _, err := e.WriteEarly([]byte("x"), time.Now()); !errors.Is(err, ErrAborted) {
		t.Errorf("after Abort: %v", err)
	}
}

// Without a session WriteEarly says so, and what it would have sent goes later.
func TestConnEarlyDataNoSession(t *testing.T) {
	client, server := configs(VersionTLS13)
	client.EarlyData = true
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	if n, err := c.WriteEarly([]byte("question")); n != 0 || err != ErrNoEarlyData {
		t.Fatal(n, err)
	}
	go c.Write([]byte("question"))
	buf := make([]byte, 100)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "question" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}
