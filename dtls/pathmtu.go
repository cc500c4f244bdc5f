package dtls

import (
	"cmp"
	"crypto/rand"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/pathmtu"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// How large datagrams the path carries. With Config.MaxMTU the Engine finds out, once
// the handshake is complete, by probes: records with as much padding as it takes, which
// the peer answers, and which nobody below may cut in pieces.
//
//	path_challenge  where both sides know return routability checks (RFC 9853): in 1.3, and
//	                in 1.2 where ours carry the peer's connection ID, and so can have padding
//	KeyUpdate       otherwise in 1.3: every peer acknowledges it, by the number of its
//	                record. What is lost is repeated without the padding.
//
// No ICMP message counts, as anybody can write one.

// A PathMTU says how large datagrams to the peer may be.
type PathMTU struct {
	// Datagram is the largest UDP payload that the path is taken to carry.
	Datagram int
	// Data is what Write can send in one: the rest is what a record has beside its data.
	// It is zero before the handshake is complete.
	Data int
	// State is how that is known.
	State MTUState
}

// An MTUState is how a PathMTU is known.
type MTUState uint8

const (
	// MTUAssumed: it is Config.MTU or the default, or less where that didn't get through.
	// Config.MaxMTU is not set, or the handshake isn't complete.
	MTUAssumed MTUState = iota
	// MTUUnprobed is MTUAssumed although Config.MaxMTU is set: the peer answers no probes, or
	// takes no records of that size, or the system may cut our datagrams in pieces.
	MTUUnprobed
	// MTUSearching: so much has arrived, and larger ones are tried.
	MTUSearching
	// MTUFound: so much has arrived, and what is larger by 8 bytes, or by one than
	// Config.MaxMTU, doesn't or isn't wanted.
	MTUFound
)

func (s MTUState) String() string {
	return [...]string{"assumed", "unprobed", "searching", "found"}[s]
}

// PathMTU returns what is known of the path now.
//
// RFC 9147 4.4 [2, 5]
func (e *Engine) PathMTU() PathMTU {
	m := PathMTU{Datagram: e.mtu}
	if !e.machine.Open() {
		return m
	}
	m.Data = e.capacity()
	switch {
	case e.config.MaxMTU == 0:
	case !e.searches() || e.probeKind() == noProbe:
		m.State = MTUUnprobed
	case e.search.Found():
		m.State = MTUFound
	default:
		m.State = MTUSearching
	}
	return m
}

// capacity is how much data a record has room for that fills a datagram, whatever the
// form of its header.
func (e *Engine) capacity() int {
	w := e.newest()
	return max(0, min(w.roomBehind(longForm, e.mtu), e.machine.SendLimit(w.number)))
}

// A search is that for the MTU of the path that we write to.
type search struct {
	pathmtu.Search
	asked   []probe // of the size that is asked about, in a row
	updates int     // KeyUpdates since the last data
}

// A probe is how we know its answer, of which there is one or the other.
type probe struct {
	size   int
	cookie cookie                // of a path_challenge
	record protocol.RecordNumber // with a KeyUpdate
}

// A probeKind is what the peer answers.
type probeKind uint8

const (
	noProbe probeKind = iota
	challengeProbe
	updateProbe
)

// probeKind is what this peer can be asked with.
func (e *Engine) probeKind() probeKind {
	switch {
	case e.machine.ChecksPaths() && (e.version.Is13() || len(e.newest().id()) > 0):
		return challengeProbe
	case e.version.Is13() && !e.config.DisableKeyUpdate && !e.manual && e.reserve == nil && e.newest().number < lastProbeEpoch:
		return updateProbe
	}
	return noProbe
}

const (
	// lastProbeEpoch leaves half of the epochs to those who need new keys.
	lastProbeEpoch = handshake.MaxEpoch / 2
	// maxUpdates is how many KeyUpdates ask without data between them, which show some
	// peers that nobody keeps them busy. BoringSSL takes 32, and a datagram of data may
	// get lost.
	maxUpdates = 15
)

// beginSearch begins to search, from what the handshake has come to, if that is of use.
func (e *Engine) beginSearch() {
	if e.search == nil || e.probeKind() == noProbe {
		return
	}
	w := e.newest()
	most := min(e.config.MaxMTU, w.size(e.machine.SendLimit(w.number)))
	if most < e.mtu {
		return
	}
	e.search.Least, e.search.Base, e.search.Most = handshake.MinMTU, e.mtu, most
	e.search.Start(e.now)
}

// searches reports whether the MTU is what the search says.
func (e *Engine) searches() bool { return e.search != nil && e.search.Started() }

// wrote notes that data goes out.
func (s *search) wrote() {
	s.Use()
	s.updates = 0
}

// searchFrom takes this for the MTU, as another path begins, or as what was found is of
// no use. If there is a search, it begins again.
func (e *Engine) searchFrom(mtu int) {
	if e.mtu = mtu; e.searches() {
		e.search.asked = nil // what is answered late came by the old one
		e.search.Base = mtu
		e.search.Start(e.now)
	}
}

// probes reports whether a probe is due that can go out.
func (e *Engine) probes() bool {
	if !e.searches() || !e.mayProbe() {
		return false
	}
	_, due := e.search.Due(e.now)
	return due
}

// mayProbe reports whether a probe can go out now. In 1.3 the peer may not have the keys
// yet that our last flight gives it, and there is one KeyUpdate at a time; after some of
// them the search waits for data.
func (e *Engine) mayProbe() bool {
	if e.err != nil || !e.machine.Open() || e.closing.sent || e.closing.received || e.newest().exhausted() {
		return false
	}
	switch e.probeKind() {
	case noProbe:
		return false
	case updateProbe:
		if e.search.updates == maxUpdates {
			return false
		}
	}
	return !(e.version.Is13() && e.Outstanding())
}

// probeDeadline is when the search goes on. A probe that can't be sent is not waited
// for.
func (e *Engine) probeDeadline() time.Time {
	s := e.search
	if !e.searches() || e.err != nil || !s.Awaits() && !e.mayProbe() {
		return time.Time{}
	}
	return s.Deadline()
}

// expireProbe counts a probe as lost when it is time, and goes by what follows.
func (e *Engine) expireProbe() {
	if e.searches() {
		e.search.Expire(e.now)
		e.mtu = e.search.Size()
	}
}

// transmitProbe writes a datagram of the size that is asked about. What the buffer has no
// room for, as what the socket refuses, is lost.
//
// RFC 9853 5.3 [1]
func (e *Engine) transmitProbe(buf []byte) int {
	s, p := e.search, probe{}
	size, _ := s.Due(e.now)
	if size <= len(buf) {
		p = e.writeProbe(datagram{e: e, buf: buf[:size], full: true})
	}
	s.Sent(cmp.Or(p.size, size), e.now, max(leastProbeTime, e.backoff.Timeout()))
	s.asked = slices.DeleteFunc(s.asked, func(q probe) bool { return q.size != p.size })
	if p.size > 0 {
		s.asked = append(s.asked, p)
	}
	return p.size
}

// writeProbe writes one that fills the datagram, but for what there is no size of (with
// CBC), or none where the KeyUpdate has to wait.
func (e *Engine) writeProbe(d datagram) (p probe) {
	if e.probeKind() == challengeProbe {
		rand.Read(p.cookie[:]) // never fails
		d.addStatement(statement{kind: pathChallenge, cookie: p.cookie})
	} else {
		p.record = e.newest().nextNumber()
		e.search.updates++
		e.KeyUpdate(message.NotRequested, e.now) // its error is the Engine's, or ends nothing
		d.addFlight()
	}
	p.size = d.n
	return p
}

// leastProbeTime is PROBE_TIMER where the round trip is shorter. RFC 8899 5.1.1 would have
// more than 15 s; but each size that is too large costs three of them, and an answer that
// comes later than this counts as long as the same size is asked about.
const leastProbeTime = time.Second

// answered takes the answer to a probe, if it is one. It counts once: an ACK names again
// what others did before it.
func (e *Engine) answered(is func(probe) bool) bool {
	if !e.searches() {
		return false
	}
	i := slices.IndexFunc(e.search.asked, is)
	if i < 0 {
		return false
	}
	e.search.Arrived(e.search.asked[i].size, e.now)
	e.search.asked = nil
	e.mtu = e.search.Size()
	return true
}

// answeredPath takes a path_response for the answer to a probe, if it is one.
func (e *Engine) answeredPath(c cookie) bool {
	return e.answered(func(p probe) bool { return p.cookie == c })
}

// answeredRecords takes an ACK for the answer to a probe, if it is one.
func (e *Engine) answeredRecords(numbers []protocol.RecordNumber) {
	e.answered(func(p probe) bool { return p.record.Epoch > 0 && slices.Contains(numbers, p.record) })
}
