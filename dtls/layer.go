package dtls

import (
	"slices"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A layer is the Engine as its Machine sees it: what carries whole messages.
type layer Engine

var _ handshake.Layer = (*layer)(nil)

// Send adds a message to the flight. ChangeCipherSpec is none: Transmit writes
// it again wherever the flight goes from epoch 0 to 1.
//
// RFC 9147 5 [1]
func (l *layer) Send(m handshake.Message) {
	if m.Content == protocol.ChangeCipherSpec {
		return
	}
	if l.flushed {
		l.beginFlight(m.Level)
	}
	h := fragment.Header{Type: uint8(m.Type), Length: len(m.Body), Seq: m.Seq, Size: len(m.Body)}
	l.reserve.changed()
	whole := h.Append(make([]byte, 0, fragment.HeaderSize+len(m.Body)))
	l.flight.Add(append(whole, m.Body...), m.Level)
}

// beginFlight forgets the last flight: that we may speak says that the peer has
// it, as it answered or acknowledged it.
//
// RFC 9147 5.8.2 [4]
func (l *layer) beginFlight(level uint64) {
	l.flight.Clear()
	l.flushed, l.switched, l.repeats, l.largest = false, false, 0, 0
	l.backoff.Reset()
	l.measure.begin()
	l.writes = slices.DeleteFunc(l.writes, func(w *writeEpoch) bool {
		return 0 < w.number && w.number < level // ChangeCipherSpec always goes in epoch 0
	})
}

// Flush ends the flight and starts its timer. In 1.2 the last flight has none:
// it is repeated when the peer's is (RFC 6347 4.2.4).
func (l *layer) Flush(reply handshake.Reply) {
	l.flushed, l.reply = true, reply
	if !(*Engine)(l).machine.Open() {
		l.dropACK()
	}
	if reply == handshake.AwaitReply {
		l.stats.roundTrips++
	}
	if reply == handshake.AwaitReply || l.version.Is13() {
		(*Engine)(l).pace()
		l.backoff.Arm(l.now)
	} else {
		l.flightDies = l.now.Add(lifetime)
	}
}

// dropACK forgets what was to be acknowledged: our flight says that we have
// theirs (RFC 9147 7.1).
//
// RFC 9147 7.1 [4]
func (l *layer) dropACK() {
	l.received.Clear()
	l.ackSince, l.ackDue = time.Time{}, false
}

func (l *layer) WriteKey(k handshake.TrafficKey) error {
	w, err := newWriteEpoch(k)
	if err != nil {
		return alert.Localf(alert.InternalError, "%w", err)
	}
	w.padding, w.short = l.config.RecordPadding, l.config.ShortRecordHeaders && w.mask != nil
	w.reserved = l.reserve.ofNewKey()
	if w.isEarly() {
		l.early.write = w // beside the others: no message goes under it
	} else {
		w.ids = &l.ids
		l.writes = append(l.writes, w)
	}
	if w.number > handshake.LevelApplication {
		l.stats.count(keysUpdated)
	}
	(*Engine)(l).trace(handshake.Event{Kind: handshake.EventKey, Direction: handshake.Sent, Number: protocol.RecordNumber{Epoch: w.number}})
	return nil
}

// ReadKey adds an epoch. What the peer wrote under the old one must be read by
// now; the old one stays a while for what the peer repeats.
//
// RFC 9147 4.2.1 [1]
func (l *layer) ReadKey(k handshake.TrafficKey) error {
	if l.assembler.Pending() {
		return alert.Peerf(alert.UnexpectedMessage, "%w: the keys changed to epoch %d", alert.ExcessHandshakeData, k.Level)
	}
	r, err := newReadEpoch(k)
	if err != nil {
		return alert.Localf(alert.InternalError, "%w", err)
	}
	r.reserved = l.reserve.ofNewKey()
	l.reads = slices.DeleteFunc(l.reads, func(old *readEpoch) bool {
		return old.number&epochBits == r.number&epochBits // hidden by the new one: see readEpochByBits
	})
	for _, old := range l.reads {
		if old.dies.IsZero() {
			old.dies = l.now.Add(lifetime)
		}
	}
	l.reads = append(l.reads, r)
	if r.number > handshake.LevelApplication {
		l.stats.count(peerKeysUpdated)
	}
	(*Engine)(l).trace(handshake.Event{Kind: handshake.EventKey, Direction: handshake.Received, Number: protocol.RecordNumber{Epoch: r.number}})
	return nil
}

// Version fixes the version. A hello before that says 1.0 in its record, for
// servers that know nothing else (RFC 6347 4.2.1); all others say 1.2, also those
// after a HelloRetryRequest (RFC 9147 4).
//
// RFC 9147 4 [2]
func (l *layer) Version(v protocol.Version) {
	l.version = v
	l.writes[0].version = protocol.VersionDTLS12
}

// SkipEarly has nothing to do: records of an epoch without keys are dropped
// anyway.
func (l *layer) SkipEarly(int) {}

func (l *layer) Trace(v Event) { (*Engine)(l).trace(v) }

// Finish ends the handshake. Either the peer's last flight answers ours, which
// is then not needed any more, and nothing but an ACK answers theirs; or the one
// that we are in answers theirs.
//
// RFC 9147 7.1 [3]
func (l *layer) Finish() {
	l.stats.complete(l.now)
	(*Engine)(l).finishEarly()
	(*Engine)(l).beginSearch()
	if !l.flushed {
		l.dropACK()
		return
	}
	(*Engine)(l).confirmed()
	if l.version.Is13() {
		(*Engine)(l).acknowledge()
	}
}
