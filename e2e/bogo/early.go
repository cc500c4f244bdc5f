package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/tls"
)

// An earlyEngine is an engine with 0-RTT. The runner has it over TLS alone.
type earlyEngine interface {
	WriteEarly(p []byte, now time.Time) (int, error)
	ReadEarly(p []byte) (n int, ok bool)
	EarlyDataRejected() bool
	ForgetEarlyData()
}

// in0RTT reports whether the application goes on before the handshake is
// complete: as a client that may send early data and doesn't know what will
// become of it, or as a server that may answer some.
func (c *connection) in0RTT() bool {
	if c.early == nil || c.Open() {
		return false
	}
	s := c.State()
	return s.EarlyDataAccepted || c.offersEarlyData(s)
}

func (c *connection) offersEarlyData(s dtls.ConnectionState) bool {
	return !c.settings.server && c.settings.earlyData && !c.Open() && s.DidResume && s.EarlyDataReason == tls.EarlyDataUndecided
}

// rejected is ErrEarlyDataRejected while the application hasn't seen that.
func (c *connection) rejected() error {
	if c.early != nil && c.early.EarlyDataRejected() {
		return tls.ErrEarlyDataRejected
	}
	return nil
}

// complete ends the handshake.
func (c *connection) complete() error {
	for !c.Open() {
		if err := c.next(); err != nil {
			return err
		}
	}
	return nil
}

// writeEarly writes what may go before the handshake is complete, and the rest
// after it.
func (c *connection) writeEarly(p []byte) error {
	n, err := c.early.WriteEarly(p, c.clock.now)
	if !errors.Is(err, tls.ErrNoEarlyData) {
		return err
	}
	if err := c.settle(); err != nil {
		return err
	}
	if err := c.complete(); err != nil {
		return err
	}
	return c.link.write(p[n:])
}

// readUntil reads byte by byte until a handshake message of a type has come, so
// that what follows it waits.
func (c *connection) readUntil(kind int) error {
	stream, ok := c.link.(*stream)
	if !ok {
		return errUnimplemented
	}
	stream.step = 1
	for c.observer.lastMessage != kind {
		if err := c.next(); err != nil {
			return err
		}
	}
	stream.step = 0
	return nil
}

// checkEarlyData is for what is known of 0-RTT once the handshake is complete,
// or once a server answers early data.
func (e *expectations) checkEarlyData(c *connection) error {
	s := c.State()
	switch {
	case c.early == nil || c.offersEarlyData(s):
		return nil
	case e.acceptsEarlyData && !s.EarlyDataAccepted, e.rejectsEarlyData && s.EarlyDataAccepted:
		return fmt.Errorf("early data accepted: %t, which is not expected (%s)", s.EarlyDataAccepted, s.EarlyDataReason)
	}
	return differ("reason about early data", e.earlyDataReason, new(string(s.EarlyDataReason)))
}
