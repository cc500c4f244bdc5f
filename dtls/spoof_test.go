package dtls

import (
	"crypto/tls"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// spoofs are what a spoofed ClientHello may be.
var spoofs = []struct {
	name   string
	change func(client, server *Config)
	cookie bool // of another server
	split  bool // the first fragment of it
}{
	{"1.3", together(), false, false},
	{"1.3, first fragment", together(), false, true},
	{"1.3, forged cookie", together(), true, false},
	{"1.3, forged cookie, first fragment", together(), true, true},
	{"1.2", only12, false, false},
	{"1.2, first fragment", only12, false, true},
	{"1.2, forged cookie", only12, true, false},
	{"1.2, forged cookie, first fragment", only12, true, true},
	{"no common version", func(client, server *Config) { client.MaxVersion, server.MinVersion = VersionDTLS12, VersionDTLS13 }, false, false},
	{"no common suite", func(client, server *Config) {
		client.CipherSuites, server.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256}, []uint16{tls.TLS_AES_256_GCM_SHA384}
	}, false, false},
	{"no common group", func(client, server *Config) { server.CurvePreferences = []tls.CurveID{tls.CurveP384} }, false, false},
}

// spoofedHello makes one.
func spoofedHello(t testing.TB, i int) (datagram []byte, server *Config) {
	client, server := with(spoofs[i].change)
	c := newCaller(t, client)
	var flight [][]byte
	if spoofs[i].cookie {
		flight = c.answer(testGreeter(server))
	} else {
		flight = c.flight()
	}
	if datagram = flight[0]; spoofs[i].split {
		r, parts := cut(t, datagram, 2)
		datagram = recordOf(r, parts[0])
	}
	return datagram, server
}

// loopback is address n of 127.0.0.0/8.
func loopback(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)}), 5684)
}

// unheard is a socket that nobody writes to, and what is written to it counts.
type unheard struct {
	net.PacketConn
	local     *net.UDPAddr
	closed    chan struct{}
	datagrams int
	bytes     int
}

func newUnheard() *unheard {
	return &unheard{local: net.UDPAddrFromAddrPort(loopback(1)), closed: make(chan struct{})}
}

func (u *unheard) LocalAddr() net.Addr { return u.local }
func (u *unheard) Close() error        { close(u.closed); return nil }

func (u *unheard) ReadFrom([]byte) (int, net.Addr, error) {
	<-u.closed
	return 0, nil, net.ErrClosed
}

func (u *unheard) WriteTo(b []byte, _ net.Addr) (int, error) {
	u.datagrams++
	u.bytes += len(b)
	return len(b), nil
}

// heapInUse is how much is in use, once nothing that isn't used is left.
func heapInUse() (inUse, allocations uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.Mallocs
}

// million is how many spoofed hellos come, of all kinds together.
func million() int {
	if testing.Short() || RaceDetector {
		return 10_000
	}
	return 1_000_000
}

// A million ClientHellos from as many addresses cost no memory: not while they
// are answered, and nothing that stays.
//
// RFC 6347 4.2.1 [10]
func TestMillionSpoofedHellos(t *testing.T) {
	if !Alone(t) {
		return
	}
	for i, spoof := range spoofs {
		t.Run(spoof.name, func(t *testing.T) {
			datagram, server := spoofedHello(t, i)
			g := testGreeter(server)
			greet := func(n int) outcome { return g.greet(datagram, loopback(n), epochOfSimulation) }
			if n := testing.AllocsPerRun(100, func() { greet(0) }); n != 0 && !RaceDetector {
				t.Errorf("%v allocations for each", n)
			}
			count, out := million()/len(spoofs), 0
			before, allocations := heapInUse()
			for n := range count {
				last := greet(n)
				if last.welcome != nil || last.wait != spoof.split || (last.reply == nil) != spoof.split {
					t.Fatalf("hello %d: %+v", n, last)
				}
				out += len(last.reply)
			}
			after, more := heapInUse()
			more -= allocations
			if grown := int64(after) - int64(before); grown > 4096 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
			if more > 100 && !RaceDetector { // of the test, and the collector
				t.Errorf("%d allocations for %d hellos", more, count)
			}
			if in := count * len(datagram); out > amplification*in || (out == 0) != spoof.split {
				t.Errorf("%d bytes in, %d out", in, out)
			}
		})
	}
}

