package main

import (
	"encoding/binary"
	"net"
	"net/netip"
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

// A socketSender sends what is one datagram, or a run of several.
type socketSender struct {
	*net.UDPConn
	batch int
	run   []byte
}

func (bare) sender(address string, size, batch int) (sender, error) {
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
	return &socketSender{socket, batch, make([]byte, size*batch)}, err
}

func (s *socketSender) send() (int, error) {
	_, err := s.Write(s.run)
	return s.batch, err
}

func (s *socketSender) finish() error {
	_, err := s.Write(s.run[:1])
	return err
}

// A socketReceiver reads one datagram, or a run of several.
type socketReceiver struct{ *net.UDPConn }

func (bare) receiver(batch int) (receiver, error) {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	if batch > 1 {
		err = setOption(socket, unix.UDP_GRO, 1)
	}
	return socketReceiver{socket}, err
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
		arrived(size, (n+size-1)/size)
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
