package dtls

import (
	"cmp"
	"container/list"
	"errors"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

// A client whose cookie came back is at its address, and that is all that is known of
// it: it may never say another word, and so may a million others. Each costs a key
// exchange, a signature, and the memory of a handshake until its timeout. So there are
// Config.MaxHandshakes of them at once, whether Accept or Serve runs them or nobody does
// yet. When there is one more, the one that was answered first ends, as in a queue of
// TCP's SYNs, if that was long enough ago:
//
//	under way --- our first flight ---> waited for --- overdueAfter ---> may make room
//
// Who hasn't been answered waits for us. If he had to go for those who come, a crowd of
// honest clients that is more than we can serve would be served not at all; so newcomers
// are turned away then, and try again, as does a client that finds nobody has waited for
// long. With n places n a second may come who never answer.
//
// It is the oldest whatever it has said since: nobody can buy time with a word that is
// cheap. (If the silent ones went first, those who say something would hold all other
// places, and who comes anew, and can't have said anything yet, would be the next to go.)
// An honest client needs one round trip from here: its next flight completes the handshake.

// overdueAfter is how long a client has for its next flight, if others want its place.
const overdueAfter = time.Second

// ErrCrowdedOut is the error of a Listener's Conn whose client was waited for longest when
// there were more handshakes than Config.MaxHandshakes. The client is told that it is over,
// and may come again.
var ErrCrowdedOut = errors.New("dtls: too many handshakes at once, and this one was waited for longest")

// A crowd is the peers of a Listener whose handshakes are under way. The Listener's lock
// guards it, and their stages.
type crowd struct {
	size      int
	waitedFor list.List // of peers, those that were answered first in front
}

// A stage is how far a peer's handshake is, as others see it.
type stage struct {
	underWay   bool
	waitedFor  *list.Element // its place there; nil before the answer
	answeredAt time.Time
}

// admit makes a Conn for a client, whose first datagram is given, if there is room. A
// client for whom there is none tries again.
func (l *Listener) admit(from Path, first []byte, now time.Time, prepare func(*peer)) (admitted bool) {
	engine := newServerEngine(l.config) // valid since the Listener was made
	engine.machine.ClientAddress = from.Remote.Addr().Unmap()
	p := l.newPeer(engine, from)
	prepare(p)
	p.push(first, from, now)
	oldest, admitted := l.enter(p, now)
	if oldest != nil {
		oldest.conn.abort(ErrCrowdedOut)
	}
	return admitted
}

// enter gives a new peer its place among the others, if there is one, and returns the peer
// that has to make room for it, if one has.
func (l *Listener) enter(p *peer, now time.Time) (oldest *peer, entered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	crowded := l.crowd.size == maxHandshakes(l.config)
	if crowded {
		oldest = l.crowd.overdue(now)
	}
	if l.closed || l.full() || crowded && oldest == nil {
		return nil, false
	}
	if crowded {
		l.crowd.end(oldest)
	}
	l.conns[p] = struct{}{}
	l.crowd.begin(p)
	l.sit(p)
	p.conn.await()
	l.accepts <- p.conn
	return oldest, true
}

func (c *crowd) begin(p *peer) {
	c.size++
	p.stage.underWay = true
}

// answered notes that p was sent something: from now on it is waited for.
func (c *crowd) answered(p *peer, now time.Time) {
	if s := &p.stage; s.underWay && s.waitedFor == nil {
		s.answeredAt, s.waitedFor = now, c.waitedFor.PushBack(p)
	}
}

// overdue is the peer that was waited for longest, if that is long enough.
func (c *crowd) overdue(now time.Time) *peer {
	if first := c.waitedFor.Front(); first != nil {
		if p := first.Value.(*peer); now.Sub(p.stage.answeredAt) >= overdueAfter {
			return p
		}
	}
	return nil
}

// end notes that the handshake of p is over, or counts no more.
func (c *crowd) end(p *peer) {
	s := &p.stage
	if s.underWay {
		c.size--
	}
	if s.waitedFor != nil {
		c.waitedFor.Remove(s.waitedFor)
	}
	*s = stage{}
}

// maxHandshakes is also how many Conns wait for Accept.
func maxHandshakes(c *Config) int { return cmp.Or(c.MaxHandshakes, handshake.DefaultMaxHandshakes) }

// full reports whether enough Conns wait for Accept. l.mu is held; whoever sends to accepts
// has asked under it. Those that may turn out to be in the Store have places of their own,
// as anybody can make up IDs to look for.
func (l *Listener) full() bool { return len(l.accepts) >= maxHandshakes(l.config) }
