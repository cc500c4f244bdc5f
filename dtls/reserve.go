package dtls

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// With Config.Store an open Engine is always ready to die: what is stored is enough
// to go on in another process without using a record number twice or delivering a
// record twice. For that it keeps to three rules.
//
//   - No record is sealed with a number that isn't reserved in the Store, and none is
//     delivered whose number isn't; they are reserved by blocks, ahead of use. After a
//     crash our numbers go on behind those reserved, and the window begins there.
//   - What is said to the peer about the handshake (a message of ours, an ACK) goes out
//     when the state that it comes from is stored: the peer relies on it.
//   - So keys are stored before they are used: a new epoch has no numbers reserved.
//
// Each save stores the whole state, by compare-and-swap: whoever imports it moves the
// generation on, and the Engine that was before learns with its next save that the
// connection is not its own any more. Saves are Work like any other (store_work.go).

var (
	// ErrReplayed says that a connection goes on elsewhere already, or did: the Store
	// knows a later state than the one that should be imported, or none any more.
	ErrReplayed = errors.New("dtls: the Store has another state of this connection: it was imported before, or is closed")
	// ErrNotReserved says that no record numbers are reserved in the Store: run Work
	// and Resume and try again. It may wrap the Store's error. A Conn's Write waits by
	// itself, and returns it only with that error.
	ErrNotReserved = errors.New("dtls: no record numbers are reserved in the Store")
)

// reserved is what the Store knows of one epoch's numbers.
type reserved struct {
	limit uint64 // numbers from here on must not be used
	asked uint64 // what limit becomes when the save that is under way is through
}

// unlimited is for Engines without a Store, and until one has a first state stored.
var unlimited = reserved{limit: math.MaxUint64}

// left is how many numbers are reserved from next on.
func (r *reserved) left(next uint64) uint64 { return r.limit - min(r.limit, next) }

func (w *writeEpoch) exhausted() bool { return w.next >= w.limit }

// A reservation is an Engine's account with the Store.
type reservation struct {
	store Store
	key   []byte
	block uint64

	name       string   // random, if nobody gives one before the first save
	generation uint64   // of what we have stored; 0: nothing yet
	begun      bool     // the first state was taken, or one is to be claimed
	claims     []byte   // what the Store has, if this Engine is the first to import it
	final      []byte   // the blob of Export, for whoever imports it
	gone       bool     // what is stored is not ours any more
	contested  bool     // or so it seems
	listed     [][]byte // IDs that lead to the name,
	inherited  [][]byte // and those of an import, that may

	changes uint64 // counts changes of what the peer relies on,
	saved   uint64 // and those that are stored

	save    *save     // under way
	doubt   []byte    // the value of a save that failed: perhaps it is stored
	askedAt time.Time // when the last save was begun
	failure error     // of the last save
	retryAt time.Time // after it

	parked     []parked // records that must not be delivered yet
	parkedSize int
	unread     [][]byte // what came with the blob of an import, until that is claimed
}

// A parked record has authenticated.
type parked struct {
	kind   protocol.ContentType
	number protocol.RecordNumber
	body   []byte
	from   Path
}

// parkedOverhead is what one takes beside its body, in bytes: an empty one counts, too.
const parkedOverhead = 128

func newReservation(c *Config) *reservation {
	if c.Store == nil {
		return nil
	}
	return &reservation{store: c.Store, key: c.StoreKey, block: uint64(c.ReservedBlock())}
}

// changed notes that what the peer may rely on is another.
func (r *reservation) changed() {
	if r != nil {
		r.changes++
	}
}

// ofNewKey is what a new epoch may use.
func (r *reservation) ofNewKey() reserved {
	if r == nil || !r.begun {
		return unlimited
	}
	r.changed()
	return reserved{}
}

// unsaved reports whether something that the peer will rely on isn't stored.
func (e *Engine) unsaved() bool {
	r := e.reserve
	return r != nil && r.begun && r.saved != r.changes
}

// waitsForStore reports whether nothing may be said now. When the association ends
// for everybody the peer needs to rely on nothing.
func (e *Engine) waitsForStore() bool {
	if e.reserve == nil {
		return false
	}
	ending := e.err != nil || e.closing.sent && e.reserve.forgotten()
	return !ending && e.unsaved() || slices.ContainsFunc(e.writes, (*writeEpoch).exhausted)
}

// forgotten reports whether the Store has nothing of ours that somebody else could go on
// with. Who is gone because the connection is another's already has nothing left to say.
func (r *reservation) forgotten() bool {
	return r == nil || r.gone || r.generation == 0 && r.claims == nil && r.doubt == nil && r.save == nil
}

// notReserved is the error of a Write that has to wait.
func (e *Engine) notReserved() error {
	if err := e.reserve.failure; err != nil {
		return fmt.Errorf("%w: %w", ErrNotReserved, err)
	}
	return ErrNotReserved
}

// park keeps a record that has opened until its number is reserved.
func (e *Engine) park(kind protocol.ContentType, n protocol.RecordNumber, body []byte) error {
	r := e.reserve
	size := len(body) + parkedOverhead
	if r.parkedSize+size > maxBacklog {
		return e.drop(dropReserved)
	}
	r.parked = append(r.parked, parked{kind, n, bytes.Clone(body), e.paths.from})
	r.parkedSize += size
	return nil
}

