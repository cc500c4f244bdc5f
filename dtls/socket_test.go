package dtls

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/transport/v3/vnet"
	"golang.org/x/net/ipv6"
)

// testTime is how long a test waits for what must come: a hang ends, and a busy machine is waited for.
const testTime = time.Minute

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
func echo(t testing.TB, client *net.UDPConn, s *socket) Path {
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
				if want := client.LocalAddr().(*net.UDPAddr).AddrPort(); p.Remote != unmap(want) {
					t.Errorf("%s: remote %v, want %v", address, p.Remote, want)
				}
				if p.Local != netip.MustParseAddr(address) && runtime.GOOS == "linux" {
					t.Errorf("%s: local %v", address, p.Local)
				}
			}
		})
	}
}

func TestSocketWithOneAddress(t *testing.T) {
	s := newSocket(listenUDP(t, "udp", "127.0.0.1:0"))
	if p := echo(t, dialUDP(t, "127.0.0.1", s.pc), s); p.Local.IsValid() {
		t.Errorf("local %v, though the socket has one address", p.Local)
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
		if err != nil || p.Local != to.Addr() {
			t.Fatalf("local %v, %v", p.Local, err)
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
	if runtime.GOOS == "windows" {
		t.Skip("no control messages")
	}
	// IPv4's message has the source in another field than the destination.
	for _, address := range []string{"2001:db8::1", "fe80::1%7"} {
		local := netip.MustParseAddr(address)
		control := marshalSource(local)
		if got := parseLocal(control); got != local {
			t.Errorf("%v came back as %v", local, got)
		}
		var message ipv6.ControlMessage
		message.Parse(control)
		if fixed := message.IfIndex != 0; fixed != local.IsLinkLocalUnicast() {
			t.Errorf("%v: interface %d", local, message.IfIndex)
		}
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
	if !Alone(t) {
		return
	}
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

// An ipAddr is not a *net.UDPAddr, but has what is needed of it.
type ipAddr struct{ textAddr }

func (a ipAddr) AddrPort() netip.AddrPort { return netip.MustParseAddrPort(string(a.textAddr)) }

func TestSocketOverAnyPacketConn(t *testing.T) {
	want := netip.MustParseAddrPort("192.0.2.1:5684")
	c := &scriptedConn{err: net.ErrClosed, from: []net.Addr{
		&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5684}, // 16 bytes: mapped
		ipAddr{"192.0.2.1:5684"},
		textAddr("192.0.2.1:5684"),
		nil,
		(*net.UDPAddr)(nil),
	}}
	s := newSocket(c)
	buffer := make([]byte, 10)
	for range 2 {
		n, p, err := s.read(buffer)
		if err != nil || n != 4 || p != (Path{Remote: want}) {
			t.Errorf("read %d bytes by %v, %v", n, p, err)
		}
		if err := s.write(buffer, p); err != nil || c.to.(*net.UDPAddr).AddrPort() != want {
			t.Errorf("wrote to %v, %v", c.to, err)
		}
	}
	for range 3 {
		if n, p, err := s.read(buffer); n != 0 || p != (Path{}) || !errors.Is(err, errUnreadable) || !transient(err) {
			t.Errorf("read %d bytes by %v, %v", n, p, err)
		}
	}
	if _, _, err := s.read(buffer); err != net.ErrClosed {
		t.Errorf("read: %v", err)
	}
}

func TestSocketOverVirtualNetwork(t *testing.T) {
	network, err := vnet.NewNet(&vnet.NetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	listen := func() net.PacketConn {
		pc, err := network.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pc.Close() })
		return pc
	}
	s, client := newSocket(listen()), listen()
	for _, size := range []int{20, 10} { // the first doesn't fit
		if _, err := client.WriteTo(make([]byte, size), s.localAddr()); err != nil {
			t.Fatal(err)
		}
	}
	buffer := make([]byte, 10)
	if _, _, err := s.read(buffer); !transient(err) {
		t.Fatalf("a datagram larger than the buffer: %v", err)
	}
	n, p, err := s.read(buffer)
	if err != nil || n != 10 {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	if err := s.write(buffer, p); err != nil {
		t.Fatal(err)
	}
	if n, _, err := client.ReadFrom(buffer); n != 10 || err != nil {
		t.Fatalf("client read %d bytes, %v", n, err)
	}
}

func TestTransient(t *testing.T) {
	fatal := []error{nil, io.EOF, net.ErrClosed, os.ErrDeadlineExceeded, syscall.EBADF, errors.New("something")}
	for _, err := range fatal {
		if transient(err) || tooBig(err) {
			t.Errorf("%v passes for transient", err)
		}
	}
	passing := []error{
		syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN,
		syscall.ENOPROTOOPT, syscall.EPROTO, syscall.EOPNOTSUPP, syscall.ENOBUFS, syscall.EPERM, syscall.EACCES,
		syscall.EADDRNOTAVAIL, syscall.EMSGSIZE,
	}
	switch runtime.GOOS {
	case "windows": // the constants above are inventions of package syscall there
		passing = []error{syscall.Errno(10054), syscall.Errno(10052), syscall.Errno(10061), syscall.Errno(10040)}
	case "linux":
		if !strings.HasPrefix(runtime.GOARCH, "mips") {
			passing = append(passing, syscall.Errno(64)) // ENONET
		}
	}
	for _, err := range append(passing, io.ErrShortBuffer) {
		wrapped := &net.OpError{Op: "write", Net: "udp", Err: os.NewSyscallError("sendto", err)}
		if !transient(wrapped) {
			t.Errorf("%v is not transient", wrapped)
		}
	}
}

// Nobody listens: ICMP says so, and the next datagram may find somebody.
func TestPortUnreachableIsTransient(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Go doesn't report it on Windows")
	}
	nobody := listenUDP(t, "udp", "127.0.0.1:0")
	client := dialUDP(t, "127.0.0.1", nobody)
	nobody.Close()
	if _, err := client.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 10)); !transient(err) || tooBig(err) {
		t.Errorf("read: %v", err)
	}
}

