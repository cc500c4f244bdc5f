package dtls_test

import (
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A Conn at rest holds so much of the heap, without its link: 4 KiB, and a tenth more
// for what else goes on in a test.
func TestHeapAtRest(t *testing.T) {
	if !dtls.Alone(t) {
		return
	}
	if dtls.RaceDetector {
		t.Skip("the race detector takes memory of its own")
	}
	const most = (4 << 10) * 11 / 10
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := heapAtRest(t, version)
			t.Logf("a client holds %d bytes, a server %d", client, server)
			for _, held := range []int64{client, server} {
				if held <= 0 || held > most {
					t.Errorf("%d bytes, want at most %d", held, most)
				}
			}
		})
	})
}

// heapAtRest is what a Conn of each side holds.
func heapAtRest(t *testing.T, version uint16) (client, server int64) {
	const pairs = 51
	clientConfig, serverConfig := configs(t, version)
	links := make([][2]net.Conn, pairs)
	for i := range links {
		links[i][0], links[i][1] = newLAN().link()
	}
	conns := make([][2]*dtls.Conn, pairs)
	connect := func(i int) {
		c, err1 := dtls.Client(links[i][0], clientConfig)
		s, err2 := dtls.Server(links[i][1], serverConfig)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if err1, err2 = handshakes(c, s); err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		conns[i] = [2]*dtls.Conn{c, s}
	}
	keepGoroutines(8 * pairs)
	connect(0) // which makes what all have together
	before := heap()
	for i := 1; i < pairs; i++ {
		connect(i)
	}
	time.Sleep(5 * time.Minute)
	both := heap()
	for i := range conns {
		for _, c := range conns[i] {
			if at := c.RingsAt(); !at.IsZero() {
				t.Fatalf("something is to happen in %v", time.Until(at))
			}
		}
		conns[i][0].Close()
		conns[i][0] = nil
	}
	time.Sleep(5 * time.Minute)
	servers := heap()
	for i := range conns {
		conns[i][1].Close()
	}
	runtime.KeepAlive(links) // which are none of it
	return int64(both-servers) / (pairs - 1), int64(servers-before) / (pairs - 1)
}

// keepGoroutines lets the runtime have so many goroutines that have ended, which it keeps
// for others: in virtual time the timers of all Conns fire at once.
func keepGoroutines(n int) {
	var all sync.WaitGroup
	end := make(chan struct{})
	for range n {
		all.Go(func() { <-end })
	}
	close(end)
	all.Wait()
}
