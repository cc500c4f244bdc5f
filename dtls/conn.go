package dtls

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/pion/logging"
)

// A Conn is a secured association over a link that preserves datagrams. It is a
// net.Conn on which Write sends one record in one datagram, and Read returns
// one record. Its methods may be called from several goroutines at once.
//
// A Conn has no goroutine. Whoever waits, pumps: Handshake and Read read the
// link on the caller's goroutine. A timer sends again what gets no answer, and
// reads the link when nobody else does. Nothing waits but in the link and for
// turn, so that Conns work in the virtual time of testing/synctest.
type Conn struct {
	link   link
	config *Config
	log    logging.LeveledLogger

	opened  atomic.Bool // the handshake is complete: Read and Write needn't ask
	waiting atomic.Bool // somebody waits for a datagram

	alarms *alarms // the Listener's, or its own
	alarm  alarm

	mu      sync.Mutex // guards what follows; methods that don't lock it are called with it
	turn    sync.Cond  // of mu: reading, working or saving became false
	reading bool       // somebody has the right to read the link
	working bool       // who handshakes is away, at work of the application
	saving  bool       // somebody is away, at Config.Store

	engine  *Engine
	role    handshake.Role
	started bool
	writers int       // that wait for the handshake
	closed  bool      // by Close
	ended   bool      // the link is let go of
	failure error     // ends everything, from outside of the engine
	limit   time.Time // when the handshake must be over; behind it, until when a closed Conn repeats its last flight
	pollAt  time.Time // when to read the link if nobody does
	armed   time.Time // when tick will run at the latest; zero: never
	held    *packet   // what the engine's unread data lies in
	backlog contents  // data that came while nobody read
	onOpen  func()    // the Listener's, once the handshake is complete,
	onOver  func()    // once nothing can be read any more, which whoever serves the Conn wants to know,
	onEnd   func()    // and once the link is not needed any more
}

// Client returns the client's side of an association over link, a net.Conn that
// preserves datagrams: a connected UDP socket, an ICE connection, or what
// FromPacketConn returns. The first Read or Write runs the handshake. Close
// closes the link. A Config that can't be used is a *ConfigError.
func Client(link net.Conn, config *Config) (*Conn, error) {
	engine, err := NewClientEngine(orZero(config))
	if err != nil {
		return nil, err
	}
	return newConn(newConnLink(link), engine, new(alarms)), nil
}

// Server returns the server's side of an association over link, as Client does
// the client's. It asks for no cookie: whoever gives it a link vouches for the
// peer's address.
func Server(link net.Conn, config *Config) (*Conn, error) {
	engine, err := NewServerEngine(orZero(config))
	if err != nil {
		return nil, err
	}
	return newConn(newConnLink(link), engine, new(alarms)), nil
}

func newConn(l link, e *Engine, a *alarms) *Conn {
	c := &Conn{link: l, engine: e, config: e.config, role: e.machine.Role(), alarms: a}
	c.turn.L = &c.mu
	if e.search != nil && !l.keepWhole() {
		e.search = nil
	}
	if f := c.config.LoggerFactory; f != nil {
		c.log = f.NewLogger("dtls")
	}
	e.machine.Introduce = func(info *tls.ClientHelloInfo) { info.Conn = l.netConn() }
	e.machine.Remote = func() string { return nameOf(l.netConn().RemoteAddr()) }
	return c
}

// nameOf is an address, which some links don't have.
func nameOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// --- The handshake

// Handshake runs the handshake if it hasn't run yet.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext runs the handshake if it hasn't run yet, and gives it up for
// good when ctx ends before it.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.opened.Load() {
		return nil
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { c.abort(context.Cause(ctx)) })()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for (c.reading || c.working) && !c.opened.Load() {
		c.turn.Wait()
	}
	if c.opened.Load() {
		return nil // and whoever has the turn may keep it: it may wait for long
	}
	c.reading = true
	defer c.release()
	if err := c.start(ctx); err != nil {
		return err
	}
	for {
		if open, err := c.work(); open || err != nil {
			return err
		}
		if err := c.receive(); err != nil {
			return err
		}
	}
}

