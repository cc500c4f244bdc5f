package tls

import (
	"bytes"
	"net"
	"runtime"
	"testing"
)

// A memoryLink is one end of a link that never waits: what is written to it is
// read from it.
type memoryLink struct {
	net.Conn
	buf bytes.Buffer
}

func (l *memoryLink) Read(p []byte) (int, error)  { return l.buf.Read(p) }
func (l *memoryLink) Write(p []byte) (int, error) { return l.buf.Write(p) }

// loop makes of an open pair two Conns where what one writes the other reads,
// on one goroutine.
func loop(t testing.TB, version uint16) (from, to *Conn) {
	from, to = openPair(t, version)
	from.Read(nil)
	link := &memoryLink{Conn: from.link}
	from.link, to.link = link, link
	return from, to
}

// Records in and out do not allocate.
func TestReadWriteAllocateNothing(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, size := range []int{1, 1000, maxPlaintext} {
			from, to := loop(t, version)
			text, buf := make([]byte, size), make([]byte, size)
			once := func() {
				if n, err := from.Write(text); n != size || err != nil {
					t.Fatal(n, err)
				}
				if n, err := to.Read(buf); n != size || err != nil {
					t.Fatal(n, err)
				}
			}
			for range 5 {
				once()
			}
			if n := testing.AllocsPerRun(100, once); n != 0 {
				t.Errorf("%d bytes: %v allocations", size, n)
			}
		}
	})
}

// An open Conn that has been read and written costs little, and no goroutine.
func TestConnCost(t *testing.T) {
	before := runtime.NumGoroutine()
	c, s := openPair(t, VersionTLS13)
	c.Write([]byte("x"))
	s.Read(make([]byte, 1))
	for range 1000 { // those of openPair may be about to end
		if runtime.NumGoroutine() <= before {
			break
		}
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines more", n-before)
	}
	for _, conn := range []*Conn{c, s} {
		e := conn.engine
		if n := cap(e.in) + cap(e.out) + cap(e.messages); n > 16<<10 {
			t.Errorf("%v has %d bytes of buffers", conn.role, n)
		}
	}
	c.Close()
	s.Close()
}
