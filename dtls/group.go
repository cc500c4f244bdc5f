package dtls

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A group are Listeners on one address, each with a socket of its own, among which the
// system divides the clients by a hash of their addresses. They share all that one client
// may bring to another than where it began: a cookie, a ticket, 0-RTT, and a connection ID
// after its address has changed. A datagram for somebody else's peer is handed over.
type group struct {
	members []*Listener
	naming  sync.Mutex   // of connection IDs: none is given twice
	used    atomic.Int32 // how many of them are
}

// leave notes that another member is unused. Until the last one is, each may get what is
// for others.
func (g *group) leave() {
	if g.used.Add(-1) > 0 {
		return
	}
	for _, l := range g.members {
		l.closeSocket()
	}
}

// ListenGroup is Listen for several processors: it opens n sockets on one address
// (SO_REUSEPORT), each with a Listener and a goroutine that reads it, and the system
// divides the clients among them. They share the Config, tickets, cookies, and their keys
// (SetCookieKeys of one is for all). A client stays where it is; if it has a connection
// ID, it may change its address, and whichever socket its datagrams then come to, its
// Conn gets them.
//
// Each of them wants its own Accept or Serve, and they are to be closed together: their
// sockets close with the last Conn of all, and until then what one of them doesn't accept
// goes nowhere else. On systems without such a thing, which are all but Linux, and with
// Config.Net there is one Listener.
func ListenGroup(network, address string, n int, config *Config) ([]*Listener, error) {
	config = orZero(config)
	if err := config.Validate(handshake.Server, protocol.Datagram); err != nil {
		return nil, err
	}
	sockets, err := listenTogether(network, address, n, config)
	if err != nil {
		return nil, err
	}
	g := new(group)
	for _, pc := range sockets {
		g.members = append(g.members, makeListener(pc, config))
	}
	g.used.Store(int32(len(sockets)))
	for _, l := range g.members {
		l.group = g
		l.greeter.cookies, l.greeter.known = g.members[0].greeter.cookies, g.members[0].greeter.known
	}
	for _, l := range g.members {
		go l.read()
	}
	return g.members, nil
}

// listenTogether opens n sockets on one address, or one if that is all that there can be.
func listenTogether(network, address string, n int, config *Config) (sockets []net.PacketConn, err error) {
	if n <= 1 || config.Net != nil || !sharesAddress {
		pc, err := listenPacket(network, address, config)
		return []net.PacketConn{pc}, err
	}
	for range n {
		pc, err := listenShared(network, address)
		if err != nil {
			for _, open := range sockets {
				open.Close()
			}
			return nil, err
		}
		sockets = append(sockets, pc)
		address = pc.LocalAddr().String() // whose port the system may have chosen
	}
	return sockets, nil
}

// elsewhere finds the member of the group whose peer a datagram is for; nil if none is.
func (l *Listener) elsewhere(datagram []byte, from Path) *Listener {
	if l.group == nil {
		return nil
	}
	for _, other := range l.group.members {
		if other != l && other.has(datagram, from) {
			return other
		}
	}
	return nil
}

func (l *Listener) has(datagram []byte, from Path) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.find(datagram, from).live != nil
}

// A stray is a datagram for a peer of another Listener.
type stray struct {
	to       *Listener
	datagram []byte
	from     Path
}

// handOver gives strays to their Listeners. It waits for their turns, and has none.
func (l *Listener) handOver() {
	for _, s := range l.strays {
		s.to.takeStray(s.datagram, s.from)
	}
	clear(l.strays)
	l.strays = l.strays[:0]
}

func (l *Listener) takeStray(datagram []byte, from Path) {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.mu.RLock()
	at := l.find(datagram, from)
	l.mu.RUnlock()
	if at.live == nil || !at.push(datagram, from, time.Now()) {
		l.drop()
	}
}

// nameTogether calls name, which gives a connection ID to a peer of l, unless somebody
// else in the group has the ID.
func (l *Listener) nameTogether(id []byte, name func() (free bool)) (free bool) {
	if l.group == nil {
		return name()
	}
	l.group.naming.Lock()
	defer l.group.naming.Unlock()
	return !slices.ContainsFunc(l.group.members, func(other *Listener) bool { return other != l && other.named(id) != nil }) && name()
}

// namedTogether is the peer that has a connection ID, wherever in the group, or nil.
func (l *Listener) namedTogether(id []byte) *peer {
	if l.group == nil {
		return l.named(id)
	}
	for _, member := range l.group.members {
		if p := member.named(id); p != nil {
			return p
		}
	}
	return nil
}

// named is namedTogether among the Listener's own.
func (l *Listener) named(id []byte) *peer {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.ids[string(id)]
}
