package dtls

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-dtls/godwit/shared/connectionid"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/pion/transport/v3/deadline"
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

	mu         sync.RWMutex
	conns      map[*peer]struct{}       // that share the socket
	peers      map[netip.AddrPort]*peer // by address,
	candidates map[netip.AddrPort]*peer // those that may replace one of them: see restart.go,
	ids        map[string]*peer         // and by the connection IDs that we gave them
	closed     bool
	err        error // why the socket was lost

	stats struct{ datagrams, challenges, dropped atomic.Uint64 }
}

// ListenerStats counts what a Listener did.
type ListenerStats struct {
	Datagrams   uint64 // received
	Challenges  uint64 // hellos answered with a cookie or an alert
	Dropped     uint64 // datagrams from nobody, or for a full queue
	Connections int    // Conns that share the socket now
}

// maxAccepts is how many validated clients wait for Accept; more are left to
// try again.
const maxAccepts = 1024

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
		return net.ListenPacket(network, address)
	}
	return config.Net.ListenPacket(network, address)
}

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
		ids:        map[string]*peer{},
	}
	go l.serve()
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

// Stats returns the counters.
func (l *Listener) Stats() ListenerStats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return ListenerStats{
		Datagrams:   l.stats.datagrams.Load(),
		Challenges:  l.stats.challenges.Load(),
		Dropped:     l.stats.dropped.Load(),
		Connections: len(l.conns),
	}
}

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

func (l *Listener) serve() {
	in := newPacket(largePacket)
	defer in.release()
	for {
		n, from, err := l.socket.read(in.room)
		if err != nil {
			if transient(err) {
				l.stats.dropped.Add(1)
				continue
			}
			l.lose(err)
			return
		}
		l.stats.datagrams.Add(1)
		l.route(in.room[:n], from)
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
		l.count(false)
	}
}

// find returns whom a datagram is for: by the connection ID on its first record,
// or without one by its address (RFC 9146 3).
func (l *Listener) find(datagram []byte, from Path) seats {
	if l.config.ConnectionIDs != nil {
		if b := connectionid.InDatagram(datagram); b != nil {
			return seats{live: l.ids[string(b[:min(l.config.ConnectionIDs.Len(b), len(b))])]}
		}
	}
	return l.seatsAt(from.Remote)
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
	switch g := l.greeter.answer(in, from.Remote, now); {
	case g.welcome != nil && g.welcome.budget > 0 && at.handshaking():
		l.count(false) // only a cookie says that it is the same client
	case g.welcome != nil:
		l.admit(from, g.welcome.hello, func(p *peer) {
			copy(p.random[:], in.Random)
			g.welcome.prepare(p.conn.engine)
		})
	case g.reply != nil && !at.disturbs(in, g.reply):
		l.stats.challenges.Add(1)
		l.socket.write(g.reply, from) // lost or not, the client asks again
	default:
		l.count(false)
	}
}

// admit makes a Conn for a client, whose first datagram is given. A client that
// there is no room for tries again.
func (l *Listener) admit(from Path, first []byte, prepare func(*peer)) {
	if len(l.accepts) == maxAccepts {
		l.count(false)
		return
	}
	engine := newServerEngine(l.config) // valid since the Listener was made
	engine.machine.ClientAddress = from.Remote.Addr().Unmap()
	p := l.newPeer(engine, from)
	prepare(p)
	p.push(first, from)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.conns[p] = struct{}{}
		l.sit(p)
		p.conn.await()
		l.accepts <- p.conn // nobody else sends
	}
}

// --- A peer

// A peer is the link of an accepted Conn: its share of the Listener's socket.
// It is a net.Conn too.
type peer struct {
	listener *Listener
	path     Path     // guarded by the Listener's lock, as is
	ids      []string // what finds it apart from its address
	identity [32]byte // of the client, once open: see identify
	random   [32]byte // of the hello that it began with
	conn     *Conn
	in       chan *packet
	deadline *deadline.Deadline
	writeBy  atomic.Pointer[time.Time] // the write deadline; nil or zero: none
	done     chan struct{}             // closed by shut
	once     sync.Once
	gone     error // why; set by shut
}

// maxQueue is how many datagrams wait for a Conn; more are dropped, as from a
// full socket buffer.
const maxQueue = 64

// newPeer makes a peer at a path, and its Conn of an Engine.
func (l *Listener) newPeer(engine *Engine, at Path) *peer {
	p := &peer{listener: l, path: at, in: make(chan *packet, maxQueue), done: make(chan struct{}), deadline: deadline.New()}
	engine.paths.current, engine.paths.moved = at, p.move
	engine.ids.register, engine.ids.retire = p.register, p.retire
	p.conn = newConn(p, engine)
	p.conn.onOpen, p.conn.onEnd = p.opened, p.leave
	return p
}

