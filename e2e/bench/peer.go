package main

import (
	"crypto/tls"
	"time"
)

// A peer is an implementation with one version of its protocol, or what stands in
// for one: a column of the table. Each method begins a task, or says
// errors.ErrUnsupported where the peer has no such thing.
type peer interface {
	name() string
	// records writes and reads application data of so many bytes, in memory.
	records(size int) (task, error)
	// handshakes makes connections in memory, and ends them.
	handshakes(h handshake) (task, error)
	// idle opens so many connections, and lets them rest.
	idle(pairs int) (task, error)
	// datagrams sends data of so many bytes over UDP, to a process of its own; in
	// one call as many as batch says.
	datagrams(size, batch int) (task, error)
	// listener serves so many clients at once on one UDP socket.
	listener(clients int) (task, error)
}

// A handshake is what is measured of handshakes. The zero value is a full one
// with X25519.
type handshake struct {
	group   tls.CurveID // zero: X25519
	resumes bool
}

// A task is one thing that a peer does, again and again.
type task interface {
	// run does it for about d, or once if that takes longer.
	run(d time.Duration) (sample, error)
	close()
}

// A quantity is something that is measured, with its unit.
type quantity string

const (
	cost             quantity = "cost"       // ns of CPU time, user and system, with garbage collection, for one operation
	floorCost        quantity = "floor"      // of its cryptography alone, in the same turn
	receiverCost     quantity = "receiver"   // of a datagram where it arrives; cost is the sender's
	allocations      quantity = "allocs"     // for one operation
	serverHeap       quantity = "heap"       // bytes that a server's side of an idle connection holds
	clientHeap       quantity = "clientheap" // and a client's, with the server's certificate
	serverStacks     quantity = "stacks"     // and the goroutines of a server's side
	serverGoroutines quantity = "goroutines"
	perSecond        quantity = "rate"  // handshakes
	longest          quantity = "worst" // ns that a client waited for its echo
	failures         quantity = "failures"
	datagramsRead    quantity = "datagrams" // so far
)
