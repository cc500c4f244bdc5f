package tls

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
	"github.com/pion/logging"
)

// An Engine is one connection without I/O: stream bytes in, stream bytes out.
// It starts no goroutine and reads no clock; one lock of the caller's must guard
// it. Conn is an Engine with a link and a lock.
//
// Drive it like this, and after each of these calls send all that Transmit
// gives, and run Work:
//
//	e.Start(now)           // a client speaks first
//	e.Receive(bytes, now)  // then Read until it has no more
//	e.Write(data, now)     // once Open
//
// Errors that end the connection are latched: every later call returns them.
// Transmit then still gives the alert for the peer.
type Engine struct {
	config  *Config
	machine *handshake.Machine
	log     logging.LeveledLogger // nil: none
	now     time.Time             // of the call that is running
	version protocol.Version      // zero until known

	// What comes in. Records are opened where they lie.
	read     readLevel
	in       []byte // bytes of the link
	next     int    // where in in the next record starts
	data     []byte // application data that waits for Read, a part of in
	messages []byte // handshake messages, the last one maybe in part
	offered  int    // bytes of messages that the machine is looking at
	waited   bool   // it has looked at the first one before, and waits for work
	early    []byte // 0-RTT data that waits to be read
	skip     skip   // 0-RTT that was refused
	idle     idle

	// What goes out.
	write       writeLevel
	unpacked    []byte // handshake messages that are in no record yet
	out         []byte // records
	transmitted int    // bytes of out that Transmit has given
	greeted     bool   // our first message is in out
	disguised   bool   // so is our ChangeCipherSpec of 1.3

	stats   Stats
	began   time.Time // the handshake
	closing closing
	failure error // of a call by the machine that can't return one
	err     error
}

// closing is how far an orderly end has come.
type closing struct {
	sent     bool // by us: nothing follows
	received bool // from the peer: nothing follows
}

// NewClientEngine returns a client's Engine, or a *ConfigError.
func NewClientEngine(c *Config) (*Engine, error) {
	e, err := newEngine(c, handshake.Client)
	if err == nil {
		e.machine = handshake.NewClient(e.config, protocol.Stream, (*layer)(e))
	}
	return e, err
}

// NewServerEngine returns a server's Engine, or a *ConfigError.
func NewServerEngine(c *Config) (*Engine, error) {
	e, err := newEngine(c, handshake.Server)
	if err == nil {
		e.machine = handshake.NewServer(e.config, protocol.Stream, (*layer)(e))
	}
	return e, err
}

func newEngine(c *Config, r handshake.Role) (*Engine, error) {
	if c == nil {
		c = &Config{}
	}
	if err := c.Validate(r, protocol.Stream); err != nil {
		return nil, err
	}
	e := &Engine{config: c}
	if c.LoggerFactory != nil {
		e.log = c.LoggerFactory.NewLogger("tls")
	}
	return e, nil
}

// Start lets a client speak first. A server's Engine needs no Start.
func (e *Engine) Start(now time.Time) error {
	return e.call(now, func() error {
		e.begin()
		return e.machine.Start(now)
	})
}

// Receive takes bytes of the stream, cut anywhere. It copies them, and keeps
// what it can't read yet: what follows data that waits for Read, or a step that
// waits for Work. Calling those before the next Receive bounds its memory.
func (e *Engine) Receive(in []byte, now time.Time) error {
	if e.err != nil {
		return e.err
	}
	copy(e.room(len(in)), in)
	return e.received(len(in), now)
}

// room returns space for n bytes or more of the link, behind those that are
// here already. It is the reader's until received says how many came.
func (e *Engine) room(n int) []byte {
	if e.next > 0 && len(e.data) == 0 {
		e.in = e.in[:copy(e.in, e.in[e.next:])]
		e.next = 0
	}
	e.in = slices.Grow(e.in, n)
	return e.in[len(e.in):cap(e.in)]
}

// received reads n bytes that were put where room said.
//
// RFC 9846 6.1 [1]
func (e *Engine) received(n int, now time.Time) error {
	if e.err != nil {
		return e.err
	}
	e.now = now
	e.begin()
	e.noteBytes(handshake.Received, n)
	if e.closing.received {
		return nil // what follows a close_notify is ignored, RFC 9846 6.1
	}
	e.in = e.in[:len(e.in)+n]
	return e.process()
}

