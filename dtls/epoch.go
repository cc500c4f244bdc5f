package dtls

import (
	"bytes"
	"time"

	"github.com/godwit-dtls/godwit/replay"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// lifetime is how long an old epoch can still be read: twice the longest time
// that a datagram stays in the network (RFC 9147 4.2.1, RFC 6347 4.1). The peer
// may repeat what we have acknowledged until it gets the ACK.
const lifetime = 4 * time.Minute

// A readEpoch opens the peer's records of one epoch.
type readEpoch struct {
	number   uint64
	opener   *record.Opener
	mask     *record.Mask // 1.3
	window   replay.Window
	key      keys.RecordKey // for Export
	reserved                // of the numbers that are delivered
	forgiven uint64         // how many that don't open the Store knows of
	counted  uint64         // what expects said at the last save
	ahead    uint64         // how many were reserved then
	opened   bool           // a record has opened: the window means something
	dies     time.Time      // zero while it is the newest

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
type writeEpoch struct {
	number     uint64
	version    protocol.Version // in the record header of 1.2 and plaintext
	sealer     *record.Sealer
	key        keys.RecordKey // for Export
	reserved                  // of the numbers that are ours to use
	mask       *record.Mask   // 1.3
	next       uint64         // sequence number
	updating   bool           // a KeyUpdate was asked for, to get away from it
	padding    int            // Config.RecordPadding
	short      bool           // Config.ShortRecordHeaders, in 1.3
	last       bool           // the record under way is the last of its datagram
	least      int            // bytes of payload that a record has at least, with the zeros behind it
	ids        *connectionIDs // whose newest remote one our records carry; nil: none
	additional []byte         // scratch, of 1.2
}

// id is the connection ID that records of this epoch carry.
func (w *writeEpoch) id() []byte {
	if w.ids == nil {
		return nil
	}
	return w.ids.remote
}

// header is how many bytes come before what is sealed, and prefix how many of
// explicit nonce then come before the payload.
func (w *writeEpoch) header() int {
	if w.mask != nil {
		return w.form().size() + len(w.id())
	}
	return headerSize12 + len(w.id())
}

// form is that of the next record's header.
func (w *writeEpoch) form() form {
	f := longForm
	if w.short && w.next%resynchronize != resynchronize-1 {
		f = shortForm
	}
	if w.short && w.last {
		f &= withoutLength
	}
	return f
}

// resynchronize is which of our records, counted by their numbers, have 16 bits of
// them in a short header, too: a peer that has lost track finds back by these.
const resynchronize = 64

func (w *writeEpoch) prefix() int {
	if w.sealer == nil {
		return 0
	}
	return w.sealer.Prefix()
}

// typeLen is what 1.3 seals beside the payload, and 1.2 with a connection ID: the
// content type.
func (w *writeEpoch) typeLen() int {
	if w.mask != nil || len(w.id()) > 0 {
		return 1
	}
	return 0
}

// size is the length of a record with n bytes of payload.
func (w *writeEpoch) size(n int) int {
	if w.sealer == nil {
		return w.header() + n
	}
	return w.header() + w.sealer.SealedLen(max(n, w.least)+w.typeLen())
}

// room is the most payload that a record of n bytes can have; negative if it
// can't have any.
func (w *writeEpoch) room(n int) int {
	if w.sealer == nil {
		return n - w.header()
	}
	room := w.sealer.Room(n-w.header()) - w.typeLen()
	if room < w.least {
		return -1
	}
	return room
}

// payload is the part of b in which a record that begins there has its payload.
func (w *writeEpoch) payload(b []byte) []byte { return b[w.header()+w.prefix():] }

// finish makes a record of the n bytes of payload that stand in b (see
// payload), and returns its length. Padding takes no more than b has room for. The sequence number is used up. The last
// one is kept for the alert that says so.
func (w *writeEpoch) finish(b []byte, kind protocol.ContentType, n int) (int, error) {
	if w.next > maxSequence12 || w.next == maxSequence12 && kind != protocol.Alert {
		return 0, alert.Localf(alert.InternalError, "the sequence numbers of epoch %d are used up", w.number)
	}
	number := protocol.RecordNumber{Epoch: w.number, Sequence: w.next}
	id, f, header, start := w.id(), w.form(), w.header(), w.header()+w.prefix()
	if w.typeLen() > 0 {
		n, kind = w.wrap(b, kind, n), protocol.ConnectionID
	}
	w.next++
	switch {
	case w.sealer == nil:
		putHeader12(b, kind, w.version, number, n)
		return start + n, nil
	case w.mask == nil:
		w.additional = appendAdditional12(w.additional[:0], kind, number, id, n)
		sealed := w.sealer.Seal(b[header:start+n], w.additional, number12(number))
		putIdentified12(b, kind, w.version, number, id, len(sealed))
		return header + len(sealed), nil
	}
	hidden := putHeader13(b, f, number.Epoch, number.Sequence, id, w.sealer.SealedLen(n))
	sealed := w.sealer.Seal(b[header:start+n], b[:header], number.Sequence)
	w.mask.Apply(hidden, sealed)
	return header + len(sealed), nil
}

// finishLast is finish for the last record of a datagram, which needs no length.
func (w *writeEpoch) finishLast(b []byte, kind protocol.ContentType, n int) (int, error) {
	if !w.short {
		return w.finish(b, kind, n)
	}
	payload := w.payload(b)[:n]
	w.last = true
	copy(w.payload(b), payload) // two bytes further ahead
	// Padding has no more room for that.
	size, err := w.finish(b[:len(b)-2], kind, n)
	w.last = false
	return size, err
}

// wrap makes a DTLSInnerPlaintext of n bytes of payload (RFC 9147 4, RFC 9146 4),
// and returns its length: content, type, zeros.
func (w *writeEpoch) wrap(b []byte, kind protocol.ContentType, n int) int {
	inner := w.payload(b)
	inner[n] = byte(kind)
	padded := max(n, w.least)
	if w.padding > 0 {
		padded = max(padded, n+record.Padding(n, w.padding, w.room(len(b))))
	}
	clear(inner[n+1 : padded+1])
	return padded + 1
}

// unwrap takes a DTLSInnerPlaintext apart.
func unwrap(inner []byte) (kind protocol.ContentType, content []byte, err error) {
	content = bytes.TrimRight(inner, "\x00") // padding, RFC 9846 5.4
	if len(content) == 0 {
		return 0, nil, alert.Peerf(alert.UnexpectedMessage, "%w", alert.NoContentType)
	}
	last := len(content) - 1
	return protocol.ContentType(content[last]), content[:last], nil
}

// newReadEpoch and newWriteEpoch put a key of the handshake to use.
func newReadEpoch(k handshake.TrafficKey) (*readEpoch, error) {
	opener, err := record.NewOpener(k.Suite, k.Key)
	if err != nil {
		return nil, err
	}
	r := &readEpoch{number: k.Level, opener: opener, key: k.Key, reserved: unlimited}
	if k.Suite.Version.Is13() {
		r.mask, err = record.NewMask(k.Suite, k.Key.Number)
	}
	return r, err
}

func newWriteEpoch(k handshake.TrafficKey) (*writeEpoch, error) {
	sealer, err := record.NewSealer(k.Suite, k.Key)
	if err != nil {
		return nil, err
	}
	w := &writeEpoch{number: k.Level, version: protocol.VersionDTLS12, sealer: sealer, key: k.Key, reserved: unlimited}
	if k.Suite.Version.Is13() {
		w.mask, err = record.NewMask(k.Suite, k.Key.Number)
		// A number is masked by 16 bytes of ciphertext, for which a short tag is not
		// enough (RFC 9147 4.2.3).
		w.least = max(0, sealer.Room(suite.SampleLen)-w.typeLen())
	}
	return w, err
}
