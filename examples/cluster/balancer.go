package main

import (
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

const (
	// heartbeatInterval is how often a node says that it is alive, and nodeTimeout
	// how long it may be silent.
	heartbeatInterval = 50 * time.Millisecond
	nodeTimeout       = 250 * time.Millisecond
)

// A balancer passes datagrams between devices and nodes. It keeps nothing about
// devices, and has no key of theirs: the connection ID on a record tells it the
// node's number, and where there is none yet the device's address picks one. If
// that node is silent another one gets the datagram, always the same for one
// number as long as the others live.
type balancer struct {
	router *dtls.ConnectionIDRouter
	front  *net.UDPConn // for devices
	back   *net.UDPConn // for nodes
	seed   maphash.Seed

	mu    sync.Mutex
	nodes map[uint64]*member

	running sync.WaitGroup
}

// A member is a node as the balancer sees it.
type member struct {
	at   netip.AddrPort
	seen time.Time
}

// newBalancer balances between two sockets, until Close.
func newBalancer(router *dtls.ConnectionIDRouter, front, back *net.UDPConn) *balancer {
	b := &balancer{router: router, front: front, back: back, seed: maphash.MakeSeed(), nodes: map[uint64]*member{}}
	b.running.Go(b.fromDevices)
	b.running.Go(b.fromNodes)
	return b
}

func (b *balancer) Close() {
	b.front.Close()
	b.back.Close()
	b.running.Wait()
}

// fromDevices passes on what comes from devices, until the socket is closed.
func (b *balancer) fromDevices() {
	in := make([]byte, tunnelHeader+maxDatagram)
	for {
		n, device, err := b.front.ReadFromUDPAddrPort(in[tunnelHeader:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of one datagram
		}
		if node, ok := b.route(in[tunnelHeader:tunnelHeader+n], device, time.Now()); ok {
			putTunnelHeader(in, device)
			b.back.WriteToUDPAddrPort(in[:tunnelHeader+n], node)
		}
	}
}

// fromNodes passes on what comes from nodes, and learns which of them live.
func (b *balancer) fromNodes() {
	in := make([]byte, tunnelHeader+maxDatagram)
	for {
		n, from, err := b.back.ReadFromUDPAddrPort(in)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		device, datagram, ok := splitTunnel(in[:n])
		switch {
		case !ok:
		case len(datagram) == 0:
			b.alive(heartbeatOf(in), from, time.Now())
		default:
			b.front.WriteToUDPAddrPort(datagram, device)
		}
	}
}

func (b *balancer) alive(number uint64, at netip.AddrPort, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes[number] = &member{at, now}
}

// route returns the node that a datagram goes to; false if none lives.
func (b *balancer) route(datagram []byte, device netip.AddrPort, now time.Time) (node netip.AddrPort, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	number, named := b.router.Route(datagram)
	if named {
		if m := b.nodes[number]; m != nil && m.lives(now) {
			return m.at, true
		}
	} else {
		number = maphash.Comparable(b.seed, device)
	}
	// The live node with the highest hash beside this number (rendezvous hashing):
	// when one dies only its own devices go elsewhere.
	var best uint64
	for n, m := range b.nodes {
		if weight := maphash.Comparable(b.seed, [2]uint64{number, n}); m.lives(now) && (!ok || weight > best) {
			best, node, ok = weight, m.at, true
		}
	}
	return node, ok
}

func (m *member) lives(now time.Time) bool { return now.Sub(m.seen) < nodeTimeout }

// living is how many nodes live.
func (b *balancer) living() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.nodes {
		if m.lives(time.Now()) {
			n++
		}
	}
	return n
}
