package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// A Conn is a secured connection over a link. It is a net.Conn with the
// semantics of crypto/tls's: Read, Write and Close may run at the same time,
// and the first Read or Write runs the handshake.
//
// Whoever waits, pumps: Handshake and Read read the link on the caller's
// goroutine, and a Conn has none of its own. Work of the handshake that may be
// slow, such as signatures and the Config's callbacks, runs there too, without
// a lock that Close or ConnectionState would wait for.
type Conn struct {
	link   net.Conn
	config *Config
	role   handshake.Role

	// The locks are taken in this order.
	handshaking  sync.Mutex // held by whoever runs the handshake
	handshakeErr error      // of the handshake, which is tried once; under handshaking
	reading      sync.Mutex // held by whoever reads the link
	writing      sync.Mutex // held by whoever writes data, so that Writes don't mix

	// mu guards all that follows. It is never held while the link or the
	// application is waited for.
	mu       sync.Mutex
	engine   *Engine
	timer    *time.Timer // ends a handshake that takes too long
	timedOut bool
	flushing bool // somebody writes the link
	flushed  sync.Cond
	readErr  error // of the link, latched
	writeErr error // of the link, latched: part of a record may be gone
	closed   bool

	complete atomic.Bool // the handshake is; set under mu
}

var _ net.Conn = (*Conn)(nil)

// Client returns a client's Conn over link, or a *ConfigError. Config needs
// ServerName, PeerFingerprints or InsecureSkipVerify.
func Client(link net.Conn, c *Config) (*Conn, error) {
	engine, err := NewClientEngine(c)
	if err != nil {
		return nil, err
	}
	return newConn(link, engine), nil
}

// Server returns a server's Conn over link, or a *ConfigError.
func Server(link net.Conn, c *Config) (*Conn, error) {
	engine, err := NewServerEngine(c)
	if err != nil {
		return nil, err
	}
	return newConn(link, engine), nil
}

func newConn(link net.Conn, engine *Engine) *Conn {
	c := &Conn{link: link, config: engine.config, role: engine.machine.Role(), engine: engine}
	c.flushed.L = &c.mu
	engine.machine.Introduce = func(info *tls.ClientHelloInfo) { info.Conn = link }
	engine.machine.Remote = func() string { return nameOf(link.RemoteAddr()) }
	return c
}

// nameOf is an address, which some links don't have.
func nameOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// --- Handshake

// ErrHandshakeTimeout is the error of a handshake that took longer than
// Config.HandshakeTimeout. It is a net.Error with Timeout() true, and
// os.ErrDeadlineExceeded to errors.Is.
var ErrHandshakeTimeout error = handshakeTimeout{}

type handshakeTimeout struct{}

func (handshakeTimeout) Error() string   { return "tls: the handshake took too long" }
func (handshakeTimeout) Timeout() bool   { return true }
func (handshakeTimeout) Temporary() bool { return false }
func (handshakeTimeout) Unwrap() error   { return os.ErrDeadlineExceeded }

// Handshake runs the handshake, if it has not been run. Read and Write call it.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// HandshakeContext is Handshake; if ctx ends first, it closes the link and
// returns ctx's error. Once the handshake is complete, ctx has no effect. A
// handshake is tried once: its error is returned again.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.complete.Load() {
		return nil
	}
	c.handshaking.Lock()
	defer c.handshaking.Unlock()
	if c.complete.Load() || c.handshakeErr != nil {
		return c.handshakeErr
	}
	stop := context.AfterFunc(ctx, func() { c.link.Close() })
	c.handshakeErr = c.runHandshake(c.engine.Open)
	if !stop() {
		c.handshakeErr = ctx.Err()
	}
	return c.handshakeErr
}

// runHandshake pumps until the handshake has come far enough or failed. What it
// still wrote, an alert most of all, is on the link when it returns.
func (c *Conn) runHandshake(enough func() bool) error {
	c.reading.Lock()
	defer c.reading.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start()
	for {
		// A flight is written in one piece: over a link without a buffer, its
		// second piece could meet an alert that answers the first.
		if work := c.engine.Work(); work != nil {
			c.unlocked(work)
			c.engine.Resume(time.Now())
			continue
		}
		flushErr := c.flush()
		if err := c.engine.Err(); err != nil {
			c.stopTimer()
			return err
		}
		if flushErr != nil {
			return c.blame(flushErr)
		}
		if c.engine.Open() {
			c.stopTimer()
			c.complete.Store(true)
		}
		if enough() {
			return nil
		}
		if err := c.fill(); err != nil {
			return c.blame(err)
		}
	}
}

