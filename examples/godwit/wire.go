package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// A wire is a UDP proxy on the loopback interface between one client and a
// server. It tells which datagrams pass, and loses some of them.
type wire struct {
	loss    int // percent, each way
	carried func(from handshake.Role, size int, lost bool)

	toClient *net.UDPConn // its address is where the client sends to
	toServer *net.UDPConn // connected
	client   atomic.Pointer[netip.AddrPort]
	carriers sync.WaitGroup
}

// newWire begins to carry. Which datagrams are lost follows from the seed and
// from how many have passed in the same direction.
func newWire(server net.Addr, loss int, seed uint64, carried func(handshake.Role, int, bool)) (*wire, error) {
	toClient, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	toServer, err := net.Dial("udp", server.String())
	if err != nil {
		toClient.Close()
		return nil, err
	}
	w := &wire{loss: loss, carried: carried, toClient: toClient, toServer: toServer.(*net.UDPConn)}
	for _, from := range []handshake.Role{handshake.Client, handshake.Server} {
		random := rand.New(rand.NewPCG(seed, uint64(from)))
		w.carriers.Go(func() { w.carry(from, random) })
	}
	return w, nil
}

// address is where the client finds the server.
func (w *wire) address() string { return w.toClient.LocalAddr().String() }

// carry takes what one side sends to the other, until close.
func (w *wire) carry(from handshake.Role, random *rand.Rand) {
	datagram := make([]byte, 1<<16)
	for {
		n, err := w.receive(from, datagram)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // what ICMP says about a socket that is closed already
		}
		lost := random.IntN(100) < w.loss
		w.carried(from, n, lost)
		if !lost {
			w.send(from.Peer(), datagram[:n])
		}
	}
}

func (w *wire) receive(from handshake.Role, datagram []byte) (int, error) {
	if from == handshake.Server {
		return w.toServer.Read(datagram)
	}
	n, address, err := w.toClient.ReadFromUDPAddrPort(datagram)
	if err == nil {
		w.client.Store(&address)
	}
	return n, err
}

// send passes a datagram on. If it can't be sent, it is lost like any other.
func (w *wire) send(to handshake.Role, datagram []byte) {
	if to == handshake.Server {
		w.toServer.Write(datagram)
	} else if address := w.client.Load(); address != nil {
		w.toClient.WriteToUDPAddrPort(datagram, *address)
	}
}

// settle is how long what was sent may take to reach the proxy.
const settle = 20 * time.Millisecond

// close carries what was sent before, and ends.
func (w *wire) close() {
	end := time.Now().Add(settle)
	w.toClient.SetReadDeadline(end)
	w.toServer.SetReadDeadline(end)
	w.carriers.Wait()
	w.toClient.Close()
	w.toServer.Close()
}

func (w *wire) String() string {
	if w.loss == 0 {
		return "loopback UDP"
	}
	return fmt.Sprintf("loopback UDP that loses %d %% each way", w.loss)
}
