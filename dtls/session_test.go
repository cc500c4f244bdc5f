package dtls_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A reentrant cache calls back into the connection that uses it, as an
// application's may.
type reentrantCache struct {
	dtls.ClientSessionCache
	call func()
	puts chan struct{}
}

func (c *reentrantCache) Put(key string, s *dtls.SessionState) {
	c.call()
	c.ClientSessionCache.Put(key, s)
	c.puts <- struct{}{}
}

// A session is wrapped and kept without the connection's lock, whoever reads the
// link: Read, or the timer of a client that only writes.
func TestSessionCallbacksHoldNoLock(t *testing.T) {
	for _, reader := range []string{"Read", "timer"} {
		t.Run(reader, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				synctest.Test(t, func(t *testing.T) { testReentrant(t, version, reader == "Read") })
			})
		})
	}
}

func testReentrant(t *testing.T, version uint16, reads bool) {
	client, server := authenticated(t, version)
	var c, s *dtls.Conn
	cache := &reentrantCache{dtls.NewLRUClientSessionCache(0), func() { c.ConnectionState() }, make(chan struct{}, 10)}
	client.ClientSessionCache = cache
	server.WrapSession = func(_ dtls.ConnectionState, state *dtls.SessionState) ([]byte, error) {
		s.ConnectionState()
		return state.Bytes()
	}
	server.UnwrapSession = func([]byte, dtls.ConnectionState) (*dtls.SessionState, error) { return nil, nil }
	l := newLAN()
	c, s = ends(t, l, client, server)
	var both sync.WaitGroup
	for _, conn := range []*dtls.Conn{c, s} {
		both.Go(func() {
			if err := conn.Handshake(); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if reads {
		both.Go(func() { c.Read(make([]byte, 10)) })
	} else if _, err := c.Write([]byte("ping")); err != nil {
		t.Error(err)
	}
	<-cache.puts
	time.Sleep(time.Minute) // of the bubble's: whoever reads aside is done
	c.Close()
	s.Close()
	both.Wait()
}
