package dtls

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/pathmtu"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
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
	switch s := e.search; {
	case s == nil && e.config.MaxMTU == 0:
	case s == nil || e.probeKind() == noProbe:
		m.State = MTUUnprobed
	case s.Found():
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
	asked []probe // of the size that is asked about, in a row
	heard uint64  // the record number of the peer's that was expected when the last one went out
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

// lastProbeEpoch leaves half of the epochs to those who need new keys.
const lastProbeEpoch = handshake.MaxEpoch / 2

// beginSearch begins to search, from what the handshake has come to.
func (e *Engine) beginSearch() {
	s := e.search
	if s == nil {
		return
	}
	w := e.newest()
	s.Least, s.Most = handshake.MinMTU, min(e.config.MaxMTU, w.size(e.machine.SendLimit(w.number)))
	if e.probeKind() == noProbe || s.Most < e.mtu {
		e.search = nil
		return
	}
	s.Base = e.mtu
	s.Start(e.now)
}

// searches reports whether the MTU is what the search says.
func (e *Engine) searches() bool { return e.search != nil && e.search.Started() }

// searchFrom takes this for the MTU, as another path begins, or as what was found is of
// no use. If there is a search, it begins again.
func (e *Engine) searchFrom(mtu int) {
	if e.mtu = mtu; e.searches() {
		e.search.Base = mtu
		e.search.Start(e.now)
	}
}

// probes reports whether a probe is due that can go out.
func (e *Engine) probes() bool {
	if e.search == nil || !e.mayProbe() {
		return false
	}
	_, due := e.search.Due(e.now)
	return due
}

// mayProbe reports whether a probe can go out now. In 1.3 the peer may not have the keys
// yet that our last flight gives it; a KeyUpdate that gets no answer would be the end, and
// goes only to who was heard since the last one.
func (e *Engine) mayProbe() bool {
	if e.err != nil || !e.machine.Open() || e.closing.sent || e.closing.received || e.paths.check != nil || e.newest().exhausted() {
		return false
	}
	if e.version.Is13() && e.Outstanding() {
		return false
	}
	return e.probeKind() == challengeProbe || e.probeKind() == updateProbe && e.expects() != e.search.heard
}

// expects is the record number that is next in the newest epoch of the peer's.
func (e *Engine) expects() uint64 { return e.reads[len(e.reads)-1].expects() }

// probeDeadline is when the search goes on. A probe that can't be sent is not waited
// for.
func (e *Engine) probeDeadline() time.Time {
	s := e.search
	if s == nil || e.err != nil || !s.Awaits() && !e.mayProbe() {
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
	size, _ := e.search.Due(e.now)
	wait := max(leastProbeTime, e.backoff.Timeout())
	if len(buf) < size {
		e.search.Sent(size, e.now, wait)
		return 0
	}
	d := datagram{e: e, buf: buf[:size], full: true}
	var p probe
	if e.probeKind() == challengeProbe {
		rand.Read(p.cookie[:]) // never fails
		d.addStatement(statement{kind: pathChallenge, cookie: p.cookie})
	} else {
		w := e.newest()
		p.record = protocol.RecordNumber{Epoch: w.number, Sequence: w.next}
		e.search.heard = e.expects()
		e.KeyUpdate(message.NotRequested, e.now) // where it isn't possible any more, nothing goes out
		d.addFlight()
	}
	p.size = d.n
	e.search.Sent(p.size, e.now, wait)
	earlier := slices.DeleteFunc(e.search.asked, func(q probe) bool { return q.size != p.size })
	e.search.asked = append(earlier, p)
	return d.n
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
	return e.paths.from == e.paths.current && e.answered(func(p probe) bool { return p.record.Epoch == 0 && p.cookie == c })
}

// answeredRecords takes an ACK for the answer to a probe, if it is one.
func (e *Engine) answeredRecords(numbers []protocol.RecordNumber) {
	e.answered(func(p probe) bool { return p.record.Epoch > 0 && slices.Contains(numbers, p.record) })
}