// start begins the handshake and its time limit, unless it has begun.
func (c *Conn) start() {
	c.limitHandshake()
	if c.role == handshake.Client {
		c.engine.Start(time.Now()) // its error is latched
	}
}

// blame replaces the error of a link that we closed ourselves.
func (c *Conn) blame(err error) error {
	switch {
	case c.timedOut:
		return ErrHandshakeTimeout
	case c.closed:
		return net.ErrClosed
	}
	return err
}

// unlocked runs f without mu.
func (c *Conn) unlocked(f func()) {
	c.mu.Unlock()
	defer c.mu.Lock()
	f()
}

// limitHandshake starts the timer of the handshake, unless it runs already.
func (c *Conn) limitHandshake() {
	limit := c.config.HandshakeTimeout
	if limit == 0 {
		limit = handshake.DefaultHandshakeTimeout
	}
	if limit < 0 || c.timer != nil {
		return
	}
	c.timer = time.AfterFunc(limit, c.timeOut)
}

func (c *Conn) timeOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.complete.Load() && c.engine.Err() == nil && !c.closed {
		c.timedOut = true
		c.unlocked(func() { c.link.Close() })
	}
}

func (c *Conn) stopTimer() {
	if c.timer != nil {
		c.timer.Stop()
	}
}

// --- The link

// minRead is how much room the link is read into, at least. The buffer grows
// with what arrives, to little more than one record.
const minRead = 4096

// fill reads the link once. The caller holds reading and mu.
//
// RFC 9846 6.1 [6]
func (c *Conn) fill() error {
	if c.readErr != nil {
		return c.readErr
	}
	n, err := c.readLink(c.engine.room(minRead))
	if n > 0 {
		c.engine.received(n, time.Now()) // its error is latched
	}
	if err == nil {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // no close_notify: it may have been cut (RFC 9846 6.1)
	}
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		c.readErr = err
	}
	if n > 0 {
		return nil // first what came with it
	}
	return err
}

func (c *Conn) readLink(buf []byte) (int, error) {
	c.mu.Unlock()
	defer c.mu.Lock()
	return c.link.Read(buf)
}

// flush writes to the link all that the Engine has for it, and waits for
// whoever else is doing so. The caller holds mu.
func (c *Conn) flush() error {
	for c.flushing {
		c.flushed.Wait()
	}
	for c.writeErr == nil && c.engine.Pending() {
		if c.engine.Err() != nil {
			c.limitGoodbye() // nobody may read the alert
		}
		out := c.engine.take()
		c.flushing = true
		c.writeErr = c.writeLink(out)
		c.flushing = false
		c.engine.giveBack(out)
		c.flushed.Broadcast()
	}
	return c.writeErr
}

func (c *Conn) writeLink(out []byte) error {
	c.mu.Unlock()
	defer c.mu.Lock()
	_, err := c.link.Write(out)
	return err
}

// goodbyeTimeout is how long a last alert may take to be written.
const goodbyeTimeout = 5 * time.Second

func (c *Conn) limitGoodbye() { c.link.SetWriteDeadline(time.Now().Add(goodbyeTimeout)) }

// --- net.Conn

// Read reads data; see net.Conn. It returns at most what one record had,
// ErrEarlyDataRejected until ForgetEarlyData,
// io.EOF after the peer's close_notify, io.ErrUnexpectedEOF if the link ended
// without one, and net.ErrClosed after Close.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil // as crypto/tls: it runs the handshake, and no more
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.engine.EarlyDataRejected():
			return 0, ErrEarlyDataRejected
		}
		n, ok := c.engine.Read(p)
		if c.engine.Pending() && !c.flushing {
			c.flush() // a KeyUpdate or an alert; if it fails, Write says so
		}
		if ok {
			return n, nil
		}
		if work := c.engine.Work(); work != nil {
			c.unlocked(work)
			c.engine.Resume(time.Now()) // its error is latched
			continue
		}
		if err := c.engine.Closed(); err != nil {
			return 0, err
		}
		if err := c.fill(); err != nil {
			return 0, c.blame(err)
		}
	}
}

