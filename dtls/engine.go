package dtls

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// An Engine is one association without I/O: datagrams in, datagrams out, next
// deadline. It starts no goroutine and reads no clock; one lock of the caller's
// must guard it. Conn is an Engine with a link, a lock and a timer.
//
// Drive it like this, and after each of these calls send all that Transmit
// gives, run Work, and look at Deadline:
//
//	e.Start(now)              // a client speaks first
//	e.Receive(datagram, now)  // for each datagram; then Read until it has no more
//	e.Expire(now)             // when Deadline has come
//	e.Rest(now)               // when RestAt has come, if memory counts
//	e.Write(buf, data, now)   // once Open
//
// Errors that end the association are latched: every later call returns them.
// Transmit then still gives the alert for the peer.
type Engine struct {
	config  *Config
	machine *handshake.Machine
	now     time.Time // of the call that is running
	version protocol.Version

	reads  []*readEpoch  // oldest first; epoch 0 has none
	writes []*writeEpoch // oldest first: what a flight may need again, and the newest

	// Handshake messages that arrive.
	assembler        fragment.Assembler
	current          *handshake.Message // offered to the machine, which said "not yet"
	held             contents           // records that came meanwhile: see hold
	changeCipherSpec bool               // one came and waits for its turn
	authenticated    bool               // a record has opened: plaintext is dropped
	heard            bool               // application data has come
	received         retransmit.Received
	ackSince         time.Time // when the timer of the ACK was started; zero: it doesn't run
	ackDue           bool
	news             bool // something came that the last ACK didn't name
	unheard          int  // ACKs in a row without: the peer repeats what they named

	// Our last flight.
	flight     retransmit.Flight
	flushed    bool            // it is whole: the next message begins another
	switched   bool            // this pass over it has written the ChangeCipherSpec of 1.2
	reply      handshake.Reply // what answers it
	flightDies time.Time       // when the peer won't ask for the last one of 1.2 any more
	backoff    retransmit.Backoff
	repeats    int      // passes over it beyond the first
	manual     bool     // the caller repeats it: see StopRetransmitTimer
	measure    *measure // nil without Config.AdaptiveTimeout

	ids   connectionIDs
	paths paths

	followed int  // bytes of the datagram that data is about to follow in
	resting  bool // ciphers are put away
	mtu      int
	exactMTU bool    // it was set: timeouts don't lower it
	largest  int     // datagram of our last flight, or ACK since
	search   *search // nil: nobody looks for a larger one
	inbox    inbox
	early    early
	budget   budget
	reserve  *reservation // nil without a Store
	closing  closing
	err      error
	stats    counters
}

// closing is how far the end of the association has come.
type closing struct {
	alert    alert.Alert // to send
	due      bool        // alert waits to be sent
	sent     bool        // by us: nothing follows
	received bool        // the peer's close_notify: nothing follows
}

// NewClientEngine returns a client's Engine, or a *ConfigError.
func NewClientEngine(c *Config) (*Engine, error) {
	if err := c.Validate(handshake.Client, protocol.Datagram); err != nil {
		return nil, err
	}
	e := newEngine(c)
	e.writes[0].version = protocol.VersionDTLS10
	e.machine = handshake.NewClient(c, protocol.Datagram, (*layer)(e))
	e.machine.Identify = e.ids.make
	e.limit()
	return e, nil
}

// NewServerEngine returns a server's Engine, or a *ConfigError. It asks for no
// cookie: the caller vouches for the peer's address.
func NewServerEngine(c *Config) (*Engine, error) {
	if err := c.Validate(handshake.Server, protocol.Datagram); err != nil {
		return nil, err
	}
	return newServerEngine(c), nil
}

// newServerEngine is NewServerEngine with a Config that is valid.
func newServerEngine(c *Config) *Engine {
	e := newEngine(c)
	e.machine = handshake.NewServer(c, protocol.Datagram, (*layer)(e))
	e.machine.Identify = e.ids.make
	e.limit()
	return e
}

// RFC 9147 5.8.2 [1, 2]
func newEngine(c *Config) *Engine {
	e := &Engine{config: c, mtu: firstMTU(c), exactMTU: c.MTU != 0, reserve: newReservation(c)}
	e.writes = []*writeEpoch{{version: protocol.VersionDTLS12, reserved: unlimited}}
	e.assembler.Room = maxAhead
	e.backoff = retransmit.Backoff{Initial: c.InitialTimeout, Max: maxTimeout, Limit: maxExpiries}
	if c.InitialTimeout == 0 {
		e.backoff.Initial = handshake.DefaultInitialTimeout
	}
	if c.MaxMTU != 0 {
		e.search = new(search)
	}
	if c.AdaptiveTimeout {
		e.measure = newMeasure(e.backoff.Initial)
	}
	return e
}