// Read copies application data into p and returns its length, at most one
// record's at once. ok is false when there is no more; Closed then says whether
// more may come.
func (e *Engine) Read(p []byte) (n int, ok bool) {
	n, ok = e.Peek(p)
	switch {
	case !ok:
	case e.earlyFirst():
		return e.ReadEarly(p)
	default:
		e.data = e.data[n:]
	}
	return n, ok
}

// Peek is Read that leaves the data there.
func (e *Engine) Peek(p []byte) (n int, ok bool) {
	if len(e.data) == 0 {
		e.process() // what follows the data that was read last; its error is latched
	}
	if e.earlyFirst() {
		return copy(p, e.early), true
	}
	return record.Copy(p, e.data), len(e.data) > 0
}

// earlyFirst reports whether Read gives early data that nobody has read as such.
func (e *Engine) earlyFirst() bool { return len(e.early) > 0 && e.machine.Open() }

// Write makes records of p for Transmit to give, each of up to 2^14 bytes,
// Config.MaxSendFragment or what the peer takes (ConnectionState.MaxPlaintext). It
// fails before the connection is open and after Close, and with
// ErrEarlyDataRejected until ForgetEarlyData.
//
// RFC 9846 2 [2]
func (e *Engine) Write(p []byte, now time.Time) error {
	switch {
	case e.err != nil:
		return e.err
	case !e.machine.Open():
		return errNotOpen
	case e.closing.sent:
		return errClosed
	case e.machine.EarlyRejected():
		return ErrEarlyDataRejected
	}
	e.now = now
	if e.machine.OwesUpdate() {
		if err := e.settle(e.machine.AnswerUpdate()); err != nil {
			return e.fail(err)
		}
	}
	for len(p) > 0 {
		n := min(len(p), e.maxFragment())
		if err := e.guardKeys(); err != nil {
			return e.fail(err)
		}
		if err := e.append(protocol.ApplicationData, p[:n]); err != nil {
			return e.fail(err)
		}
		p = p[n:]
	}
	return nil
}

var (
	errNotOpen = errors.New("tls: the handshake is not complete")
	errClosed  = errors.New("tls: written after Close or CloseWrite")
)

// guardKeys changes our keys well before their AEAD has protected as much as it
// safely can (RFC 9846 5.5): at three quarters of it. 1.2 can't.
//
// RFC 9846 5.5 [1]
func (e *Engine) guardKeys() error {
	sealer := e.write.sealer
	switch {
	case !sealer.NearLimit():
		return nil
	case e.version.Is13() && !e.config.DisableKeyUpdate:
		return e.settle(e.machine.KeyUpdate(message.NotRequested))
	case sealer.LimitReached() && (e.version.Is13() || e.config.CloseAtLimit):
		return alert.Localf(alert.InternalError, "the AEAD's confidentiality limit is reached (Config.DisableKeyUpdate, CloseAtLimit)")
	}
	return nil
}

// Pending reports whether Transmit has something to give.
func (e *Engine) Pending() bool { return e.transmitted < len(e.out) }

// Transmit copies the next bytes to send into buf and returns how many; 0 when
// there are none. It may cut records anywhere.
func (e *Engine) Transmit(buf []byte) int {
	n := copy(buf, e.out[e.transmitted:])
	e.transmitted += n
	if !e.Pending() {
		e.out, e.transmitted = e.out[:0], 0
	}
	if n > 0 {
		e.noteBytes(handshake.Sent, n)
	}
	return n
}

// take is Transmit of everything without a copy: the buffer itself. It is the
// caller's until giveBack.
func (e *Engine) take() []byte {
	out := e.out[e.transmitted:]
	e.out, e.transmitted = nil, 0
	if len(out) > 0 {
		e.noteBytes(handshake.Sent, len(out))
	}
	return out
}

// giveBack lets the Engine use a buffer that it made again.
func (e *Engine) giveBack(buf []byte) {
	if e.out == nil {
		e.out = buf[:0]
	}
}

