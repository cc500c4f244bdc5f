package dtls_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A slowStore is a Store in memory that takes its time, and may be out of order.
type slowStore struct {
	delay time.Duration

	mu     sync.Mutex
	err    error
	values map[string][]byte
	at     map[string]uint64
	last   uint64
}

func newSlowStore(delay time.Duration) *slowStore {
	return &slowStore{delay: delay, values: map[string][]byte{}, at: map[string]uint64{}}
}

func (s *slowStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// slow makes it take another time, for what is asked from now on.
func (s *slowStore) slow(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
}

func (s *slowStore) sleep() {
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	time.Sleep(delay) // of the bubble's
}

func (s *slowStore) get(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.values[name])
}

// snapshot is the generation of each name.
func (s *slowStore) snapshot() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.at)
}

func (s *slowStore) Load(_ context.Context, name string) ([]byte, uint64, error) {
	s.sleep()
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.values[name]), s.at[name], s.err
}

func (s *slowStore) Swap(_ context.Context, name string, old uint64, value []byte) (uint64, error) {
	s.sleep()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return 0, s.err
	case s.at[name] != old:
		return 0, dtls.ErrGeneration
	case value == nil:
		delete(s.values, name)
		delete(s.at, name)
		return 0, nil
	}
	s.last++
	s.values[name], s.at[name] = bytes.Clone(value), s.last
	return s.last, nil
}

// stored is configs with a Store for the server.
func stored(t testing.TB, version uint16, store dtls.Store) (client, server *dtls.Config) {
	client, server = configs(t, version)
	server.Store, server.StoreKey, server.StoreBlock = store, blobKey, 16
	return client, server
}

// serverLink is the server's end of l's link, once more.
func serverLink(l *lan) net.Conn {
	return dtls.FromPacketConn(l.listen("192.0.2.2:2000"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1).To4(), Port: 1000})
}

// A Conn reads and writes any number of blocks, however slow its Store is, and goes on
// from there when its process is gone.
func TestConnStore(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			store := newSlowStore(5 * time.Millisecond)
			client, server := stored(t, version, store)
			l := newLAN()
			c, s := established(t, l, client, server)
			for i := range 100 {
				send(t, c, s, fmt.Sprint("ping ", i))
				send(t, s, c, fmt.Sprint("pong ", i))
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			name := s.StoreName()
			if len(name) != 16 || c.StoreName() != "" {
				t.Errorf("%q and %q", name, c.StoreName())
			}
			blob := store.get(name)
			dead := s // it isn't, but nobody knows
			s, err := dtls.Import(serverLink(l), server, blob, blobKey)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := dtls.Import(nil, server, blob, blobKey); err != dtls.ErrReplayed {
				t.Errorf("imported again: %v", err)
			}
			if s.StoreName() != name {
				t.Error("it has another name")
			}
			for range 3 { // of which two may be lost
				c.Write([]byte("ping"))
			}
			expectRead(t, s, "ping")
			send(t, s, c, "pong")
			for err = nil; err == nil; _, err = dead.Write([]byte("x")) {
			}
			expectError(t, "Write of the Conn of before", err, dtls.ErrReplayed)
			_, err = dead.Read(make([]byte, 10))
			expectError(t, "Read of the Conn of before", err, dtls.ErrReplayed)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if store.get(name) != nil {
				t.Error("Close has left it in the Store")
			}
		})
	})
}

// When the numbers run out Write waits for the Store, and fails if that does; and later
// goes on.
func TestConnStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(time.Millisecond)
		client, server := stored(t, dtls.VersionDTLS13, store)
		l := newLAN()
		c, s := established(t, l, client, server)
		send(t, s, c, "ping")
		time.Sleep(time.Minute)
		out := errors.New("out of order")
		store.fail(out)
		var err error
		n := 0
		for ; err == nil && n < 100; n++ {
			_, err = s.Write([]byte("x"))
		}
		expectError(t, "Write", err, dtls.ErrNotReserved)
		expectError(t, "Write", err, out)
		if n > 17 {
			t.Errorf("%d were written", n)
		}
		c.Write([]byte("kept"))
		c.Write([]byte("kept"))
		c.Write([]byte("kept"))
		store.fail(nil)
		time.Sleep(5 * time.Second)
		for range 3 {
			expectRead(t, s, "kept")
		}
		if _, err := s.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	})
}

