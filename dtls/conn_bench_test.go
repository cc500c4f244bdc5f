package dtls_test

import (
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A full handshake over loopback UDP, both sides, with the cookie.
func BenchmarkHandshake(b *testing.B) {
	// In 1.2 the groups are the curves of certificates, too.
	x25519 := func(client, _ *dtls.Config) { client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }
	for _, bench := range []struct {
		name    string
		configs func(testing.TB, uint16) (client, server *dtls.Config)
		version uint16
		change  func(client, server *dtls.Config)
	}{
		{"1.3/X25519MLKEM768", configs, dtls.VersionDTLS13, func(_, _ *dtls.Config) {}},
		{"1.3/X25519", configs, dtls.VersionDTLS13, x25519},
		{"1.3/X25519, client certificate", authenticated, dtls.VersionDTLS13, x25519},
		{"1.2/X25519", configs, dtls.VersionDTLS12, x25519},
		{"1.2/X25519, client certificate", authenticated, dtls.VersionDTLS12, x25519},
	} {
		b.Run(bench.name, func(b *testing.B) {
			client, server := bench.configs(b, bench.version)
			bench.change(client, server)
			l, err := dtls.Listen("udp", "127.0.0.1:0", server)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go echo(b, l)
			b.ReportAllocs()
			for b.Loop() {
				c, err := dtls.Dial("udp", l.Addr().String(), client)
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}

// Write and Read, in bursts over a link in memory, beside sealing and opening with
// the bare AEAD (see dtls.Alternate). What BenchmarkRecord doesn't have is the Conns'
// and the link's.
func BenchmarkConn(b *testing.B) {
	for _, x := range suites {
		for _, size := range []int{64, 256, 1200, 8192} {
			b.Run(fmt.Sprintf("%s/%d", x.name, size), func(b *testing.B) {
				client, server := configs(b, x.version)
				client.CipherSuites = []uint16{x.suite}
				there, back := newRing(), newRing()
				c, err := dtls.Client(ringLink{back, there}, client)
				if err != nil {
					b.Fatal(err)
				}
				s, err := dtls.Server(ringLink{there, back}, server)
				if err != nil {
					b.Fatal(err)
				}
				if err1, err2 := handshakes(c, s); err1 != nil || err2 != nil {
					b.Fatal(err1, err2)
				}
				message, buf := make([]byte, size), make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				dtls.Alternate(b, func() {
					for range dtls.BurstSize {
						if _, err := c.Write(message); err != nil {
							b.Fatal(err)
						}
					}
					for range dtls.BurstSize {
						if _, err := s.Read(buf); err != nil {
							b.Fatal(err)
						}
					}
				}, dtls.BareAEAD(b, x.suite, size))
				c.Close()
				s.Close()
			})
		}
	}
}

// A ring carries datagrams one way, for a lock and a copy at each end. What doesn't
// fit is lost.
type ring struct {
	mu         sync.Mutex
	arrived    sync.Cond
	slots      [2 * dtls.BurstSize][]byte
	first, end int
	closed     bool
}

func newRing() *ring {
	r := new(ring)
	r.arrived.L = &r.mu
	return r
}

func (r *ring) put(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.end-r.first < len(r.slots) {
		slot := &r.slots[r.end%len(r.slots)]
		*slot = append((*slot)[:0], b...)
		r.end++
		r.arrived.Signal()
	}
}

func (r *ring) take(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.first == r.end {
		if r.closed {
			return 0, net.ErrClosed
		}
		r.arrived.Wait()
	}
	n := copy(b, r.slots[r.first%len(r.slots)])
	r.first++
	return n, nil
}

func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.arrived.Broadcast()
}

// A ringLink is one end of two rings. It knows no deadlines, and says so: who lingers on
// it doesn't read it.
type ringLink struct{ in, out *ring }

func (l ringLink) Read(b []byte) (int, error)       { return l.in.take(b) }
func (l ringLink) Write(b []byte) (int, error)      { l.out.put(b); return len(b), nil }
func (l ringLink) Close() error                     { l.in.close(); return nil }
func (l ringLink) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (l ringLink) RemoteAddr() net.Addr             { return &net.UDPAddr{} }
func (l ringLink) SetDeadline(time.Time) error      { return nil }
func (l ringLink) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (l ringLink) SetWriteDeadline(time.Time) error { return nil }

// The heap that an established idle Conn holds, with what its link holds: the
// mean of a dialed and an accepted one.
func BenchmarkIdleConn(b *testing.B) {
	for _, version := range []uint16{dtls.VersionDTLS13, dtls.VersionDTLS12} {
		b.Run(fmt.Sprintf("%x", version), func(b *testing.B) {
			client, server := configs(b, version)
			client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
			l, err := dtls.Listen("udp", "127.0.0.1:0", server)
			if err != nil {
				b.Fatal(err)
			}
			const pairs = 100
			var total, conns uint64
			for b.Loop() {
				before := heap()
				open := make([]*dtls.Conn, 0, 2*pairs)
				for range pairs {
					c, s := dialAndAccept(b, l, l.Addr().String(), client)
					send(b, c, s, "ping")
					send(b, s, c, "pong")
					open = append(open, c, s)
				}
				total, conns = total+heap()-before, conns+2*pairs
				for _, c := range open {
					c.Close()
				}
			}
			b.ReportMetric(float64(total)/float64(conns), "B/conn")
		})
	}
}

// heap is what is in use, without pools and what earlier tests left behind, which may
// take some collections to go.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC() // pools are emptied in two steps
	for before := uint64(math.MaxUint64); ; before = m.HeapAlloc {
		runtime.GC()
		if runtime.ReadMemStats(&m); m.HeapAlloc >= before {
			return m.HeapAlloc
		}
	}
}
