package main

import (
	"net"
	"sync/atomic"
	"syscall"
)

// A troubled socket fails as it is told.
type troubled struct {
	net.PacketConn
	sends, reads atomic.Int64 // of so many, one fails; 0: none
	count        atomic.Int64
}

func (t *troubled) fails(one *atomic.Int64) bool {
	of := one.Load()
	return of > 0 && t.count.Add(1)%of == 0
}

func (t *troubled) WriteTo(b []byte, to net.Addr) (int, error) {
	if t.fails(&t.sends) {
		return 0, &net.OpError{Op: "write", Net: "udp", Err: syscall.ENOBUFS}
	}
	return t.PacketConn.WriteTo(b, to)
}

// ReadFrom fails behind a datagram, which is lost.
func (t *troubled) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := t.PacketConn.ReadFrom(b)
	if err == nil && t.fails(&t.reads) {
		return 0, nil, &net.OpError{Op: "read", Net: "udp", Err: syscall.ENOBUFS}
	}
	return n, from, err
}
