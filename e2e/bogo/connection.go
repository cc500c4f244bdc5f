package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/tls"
)

// An engine is what dtls.Engine and tls.Engine have in common.
type engine interface {
	Start(now time.Time) error
	Receive(in []byte, now time.Time) error
	Expire(now time.Time) error
	Read(p []byte) (n int, ok bool)
	Peek(p []byte) (n int, ok bool)
	Abort(a dtls.Alert, now time.Time)
	Transmit(buf []byte) int
	Work() func()
	Resume(now time.Time) error
	KeyUpdate(request dtls.KeyUpdateRequest, now time.Time) error
	Close(now time.Time)
	Open() bool
	Err() error
	Closed() error
	State() dtls.ConnectionState
}

// A link is what an engine talks over.
type link interface {
	// receive waits for the next thing that happens, and does it to the engine.
	// At the end it returns io.EOF.
	receive() error
	send(b []byte) error
	// write gives application data to the engine, and sends what is made of it.
	write(p []byte) error
}

// A connection is an engine at work. It has one goroutine: whatever the engine
// says to one datagram is sent before the next is received.
type connection struct {
	engine
	link
	clock    *clock
	settings *settings
	config   *dtls.Config
	early    earlyEngine // nil: no 0-RTT
	observer *observer
	sessions sessions
	again    bool // it shall resume the session of the one before
	buffer   [1 << 16]byte
}

// connect makes a connection of the family. The handshake comes with converse.
func (f *family) connect(s *settings, again bool, socket *net.TCPConn) (*connection, error) {
	c := &connection{clock: f.clock, settings: s, again: again}
	if err := c.sessions.begin(f, c); err != nil {
		return nil, err
	}
	c.observer = &observer{settings: s, connection: c}
	var err error
	if c.config, err = s.configuration(c); err != nil {
		return nil, err
	}
	if s.dtls {
		err = c.overDatagrams(c.config, socket)
	} else {
		err = c.overStream(c.config, socket)
	}
	return c, err
}

func (c *connection) overDatagrams(config *dtls.Config, socket net.Conn) error {
	newEngine := dtls.NewClientEngine
	if c.settings.server {
		newEngine = dtls.NewServerEngine
	}
	e, err := newEngine(config)
	c.engine, c.link = e, newAdaptor(e, c.clock, socket)
	return err
}

func (c *connection) overStream(config *tls.Config, socket net.Conn) error {
	newEngine := tls.NewClientEngine
	if c.settings.server {
		newEngine = tls.NewServerEngine
	}
	e, err := newEngine(config)
	c.engine, c.link = e, &stream{engine: e, clock: c.clock, socket: socket}
	c.early = e
	return err
}

// handshake goes on until the connection is open, or 0-RTT lets the application
// go on. A second one does nothing.
func (c *connection) handshake() error {
	c.engine.Start(c.clock.now) // its error is latched
	for {
		if err := c.settle(); err != nil || c.Open() || c.in0RTT() {
			return err
		}
		if err := c.next(); err != nil {
			return err
		}
	}
}

// read returns application data. io.EOF is the peer's close_notify, and
// io.ErrUnexpectedEOF the end of the link without one.
func (c *connection) read(p []byte) (int, error) {
	for {
		if err := c.rejected(); err != nil {
			return 0, err
		}
		n, ok := c.take(p)
		if !ok && c.in0RTT() {
			n, ok = c.early.ReadEarly(p)
		}
		if err := c.settle(); err != nil && !ok {
			return 0, err
		}
		if ok {
			return n, nil
		}
		if err := c.Closed(); err != nil {
			return 0, err
		}
		if err := c.next(); err != nil {
			return 0, err
		}
	}
}

// take reads what is there, after a look at it if a test wants that.
func (c *connection) take(p []byte) (int, bool) {
	if !c.settings.peeks {
		return c.engine.Read(p)
	}
	seen := make([]byte, len(p))
	n, ok := c.engine.Peek(seen)
	if !ok {
		return n, ok
	}
	m, _ := c.engine.Peek(p)
	same := bytes.Equal(seen[:n], p[:m])
	if m, ok = c.engine.Read(p); !same || !bytes.Equal(seen[:n], p[:m]) {
		panic("Peek and Read don't agree")
	}
	return m, ok
}

// next waits for what happens next.
func (c *connection) next() error {
	if err := c.link.receive(); err == io.EOF {
		return io.ErrUnexpectedEOF
	} else if err != nil && c.Err() == nil {
		return err
	}
	return c.settle()
}

// settle sends all that the engine has to say, and does the work that it waits
// for. It returns the error that ended the connection.
func (c *connection) settle() error {
	for {
		for n := c.Transmit(c.buffer[:]); n > 0; n = c.Transmit(c.buffer[:]) {
			if err := c.send(c.buffer[:n]); err != nil {
				return c.lost(err)
			}
		}
		work := c.Work()
		if work == nil || c.Err() != nil {
			return c.Err()
		}
		if err := c.rejected(); err != nil {
			return err // the work is for whoever goes on
		}
		work()
		c.Resume(c.clock.now) // its error is latched
	}
}

// lost prefers the error of the engine to that of a socket that the runner has
// closed already.
func (c *connection) lost(err error) error {
	if c.Err() != nil {
		return c.Err()
	}
	return fmt.Errorf("the runner hung up: %w", err)
}

// wait lets time pass while the connection goes on, as if somebody else had the
// thread.
func (c *connection) wait(d time.Duration) {
	c.clock.advance(d)
	c.Expire(c.clock.now) // its error is latched
	for n := c.Transmit(c.buffer[:]); n > 0; n = c.Transmit(c.buffer[:]) {
		c.send(c.buffer[:n])
	}
}

// A stream carries TLS.
type stream struct {
	engine *tls.Engine
	clock  *clock
	socket net.Conn
	buffer [1 << 15]byte
	step   int // the most bytes that are read at once; 0: any number
}

func (s *stream) receive() error {
	room := s.buffer[:]
	if s.step > 0 {
		room = room[:s.step]
	}
	n, err := s.socket.Read(room)
	if n > 0 {
		return s.engine.Receive(s.buffer[:n], s.clock.now)
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return err
}

func (s *stream) send(b []byte) error {
	_, err := s.socket.Write(b)
	return err
}

func (s *stream) write(p []byte) error { return s.engine.Write(p, s.clock.now) }
