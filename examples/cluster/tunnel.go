package main

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"time"
)

// Between balancer and nodes every datagram goes behind the address of the device
// that it is from or for:
//
//	16 bytes IP (IPv4 in its mapped form) | u16 port | the datagram
//
// Without a datagram it is a node's heartbeat, and the address says which one:
// ::NUMBER. Who can send to these sockets can say anything; they belong into a
// network of their own.
const tunnelHeader = 16 + 2

// maxDatagram is more than any path carries.
const maxDatagram = 1 << 16

func putTunnelHeader(b []byte, a netip.AddrPort) {
	ip := a.Addr().As16()
	copy(b, ip[:])
	binary.BigEndian.PutUint16(b[16:], a.Port())
}

// splitTunnel takes a tunnelled datagram apart.
func splitTunnel(b []byte) (device netip.AddrPort, datagram []byte, ok bool) {
	if len(b) < tunnelHeader {
		return netip.AddrPort{}, nil, false
	}
	ip := netip.AddrFrom16([16]byte(b[:16])).Unmap()
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[16:])), b[tunnelHeader:], true
}

// heartbeat is what node number sends.
func heartbeat(number uint64) []byte {
	var ip [16]byte
	binary.BigEndian.PutUint64(ip[8:], number)
	b := make([]byte, tunnelHeader)
	putTunnelHeader(b, netip.AddrPortFrom(netip.AddrFrom16(ip), 0))
	return b
}

// heartbeatOf is the number of the node that a heartbeat is of.
func heartbeatOf(b []byte) uint64 { return binary.BigEndian.Uint64(b[8:16]) }

// A tunnel is a node's end: a socket on which the devices seem to be the peers.
type tunnel struct {
	*net.UDPConn // connected to the balancer

	in [tunnelHeader + maxDatagram]byte // of ReadFrom
}

// ReadFrom returns the next datagram and the device that it is from. One goroutine
// reads, the Listener's.
func (t *tunnel) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, err := t.UDPConn.Read(t.in[:])
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return 0, nil, err
			}
			time.Sleep(heartbeatInterval) // the balancer isn't there, yet or for a while
			continue
		}
		if device, datagram, ok := splitTunnel(t.in[:n]); ok {
			return copy(b, datagram), net.UDPAddrFromAddrPort(device), nil
		}
	}
}

// WriteTo sends a datagram to a device.
func (t *tunnel) WriteTo(b []byte, device net.Addr) (int, error) {
	whole := make([]byte, tunnelHeader, tunnelHeader+len(b))
	putTunnelHeader(whole, device.(*net.UDPAddr).AddrPort())
	if _, err := t.UDPConn.Write(append(whole, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}
