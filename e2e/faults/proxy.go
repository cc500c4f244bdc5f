package main

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// loopback is an address of our own: to ports of 127.0.0.1 others may still be sending
// what was meant for those who have had them before.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 84})

// A proxy stands between one client and one server, and treats datagrams as a fault
// would.
type proxy struct {
	fault fault
	seed  uint64
	front *net.UDPConn // that the client talks to
	back  *net.UDPConn // connected to the server

	mu     sync.Mutex
	client netip.AddrPort
	first  time.Time // when the first datagram of the client came
}

// startProxy begins to carry datagrams to a server and back. It ends with the stage.
func startProxy(s *stage, f fault, seed uint64, server string) (*proxy, error) {
	address, err := netip.ParseAddrPort(server)
	if err != nil {
		return nil, err
	}
	p := &proxy{fault: f, seed: seed}
	if p.front, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0))); err != nil {
		return nil, err
	}
	s.atEnd(func() { p.front.Close() })
	if p.back, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(address)); err != nil {
		return nil, err
	}
	s.atEnd(func() { p.back.Close() })
	s.running.Go(func() { p.carry(up, p.front, p.toServer) })
	s.running.Go(func() { p.carry(down, p.back, p.toClient) })
	return p, nil
}

// address is where the client is to connect.
func (p *proxy) address() string { return p.front.LocalAddr().String() }

func (p *proxy) toServer(b []byte) { p.back.Write(b) } // lost if the server has gone

func (p *proxy) toClient(b []byte) {
	p.mu.Lock()
	client := p.client
	p.mu.Unlock()
	p.front.WriteToUDPAddrPort(b, client)
}

// began is when the client's first datagram came.
func (p *proxy) began() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}

// heard notes who the client is.
func (p *proxy) heard(from netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first.IsZero() {
		p.first, p.client = time.Now(), from
	}
}

// carry takes the datagrams of one direction until the socket is closed, and returns
// when those on their way have arrived.
func (p *proxy) carry(d direction, from *net.UDPConn, send func([]byte)) {
	var air sync.WaitGroup
	defer air.Wait()
	buffer := make([]byte, 1<<16)
	for index := uint64(0); ; {
		n, sender, err := from.ReadFromUDPAddrPort(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // nobody is there any more, or not yet
			continue
		}
		if d == up {
			p.heard(sender)
		}
		p.deliver(buffer[:n], p.fault.fate(p.seed, d, index), &air, send)
		index++
	}
}

// deliver lets a datagram meet its fate. What is late is in the air.
func (p *proxy) deliver(b []byte, its fate, air *sync.WaitGroup, send func([]byte)) {
	if p.fault.swallows(len(b)) {
		return
	}
	if its.flip >= 0 {
		b = flipped(b, its.flip)
	}
	for _, arrival := range its.arrivals {
		if arrival == 0 {
			send(b)
			continue
		}
		late := bytes.Clone(b)
		air.Add(1)
		time.AfterFunc(arrival, func() {
			defer air.Done()
			send(late)
		})
	}
}
