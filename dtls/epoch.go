package dtls

import (
	"time"

	"github.com/godwit-dtls/godwit/replay"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A readEpoch opens the peer's records of one epoch. One that is past does so for its
// lifetime: the peer may repeat what we have acknowledged until it gets the ACK.
type readEpoch struct {
	number   uint64
	opener   *record.Opener
	mask     *record.Mask // 1.3
	window   replay.Window
	reserved           // of the numbers that are delivered
	forgiven uint64    // how many that don't open the Store knows of
	counted  uint64    // what expects said at the last save
	ahead    uint64    // how many were reserved then
	opened   bool      // the window means something: a record has opened, or may have in a process that is gone
	heard    bool      // a record has opened
	dies     time.Time // zero while it is the newest

	failures   uint64 // what opener.Failed said when the last record was accepted
	replacing  bool   // the peer was asked for a KeyUpdate, to get away from it
	additional []byte // scratch, of 1.2
}

// expects is the sequence number that comes next if nothing is lost.
func (r *readEpoch) expects() uint64 {
	if !r.opened {
		return 0
	}
	return r.window.Highest() + 1
}

// A writeEpoch protects our records of one epoch. Epoch 0 has no sealer.
//
//	header, with its connection ID | explicit nonce | payload | type, zeros | tag
type writeEpoch struct {
	number     uint64
	version    protocol.Version // in the record header of 1.2 and plaintext
	sealer     *record.Sealer
	reserved                  // of the numbers that are ours to use
	mask       *record.Mask   // 1.3
	next       uint64         // sequence number
	updating   bool           // a KeyUpdate was asked for, to get away from it
	padding    int            // Config.RecordPadding
	short      bool           // Config.ShortRecordHeaders, in 1.3
	least      int            // bytes of payload that a record has at least, with the zeros behind it
	ids        *connectionIDs // whose newest remote one our records carry; nil: none
	additional []byte         // scratch, of 1.2
}

// id is the connection ID that records of this epoch carry.
//
// RFC 9146 3 [2]
func (w *writeEpoch) id() []byte {
	if w.ids == nil {
		return nil
	}
	return w.ids.remote
}

// form is that of the next record's header in 1.3, where another record may follow.
func (w *writeEpoch) form() form {
	if w.short && w.next%fullNumbers != fullNumbers-1 {
		return shortForm
	}
	return longForm
}

// lastForm is form where the record is the last of its datagram.
func (w *writeEpoch) lastForm() form {
	if w.short {
		return w.form() & withoutLength
	}
	return w.form()
}

// fullNumbers is which of our records, counted by their numbers, have 16 bits of
// them in a short header, too: a peer that has lost track finds back by these.
const fullNumbers = 64

// header is how many bytes come before what is sealed.
func (w *writeEpoch) header(f form) int {
	if w.mask != nil {
		return f.size() + len(w.id())
	}
	return headerSize12 + len(w.id())
}

// typeLen is what 1.3 seals beside the payload, and 1.2 with a connection ID: the
// content type.
func (w *writeEpoch) typeLen() int {
	if w.mask != nil || len(w.id()) > 0 {
		return 1
	}
	return 0
}

// size is the length of a record with n bytes of payload, where another may follow.
func (w *writeEpoch) size(n int) int {
	header := w.header(w.form())
	if w.sealer == nil {
		return header + n
	}
	return header + w.sealer.SealedLen(max(n, w.least)+w.typeLen())
}

// room is the most payload that a record of n bytes can have, where another may follow;
// negative if it can't have any.
func (w *writeEpoch) room(n int) int { return w.roomBehind(w.form(), n) }

// roomBehind is room where the form of the header is given.
func (w *writeEpoch) roomBehind(f form, n int) int {
	n -= w.header(f)
	if w.sealer == nil {
		return n
	}
	if n = w.sealer.Room(n) - w.typeLen(); n < w.least {
		return -1
	}
	return n
}

// payload is the part of b in which a record that begins there has its payload.
func (w *writeEpoch) payload(b []byte, f form) []byte {
	start := w.header(f)
	if w.sealer != nil {
		start += w.sealer.Prefix()
	}
	return b[start:]
}

// finish makes a record in b of payload p, which may lie there already (see payload), and
// of so many zeros of padding, and returns its length. The sequence number is used up. The
// last one is kept for the alert that says so.
//
// RFC 9147 4 [1]; RFC 6347 4.1 [6]
func (w *writeEpoch) finish(b []byte, f form, kind protocol.ContentType, p []byte, zeros int) (n int, err error) {
	if w.next >= maxSequence12 && (w.next > maxSequence12 || kind != protocol.Alert) {
		return 0, alert.Localf(alert.InternalError, "the sequence numbers of epoch %d are used up", w.number)
	}
	switch {
	case w.mask != nil:
		n = w.seal13(b, f, kind, p, zeros)
	case w.sealer != nil:
		n = w.seal12(b, kind, p, zeros)
	default:
		putHeader12(b, kind, w.version, w.nextNumber(), len(p))
		n = headerSize12 + copy(b[headerSize12:], p)
	}
	w.next++
	return n, nil
}

func (w *writeEpoch) nextNumber() protocol.RecordNumber {
	return protocol.RecordNumber{Epoch: w.number, Sequence: w.next}
}

// RFC 9146 3 [3, 4]
func (w *writeEpoch) seal12(b []byte, kind protocol.ContentType, p []byte, zeros int) int {
	id, number := w.id(), w.nextNumber()
	header := headerSize12 + len(id)
	if len(id) > 0 {
		p, kind = wrap(b[header+w.sealer.Prefix():], p, kind, zeros), protocol.ConnectionID
	}
	w.additional = appendAdditional12(w.additional[:0], kind, number, id, len(p))
	sealed := w.sealer.Seal(b[:header], p, w.additional, number12(number))
	putIdentified12(b, kind, w.version, number, id, len(sealed)-header)
	return len(sealed)
}

func (w *writeEpoch) seal13(b []byte, f form, kind protocol.ContentType, p []byte, zeros int) int {
	header := w.header(f)
	inner := wrap(b[header:], p, kind, max(zeros, w.least-len(p)))
	hidden := w.putHeader13(b, f, w.sealer.SealedLen(len(inner)))
	sealed := w.sealer.Seal(b[:header], inner, b[:header], w.next)
	w.mask.Apply(hidden, sealed[header:])
	return len(sealed)
}

// wrap makes a DTLSInnerPlaintext in b (RFC 9147 4, RFC 9146 4): content, type, zeros.
//
// RFC 9846 5.4 [1]
func wrap(b, content []byte, kind protocol.ContentType, zeros int) []byte {
	n := copy(b, content)
	b[n] = byte(kind)
	if zeros <= 0 {
		return b[:n+1]
	}
	clear(b[n+1 : n+1+zeros])
	return b[:n+1+zeros]
}

// unwrap takes a DTLSInnerPlaintext apart.
//
// RFC 9846 5.4 [3, 4]
func unwrap(inner []byte) (kind protocol.ContentType, content []byte, err error) {
	last := len(inner) - 1
	for last >= 0 && inner[last] == 0 { // padding, RFC 9846 5.4
		last--
	}
	if last < 0 {
		return 0, nil, alert.Peerf(alert.UnexpectedMessage, "%w", alert.NoContentType)
	}
	return protocol.ContentType(inner[last]), inner[:last], nil
}

// newReadEpoch and newWriteEpoch put a key of the handshake to use.
//
// RFC 9147 4.5.1 [2]
func newReadEpoch(k handshake.TrafficKey) (*readEpoch, error) {
	opener, err := record.NewOpener(k.Suite, k.Key)
	if err != nil {
		return nil, err
	}
	r := &readEpoch{number: k.Level, opener: opener, reserved: unlimited}
	if k.Suite.Version.Is13() {
		r.mask, err = record.NewMask(k.Suite, k.Key.Number)
	}
	return r, err
}

// RFC 9147 4.2.3 [2]
func newWriteEpoch(k handshake.TrafficKey) (*writeEpoch, error) {
	sealer, err := record.NewSealer(k.Suite, k.Key)
	if err != nil {
		return nil, err
	}
	w := &writeEpoch{number: k.Level, version: protocol.VersionDTLS12, sealer: sealer, reserved: unlimited}
	if k.Suite.Version.Is13() {
		w.mask, err = record.NewMask(k.Suite, k.Key.Number)
		// A number is masked by 16 bytes of ciphertext, for which a short tag is not
		// enough (RFC 9147 4.2.3).
		w.least = max(0, sealer.Room(suite.SampleLen)-w.typeLen())
	}
	return w, err
}
