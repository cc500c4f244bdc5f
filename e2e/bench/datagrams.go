package main

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// A correspondent can be at either end of a datagramTask.
type correspondent interface {
	peer
	// sender connects to an address, to send data of so many bytes there, as much
	// of it in one call as batch says.
	sender(address string, size, batch int) (sender, error)
	// receiver opens a socket on loopback, for one sender.
	receiver(batch int) (receiver, error)
}

// A sender sends the same again and again.
type sender interface {
	// send makes one call, and says how many datagrams it was for.
	send() (int, error)
	// finish sends a datagram with one byte of data.
	finish() error
	io.Closer
}

// A receiver tells of all that arrives, until an error.
type receiver interface {
	Addr() net.Addr
	receive(arrived func(size, count int)) error
}

// loopback is where everybody listens.
const loopback = "127.0.0.1:0"

// A datagramTask sends data over loopback UDP for a while, as fast as it can, to a
// process of its own: each end's CPU time for a datagram that it sent or got. What
// comes too fast is lost.
type datagramTask struct {
	peer        correspondent
	size, batch int
}

func (t datagramTask) run(d time.Duration) (sample, error) {
	far, err := startFarEnd(t.peer.name(), t.batch)
	if err != nil {
		return nil, err
	}
	defer far.stop()
	out, err := t.peer.sender(far.address, t.size, t.batch)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	s, err := measure(d, out.send)
	if err != nil {
		return nil, err
	}
	got, err := far.result(out.finish)
	if err == nil {
		s[receiverCost] = got[cost]
	}
	return s, err
}

func (datagramTask) close() {}

// --- Stacks at either end

func (p inProcess) datagrams(size, batch int) (task, error) {
	e, err := p.socketEndpoints()
	if err != nil {
		return nil, err
	}
	if batch > 1 && e.writeBatch == nil {
		return nil, errors.ErrUnsupported
	}
	return datagramTask{p, size, batch}, nil
}

// socketEndpoints are those for UDP.
func (p inProcess) socketEndpoints() (endpoints, error) {
	e, err := p.endpoints(handshake{})
	if err == nil && e.listen == nil {
		err = errors.ErrUnsupported
	}
	return e, err
}

// A connSender writes to a Conn.
type connSender struct {
	conn
	data  [][]byte
	write func(c conn, data [][]byte) error
}

func (p inProcess) sender(address string, size, batch int) (sender, error) {
	e, err := p.socketEndpoints()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := e.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	s := &connSender{conn: c, write: e.writeBatch}
	if batch == 1 {
		s.write = writeEach
	}
	for range batch {
		s.data = append(s.data, make([]byte, size))
	}
	return s, nil
}

func (s *connSender) send() (int, error) { return len(s.data), s.write(s.conn, s.data) }
func (s *connSender) finish() error      { return writeEach(s.conn, [][]byte{{0}}) }

func writeEach(c conn, data [][]byte) error {
	for _, b := range data {
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// A connReceiver reads from the first Conn that is accepted, or lets a Listener
// serve.
type connReceiver struct {
	net.Listener
	serve func(l net.Listener, handle func(data []byte)) error
}

func (p inProcess) receiver(batch int) (receiver, error) {
	e, err := p.socketEndpoints()
	if err != nil {
		return nil, err
	}
	l, err := e.listen()
	if e.serve == nil {
		e.serve = readFirst
	}
	return connReceiver{l, e.serve}, err
}

func (r connReceiver) receive(arrived func(size, count int)) error {
	return r.serve(r.Listener, func(data []byte) { arrived(len(data), 1) })
}

// readFirst reads what comes over the first connection.
func readFirst(l net.Listener, handle func(data []byte)) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	if err := c.(conn).HandshakeContext(context.Background()); err != nil {
		return err
	}
	for buf := make([]byte, 1<<14); ; {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		handle(buf[:n])
	}
}
