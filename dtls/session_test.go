package dtls_test

import (
	"crypto/tls"
	"strings"
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

// A resumed handshake with a plain share and no cookie takes one datagram each
// way before the client's first data, which shares the datagram of its Finished:
// also where the server's application judges the client first.
func TestResumedFirstData(t *testing.T) {
	for _, judged := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client, server := authenticated(t, dtls.VersionDTLS13)
			client.CurvePreferences = []tls.CurveID{tls.X25519}
			client.ClientSessionCache = dtls.NewLRUClientSessionCache(0)
			if judged {
				server.VerifyConnection = func(dtls.ConnectionState) error { return nil }
			}
			for n := range 2 {
				l := newLAN()
				var mu sync.Mutex
				var sent string // by the client and by the server, until the data is there
				c, s := ends(t, l, client, server)
				l.filter(func(d datagram) error {
					mu.Lock()
					defer mu.Unlock()
					sent += string("?cs"[d.from.Port()/1000])
					return nil
				})
				got := make(chan string, 1)
				go func() {
					buf := make([]byte, 10)
					if n, err := s.Read(buf); err != nil || string(buf[:n]) != "ping" {
						t.Errorf("%q, %v", buf[:n], err)
					}
					mu.Lock()
					got <- sent
					mu.Unlock()
					s.Write([]byte("pong"))
				}()
				if _, err := c.Write([]byte("ping")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				// What the server says to Finished may come before its reader runs.
				if order := strings.TrimRight(<-got, "s"); n == 1 && (order != "csc" || !c.ConnectionState().DidResume) {
					t.Errorf("judged %v: datagrams %s up to the first data; resumed %v", judged, order, c.ConnectionState().DidResume)
				}
				c.Read(make([]byte, 10)) // behind the tickets
				c.Close()
				s.Close()
			}
		})
	}
}