func TestTooBig(t *testing.T) {
	s := newSocket(listenUDP(t, "udp4", "0.0.0.0:0"))
	p := echo(t, dialUDP(t, "127.0.0.1", s.pc), s)
	for _, p := range []Path{p, {Remote: p.Remote}} {
		if err := s.write(make([]byte, 65508), p); !tooBig(err) || !transient(err) {
			t.Errorf("write of 65508 bytes by %v: %v", p, err)
		}
	}
}

// packetConns returns two ends on UDP made by FromPacketConn, and a stranger's socket.
func packetConns(t *testing.T) (server, client net.Conn, stranger *net.UDPConn) {
	serverPC := listenUDP(t, "udp", "127.0.0.1:0")
	clientPC := listenUDP(t, "udp", "127.0.0.1:0")
	stranger = listenUDP(t, "udp", "127.0.0.1:0")
	return FromPacketConn(serverPC, clientPC.LocalAddr()), FromPacketConn(clientPC, serverPC.LocalAddr()), stranger
}

func TestFromPacketConn(t *testing.T) {
	server, client, stranger := packetConns(t)
	if _, err := stranger.WriteTo([]byte("stranger"), server.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a", "", "bc"} { // datagrams keep their borders
		if n, err := client.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatalf("wrote %d bytes, %v", n, err)
		}
	}
	buffer := make([]byte, 20)
	for _, text := range []string{"a", "", "bc"} {
		if n, err := server.Read(buffer); err != nil || string(buffer[:n]) != text {
			t.Errorf("read %q, %v; want %q", buffer[:n], err, text)
		}
	}
	if server.RemoteAddr() != client.LocalAddr() {
		t.Errorf("remote %v, want %v", server.RemoteAddr(), client.LocalAddr())
	}
	server.SetReadDeadline(time.Now())
	if _, err := server.Read(buffer); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	server.SetWriteDeadline(time.Now())
	if _, err := server.Write(buffer); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write after the deadline: %v", err)
	}
	server.SetDeadline(time.Time{})
	if _, err := server.Write(buffer); err != nil {
		t.Errorf("write without a deadline: %v", err)
	}
}