const (
	maxTimeout  = 60 * time.Second // RFC 9147 5.8.2
	maxExpiries = 12
	// maxAhead is for handshake messages before their turn, in bytes: a flight but for its
	// first message, with chains of the usual size. What is dropped comes again.
	maxAhead = 1 << 15
	// anyMessage is how long any message may be, in bytes, so that one that may not come is
	// refused for that.
	anyMessage = 1 << 14
)

// limit bounds the messages to come by what the handshake may still bring.
func (e *Engine) limit() { e.assembler.Limit = max(anyMessage, e.machine.MaxBody()) }

// enter makes a server's Engine of what a stateless cookie says.
//
// RFC 6347 4.2.1 [11]
func (e *Engine) enter(entry handshake.Entry, sequence uint64) {
	e.machine.Enter(entry)
	e.assembler.Start(entry.Seq)
	// RFC 6347 4.2.1: the answer to a hello has the hello's record number, since
	// the server doesn't know which it used before.
	e.writes[0].next = sequence
}

// ErrTimeout is the error of an association whose peer didn't answer a flight
// that was sent 13 times. It is a net.Error with Timeout() true.
var ErrTimeout error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string   { return "dtls: the peer did not answer: no datagram came through" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return false }

// Start lets a client speak first. A server's Engine needs no Start.
func (e *Engine) Start(now time.Time) error {
	e.stats.begin(now)
	return e.call(now, func() error { return e.machine.Start(now) })
}

// Receive takes one datagram, which it overwrites: what Read returns lies in it
// until the next Receive. Whatever does not authenticate is dropped and
// counted, and changes nothing else.
func (e *Engine) Receive(datagram []byte, now time.Time) error {
	return e.ReceiveFrom(datagram, e.paths.current, now)
}

// ReceiveFrom is Receive with the path that the datagram came by.
func (e *Engine) ReceiveFrom(datagram []byte, from Path, now time.Time) error {
	if e.err != nil {
		return e.err
	}
	e.now, e.paths.from, e.ids.here = now, from, false
	e.budget.receive(len(datagram))
	e.stats.datagramsReceived++
	e.stats.bytesReceived += uint64(len(datagram))
	e.inbox.reset()
	e.traceDatagram(handshake.Received, len(datagram))
	for rest := datagram; len(rest) > 0; {
		var err error
		if rest, err = e.receiveRecord(rest); err != nil {
			return e.fail(err)
		}
	}
	return nil
}

// Deadline is when Expire is due next; zero when no timer runs.
func (e *Engine) Deadline() time.Time {
	return earlier(earlier(earlier(e.retransmitDeadline(), e.ackDeadline()), earlier(e.pathDeadline(), e.storeDeadline())), e.probeDeadline())
}

// busy reports whether there is something to send or to store, or Deadline may be set.
func (e *Engine) busy() bool {
	return e.err != nil || e.Pending() || e.backoff.Armed() || !e.ackSince.IsZero() || e.paths.check != nil || e.reserve != nil || e.searches()
}

// earlier is the first of two times, as far as they are set.
func earlier(t, u time.Time) time.Time {
	if t.IsZero() || !u.IsZero() && u.Before(t) {
		return u
	}
	return t
}

// Expire does what is due at now: sends the unacknowledged flight again, or an
// ACK, or asks where the peer is. It does nothing before its time.
//
// RFC 9147 5.10 [3]
func (e *Engine) Expire(now time.Time) error {
	if e.err != nil {
		return e.err
	}
	e.now = now
	e.reserve.expire(now)
	if ack := e.ackDeadline(); !ack.IsZero() && !now.Before(ack) {
		e.acknowledge()
	}
	e.paths.expire(now)
	e.expireProbe()
	if e.manual || !e.backoff.Expired(now) {
		return nil
	}
	e.trace(handshake.Event{Kind: handshake.EventTimeout})
	if e.backoff.Exhausted() {
		return e.fail(ErrTimeout)
	}
	if e.backoff.Expiries() > sameSize {
		e.lowerMTU()
	}
	e.repeat()
	e.backoff.Arm(now)
	return nil
}

// SetInitialTimeout changes the first retransmission timeout, as
// Config.InitialTimeout, of an association that learns better. The doublings
// stay, and timers that run move as if they had been started with d: they may be
// due at once. With Config.AdaptiveTimeout what was measured is forgotten, and d
// counts until there is a sample.
//
// RFC 9147 5.8.2 [3]
func (e *Engine) SetInitialTimeout(d time.Duration) error {
	if d <= 0 {
		return &ConfigError{Field: "InitialTimeout", Reason: "not positive"}
	}
	e.backoff.SetInitial(d)
	if e.measure != nil {
		e.measure.assume(d)
		e.pace()
	}
	return nil
}

// Abort ends the association with a fatal alert of the application's choice.
// Nothing can be read or written any more.
func (e *Engine) Abort(a Alert, now time.Time) {
	if e.err == nil {
		e.now = now
		e.fail(alert.Localf(a, "%w", ErrAborted))
	}
}

