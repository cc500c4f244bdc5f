package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// An adaptor carries datagrams over a stream, and lets the runner play with time
// and path. Everything begins with an opcode; numbers are big-endian.
type adaptor struct {
	engine *dtls.Engine
	clock  *clock
	socket net.Conn
	buffer []byte // for one datagram out, behind its frame
}

// The opcodes, and what follows them.
const (
	opPacket        = 'P' // uint32 length; the datagram
	opAdvance       = 'T' // uint64 ns: this much time has passed
	opAdvanced      = 't' // nothing: the answer
	opMTU           = 'M' // uint32: the largest datagram from now on
	opExpectTimeout = 'E' // uint64 ns, or noTimeout: when the next timer must expire
	opSetTimeout    = 'U' // uint32 ms: the initial timeout from now on

	noTimeout = math.MaxUint64
	frameSize = 1 + 4
)

func newAdaptor(e *dtls.Engine, c *clock, socket net.Conn) *adaptor {
	return &adaptor{engine: e, clock: c, socket: socket, buffer: make([]byte, frameSize+1<<16)}
}

// receive does what the next opcode says.
func (a *adaptor) receive() error {
	opcode, err := read[uint8](a)
	if err != nil {
		return err
	}
	switch opcode {
	case opPacket:
		return a.receivePacket()
	case opAdvance:
		return a.advance()
	case opMTU:
		mtu, err := read[uint32](a)
		return errors.Join(err, a.engine.SetMTU(int(mtu)))
	case opExpectTimeout:
		return a.checkTimeout()
	case opSetTimeout:
		ms, err := read[uint32](a)
		return errors.Join(err, a.engine.SetInitialTimeout(time.Duration(ms)*time.Millisecond))
	}
	return fmt.Errorf("the runner sent the unknown opcode %q", opcode)
}

func (a *adaptor) receivePacket() error {
	length, err := read[uint32](a)
	if err != nil {
		return err
	}
	datagram := make([]byte, length)
	if _, err := io.ReadFull(a.socket, datagram); err != nil {
		return err
	}
	return a.engine.Receive(datagram, a.clock.now)
}

// advance lets time pass. The answer comes before whatever happens then.
func (a *adaptor) advance() error {
	d, err := read[uint64](a)
	if err != nil {
		return err
	}
	if _, err := a.socket.Write([]byte{opAdvanced}); err != nil {
		return err
	}
	a.clock.advance(time.Duration(d))
	return a.engine.Expire(a.clock.now)
}

// checkTimeout holds the engine's deadline against what the runner says.
func (a *adaptor) checkTimeout() error {
	want, err := read[uint64](a)
	if err != nil {
		return err
	}
	deadline := a.engine.Deadline()
	got := max(0, deadline.Sub(a.clock.now))
	switch {
	case deadline.IsZero() && want == noTimeout:
		return nil
	case deadline.IsZero():
		return fmt.Errorf("no timer runs, expected one that expires in %v", time.Duration(want))
	case want == noTimeout:
		return fmt.Errorf("a timer expires in %v, expected none", got)
	case got.Truncate(time.Microsecond) != time.Duration(want).Truncate(time.Microsecond):
		return fmt.Errorf("a timer expires in %v, expected %v", got, time.Duration(want))
	}
	return nil
}

func (a *adaptor) send(datagram []byte) error {
	return a.sendFrame(copy(a.buffer[frameSize:], datagram))
}

// write sends p as one record in one datagram.
func (a *adaptor) write(p []byte) error {
	n, err := a.engine.Write(a.buffer[frameSize:], p, a.clock.now)
	if err != nil {
		return err
	}
	return a.sendFrame(n)
}

// sendFrame sends the n bytes that lie in the buffer.
func (a *adaptor) sendFrame(n int) error {
	a.buffer[0] = opPacket
	binary.BigEndian.PutUint32(a.buffer[1:], uint32(n))
	_, err := a.socket.Write(a.buffer[:frameSize+n])
	return err
}

// read takes one number off the stream.
func read[T uint8 | uint32 | uint64](a *adaptor) (n T, err error) {
	err = binary.Read(a.socket, binary.BigEndian, &n)
	return n, err
}
