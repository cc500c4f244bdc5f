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
// reads the link when nobody else does.
type Conn struct {
	link   link
	config *Config
	log    logging.LeveledLogger

	// pump is held by the goroutine that reads the link.
	pump    sync.Mutex
	pumping atomic.Bool // it waits for a datagram

	opened atomic.Bool // the handshake is complete: Read and Write needn't ask

	mu          sync.Mutex // guards what follows
	engine      *Engine
	role        handshake.Role
	started     bool
	closed      bool
	failure     error     // ends everything, from outside of the engine
	handshakeBy time.Time // when the handshake must be over
	pollAt      time.Time // when to read the link if nobody does
	lingerUntil time.Time // when a closed Conn lets go of its link
	timer       *time.Timer
	armed       time.Time // when timer fires; zero when it doesn't
	held        *packet   // what the engine's unread data lies in
	backlog     [][]byte  // data that came while nobody read
	backlogSize int
	onEnd       func() // the Listener's, once the link is not needed any more
}

const (
	// pollInterval is how long a Conn that is only written to leaves the
	// link unread.
	pollInterval = 200 * time.Millisecond
	// lingerTime is how long a closed Conn repeats its last flight for a peer
	// that missed it.
	lingerTime = 5 * time.Second
	// maxBacklog is how much unread data, in bytes, is kept for a reader that is
	// not there; more is dropped, as a full socket buffer would drop it.
	maxBacklog = 64 << 10
)

// ErrHandshakeTimeout says that the handshake took longer than
// Config.HandshakeTimeout. It is a net.Error with Timeout() true.
var ErrHandshakeTimeout error = handshakeTimeoutError{}

type handshakeTimeoutError struct{ timeoutError }

func (handshakeTimeoutError) Error() string {
	return "dtls: the handshake took longer than Config.HandshakeTimeout"
}

// Client returns the client's side of an association over link, a net.Conn that
// preserves datagrams: a connected UDP socket, an ICE connection, or what
// FromPacketConn returns. The first Read or Write runs the handshake. Close
// closes the link. A Config that can't be used is a *ConfigError.
func Client(link net.Conn, config *Config) (*Conn, error) {
	engine, err := NewClientEngine(config)
	if err != nil {
		return nil, err
	}
	return newConn(&connLink{conn: link}, engine), nil
}

// Server returns the server's side of an association over link, as Client does
// the client's. It asks for no cookie: whoever gives it a link vouches for the
// peer's address.
func Server(link net.Conn, config *Config) (*Conn, error) {
	engine, err := NewServerEngine(config)
	if err != nil {
		return nil, err
	}
	return newConn(&connLink{conn: link}, engine), nil
}

func newConn(l link, e *Engine) *Conn {
	c := &Conn{link: l, engine: e, config: e.config, role: e.machine.Role()}
	if f := c.config.LoggerFactory; f != nil {
		c.log = f.NewLogger("dtls")
	}
	e.machine.Introduce = func(info *tls.ClientHelloInfo) { info.Conn = l.netConn() }
	return c
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
	c.pump.Lock()
	defer c.pump.Unlock()
	stop := context.AfterFunc(ctx, func() { c.abort(context.Cause(ctx)) })
	defer stop()
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

// start begins the handshake and its time limit.
func (c *Conn) start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ended(); err != nil {
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

// await starts the clock for a Conn that was accepted and that nobody drives
// yet.
func (c *Conn) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limitHandshake()
	c.schedule()
}

// limitHandshake starts the clock of Config.HandshakeTimeout, once.
func (c *Conn) limitHandshake() {
	timeout := c.config.HandshakeTimeout
	if timeout == 0 {
		timeout = handshake.DefaultHandshakeTimeout
	}
	if timeout > 0 && c.handshakeBy.IsZero() {
		c.handshakeBy = time.Now().Add(timeout)
	}
}

// work runs what steps of the handshake wait for, without the lock, and reports
// whether the handshake is complete.
func (c *Conn) work() (open bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := c.ended(); err != nil {
			return false, err
		}
		if c.engine.Open() {
			if !c.opened.Swap(true) {
				c.debugf("%v: handshake complete", c.role)
			}
			return true, nil
		}
		work := c.engine.Work()
		if work == nil {
			return false, nil
		}
		c.mu.Unlock()
		work()
		c.mu.Lock()
		c.engine.Resume(time.Now())
		c.flush()
	}
}

