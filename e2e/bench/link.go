package main

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A link is one end of a connection in memory, over which either datagrams or a
// stream go. It costs two copies and two locks that nobody else wants, and
// allocates nothing once its buffers are there. It is a net.Conn and a
// net.PacketConn, and works in virtual time.
type link struct {
	in, out       *queue
	local, remote *net.UDPAddr
}

var _ interface {
	net.Conn
	net.PacketConn
} = (*link)(nil)

// newLinks returns both ends.
func newLinks(kind transport) (client, server *link) {
	one, other := newQueue(kind), newQueue(kind)
	return &link{one, other, clientAddress, serverAddress}, &link{other, one, serverAddress, clientAddress}
}

// The addresses of all links.
var (
	clientAddress = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	serverAddress = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2}
)

// A transport is what a link carries.
type transport int

const (
	datagrams transport = iota
	stream
)

func (l *link) Read(b []byte) (int, error)  { return l.in.take(b) }
func (l *link) Write(b []byte) (int, error) { return l.out.put(b) }

func (l *link) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := l.in.take(b)
	return n, l.remote, err
}

func (l *link) WriteTo(b []byte, _ net.Addr) (int, error) { return l.out.put(b) }

// Close ends this end's reading and, as that of a stream, the other's.
func (l *link) Close() error {
	l.in.close()
	if l.out.kind == stream {
		l.out.close()
	}
	return nil
}

// cut loses whatever either end writes from now on.
func (l *link) cut() {
	l.in.cut()
	l.out.cut()
}

func (l *link) LocalAddr() net.Addr                { return l.local }
func (l *link) RemoteAddr() net.Addr               { return l.remote }
func (l *link) SetDeadline(t time.Time) error      { return l.SetReadDeadline(t) }
func (l *link) SetReadDeadline(t time.Time) error  { l.in.setDeadline(t); return nil }
func (l *link) SetWriteDeadline(t time.Time) error { return nil } // a write never waits

// A queue is one direction of a link: a ring of buffers, which stay.
type queue struct {
	kind transport

	mu         sync.Mutex
	arrived    sync.Cond
	ring       [][]byte // their number is a power of two, or none
	first, end uint     // where the first is, and behind the last; they only grow
	taken      int      // bytes of the first one, of a stream
	closed     bool
	lost       bool // nothing goes in any more
	deadline   time.Time
	timer      *time.Timer
}

func newQueue(kind transport) *queue {
	q := &queue{kind: kind}
	q.arrived.L = &q.mu
	return q
}

// at is the place of a buffer.
func (q *queue) at(i uint) *[]byte { return &q.ring[i&uint(len(q.ring)-1)] }

func (q *queue) put(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.lost { // nobody will read it
		return len(b), nil
	}
	if q.end-q.first == uint(len(q.ring)) {
		q.grow()
	}
	last := q.at(q.end)
	if cap(*last) < len(b) {
		*last = make([]byte, 0, roomFor(len(b)))
	}
	*last = append((*last)[:0], b...)
	q.end++
	q.arrived.Signal()
	return len(b), nil
}

// roomFor is a size of buffers that suits size: what most paths carry, or any
// record.
func roomFor(size int) int {
	const most, any = 2 << 10, 17 << 10
	if size <= most {
		return most
	}
	return max(size, any)
}

func (q *queue) grow() {
	larger := make([][]byte, max(4, 2*len(q.ring)))
	for i := range q.end - q.first {
		larger[i] = *q.at(q.first + i)
	}
	q.ring, q.first, q.end = larger, 0, q.end-q.first
}

// take takes one datagram, of which it loses what doesn't fit, or as much of the
// stream as there is.
func (q *queue) take(b []byte) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.first == q.end {
		if err := q.ended(); err != nil {
			return 0, err
		}
		q.arrived.Wait()
	}
	if q.kind == datagrams {
		n = copy(b, *q.at(q.first))
		q.first++
		return n, nil
	}
	for q.first != q.end && n < len(b) {
		first := *q.at(q.first)
		copied := copy(b[n:], first[q.taken:])
		n, q.taken = n+copied, q.taken+copied
		if q.taken == len(first) {
			q.first, q.taken = q.first+1, 0
		}
	}
	return n, nil
}

// ended is why nothing can be waited for.
func (q *queue) ended() error {
	switch {
	case q.closed:
		return io.EOF
	case !q.deadline.IsZero() && !time.Now().Before(q.deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.stopTimer()
	q.arrived.Broadcast()
}

// cut also lets go of all buffers.
func (q *queue) cut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lost = true
	q.ring, q.first, q.end, q.taken = nil, 0, 0, 0
}

func (q *queue) setDeadline(t time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deadline = t
	q.stopTimer()
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		q.timer = time.AfterFunc(wait, q.arrived.Broadcast)
	}
	q.arrived.Broadcast()
}

func (q *queue) stopTimer() {
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
}
