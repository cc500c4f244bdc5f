package session

import (
	"container/heap"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// An AntiReplay remembers which ClientHellos have brought 0-RTT data, so that
// nobody can send one again and have its data acted on twice (RFC 9846 8.2), or
// which tickets were used, if each is for single use (RFC 9846 8.1).
// Whoever shares ticket keys must share it. Its method may be called from
// several goroutines.
type AntiReplay interface {
	// Record remembers key, and reports whether it was not known before; both in
	// one step. It can have come at any time since from, and can't come again once
	// until is there; now is between the two. What Record can't know or remember it
	// must not call fresh: of a key that can have come before there was a register,
	// nobody knows. An error means the same as false: the data or the ticket is
	// refused, and the handshake goes on without it.
	Record(key []byte, from, now, until time.Time) (fresh bool, err error)
}

// A ReplayRegister is an AntiReplay in the memory of one process. When it is
// full, nothing is fresh any more until something expires.
type ReplayRegister struct {
	mu       sync.Mutex
	start    time.Time
	capacity int
	known    map[[sha256.Size]byte]struct{}
	expiries expiries
}

// defaultReplays is how many ClientHellos a ReplayRegister remembers: 10,000 a
// minute, in 4 MB.
const defaultReplays = 1 << 15

// NewReplayRegister returns a register of at most capacity keys, 32768 if it is
// less than one, which knows all that has come since start.
func NewReplayRegister(capacity int, start time.Time) *ReplayRegister {
	if capacity < 1 {
		capacity = defaultReplays
	}
	return &ReplayRegister{start: start, capacity: capacity, known: map[[sha256.Size]byte]struct{}{}}
}

var (
	errRegisterFull  = errors.New("session: the register against replays is full")
	errRegisterYoung = errors.New("session: the register against replays is not old enough to know")
)

// Record is AntiReplay's. Keys have any length; a hash of each is kept.
//
// RFC 9846 8.2 [3]
func (r *ReplayRegister) Record(key []byte, from, now, until time.Time) (bool, error) {
	if from.Before(r.start) {
		return false, errRegisterYoung
	}
	name := sha256.Sum256(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.expiries) > 0 && !now.Before(r.expiries[0].at) {
		delete(r.known, heap.Pop(&r.expiries).(expiring).name)
	}
	if _, ok := r.known[name]; ok {
		return false, nil
	}
	if len(r.known) >= r.capacity {
		return false, errRegisterFull
	}
	r.known[name] = struct{}{}
	heap.Push(&r.expiries, expiring{name, until})
	return true, nil
}

// expiries is a heap: what expires first comes first.
type expiries []expiring

type expiring struct {
	name [sha256.Size]byte
	at   time.Time
}

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(expiring)) }
func (e *expiries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}
