package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// cookieSubject times how a Listener answers a ClientHello with a wrong cookie: with
// another one. The 16 bytes of its MAC are its last.
func cookieSubject(name string, v protocol.Version) subject {
	return subject{name: name, classes: ends, effort: 4, open: func() (prepare, error) {
		c := &dtls.Config{
			MinVersion: uint16(v), MaxVersion: uint16(v), InsecureSkipVerify: true,
			CurvePreferences: []tls.CurveID{tls.X25519}, // so that a hello is one datagram
		}
		certificate, err := dtls.SelfSigned()
		if err != nil {
			return nil, err
		}
		server := *c
		server.Certificates = []tls.Certificate{certificate}
		socket := newTimedSocket()
		if _, err := dtls.NewListener(socket, &server); err != nil {
			return nil, err
		}
		var sent, cookie []byte
		n := 0
		return func(class int) (trial, error) {
			if n%batch == 0 { // a cookie is good for a minute
				if sent, cookie, err = socket.cookie(c); err != nil {
					return nil, err
				}
			}
			n++
			hello := bytes.Clone(sent)
			at := bytes.Index(hello, cookie) + len(cookie) - 16
			hello[at+place(class, 16)] ^= 1
			return func() time.Duration { _, took := socket.exchange(hello); return took }, nil
		}, nil
	}}
}

// A timedSocket is the net.PacketConn of a Listener. It takes the time from the moment
// when the Listener has a datagram to that when it answers, both on its own goroutine.
type timedSocket struct {
	in     chan []byte
	out    chan answer
	read   time.Time
	client *net.UDPAddr
}

type answer struct {
	datagram []byte
	took     time.Duration
}

func newTimedSocket() *timedSocket {
	return &timedSocket{in: make(chan []byte), out: make(chan answer), client: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5684}}
}

func (s *timedSocket) ReadFrom(p []byte) (int, net.Addr, error) {
	n := copy(p, <-s.in)
	s.read = time.Now()
	return n, s.client, nil
}

func (s *timedSocket) WriteTo(p []byte, _ net.Addr) (int, error) {
	took := time.Since(s.read)
	s.out <- answer{bytes.Clone(p), took}
	return len(p), nil
}

func (s *timedSocket) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 5684}
}
func (*timedSocket) Close() error                     { return nil }
func (*timedSocket) SetDeadline(time.Time) error      { return nil }
func (*timedSocket) SetReadDeadline(time.Time) error  { return nil }
func (*timedSocket) SetWriteDeadline(time.Time) error { return nil }

func (s *timedSocket) exchange(datagram []byte) ([]byte, time.Duration) {
	s.in <- datagram
	a := <-s.out
	return a.datagram, a.took
}

// cookie asks for a cookie, and returns the hello that brings it back.
func (s *timedSocket) cookie(c *dtls.Config) (hello, cookie []byte, err error) {
	client, err := dtls.NewClientEngine(c)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	buf := make([]byte, 2048)
	client.Start(now)
	retry, _ := s.exchange(bytes.Clone(buf[:client.Transmit(buf)]))
	if err := client.Receive(bytes.Clone(retry), now); err != nil {
		return nil, nil, err
	}
	hello = bytes.Clone(buf[:client.Transmit(buf)])
	// What both have in common, and is long enough: the cookie is the end of either
	// message, or comes before extensions of the hello's.
	cookie = retry[len(retry)-16:]
	if !bytes.Contains(hello, cookie) {
		return nil, nil, errors.New("the second ClientHello has another cookie")
	}
	return hello, cookie, nil
}
