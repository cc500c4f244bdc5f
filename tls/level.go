package tls

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/record"
)

// A level protects the records of one direction under one key; the zero value
// leaves them in the clear. Records are numbered from 0, and the number is on
// the wire nowhere.
type level struct {
	number     uint64
	sequence   uint64
	additional [additionalSize12]byte // scratch: an argument of an interface's method escapes
}

// Additional data is the header in 1.3 (RFC 9846 5.2). In 1.2 it is
//
//	uint64 seq_num; uint8 type; uint16 version; uint16 length
//
// with the length of the plaintext (RFC 5246 6.2.3.3).
const additionalSize12 = 8 + headerSize

func (l *level) additional12(content protocol.ContentType, length int) []byte {
	b := binary.BigEndian.AppendUint64(l.additional[:0], l.sequence)
	return header{content, protocol.VersionTLS12, length}.append(b)
}

// A writeLevel protects what we write.
type writeLevel struct {
	level
	sealer  *record.Sealer // nil: in the clear
	is13    bool           // of a suite of 1.3; 0-RTT has one before a version is agreed
	padding int            // Config.RecordPadding
	most    int            // bytes of content and padding
}

// RFC 9846 5.3 [1]
func newWriteLevel(k handshake.TrafficKey) (w writeLevel, err error) {
	w.number, w.is13 = k.Level, k.Suite.Version.Is13()
	w.sealer, err = record.NewSealer(k.Suite, k.Key)
	return w, err
}

// append appends one record of a fragment of at most maxPlaintext bytes to out.
// It allocates only to grow out.
//
// RFC 9846 5.3 [2], 5.4 [1]
func (w *writeLevel) append(out []byte, v protocol.Version, content protocol.ContentType, fragment []byte) ([]byte, error) {
	if w.sealer == nil {
		out = header{content, recordVersion(v), len(fragment)}.append(out)
		return append(out, fragment...), nil
	}
	if w.sequence == math.MaxUint64 {
		return out, alert.Localf(alert.InternalError, "the sequence numbers of a key are used up") // RFC 9846 5.3
	}
	start, zeros, length := len(out), 0, len(fragment)
	outer := content
	if w.is13 {
		zeros = record.Padding(len(fragment), w.padding, w.most)
		outer, length = protocol.ApplicationData, length+1+zeros
	}
	length = w.sealer.SealedLen(length)
	out = slices.Grow(out, headerSize+length)
	out = header{outer, protocol.VersionTLS12, length}.append(out)
	additional := out[start:]
	if w.is13 { // TLSInnerPlaintext, RFC 9846 5.2
		inner := append(append(out, fragment...), byte(content))
		inner = inner[len(out) : len(inner)+zeros]
		clear(inner[len(fragment)+1:])
		fragment = inner
	} else {
		additional = w.additional12(content, len(fragment))
	}
	out = w.sealer.Seal(out, fragment, additional, w.sequence)
	w.sequence++
	return out, nil
}

// A readLevel removes the protection of what the peer writes.
type readLevel struct {
	level
	opener *record.Opener // nil: in the clear
}

func newReadLevel(k handshake.TrafficKey) (r readLevel, err error) {
	r.number = k.Level
	r.opener, err = record.NewOpener(k.Suite, k.Key)
	return r, err
}

// open removes the protection of a whole record in place, and returns its
// content type and plaintext, of up to most bytes with its padding. record.ErrOpen
// says that it does not authenticate.
//
// RFC 9846 5.4 [3, 4]
func (r *readLevel) open(v protocol.Version, h header, whole []byte, most int) (protocol.ContentType, []byte, error) {
	body, additional := whole[headerSize:], whole[:headerSize]
	if !v.Is13() {
		additional = r.additional12(h.content, r.opener.PlaintextLen(len(body)))
	}
	plaintext, err := r.opener.Open(body, additional, r.sequence)
	if err != nil {
		return 0, nil, err
	}
	r.sequence++
	if !v.Is13() {
		return h.content, plaintext, checkLength(len(plaintext), most)
	}
	if h.content != protocol.ApplicationData { // RFC 9846 5.2
		return 0, nil, alert.Peerf(alert.UnexpectedMessage, "%w: %v", alert.OuterContentType, h.content)
	}
	// TLSInnerPlaintext: content, its type, and zeros (RFC 9846 5.4).
	if err := checkLength(len(plaintext)-1, most); err != nil {
		return 0, nil, err
	}
	inner := bytes.TrimRight(plaintext, "\x00")
	if len(inner) == 0 {
		return 0, nil, alert.Peerf(alert.UnexpectedMessage, "%w", alert.NoContentType)
	}
	last := len(inner) - 1
	return protocol.ContentType(inner[last]), inner[:last], nil
}

// RFC 9846 5.4 [5]
func checkLength(n, most int) error {
	if n > most {
		return alert.Peerf(alert.RecordOverflow, "%w: %d bytes, more than %d", alert.PlaintextTooLong, n, most)
	}
	return nil
}
