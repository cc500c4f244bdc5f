package dtls

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// runs is how many of full runs to do: all with GODWIT_FULL=1 in the
// environment, else a tenth, and a tenth of that with -short.
func runs(full int) int {
	switch {
	case os.Getenv("GODWIT_FULL") == "1":
		return full
	case testing.Short():
		return full / 100
	}
	return full / 10
}

// stride is how far apart the cases are that a test tries: it tries each, or with -short
// the first of n. What they have in common with each other is tried by these.
func stride(n int) int {
	if testing.Short() {
		return n
	}
	return 1
}

// Every subset of the datagrams that a handshake sends first is lost once.
//
// RFC 9147 4.2.1 [3]; RFC 6347 4.1 [3], 4.2.5 [1]
func TestLossEveryMask(t *testing.T) {
	for _, c := range settings {
		for _, size := range []int{1200, handshake.MinMTU} {
			t.Run(fmt.Sprintf("%s, MTU %d", c.name, size), func(t *testing.T) {
				client, server := with(c.change, mtu(size))
				s := simulate(t, 0, client, server)
				s.settle()
				n := min(len(s.sent), 12)
				masks := 1 << n
				t.Parallel()
				// Where there are too many masks for a quick run, a stride that has
				// no factor in common with their number picks some of all kinds.
				stride := max(1, masks/max(1, runs(2000))) | 1
				for mask := 0; mask < masks; mask += stride {
					s := simulate(t, 0, client, server, fated(losing(func(p *parcel) bool { return p.index < n && mask>>p.index&1 != 0 })))
					if err := s.run(s.quiet); err != nil {
						t.Fatalf("mask %0*b: %v", n, mask, err)
					}
					s.exchange()
				}
			})
		}
	}
}

// A storm is a link that loses, doubles and delays datagrams, and whose MTU
// drops at some time in the handshake.
type storm struct {
	s       *simulation
	mtu     int       // of the path
	lowered int       // what it drops to
	drops   int       // how many datagrams before that
	calm    time.Time // nothing is lost any more
}

// stormy makes a storm of a simulation's link. Thirty per cent of the datagrams
// are lost. What comes last in a handshake is not repeated by a timer: a try of
// the peer must arrive and the answer too, which half of them do. Were nothing
// spared, the thirteenth expiry, which is the end, would honestly come to one
// handshake in some thousands; in 1.3 the old keys, with which that last try is
// read, go after four minutes. So the storm passes after three: that is after
// nine of the thirteen tries.
func stormy(s *simulation) {
	w := &storm{s: s, mtu: 1500, drops: s.random.IntN(8), calm: s.now.Add(3 * time.Minute)}
	w.lowered = handshake.MinMTU + s.random.IntN(700)
	s.fate = w.fate
	s.workTime = func() time.Duration { return time.Duration(s.random.IntN(300)) * time.Millisecond }
}

func (w *storm) fate(p *parcel) (copies []time.Duration) {
	if p.index == w.drops {
		w.mtu = w.lowered
	}
	if len(p.data) > w.mtu {
		if p.from.config.MTU != 0 { // its owner is told, as by EMSGSIZE, and knows the path
			p.from.SetMTU(w.mtu)
		}
		return nil
	}
	random := w.s.random
	for copies == nil || random.IntN(100) < 15 { // duplicates
		copies = append(copies, latency+time.Duration(random.IntN(100))*time.Millisecond)
	}
	if w.s.now.Before(w.calm) {
		copies = copies[:len(copies)-min(len(copies), w.losses(len(copies)))]
	}
	return copies
}

// losses is how many of n copies are lost.
func (w *storm) losses(n int) (lost int) {
	for range n {
		if w.s.random.IntN(100) < 30 {
			lost++
		}
	}
	return lost
}

// weather runs one handshake with client authentication through a storm, and
// returns a hash of all datagrams.
func weather(t *testing.T, seed uint64, version func(client, server *Config)) uint64 {
	cryptotest.SetGlobalRandom(t, seed)
	choice := rand.New(rand.NewPCG(seed, 2))
	client, server := with(version, clientAuth)
	for _, c := range []*Config{client, server} {
		if choice.IntN(2) == 0 {
			c.MTU = handshake.MinMTU + choice.IntN(1500-handshake.MinMTU+1)
		}
	}
	switch choice.IntN(8) {
	case 0:
		hybrid(client, server)
	case 1:
		retry(client, server)
	case 2:
		client.CurvePreferences = nil
	}
	s := simulate(t, seed, client, server, stormy)
	if err := s.run(s.quiet); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	s.exchange()
	sum := fnv.New64a()
	for _, p := range s.sent {
		fmt.Fprintf(sum, "%s %d ", p.from.name, len(p.data))
		sum.Write(p.data)
	}
	return sum.Sum64()
}

func TestLossSeeds(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for seed := range uint64(runs(10_000)) {
			weather(t, seed, version)
		}
	})
}

// The same seed gives the same datagrams.
func TestLossIsDeterministic(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		sums := map[uint64]uint64{}
		for seed := range uint64(20) {
			sums[weather(t, seed, version)] = seed
			if _, same := sums[weather(t, seed, version)]; !same {
				t.Errorf("seed %d gives other datagrams each time", seed)
			}
		}
		if len(sums) != 20 {
			t.Errorf("20 seeds give %d different sequences of datagrams", len(sums))
		}
	})
}

// Data crosses a storm unharmed: some of it is lost, none is changed, and none
// comes twice.
func TestLossOfData(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		stormy(s)
		unseen := map[string]bool{}
		for n := range 500 {
			data := fmt.Sprint("number ", n)
			unseen[data] = true
			s.send(s.client, s.client.seal(data), s.client.Path())
			s.advance(time.Millisecond)
		}
		s.advance(time.Second)
		for _, data := range s.server.read {
			if !unseen[string(data)] {
				t.Fatalf("%s came twice, or was never sent", data)
			}
			delete(unseen, string(data))
		}
		if len(unseen) == 0 || len(unseen) > 200 {
			t.Errorf("%d of 500 were lost, expected about 140", len(unseen))
		}
	})
}
