package dtls

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// FromPacketConn makes a net.Conn for [Client] or [Server] out of a socket that
// is not connected: Write sends one datagram to remote, and Read returns the
// next one that came from there. Datagrams from elsewhere are dropped, and what
// doesn't fit in Read's buffer is lost. Closing the Conn closes pc; deadlines
// are pc's.
//
// Addresses are compared as IP address and port if both have them, and an IPv4
// address equals its mapped IPv6 form; a link-local remote without a zone stands
// for any zone. Others, such as those of Unix sockets, are compared by network
// and text. The sender of a datagram can be forged: it is DTLS that
// authenticates the peer.
//
// The methods may be called from several goroutines at once, as far as pc's may.
// With a *net.UDPConn neither Read nor Write allocates.
func FromPacketConn(pc net.PacketConn, remote net.Addr) net.Conn {
	c := &packetConn{pc: pc, remote: remote}
	c.udp, _ = pc.(*net.UDPConn)
	if peer, err := readable(remote); err == nil {
		c.peer = nameZone(peer)
	}
	return c
}

type packetConn struct {
	pc     net.PacketConn
	udp    *net.UDPConn // pc, if it is one
	remote net.Addr
	peer   netip.AddrPort // remote; invalid if that is not IP
}

func (c *packetConn) Read(b []byte) (int, error) {
	for {
		n, ours, err := c.receive(b)
		if ours || err != nil {
			return n, err
		}
	}
}

// receive reads a datagram and reports whether it came from the peer.
func (c *packetConn) receive(b []byte) (n int, ours bool, err error) {
	if c.udp != nil {
		n, from, err := c.udp.ReadFromUDPAddrPort(b)
		return n, err == nil && c.isPeer(unmap(from)), err
	}
	n, addr, err := c.pc.ReadFrom(b)
	if err != nil || addr == nil {
		return n, false, err
	}
	if from, err := readable(addr); err == nil {
		return n, c.isPeer(from), nil
	}
	return n, addr.Network() == c.remote.Network() && addr.String() == c.remote.String(), nil
}

func (c *packetConn) isPeer(from netip.AddrPort) bool {
	if c.peer.Addr().Zone() == "" {
		from = netip.AddrPortFrom(from.Addr().WithZone(""), from.Port())
	}
	return from == c.peer
}

func (c *packetConn) Write(b []byte) (int, error) {
	if c.udp != nil && c.peer.IsValid() {
		return c.udp.WriteToUDPAddrPort(b, c.peer)
	}
	return c.pc.WriteTo(b, c.remote)
}

func (c *packetConn) Close() error                       { return c.pc.Close() }
func (c *packetConn) LocalAddr() net.Addr                { return c.pc.LocalAddr() }
func (c *packetConn) RemoteAddr() net.Addr               { return c.remote }
func (c *packetConn) SetDeadline(t time.Time) error      { return c.pc.SetDeadline(t) }
func (c *packetConn) SetReadDeadline(t time.Time) error  { return c.pc.SetReadDeadline(t) }
func (c *packetConn) SetWriteDeadline(t time.Time) error { return c.pc.SetWriteDeadline(t) }

// nameZone replaces the number of an interface, which is allowed as a zone and
// usual on Windows, by its name, as the addresses of datagrams have it.
func nameZone(a netip.AddrPort) netip.AddrPort {
	index, err := strconv.Atoi(a.Addr().Zone())
	if err != nil {
		return a
	}
	zone, err := net.InterfaceByIndex(index)
	if err != nil {
		return a
	}
	return netip.AddrPortFrom(a.Addr().WithZone(zone.Name), a.Port())
}
