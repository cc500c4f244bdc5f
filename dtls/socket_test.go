package dtls

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/transport/v3/vnet"
)

// testTime is how long a test waits for a datagram that must come.
const testTime = 5 * time.Second

func listenUDP(t testing.TB, network, address string) *net.UDPConn {
	t.Helper()
	pc, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	pc.SetDeadline(time.Now().Add(testTime))
	return pc.(*net.UDPConn)
}

// dialUDP connects to a port of listener at address.
func dialUDP(t testing.TB, address string, listener net.PacketConn) *net.UDPConn {
	t.Helper()
	port := listener.LocalAddr().(*net.UDPAddr).Port
	c, err := net.Dial("udp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testTime))
	return c.(*net.UDPConn)
}

func hasIPv6() bool {
	pc, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		return false
	}
	pc.Close()
	return true
}

// loopbacks returns addresses of this host by family: only Linux has all of
// 127.0.0.0/8 without being told.
func loopbacks(family string) []string {
	addresses := map[string][]string{"4": {"127.0.0.1"}, "6": {"::1"}}
	if runtime.GOOS == "linux" {
		addresses["4"] = []string{"127.0.0.2", "127.0.0.3", "127.0.0.1"}
	}
	if family == "dual" {
		return append(addresses["4"], "::1")
	}
	return addresses[family]
}

// wildcards are the ways to listen on all addresses.
func wildcards() map[string][2]string {
	all := map[string][2]string{"4": {"udp4", "0.0.0.0:0"}}
	if hasIPv6() {
		all["6"] = [2]string{"udp6", "[::]:0"}
		all["dual"] = [2]string{"udp", "[::]:0"}
	}
	return all
}

// echo sends a datagram through client to s and back, and returns its path.
func echo(t testing.TB, client *net.UDPConn, s *socket) path {
	t.Helper()
	if _, err := client.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	n, p, err := s.read(buffer)
	if err != nil || string(buffer[:n]) != "ask" {
		t.Fatalf("server read %q, %v", buffer[:n], err)
	}
	if err := s.write([]byte("answer"), p); err != nil {
		t.Fatal(err)
	}
	if n, err = client.Read(buffer); err != nil || string(buffer[:n]) != "answer" {
		t.Fatalf("client read %q, %v", buffer[:n], err)
	}
	return p
}

func TestSocketAnswersFromTheAddressAsked(t *testing.T) {
	for family, listen := range wildcards() {
		t.Run(family, func(t *testing.T) {
			s := newSocket(listenUDP(t, listen[0], listen[1]))
			for _, address := range loopbacks(family) {
				client := dialUDP(t, address, s.pc)
				p := echo(t, client, s)
				if want := client.LocalAddr().(*net.UDPAddr).AddrPort(); p.remote != unmap(want) {
					t.Errorf("%s: remote %v, want %v", address, p.remote, want)
				}
				if p.local != netip.MustParseAddr(address) && runtime.GOOS == "linux" {
					t.Errorf("%s: local %v", address, p.local)
				}
			}
		})
	}
}

func TestSocketWithOneAddress(t *testing.T) {
	s := newSocket(listenUDP(t, "udp", "127.0.0.1:0"))
	if p := echo(t, dialUDP(t, "127.0.0.1", s.pc), s); p.local.IsValid() {
		t.Errorf("local %v, though the socket has one address", p.local)
	}
	if s.localAddr() != s.pc.LocalAddr() {
		t.Errorf("localAddr %v, want %v", s.localAddr(), s.pc.LocalAddr())
	}
	s.close()
	if _, _, err := s.read(nil); !errors.Is(err, net.ErrClosed) || transient(err) {
		t.Errorf("read of a closed socket: %v", err)
	}
}

// An answer can't leave from a broadcast address: the system chooses.
func TestSocketAnswersBroadcast(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a broadcast address on loopback")
	}
	for _, listen := range []string{"0.0.0.0:0", "[::]:0"} {
		s := newSocket(listenUDP(t, "udp", listen))
		client := listenUDP(t, "udp", "127.0.0.1:0")
		to := netip.AddrPortFrom(netip.MustParseAddr("127.255.255.255"), uint16(s.localAddr().(*net.UDPAddr).Port))
		if _, err := client.WriteToUDPAddrPort([]byte("ask"), to); err != nil {
			t.Fatal(err)
		}
		_, p, err := s.read(make([]byte, 10))
		if err != nil || p.local != to.Addr() {
			t.Fatalf("local %v, %v", p.local, err)
		}
		if err := s.write([]byte("answer"), p); err != nil {
			t.Fatal(err)
		}
		if n, _, err := client.ReadFromUDPAddrPort(make([]byte, 10)); n != 6 || err != nil {
			t.Fatalf("client read %d bytes, %v", n, err)
		}
	}
}

