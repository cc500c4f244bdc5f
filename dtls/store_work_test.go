package dtls

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/session"
)

// A gate lets whoever comes wait until it is opened.
type gate struct{ reached, opened chan struct{} }

func newGate() gate { return gate{make(chan struct{}, 1), make(chan struct{})} }

func (g gate) pass() {
	select {
	case g.reached <- struct{}{}:
	default:
	}
	<-g.opened
}

// A gatedStore and a gatedCache answer only when they may.
type gatedStore struct {
	*memoryStore
	gate
}

func (g gatedStore) Swap(ctx context.Context, name string, old uint64, value []byte) (uint64, error) {
	g.pass()
	return g.memoryStore.Swap(ctx, name, old, value)
}

type gatedCache struct {
	session.Cache
	gate
}

func (g gatedCache) Put(key string, s *SessionState) {
	g.pass()
	g.Cache.Put(key, s)
}

// What the Store answers is for who has asked it, though other work of the application is
// over at the same time.
func TestStoreAnswersBesideOtherWork(t *testing.T) {
	store, cache := gatedStore{newMemoryStore(), newGate()}, gatedCache{session.NewLRUCache(4), newGate()}
	client, server := with(func(client, _ *Config) {
		client.Store, client.StoreKey, client.ClientSessionCache = store, exportKey, cache
	})
	l := listenerOfTest(t, server)
	go l.Serve(func(c *Conn, data []byte) {
		if data != nil {
			c.Write(data)
		}
	})
	c, err := Dial("udp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 10)) // first the tickets
		read <- err
	}()
	<-cache.reached
	<-store.reached

	c.mu.Lock() // both want it as soon as they have their answer, and the reader first
	close(cache.opened)
	for end := time.Now().Add(10 * time.Millisecond); time.Now().Before(end); {
		runtime.Gosched()
	}
	asked := c.engine.reserve.save
	close(store.opened)
	for !asked.done.Load() {
		runtime.Gosched()
	}
	c.mu.Unlock()

	if _, err := c.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
