package session

import (
	"slices"
	"sync"
)

// A Cache is where a client keeps sessions. Its methods may be called from
// several goroutines.
type Cache interface {
	// Get takes a session out of the cache, the newest for a key. One of 1.3 is
	// used once: whoever sees a ticket twice knows that both came from one client
	// (RFC 9846 C.4). One of 1.2 is Put back when it was good.
	Get(sessionKey string) (*State, bool)
	// Put adds a session. A server may give several for one key.
	Put(sessionKey string, s *State)
}

// NewLRUCache returns a Cache of at most capacity sessions, 64 if it is less
// than one. When it is full, the oldest goes.
func NewLRUCache(capacity int) Cache {
	if capacity < 1 {
		capacity = 64
	}
	return &lru{capacity: capacity}
}

type lru struct {
	mu       sync.Mutex
	capacity int
	entries  []entry // oldest first
}

type entry struct {
	key   string
	state *State
}

func (c *lru) Get(key string) (*State, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range slices.Backward(c.entries) {
		if e.key == key {
			c.entries = slices.Delete(c.entries, i, i+1)
			return e.state, true
		}
	}
	return nil, false
}

func (c *lru) Put(key string, s *State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) == c.capacity {
		c.entries = slices.Delete(c.entries, 0, 1)
	}
	c.entries = append(c.entries, entry{key, s})
}
