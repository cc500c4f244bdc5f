package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A stage is where one handshake plays: what it needs ends with it.
type stage struct {
	context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	ends    []func()
	qlogs   string // path of those that godwit writes, but for its role; empty: none
}

func newStage(limit time.Duration, qlogs string) *stage {
	s := &stage{qlogs: qlogs}
	s.Context, s.cancel = context.WithTimeout(context.Background(), limit)
	return s
}

// atEnd lets f run at the end, in the opposite order.
func (s *stage) atEnd(f func()) { s.ends = append(s.ends, f) }

// end takes all down, and returns when nothing of it is left.
func (s *stage) end() {
	s.cancel()
	for _, f := range slices.Backward(s.ends) {
		f()
	}
	s.running.Wait()
}

// A stack is an implementation with its settings, on either side. What it starts ends
// with the stage.
type stack interface {
	// serve starts a server, which is ready on return. The channel tells when its
	// side of a handshake is complete.
	serve(s *stage) (address string, connected <-chan struct{}, err error)
	// connect returns when the client's side of the handshake is complete.
	connect(s *stage, address string) error
}

// A run is one handshake.
type run struct {
	client, server stack
	fault          fault
	seed           uint64
	qlogs          string
}

// limit is when a handshake counts as failed.
const limit = time.Minute

// An outcome is how a run ended.
type outcome struct {
	took time.Duration // from the client's first datagram until both sides were connected
	err  error
}

// play lets the handshake take place.
func (r run) play() outcome {
	s := newStage(limit, r.qlogs)
	defer s.end()
	address, connected, err := r.server.serve(s)
	if err != nil {
		return outcome{err: setupError{err}}
	}
	p, err := startProxy(s, r.fault, r.seed, address)
	if err != nil {
		return outcome{err: setupError{err}}
	}
	if err := r.client.connect(s, p.address()); err != nil {
		return outcome{err: err}
	}
	select {
	case <-connected:
		return outcome{took: time.Since(p.began())}
	case <-s.Done():
		return outcome{err: s.Err()}
	}
}

// A setupError says that no handshake took place at all.
type setupError struct{ error }
