package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
)

// A shape is that of a ClientHello.
type shape struct {
	handshake handshake
	cookie    cookie
}

// A cookie is what a hello brings.
type cookie int

const (
	noCookie cookie = iota
	forgedCookie
)

// record returns the datagrams of a client's hello. A forged cookie is one of another
// server's.
func (s shape) record(p inProcess) (hello [][]byte, err error) {
	e, err := p.endpoints(s.handshake)
	if err != nil {
		return nil, err
	}
	near, far := newLinks(datagrams)
	client, err := e.client(near)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); client.HandshakeContext(ctx) }()
	defer func() { cancel(); <-ended; client.Close() }()
	if hello, err = readHello(far); err != nil || s.cookie == noCookie {
		return hello, err
	}
	answer, err := e.challenge(hello)
	if err != nil {
		return nil, err
	}
	if _, err := far.Write(answer); err != nil {
		return nil, err
	}
	return readHello(far)
}

const (
	recordHeader   = 13
	fragmentHeader = 12
)

// readHello reads datagrams with one fragment of a ClientHello each, up to the last.
func readHello(l *link) (hello [][]byte, err error) {
	for left := -1; left != 0; {
		b := make([]byte, 2048)
		n, err := l.Read(b)
		if err != nil {
			return nil, err
		}
		if n < randomAt || b[recordHeader] != 1 {
			return nil, fmt.Errorf("not a ClientHello: %x", b[:n])
		}
		if left < 0 {
			left = int(binary.BigEndian.Uint32(b[recordHeader:]) & 0xffffff)
		}
		left -= int(binary.BigEndian.Uint32(b[recordHeader+8:]) & 0xffffff)
		hello = append(hello, b[:n])
	}
	return hello, nil
}

// challenge is what a listener answers.
func (e endpoints) challenge(hello [][]byte) ([]byte, error) {
	l, err := e.listen()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	c, err := net.Dial("udp4", l.Addr().String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for _, b := range hello {
		if _, err := c.Write(b); err != nil {
			return nil, err
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	b := make([]byte, 2048)
	n, err := c.Read(b)
	return b[:n], err
}

// A spoofer sends one hello again and again, under all addresses of 127.0.0.0/8,
// each time with another random.
type spoofer struct {
	socket   *ipv4.PacketConn
	messages []ipv4.Message // a batch of hellos
	parts    int            // datagrams of a hello
	sent     int            // hellos
	answered atomic.Int64   // of them
}

// spoofedBatch is how many hellos are sent at once.
const spoofedBatch = 32

func newSpoofer(address string, hello [][]byte) (*spoofer, error) {
	to, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return nil, err
	}
	// Bound to no address, it may send from any that is the host's.
	socket, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	s := &spoofer{socket: ipv4.NewPacketConn(socket), parts: len(hello)}
	for range spoofedBatch {
		for _, b := range hello {
			s.messages = append(s.messages, ipv4.Message{Buffers: [][]byte{slices.Clone(b)}, Addr: to})
		}
	}
	go s.countAnswers()
	return s, socket.SetReadBuffer(1 << 20)
}

func (s *spoofer) close() { s.socket.Close() }

// flood sends so many hellos. No more than window of them wait for their answer,
// unless it is zero.
func (s *spoofer) flood(hellos, window int) error {
	for lost := 0; s.sent < hellos; {
		if window > 0 && !s.await(s.sent-lost-window) {
			lost = s.sent - int(s.answered.Load())
		}
		if err := s.sendBatch(); err != nil {
			return err
		}
	}
	return nil
}

// await waits until so many hellos are answered, and reports whether they were soon.
func (s *spoofer) await(answers int) bool {
	for giveUp := time.Now().Add(50 * time.Millisecond); int(s.answered.Load()) < answers; {
		if time.Now().After(giveUp) {
			return false
		}
		time.Sleep(20 * time.Microsecond)
	}
	return true
}

func (s *spoofer) sendBatch() error {
	for i := range s.messages {
		m := &s.messages[i]
		if i%s.parts == 0 {
			s.sent++
			binary.BigEndian.PutUint32(m.Buffers[0][randomAt:], uint32(s.sent))
		}
		from := ipv4.ControlMessage{Src: net.IPv4(127, byte(s.sent), byte(s.sent>>8), byte(s.sent>>16)|1)}
		m.OOB = from.Marshal()
	}
	for rest := s.messages; len(rest) > 0; {
		n, err := s.socket.WriteBatch(rest, 0)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// randomAt is where the random begins in a datagram: behind the headers of record and
// fragment, and a version.
const randomAt = recordHeader + fragmentHeader + 2

func (s *spoofer) countAnswers() {
	messages := newMessages(2 * spoofedBatch)
	for {
		n, err := s.socket.ReadBatch(messages, 0)
		if err != nil {
			return
		}
		s.answered.Add(int64(n))
	}
}
