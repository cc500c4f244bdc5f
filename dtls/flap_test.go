package dtls_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A device whose datagrams a balancer sends now to one, now to the other of two Listeners
// with one Store, both alive, gets its echo soon, whatever it and they do beside. At the end
// the Store is empty.
func TestFlapping(t *testing.T) {
	seeds := uint64(8)
	if os.Getenv("GODWIT_FULL") != "" {
		seeds = 500
	}
	bothVersions(t, func(t *testing.T, version uint16) {
		for seed := range seeds {
			synctest.Test(t, func(t *testing.T) { newFlapping(t, version, seed).run() })
		}
	})
}

type flapping struct {
	*testing.T
	*cluster
	seed   uint64
	random *rand.Rand
	device *dtls.Conn
	door   *port // its
	moves  int
	nodes  []*dtls.Listener
	doors  []*port
	at     int // which of them hears the device
}

func newFlapping(t *testing.T, version uint16, seed uint64) *flapping {
	c, config := newCluster(t, version)
	f := &flapping{T: t, cluster: c, seed: seed, random: rand.New(rand.NewPCG(seed, 0))}
	for range 2 {
		l, door := c.nodeWithDoor(t)
		f.nodes, f.doors = append(f.nodes, l), append(f.doors, door)
		go echoes(l)
	}
	f.at = 1
	f.door = c.network.listen("198.51.100.1:1000")
	var err error
	if f.device, err = dtls.Client(dtls.FromPacketConn(f.door, net.UDPAddrFromAddrPort(clusterAddress)), config); err != nil {
		t.Fatal(err)
	}
	if err := f.device.Handshake(); err != nil {
		t.Fatal(err)
	}
	return f
}

// echoes answers whatever comes, on every Conn.
func echoes(l *dtls.Listener) {
	for {
		s, err := l.Accept()
		if err != nil {
			return
		}
		go attend(s)
	}
}

// attend answers whatever comes, and closes who has been silent for a while.
func attend(s net.Conn) {
	defer s.Close()
	b := make([]byte, 100)
	for {
		s.SetReadDeadline(time.Now().Add(patience))
		n, err := s.Read(b)
		if err != nil {
			return
		}
		if _, err := s.Write(b[:n]); err != nil {
			return
		}
	}
}

const patience = 5 * time.Second

func (f *flapping) run() {
	defer f.end()
	f.store.slow([]time.Duration{time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond}[f.random.IntN(3)])
	pause := []time.Duration{20 * time.Millisecond, 200 * time.Millisecond, time.Second}[f.random.IntN(3)]
	f.lose([]float64{0, 0.1, 0.2}[f.random.IntN(3)])
	for n := range 200 {
		f.deed()
		if !f.ask(fmt.Sprint(n)) {
			f.Errorf("seed %d: no echo at %d", f.seed, n)
			return
		}
		time.Sleep(time.Duration(f.random.Int64N(int64(pause))))
	}
}

// lose makes the network lose that share of all datagrams, from a seed of its own: what
// runs side by side comes in any order.
func (f *flapping) lose(share float64) {
	random := rand.New(rand.NewPCG(f.seed, 1))
	f.network.filter(func(datagram) error {
		if random.Float64() < share {
			return errLost
		}
		return nil
	})
}

// deed does one thing, or nothing.
func (f *flapping) deed() {
	conns := f.nodes[f.at].Conns()
	switch f.random.IntN(12) {
	case 0, 1:
		f.at = 1 - f.at
		f.network.direct(f.doors[f.at])
	case 2:
		f.device.RotateConnectionIDs() // in 1.2 an error
	case 3:
		f.device.KeyUpdate(dtls.UpdateRequested)
	case 4:
		for _, s := range conns {
			s.RotateConnectionIDs()
		}
	case 5:
		for _, s := range conns {
			s.KeyUpdate(dtls.UpdateRequested)
		}
	case 6:
		f.moves++
		f.network.move(f.door, fmt.Sprintf("198.51.100.1:%d", 1000+f.moves))
	case 7:
		for _, s := range conns {
			blob, err := s.Export(blobKey)
			if err != nil {
				continue
			}
			if heir, err := f.nodes[f.at].Import(nil, blob, blobKey); err == nil {
				go attend(heir)
			}
		}
	}
}

// ask repeats a question until it hears its echo, and reports whether it did.
func (f *flapping) ask(question string) bool {
	answer := make([]byte, 10)
	for range 250 {
		if _, err := f.device.Write([]byte(question)); err != nil {
			return false
		}
		f.device.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		for {
			n, err := f.device.Read(answer)
			if err != nil {
				break
			}
			if string(answer[:n]) == question {
				return true
			}
		}
	}
	return false
}

func (f *flapping) end() {
	f.lose(0)
	f.device.Close()
	for range 2 { // who is outdated ends first
		for _, l := range f.nodes {
			for _, s := range l.Conns() {
				s.Close()
			}
		}
		time.Sleep(time.Minute)
	}
	for _, l := range f.nodes {
		l.Close()
	}
	synctest.Wait()
	if left := len(f.store.values); left != 0 {
		f.Errorf("seed %d: %d values are left in the Store", f.seed, left)
	}
}
