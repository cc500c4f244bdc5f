package dtls

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// sizes are those of application data in tests of cost, in bytes.
var sizes = []int{64, 256, 1200}

// RaceDetector says that it runs: then sync.Pool forgets things at random, and
// the standard library's SHA allocates when it gives its state away, which CBC
// wants of it.
var RaceDetector bool

func TestDataDoesNotAllocate(t *testing.T) {
	if !Alone(t) {
		return
	}
	for _, c := range protections {
		if RaceDetector && strings.Contains(c.name, "CBC") {
			continue
		}
		client, server := with(c.change)
		s := established(t, client, server)
		for _, size := range sizes {
			data, buf, read := make([]byte, size), make([]byte, size+100), make([]byte, size)
			if n := testing.AllocsPerRun(500/stride(5), func() {
				for _, d := range []*side{s.client, s.server} {
					n, err := d.Write(buf, data, s.now)
					if err != nil {
						t.Fatal(err)
					}
					if err := d.peer.Receive(buf[:n], s.now); err != nil {
						t.Fatal(err)
					}
					if n, ok := d.peer.Read(read); !ok || n != size {
						t.Fatalf("read %d, %v", n, ok)
					}
					if _, ok := d.peer.Read(read); ok || d.peer.Pending() {
						t.Fatal("there is more")
					}
				}
			}); n != 0 {
				t.Errorf("%s, %d bytes: %v allocations", c.name, size, n)
			}
		}
	}
}

// A full handshake allocates so much in both Engines together, the test's own few
// dozen included; chains are not verified.
func TestHandshakeAllocations(t *testing.T) {
	if !Alone(t) {
		return
	}
	if RaceDetector {
		t.Skip("the race detector allocates")
	}
	for _, c := range []struct {
		setting
		most float64
	}{
		{setting{"1.3", together()}, 420},
		{setting{"1.2", only12}, 370},
	} {
		client, server := with(c.change)
		client.InsecureSkipVerify = true
		got := testing.AllocsPerRun(50, func() {
			s := simulate(t, 0, client, server)
			for !s.open() && s.step() {
			}
			if !s.open() {
				t.Fatal(s.client.err, s.server.err)
			}
		})
		t.Logf("%s: %v allocations", c.name, got)
		if got > c.most {
			t.Errorf("%s: %v allocations, at most %v", c.name, got, c.most)
		}
	}
}

// heapPerEngine is what one established Engine holds, in bytes, measured over
// n pairs.
func heapPerEngine(t testing.TB, n int, client, server *Config) float64 {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	engines := make([]*Engine, 0, 2*n)
	before := heap()
	for range n {
		s := simulate(t, 0, client, server)
		s.settle()
		engines = append(engines, s.client.Engine, s.server.Engine)
	}
	after := heap()
	runtime.KeepAlive(engines)
	return float64(after-before) / float64(2*n)
}

// An idle Engine holds its keys, and nothing of its handshake.
func TestHeapOfEngine(t *testing.T) {
	if !Alone(t) {
		return
	}
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, c := range protections[:1] {
			client, server := with(version)
			if got := heapPerEngine(t, 50, client, server); got > 16<<10 {
				t.Errorf("%s: %s", c.name, fmt.Sprintf("%.0f bytes", got))
			} else {
				t.Logf("%.0f bytes", got)
			}
		}
	})
}