// push takes a copy of a datagram for the Conn, if there is room.
func (p *peer) push(datagram []byte, from Path) bool {
	in := newPacket(len(datagram))
	in.path = from
	in.data = in.room[:copy(in.room, datagram)]
	select {
	case p.in <- in:
		p.conn.nudge()
		return true
	default:
		in.release()
		return false
	}
}

func (p *peer) receive() (*packet, error) {
	if p.deadline.Err() != nil {
		return nil, os.ErrDeadlineExceeded
	}
	select {
	case in := <-p.in:
		return in, nil
	case <-p.deadline.Done():
		return nil, os.ErrDeadlineExceeded
	case <-p.done:
		if in := p.poll(); in != nil {
			return in, nil
		}
		return nil, p.gone
	}
}

func (p *peer) poll() *packet {
	select {
	case in := <-p.in:
		return in
	default:
		return nil
	}
}

// wake puts an empty packet into the queue; a full one needs none.
func (p *peer) wake() {
	in := newPacket(0)
	select {
	case p.in <- in:
	default:
		in.release()
	}
}

// send sends or drops a datagram at once, so that a deadline matters only if it
// has passed.
func (p *peer) send(b []byte, to Path) error {
	if by := p.writeBy.Load(); by != nil && !by.IsZero() && !time.Now().Before(*by) {
		return os.ErrDeadlineExceeded
	}
	select {
	case <-p.done:
		return p.gone
	default:
		return p.listener.socket.write(b, to)
	}
}

func (p *peer) netConn() net.Conn { return p }

func (p *peer) setReadDeadline(t time.Time) error {
	p.deadline.Set(t)
	return nil
}

// shut ends every receive and send, because of err.
func (p *peer) shut(err error) {
	p.once.Do(func() {
		p.gone = err
		close(p.done)
	})
}

// leave gives up the address and the connection IDs. The socket closes with the
// last peer of a closed Listener.
func (p *peer) leave() {
	l := p.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, p)
	l.vacate(p)
	for _, id := range p.ids {
		delete(l.ids, id)
	}
	p.ids = nil
	l.closeIfUnused()
}

// register makes a connection ID find p, unless it finds somebody else.
func (p *peer) register(id []byte) (free bool) {
	l := p.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, taken := l.ids[string(id)]; taken {
		return false
	}
	p.ids = append(p.ids, string(id))
	l.ids[string(id)] = p
	return true
}

// retire makes a connection ID of p's find nobody any more.
func (p *peer) retire(id []byte) {
	l := p.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ids, string(id))
	p.ids = slices.DeleteFunc(p.ids, func(old string) bool { return old == string(id) })
}

// move makes the new address find p, unless it finds somebody else.
func (p *peer) move(_, to Path) {
	l := p.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle(p) // only what is open moves
	l.vacate(p)
	p.path = to
	if l.peers[to.Remote] == nil {
		l.peers[to.Remote] = p
	}
}

// where is the path that p is at.
func (p *peer) where() Path {
	p.listener.mu.RLock()
	defer p.listener.mu.RUnlock()
	return p.path
}

// Read and Write go past the Conn; they are there for NetConn.
func (p *peer) Read(b []byte) (int, error) {
	in, err := p.receive()
	if err != nil {
		return 0, err
	}
	defer in.release()
	return copy(b, in.data), nil
}

func (p *peer) Write(b []byte) (int, error) {
	if err := p.send(b, p.where()); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *peer) Close() error {
	p.shut(net.ErrClosed)
	p.leave()
	return nil
}

func (p *peer) LocalAddr() net.Addr               { return p.listener.localAddr(p.where()) }
func (p *peer) RemoteAddr() net.Addr              { return net.UDPAddrFromAddrPort(p.where().Remote) }
func (p *peer) SetReadDeadline(t time.Time) error { return p.setReadDeadline(t) }

func (p *peer) SetWriteDeadline(t time.Time) error {
	p.writeBy.Store(&t)
	return nil
}

func (p *peer) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}

// localAddr is the address that a peer's datagrams come to.
func (l *Listener) localAddr(p Path) net.Addr {
	if local, ok := l.socket.localAddr().(*net.UDPAddr); ok && p.Local.IsValid() {
		return net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.Local, uint16(local.Port)))
	}
	return l.socket.localAddr()
}
