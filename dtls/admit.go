package dtls

import (
	"cmp"
	"errors"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// A client whose cookie came back is at its address, and that is all that is known of
// it: it may never say another word, and so may a million others. Each costs a key
// exchange, a signature, and the memory of a handshake until its timeout. So there are
// Config.MaxHandshakes of them at once, whether Accept or Serve runs them or nobody does
// yet, and when there is one more the oldest ends, as in a queue of TCP's SYNs.
//
// It is the oldest whatever it has said: nobody can buy time with a word that is cheap.
// (If the silent ones went first, those who say something would hold all other places,
// and who comes anew, and can't have said anything yet, would be the next to go.) With n
// places and r clients a second everybody has n/r seconds, and an honest client needs one
// round trip from here: its next flight completes the handshake.

// ErrCrowdedOut is the error of a Listener's Conn whose handshake was the oldest when there
// were more than Config.MaxHandshakes. Its client is told that it is over, and may come again.
var ErrCrowdedOut = errors.New("dtls: too many handshakes at once, and this was the oldest")

// admit makes a Conn for a client, whose first datagram is given. A client for whom there
// is no room before Accept tries again.
func (l *Listener) admit(from Path, first []byte, now time.Time, prepare func(*peer)) {
	engine := newServerEngine(l.config) // valid since the Listener was made
	engine.machine.ClientAddress = from.Remote.Addr().Unmap()
	p := l.newPeer(engine, from)
	prepare(p)
	p.push(first, from, now)
	if oldest := l.enter(p); oldest != nil {
		oldest.conn.abort(ErrCrowdedOut)
	}
}

// enter gives a new peer its place among the others, and returns the one that has to make
// room for it, if one has.
func (l *Listener) enter(p *peer) (oldest *peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.full() {
		l.count(false)
		return nil
	}
	if l.underWay.Len() == maxHandshakes(l.config) {
		oldest = l.underWay.Front().Value.(*peer)
		l.handshakeOver(oldest)
	}
	l.conns[p] = struct{}{}
	p.underWay = l.underWay.PushBack(p)
	l.sit(p)
	p.conn.await()
	l.accepts <- p.conn
	return oldest
}

// handshakeOver notes that the handshake of p is over. l.mu is held.
func (l *Listener) handshakeOver(p *peer) {
	if p.underWay != nil {
		l.underWay.Remove(p.underWay)
		p.underWay = nil
	}
}

// maxHandshakes is also how many Conns wait for Accept.
func maxHandshakes(c *Config) int { return cmp.Or(c.MaxHandshakes, handshake.DefaultMaxHandshakes) }

// full reports whether enough Conns wait for Accept. l.mu is held; whoever sends to accepts
// has asked under it. Those that may turn out to be in the Store have places of their own,
// as anybody can make up IDs to look for.
func (l *Listener) full() bool { return len(l.accepts) >= maxHandshakes(l.config) }