// acquire waits for the turn to read the link.
func (c *Conn) acquire() {
	for c.reading || c.working {
		c.turn.Wait()
	}
	c.reading = true
}

func (c *Conn) release() {
	c.reading = false
	c.turn.Broadcast()
}

// start begins the handshake and its time limit.
func (c *Conn) start(ctx context.Context) error {
	if err := c.err(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.started {
		return nil
	}
	c.started = true
	c.limitHandshake()
	if c.role == handshake.Client {
		c.engine.Start(time.Now()) // its error is the engine's, which work returns
	}
	c.flush()
	return nil
}

// work runs what steps wait for, in the handshake and after it, and reports
// whether the handshake is complete. The caller has the turn to read.
func (c *Conn) work() (open bool, err error) {
	for {
		if err := c.err(); err != nil {
			return false, err
		}
		work := c.engine.machine.Work()
		if work == nil {
			break
		}
		c.unlocked(work)
		if c.err() == nil {
			c.engine.resumeMachine(time.Now())
			c.flush()
		}
	}
	if c.engine.Open() && !c.opened.Swap(true) {
		c.limit = time.Now().Add(lingerTime)
		c.debugf("%v: handshake complete", c.role)
		if c.onOpen != nil {
			c.onOpen()
		}
	}
	return c.engine.Open(), nil
}

// unlocked runs work of the application, which may take long and call the
// Conn's methods. Meanwhile the timer reads the link.
func (c *Conn) unlocked(work func()) {
	c.working, c.pollAt = true, time.Now().Add(pollInterval)
	c.schedule()
	c.release()
	c.mu.Unlock()
	defer func() { // work may panic
		c.mu.Lock()
		for c.reading {
			c.turn.Wait()
		}
		c.reading, c.working, c.pollAt = true, false, time.Time{}
	}()
	work()
}

// abort gives the handshake up, from any goroutine.
func (c *Conn) abort(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err() == nil && !c.engine.Open() {
		c.fail(err)
	}
}

// fail ends everything for a reason that is not the engine's.
func (c *Conn) fail(err error) {
	c.failure = err
	c.engine.Close(time.Now())
	c.flush()
	c.end()
}

// err is why nothing works any more, or nil.
func (c *Conn) err() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.failure != nil:
		return c.failure
	}
	return c.engine.Err()
}

// --- Reading

// Read returns the data of one record. If p is too short for it, the rest is
// lost and the error is io.ErrShortBuffer. After the peer's close_notify it
// returns io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acquire()
	defer c.release()
	for {
		if c.engine.EarlyDataRejected() {
			return 0, ErrEarlyDataRejected
		}
		c.work() // what ended the Conn comes after the data
		if n, err, ok := c.take(p); ok {
			return n, err
		}
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
}

// take takes data that is there, or the reason why there will be none.
func (c *Conn) take(p []byte) (n int, err error, ok bool) {
	if c.closed {
		return 0, net.ErrClosed, true
	}
	if data, ok := c.backlog.next(); ok {
		n = copy(p, data)
		if n < len(data) {
			err = io.ErrShortBuffer
		}
		return n, err, true
	}
	if n, ok = c.engine.Read(p); ok {
		if n > len(p) {
			n, err = len(p), io.ErrShortBuffer
		}
		if !c.engine.inbox.full {
			c.letGo()
		}
		return n, err, true
	}
	if err = c.failure; err == nil {
		err = c.engine.Closed()
	}
	return 0, err, err != nil
}

// letGo gives back the datagram that the engine's data lay in.
func (c *Conn) letGo() {
	if c.held != nil {
		c.held.release()
		c.held = nil
	}
}

// receive waits for one datagram, without the lock, and gives it to the engine.
// Its errors are the link's, unless something else ended the Conn.
func (c *Conn) receive() error {
	c.waiting.Store(true)
	c.mu.Unlock()
	p, err := c.link.receive()
	c.mu.Lock()
	c.waiting.Store(false)
	if err != nil {
		return c.receiveError(err)
	}
	c.deliver(p)
	return nil
}

