package main

import (
	"math/rand/v2"
	"net"
	"sync"
)

// link is the path that ICE found, as the scenario disturbs it.
func (r *run) link(path net.Conn) net.Conn {
	switch c := r.scenario; {
	case c.loss > 0:
		return &lossy{Conn: path, percent: c.loss,
			in: rand.New(rand.NewPCG(uint64(c.seed), 0)), out: rand.New(rand.NewPCG(uint64(c.seed), 1))}
	case c.wrong == mediaKeys:
		r.stranger = &stranger{Conn: path}
		return r.stranger
	}
	return path
}

// A lossy link loses datagrams. Each direction draws from a seed of its own, so that
// the n-th datagram of a direction gets through or not, whatever the other one does.
type lossy struct {
	net.Conn
	percent int
	in      *rand.Rand // of one reader
	mu      sync.Mutex // guards out
	out     *rand.Rand
}

func (l *lossy) Read(p []byte) (int, error) {
	for {
		n, err := l.Conn.Read(p)
		if err != nil || l.in.IntN(100) >= l.percent {
			return n, err
		}
	}
}

func (l *lossy) Write(p []byte) (int, error) {
	l.mu.Lock()
	lost := l.out.IntN(100) < l.percent
	l.mu.Unlock()
	if lost {
		return len(p), nil
	}
	return l.Conn.Write(p)
}
