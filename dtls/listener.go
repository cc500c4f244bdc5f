package dtls

import (
	"maps"
	"net"
	"net/netip"
	"runtime"
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
	whole   bool // nobody fragments what the socket sends
	greeter greeter
	accepts chan *Conn
	done    chan struct{} // closed by Close
	alarms  alarms        // of all Conns
	group   *group        // nil: nobody else is on this address
	strays  []stray       // of a batch, while it is taken

	// turn is held while datagrams are routed and while the handler runs. It is
	// taken before any other lock of the Listener or its Conns.
	turn    sync.Mutex
	handler func(c *Conn, data []byte) // of Serve
	replies replies
	woken   bool // somebody got something to do on a goroutine of his own
	crowded bool // his queue is half full

	mu         sync.RWMutex
	conns      map[*peer]struct{}       // that share the socket
	peers      map[netip.AddrPort]*peer // by address,
	candidates map[netip.AddrPort]*peer // those that may replace one of them: see restart.go,
	ids        map[string]*peer         // and by the connection IDs that we gave them
	recovering map[string][]*packet     // by IDs that are looked for in the Store: see recover.go
	crowd      crowd                    // see admit.go
	handshakes HandshakeStats
	closed     bool
	unused     bool  // by Accept and Conns: the group knows
	err        error // why the socket was lost

	stats listenerCounters
}

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
		return roomy(pc), err
	}
	return config.Net.ListenPacket(network, address)
}

// roomy gives a socket room for what waits, as far as the system allows.
func roomy(pc net.PacketConn) net.PacketConn {
	if udp, ok := pc.(*net.UDPConn); ok {
		udp.SetReadBuffer(readBuffer)
	}
	return pc
}

// readBuffer is how many bytes of datagrams may wait in a socket that serves many
// peers, who don't know of each other.
const readBuffer = 4 << 20

// NewListener accepts associations on a socket whose addresses are UDP's. The
// Listener owns it from now on.
//
// RFC 9147 4.4 [9]
func NewListener(pc net.PacketConn, config *Config) (*Listener, error) {
	config = orZero(config)
	if err := config.Validate(handshake.Server, protocol.Datagram); err != nil {
		return nil, err
	}
	return newListener(pc, config), nil
}

func newListener(pc net.PacketConn, config *Config) *Listener {
	l := makeListener(pc, config)
	go l.read()
	return l
}

// makeListener is newListener, without the goroutine that reads.
func makeListener(pc net.PacketConn, config *Config) *Listener {
	udp, _ := pc.(*net.UDPConn)
	return &Listener{
		whole:      config.MaxMTU != 0 && (udp == nil || keepWhole(udp)),
		config:     config,
		socket:     newSocket(pc),
		greeter:    newGreeter(config, time.Now()),
		accepts:    make(chan *Conn, maxHandshakes(config)+maxRecoveries),
		done:       make(chan struct{}),
		conns:      map[*peer]struct{}{},
		peers:      map[netip.AddrPort]*peer{},
		candidates: map[netip.AddrPort]*peer{},
		recovering: map[string][]*packet{},
		ids:        map[string]*peer{},
		handshakes: newHandshakeStats(),
	}
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

// closeIfUnused closes the socket when neither Accept nor a Conn needs it, of a group
// those of all members when none of them does. l.mu is held.
func (l *Listener) closeIfUnused() {
	switch {
	case !l.closed || len(l.conns) > 0:
	case l.group == nil:
		l.closeSocket()
	case !l.unused:
		l.unused = true
		l.group.leave()
	}
}

// --- The goroutine that reads the socket

func (l *Listener) read() {
	for {
		in, err := l.socket.receive()
		switch {
		case err == nil:
			yield := l.take(in)
			l.handOver()
			in.release()
			if yield {
				runtime.Gosched()
			}
		case transient(err):
			l.drop()
		default:
			l.lose(err)
			return
		}
	}
}

// take takes the datagrams of a batch, and reports whether it is better to let those who
// have got something run than to read on at once: either nothing may be there, and more
// will come until they have, which costs less together; or they can't keep up. Where
// nobody was woken, as Serve wakes nobody, it would cost a fifth of an echo.
func (l *Listener) take(in *batch) (yield bool) {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.woken, l.crowded = false, false
	now := time.Now()
	l.collectReplies()
	defer l.sendReplies()
	defer l.greeter.letGo()
	for _, r := range in.runs {
		for datagram := range slices.Chunk(r.data, r.size) {
			l.stats.datagramsReceived.Add(1)
			l.stats.bytesReceived.Add(uint64(len(datagram)))
			if !l.route(datagram, r.path, now) {
				l.drop()
			}
		}
	}
	return l.crowded || l.woken && !in.full
}

// lose ends everything when the socket is gone.
func (l *Listener) lose(err error) {
	l.shut(err)
	for _, p := range l.all() {
		p.shut(net.ErrClosed)
	}
}

// Conns are those that share the socket now, in no order, also those whose handshakes run
// or that wait for Accept. A server closes those that have been silent for too long, which
// a Conn's Stats tell: a peer may vanish without a word.
func (l *Listener) Conns() []*Conn {
	l.mu.RLock()
	defer l.mu.RUnlock()
	conns := make([]*Conn, 0, len(l.conns))
	for p := range l.conns {
		conns = append(conns, p.conn)
	}
	return conns
}

// all are the peers that share the socket now.
func (l *Listener) all() []*peer {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Collect(maps.Keys(l.conns))
}

// route passes a datagram on to its Conn, or to the greeter, and reports whether anybody
// has taken it.
func (l *Listener) route(datagram []byte, from Path, now time.Time) (taken bool) {
	l.mu.RLock()
	at, closed := l.find(datagram, from), l.closed
	l.mu.RUnlock()
	switch {
	case !closed && !l.config.InsecureDisableCookies && beginsHello(datagram):
		return l.greet(datagram, from, at, now)
	case at.live != nil:
		return at.push(datagram, from, now)
	case !closed && l.config.InsecureDisableCookies && beginsHello(datagram):
		return l.admit(from, datagram, now, func(*peer) {})
	}
	if other := l.elsewhere(datagram, from); other != nil {
		l.strays = append(l.strays, stray{other, datagram, from})
		return true
	}
	return !closed && l.recover(datagram, from)
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

// greet takes a datagram that begins with a ClientHello, if there is a use for it.
func (l *Listener) greet(datagram []byte, from Path, at seats, now time.Time) (taken bool) {
	in, wait := l.greeter.hear(datagram, from.Remote, now)
	if in == nil {
		return wait
	}
	if p := at.began(in); p != nil {
		return !p.conn.opened.Load() && p.push(datagram, from, now) // as it came: what was here before counts no more
	}
	g := l.greeter.answer(in, from.Remote, now)
	if g.refused {
		l.stats.cookiesRefused.Add(1)
	}
	switch {
	case g.welcome != nil && g.welcome.budget > 0 && at.handshaking():
		return false // only a cookie says that it is the same client
	case g.welcome != nil:
		return l.admit(from, g.welcome.hello, now, func(p *peer) {
			copy(p.random[:], in.Random)
			g.welcome.prepare(p.conn.engine)
		})
	case g.reply != nil && !at.disturbs(in, g.reply):
		l.stats.challenges.Add(1)
		l.reply(g.reply, from) // lost or not, the client asks again
		return true
	}
	return false
}
