package dtls

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// batchingSocket is a socket that must be able to batch.
func batchingSocket(t testing.TB, network, address string) *socket {
	t.Helper()
	s := newSocket(listenUDP(t, network, address))
	s.udp.SetReadBuffer(1 << 20)
	if !s.batches() {
		t.Skip("no recvmmsg here")
	}
	return s
}

// everywhere are the sockets that a Listener may have, with the addresses to reach them by.
func everywhere() map[string][2]string {
	all := wildcards()
	all["one address"] = [2]string{"udp4", "127.0.0.1:0"}
	return all
}

func addressesOf(family string) []string {
	if family == "one address" {
		return []string{"127.0.0.1"}
	}
	return loopbacks(family)
}

// mixed are datagrams of several sizes, in runs and alone.
func mixed(name string) (datagrams [][]byte) {
	for i, size := range []int{1200, 1200, 1200, 700, 700, 1, 1400, 1400, 30, 65000} {
		datagrams = append(datagrams, fmt.Appendf(nil, "%s %d %s", name, i, strings.Repeat("x", size)))
	}
	return datagrams
}

// sendAll sends datagrams by a path.
func sendAll(t testing.TB, s *socket, datagrams [][]byte, to Path) {
	t.Helper()
	out := newOutgoing()
	defer out.release()
	flush := func() {
		if rest, err := s.send(out.runs); err != nil {
			t.Fatalf("%d datagrams are left: %v", count(rest), err)
		}
		out.reset()
	}
	for _, d := range datagrams {
		if len(d) > len(out.free()) {
			flush()
		}
		out.add(copy(out.free(), d), to)
	}
	flush()
}

// receiveAll reads n datagrams.
func receiveAll(t testing.TB, s *socket, n int, got func(datagram []byte, by Path)) {
	t.Helper()
	for n > 0 {
		in, err := s.receive()
		if err != nil {
			t.Fatal(err)
		}
		n -= count(in.runs)
		for _, r := range in.runs {
			for datagram := range slices.Chunk(r.data, r.size) {
				got(datagram, r.path)
			}
		}
		in.release()
	}
}

// Runs of several peers are read as the datagrams that they were, each with the path that
// it came by, and answers in runs leave from where they were asked.
func TestSocketBatches(t *testing.T) {
	for family, listen := range everywhere() {
		t.Run(family, func(t *testing.T) {
			s := batchingSocket(t, listen[0], listen[1])
			clients := map[netip.AddrPort]*socket{}
			want, paths := map[netip.AddrPort][][]byte{}, map[netip.AddrPort]Path{}
			total := 0
			for _, address := range addressesOf(family) {
				conn := dialUDP(t, address, s.pc)
				from := unmap(conn.LocalAddr().(*net.UDPAddr).AddrPort())
				client := connectedSocket(conn)
				clients[from], want[from] = client, mixed(address)
				sendAll(t, client, want[from], Path{})
				total += len(want[from])
			}
			left := map[netip.AddrPort][][]byte{}
			for from, datagrams := range want {
				left[from] = datagrams
			}
			receiveAll(t, s, total, func(datagram []byte, by Path) {
				from := by.Remote
				if len(left[from]) == 0 || !bytes.Equal(datagram, left[from][0]) {
					t.Fatalf("from %v: %.20q, %d bytes", from, datagram, len(datagram))
				}
				paths[from], left[from] = by, left[from][1:]
			})
			for from, client := range clients {
				local := client.udp.RemoteAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
				if family == "one address" {
					local = netip.Addr{}
				}
				if paths[from].Local != local {
					t.Errorf("from %v: it came to %v, want %v", from, paths[from].Local, local)
				}
				sendAll(t, s, want[from], paths[from])
				receiveAll(t, client, len(want[from]), func(datagram []byte, by Path) {
					if by != (Path{}) || !bytes.Equal(datagram, want[from][0]) {
						t.Fatalf("%.20q, %d bytes, by %v", datagram, len(datagram), by)
					}
					want[from] = want[from][1:]
				})
			}
		})
	}
}

