package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// The demo starts its nodes as this program again, which here is the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "node" {
		if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// A device keeps talking while the nodes that answer it are killed.
func TestDemo(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("redis-server is not installed")
	}
	var out strings.Builder
	if err := demo(t.Context(), "", 12*time.Second, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	t.Logf("\n%s", &out)
	if kills := strings.Count(out.String(), "is killed"); kills < 2 {
		t.Errorf("%d nodes were killed", kills)
	}
	if took := strings.Count(out.String(), "is answered by"); took < 2 {
		t.Errorf("%d nodes have answered", took)
	}
	if !strings.Contains(out.String(), "all answered") {
		t.Error("the device did not get to the end")
	}
}

// A roaming socket is a PacketConn whose address can change.
type roaming struct {
	*net.UDPConn
	to *net.UDPAddr
}

func (r *roaming) rebind(t *testing.T) {
	t.Helper()
	c, err := net.DialUDP("udp", nil, r.to)
	if err != nil {
		t.Fatal(err)
	}
	if r.UDPConn != nil {
		r.UDPConn.Close()
	}
	r.UDPConn = c
}

// Wherever devices go, all that they send reaches the node that has them.
func TestBalancerRoutesRebindingDevices(t *testing.T) {
	secret := secrets{1}
	router, err := secret.router()
	if err != nil {
		t.Fatal(err)
	}
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	front, err := net.ListenUDP("udp", local)
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.ListenUDP("udp", local)
	if err != nil {
		t.Fatal(err)
	}
	b := newBalancer(router, front, back)
	defer b.Close()
	for n := range uint64(nodes) {
		node, err := newNode(n+1, back.LocalAddr().(*net.UDPAddr).AddrPort(), secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer node.Close()
	}
	for end := time.Now().Add(time.Minute); b.living() < nodes; {
		if time.Now().After(end) {
			t.Fatalf("%d nodes live", b.living())
		}
		time.Sleep(heartbeatInterval)
	}
	counts := map[string]int{}
	for i := range 60 {
		link := &roaming{to: front.LocalAddr().(*net.UDPAddr)}
		link.rebind(t)
		config := secret.deviceConfig(fmt.Sprint("device ", i))
		if i%2 == 0 {
			config.MaxVersion = dtls.VersionDTLS12
		}
		c, err := dtls.Client(link, config)
		if err != nil {
			t.Fatal(err)
		}
		home := ""
		for n := range 5 {
			x, err := ask(t.Context(), c, n)
			if err != nil {
				t.Fatalf("device %d: %v", i, err)
			}
			if home == "" {
				home = x.node
			}
			if x.node != home || x.tries > 1 {
				t.Errorf("device %d is %s's, and %s answers at try %d", i, home, x.node, x.tries)
			}
			link.rebind(t)
		}
		counts[home]++
		c.Close()
	}
	if len(counts) != nodes {
		t.Errorf("not all nodes have devices: %v", counts)
	}
}

// A datagram without an ID, and one whose node is dead, goes to one of those that
// live, always to the same one; without any it goes nowhere.
func TestBalancerRoutesAroundTheDead(t *testing.T) {
	router, err := secrets{2}.router()
	if err != nil {
		t.Fatal(err)
	}
	ids, err := router.Generator(2)
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{router: router, nodes: map[uint64]*member{}}
	now, device := time.Now(), netip.MustParseAddrPort("192.0.2.1:1000")
	record := append([]byte{0b0011_1100}, ids.New()...)
	if _, ok := b.route(record, device, now); ok {
		t.Error("there is a node where none is")
	}
	at := func(n uint64) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(n)) }
	for n := range uint64(nodes) {
		b.alive(n+1, at(n+1), now)
	}
	if node, ok := b.route(record, device, now); !ok || node != at(2) {
		t.Errorf("a record of node 2 goes to %v", node)
	}
	later := now.Add(nodeTimeout)
	b.alive(1, at(1), later)
	b.alive(3, at(3), later)
	first, ok := b.route(record, device, later)
	if !ok || first == at(2) {
		t.Errorf("a record of the dead node goes to %v", first)
	}
	for range 10 {
		if node, _ := b.route(record, device, later); node != first {
			t.Errorf("now to %v, now to %v", first, node)
		}
	}
	if _, ok := b.route([]byte{22, 0xfe, 0xfd}, device, later); !ok {
		t.Error("a hello goes nowhere")
	}
}

func TestTunnel(t *testing.T) {
	for _, text := range []string{"192.0.2.1:1000", "[2001:db8::1]:443"} {
		device := netip.MustParseAddrPort(text)
		b := make([]byte, tunnelHeader, 100)
		putTunnelHeader(b, device)
		got, datagram, ok := splitTunnel(append(b, "datagram"...))
		if !ok || got != device || string(datagram) != "datagram" {
			t.Errorf("%v became %v, %q, %v", device, got, datagram, ok)
		}
		for n := range b {
			if _, _, ok := splitTunnel(b[:n]); ok {
				t.Errorf("%d bytes are a header", n)
			}
		}
	}
	if n := heartbeatOf(heartbeat(1 << 40)); n != 1<<40 {
		t.Errorf("node %d", n)
	}
}
