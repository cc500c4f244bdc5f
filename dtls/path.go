package dtls

import (
	"crypto/rand"
	"net/netip"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// Where the peer is. With a connection ID of ours on its records they find us
// from any address, and the newest of them says where it may be now: a candidate,
// as anybody can send a copy from elsewhere. It becomes the path that we write to
// by a return routability check (RFC 9853 5), or by the application's choice.
//
//	           newest record from elsewhere
//	settled ------------------------------> asking old -- path_response --> settled
//	   ^  ^     (basic: asking new at once)      |          at the old path
//	   |  |                                      | path_drop, or a second
//	   |  |              a second                v
//	   |  +---------------------------------- asking new
//	   |                                         | path_response from there
//	   +------------ at the new path <-----------+
//
// While it is asked, what we write goes to both, to the candidate up to three
// times what has authenticated from there: whoever is right loses nothing.

// A Path is where datagrams come from, and so where the answers go. The zero value
// is the only one there is, as over a link that has one peer. IPv4 addresses are
// never in their mapped IPv6 form, so that Paths compare.
type Path struct {
	Remote netip.AddrPort
	// Local is the address that the datagram came to. It is invalid when the
	// socket has only one, or the system doesn't tell. The zone of a link-local
	// one is the number of the interface.
	Local netip.Addr
}

// A PathCheck is how the peer's new address is checked; see Config.PathCheck.
type PathCheck = handshake.PathCheck

// The kinds of PathCheck.
const (
	EnhancedPathCheck = handshake.EnhancedPathCheck
	BasicPathCheck    = handshake.BasicPathCheck
	NoPathCheck       = handshake.NoPathCheck
)

const (
	// checkTime is how long each of them is asked: without knowledge of the round
	// trip it is T = 1 s (RFC 9853 5.5).
	//
	// RFC 9853 5.5 [1, 2]
	checkTime = time.Second
	// maxChallenges is how often it is asked in that time, for lost datagrams.
	maxChallenges = 3
	// cookieSize is that of a challenge, in bytes.
	cookieSize = 8
	// maxLeft is how many paths we know that we have left.
	maxLeft = 4
	// maxAnswers is how many challenges of the peer's are answered together.
	maxAnswers = 4
)

// The types of return_routability_check messages (RFC 9853 4):
//
//	uint8 msg_type; uint64 cookie
const (
	pathChallenge uint8 = 0
	pathResponse  uint8 = 1
	pathDrop      uint8 = 2
)

type cookie [cookieSize]byte

// paths are what an Engine knows of its peer's whereabouts.
type paths struct {
	current Path        // what we write goes there
	left    []Path      // where we are no more by our own will, newest last: see Migrate
	from    Path        // of the datagram that is received
	check   *pathCheck  // nil: settled
	answers []statement // that are due
	moved   func(from, to Path)
}

// A pathCheck asks whether the peer is at the candidate.
type pathCheck struct {
	candidate      Path // where the newest record came from
	asks           askedPath
	challenges     []cookie
	nextAt         time.Time // when to send the next one; zero: no more
	ends           time.Time
	received, sent int // bytes, with the candidate
}

// An askedPath is the one that a pathCheck asks at.
type askedPath uint8

const (
	oldPath askedPath = iota // whether the peer is still there (RFC 9853 5.2)
	newPath                  // whether it is there now (RFC 9853 5.1)
)

// A statement is a return_routability_check to be sent.
type statement struct {
	kind   uint8
	cookie cookie
	to     Path
}

// observe looks at where a newest record of size bytes came from.
//
// RFC 9147 11 [6]; RFC 9146 6 [1]; RFC 9853 3.1 [1]
func (e *Engine) observe(size int) {
	p := &e.paths
	switch {
	case !e.machine.Open(): // the handshake stays where it began
	case p.from == p.current:
	case p.from.Remote == p.current.Remote && !p.current.Local.IsValid(): // as after an import
		p.current = p.from
	case slices.Contains(p.left, p.from): // the peer has not followed us yet
	case p.check != nil && p.from == p.check.candidate:
		p.check.received += size
	case p.check != nil:
		p.check.replace(p.from, size, e.now)
	case e.machine.ChecksPaths():
		p.check = &pathCheck{candidate: p.from, received: size}
		if e.config.PathCheck == handshake.BasicPathCheck {
			p.check.ask(newPath, e.now)
		} else {
			p.check.ask(oldPath, e.now)
		}
	case e.config.AcceptMove != nil && e.config.AcceptMove(p.current.Remote, p.from.Remote):
		e.move(p.from)
	}
}

// ask begins to ask at one of the paths.
func (c *pathCheck) ask(at askedPath, now time.Time) {
	c.asks, c.challenges = at, c.challenges[:0]
	c.nextAt, c.ends = now, now.Add(checkTime)
}

// replace goes on with another candidate: the peer has moved once more, and the one
// before is of no use. RFC 9853 5 leaves that to the next check.
func (c *pathCheck) replace(candidate Path, size int, now time.Time) {
	c.candidate, c.received, c.sent = candidate, size, 0
	if c.asks == newPath {
		c.ask(newPath, now)
	}
}

// budget is how many bytes may go to the candidate now.
func (c *pathCheck) budget() int { return amplification*c.received - c.sent }

// pathDeadline is when a check goes on; zero if nothing is asked any more. A challenge
// that can't be sent is not waited for.
func (e *Engine) pathDeadline() time.Time {
	switch c := e.paths.check; {
	case c == nil || e.err != nil || e.closing.sent:
		return time.Time{}
	case c.nextAt.IsZero() || e.newest().exhausted():
		return c.ends
	default:
		return c.nextAt
	}
}

// expire asks the new path when the old one is silent, and gives up when that is
// silent too: the peer stays where it was.
//
// RFC 9853 5.2 [5]
func (p *paths) expire(now time.Time) {
	switch c := p.check; {
	case c == nil || now.Before(c.ends):
	case c.asks == oldPath:
		c.ask(newPath, now)
	default:
		p.check = nil
	}
}

// challengeDue reports whether a path_challenge is to be sent at now.
func (p *paths) challengeDue(now time.Time) bool {
	return p.check != nil && !p.check.nextAt.IsZero() && !now.Before(p.check.nextAt)
}

// challenge makes the next one, with a fresh cookie (RFC 9853 5.3).
//
// RFC 9853 5.3 [2, 3]
func (p *paths) challenge(now time.Time) statement {
	c, s := p.check, statement{kind: pathChallenge, to: p.current}
	rand.Read(s.cookie[:]) // never fails
	c.challenges = append(c.challenges, s.cookie)
	c.nextAt = time.Time{}
	if len(c.challenges) < maxChallenges {
		c.nextAt = now.Add(checkTime / maxChallenges)
	}
	if c.asks == newPath {
		s.to = c.candidate
	}
	return s
}

// receiveReturnRoutability takes a return_routability_check. What it doesn't know
// it ignores (RFC 9853 4), what answers nothing of ours as well (RFC 9853 5.4). It
// belongs to an open connection and its keys.
//
// RFC 9853 4 [2, 3], 5.2 [3, 4], 5.4 [4]
func (e *Engine) receiveReturnRoutability(n protocol.RecordNumber, body []byte) error {
	switch {
	case !e.machine.Open(): // the keys to answer under may not be there yet
		return e.drop(dropEarly)
	case e.version.Is13() && n.Epoch < handshake.LevelApplication:
		return alert.Peerf(alert.UnexpectedMessage, "%w: return_routability_check in epoch %d", alert.UnexpectedRecord, n.Epoch)
	case len(body) == 0:
		return alert.Peerf(alert.DecodeError, "%w: an empty return_routability_check", alert.MalformedMessage)
	}
	kind := body[0]
	switch {
	case kind > pathDrop, kind != pathChallenge && len(body) != 1+cookieSize:
		return nil
	case len(body) != 1+cookieSize:
		return alert.Peerf(alert.DecodeError, "%w: return_routability_check of %d bytes, expected %d", alert.MalformedMessage, len(body), 1+cookieSize)
	}
	p, c := &e.paths, cookie(body[1:])
	if kind == pathChallenge {
		p.answer(c)
		return nil
	}
	if kind == pathResponse && e.answeredPath(c) || p.check == nil || !slices.Contains(p.check.challenges, c) {
		return nil
	}
	switch {
	case p.check.asks == oldPath && kind == pathResponse:
		p.check = nil // it is still there: what came from elsewhere was a copy
	case p.check.asks == oldPath:
		p.check.ask(newPath, e.now)
	case kind == pathResponse && p.from == p.check.candidate:
		e.move(p.from)
	}
	return nil
}

// answer makes the answer to a challenge due, to where that came from (RFC 9853
// 4.4). Only a path that we have left is none any more.
//
// RFC 9853 5.2 [1, 2], 5.4 [1, 2, 3]
func (p *paths) answer(c cookie) {
	s := statement{pathResponse, c, p.from}
	if slices.Contains(p.left, p.from) {
		s.kind = pathDrop
	}
	if len(p.answers) < maxAnswers {
		p.answers = append(p.answers, s)
	}
}

// move makes to the path that we write to. A new path gets new connection IDs
// (RFC 9147 9).
//
// RFC 9147 9 [7], 11 [8]
func (e *Engine) move(to Path) {
	from := e.paths.current
	e.reserve.changed()
	e.paths.current, e.paths.left, e.paths.check = to, nil, nil
	if e.paths.moved != nil {
		e.paths.moved(from, to)
	}
	e.stats.count(moved)
	if e.searches() {
		e.searchFrom(min(firstMTU(e.config), e.search.Most))
	}
	if e.version.Is13() {
		e.rotate() // as far as it goes
	}
}

// --- For whoever sends datagrams

// Path is where what Write makes goes.
func (e *Engine) Path() Path { return e.paths.current }

// Candidate returns where a datagram of n bytes that Write made shall go too, if
// ok: while the peer may be at a new path, and as far as nobody can be flooded by
// it, with room for the challenge. The Engine counts it as sent.
//
// RFC 9853 5 [1]
func (e *Engine) Candidate(n int) (to Path, ok bool) {
	c := e.paths.check
	if c == nil || n+e.newest().size(1+cookieSize) > c.budget() {
		return Path{}, false
	}
	c.sent += n
	e.stats.bytesSent += uint64(n)
	e.endDatagram(n)
	return c.candidate, true
}

// Migrate makes to the path that this side writes to, from now on: it has another
// address itself and knows it, or knows by means of its own that the peer is
// there. The peer's checks that reach it at the old path say so (RFC 9853 5.2).
func (e *Engine) Migrate(to Path, now time.Time) error {
	if e.err != nil {
		return e.err
	}
	if !e.machine.Open() {
		return errNotOpen
	}
	if e.now = now; to == e.paths.current {
		return nil
	}
	left := append(e.paths.left, e.paths.current)
	e.move(to)
	left = slices.DeleteFunc(left, func(p Path) bool { return p == to })
	e.paths.left = left[max(0, len(left)-maxLeft):]
	return e.err
}

// checksPath reports whether there is something to say about paths.
func (e *Engine) checksPath() bool {
	due := len(e.paths.answers) > 0 || e.paths.challengeDue(e.now)
	return due && e.err == nil && !e.closing.sent && !e.newest().exhausted()
}

// transmitCheck writes it into a datagram of its own, as it goes where it says. Where
// the peer may not be it has no padding: that would be more than what came.
//
// RFC 9853 4 [1], 5.3 [1]
func (e *Engine) transmitCheck(d datagram) (n int, to Path) {
	p := &e.paths
	var s statement
	if len(p.answers) > 0 {
		s, p.answers = p.answers[0], p.answers[1:]
	} else {
		s = p.challenge(e.now)
	}
	w := e.newest()
	size := w.size(1 + cookieSize)
	if s.to != p.current {
		d.buf = d.buf[:min(len(d.buf), size)]
	}
	if p.check != nil && s.to == p.check.candidate {
		if size > p.check.budget() {
			return 0, Path{}
		}
		p.check.sent += size
	}
	d.addStatement(s)
	if d.n == 0 {
		return 0, Path{}
	}
	return d.n, s.to
}

// addStatement writes a return_routability_check, if it fits.
func (d *datagram) addStatement(s statement) {
	w := d.e.newest()
	if d.room(w) < 1+cookieSize {
		return
	}
	b := d.payload(w)
	b[0] = s.kind
	copy(b[1:], s.cookie[:])
	d.finish(w, protocol.ReturnRoutability, 1+cookieSize)
}