// abort ends everything with err, from any goroutine.
func (c *Conn) abort(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil && !c.engine.Open() {
		c.failure = err
		c.engine.Close(time.Now())
		c.flush()
		c.end()
	}
}

// ended is why nothing works any more, or nil.
func (c *Conn) ended() error {
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
	c.pump.Lock()
	defer c.pump.Unlock()
	for {
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
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed, true
	}
	if len(c.backlog) > 0 {
		n, ok = copy(p, c.backlog[0]), true
		if n < len(c.backlog[0]) {
			err = io.ErrShortBuffer
		}
		c.backlogSize -= len(c.backlog[0])
		c.backlog = c.backlog[1:]
		return n, err, true
	}
	if n, ok = c.engine.Read(p); ok {
		if n > len(p) {
			n, err = len(p), io.ErrShortBuffer
		}
		return n, err, true
	}
	c.letGo()
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

// receive waits for one datagram and gives it to the engine. The caller holds
// pump. Its errors are the link's, unless something else ended the Conn.
func (c *Conn) receive() error {
	c.pumping.Store(true)
	p, err := c.link.receive()
	c.pumping.Store(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		return c.receiveError(err)
	}
	c.deliver(p)
	return nil
}

// receiveError judges an error of the link. What ICMP says is not
// authenticated: it never ends a Conn.
func (c *Conn) receiveError(err error) error {
	if ended := c.ended(); ended != nil {
		return ended
	}
	if transient(err) {
		c.engine.stats.LinkErrors++
		return nil
	}
	return err
}

// deliver gives a datagram to the engine, and keeps it while its data is
// unread. The engine latches its errors, which ended and take return.
func (c *Conn) deliver(p *packet) {
	c.letGo()
	if err := c.engine.Receive(p.data, time.Now()); err != nil {
		c.debugf("%v: %v", c.role, err)
	}
	if c.engine.inbox.full {
		c.held = p
	} else {
		p.release()
	}
	c.flush()
}

// --- Writing

// Write sends p as one record in one datagram; it may have up to 16384 bytes,
// though a datagram that is larger than the path's MTU may not arrive.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	out := newPacket(len(p) + maxOverhead)
	defer out.release()
	n, err := c.seal(out.room, p)
	if err != nil {
		return 0, err
	}
	if err := c.link.send(out.room[:n]); err != nil && !transient(err) {
		return 0, err
	}
	return len(p), nil
}

// maxOverhead is more than any header, explicit nonce, content type and tag.
const maxOverhead = 64

// seal makes a record of p in buf.
func (c *Conn) seal(buf, p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ended(); err != nil {
		return 0, err
	}
	n, err := c.engine.Write(buf, p, time.Now())
	if err != nil {
		return 0, err
	}
	if c.engine.Pending() { // a KeyUpdate was due
		c.flush()
	}
	if c.pollAt.IsZero() && !c.pumping.Load() {
		c.pollAt = time.Now().Add(pollInterval)
		c.schedule()
	}
	return n, nil
}

// flush sends all that the engine has, and sets the timer. The caller holds mu.
func (c *Conn) flush() {
	for c.engine.Pending() {
		out := newPacket(c.engine.mtu)
		n := c.engine.Transmit(out.room)
		err := error(nil)
		if n > 0 {
			err = c.link.send(out.room[:n])
		}
		out.release()
		if tooBig(err) {
			c.engine.shrink(n)
		}
		if n == 0 {
			break
		}
	}
	if c.engine.Err() != nil {
		c.end()
	}
	c.schedule()
}

