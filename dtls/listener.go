package dtls

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/shared/connectionid"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A Listener accepts associations on one socket. One goroutine reads the
// socket, whatever their number: it passes datagrams on by their address, and
// answers hellos from new ones itself, without keeping anything about them
// until their cookie comes back.
type Listener struct {
	config  *Config
	socket  *socket
	greeter greeter
	accepts chan *Conn
	done    chan struct{} // closed by Close
	alarms  alarms        // of all Conns

	mu         sync.RWMutex
	conns      map[*peer]struct{}       // that share the socket
	peers      map[netip.AddrPort]*peer // by address,
	candidates map[netip.AddrPort]*peer // those that may replace one of them: see restart.go,
	ids        map[string]*peer         // and by the connection IDs that we gave them
	recovering map[string][]*packet     // by IDs that are looked for in the Store: see recover.go
	handshakes HandshakeStats
	closed     bool
	err        error // why the socket was lost

	stats listenerCounters
}

// maxAccepts is how many validated clients wait for Accept, as many as Linux lets
// wait for TCP's; more are left to try again.
const maxAccepts = 4096

// Listen opens a UDP socket and accepts associations on it; network is "udp",
// "udp4" or "udp6". A Config that can't be used is a *ConfigError.
func Listen(network, address string, config *Config) (*Listener, error) {
	config = orZero(config)
	if err := config.Validate(handshake.Server, protocol.Datagram); err != nil {
		return nil, err
	}
	pc, err := listenPacket(network, address, config)
	if err != nil {
		return nil, err
	}
	return newListener(pc, config), nil
}

func listenPacket(network, address string, config *Config) (net.PacketConn, error) {
	if config.Net == nil {
		pc, err := net.ListenPacket(network, address)
		if udp, ok := pc.(*net.UDPConn); ok {
			udp.SetReadBuffer(readBuffer) // or as much of it as the system allows
		}
		return pc, err
	}
	return config.Net.ListenPacket(network, address)
}

// readBuffer is how many bytes of datagrams may wait in a socket that serves many
// peers, who don't know of each other.
const readBuffer = 4 << 20

// NewListener accepts associations on a socket whose addresses are UDP's. The
// Listener owns it from now on.
func NewListener(pc net.PacketConn, config *Config) (*Listener, error) {
	config = orZero(config)
	if err := config.Validate(handshake.Server, protocol.Datagram); err != nil {
		return nil, err
	}
	return newListener(pc, config), nil
}

func newListener(pc net.PacketConn, config *Config) *Listener {
	l := &Listener{
		config:     config,
		socket:     newSocket(pc),
		greeter:    newGreeter(config, time.Now()),
		accepts:    make(chan *Conn, maxAccepts),
		done:       make(chan struct{}),
		conns:      map[*peer]struct{}{},
		peers:      map[netip.AddrPort]*peer{},
		candidates: map[netip.AddrPort]*peer{},
		recovering: map[string][]*packet{},
		ids:        map[string]*peer{},
		handshakes: newHandshakeStats(),
	}
	go l.read()
	return l
}

// Accept returns the next client whose cookie verified, as a *Conn. Its
// handshake runs with the first Read or Write, or Handshake. A client that begins
// anew from the address of a Conn is another one: when its handshake is complete,
// the older Conn ends with ErrReplaced (unless Config.InsecureDisableCookies is
// set: then a client with a Conn can't begin anew).
func (l *Listener) Accept() (net.Conn, error) { return l.AcceptConn() }

// AcceptConn is Accept with the type it returns.
func (l *Listener) AcceptConn() (*Conn, error) {
	select {
	case c := <-l.accepts:
		return c, nil
	case <-l.done:
		return nil, l.failure()
	}
}

func (l *Listener) failure() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.err != nil {
		return l.err
	}
	return net.ErrClosed
}

// SetCookieKeys replaces the keys for cookies; none lets the Listener make its
// own again. Keep the last keys among the new ones for a minute, so that
// cookies which are under way stay good.
func (l *Listener) SetCookieKeys(keys [][32]byte) { l.greeter.cookies.set(keys, time.Now()) }

// Addr is the socket's address.
func (l *Listener) Addr() net.Addr { return l.socket.localAddr() }

// Close stops accepting. Conns that were accepted go on; the socket closes with
// the last of them. Those that wait for Accept are closed.
func (l *Listener) Close() error {
	if !l.shut(nil) {
		return net.ErrClosed
	}
	for {
		select {
		case c := <-l.accepts:
			c.Close()
		default:
			return nil
		}
	}
}

