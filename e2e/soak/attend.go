package main

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/tls"
)

// An order is the first byte of a message: what the server does before it echoes it.
type order byte

const (
	echo    order = 'e' // nothing
	update  order = 'u' // changes keys, and asks for it
	rotate  order = 'r' // changes connection IDs
	migrate order = 'm' // exports the connection, and imports it
	store   order = 's' // waits until the connection is stored
)

// --- With a goroutine for each client

// acceptAll serves every client of a Listener.
func (s *site) acceptAll(l *dtls.Listener) {
	for {
		c, err := l.AcceptConn()
		if err != nil {
			return
		}
		s.atWork.Go(func() { s.attend(l, c) })
	}
}

// attend echoes what a client says, until it says goodbye or nothing.
func (s *site) attend(l *dtls.Listener, c *dtls.Conn) {
	defer c.Close()
	defer context.AfterFunc(s.ended, func() { c.Close() })()
	if c.Handshake() != nil {
		return
	}
	buf := make([]byte, 2048)
	for {
		n, err := patient{c, s}.Read(buf)
		if err != nil {
			return
		}
		if heir := s.obey(l, c, buf[:n]); heir != nil {
			s.atWork.Go(func() { s.attend(l, heir) })
			return
		}
	}
}

// obey does what a message asks for, and echoes it. If another Conn goes on with the
// connection, that is the heir.
func (s *site) obey(l *dtls.Listener, c *dtls.Conn, message []byte) (heir *dtls.Conn) {
	switch order(message[0]) {
	case update:
		c.KeyUpdate(dtls.UpdateRequested) // fails in 1.2
	case rotate:
		c.RotateConnectionIDs()
	case migrate:
		if heir, err := migrateWithin(l, c); err == nil {
			heir.Write(message)
			return heir
		}
		return nil // the client fails
	case store:
		await(s.idle, func() bool { return s.store.has(c.StoreName()) })
	}
	c.Write(message)
	return nil
}

// migrateWithin exports a connection, and imports it again.
func migrateWithin(l *dtls.Listener, c *dtls.Conn) (*dtls.Conn, error) {
	key := newKey()
	blob, err := c.Export(key)
	if err != nil {
		return nil, err
	}
	return l.Import(nil, blob, key)
}

func newKey() []byte {
	key := make([]byte, 32)
	rand.Read(key)
	return key
}

// --- Without

// serve echoes what clients of a Listener say.
func (s *site) serve(l *dtls.Listener) {
	s.atWork.Go(func() {
		l.Serve(func(c *dtls.Conn, data []byte) {
			if data == nil {
				return
			}
			if heir := s.obey(l, c, data); heir != nil {
				s.atWork.Go(func() { s.attend(l, heir) })
			}
		})
	})
	s.atWork.Go(func() { s.sweep(l) })
}

// A silence is since when a client has said nothing that opens.
type silence struct {
	records uint64
	since   time.Duration // by the clock
}

// sweep closes clients that say nothing: Serve leaves that to the application.
func (s *site) sweep(l *dtls.Listener) {
	often := time.NewTicker(s.idle / 4)
	defer often.Stop()
	known := map[*dtls.Conn]silence{}
	for {
		select {
		case <-often.C:
			known = s.sweepOnce(l, known, s.clock.now())
		case <-s.ended.Done():
			return
		}
	}
}

func (s *site) sweepOnce(l *dtls.Listener, known map[*dtls.Conn]silence, now time.Duration) map[*dtls.Conn]silence {
	present := map[*dtls.Conn]silence{}
	for _, c := range l.Conns() {
		records := c.Stats().RecordsReceived
		was, ok := known[c]
		switch {
		case !ok || was.records != records:
			present[c] = silence{records, now}
		case now-was.since > s.idle && c.ConnectionState().HandshakeComplete:
			c.Close()
		default:
			present[c] = was
		}
	}
	return present
}

// --- Streams

func (s *site) acceptStreams() {
	for {
		c, err := s.secure.Accept()
		if err != nil {
			return
		}
		s.streams.Add(1)
		s.atWork.Go(func() {
			defer s.streams.Add(-1)
			s.attendStream(c.(*tls.Conn))
		})
	}
}

func (s *site) attendStream(c *tls.Conn) {
	defer c.Close()
	defer context.AfterFunc(s.ended, func() { c.NetConn().Close() })()
	if c.Handshake() != nil {
		return
	}
	io.CopyBuffer(justWriter{c}, patient{c, s}, make([]byte, 2048))
}

// justWriter hides what else a Conn can do from io.Copy.
type justWriter struct{ io.Writer }

// patient reads until there has been nothing for a while, by the clock.
type patient struct {
	net.Conn
	site *site
}

func (p patient) Read(b []byte) (int, error) {
	for began := p.site.clock.now(); ; {
		p.SetReadDeadline(time.Now().Add(p.site.idle))
		n, err := p.Conn.Read(b)
		if !timedOut(err) || p.site.clock.now()-began >= p.site.idle {
			return n, err
		}
	}
}