// ErrAborted is what ends an association that Abort was called on.
const ErrAborted = alert.Aborted

// Open reports whether the handshake is complete.
func (e *Engine) Open() bool { return e.machine.Open() }

// Err is the error that ended the association, or nil.
func (e *Engine) Err() error { return e.err }

// State describes the connection as far as it is known.
func (e *Engine) State() ConnectionState {
	s := e.machine.State()
	if s.HandshakeComplete {
		s.LocalConnectionID, s.RemoteConnectionID = bytes.Clone(e.ids.current()), bytes.Clone(e.ids.remote)
	}
	s.LimitReached = s.HandshakeComplete && !e.version.Is13() && e.newest().sealer.LimitReached()
	return s
}

// Work returns work of the handshake that must run outside of the lock that
// guards the Engine: a signature, a verification, a callback of the
// application; or a call of Config.Store, which it hands out once. After it, call
// Resume. It is nil if nothing waits.
func (e *Engine) Work() func() {
	if work := e.machine.Work(); work != nil {
		return work
	}
	return e.storeWork()
}

// Resume goes on after Work. With Config.Store there may be something to Read then.
func (e *Engine) Resume(now time.Time) error {
	if e.storeAnswered() {
		if err := e.saved(now); err != nil && e.err != nil { // else it is tried again
			return err
		}
		return nil
	}
	return e.resumeMachine(now)
}

// resumeMachine goes on after the machine's work, whatever the Store is at.
func (e *Engine) resumeMachine(now time.Time) error {
	return e.call(now, func() error {
		if err := e.machine.Resume(now); err != nil {
			return err
		}
		if err := e.deliver(); err != nil {
			return err
		}
		return e.receiveHeld()
	})
}

// KeyUpdate gives what we write new keys, and what the peer writes too if
// request says so. It takes effect when the peer has acknowledged it, and does
// until then for all that ask for one; the peer's keys change with its next data.
func (e *Engine) KeyUpdate(request KeyUpdateRequest, now time.Time) error {
	switch {
	case e.err != nil:
		return e.err
	case !e.machine.Open():
		return errNotOpen
	case e.closing.sent:
		return errClosed
	}
	e.now = now
	err := e.machine.KeyUpdate(request)
	if !e.machine.Open() {
		return e.fail(err)
	}
	return err // what isn't possible ends nothing
}

// Close says goodbye: Transmit gives a close_notify, and nothing can be written any more.
// The flight that is under way is still repeated. What is not acknowledged yet needs it no
// more: the goodbye tells the peer as much. With Config.Store it comes once Work has deleted
// what is stored of the connection, and not at all if that goes on elsewhere.
func (e *Engine) Close(now time.Time) {
	if e.err == nil && !e.closing.sent {
		e.now = now
		e.closing.sent = true
		e.sendAlert(alert.CloseNotify)
	}
}

// call runs f as a call at now, and latches its error. A step that waits for
// outside work is no error.
func (e *Engine) call(now time.Time, f func() error) error {
	if e.err != nil {
		return e.err
	}
	e.now = now
	if err := f(); err != nil && err != handshake.ErrNotYet {
		return e.fail(err)
	}
	return nil
}

// fail latches err and queues its alert. This is the one place that sends
// alerts of errors.
//
// RFC 9147 5.10 [1]
func (e *Engine) fail(err error) error {
	e.err = err
	e.backoff.Stop()
	e.ackSince, e.ackDue = time.Time{}, false
	if e.flight.Begun() || e.repeats > 0 {
		e.flight.Clear()
	}
	e.flushed = false // what hasn't begun to go out doesn't, and says under which keys the alert goes
	var a *alert.Error
	if errors.As(err, &a) && !a.Received {
		e.sendAlert(a.Alert)
	}
	return err
}

func (e *Engine) sendAlert(a alert.Alert) {
	e.closing.alert, e.closing.due = a, true
}

// Read copies the next record's data into p and returns its length, which is
// more than len(p) if it did not fit. ok is false when there is no more.
func (e *Engine) Read(p []byte) (n int, ok bool) {
	if len(e.early.data) > 0 && e.machine.Open() {
		return e.ReadEarly(p)
	}
	return e.inbox.read(p)
}

// next is Read without the copy: what it returns is valid until the next Receive.
func (e *Engine) next() (data []byte, ok bool) {
	if len(e.early.data) > 0 && e.machine.Open() {
		return e.early.data.next()
	}
	return e.inbox.next()
}

// Peek is Read that leaves the record there.
func (e *Engine) Peek(p []byte) (n int, ok bool) { return e.inbox.peek(p) }

// Closed is io.EOF once the peer has said goodbye, or the error that ended the
// association.
func (e *Engine) Closed() error {
	if e.err == nil && e.closing.received {
		return io.EOF
	}
	return e.err
}

// newest is the epoch that we write in now.
func (e *Engine) newest() *writeEpoch { return e.writes[len(e.writes)-1] }