// Write writes data; see net.Conn. A Write that failed, and so one that timed
// out, may have cut a record: every later Write returns the same error.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for written := 0; ; {
		fragment := p[written:min(written+maxPlaintext, len(p))]
		if err := c.writeFragment(fragment); err != nil {
			return written, err
		}
		if written += len(fragment); written == len(p) {
			return written, nil
		}
	}
}

func (c *Conn) writeFragment(p []byte) error {
	if c.closed {
		return net.ErrClosed
	}
	if c.writeErr != nil {
		return c.writeErr
	}
	err := c.engine.Write(p, time.Now())
	if flushErr := c.flush(); err == nil && flushErr != nil {
		err = c.blame(flushErr)
	}
	return err
}

// Close sends close_notify, for which it takes 5 seconds at most, and closes
// the link. If a Write is in progress it only closes the link, which ends that
// Write. A second Close returns net.ErrClosed.
//
// RFC 9846 6.1 [5]
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	c.stopTimer()
	var goodbyeErr error
	if c.complete.Load() && !c.flushing {
		if err := c.goodbye(); err != nil {
			goodbyeErr = fmt.Errorf("tls: closed, but close_notify could not be sent: %w", err)
		}
	}
	var err error
	c.unlocked(func() { err = c.link.Close() })
	if err != nil {
		return err
	}
	return goodbyeErr
}

// Abort is Close with a fatal alert of the application's choice instead of
// close_notify.
func (c *Conn) Abort(a Alert) error {
	c.mu.Lock()
	if !c.closed && !c.flushing {
		c.limitGoodbye()
		c.engine.Abort(a, time.Now())
		c.flush() // its error comes again in Close
	}
	c.mu.Unlock()
	return c.Close()
}

// CloseWrite sends close_notify: the peer reads io.EOF, and may go on writing.
// It does not close the link in any direction. It fails before the handshake is
// complete.
func (c *Conn) CloseWrite() error {
	if !c.complete.Load() {
		return errNotOpen
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return c.goodbye()
}

// goodbye sends close_notify, once. Nothing is written after it.
func (c *Conn) goodbye() error {
	c.limitGoodbye()
	c.engine.Close(time.Now())
	return c.flush()
}

// KeyUpdate gives what this side writes new keys, and what the peer writes too
// if request says so. It fails in 1.2, which can't. It happens by itself before
// a key has been used too much; see Config.DisableKeyUpdate.
func (c *Conn) KeyUpdate(request KeyUpdateRequest) error {
	if err := c.Handshake(); err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if err := c.engine.KeyUpdate(request, time.Now()); err != nil {
		return err
	}
	return c.flush()
}

// ConnectionState describes the connection as far as it is known. Unlike
// crypto/tls's it does not wait for a handshake that is running.
func (c *Conn) ConnectionState() ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.engine.State()
}

// VerifyHostname checks that the server's certificate, which was verified during
// the handshake, is good for another host name too.
func (c *Conn) VerifyHostname(host string) error {
	s := c.ConnectionState()
	switch {
	case c.role != handshake.Client:
		return errors.New("tls: VerifyHostname is for clients")
	case !s.HandshakeComplete:
		return errNotOpen
	case len(s.VerifiedChains) == 0:
		return errors.New("tls: the handshake did not verify the certificate")
	}
	return s.PeerCertificates[0].VerifyHostname(host)
}

// NetConn is the link. Reading or writing it corrupts the connection.
func (c *Conn) NetConn() net.Conn { return c.link }

// LocalAddr is the link's.
func (c *Conn) LocalAddr() net.Addr { return c.link.LocalAddr() }

// RemoteAddr is the link's.
func (c *Conn) RemoteAddr() net.Addr { return c.link.RemoteAddr() }

// SetDeadline sets both deadlines; see SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error { return c.link.SetDeadline(t) }

// SetReadDeadline sets when Read times out. After that it may be called again.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.link.SetReadDeadline(t) }

// SetWriteDeadline sets when Write times out. After that the connection is
// corrupt, and every Write returns the same error.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.link.SetWriteDeadline(t) }
