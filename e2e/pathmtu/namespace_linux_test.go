package pathmtu

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"golang.org/x/sys/unix"
)

// A network is two hosts with what is between them. Their own links carry 1500 bytes,
// what is between them less.
type network struct {
	t              testing.TB
	client, server string // the names of namespaces
	middle         string
	addresses      map[string]string // the server's, by family
}

var networks atomic.Int32

// newNetwork makes the namespaces and their links. Where that isn't allowed the test is
// skipped, except in CI, where it fails.
func newNetwork(t testing.TB) *network {
	t.Helper()
	peer.Find(t, "ip")
	name := fmt.Sprintf("godwit-%d-%d-", os.Getpid(), networks.Add(1))
	n := &network{t: t, client: name + "client", server: name + "server", middle: name + "middle"}
	for _, namespace := range []string{n.client, n.server, n.middle} {
		out, err := exec.Command("ip", "netns", "add", namespace).CombinedOutput()
		switch {
		case err == nil:
			t.Cleanup(func() { exec.Command("ip", "netns", "delete", namespace).Run() })
		case os.Getenv("CI") == "true":
			t.Fatalf("ip netns add: %v: %s", err, out)
		default:
			t.Skipf("no network namespaces: ip netns add: %v: %s", err, out)
		}
	}
	for host, port := range map[string]string{n.client: "left", n.server: "right"} {
		n.ip(host, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", n.middle)
		n.ip(host, "link", "set", "lo", "up")
	}
	return n
}

// ip runs the program of this name in a namespace.
func (n *network) ip(namespace string, arguments ...string) {
	n.t.Helper()
	if out, err := exec.Command("ip", append([]string{"-n", namespace}, arguments...)...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip -n %s %v: %v: %s", namespace, arguments, err, out)
	}
}

// address gives a device an address, at once.
func (n *network) address(namespace, device, prefix string) {
	n.t.Helper()
	n.ip(namespace, "address", "add", prefix, "dev", device, "nodad")
	n.ip(namespace, "link", "set", device, "up")
}

// bridged has a bridge in the middle, which drops what is too large for the server's
// port, without a word: a black hole.
func bridged(t testing.TB) *network {
	t.Helper()
	n := newNetwork(t)
	n.ip(n.middle, "link", "add", "bridge", "type", "bridge")
	for _, device := range []string{"left", "right", "bridge"} {
		if device != "bridge" {
			n.ip(n.middle, "link", "set", device, "master", "bridge")
		}
		n.ip(n.middle, "link", "set", device, "up")
	}
	n.narrowTo(narrow)
	n.address(n.client, "eth0", "192.0.2.1/24")
	n.address(n.client, "eth0", "2001:db8::1/64")
	n.address(n.server, "eth0", "192.0.2.2/24")
	n.address(n.server, "eth0", "2001:db8::2/64")
	n.addresses = map[string]string{"IPv4": "192.0.2.2", "IPv6": "2001:db8::2"}
	return n
}

// routed has a router in the middle, which says by ICMP what is too large for the
// server's link, and fragments what it may.
func routed(t testing.TB) *network {
	t.Helper()
	n := newNetwork(t)
	n.in(n.middle, func() error {
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644),
			os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0o644))
	})
	n.address(n.middle, "left", "192.0.2.254/24")
	n.address(n.middle, "left", "2001:db8:0:1::ff/64")
	n.address(n.middle, "right", "198.51.100.254/24")
	n.address(n.middle, "right", "2001:db8:0:2::ff/64")
	n.narrowTo(narrow)
	n.address(n.client, "eth0", "192.0.2.1/24")
	n.address(n.client, "eth0", "2001:db8:0:1::1/64")
	n.address(n.server, "eth0", "198.51.100.2/24")
	n.address(n.server, "eth0", "2001:db8:0:2::2/64")
	n.ip(n.client, "route", "add", "default", "via", "192.0.2.254")
	n.ip(n.client, "route", "add", "default", "via", "2001:db8:0:1::ff")
	n.ip(n.server, "route", "add", "default", "via", "198.51.100.254")
	n.ip(n.server, "route", "add", "default", "via", "2001:db8:0:2::ff")
	n.addresses = map[string]string{"IPv4": "198.51.100.2", "IPv6": "2001:db8:0:2::2"}
	return n
}

// narrow is the MTU in the middle.
const narrow = 1400

// narrowTo sets the MTU of the link to the server, as the middle knows it.
func (n *network) narrowTo(mtu int) {
	n.t.Helper()
	n.ip(n.middle, "link", "set", "right", "mtu", strconv.Itoa(mtu))
}

// in runs f, which opens a socket, in a namespace.
func (n *network) in(namespace string, f func() error) {
	n.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		n.t.Fatal(err)
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + namespace)
	if err != nil {
		n.t.Fatal(err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		n.t.Fatal(err)
	}
	failed := f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		panic(err) // the thread is of no use to anybody
	}
	if failed != nil {
		n.t.Fatal(failed)
	}
}

// sockets opens one of the server's, and one of the client's that is connected to it.
func (n *network) sockets(family string) (client net.Conn, server net.PacketConn) {
	n.t.Helper()
	n.in(n.server, func() (err error) {
		server, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(n.addresses[family])})
		return err
	})
	n.in(n.client, func() (err error) {
		client, err = net.DialUDP("udp", nil, server.LocalAddr().(*net.UDPAddr))
		return err
	})
	return client, server
}