// The Listener has nothing more for them than the greeter: neither for strangers
// nor for the addresses of those that have a Conn.
func TestSpoofedHellosAtListener(t *testing.T) {
	if !Alone(t) {
		return
	}
	for i, spoof := range spoofs {
		t.Run(spoof.name, func(t *testing.T) {
			datagram, server := spoofedHello(t, i)
			socket := newUnheard()
			l, err := NewListener(socket, server)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			count := max(million()/100, 1000)
			live := count / 2
			for n := range 10 {
				l.admit(Path{Remote: loopback(live + n)}, nil, time.Now(), func(p *peer) { p.conn.opened.Store(n%2 == 0) })
			}
			in := make([]byte, len(datagram))
			spoofs := func() {
				for n := range count {
					copy(in, datagram)
					l.route(in, Path{Remote: loopback(n)}, time.Now())
				}
			}
			spoofs()
			before, _ := heapInUse()
			socket.bytes = 0
			spoofs()
			after, _ := heapInUse()
			if grown := int64(after) - int64(before); grown > 16<<10 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
			if socket.bytes > amplification*count*len(datagram) {
				t.Errorf("%d bytes in, %d out", count*len(datagram), socket.bytes)
			}
			if got := l.Stats(); got.Connections != 10 || len(l.accepts) != 10 {
				t.Errorf("%+v, and %d wait for Accept", got, len(l.accepts))
			}
			for range 10 {
				c, _ := l.AcceptConn()
				if err := c.err(); err != nil {
					t.Error(err)
				}
				c.Close()
			}
		})
	}
}

// The same over sockets, each bound to an address of its own.
func TestSpoofedHellosOverUDP(t *testing.T) {
	if !Alone(t) {
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8 without further ado")
	}
	for i, spoof := range spoofs {
		t.Run(spoof.name, func(t *testing.T) {
			datagram, server := spoofedHello(t, i)
			l, err := Listen("udp4", "127.0.0.1:0", server)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			to := l.Addr().(*net.UDPAddr).AddrPort()
			sockets := make([]*net.UDPConn, max(million()/400, 100)/len(spoofs))
			for n := range sockets {
				from := net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback(256+n).Addr(), 0))
				if sockets[n], err = net.ListenUDP("udp4", from); err != nil {
					t.Fatal(err)
				}
				defer sockets[n].Close()
			}
			in, out := 0, 0
			buf := make([]byte, 2000)
			flood := func() {
				for n, s := range sockets {
					if _, err := s.WriteToUDPAddrPort(datagram, to); err != nil {
						t.Fatal(err)
					}
					in += len(datagram)
					if n%64 == 63 || n == len(sockets)-1 { // before its buffer is full
						waitForDatagrams(t, l, in/len(datagram))
					}
				}
				for _, s := range sockets {
					if spoof.split {
						break // nobody hears anything
					}
					s.SetReadDeadline(time.Now().Add(testTime))
					n, err := s.Read(buf)
					if err != nil {
						t.Fatal(err)
					}
					out += n
				}
			}
			flood()
			before, _ := heapInUse()
			for range 8 {
				flood()
			}
			after, _ := heapInUse()
			const reading = 5 << 18 // what is read at once, which a pool has lost or not
			if grown := int64(after) - int64(before); grown > reading+64<<10 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
			if out > amplification*in || l.Stats().Connections != 0 {
				t.Errorf("%d bytes in, %d out, %+v", in, out, l.Stats())
			}
			if challenges := l.Stats().Challenges; spoof.split && challenges != 0 || !spoof.split && challenges != l.Stats().DatagramsReceived {
				t.Errorf("%+v", l.Stats())
			}
		})
	}
}

// waitForDatagrams waits until the Listener has read so many. The last may be
// under way in it.
func waitForDatagrams(t testing.TB, l *Listener, n int) {
	t.Helper()
	for began := time.Now(); l.Stats().DatagramsReceived < uint64(n); runtime.Gosched() {
		if time.Since(began) > testTime {
			t.Fatalf("%d datagrams of %d came through", l.Stats().DatagramsReceived, n)
		}
	}
}
