package main

import (
	"errors"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/tls"
)

// An engine is one side of a connection without a link, a lock or a clock: dtls's
// Engine or tls's.
type engine interface {
	Start(now time.Time) error
	Receive(in []byte, now time.Time) error
	Transmit(buf []byte) int
	Work() func()
	Resume(now time.Time) error
	Open() bool
	Read(p []byte) (n int, ok bool)
}

// An engineTask seals records with one Engine, and opens and reads them with another.
type engineTask struct {
	client, server engine
	seal           func(buf, p []byte, now time.Time) (int, error) // of the client
	data           []byte
	flying         [inFlight][]byte // datagrams, or parts of the stream
	cipher         *bareAEAD
}

// engines is what records is for Conns.
func (g godwit) engines(size int) (task, error) {
	client, server := g.configs(handshake{})
	t := &engineTask{data: make([]byte, size), cipher: newBareAEAD(size)}
	var clientErr, serverErr error
	if g.carrier == datagrams {
		var c *dtls.Engine
		c, clientErr = dtls.NewClientEngine(client)
		t.server, serverErr = dtls.NewServerEngine(server)
		t.client, t.seal = c, c.Write
	} else {
		var c *tls.Engine
		c, clientErr = tls.NewClientEngine(client)
		t.server, serverErr = tls.NewServerEngine(server)
		t.client, t.seal = c, func(buf, p []byte, now time.Time) (int, error) {
			err := c.Write(p, now)
			return c.Transmit(buf), err
		}
	}
	if err := errors.Join(clientErr, serverErr); err != nil {
		return nil, err
	}
	for i := range t.flying {
		t.flying[i] = make([]byte, 0, size+256) // more than any record adds
	}
	return t, t.connect()
}

// connect runs the handshake.
func (t *engineTask) connect() error {
	buf, now := make([]byte, 1<<14), time.Now()
	if err := t.client.Start(now); err != nil {
		return err
	}
	for moved := true; moved; {
		moved = false
		for _, way := range [...][2]engine{{t.client, t.server}, {t.server, t.client}} {
			for work := way[0].Work(); work != nil; work = way[0].Work() {
				work()
				if err := way[0].Resume(now); err != nil {
					return err
				}
			}
			for n := way[0].Transmit(buf); n > 0; n = way[0].Transmit(buf) {
				moved = true
				if err := way[1].Receive(buf[:n], now); err != nil {
					return err
				}
			}
		}
	}
	if !t.client.Open() || !t.server.Open() {
		return errors.New("the handshake doesn't end")
	}
	return nil
}

func (t *engineTask) run(d time.Duration) (sample, error) { return t.cipher.beside(d, t.exchange) }

func (t *engineTask) exchange() (int, error) {
	now := time.Now()
	for i, buf := range t.flying {
		n, err := t.seal(buf[:cap(buf)], t.data, now)
		if err != nil {
			return 0, err
		}
		t.flying[i] = buf[:n]
	}
	for _, sealed := range t.flying {
		if err := t.server.Receive(sealed, now); err != nil {
			return 0, err
		}
		if n, ok := t.server.Read(t.data); !ok || n != len(t.data) {
			return 0, errors.New("a record got lost")
		}
	}
	return inFlight, nil
}

func (t *engineTask) close() {}
