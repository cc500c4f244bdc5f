package dtls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

const (
	// storeTimeout is how long a Store may take to answer.
	storeTimeout = 10 * time.Second
	// storeRetry is how long after a Store's error it is asked again.
	storeRetry = time.Second
	// storeContested is how long after it was asked it may be for nothing but what
	// may be forged.
	storeContested = time.Second
)

// needsStore reports whether the Store should be asked now.
func (e *Engine) needsStore() bool {
	r := e.reserve
	switch {
	case r == nil || r.gone || r.save != nil || e.now.Before(r.retryAt):
		return false
	case r.final != nil:
		return true
	case e.err != nil || e.closing.sent: // nothing goes on: what is stored shall be deleted
		return r.generation > 0 || r.doubt != nil
	case !e.machine.Open():
		return false
	}
	return !r.begun || e.unsaved() || e.low() || e.quiet() || r.contested
}

// low reports whether an epoch has used up half of what was reserved for it.
func (e *Engine) low() bool {
	block := e.reserve.block
	return slices.ContainsFunc(e.writes, func(w *writeEpoch) bool { return w.left(w.next) <= block/2 }) ||
		slices.ContainsFunc(e.reads, func(r *readEpoch) bool {
			next := r.expects()
			return len(e.reserve.parked) > 0 || next > r.counted && r.left(next) <= (r.limit-min(r.limit, r.counted))/2 || r.opener.Failed()+forgeryBlock/2 > r.forgiven
		})
}

// quiet reports whether so little comes that less can be reserved.
func (e *Engine) quiet() bool {
	at := e.quietAt()
	return !at.IsZero() && !e.now.Before(at)
}

// storeDeadline is when the Store is to be asked: again, if it has failed, or to
// reserve less.
func (e *Engine) storeDeadline() time.Time {
	if e.reserve == nil || e.reserve.gone || e.err != nil || e.closing.sent {
		return time.Time{}
	}
	if at := e.reserve.retryAt; !at.IsZero() || e.reserve.save != nil || !e.reserve.begun {
		return at
	}
	return e.quietAt()
}

// expire ends the wait after a Store's error when it is over.
func (r *reservation) expire(now time.Time) {
	if r != nil && !now.Before(r.retryAt) {
		r.retryAt = time.Time{}
	}
}

// wonder notes that something came which a later state of the connection might have taken,
// one that goes on elsewhere. If so the next save tells; but anybody may have sent it.
func (r *reservation) wonder(now time.Time) {
	if r != nil && now.Sub(r.askedAt) >= storeContested {
		r.contest()
	}
}

// contest notes that somebody is about to go on with this connection as the Store has it.
func (r *reservation) contest() {
	if r != nil {
		r.contested = true
	}
}

// disown leaves what is stored to whoever claims it next.
func (r *reservation) disown() {
	if r != nil {
		r.gone = true
	}
}

// askAgain ends the wait after a Store's error at once.
func (e *Engine) askAgain() {
	if e.reserve != nil {
		e.reserve.retryAt = time.Time{}
	}
}

// unstored is the blob of Export that the Store doesn't have yet, or nil.
func (e *Engine) unstored() []byte {
	if e.reserve == nil {
		return nil
	}
	return e.reserve.final
}

// claim prepares an Engine that was imported: it has no numbers before the Store has
// given them to it. Without a Store there is nothing to do.
func (e *Engine) claim(name string, blob []byte) {
	r := e.reserve
	if r == nil {
		return
	}
	r.begun, r.name = true, name
	if name != "" {
		r.claims, r.inherited = blob, slices.Clone(e.ids.local)
	}
	for _, w := range e.writes {
		if w.sealer != nil {
			w.reserved = reserved{}
		}
	}
	for _, from := range e.reads {
		from.reserved, from.counted = reserved{}, from.expects()
	}
}

// claimNow asks the Store for what claim has prepared.
func (e *Engine) claimNow(now time.Time) error {
	ask := e.storeWork()
	if ask == nil {
		return nil
	}
	ask()
	return e.saved(now)
}

// --- The call

