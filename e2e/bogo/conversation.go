package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/godwit-dtls/godwit/dtls"
)

// converse does what the runner expects of the shim's application: a handshake,
// then an echo of everything with its bits turned over, until the runner says
// goodbye.
func (c *connection) converse() error {
	s := c.settings
	if !s.implicitHandshake {
		if err := c.shakeHands(); err != nil {
			return err
		}
	}
	if err := c.speakFirst(); err != nil {
		return err
	}
	if s.aborts {
		return c.abort()
	}
	if s.shutsDown {
		return c.shutDown()
	}
	end, err := c.echo()
	if err != nil {
		return err
	}
	if s.implicitHandshake && c.Open() {
		if err := s.expect.check(c); err != nil {
			return err
		}
	}
	if s.checkCloseNotify && end != io.EOF {
		return fmt.Errorf("expected close_notify: %w", end)
	}
	if err := c.goodbye(); err != nil {
		return err
	}
	return s.expect.checkEnd(c)
}

func (c *connection) shakeHands() error {
	if err := c.handshake(); err != nil {
		return err
	}
	if c.settings.handshakeTwice {
		if err := c.handshake(); err != nil {
			return err
		}
	}
	s := c.settings
	if s.expect.offersNoEarlyData && c.again && c.in0RTT() {
		return errors.New("expected no early data, the client offers some")
	}
	if err := s.expect.check(c); err != nil || s.earlyWriteAfter == 0 {
		return err
	}
	return c.readUntil(s.earlyWriteAfter)
}

// speakFirst writes what a test wants before anything is read.
func (c *connection) speakFirst() error {
	s := c.settings
	if s.exportLength > 0 {
		if err := c.export(); err != nil {
			return err
		}
	}
	if s.exportSecrets {
		if err := c.exportSecrets(); err != nil {
			return err
		}
	}
	if s.exportUnique {
		if err := c.exportUnique(); err != nil {
			return err
		}
	}
	if s.aborts {
		return nil // instead of what follows
	}
	if s.unfinishedWrite {
		return c.beginWrite([]byte(s.firstWrite))
	}
	if s.writesFirst {
		for range s.firstWrites {
			if err := c.write([]byte(s.firstWrite)); err != nil {
				return err
			}
		}
	}
	return nil
}

// write does the handshake if need be, and writes.
func (c *connection) write(p []byte) error {
	if err := c.queue(p); err != nil {
		return err
	}
	return c.settle()
}

// queue is write; but some of it may not be sent yet.
func (c *connection) queue(p []byte) error {
	if err := c.handshake(); err != nil {
		return err
	}
	write := c.link.write
	if c.in0RTT() {
		write = c.writeEarly
	}
	if err := write(p); err != nil {
		return c.lost(err)
	}
	return nil
}

// beginWrite lets out one byte of a record. The rest follows after a read.
func (c *connection) beginWrite(p []byte) error {
	if err := c.queue(p); err != nil {
		return err
	}
	var first [1]byte
	if err := c.send(first[:c.Transmit(first[:])]); err != nil {
		return c.lost(err)
	}
	return c.next()
}

// echo returns how the runner ended it: io.EOF, or io.ErrUnexpectedEOF without
// close_notify.
func (c *connection) echo() (end, err error) {
	if err := c.handshake(); err != nil {
		return nil, err
	}
	buffer := make([]byte, c.readSize())
	for {
		if c.settings.keyUpdateBeforeRead {
			if err := c.updateKeys(); err != nil {
				return nil, err
			}
		}
		n, err := c.read(buffer)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return err, nil
		}
		if err != nil {
			return nil, err
		}
		for i := range buffer[:n] {
			buffer[i] ^= 0xff
		}
		if c.settings.keyUpdate {
			if err := c.updateKeys(); err != nil {
				return nil, err
			}
		}
		if err := c.write(buffer[:n]); err != nil {
			return nil, err
		}
	}
}

// readSize is small over a stream, so that one record takes several reads.
func (c *connection) readSize() int {
	switch s := c.settings; {
	case s.readSize > 0:
		return s.readSize
	case s.dtls:
		return 1 << 14
	}
	return 512
}

func (c *connection) updateKeys() error {
	if err := c.engine.KeyUpdate(dtls.UpdateNotRequested, c.clock.now); err != nil {
		return err
	}
	return c.settle()
}

// goodbye sends close_notify. The runner may be gone already.
func (c *connection) goodbye() error {
	c.engine.Close(c.clock.now)
	c.settle()
	return c.Err()
}

// shutDown says goodbye first, and then waits for the runner to do the same.
func (c *connection) shutDown() error {
	if err := c.goodbye(); err != nil {
		return err
	}
	if !c.settings.checkCloseNotify {
		return nil
	}
	switch _, err := c.read(make([]byte, 1)); err {
	case io.EOF:
		return nil
	case io.ErrUnexpectedEOF:
		return errNoGoodbye
	case nil:
		return errDataAtEnd
	default:
		return err
	}
}

var (
	errNoGoodbye = errors.New("the runner hung up without close_notify")
	errDataAtEnd = errors.New("the runner sent data instead of close_notify")
)

// export writes keying material (RFC 5705).
func (c *connection) export() error {
	if err := c.handshake(); err != nil {
		return err
	}
	s, state := c.settings, c.State()
	var context []byte
	if s.exportsContext {
		context = append([]byte{}, s.exportContext...)
	}
	material, err := state.ExportKeyingMaterial(s.exportLabel, context, s.exportLength)
	if err != nil {
		return err
	}
	return c.write(material)
}

// exportUnique writes the channel binding tls-unique.
func (c *connection) exportUnique() error {
	unique := c.State().TLSUnique
	if unique == nil {
		return errors.New("failed to get tls-unique")
	}
	return c.write(unique)
}

// abort ends the connection with an alert that only a test would choose.
func (c *connection) abort() error {
	const decompressionFailure = 30 // RFC 5246 7.2.2
	if err := c.handshake(); err != nil {
		return err
	}
	c.engine.Abort(decompressionFailure, c.clock.now)
	if err := c.settle(); !errors.Is(err, dtls.ErrAborted) {
		return err
	}
	return nil
}

// exportSecrets writes the traffic secrets of both directions, behind their
// length: first what we read with, then what we write with.
func (c *connection) exportSecrets() error {
	read, write := "SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0"
	if c.settings.server {
		read, write = write, read
	}
	first, err := c.observer.secret(read)
	if err != nil {
		return err
	}
	second, err := c.observer.secret(write)
	if err != nil {
		return err
	}
	out := binary.LittleEndian.AppendUint16(nil, uint16(len(first)))
	return c.write(append(append(out, first...), second...))
}
