package main

import (
	"context"
	"sync"

	"github.com/godwit-dtls/godwit/dtls"
)

// A memoryStore is a dtls.Store that lasts as long as the process. Its generations are
// counted for all names together, so that none comes again for one that was deleted.
type memoryStore struct {
	mu     sync.Mutex
	values map[string]stored
	last   uint64
}

type stored struct {
	value      []byte
	generation uint64
}

func newMemoryStore() *memoryStore { return &memoryStore{values: map[string]stored{}} }

func (m *memoryStore) Load(_ context.Context, name string) (value []byte, generation uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.values[name]
	return s.value, s.generation, nil
}

func (m *memoryStore) Swap(_ context.Context, name string, old uint64, value []byte) (generation uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values[name].generation != old {
		return 0, dtls.ErrGeneration
	}
	if value == nil {
		delete(m.values, name)
		return 0, nil
	}
	m.last++
	m.values[name] = stored{value, m.last}
	return m.last, nil
}

// size is how many names have a value.
func (m *memoryStore) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.values)
}

func (m *memoryStore) has(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.values[name]
	return ok
}
