package dtls

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A connection that is open can be written down, end here, and go on in another
// process, which its peer doesn't notice.

var (
	// ErrExported is what Export leaves behind: the connection goes on elsewhere.
	ErrExported = errors.New("dtls: the connection was exported")
	// ErrNoStore says that Import can't tell whether the connection was imported
	// before: see Config.InsecureImportWithoutStore.
	ErrNoStore = errors.New("dtls: without a Store nobody can tell whether this connection was imported before")
)

// Export writes the connection down, encrypted under a key of 32 bytes, for
// ImportEngine, and ends it here: every later call returns ErrExported, and nothing
// is said to the peer. It has all that is needed to go on as if nothing had
// happened: keys, record numbers and replay windows, the flight that isn't
// acknowledged and its timer, KeyUpdates and tickets that are due, and what came
// and wasn't read. It fails before the handshake is complete and after Close. With
// Config.Store the blob is good only once it is stored: when Work has run and Resume
// has returned nil.
//
// Warning: who has it and the key can be either peer, and read all that they say.
func (e *Engine) Export(key []byte, now time.Time) ([]byte, error) {
	return e.export(key, nil, now)
}

// export is Export with records that the caller has not given away yet.
func (e *Engine) export(key []byte, backlog [][]byte, now time.Time) ([]byte, error) {
	switch {
	case e.err != nil:
		return nil, e.err
	case !e.machine.Open():
		return nil, errNotOpen
	case e.closing.sent:
		return nil, errClosed
	case e.machine.EarlyRejected():
		return nil, ErrEarlyDataRejected // what follows from it is nobody else's
	case len(key) != blobKeySize: // before anything is taken out
		return nil, errBlobKeySize(key)
	}
	e.now = now
	if err := e.releaseParked(); err != nil {
		return nil, e.fail(err)
	}
	state, err := e.state(append(slices.Clip(backlog), e.unread()...))
	if err != nil {
		return nil, err
	}
	blob, err := sealBlob(key, state)
	if err != nil {
		return nil, err
	}
	if e.reserve != nil {
		e.reserve.final = blob
	}
	e.stop()
	return blob, nil
}

// stop ends the association without a word.
func (e *Engine) stop() {
	e.err = ErrExported
	e.machine.Stop()
	e.reads, e.current, e.held = nil, nil, nil
	e.flight.Clear()
	e.backoff.Stop()
	e.ackSince, e.ackDue = time.Time{}, false
	e.closing.due = false
}

// ImportEngine goes on with a connection that Export has written down under this
// key. The config is one of the same role; it counts for what comes from now on,
// but negotiates nothing any more. What was received before and not read is there
// to be read at once. Afterwards send what Transmit gives, run Work, and look at
// Deadline.
//
// Of ConnectionState the peer's certificates are kept, but not that they were
// verified; LocalCredential and what belongs to 0-RTT are not.
//
// A blob may be imported once: two that go on with one connection use the same keys
// with the same record numbers. So it is claimed from Config.Store, where Export has
// left it, or whoever reserved numbers there: by Work, before which nothing goes out
// or comes in, and Resume fails with ErrReplayed if the Store knows a later state, or
// none any more. Without a Store, here or where the blob comes from, ImportEngine
// fails with ErrNoStore, unless Config.InsecureImportWithoutStore.
func ImportEngine(config *Config, blob, key []byte, now time.Time) (*Engine, error) {
	config = orZero(config)
	state, err := openBlob(key, blob)
	if err != nil {
		return nil, err
	}
	c := wire.NewDecoder(state)
	var role handshake.Role
	var name string
	wire.Number(c, &role)
	c.Text(&name)
	if err := validateImport(config, role, c); err != nil {
		return nil, err
	}
	if (name == "" || config.Store == nil) && !config.InsecureImportWithoutStore {
		return nil, ErrNoStore
	}
	e, err := readEngine(config, role, c, now)
	if err != nil {
		return nil, err
	}
	e.claim(name, blob)
	return e, e.call(now, e.resumed)
}

// resumed goes on with what was under way.
func (e *Engine) resumed() error {
	if err := e.deliver(); err != nil {
		return err
	}
	return e.machine.Still(e.now)
}

// validateImport refuses a Config that is not for the role of the blob.
func validateImport(config *Config, role handshake.Role, c *wire.Codec) error {
	if role != handshake.Client && role != handshake.Server {
		c.Fail("role %d", role)
		return c.Err()
	}
	err := config.Validate(role, protocol.Datagram)
	if err != nil && config.Validate(role.Peer(), protocol.Datagram) == nil {
		return fmt.Errorf("%w: it is of a %v: %w", ErrBlobRole, role, err)
	}
	return err
}

// readEngine makes an Engine of what state wrote behind role and name.
func readEngine(config *Config, role handshake.Role, c *wire.Codec, now time.Time) (*Engine, error) {
	e := newEngine(config)
	e.machine = handshake.Continue(role, config, protocol.Datagram, (*layer)(e))
	e.machine.Identify = e.ids.make
	var unread [][]byte
	e.code(c, &unread)
	if _, err := c.Finish(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBlobVersion, err)
	}
	if !config.Enabled(e.version) {
		return nil, fmt.Errorf("%w: %v", ErrBlobConfig, e.version)
	}
	e.settle(now)
	if e.reserve != nil {
		e.reserve.unread = unread // until nobody else can import them
		return e, nil
	}
	for _, record := range unread {
		e.inbox.add(record)
	}
	return e, nil
}
