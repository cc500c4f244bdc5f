package main

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// A link is a client's way to a server: a UDP socket of its own, which it may change for
// another one, and what becomes of datagrams on the way.
type link struct {
	overhear func(datagram []byte, to *net.UDPAddr) // those that arrive; nil: nobody listens

	mu       sync.Mutex
	socket   *net.UDPConn
	to       *net.UDPAddr // its peer
	deadline time.Time    // of reading
	weather  weather
	rng      *rand.Rand
	held     []byte // is sent behind the next one
	sent     int
	mute     int // after so many datagrams nothing is sent any more; 0: never
}

// A weather is what a share of the datagrams meets, each way.
type weather struct{ lost, doubled, swapped float64 }

// storm is a path over which a third of the handshakes needs retransmissions, and none so many
// that it takes longer than a server waits.
var storm = weather{lost: 0.04, doubled: 0.04, swapped: 0.04}

func newLink(to *net.UDPAddr, w weather, rng *rand.Rand) (*link, error) {
	return newLinkFrom(nil, to, w, rng)
}

// newLinkFrom is newLink from an address; nil leaves that to the system.
func newLinkFrom(from, to *net.UDPAddr, w weather, rng *rand.Rand) (*link, error) {
	socket, err := net.DialUDP("udp4", from, to)
	if err != nil {
		return nil, err
	}
	return &link{to: to, socket: socket, weather: w, rng: rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))}, nil
}

// move goes on from another port; the old one is heard no more.
func (l *link) move() error { return l.divert(l.RemoteAddr().(*net.UDPAddr)) }

// divert goes on from another port to another server.
func (l *link) divert(to *net.UDPAddr) error {
	socket, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	socket.SetReadDeadline(l.deadline)
	old := l.socket
	l.socket, l.to = socket, to
	return old.Close()
}

// fallSilent lets nothing out from now on.
func (l *link) fallSilent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mute = -1
}

func (l *link) now() *net.UDPConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.socket
}

func (l *link) Read(b []byte) (int, error) {
	for {
		socket := l.now()
		n, err := socket.Read(b)
		switch {
		case err != nil && socket == l.now():
			return 0, err
		case err == nil && !l.happens(l.weather.lost):
			return n, nil
		}
	}
}

func (l *link) happens(share float64) bool {
	if share == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.Float64() < share
}

func (l *link) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mute < 0 || l.mute > 0 && l.sent >= l.mute {
		return len(b), nil
	}
	l.sent++
	if l.weather == (weather{}) {
		return len(b), l.put(b)
	}
	behind := l.held
	l.held = nil
	switch chance := l.rng.Float64(); {
	case chance < l.weather.lost:
	case chance < l.weather.lost+l.weather.doubled:
		l.put(b)
		l.put(b)
	case chance < l.weather.lost+l.weather.doubled+l.weather.swapped:
		l.held = slices.Clone(b)
	default:
		l.put(b)
	}
	if behind != nil {
		l.put(behind)
	}
	return len(b), nil
}

func (l *link) put(b []byte) error {
	_, err := l.socket.Write(b)
	if err == nil && l.overhear != nil {
		l.overhear(b, l.to)
	}
	return err
}

func (l *link) Close() error         { return l.now().Close() }
func (l *link) LocalAddr() net.Addr  { return l.now().LocalAddr() }
func (l *link) RemoteAddr() net.Addr { return l.now().RemoteAddr() }

func (l *link) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	return l.socket.SetReadDeadline(t)
}

func (l *link) SetWriteDeadline(time.Time) error { return nil } // a datagram never waits
func (l *link) SetDeadline(t time.Time) error    { return l.SetReadDeadline(t) }
