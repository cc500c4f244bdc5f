package dtls

import (
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// A link carries the datagrams of one Conn.
type link interface {
	// receive waits for the next datagram until the read deadline. The packet
	// belongs to the caller.
	receive() (*packet, error)
	// poll returns a datagram that is already there, or nil.
	poll() *packet
	// send sends one datagram; it does not keep p. A link with one peer needs no
	// path.
	send(p []byte, to Path) error
	// sendRuns sends runs until a datagram can't be sent, and returns what is left from
	// that one on.
	sendRuns(runs []run) (rest []run, err error)
	// wake lets a receive that waits, or the next one, return an empty packet, unless
	// there is a datagram.
	wake()
	// keepWhole sees to it that nobody fragments what is sent, as far as that can be told;
	// false: somebody may.
	keepWhole() bool
	// netConn is the link as a net.Conn: for addresses, deadlines and Close.
	netConn() net.Conn
	// setReadDeadline ends a receive that waits.
	setReadDeadline(t time.Time) error
}

// A connLink is a link over any net.Conn that preserves datagrams.
type connLink struct {
	conn   net.Conn
	socket *socket // conn, if it reads and writes in batches
	queue  queue   // what was read, and not received yet; whoever reads has it

	mu       sync.Mutex // never held while waiting
	deadline time.Time  // the caller's
	pollEnd  time.Time  // that of poll while it runs, unless the caller's is before it
	woken    bool       // the link's deadline is past, to wake who receives
}

// pollTime is how long poll waits: an expired deadline would fail a read even
// with a datagram waiting.
const pollTime = 100 * time.Microsecond

func newConnLink(conn net.Conn) *connLink {
	return &connLink{conn: conn, socket: connectedSocket(conn)}
}

func (l *connLink) receive() (*packet, error) {
	if l.queue.first != nil {
		if l.late() {
			return nil, os.ErrDeadlineExceeded
		}
		return l.queue.take(), nil
	}
	return l.read()
}

// late reports whether the caller's deadline has passed.
func (l *connLink) late() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.deadline.IsZero() && !time.Now().Before(l.deadline)
}

// read waits for the next datagram.
func (l *connLink) read() (*packet, error) {
	if l.socket != nil {
		return l.readBatch()
	}
	p := newPacket(largePacket)
	n, err := l.conn.Read(p.room)
	if err != nil && !l.awoke(err) {
		p.release()
		return nil, err
	}
	p.data = p.room[:n]
	return p, nil
}

// readBatch waits for the next datagrams, and keeps those behind the first.
func (l *connLink) readBatch() (*packet, error) {
	in, err := l.socket.receive()
	if err != nil {
		if l.awoke(err) {
			return newPacket(0), nil
		}
		return nil, err
	}
	defer in.release()
	for _, r := range in.runs {
		for datagram := range slices.Chunk(r.data, r.size) {
			l.queue.add(datagram, Path{})
		}
	}
	if l.queue.first == nil { // they were empty
		return newPacket(0), nil
	}
	return l.queue.take(), nil
}

func (l *connLink) poll() *packet {
	if p := l.queue.take(); p != nil {
		return p
	}
	if l.beginPoll() != nil {
		return nil // it might wait forever
	}
	p, err := l.read()
	l.endPoll()
	if err != nil {
		return nil
	}
	return p
}

func (l *connLink) beginPoll() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := time.Now().Add(pollTime)
	err := l.conn.SetReadDeadline(end)
	if err == nil {
		l.pollEnd = end
	}
	return err
}

func (l *connLink) endPoll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pollEnd = time.Time{}
	l.conn.SetReadDeadline(l.deadline)
}

func (l *connLink) send(p []byte, _ Path) error {
	_, err := l.conn.Write(p)
	return err
}

func (l *connLink) sendRuns(runs []run) (rest []run, err error) {
	if l.socket != nil {
		return l.socket.send(runs)
	}
	for ; len(runs) > 0; runs = skip(runs, 1) {
		r := &runs[0]
		if err := l.send(r.data[:min(r.size, len(r.data))], r.path); err != nil {
			return runs, err
		}
	}
	return nil, nil
}

func (l *connLink) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.woken = l.conn.SetReadDeadline(past) == nil
}

// awoke reports whether an error comes from wake alone, which is over then. Not every
// link calls its timeout os.ErrDeadlineExceeded: pion's buffers, below whatever shares an
// ICE connection, have one of their own.
func (l *connLink) awoke(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	timeout, ok := errors.AsType[net.Error](err)
	if !l.woken || !ok || !timeout.Timeout() {
		return false
	}
	l.woken = false
	return l.conn.SetReadDeadline(l.deadline) == nil
}

func (l *connLink) keepWhole() bool {
	udp, _ := l.conn.(*net.UDPConn)
	if c, ok := l.conn.(*packetConn); ok {
		udp = c.udp
	}
	return udp == nil || keepWhole(udp)
}

func (l *connLink) netConn() net.Conn { return l.conn }

func (l *connLink) setReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
	if l.woken || !l.pollEnd.IsZero() && (t.IsZero() || t.After(l.pollEnd)) {
		return nil
	}
	return l.conn.SetReadDeadline(t)
}