// KeyUpdate gives what this side writes new keys, and what the peer writes too
// if request says so (RFC 9147 8). It fails in 1.2, which has no such thing.
func (c *Conn) KeyUpdate(request KeyUpdateRequest) error {
	if err := c.Handshake(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ended(); err != nil {
		return err
	}
	err := c.engine.KeyUpdate(request, time.Now())
	c.flush()
	return err
}

// --- The timer

// schedule sets the timer to what is due first. The caller holds mu.
func (c *Conn) schedule() {
	next := c.engine.Deadline()
	for _, t := range [...]time.Time{c.pollAt, c.lingerUntil, c.handshakeLimit()} {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	switch {
	case next.Equal(c.armed):
	case next.IsZero():
		c.armed = next
		c.timer.Stop()
	case c.timer == nil:
		c.armed = next
		c.timer = time.AfterFunc(time.Until(next), c.tick)
	default:
		c.armed = next
		c.timer.Reset(time.Until(next))
	}
}

// handshakeLimit is handshakeBy while the handshake runs.
func (c *Conn) handshakeLimit() time.Time {
	if c.engine.Open() || c.ended() != nil {
		return time.Time{}
	}
	return c.handshakeBy
}

// tick runs when the timer fires: it reads the link if nobody else does, and
// does what is due.
func (c *Conn) tick() {
	if c.opened.Load() && c.pump.TryLock() {
		for p := c.link.poll(); p != nil; p = c.link.poll() {
			c.mu.Lock()
			c.stash()
			c.deliver(p)
			c.mu.Unlock()
		}
		c.pump.Unlock()
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed, c.pollAt = time.Time{}, time.Time{}
	c.engine.Expire(now)
	if limit := c.handshakeLimit(); !limit.IsZero() && !now.Before(limit) {
		c.failure = ErrHandshakeTimeout
		c.engine.Close(now)
		c.end()
	}
	if c.closed && (!c.engine.unfinished() || !now.Before(c.lingerUntil)) {
		c.lingerUntil = time.Time{}
		c.end()
		return
	}
	c.flush()
}

// nudge makes the timer read the link soon, if nobody else does. The Listener
// calls it from the goroutine that reads for everybody: it never waits.
func (c *Conn) nudge() {
	if !c.opened.Load() || c.pumping.Load() || !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if c.pollAt.IsZero() && (!c.closed || !c.lingerUntil.IsZero()) {
		c.pollAt = time.Now().Add(pollInterval)
		c.schedule()
	}
}

// stash copies the engine's unread data away, so that the next datagram can be
// taken.
func (c *Conn) stash() {
	for c.engine.inbox.full && !c.closed {
		data := append([]byte(nil), c.engine.inbox.first...)
		c.engine.Read(nil)
		if c.backlogSize+len(data) <= maxBacklog {
			c.backlog = append(c.backlog, data)
			c.backlogSize += len(data)
		}
	}
}

// --- The end

// Close says goodbye to the peer and lets go of the link. If the peer may not
// have our last flight yet, the link stays open for up to five seconds to
// repeat it.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	now := time.Now()
	c.engine.Close(now)
	c.flush()
	c.closed = true
	c.backlog = nil
	if c.engine.Err() == nil && c.failure == nil && c.engine.unfinished() {
		c.lingerUntil = now.Add(lingerTime)
		c.pollAt = now.Add(pollInterval)
		c.link.setReadDeadline(past) // whoever reads returns
		c.schedule()
		return nil
	}
	return c.end()
}

// past is a deadline that ends every wait.
var past = time.Unix(1, 0)

// end lets go of the link, once, and wakes whoever reads it.
func (c *Conn) end() error {
	if c.timer != nil {
		c.timer.Stop()
	}
	c.armed, c.pollAt = time.Time{}, time.Time{}
	c.link.setReadDeadline(past)
	if c.onEnd != nil {
		c.onEnd()
		c.onEnd = nil
	}
	if c.closed {
		return c.link.netConn().Close()
	}
	return nil
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

func (c *Conn) LocalAddr() net.Addr  { return c.link.netConn().LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr { return c.link.netConn().RemoteAddr() }

// SetDeadline sets the deadlines of the link. A Read or Handshake that runs into
// it fails with os.ErrDeadlineExceeded and may be tried again later.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ended(); err != nil {
		return err
	}
	return c.link.setReadDeadline(t)
}

func (c *Conn) SetWriteDeadline(t time.Time) error { return c.link.netConn().SetWriteDeadline(t) }

func (c *Conn) debugf(format string, args ...any) {
	if c.log != nil {
		c.log.Debugf(format, args...)
	}
}
