package dtls

import (
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/retransmit"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// With Config.AdaptiveTimeout the retransmission timer follows the round trip. What
// the peer answers with tells how honest a sample is:
//
//	its next flight, or the ACK of the client's last one      at once
//	any other ACK                                             after a delay of its choice
//
// RFC 9147 7.1 has that delay a quarter of the peer's own timer, which we don't know.
// So there are two estimates, and a flight that only an ACK answers waits for it.
// A flight also takes the peer's computing, and it may wait for its application; the
// next one will too, as far as we know. Karn's rule holds for flights alone: an ACK
// names a record, and what is sent again has a new number.

// A measure is what is known of the time that the peer takes.
type measure struct {
	seed    time.Duration        // the timeout that somebody has set
	prompt  retransmit.RoundTrip // by what comes at once
	delayed retransmit.RoundTrip // by what may wait

	records  []departure     // of our last flight, and of one before it that is in doubt
	passes   []time.Time     // when each pass over our last flight was out
	answered bool            // the answer to it has come
	doubt    []time.Duration // the round trip, by the copy of a flight that was answered; longest first
}

// A departure is when a record went out.
type departure struct {
	number protocol.RecordNumber
	at     time.Time
}

func newMeasure(seed time.Duration) *measure {
	m := new(measure)
	m.assume(seed)
	return m
}

// assume forgets what was measured for a timeout of the caller's.
func (m *measure) assume(seed time.Duration) {
	m.seed, m.prompt, m.delayed, m.doubt = seed, retransmit.RoundTrip{}, retransmit.RoundTrip{}, nil
	m.prompt.Assume(seed)
}

// begin begins with another flight.
func (m *measure) begin() {
	if m == nil {
		return
	}
	if m.passes, m.answered = nil, false; m.doubt == nil {
		m.records = nil
	}
}

// sent notes that a record of our flight goes out, in the pass that says.
func (m *measure) sent(n protocol.RecordNumber, pass int, now time.Time) {
	if m == nil {
		return
	}
	if len(m.records) == retransmit.Remembered {
		m.records = slices.Delete(m.records, 0, 1)
	}
	m.records = append(m.records, departure{n, now})
	for len(m.passes) <= min(pass, retransmit.Remembered-1) {
		m.passes = append(m.passes, now)
	}
	m.passes[len(m.passes)-1] = now
}

// acked is when the newest of these records went out, of those that no ACK has named
// before: one that comes again may have been lost in between. It is zero if there are
// none.
func (m *measure) acked(numbers []protocol.RecordNumber) (newest time.Time) {
	m.records = slices.DeleteFunc(m.records, func(d departure) bool {
		named := slices.Contains(numbers, d.number)
		if named && d.at.After(newest) {
			newest = d.at
		}
		return named
	})
	return newest
}

// resolve ends a doubt when an ACK says how long the round trip is at most.
func (m *measure) resolve(most time.Duration) {
	for _, d := range m.doubt {
		if d <= most {
			m.prompt.Sample(d)
			break
		}
	}
	m.doubt = nil
}

// settle sets what counts while a doubt lasts. The first copy may have been answered,
// and then the timer must wait for longer than that. But what the caller has set may
// be right, and the first copy lost: if the last one can have been answered within that,
// it is likely. Where a handshake waits, and soon an ACK says more, that is believed: a
// peer that has got several copies acknowledges those that came too late, after a
// quarter of its timeout.
func (m *measure) settle(soon bool) {
	if m.doubt == nil {
		return
	}
	trip, shortest := m.doubt[0], m.doubt[len(m.doubt)-1]
	if soon && shortest <= m.seed {
		trip = m.seed
	}
	m.prompt.Assume(retransmit.Allowance(trip))
}

// least is a timeout, or what may be one as long as a doubt lasts.
func (m *measure) least(timeout time.Duration) time.Duration {
	if m != nil && m.doubt != nil {
		return min(timeout, m.seed)
	}
	return timeout
}

// timeout is how long an answer takes that the peer doesn't delay. What is known of
// the others is no less than that.
func (m *measure) timeout() time.Duration {
	if !m.prompt.Sampled() && m.delayed.Sampled() {
		return m.delayed.Timeout()
	}
	return m.prompt.Timeout()
}

// unknownDelay is what an ACK may be delayed by until one has come: a quarter of the
// timer that RFC 9147 5.8.2 recommends.
const unknownDelay = 250 * time.Millisecond

// delay is what the ACK of a message after the handshake may take beside: a quarter
// of the peer's timer, which is perhaps as ours was set, or longer than ours has become.
func (m *measure) delay() time.Duration {
	if m.delayed.Sampled() {
		return max(0, m.delayed.Timeout()-m.timeout())
	}
	return max(unknownDelay, m.seed/4, m.timeout()/2)
}

// code codes what was measured, if both here and there anything is. When a flight
// went out is another clock's.
func (m *measure) code(c *wire.Codec) {
	on, known := m != nil, measure{}
	if on {
		known = *m
	}
	c.Flag(&on)
	wire.Number(c, &known.seed)
	known.prompt.Code(c)
	known.delayed.Code(c)
	switch {
	case !c.Reads() || !on || m == nil:
	case known.seed == 0 || known.timeout() == 0:
		c.Fail("a timer without a timeout")
	default:
		*m = known
	}
}

// measureReply takes the beginning of the peer's flight as the answer to ours. If ours
// was repeated, it is in doubt which copy was answered.
func (e *Engine) measureReply() {
	m := e.measure
	if m == nil || m.answered || len(m.passes) == 0 || e.reply != handshake.AwaitReply {
		return
	}
	m.answered, m.doubt = true, nil
	if len(m.passes) == 1 {
		m.prompt.Sample(e.now.Sub(m.passes[0]))
		return
	}
	for _, at := range m.passes {
		m.doubt = append(m.doubt, e.now.Sub(at))
	}
}

// measureACK takes an ACK of these records. If a part of the flight is missing then,
// its timer goes by what is measured.
func (e *Engine) measureACK(numbers []protocol.RecordNumber) {
	m := e.measure
	if m == nil {
		return
	}
	sent := m.acked(numbers)
	if sent.IsZero() {
		return
	}
	trip, done := &m.delayed, e.flight.Done()
	if done && !e.flight.Empty() && e.reply == handshake.NoReply && len(m.passes) == 1 && e.flight.Level() < handshake.LevelApplication {
		trip = &m.prompt
	}
	trip.Sample(e.now.Sub(sent))
	m.resolve(e.now.Sub(sent))
	m.answered = m.answered || done
	e.pace()
}

// pace sets the timer to what is known.
func (e *Engine) pace() {
	m := e.measure
	if m == nil {
		return
	}
	during := e.flight.Level() < handshake.LevelApplication
	m.settle(during && e.version.Is13())
	e.backoff.SetInitial(m.timeout())
	e.backoff.Delay = 0
	if !during {
		e.backoff.Delay = m.delay()
	}
}