// A save is one call of the Store. While it runs it belongs to whoever runs it.
type save struct {
	store Store
	key   []byte
	name  string
	old   uint64 // generation

	state []byte // to be sealed,
	value []byte // or sealed already; neither: to be deleted

	claims, doubt []byte // what may be stored, of which we don't know the generation
	changes       uint64 // that the state has

	ids, listed [][]byte // that shall lead to the name, and that did (store_ids.go),
	inherited   [][]byte // or may

	done       atomic.Bool
	generation uint64
	err        error
}

var errNoAnswer = errors.New("dtls: the Store did not answer")

// storeWork begins a save if one is needed. It is run without the lock; then comes
// saved.
func (e *Engine) storeWork() func() {
	if !e.needsStore() {
		return nil
	}
	r := e.reserve
	s := &save{store: r.store, key: r.key, name: r.named(), old: r.generation, claims: r.claims, doubt: r.doubt, listed: r.listed, inherited: r.inherited, err: errNoAnswer}
	switch {
	case r.final != nil:
		s.value, s.ids = r.final, e.stillListed()
	case e.err == nil && !e.closing.sent:
		var err error
		if s.state, err = e.snapshot(); err != nil {
			e.fail(alert.Localf(alert.InternalError, "the connection can't be written down: %w", err))
			return nil
		}
		s.changes, s.ids = r.changes, e.listed()
	}
	r.save, r.contested, r.retryAt = s, false, time.Time{}
	return s.run
}

func (s *save) run() {
	defer s.done.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	s.err = s.swap(ctx)
}

func (s *save) swap(ctx context.Context) (err error) {
	if s.state != nil {
		if s.value, err = sealBlob(s.key, s.state); err != nil {
			return err
		}
	}
	deletes := s.state == nil && len(s.listed) > 0 // what the connection is found by, too, if it is still ours
	if s.claims != nil || s.doubt != nil || deletes {
		if err := s.look(ctx); err != nil {
			return err
		}
	}
	if s.state == nil { // then nothing goes on here
		if err := s.list(ctx); err != nil && s.value == nil {
			return err
		}
	}
	s.doubt = s.value // it may be stored whatever the answer is; what it was before is known now
	if s.generation, err = s.store.Swap(ctx, s.name, s.old, s.value); err != nil || s.state == nil {
		return err
	}
	return s.list(ctx)
}

// look finds the generation of what may be stored: what an import claims, or what a
// save has left behind whose answer got lost; or sees that it is still the last save.
func (s *save) look(ctx context.Context) error {
	value, generation, err := s.store.Load(ctx, s.name)
	switch {
	case err != nil:
		return err
	case s.claims != nil && bytes.Equal(value, s.claims), s.doubt != nil && bytes.Equal(value, s.doubt):
		s.old = generation
	case s.claims != nil || generation != s.old:
		return ErrGeneration
	}
	return nil
}

// storeAnswered reports whether a save has run.
func (e *Engine) storeAnswered() bool {
	return e.reserve != nil && e.reserve.save != nil && e.reserve.save.done.Load()
}

// saved takes the Store's answer. Its error is the Store's, or ErrReplayed, which ends
// the association without a word: it goes on elsewhere.
func (e *Engine) saved(now time.Time) error {
	r := e.reserve
	s := r.save
	r.save, e.now = nil, now
	switch {
	case errors.Is(s.err, ErrGeneration):
		r.gone = true
		if e.err == nil || e.err == ErrExported {
			e.stop()
			e.err = ErrReplayed
		}
		return ErrReplayed
	case s.err != nil:
		r.failure, r.retryAt = s.err, now.Add(storeRetry)
		r.generation, r.doubt = s.old, s.doubt // as far as the Store has said
		return fmt.Errorf("dtls: the Store: %w", s.err)
	}
	r.generation, r.claims, r.inherited, r.doubt, r.failure, r.listed = s.generation, nil, nil, nil, nil, s.ids
	if s.state == nil { // exported or deleted
		r.gone, r.final = true, nil
		return nil
	}
	e.commit(s.changes)
	if e.err != nil {
		return nil
	}
	if err := e.deliverParked(); err != nil {
		return e.fail(err)
	}
	return nil
}
