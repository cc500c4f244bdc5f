package tls

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"
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

// An open Conn that has been read and written costs little, and no goroutine: the bubble
// ends only if none is left.
func TestConnCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(VersionTLS13)
		a, b := net.Pipe()
		c, s := connPair(t, client, server, a, b)
		go s.Read(make([]byte, 1))
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, conn := range []*Conn{c, s} {
			e := conn.engine
			if n := cap(e.in) + cap(e.out) + cap(e.messages); n > 16<<10 {
				t.Errorf("%v has %d bytes of buffers", conn.role, n)
			}
		}
	})
}
