package dtls

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/connectionid"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// Connection IDs on records (RFC 9146, RFC 9147 9). Each side has its own, which
// the peer writes; both may have several in 1.3, of which the peer uses one at a
// time.

// A ConnectionIDGenerator makes connection IDs; see Config.ConnectionIDs.
type ConnectionIDGenerator = handshake.ConnectionIDGenerator

// RandomConnectionIDs returns a generator of random IDs of n bytes, 0 to 255: 8
// are enough for a server with millions of peers. With zero the peer puts none on
// its records, but may have ours put one on what it gets.
func RandomConnectionIDs(n int) ConnectionIDGenerator { return connectionid.Random(n) }

// IDs that a balancer can route by, and nobody else: Generator makes those of one
// server, Route finds the server of a datagram.
type (
	ConnectionIDRouting = connectionid.Routing
	ConnectionIDRouter  = connectionid.Router
)

// NewConnectionIDRouter returns a router of IDs, for balancers and for servers.
func NewConnectionIDRouter(routings ...ConnectionIDRouting) (*ConnectionIDRouter, error) {
	return connectionid.NewRouter(routings...)
}

// maxIDs is how many IDs of ours a peer has at most that it may still use, and
// how many of the peer's we keep.
const maxIDs = 8

// connectionIDs is which IDs the records of an association carry.
type connectionIDs struct {
	local  [][]byte // of which records to us carry one, oldest first; none: they carry none
	used   int      // the one that the peer's newest record carries
	given  int      // how many the peer has, those under way included
	remote []byte   // what ours carry; empty: nothing
	spare  [][]byte // that the peer gave for later, in its order (RFC 9147 9)
	change bool     // the next spare one is to be used as soon as it comes

	here     bool // the datagram that is received has shown one of ours
	register func(id []byte) (free bool)
	retire   func(id []byte)
}

// make returns a new ID of ours that nobody else has; nil if the peer has enough
// of them, or too many are taken.
func (c *connectionIDs) make(g ConnectionIDGenerator) []byte {
	const tries = 64 // short IDs may be taken
	if c.given == maxIDs {
		return nil
	}
	for range tries {
		if id := g.New(); len(id) == 0 || c.register == nil || c.register(id) {
			c.given++
			return id
		}
	}
	return nil
}

// expected reports whether records to us carry an ID.
func (c *connectionIDs) expected() bool { return len(c.local) > 0 }

// find returns which of ours b begins with, or -1.
func (c *connectionIDs) find(b []byte) int {
	return slices.IndexFunc(c.local, func(id []byte) bool { return bytes.HasPrefix(b, id) })
}

// noteUse notes the ID of the peer's newest record. Those given before it will not
// come again, since they are used in the order they were given (RFC 9147 9),
// but for the one in use until now: what is under way has it.
func (c *connectionIDs) noteUse(i int) {
	if i <= c.used {
		return
	}
	kept := [][]byte{c.local[c.used]}
	for n, id := range c.local[:i] {
		if n == c.used {
			continue
		}
		if c.given--; c.retire != nil {
			c.retire(id)
		}
	}
	c.local, c.used = append(kept, c.local[i:]...), 1
}

// next changes to the oldest spare ID of the peer's, and reports whether there
// was one.
//
// RFC 9147 9 [2]
func (c *connectionIDs) next() bool {
	if len(c.spare) == 0 {
		return false
	}
	c.remote, c.spare, c.change = c.spare[0], c.spare[1:], false
	return true
}

// current is the ID that the peer uses.
func (c *connectionIDs) current() []byte {
	if !c.expected() {
		return nil
	}
	return c.local[c.used]
}

// ConnectionIDs adds what was agreed, or is new. One that is to be used at once
// makes the ones before it useless.
//
// RFC 9147 9 [1]
func (l *layer) ConnectionIDs(ids handshake.ConnectionIDs) error {
	l.ids.local = append(l.ids.local, ids.Local...)
	for _, id := range ids.Remote {
		if err := (*Engine)(l).checkRoom(id); err != nil {
			return err
		}
	}
	if ids.Immediate && len(ids.Remote) > 0 {
		l.ids.spare = nil
	}
	l.ids.spare = append(l.ids.spare, ids.Remote[:min(len(ids.Remote), maxIDs-len(l.ids.spare))]...)
	if ids.Immediate || l.ids.change {
		l.ids.next()
	}
	return nil
}

// carries reports whether datagrams of mtu bytes have room for more than an ID.
func carries(mtu int, id []byte) bool {
	return handshake.RoomBeside(len(id), mtu) >= handshake.MinPlaintext
}

// checkRoom refuses an ID of the peer's that leaves too little room in a
// datagram.
func (e *Engine) checkRoom(id []byte) error {
	if !carries(e.mtu, id) {
		return alert.Localf(alert.InternalError, "the peer's connection ID of %d bytes and the MTU of %d leave less than %d bytes of plaintext (Config.MTU)",
			len(id), e.mtu, handshake.MinPlaintext)
	}
	return nil
}

// RotateConnectionIDs changes the IDs of both directions, so that who watches
// can't link what comes with what was: the peer gets a new one of ours, and ours
// carry a spare one of the peer's as soon as there is one. It fails in 1.2, before
// the connection is open and after Close, and where neither side's records carry any.
func (e *Engine) RotateConnectionIDs(now time.Time) error {
	switch {
	case e.err != nil:
		return e.err
	case !e.version.Is13() || !e.machine.Open() || !e.ids.expected() && len(e.ids.remote) == 0:
		return errNoConnectionIDs
	case e.closing.sent:
		return errClosed
	}
	e.now = now
	return e.rotate()
}

// rotate changes what can be changed.
func (e *Engine) rotate() error {
	e.reserve.changed() // an ID of the peer's that is used up must not come again
	if len(e.ids.remote) > 0 {
		e.ids.change = !e.ids.next()
	}
	want := uint8(0)
	if len(e.ids.spare) == 0 {
		want = spareIDs
	}
	if err := e.machine.RotateConnectionIDs(want); err != nil {
		return e.fail(err)
	}
	return nil
}

// spareIDs is how many IDs we ask for when there are none left.
const spareIDs = 2

var errNoConnectionIDs = errors.New("dtls: there are no connection IDs of 1.3 to rotate")
