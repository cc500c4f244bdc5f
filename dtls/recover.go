package dtls

import (
	"bytes"
	"context"
	"time"
)

// A Listener with a Store goes on with connections of other processes, such as
// those of a server that was killed: a record with a connection ID that nobody here
// has makes it look in the Store. Only if the record authenticates with what is
// stored there, and is none that the other process may have received, does it claim the
// connection; Accept then returns it. So a forged record costs a look-up, and takes a
// connection from nobody.

const (
	// maxRecoveries is how many connections are looked for at the same time. More
	// have to wait until their peers say something again.
	maxRecoveries = 64
	// maxAwaiting is how many datagrams wait for one that is looked for.
	maxAwaiting = 16
)

// recover looks for the connection that a datagram is for, and reports whether it is
// kept until then.
func (l *Listener) recover(datagram []byte, from Path) bool {
	id := l.idOf(datagram)
	if len(id) == 0 || l.config.Store == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting, known := l.recovering[string(id)]
	if len(waiting) == maxAwaiting || !known && (len(l.recovering) == maxRecoveries || l.full()) {
		return false
	}
	l.recovering[string(id)] = append(waiting, copyPacket(datagram, from))
	if !known {
		go l.recoverID(string(id))
	}
	return true
}

// recoverID looks for the connection with this ID, and gives it what waits.
func (l *Listener) recoverID(id string) {
	c, seen := l.findStored(id)
	if c != nil {
		l.stats.recovered.Add(1)
		c.RotateConnectionIDs() // in 1.3: the new ones lead to this process
	}
	if !l.present(c, id, seen) && c != nil {
		c.abandon() // others will find it
	}
}

// present gives a Conn that was looked for, or nil, what came since it has seen what
// waits, and reports whether Accept will return it.
func (l *Listener) present(c *Conn, id string, seen int) bool {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, p := range l.recovering[id] {
		if c != nil && i >= seen {
			c.link.(*peer).push(p.data, p.path, time.Now())
		}
		p.release()
	}
	delete(l.recovering, id)
	if c == nil || l.closed {
		l.drop()
		return false
	}
	l.accepts <- c // there is room: see full
	return true
}

// findStored goes on with the connection that the Store has under an ID, if one of the
// datagrams that wait is of its peer, and returns how many of them it has seen.
func (l *Listener) findStored(id string) (c *Conn, seen int) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	name, _, err := l.config.Store.Load(ctx, idName([]byte(id)))
	if err != nil || name == nil {
		return nil, 0
	}
	blob, _, err := l.config.Store.Load(ctx, string(name))
	if err != nil || blob == nil {
		return nil, 0
	}
	engine, err := ImportEngine(l.config, blob, l.config.StoreKey, time.Now())
	if err != nil {
		return nil, 0
	}
	seen = l.show(engine, id)
	if engine.Err() != nil || len(engine.reserve.parked) == 0 {
		return nil, 0
	}
	if c, err = l.adopt(engine, engine.Path()); err != nil {
		return nil, 0
	}
	return c, seen
}

// makeWay lets go of a connection as it was before it went on elsewhere, from where it comes
// back now, if a Conn of ours or of our group still has that: who is idle would learn it
// late.
func (l *Listener) makeWay(e *Engine) {
	for _, id := range e.identifiers() {
		if p := l.namedTogether(id); p != nil {
			p.conn.confirm()
		}
	}
}

// show gives an Engine the datagrams that wait for an ID, of which any may be forged,
// and returns how many. What opens with its keys it keeps until the connection is
// claimed.
func (l *Listener) show(e *Engine, id string) int {
	l.mu.RLock()
	waiting := l.recovering[id]
	l.mu.RUnlock()
	for _, p := range waiting {
		e.ReceiveFrom(bytes.Clone(p.data), p.path, time.Now())
	}
	return len(waiting)
}
