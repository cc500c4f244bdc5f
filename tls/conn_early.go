package tls

import (
	"io"
	"time"
)

// WriteEarly writes before the handshake is complete, if Config.EarlyData is
// set. A client (one that Client made: Dial runs the handshake) sends p behind its
// ClientHello, if it resumes a session that allows so much; ConnectionState then
// says what the session has. A server whose ReadEarly gave data answers it. After
// the handshake it is Write.
//
// It returns how much of p was sent; if that is not all, with ErrNoEarlyData,
// and Write takes the rest:
//
//	n, err := conn.WriteEarly(request)
//	if err == tls.ErrNoEarlyData {
//		_, err = conn.Write(request[n:])
//	}
//
// If it turns out that the server doesn't take early data, Read and Write return
// ErrEarlyDataRejected until ForgetEarlyData; then the application writes again.
// Anybody can repeat early data; see Config.EarlyData.
func (c *Conn) WriteEarly(p []byte) (int, error) {
	if c.complete.Load() {
		return c.Write(p)
	}
	c.handshaking.Lock()
	defer c.handshaking.Unlock()
	switch {
	case c.handshakeErr != nil:
		return 0, c.handshakeErr
	case c.complete.Load():
		return c.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start()
	for work := c.engine.Work(); work != nil; work = c.engine.Work() {
		c.unlocked(work)
		c.engine.Resume(time.Now()) // its error is latched
	}
	n, err := c.engine.WriteEarly(p, time.Now())
	if flushErr := c.flush(); flushErr != nil {
		return 0, c.blame(flushErr)
	}
	return n, err
}

// ReadEarly is a server's Read for 0-RTT data, as soon as it is here. It runs the
// handshake no further than that takes, and returns io.EOF when there is none,
// or no more: then, and for all other data, there is Read. Early data that
// nobody reads by ReadEarly comes by Read, first of all, once the handshake is
// complete.
//
// Warning: what ReadEarly returns while ConnectionState.HandshakeComplete is
// false may have been recorded and sent again by somebody else; see
// Config.EarlyData. What Read returns was not.
func (c *Conn) ReadEarly(p []byte) (n int, err error) {
	c.handshaking.Lock()
	defer c.handshaking.Unlock()
	if c.handshakeErr != nil {
		return 0, c.handshakeErr
	}
	got := false
	c.handshakeErr = c.runHandshake(func() bool {
		n, got = c.engine.ReadEarly(p)
		return got || c.engine.EarlyOver()
	})
	if c.handshakeErr == nil && !got {
		return 0, io.EOF
	}
	return n, c.handshakeErr
}

// ForgetEarlyData says that the application has seen ErrEarlyDataRejected: Read
// and Write work again, and nothing of what was written early has arrived.
func (c *Conn) ForgetEarlyData() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.ForgetEarlyData()
}
