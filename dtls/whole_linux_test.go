package dtls

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// option is a socket's option of that level.
func option(t *testing.T, udp *net.UDPConn, level, name int) (value int) {
	t.Helper()
	raw, err := udp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, name) })
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// With MaxMTU nothing that goes out by a UDP socket may be fragmented; without, the socket
// is as the application has made it.
//
// RFC 9147 4.4 [8, 9]
func TestKeepWhole(t *testing.T) {
	type socketOf func(t *testing.T, udp *net.UDPConn, most int) *Engine
	dialed := func(t *testing.T, udp *net.UDPConn, most int) *Engine {
		client, _ := with(maxMTU(most))
		c, err := Client(udp, client)
		if err != nil {
			t.Fatal(err)
		}
		return c.engine
	}
	for name, make := range map[string]socketOf{
		"Client": dialed,
		"FromPacketConn": func(t *testing.T, udp *net.UDPConn, most int) *Engine {
			client, _ := with(maxMTU(most))
			c, err := Client(FromPacketConn(udp, udp.LocalAddr()), client)
			if err != nil {
				t.Fatal(err)
			}
			return c.engine
		},
		"Listener": func(t *testing.T, udp *net.UDPConn, most int) *Engine {
			_, server := with(func(_, server *Config) { server.MaxMTU = most })
			l, err := NewListener(udp, server)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return l.newPeer(newServerEngine(server), home).conn.engine
		},
	} {
		for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
			if address != "127.0.0.1:0" && !hasIPv6() {
				continue
			}
			for _, most := range []int{0, 1472} {
				udp := listenUDP(t, "udp", address)
				if name == "Client" {
					udp = dialUDP(t, map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", ":0": "127.0.0.1"}[address], udp)
				}
				before := option(t, udp, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
				e := make(t, udp, most)
				want := before
				if most != 0 {
					want = unix.IP_PMTUDISC_PROBE
				}
				if got := option(t, udp, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); got != want {
					t.Errorf("%s at %s, MaxMTU %d: IP_MTU_DISCOVER is %d, was %d", name, address, most, got, before)
				}
				if got := udp.LocalAddr().(*net.UDPAddr); most != 0 && got.IP.To4() == nil && option(t, udp, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER) != unix.IPV6_PMTUDISC_PROBE {
					t.Errorf("%s at %s: IPv6 may be fragmented", name, address)
				}
				if (e.search != nil) != (most != 0) {
					t.Errorf("%s at %s, MaxMTU %d: it searches: %v", name, address, most, e.search != nil)
				}
			}
		}
	}
}

// Where the system doesn't do it, there is no search.
func TestKeepWholeFails(t *testing.T) {
	udp := listenUDP(t, "udp", "127.0.0.1:0")
	udp.Close()
	client, server := with(maxMTU(1472), answering)
	c, err := Client(FromPacketConn(udp, udp.LocalAddr()), client)
	if err != nil {
		t.Fatal(err)
	}
	l := makeListener(udp, server)
	if c.engine.search != nil || l.newPeer(newServerEngine(server), home).conn.engine.search != nil {
		t.Error("it searches over a socket that may fragment")
	}
}
