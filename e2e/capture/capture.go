// Package capture stands between a client and a server, records what passes and
// writes it as a pcap file, so that no test needs the right to sniff.
package capture

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

// A Relay carries one conversation.
type Relay struct {
	Address string // where the client is to connect

	network string // "udp" or "tcp"
	server  netip.AddrPort
	mu      sync.Mutex
	packets []packet
}

// A packet is one datagram, or one read of a stream.
type packet struct {
	at       time.Time
	from, to netip.AddrPort
	payload  []byte
}

// Between starts a Relay to a server. It ends with the test.
func Between(t testing.TB, network, server string) *Relay {
	t.Helper()
	address, err := netip.ParseAddrPort(server)
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{network: network, server: address}
	if network == "udp" {
		r.relayDatagrams(t)
	} else {
		r.relayStream(t)
	}
	return r
}

func (r *Relay) relayDatagrams(t testing.TB) {
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.server))
	if err != nil {
		t.Fatal(err)
	}
	r.Address = front.LocalAddr().String()
	var running sync.WaitGroup
	running.Go(func() {
		var client netip.AddrPort
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := front.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if !client.IsValid() {
				client = from
				running.Go(func() { r.returnDatagrams(back, front, client) })
			}
			r.record(from, r.server, buffer[:n])
			back.Write(buffer[:n]) // lost, as datagrams may be, if the server has gone
		}
	})
	t.Cleanup(func() {
		front.Close()
		back.Close()
		running.Wait()
	})
}

func (r *Relay) returnDatagrams(back, front *net.UDPConn, client netip.AddrPort) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := back.Read(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil: // another error says that the server has gone
			r.record(r.server, client, buffer[:n])
			front.WriteToUDPAddrPort(buffer[:n], client)
		}
	}
}

func (r *Relay) relayStream(t testing.TB) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.Address = listener.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		front, err := listener.Accept()
		if err != nil {
			return
		}
		defer front.Close()
		back, err := net.Dial("tcp", r.server.String())
		if err != nil {
			return
		}
		defer back.Close()
		client := front.RemoteAddr().(*net.TCPAddr).AddrPort()
		running.Go(func() { r.pass(front, back, r.server, client) })
		r.pass(back, front, client, r.server)
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
}

// pass copies one direction of a stream, and its end.
func (r *Relay) pass(to, from net.Conn, source, destination netip.AddrPort) {
	buffer := make([]byte, 1<<14)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			r.record(source, destination, buffer[:n])
			to.Write(buffer[:n])
		}
		if err != nil {
			to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

func (r *Relay) record(from, to netip.AddrPort, payload []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packets = append(r.packets, packet{time.Now(), from, to, bytes.Clone(payload)})
}

// WriteFile writes what passed so far as a pcap file, with the server's own port.
func (r *Relay) WriteFile(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	file := pcapHeader()
	sequence := make(map[netip.AddrPort]uint32) // of the next byte, by sender
	for _, p := range r.packets {
		var transport []byte
		if r.network == "udp" {
			transport = udpHeader(p)
		} else {
			transport = tcpHeader(p, sequence[p.from], sequence[p.to])
			sequence[p.from] += uint32(len(p.payload))
		}
		file = appendPacket(file, p, transport)
	}
	return os.WriteFile(name, file, 0o600)
}
