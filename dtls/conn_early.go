package dtls

import (
	"context"
	"io"
)

// WriteEarly writes before the handshake is complete, if Config.EarlyData is
// set: one record in one datagram, as Write. A client (one that Client made: Dial
// runs the handshake) sends it behind its ClientHello, if it resumes a session
// that allows so much; ConnectionState then says what the session has. A server
// whose ReadEarly gave data answers it. After the handshake it is Write. With
// ErrNoEarlyData nothing was sent, and Write may be tried.
//
// If it turns out that the server doesn't take early data, Read and Write return
// ErrEarlyDataRejected until ForgetEarlyData; then the application writes again.
// That it is taken doesn't say that it arrived. Anybody can repeat early data;
// see Config.EarlyData.
func (c *Conn) WriteEarly(p []byte) (int, error) {
	if c.opened.Load() {
		return c.Write(p)
	}
	if err := c.beginHandshake(); err != nil {
		return 0, err
	}
	return c.write((*Engine).WriteEarly, p)
}

// beginHandshake brings the handshake as far as it comes without an answer.
func (c *Conn) beginHandshake() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acquire()
	defer c.release()
	if err := c.start(context.Background()); err != nil {
		return err
	}
	_, err := c.work()
	return err
}

// ReadEarly is a server's Read for 0-RTT data, as soon as it is here. It runs the
// handshake no further than that takes, and returns io.EOF when the handshake is
// complete or there is no early data: then, and for all other data, there is
// Read. Early data that nobody reads by ReadEarly comes by Read, first of all,
// once the handshake is complete.
//
// Warning: what ReadEarly returns while ConnectionState.HandshakeComplete is
// false may have been recorded and sent again by somebody else; see
// Config.EarlyData. What Read returns was not.
func (c *Conn) ReadEarly(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acquire()
	defer c.release()
	if err := c.start(context.Background()); err != nil {
		return 0, err
	}
	for {
		if _, err := c.work(); err != nil {
			return 0, err
		}
		if n, ok := c.engine.ReadEarly(p); ok {
			if n > len(p) {
				return len(p), io.ErrShortBuffer
			}
			return n, nil
		}
		if c.engine.EarlyOver() {
			return 0, io.EOF
		}
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
}

// ForgetEarlyData says that the application has seen ErrEarlyDataRejected: Read
// and Write work again, and nothing of what was written early has arrived.
func (c *Conn) ForgetEarlyData() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine.ForgetEarlyData()
}
