package dtls

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v3/deadline"
)

// A peer is the link of an accepted Conn: its share of the Listener's socket.
// It is a net.Conn too.
type peer struct {
	listener *Listener
	path     Path        // guarded by the Listener's lock, as is
	ids      []string    // what finds it apart from its address
	left     bool        // it has given up both for good
	identity [32]byte    // of the client, once open: see identify
	random   [32]byte    // of the hello that it began with
	stage    stage       // of its handshake: see admit.go
	answered atomic.Bool // it was sent something
	conn     *Conn
	in       mailbox
	served   served
	deadline *deadline.Deadline
	writeBy  atomic.Pointer[time.Time] // the write deadline; nil or zero: none
	done     chan struct{}             // closed by shut
	once     sync.Once
	gone     error // why; set by shut
}

// newPeer makes a peer at a path, and its Conn of an Engine.
func (l *Listener) newPeer(engine *Engine, at Path) *peer {
	p := &peer{listener: l, path: at, in: mailbox{packets: make(chan *packet, maxQueue)}, done: make(chan struct{}), deadline: deadline.New()}
	engine.paths.current, engine.paths.moved = at, p.move
	engine.ids.register, engine.ids.retire = p.register, p.retire
	engine.stats.totals = &l.stats.conns
	p.conn = newConn(p, engine, &l.alarms)
	p.conn.onOpen, p.conn.onEnd = p.opened, p.leave
	return p
}

// push gives a datagram to the handler, or a copy of it to the Conn if there is room.
func (p *peer) push(datagram []byte, from Path, now time.Time) bool {
	if p.served.on.Load() {
		p.serve(datagram, from, now)
		return true
	}
	most := int64(maxFirstQueue)
	if p.conn.opened.Load() {
		most = maxQueueSize
	}
	if !p.in.put(copyPacket(datagram, from), most) {
		return false
	}
	p.conn.nudge()
	p.listener.woken = true
	p.listener.crowded = p.listener.crowded || p.in.halfFull()
	return true
}

func (p *peer) receive() (*packet, error) {
	if p.deadline.Err() != nil {
		return nil, os.ErrDeadlineExceeded
	}
	select {
	case in := <-p.in.packets:
		p.in.took(in)
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

func (p *peer) poll() *packet { return p.in.take() }

// wake puts an empty packet into the queue; a full one needs none.
func (p *peer) wake() {
	if p.in.packets == nil {
		time.AfterFunc(0, p.serveWaiting)
		return
	}
	p.in.put(newPacket(0), maxQueueSize)
}

// send sends or drops a datagram at once, so that a deadline matters only if it
// has passed.
func (p *peer) send(b []byte, to Path) error {
	if err := p.mute(); err != nil {
		return err
	}
	if p.served.on.Load() {
		return p.listener.reply(b, to)
	}
	p.noteAnswer()
	return p.listener.send(b, to)
}

func (p *peer) sendRuns(runs []run) (rest []run, err error) {
	if err := p.mute(); err != nil {
		return runs, err
	}
	if p.served.on.Load() {
		return p.listener.replyRuns(runs)
	}
	p.noteAnswer()
	return p.listener.sendRuns(runs)
}

// noteAnswer tells the Listener of the first answer.
func (p *peer) noteAnswer() {
	if p.answered.Load() || p.answered.Swap(true) {
		return
	}
	p.listener.mu.Lock()
	defer p.listener.mu.Unlock()
	p.listener.crowd.answered(p, time.Now())
}

// mute is why nothing can be sent, or nil.
func (p *peer) mute() error {
	if by := p.writeBy.Load(); by != nil && !by.IsZero() && !time.Now().Before(*by) {
		return os.ErrDeadlineExceeded
	}
	select {
	case <-p.done:
		return p.gone
	default:
		return nil
	}
}

func (p *peer) keepWhole() bool { return p.listener.whole }

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
	l.crowd.end(p)
	l.vacate(p)
	if !p.left && !p.conn.opened.Load() {
		l.handshakes.Failed++
	}
	for _, id := range p.ids {
		delete(l.ids, id)
	}
	p.ids, p.left = nil, true
	l.closeIfUnused()
}

// register makes a connection ID find p, unless it finds somebody else.
func (p *peer) register(id []byte) (free bool) {
	return p.listener.nameTogether(id, func() bool { return p.take(id) })
}

// take is register among the Listener's own.
func (p *peer) take(id []byte) (free bool) {
	l := p.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, taken := l.ids[string(id)]; taken || p.left { // what came before it left may still be read
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
	if p.left {
		return
	}
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