func TestFromPacketConnCloses(t *testing.T) {
	server, _, _ := packetConns(t)
	failed := make(chan error)
	go func() {
		_, err := server.Read(make([]byte, 10))
		failed <- err
	}()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := server.Write(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
}

// A dual-stack socket gives IPv4 addresses in their mapped form.
func TestFromPacketConnUnmaps(t *testing.T) {
	if !hasIPv6() {
		t.Skip("no IPv6 here")
	}
	dual := listenUDP(t, "udp", "[::]:0")
	client := dialUDP(t, "127.0.0.1", dual)
	remote := client.LocalAddr().(*net.UDPAddr)
	for _, ip := range []net.IP{remote.IP.To4(), remote.IP.To16()} {
		server := FromPacketConn(dual, &net.UDPAddr{IP: ip, Port: remote.Port})
		exchange(t, client, server)
	}
}

// exchange sends a datagram each way.
func exchange(t *testing.T, a, b net.Conn) {
	t.Helper()
	buffer := make([]byte, 10)
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		if _, err := way[0].Write([]byte("data")); err != nil {
			t.Fatal(err)
		}
		if n, err := way[1].Read(buffer); err != nil || string(buffer[:n]) != "data" {
			t.Fatalf("read %q, %v", buffer[:n], err)
		}
	}
}

func TestFromPacketConnZones(t *testing.T) {
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) == 0 {
		t.Fatal("no interface", err)
	}
	name, number := interfaces[0].Name, strconv.Itoa(interfaces[0].Index)
	for _, test := range []struct {
		remote, from string
		want         bool
	}{
		{"[fe80::1%" + name + "]:1", "[fe80::1%" + name + "]:1", true},
		{"[fe80::1%" + number + "]:1", "[fe80::1%" + name + "]:1", true},
		{"[fe80::1]:1", "[fe80::1%" + name + "]:1", true},
		{"[fe80::1%other]:1", "[fe80::1%" + name + "]:1", false},
		{"[fe80::1%" + name + "]:1", "[fe80::1%" + name + "]:2", false},
		{"[fe80::1%" + name + "]:1", "[fe80::2%" + name + "]:1", false},
	} {
		remote := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(test.remote))
		from := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(test.from))
		read(t, FromPacketConn(&scriptedConn{err: io.EOF, from: []net.Addr{from}}, remote), test.want)
	}
}

// read expects one datagram, or none.
func read(t *testing.T, c net.Conn, want bool) {
	t.Helper()
	if _, err := c.Read(make([]byte, 10)); (err == nil) != want {
		t.Errorf("datagram for %v: %v, want %v", c.RemoteAddr(), err, want)
	}
}

func TestFromPacketConnOtherAddresses(t *testing.T) {
	pc := &scriptedConn{err: io.EOF, from: []net.Addr{nil, textAddr("stranger"), ipAddr{"192.0.2.1:1"}, textAddr("friend")}}
	c := FromPacketConn(pc, textAddr("friend"))
	read(t, c, true)
	if len(pc.from) != 0 {
		t.Errorf("%v not read yet: a stranger passed", pc.from)
	}
	read(t, c, false)
	if _, err := c.Write(nil); err != nil || pc.to != textAddr("friend") {
		t.Errorf("wrote to %v, %v", pc.to, err)
	}
}

func TestFromPacketConnConcurrently(t *testing.T) {
	server, client, _ := packetConns(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			buffer := make([]byte, 10)
			for range 50 {
				if _, err := client.Write(buffer); err != nil {
					t.Error(err)
					return
				}
				if n, err := server.Read(buffer); n != 10 || err != nil {
					t.Errorf("read %d bytes, %v", n, err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestFromPacketConnAllocates(t *testing.T) {
	if !Alone(t) {
		return
	}
	server, client, _ := packetConns(t)
	buffer := make([]byte, 1500)
	allocs := testing.AllocsPerRun(100, func() {
		client.Write(buffer[:1200])
		if n, err := server.Read(buffer); n != 1200 || err != nil {
			t.Fatal(n, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per datagram, want 0", allocs)
	}
}