// What comes while its number isn't reserved is read as soon as it is, also by a Read
// that waits.
func TestConnStoreReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(100 * time.Millisecond)
		client, server := stored(t, dtls.VersionDTLS13, store)
		l := newLAN()
		c, s := established(t, l, client, server)
		send(t, c, s, "ping")
		time.Sleep(time.Minute)
		const burst = 40
		done := make(chan error)
		go func() {
			for i := range burst {
				b := make([]byte, 10)
				if n, err := s.Read(b); err != nil || string(b[:n]) != fmt.Sprint(i) {
					done <- fmt.Errorf("%d: %q, %v", i, b[:n], err)
					return
				}
			}
			done <- nil
		}()
		for i := range burst {
			c.Write([]byte(fmt.Sprint(i)))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Export leaves its blob in the Store; if that is out of order it can be called again.
func TestConnStoreExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(time.Millisecond)
		client, server := stored(t, dtls.VersionDTLS13, store)
		l := newLAN()
		c, s := established(t, l, client, server)
		send(t, c, s, "ping")
		out := errors.New("out of order")
		store.fail(out)
		_, err := s.Export(blobKey)
		expectError(t, "Export", err, out)
		_, err = s.Write([]byte("x"))
		expectError(t, "Write", err, dtls.ErrExported)
		store.fail(nil)
		time.Sleep(2 * time.Second)
		blob, err := s.Export(blobKey)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Export(blobKey)
		expectError(t, "Export once more", err, dtls.ErrExported)
		s, err = dtls.Import(serverLink(l), server, blob, blobKey)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		send(t, c, s, "ping")
		send(t, s, c, "pong")
	})
}

// KeyUpdates, writers and readers at once, with a slow Store on both sides.
func TestConnStoreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := stored(t, dtls.VersionDTLS13, newSlowStore(3*time.Millisecond))
		client.Store, client.StoreKey, client.StoreBlock = newSlowStore(2*time.Millisecond), blobKey, 16
		c, s := established(t, newLAN(), client, server)
		const messages = 200
		var all sync.WaitGroup
		for _, pair := range [][2]*dtls.Conn{{c, s}, {s, c}} {
			all.Go(func() {
				for i := range messages {
					if _, err := pair[0].Write([]byte("message")); err != nil {
						t.Error(err)
						return
					}
					if i%50 == 0 {
						if err := pair[0].KeyUpdate(dtls.UpdateRequested); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(time.Millisecond)
				}
			})
			all.Go(func() {
				for i := range messages {
					if _, err := pair[1].Read(make([]byte, 20)); err != nil {
						t.Errorf("after %d: %v", i, err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// What needs nothing of the Store doesn't wait for one that takes long.
func TestConnStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newSlowStore(time.Millisecond)
		client, server := stored(t, dtls.VersionDTLS13, store)
		l := newLAN()
		c, s := established(t, l, client, server)
		send(t, s, c, "ping")
		time.Sleep(time.Minute)
		go func() {
			for {
				if _, err := c.Read(make([]byte, 10)); err != nil {
					return
				}
			}
		}()
		l.filter(func(d datagram) error { return net.ErrClosed }) // the first KeyUpdate is lost
		if err := s.KeyUpdate(dtls.UpdateNotRequested); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		l.filter(nil)
		store.slow(time.Hour)
		for range 10 {
			if _, err := s.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		before := s.Stats().Retransmits
		acked := c.Stats().DatagramsSent
		time.Sleep(10 * time.Second)
		if s.Stats().Retransmits == before || c.Stats().DatagramsSent == acked {
			t.Error("the KeyUpdate isn't sent again")
		}
		store.slow(0)
		time.Sleep(time.Hour)
		c.Close()
		s.Close()
	})
}

// An import that the Store has refused to answer is over: nothing claims the connection
// behind the caller's back, who tries again.
func TestListenerImportTriesAgain(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, config := newCluster(t, version)
			device := c.dial(t, config, "198.51.100.1:1000")
			first := c.node(t)
			served := firstWords(t, device, first, "hello")
			time.Sleep(time.Minute)
			blob, err := served.Export(blobKey)
			if err != nil {
				t.Fatal(err)
			}
			second := c.node(t)
			out := errors.New("out of order")
			c.store.fail(out)
			_, err = second.Import(nil, blob, blobKey)
			expectError(t, "Import", err, out)
			c.store.fail(nil)
			time.Sleep(time.Minute)
			heir, err := second.Import(nil, blob, blobKey)
			if err != nil {
				t.Fatal(err)
			}
			send(t, heir, device, "here")
			device.Close()
			for _, end := range []func() error{heir.Close, second.Close, served.Close, first.Close} {
				end()
				time.Sleep(time.Minute)
			}
		})
	})
}