// shut stops accepting, because of err or because Close was called, and reports
// whether this was the first time.
func (l *Listener) shut(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.closed, l.err = true, err
	close(l.done)
	l.closeIfUnused()
	return true
}

// closeIfUnused closes the socket when neither Accept nor a Conn needs it.
func (l *Listener) closeIfUnused() {
	if l.closed && len(l.conns) == 0 {
		l.socket.close()
	}
}

// --- The goroutine that reads the socket

func (l *Listener) read() {
	for {
		in, err := l.socket.receive()
		switch {
		case err == nil:
			l.take(in)
			in.release()
		case transient(err):
			l.stats.dropped.Add(1)
		default:
			l.lose(err)
			return
		}
	}
}

// take takes the datagrams of a batch.
func (l *Listener) take(in *batch) {
	for _, r := range in.runs {
		for datagram := range slices.Chunk(r.data, r.size) {
			l.stats.datagramsReceived.Add(1)
			l.stats.bytesReceived.Add(uint64(len(datagram)))
			l.route(datagram, r.path)
		}
	}
}

// lose ends everything when the socket is gone.
func (l *Listener) lose(err error) {
	l.shut(err)
	l.mu.RLock()
	peers := slices.Collect(maps.Keys(l.conns))
	l.mu.RUnlock()
	for _, p := range peers {
		p.shut(net.ErrClosed)
	}
}

// route passes a datagram on to its Conn, or to the greeter.
func (l *Listener) route(datagram []byte, from Path) {
	l.mu.RLock()
	at, closed := l.find(datagram, from), l.closed
	l.mu.RUnlock()
	switch {
	case !closed && !l.config.InsecureDisableCookies && beginsHello(datagram):
		l.greet(datagram, from, at)
	case at.live != nil:
		l.count(at.push(datagram, from))
	case !closed && l.config.InsecureDisableCookies && beginsHello(datagram):
		l.admit(from, datagram, func(*peer) {})
	default:
		l.count(!closed && l.recover(datagram, from))
	}
}

// find returns whom a datagram is for: by the connection ID on its first record,
// or without one by its address (RFC 9146 3).
func (l *Listener) find(datagram []byte, from Path) seats {
	if id := l.idOf(datagram); id != nil {
		return seats{live: l.ids[string(id)]}
	}
	return l.seatsAt(from.Remote)
}

// idOf is the connection ID on a datagram, as far as it can be one of ours; nil if
// it has none.
func (l *Listener) idOf(datagram []byte) []byte {
	if l.config.ConnectionIDs == nil {
		return nil
	}
	b := connectionid.InDatagram(datagram)
	return b[:min(l.config.ConnectionIDs.Len(b), len(b))]
}

// count counts a datagram that was not taken.
func (l *Listener) count(taken bool) {
	if !taken {
		l.stats.dropped.Add(1)
	}
}

// greet takes a datagram that begins with a ClientHello.
func (l *Listener) greet(datagram []byte, from Path, at seats) {
	now := time.Now()
	in, wait := l.greeter.hear(datagram, from.Remote, now)
	if in == nil {
		l.count(wait)
		return
	}
	if p := at.began(in); p != nil {
		l.count(!p.conn.opened.Load() && p.push(in.datagram(), from))
		return
	}
	g := l.greeter.answer(in, from.Remote, now)
	if g.refused {
		l.stats.cookiesRefused.Add(1)
	}
	switch {
	case g.welcome != nil && g.welcome.budget > 0 && at.handshaking():
		l.count(false) // only a cookie says that it is the same client
	case g.welcome != nil:
		l.admit(from, g.welcome.hello, func(p *peer) {
			copy(p.random[:], in.Random)
			g.welcome.prepare(p.conn.engine)
		})
	case g.reply != nil && !at.disturbs(in, g.reply):
		l.stats.challenges.Add(1)
		l.send(g.reply, from) // lost or not, the client asks again
	default:
		l.count(false)
	}
}

// admit makes a Conn for a client, whose first datagram is given. A client that
// there is no room for tries again.
func (l *Listener) admit(from Path, first []byte, prepare func(*peer)) {
	engine := newServerEngine(l.config) // valid since the Listener was made
	engine.machine.ClientAddress = from.Remote.Addr().Unmap()
	p := l.newPeer(engine, from)
	prepare(p)
	p.push(first, from)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.full() {
		l.count(false)
		return
	}
	l.conns[p] = struct{}{}
	l.sit(p)
	p.conn.await()
	l.accepts <- p.conn
}

// full reports whether enough Conns wait for Accept, with those that may turn out to
// be in the Store. l.mu is held; whoever sends to accepts has asked under it.
func (l *Listener) full() bool { return len(l.accepts)+len(l.recovering) >= maxAccepts }
