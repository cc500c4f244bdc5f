package dtls

import (
	"net"
	"sync"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// A link is a net.PacketConn with one peer, as a net.Conn. It closes once, whoever
// closes it.
type link struct {
	net.Conn
	close func() error
}

// newLink finds the peer: a PacketConn that is a connection already, as an ICE
// endpoint or a connected socket, says itself whom it talks to; of any other,
// datagrams from elsewhere are dropped.
func newLink(pc net.PacketConn, remote net.Addr) (*link, error) {
	c, connected := pc.(net.Conn)
	switch {
	case pc == nil:
		return nil, refused("no net.PacketConn")
	case connected && (c.RemoteAddr() != nil || remote == nil):
	case remote == nil:
		return nil, refused("no address to send to")
	default:
		c = godwit.FromPacketConn(pc, remote)
	}
	return &link{c, sync.OnceValue(c.Close)}, nil
}

func (l *link) Close() error { return l.close() }