func TestSocketSourceRoundTrip(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("no source address in control messages")
	}
	for _, address := range []string{"192.0.2.1", "169.254.1.1", "2001:db8::1", "fe80::1%7"} {
		local := netip.MustParseAddr(address)
		if runtime.GOOS == "linux" && local.Is4() {
			continue // the source is in another field than the destination
		}
		if got := parseLocal(marshalSource(local)); got != local {
			t.Errorf("%v came back as %v", local, got)
		}
	}
	// Only a link-local source fixes the interface.
	global := marshalSource(netip.MustParseAddr("2001:db8::1%7").WithZone(""))
	if bytes.Contains(global, []byte{7}) {
		t.Errorf("interface in %x", global)
	}
	if got := parseLocal([]byte("no control message")); got.IsValid() {
		t.Errorf("garbage is %v", got)
	}
}

func TestSocketRemembersBoundedly(t *testing.T) {
	s := newSocket(listenUDP(t, "udp4", "0.0.0.0:0"))
	address := netip.MustParseAddr("10.0.0.0")
	for i := range 10 * maxAddresses {
		address = address.Next()
		s.source(address)
		s.local(fmt.Append(nil, i))
	}
	if len(s.locals) > maxAddresses || len(s.sources) > maxAddresses {
		t.Errorf("%d locals, %d sources", len(s.locals), len(s.sources))
	}
}

func TestSocketConcurrentWrites(t *testing.T) {
	s := newSocket(listenUDP(t, "udp4", "0.0.0.0:0"))
	var all sync.WaitGroup
	for range 8 {
		client := dialUDP(t, "127.0.0.1", s.pc)
		p := echo(t, client, s)
		all.Go(func() {
			buffer := make([]byte, 10)
			for i := range 50 {
				if err := s.write([]byte{byte(i)}, p); err != nil {
					t.Error(err)
					return
				}
				if n, err := client.Read(buffer); n != 1 || err != nil || buffer[0] != byte(i) {
					t.Errorf("client read %x, %v; want %x", buffer[:n], err, i)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestSocketAllocates(t *testing.T) {
	listen := wildcards()
	listen["one address"] = [2]string{"udp4", "127.0.0.1:0"}
	for family, listen := range listen {
		t.Run(family, func(t *testing.T) {
			s := newSocket(listenUDP(t, listen[0], listen[1]))
			addresses := loopbacks(family)
			if family == "one address" {
				addresses = []string{"127.0.0.1"}
			}
			var clients []*net.UDPConn
			for _, address := range addresses {
				clients = append(clients, dialUDP(t, address, s.pc))
			}
			buffer := make([]byte, 1500)
			allocs := testing.AllocsPerRun(100, func() {
				for _, client := range clients { // the addresses take turns
					client.Write(buffer[:1200])
					_, p, err := s.read(buffer)
					if err != nil {
						t.Fatal(err)
					}
					if err := s.write(buffer[:1200], p); err != nil {
						t.Fatal(err)
					}
					if n, err := client.Read(buffer); n != 1200 || err != nil {
						t.Fatal(n, err)
					}
				}
			})
			if allocs != 0 {
				t.Errorf("%v allocations per round, want 0", allocs)
			}
		})
	}
}

// A scriptedConn is a PacketConn whose datagrams come from the addresses given.
type scriptedConn struct {
	net.PacketConn // nil: nothing else is used
	from           []net.Addr
	err            error
	to             net.Addr
}

func (c *scriptedConn) LocalAddr() net.Addr { return textAddr("here") }

func (c *scriptedConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if len(c.from) == 0 {
		return 0, nil, c.err
	}
	from := c.from[0]
	c.from = c.from[1:]
	return copy(b, "data"), from, nil
}

func (c *scriptedConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.to = to
	return len(b), nil
}

type textAddr string

func (a textAddr) Network() string { return "text" }
func (a textAddr) String() string  { return string(a) }

type addrPortAddr struct {
	textAddr
	netip.AddrPort
}

func (a addrPortAddr) String() string              { return string(a.textAddr) }
func (a addrPortAddr) AddrPort() netip.AddrPort    { return a.AddrPort_() }
func (a addrPortAddr) AddrPort_() netip.AddrPort   { return a.AddrPort }
