// Package net is where packets and connections meet: Client and Server take a
// net.PacketConn, and most links are a net.Conn.
package net

import "net"

// A PacketListener accepts links, each of one peer, for NewListener.
type PacketListener interface {
	// Accept waits for the next link and its peer's address.
	Accept() (net.PacketConn, net.Addr, error)
	// Close ends every Accept that waits.
	Close() error
	// Addr is the listener's own address.
	Addr() net.Addr
}

// PacketListenerFromListener makes a PacketListener of a listener whose connections
// preserve datagrams.
func PacketListenerFromListener(l net.Listener) PacketListener { return packetListener{l} }

type packetListener struct{ net.Listener }

func (l packetListener) Accept() (net.PacketConn, net.Addr, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, nil, err
	}
	return packetConn{c}, c.RemoteAddr(), nil
}

// PacketConnFromConn makes a net.PacketConn of a connection that preserves
// datagrams. All that is read comes from its peer, and all that is written goes
// there, whatever the address.
func PacketConnFromConn(conn net.Conn) net.PacketConn { return packetConn{conn} }

// A packetConn stays a net.Conn.
type packetConn struct{ net.Conn }

func (c packetConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := c.Read(p)
	return n, c.RemoteAddr(), err
}

func (c packetConn) WriteTo(p []byte, _ net.Addr) (int, error) { return c.Write(p) }