// receiveError judges an error of the link. What ICMP says is not
// authenticated: it never ends a Conn.
func (c *Conn) receiveError(err error) error {
	switch ended := c.err(); {
	case ended != nil:
		return ended
	case transient(err):
		c.engine.stats.count(linkFailed)
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF // only the peer's close_notify ends the data
	}
	return err
}

// deliver gives a datagram to the engine, and keeps it while its data is
// unread. The engine latches its errors, which ended and take return.
func (c *Conn) deliver(p *packet) {
	c.receiveFrom(p.data, p.path, time.Now())
	if c.engine.inbox.full {
		c.held = p
	} else {
		p.release()
	}
	c.answer()
}

// receiveFrom gives a datagram to the engine.
func (c *Conn) receiveFrom(datagram []byte, from Path, now time.Time) {
	c.stash()
	c.letGo()
	if err := c.engine.ReceiveFrom(datagram, from, now); err != nil {
		c.debugf("%v: %v", c.role, err)
	}
}

// --- Changes to a live connection

// KeyUpdate gives what this side writes new keys, and what the peer writes too
// if request says so (RFC 9147 8). It fails in 1.2, which has no such thing.
func (c *Conn) KeyUpdate(request KeyUpdateRequest) error {
	return c.change(func(now time.Time) error { return c.engine.KeyUpdate(request, now) })
}

// RotateConnectionIDs changes the connection IDs of both directions; see
// Engine.RotateConnectionIDs.
func (c *Conn) RotateConnectionIDs() error { return c.change(c.engine.RotateConnectionIDs) }

// change changes a connection whose handshake is complete, and sends what there is to
// say about it.
func (c *Conn) change(f func(now time.Time) error) error {
	if err := c.Handshake(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.err(); err != nil {
		return err
	}
	err := f(time.Now())
	c.flush()
	return err
}

// PathMTU returns how large datagrams to the peer may be, and how much data Write can
// send in one, as far as it is known now. With Config.MaxMTU that changes.
func (c *Conn) PathMTU() PathMTU {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.PathMTU()
}

// SetMTU changes the largest datagram of the handshake; see Engine.SetMTU.
func (c *Conn) SetMTU(mtu int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.SetMTU(mtu)
}

// SetInitialTimeout changes the retransmission timeout; see
// Engine.SetInitialTimeout.
func (c *Conn) SetInitialTimeout(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.engine.SetInitialTimeout(d)
	c.flush() // sets the timer
	return err
}

// --- The rest of net.Conn

// ConnectionState describes the connection as far as the handshake has come.
func (c *Conn) ConnectionState() ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.State()
}

// Stats returns the counters of the connection.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.Stats()
}

// NetConn returns the link. Reading, writing or closing it disturbs the Conn.
func (c *Conn) NetConn() net.Conn { return c.link.netConn() }

// LocalAddr is the link's; of a Listener's Conn it is where the peer's datagrams come to.
func (c *Conn) LocalAddr() net.Addr { return c.link.netConn().LocalAddr() }

// RemoteAddr is the link's; of a Listener's Conn it is where the peer is now, which a
// connection ID lets change.
func (c *Conn) RemoteAddr() net.Addr { return c.link.netConn().RemoteAddr() }

// SetDeadline sets the deadlines of the link. A Read or Handshake that runs into
// it fails with os.ErrDeadlineExceeded and may be tried again later.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets when Read and Handshake, also those that wait already, fail with
// os.ErrDeadlineExceeded; the zero Time means never. It fails once the Conn has ended.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.err(); err != nil {
		return err
	}
	return c.link.setReadDeadline(t)
}

// SetWriteDeadline sets when Write fails with os.ErrDeadlineExceeded; the zero Time means
// never. What the Conn itself has to send counts as lost then.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.link.netConn().SetWriteDeadline(t) }

func (c *Conn) debugf(format string, args ...any) {
	if c.log != nil {
		c.log.Debugf(format, args...)
	}
}
