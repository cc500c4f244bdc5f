package session

import (
	"container/list"
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

// RFC 9846 C.4 [1]
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

// A Store is where a server keeps sessions that their clients know only the
// name of: a session_id of 1.2, or a ticket that is good once. Its methods may be
// called from several goroutines; several servers that share one share their
// sessions.
type Store interface {
	// Put keeps a session under a name of 32 random bytes, for its Lifetime or
	// less.
	Put(id []byte, s *State)
	// Get finds it again.
	Get(id []byte) (*State, bool)
	// Delete removes it, and reports whether it was there: of several that ask at
	// once, one gets true.
	Delete(id []byte) bool
}

// NewLRUStore returns a Store of at most capacity sessions, 1024 if it is less
// than one. When it is full, the oldest goes.
func NewLRUStore(capacity int) Store {
	if capacity < 1 {
		capacity = 1024
	}
	return &store{capacity: capacity, sessions: make(map[string]*list.Element)}
}

type store struct {
	mu       sync.Mutex
	capacity int
	sessions map[string]*list.Element // of named
	order    list.List                // oldest first
}

type named struct {
	id    string
	state *State
}

func (c *store) Put(id []byte, s *State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(c.sessions[string(id)])
	if len(c.sessions) == c.capacity {
		c.remove(c.order.Front())
	}
	c.sessions[string(id)] = c.order.PushBack(named{string(id), s})
}

func (c *store) Get(id []byte) (*State, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.sessions[string(id)]
	if e == nil {
		return nil, false
	}
	return e.Value.(named).state, true
}

func (c *store) Delete(id []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.remove(c.sessions[string(id)])
}

func (c *store) remove(e *list.Element) bool {
	if e == nil {
		return false
	}
	delete(c.sessions, c.order.Remove(e).(named).id)
	return true
}
