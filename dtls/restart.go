package dtls

import (
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A client may forget its association, in a reboot for instance, and begin
// another one from the same address and port. The old one must work until the
// client has shown that it is there, and must end then (RFC 6347 4.2.8,
// RFC 9147 5.11).
//
// So a hello from an address that has an association goes to the greeter like
// any other, unless that association began with it. One that is welcome begins
// a candidate beside the association that is open. Which of the two a record is
// for can't be told from outside, as their epochs are the same: each gets a copy
// of what comes, and what doesn't open changes nothing. Plaintext means nothing
// to the older one, which has had keys. The candidate takes the other's place when
// its handshake is complete.
//
// An association whose records carry connection IDs is found without its address,
// which a NAT may have given to another client meanwhile. Then it goes on: it ends
// only for a client that authenticates as the same one.
//
// An association that isn't open has nothing to lose: the next welcome hello
// takes its place at once, so that there is one candidate for an address.

// ErrReplaced is the error of a Listener's Conn whose client has begun another
// association from the same address: of one that was open, once the new one's
// handshake is complete; of one that was not, at once.
var ErrReplaced = errors.New("dtls: the client has begun another association from the same address")

// seats are the associations of one address.
type seats struct {
	live      *peer // that the address belongs to, open or the only one; nil: none is
	candidate *peer // that may replace it
}

// seatsAt finds the associations of an address. l.mu is held.
func (l *Listener) seatsAt(a netip.AddrPort) seats { return seats{l.peers[a], l.candidates[a]} }

// handshaking reports whether a handshake is under way.
func (s seats) handshaking() bool {
	return s.candidate != nil || s.live != nil && !s.live.conn.opened.Load()
}

// began finds the association that began with a hello. Its first and its second
// hello have the same random.
func (s seats) began(in *hello) *peer {
	for _, p := range [...]*peer{s.live, s.candidate} {
		if p != nil && string(p.random[:]) == string(in.Random) {
			return p
		}
	}
	return nil
}

// push takes copies of a datagram for the associations, and reports whether
// there was room.
func (s seats) push(datagram []byte, from Path, now time.Time) bool {
	if s.candidate != nil {
		s.candidate.push(datagram, from, now)
	}
	return s.live.push(datagram, from, now)
}

// disturbs reports whether an answer to a strange hello could end the handshake
// that is under way from its address, whose client gets the answer too: with
// anything but a challenge like the one that it has had and left behind.
func (s seats) disturbs(in *hello, reply []byte) bool {
	return s.handshaking() && (in.header.Seq > 0 || protocol.ContentType(reply[0]) != protocol.Handshake)
}

// sit gives a new association its place. l.mu is held.
//
// RFC 9147 5.11 [1]
func (l *Listener) sit(p *peer) {
	a := p.path.Remote
	s := l.seatsAt(a)
	if s.candidate != nil && s.candidate.conn.opened.Load() {
		l.settle(s.candidate)
		s = l.seatsAt(a)
	}
	if s.live != nil && s.live.conn.opened.Load() {
		l.candidates[a] = p
		s.candidate.replace()
	} else {
		l.peers[a] = p
		s.live.replace()
	}
}

// settle gives p, whose handshake is complete, the place that it is a candidate
// for. l.mu is held.
//
// RFC 9147 5.11 [2]
func (l *Listener) settle(p *peer) {
	a := p.path.Remote
	if s := l.seatsAt(a); s.candidate == p {
		delete(l.candidates, a)
		l.peers[a] = p
		same := p.identity != [sha256.Size]byte{} && p.identity == s.live.identity
		if same || len(s.live.ids) == 0 {
			s.live.replace()
		}
	}
}

// opened is called when the handshake of p is complete.
func (p *peer) opened() {
	l := p.listener
	identity := identify(p.conn.engine.State())
	l.mu.Lock()
	defer l.mu.Unlock()
	p.identity = identity
	l.crowd.end(p)
	l.handshakes.complete(p.conn.engine.stats.handshakeTime)
	l.settle(p)
}

// identify is a hash of what a client has authenticated by, zero if by nothing.
func identify(s ConnectionState) (sum [sha256.Size]byte) {
	switch {
	case len(s.PSKIdentity) > 0:
		return sha256.Sum256(s.PSKIdentity)
	case len(s.PeerCertificates) > 0:
		return sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
	case len(s.PeerRawPublicKey) > 0:
		return sha256.Sum256(s.PeerRawPublicKey)
	}
	return sum
}

// vacate gives up the place of p. l.mu is held.
func (l *Listener) vacate(p *peer) {
	a := p.path.Remote
	switch s := l.seatsAt(a); p {
	case s.candidate:
		delete(l.candidates, a)
	case s.live:
		delete(l.peers, a)
		if s.candidate != nil {
			delete(l.candidates, a)
			l.peers[a] = s.candidate
		}
	}
}

// replace ends an association whose place another has, without a word: the client
// has forgotten it, and would take what is in plaintext for the other's. What
// came before can still be read.
func (p *peer) replace() {
	if p == nil {
		return
	}
	p.shut(ErrReplaced)
	p.conn.endLater(ErrReplaced)
}