// Where the system refuses segments, or the source, datagrams go one by one.
func TestSocketFallsBack(t *testing.T) {
	option := func(t *testing.T, s *socket, level, name, value int) {
		raw, err := s.udp.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, name, value) })
		if err != nil {
			t.Fatal(err)
		}
	}
	for what, refuse := range map[string]func(t *testing.T, s *socket, to *Path){
		"segments without checksums": func(t *testing.T, s *socket, _ *Path) { option(t, s, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) },
		"no segments":                func(_ *testing.T, s *socket, _ *Path) { s.segments.Store(false) },
		"an address of nobody":       func(_ *testing.T, _ *socket, to *Path) { to.Local = netip.MustParseAddr("192.0.2.1") },
		"no calls":                   func(_ *testing.T, s *socket, _ *Path) { s.raw = nil },
	} {
		t.Run(what, func(t *testing.T) {
			s, client := batchingSocket(t, "udp4", "0.0.0.0:0"), batchingSocket(t, "udp4", "127.0.0.1:0")
			to := Path{Remote: client.pc.LocalAddr().(*net.UDPAddr).AddrPort()}
			refuse(t, s, &to)
			want := mixed("data")
			sendAll(t, s, want, to)
			receiveAll(t, client, len(want), func(datagram []byte, _ Path) {
				if !bytes.Equal(datagram, want[0]) {
					t.Fatalf("%.20q, want %.20q", datagram, want[0])
				}
				want = want[1:]
			})
		})
	}
}

// What can't be sent at all is told, with what is behind it.
func TestSocketSendsUntilAnError(t *testing.T) {
	s, client := batchingSocket(t, "udp4", "0.0.0.0:0"), batchingSocket(t, "udp4", "127.0.0.1:0")
	good := Path{Remote: client.pc.LocalAddr().(*net.UDPAddr).AddrPort()}
	for _, bad := range []Path{
		{Remote: netip.MustParseAddrPort("[::1]:1")},
		{Remote: netip.MustParseAddrPort("[fe80::1%1]:1")},
		{Remote: netip.MustParseAddrPort("255.255.255.255:1")}, // without SO_BROADCAST
	} {
		data := make([]byte, 300)
		rest, err := s.send([]run{{data[:200], 100, good}, {data, 100, bad}, {data[:50], 50, good}})
		if bad.Remote.Addr() == netip.MustParseAddr("255.255.255.255") && err == nil {
			continue // Go sets it
		}
		if err == nil || count(rest) != 4 {
			t.Errorf("to %v: %d are left, %v", bad.Remote, count(rest), err)
		}
		receiveAll(t, client, 2, func([]byte, Path) {})
	}
}

func TestSocketBatchesDoNotAllocate(t *testing.T) {
	if !Alone(t) {
		return
	}
	for family, listen := range everywhere() {
		s := batchingSocket(t, listen[0], listen[1])
		client := connectedSocket(dialUDP(t, addressesOf(family)[0], s.pc))
		data := make([]byte, 40*1200)
		runs := make([]run, 2)
		exchange := func(from, to *socket, path Path) (by Path) {
			runs[0], runs[1] = run{data, 1200, path}, run{data[:300], 300, path}
			if _, err := from.send(runs); err != nil {
				t.Fatal(err)
			}
			for n := 41; n > 0; {
				in, err := to.receive()
				if err != nil {
					t.Fatal(err)
				}
				n -= count(in.runs)
				by = in.runs[0].path
				in.release()
			}
			return by
		}
		if n := testing.AllocsPerRun(50, func() { exchange(s, client, exchange(client, s, Path{})) }); n != 0 && !RaceDetector {
			t.Errorf("%s: %v allocations", family, n)
		}
	}
}

