package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// bare sends and receives datagrams without protection, one by one, or a batch as
// one run of segments (UDP_SEGMENT, UDP_GRO): what sockets can do at their best.

func (b bare) datagrams(size, batch int) (task, error) {
	return datagramTask{b, size + recordOverhead, batch}, nil
}

// recordOverhead is what DTLS 1.3 adds to data, in bytes: header, content type and
// tag.
const recordOverhead = 5 + 1 + 16

// sealed is bare, but that each datagram is sealed where it is sent, and opened where it
// arrives: what a socket and an AEAD alone come to.
type sealed struct{ bare }

func (sealed) name() string { return "bare AEAD" }

func (p sealed) datagrams(size, batch int) (task, error) {
	return datagramTask{p, size + recordOverhead, batch}, nil
}

// A socketSender sends what is one datagram, or a run of several.
type socketSender struct {
	*net.UDPConn
	batch int
	run   []byte
	seal  func(datagram []byte) // nil: not at all
}

func (bare) sender(address string, size, batch int) (sender, error) {
	return newSocketSender(address, size, batch)
}

func (sealed) sender(address string, size, batch int) (sender, error) {
	s, err := newSocketSender(address, size, batch)
	if err == nil {
		s.seal = newDatagramAEAD().seal
	}
	return s, err
}

func newSocketSender(address string, size, batch int) (*socketSender, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	socket, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	if batch > 1 {
		err = setOption(socket, unix.UDP_SEGMENT, size)
	}
	return &socketSender{socket, batch, make([]byte, size*batch), nil}, err
}

func (s *socketSender) send() (int, error) {
	if s.seal != nil {
		for datagram := range slices.Chunk(s.run, len(s.run)/s.batch) {
			s.seal(datagram)
		}
	}
	_, err := s.Write(s.run)
	return s.batch, err
}

func (s *socketSender) finish() error {
	_, err := s.Write(s.run[:1])
	return err
}

// A socketReceiver reads one datagram, or a run of several.
type socketReceiver struct {
	*net.UDPConn
	open func(datagram []byte) // nil: not at all
}

func (bare) receiver(batch int) (receiver, error) { return newSocketReceiver(batch) }

func (sealed) receiver(batch int) (receiver, error) {
	r, err := newSocketReceiver(batch)
	r.open = newDatagramAEAD().open
	return r, err
}

func newSocketReceiver(batch int) (socketReceiver, error) {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return socketReceiver{}, err
	}
	if batch > 1 {
		err = setOption(socket, unix.UDP_GRO, 1)
	}
	return socketReceiver{socket, nil}, err
}

func (r socketReceiver) Addr() net.Addr { return r.LocalAddr() }

func (r socketReceiver) receive(arrived func(size, count int)) error {
	buf, control := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(4))
	for {
		n, controlSize, _, _, err := r.ReadMsgUDPAddrPort(buf, control)
		if err != nil {
			return err
		}
		size := segmentSize(control[:controlSize], n)
		if r.open != nil {
			for datagram := range slices.Chunk(buf[:n], size) {
				r.open(datagram)
			}
		}
		arrived(size, (n+size-1)/size)
	}
}

// A datagramAEAD protects datagrams that begin with the number that makes the nonce.
type datagramAEAD struct {
	*bareAEAD
}

const numberSize = 6 // so that a datagram is as long as with DTLS 1.3

func newDatagramAEAD() datagramAEAD { return datagramAEAD{newBareAEAD(0)} }

func (a datagramAEAD) seal(datagram []byte) {
	a.number++
	nonce := a.nonceOf(0)
	copy(datagram, nonce[len(nonce)-numberSize:])
	body := datagram[numberSize:]
	a.aead.Seal(body[:0], nonce, body[:len(body)-a.aead.Overhead()], datagram[:numberSize])
}

func (a datagramAEAD) open(datagram []byte) {
	if len(datagram) < numberSize {
		return // the end
	}
	copy(a.nonce[len(a.nonce)-numberSize:], datagram)
	body := datagram[numberSize:]
	if _, err := a.aead.Open(body[:0], a.nonce, body, datagram[:numberSize]); err != nil {
		panic(err) // nobody forges any
	}
}

// segmentSize is that of a run of datagrams, as its control message says; without
// one it is a single datagram of n bytes.
func segmentSize(control []byte, n int) int {
	if len(control) == 0 {
		return n
	}
	header, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil || header.Level != unix.IPPROTO_UDP || header.Type != unix.UDP_GRO || len(data) < 4 {
		return n
	}
	return int(binary.NativeEndian.Uint32(data))
}

func setOption(c syscall.Conn, option, value int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, option, value)
	})
	if err == nil {
		err = refused
	}
	return err
}
