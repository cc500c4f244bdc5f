package main

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// A fault is what a path does to datagrams, the same each way.
type fault struct {
	name          string
	loss          float64       // the share of datagrams that is lost, of 1
	duplication   float64       // that comes twice
	corruption    float64       // in which one bit is wrong
	reordering    float64       // that is held back for so long that others overtake it
	delay, jitter time.Duration // each takes delay, and up to jitter more
	mtu           int           // larger packets are swallowed, counted with their headers; 0: none are
}

const (
	heldBack    = 20 * time.Millisecond // a flight is sent in less
	headerBytes = 20 + 8                // of IPv4 and UDP
)

// A direction tells the two ways apart.
type direction byte

const (
	up   direction = iota // from the client
	down                  // from the server
)

// A fate is what becomes of one datagram.
type fate struct {
	arrivals []time.Duration // of each copy, after it was sent
	flip     int             // the bit that is wrong, modulo how many there are; -1: none
}

// fate follows from the seed, the direction and how many datagrams went before it that
// way, and from nothing else: so all stacks meet the same weather. What is lost at one
// share is lost at every larger one.
func (f fault) fate(seed uint64, d direction, index uint64) fate {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	binary.BigEndian.PutUint64(key[8:], index)
	key[16] = byte(d)
	lot := rand.New(rand.NewChaCha8(key))
	lost, twice, wrong, late := lot.Float64() < f.loss, lot.Float64() < f.duplication, lot.Float64() < f.corruption, lot.Float64() < f.reordering
	bit, jitter, again := lot.IntN(1<<20), lot.Float64(), lot.Float64()
	if lost {
		return fate{flip: -1}
	}
	arrival := func(share float64) time.Duration { return f.delay + time.Duration(share*float64(f.jitter)) }
	it := fate{[]time.Duration{arrival(jitter)}, -1}
	if late {
		it.arrivals[0] += heldBack
	}
	if twice {
		it.arrivals = append(it.arrivals, arrival(again))
	}
	if wrong {
		it.flip = bit
	}
	return it
}

// swallows reports whether a datagram of n bytes is too large for the path, which says
// nothing.
func (f fault) swallows(n int) bool { return f.mtu > 0 && n+headerBytes > f.mtu }

// flipped is p with a wrong bit.
func flipped(p []byte, bit int) []byte {
	if len(p) > 0 {
		bit %= 8 * len(p)
		p[bit/8] ^= 1 << (bit % 8)
	}
	return p
}