// A datagram from a link-local address has the name of the interface.
func TestSocketZones(t *testing.T) {
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) == 0 {
		t.Skip("no interfaces")
	}
	s := &socket{batching: batching{ipv6: true}}
	for number, zone := range map[uint32]string{uint32(interfaces[0].Index): interfaces[0].Name, 1 << 30: "1073741824"} {
		var name [nameSize]byte
		want := netip.MustParseAddrPort("[fe80::1%" + zone + "]:5684")
		s.putReceiver(&name, want)
		name[24], name[25], name[26], name[27] = byte(number), byte(number>>8), byte(number>>16), byte(number>>24)
		for range 2 {
			if got := s.sender(&name); got != want && name[0] == unix.AF_INET6 { // little-endian
				t.Errorf("%v, want %v", got, want)
			}
		}
	}
}

// Who finds nothing to read makes no buffer for it.
func TestNothingToReadTakesNoBuffer(t *testing.T) {
	if !Alone(t) {
		return
	}
	l := newConnLink(dialUDP(t, "127.0.0.1", batchingSocket(t, "udp4", "127.0.0.1:0").pc))
	var before, after runtime.MemStats
	runtime.GC() // empties pools
	runtime.GC()
	runtime.ReadMemStats(&before)
	l.poll()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n >= slotSize {
		t.Errorf("%d bytes were allocated", n)
	}
}

// Deadlines end a wait, and whoever waits holds no buffer.
func TestBatchedLinkDeadline(t *testing.T) {
	s := batchingSocket(t, "udp4", "127.0.0.1:0")
	l := newConnLink(dialUDP(t, "127.0.0.1", s.pc))
	if l.socket == nil {
		t.Fatal("the link doesn't batch")
	}
	failed := make(chan error)
	go func() {
		_, err := l.receive()
		failed <- err
	}()
	l.setReadDeadline(time.Now().Add(time.Millisecond))
	if err := <-failed; !timedOut(err) {
		t.Errorf("receive: %v", err)
	}
	l.setReadDeadline(time.Time{})
	client := l.conn.(*net.UDPConn).LocalAddr().(*net.UDPAddr).AddrPort()
	if _, err := s.send([]run{{[]byte("abcde"), 2, Path{Remote: client}}}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"ab", "cd", "e"} {
		if i == 1 { // what is there can't be had behind the deadline
			l.setReadDeadline(past)
			if _, err := l.receive(); !timedOut(err) {
				t.Errorf("behind the deadline: %v", err)
			}
			l.setReadDeadline(time.Time{})
		}
		p, err := l.receive()
		if err != nil || string(p.data) != want {
			t.Fatalf("%q, %v; want %q", p.data, err, want)
		}
		p.release()
	}
	l.wake()
	if p, err := l.receive(); err != nil || len(p.data) != 0 {
		t.Errorf("woken: %v, %v", p, err)
	}
	if p := l.poll(); p != nil {
		t.Errorf("polled %q", p.data)
	}
}

// Control messages that somebody else has asked for tell nothing of an address.
func TestSocketForeignControlMessages(t *testing.T) {
	for name, family := range everywhere() {
		t.Run(name, func(t *testing.T) {
			pc := listenUDP(t, family[0], family[1])
			raw, err := pc.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1) })
			if err != nil {
				t.Fatal(err)
			}
			s := newSocket(pc)
			for _, address := range addressesOf(name) {
				from := dialUDP(t, address, pc)
				for range 5 {
					if _, err := from.Write([]byte("timed")); err != nil {
						t.Fatal(err)
					}
					in, err := s.receive()
					if err != nil || string(in.runs[0].data) != "timed" {
						t.Fatalf("%v, %v", in, err)
					}
					in.release()
				}
			}
			if most := 2 * len(addressesOf(name)); len(s.locals) > most { // of IPv4 twice, on some sockets
				t.Errorf("%d are remembered, more than %d", len(s.locals), most)
			}
		})
	}
}