// deliverParked dispatches what waited, as far as it is reserved now.
func (e *Engine) deliverParked() error {
	for _, record := range e.reserve.unread {
		e.inbox.add(record)
	}
	e.reserve.unread = nil
	waiting := e.reserve.parked
	e.reserve.parked, e.reserve.parkedSize = nil, 0
	for _, p := range waiting {
		from, err := e.readEpoch(p.number.Epoch), error(nil)
		e.paths.from = p.from
		switch {
		case from == nil:
		case p.number.Sequence >= from.limit:
			err = e.park(p.kind, p.number, p.body)
		default:
			err = e.dispatch(p.kind, p.number, p.body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// releaseParked dispatches all that waited, for Export: what is stored with the blob
// need not wait.
func (e *Engine) releaseParked() error {
	if e.reserve == nil {
		return nil
	}
	for _, from := range e.reads {
		from.reserved = unlimited
	}
	return e.deliverParked()
}

// StoreName is the name under which Config.Store has the connection; empty without a
// Store and before the handshake is complete.
func (e *Engine) StoreName() string {
	if e.reserve == nil || !e.machine.Open() {
		return ""
	}
	return e.reserve.named()
}

// named is the name, made by now.
func (r *reservation) named() string {
	if r.name == "" {
		var random [16]byte
		rand.Read(random[:]) // never fails
		r.name = string(random[:])
	}
	return r.name
}

// snapshot is the state to store: as it is, but with a block of numbers ahead as
// good as used.
func (e *Engine) snapshot() ([]byte, error) {
	r := e.reserve
	for _, w := range e.writes {
		w.asked = min(w.next+r.block, maxSequence12+1)
		if w.sealer == nil {
			w.asked = unlimited.limit // nobody authenticates them
		}
	}
	for _, from := range e.reads {
		from.asked = from.expects() + r.ahead(from, e.now)
		if r.begun {
			from.limit = min(from.limit, from.asked) // it may be less than before
		}
		from.counted = from.expects()
	}
	r.askedAt = e.now
	state, err := e.ahead().state(nil)
	if !r.begun { // until it is stored there is nothing that could be imported
		r.begun = true
		e.commit(r.changes)
	}
	return state, err
}

// ahead is how many records more than have come are reserved. After a crash they are
// lost, so it is few where little comes: as long as half of what was reserved is used
// within storeBusy it doubles, up to a block, and when it is quiet it is two again. A
// peer that says little loses next to nothing, and gets through when it repeats
// itself. Where nothing came no more are reserved: crashes in a row don't add up.
func (r *reservation) ahead(from *readEpoch, now time.Time) uint64 {
	next, elapsed := from.expects(), now.Sub(r.askedAt)
	switch {
	case next == from.counted && from.opened && r.begun:
		return min(from.left(next), leastAhead)
	case from.ahead == 0 || elapsed >= storeQuiet:
		from.ahead = leastAhead
	case elapsed < storeBusy && from.left(next) <= from.ahead/2:
		from.ahead = min(2*from.ahead, r.block)
	}
	return from.ahead
}

const (
	leastAhead = 2
	storeBusy  = 200 * time.Millisecond // the Store is asked five times in a second at most, until a block is full
	storeQuiet = 2 * time.Second
)

// quietAt is when less should be reserved, if no more comes; zero if it is little.
func (e *Engine) quietAt() time.Time {
	for _, from := range e.reads {
		if from.limit != unlimited.limit && from.limit > from.expects()+leastAhead {
			return e.reserve.askedAt.Add(storeQuiet)
		}
	}
	return time.Time{}
}

// commit makes what the last snapshot asked for ours to use.
func (e *Engine) commit(changes uint64) {
	e.reserve.saved = changes
	for _, w := range e.writes {
		if w.asked > 0 {
			w.limit, w.asked = w.asked, 0
		}
	}
	for _, from := range e.reads {
		if from.asked > 0 {
			from.limit, from.asked = from.asked, 0
			from.forgiven = from.opener.Failed() + forgeryBlock
		}
	}
}

// What may have happened with a block of numbers is more than what has.
const (
	mostBlocks   = (maxRecordBody+1)/16 + 2 // of one record, as a Sealer counts them
	forgeryBlock = 4096                     // records that don't open
)

// ahead is the Engine as it may be when what its epochs ask for is used up, to be
// written.
func (e *Engine) ahead() *Engine {
	then := *e
	then.reads, then.writes = nil, nil
	for _, r := range e.reads {
		used := *r
		opener := *r.opener
		opener.Resume(opener.Failed() + forgeryBlock)
		used.window.Fill(r.asked)
		used.opener, used.opened = &opener, true
		then.reads = append(then.reads, &used)
	}
	for _, w := range e.writes {
		used := *w
		if w.sealer != nil {
			sealer, n := *w.sealer, w.asked-w.next
			records, blocks := sealer.Sealed()
			sealer.Resume(records+n, blocks+n*mostBlocks)
			used.sealer, used.next = &sealer, w.asked
		}
		then.writes = append(then.writes, &used)
	}
	return &then
}

// state is the Engine as bytes, with the records that nobody has read.
func (e *Engine) state(unread [][]byte) ([]byte, error) {
	c := wire.NewEncoder()
	role, name := e.machine.Role(), ""
	if e.reserve != nil {
		name = e.reserve.named()
	}
	wire.Number(c, &role)
	c.Text(&name)
	e.code(c, &unread)
	return c.Finish()
}