// Deadline is always zero: TLS has no timers. It is here because dtls's Engine
// has it.
func (e *Engine) Deadline() time.Time { return time.Time{} }

// Expire does nothing; see Deadline.
func (e *Engine) Expire(time.Time) error { return e.err }

// Work returns work of the handshake that must run outside of the lock that
// guards the Engine: a signature, a verification, a callback of the
// application. After it, call Resume. It is nil if nothing waits.
func (e *Engine) Work() func() {
	if e.err != nil {
		return nil
	}
	return e.machine.Work()
}

// Resume goes on after Work.
func (e *Engine) Resume(now time.Time) error {
	if err := e.call(now, func() error { return e.machine.Resume(now) }); err != nil {
		return err
	}
	return e.process()
}

// KeyUpdate gives what we write new keys, and what the peer writes too if
// request says so (RFC 9846 4.7.3). It fails before the connection is open, and
// in 1.2.
func (e *Engine) KeyUpdate(request KeyUpdateRequest, now time.Time) error {
	switch {
	case e.err != nil:
		return e.err
	case !e.machine.Open():
		return errNotOpen
	case e.closing.sent:
		return errClosed
	case !e.version.Is13():
		return errNoKeyUpdate
	}
	return e.call(now, func() error { return e.machine.KeyUpdate(request) })
}

var errNoKeyUpdate = errors.New("tls: 1.2 has no KeyUpdate")

// Close says goodbye: Transmit gives a close_notify, and nothing can be written
// any more. What the peer writes can still be read.
func (e *Engine) Close(now time.Time) {
	if e.err != nil || e.closing.sent {
		return
	}
	e.now = now
	err := e.sendAlert(alert.CloseNotify)
	e.closing.sent = true
	if err != nil {
		e.fail(err)
	}
}

// Abort ends the connection with a fatal alert of the application's choice.
// Nothing can be read or written any more.
func (e *Engine) Abort(a Alert, now time.Time) {
	if e.err == nil {
		e.now = now
		e.fail(alert.Localf(a, "%w", ErrAborted))
	}
}

// ErrAborted is what ends a connection that Abort was called on.
const ErrAborted = alert.Aborted

// Open reports whether the handshake is complete.
func (e *Engine) Open() bool { return e.machine.Open() }

// Err is the error that ended the connection, or nil.
func (e *Engine) Err() error { return e.err }

// Closed is io.EOF once the peer has said goodbye and all that it wrote before
// is read, or the error that ended the connection.
func (e *Engine) Closed() error {
	if e.err == nil && e.closing.received && len(e.data) == 0 && len(e.early) == 0 {
		return io.EOF
	}
	return e.err
}

// State describes the connection as far as it is known.
func (e *Engine) State() ConnectionState {
	s := e.machine.State()
	s.LimitReached = s.HandshakeComplete && !e.version.Is13() && e.write.sealer.LimitReached()
	return s
}

// call runs f as a call at now, and latches its error. A step that waits for
// outside work is no error.
func (e *Engine) call(now time.Time, f func() error) error {
	if e.err != nil {
		return e.err
	}
	e.now = now
	if err := e.settle(f()); err != nil && err != handshake.ErrNotYet {
		return e.fail(err)
	}
	return nil
}

// settle adds to the machine's error what its calls to the layer could not
// return.
func (e *Engine) settle(err error) error {
	if e.failure != nil && (err == nil || err == handshake.ErrNotYet) {
		return e.failure
	}
	return err
}

// fail latches err and sends its alert. This is the one place that sends alerts
// of errors; one that came from the peer is latched where it is read.
//
// RFC 9846 6.2 [2]
func (e *Engine) fail(err error) error {
	if e.err != nil {
		return e.err
	}
	var a *alert.Error
	if !errors.As(err, &a) {
		a = alert.Localf(alert.InternalError, "%w", err)
		err = a
	}
	if !e.closing.sent {
		e.sendAlert(a.Alert) // if not even that can be sent, err is still the reason
	}
	e.end(err)
	return err
}

// end latches err.
//
// RFC 9846 6.2 [1]
func (e *Engine) end(err error) {
	e.err, e.messages = err, nil
	if e.log != nil {
		e.log.Warnf("%v: connection ended: %v", e.machine.Role(), err)
	}
}
