package main

import (
	"context"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A stranger is somebody who means no good, or can do no better. What comes of it is
// nobody's failure, as long as the honest ones are served.
type stranger struct {
	name  string
	every time.Duration
	act   func(r *run, rng *rand.Rand)
}

var strangers = []stranger{
	{"garbage", 5 * time.Millisecond, sendGarbage},
	{"overheard datagrams, as they were or altered", 10 * time.Millisecond, sendOverheard},
	{"hellos without a cookie", 20 * time.Millisecond, sendHellos},
	{"handshakes given up half-way", 100 * time.Millisecond, leaveHalfOpen},
	{"handshakes that must fail", 200 * time.Millisecond, distrust},
	{"garbage and silence over TCP", 200 * time.Millisecond, disturbStreams},
}

// meddle lets all strangers at it until ctx ends.
func (r *run) meddle(ctx context.Context) {
	var all sync.WaitGroup
	for i, s := range strangers {
		rng := rand.New(rand.NewPCG(r.seed, uint64(i)))
		all.Go(func() {
			tick := time.NewTicker(s.every)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					s.act(r, rng)
					r.tally.strangers.Add(1)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
}

// elsewhere is an address that no honest client has. Otherwise one might get the port of a
// stranger to whom a server still has something to say, in the clear, and that would count as
// an answer. Where there is no such address strangers send nothing.
var elsewhere = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}

// throw sends datagrams from a port of its own to a server.
func throw(to *net.UDPAddr, datagrams ...[]byte) {
	socket, err := net.DialUDP("udp4", elsewhere, to)
	if err != nil {
		return
	}
	defer socket.Close()
	for _, b := range datagrams {
		socket.Write(b)
	}
}

func (r *run) anyServer(rng *rand.Rand) *net.UDPAddr {
	return r.site.datagrams[rng.IntN(len(r.site.datagrams))].address
}

// sendGarbage sends noise, some of which looks like a record at its beginning.
func sendGarbage(r *run, rng *rand.Rand) {
	var datagrams [][]byte
	for range 4 {
		b := make([]byte, rng.IntN(1500))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		header := [][]byte{nil, {22, 0xfe, 0xfd, 0, 0}, {23, 0xfe, 0xfd, 0, 1}, {25, 0xfe, 0xfd, 0, 1}, {0x2e}, {0x3f}}
		copy(b, header[rng.IntN(len(header))])
		datagrams = append(datagrams, b)
	}
	throw(r.anyServer(rng), datagrams...)
}

// sendHellos sends a client's first flight, ten times with another random.
func sendHellos(r *run, rng *rand.Rand) {
	e, err := dtls.NewClientEngine(r.site.forClient(versions[rng.IntN(2)], rng.IntN(4) == 0))
	if err != nil || e.Start(time.Now()) != nil {
		return
	}
	var flight [][]byte
	buf := make([]byte, 2048)
	for n := e.Transmit(buf); n > 0; n = e.Transmit(buf) {
		flight = append(flight, slices.Clone(buf[:n]))
	}
	to := r.anyServer(rng)
	for range 10 {
		const randomAt = 13 + 12 + 2 // behind the headers of record and fragment, and a version
		flight[0][randomAt] = byte(rng.Uint32())
		throw(to, flight...)
	}
}

// leaveHalfOpen sends the first few datagrams of a handshake, cookie and all, and then
// nothing any more.
func leaveHalfOpen(r *run, rng *rand.Rand) {
	v := r.newVisit(rng.Uint64())
	l, err := newLinkFrom(elsewhere, v.to.address, weather{}, rng)
	if err != nil {
		return
	}
	l.mute = 2 + rng.IntN(3)
	c, err := dtls.Client(l, v.config)
	if err != nil {
		l.Close()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	c.HandshakeContext(ctx)
	l.fallSilent()
	c.Close()
}

// distrust is a client that doesn't know the server's root.
func distrust(r *run, rng *rand.Rand) {
	v := r.newVisit(rng.Uint64())
	v.config.RootCAs = x509.NewCertPool()
	ctx, cancel := context.WithTimeout(context.Background(), r.site.handshake)
	defer cancel()
	if c, err := (&dtls.Dialer{Config: v.config}).DialContext(ctx, "udp4", v.to.address.String()); err == nil {
		r.tally.fail("a handshake that must fail", errTrusted)
		c.Close()
	}
}

// disturbStreams sends garbage to the TLS server, or nothing for a while.
func disturbStreams(r *run, rng *rand.Rand) {
	c, err := net.Dial("tcp4", r.site.secure.Addr().String())
	if err != nil {
		return
	}
	defer c.Close()
	if rng.IntN(2) == 0 {
		b := make([]byte, 300)
		copy(b, []byte{22, 3, 1, 1, 0, 1})
		c.Write(b[:rng.IntN(len(b))])
	}
	time.Sleep(time.Duration(rng.IntN(50)) * time.Millisecond)
}

// --- What is overheard

// Gossip is what strangers have overheard of honest clients lately.
type gossip struct {
	mu      sync.Mutex
	last    [64]overheard
	next    int
	buffers [64][2048]byte
}

type overheard struct {
	datagram []byte // in its buffer
	to       *net.UDPAddr
	at       time.Time
}

// tellAfter is when an overheard datagram may be repeated: its original has been read by
// then. A copy that is faster moves a client who can't have its address checked
// (Config.AcceptMove warns of it).
const tellAfter = 200 * time.Millisecond

func (g *gossip) hear(datagram []byte, to *net.UDPAddr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.next
	g.next = (i + 1) % len(g.last)
	g.last[i] = overheard{g.buffers[i][:copy(g.buffers[i][:], datagram)], to, time.Now()}
}

// tell returns a copy of something, nil if there is nothing old enough.
func (g *gossip) tell(rng *rand.Rand) (datagram []byte, to *net.UDPAddr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.last[rng.IntN(len(g.last))]
	if o.to == nil || time.Since(o.at) < tellAfter {
		return nil, nil
	}
	return slices.Clone(o.datagram), o.to
}

func sendOverheard(r *run, rng *rand.Rand) {
	b, to := r.gossip.tell(rng)
	if to == nil || len(b) == 0 {
		return
	}
	for range rng.IntN(3) {
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	}
	throw(to, b)
}
