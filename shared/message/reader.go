package message

import (
	"fmt"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"golang.org/x/crypto/cryptobyte"
)

// The longest vectors behind a length of one, two and three bytes.
const (
	max8  = 1<<8 - 1
	max16 = 1<<16 - 1
	max24 = 1<<24 - 1
)

// A reader takes fields off a body in order. The first one that is wrong is
// remembered, and from then on all reads yield zero: only done need be checked.
type reader struct {
	subject fmt.Stringer // the HandshakeType or ExtensionType being read, for errors
	rest    cryptobyte.String
	err     *alert.Error
}

func read(subject fmt.Stringer, body []byte) reader { return reader{subject: subject, rest: body} }

// fail remembers what is wrong with field, unless something was wrong before.
func (r *reader) fail(a alert.Alert, field, format string, args ...any) {
	r.failFor(malformed(r.subject), a, field, format, args...)
}

// failFor is fail for a reason that callers tell apart.
func (r *reader) failFor(why alert.Reason, a alert.Alert, field, format string, args ...any) {
	if r.err == nil {
		r.err = alert.Peerf(a, "%w: %v: %s: %s", why, r.subject, field, fmt.Sprintf(format, args...))
	}
	r.rest = nil
}

// malformed is the reason for what isn't what it should be.
func malformed(subject fmt.Stringer) alert.Reason {
	switch subject := subject.(type) {
	case protocol.ExtensionType:
		if subject == protocol.ExtPreSharedKey { // whose binders are over the hello
			return alert.MalformedPreSharedKey
		}
		return alert.MalformedExtension
	case protocol.HandshakeType:
		if subject == protocol.ClientHello {
			return alert.MalformedClientHello
		}
	}
	return alert.MalformedMessage
}

// done returns the first error. Bytes that are left over are one.
//
// RFC 9846 4.3 [2], 6 [6]
func (r *reader) done() error {
	if r.err == nil && !r.rest.Empty() {
		r.err = alert.Peerf(alert.DecodeError, "%w: %v: %d bytes after its end", malformed(r.subject), r.subject, len(r.rest))
	}
	if r.err == nil {
		return nil
	}
	return r.err
}

func (r *reader) uint8(field string) (v uint8) {
	r.fits(r.rest.ReadUint8(&v), field)
	return v
}

func (r *reader) uint16(field string) (v uint16) {
	r.fits(r.rest.ReadUint16(&v), field)
	return v
}

func (r *reader) uint24(field string) (v uint32) {
	r.fits(r.rest.ReadUint24(&v), field)
	return v
}

func (r *reader) uint32(field string) (v uint32) {
	r.fits(r.rest.ReadUint32(&v), field)
	return v
}

func (r *reader) bytes(field string, n int) (v []byte) {
	r.fits(r.rest.ReadBytes(&v, n), field)
	return v
}

// vector8 reads a vector of least to most bytes behind its length in one byte;
// vector16 and vector24 likewise behind two and three.
func (r *reader) vector8(field string, least, most int) []byte {
	var v cryptobyte.String
	ok := r.rest.ReadUint8LengthPrefixed(&v)
	return r.bounded(ok, field, v, least, most)
}

func (r *reader) vector16(field string, least, most int) []byte {
	var v cryptobyte.String
	ok := r.rest.ReadUint16LengthPrefixed(&v)
	return r.bounded(ok, field, v, least, most)
}

func (r *reader) vector24(field string, least, most int) []byte {
	var v cryptobyte.String
	ok := r.rest.ReadUint24LengthPrefixed(&v)
	return r.bounded(ok, field, v, least, most)
}

// fits fails field if reading it was not ok: the input ended before it did.
func (r *reader) fits(ok bool, field string) {
	if !ok {
		r.fail(alert.DecodeError, field, "truncated, %d bytes are left for it", len(r.rest))
	}
}

func (r *reader) bounded(ok bool, field string, v []byte, least, most int) []byte {
	r.fits(ok, field)
	if ok && (len(v) < least || len(v) > most) {
		r.fail(alert.DecodeError, field, "length %d, want %d to %d", len(v), least, most)
	}
	return v
}

// uint16s takes v, the content of field, as a list of 16-bit values.
func (r *reader) uint16s(field string, v []byte) Uint16s {
	if len(v)%2 != 0 {
		r.fail(alert.DecodeError, field, "odd length %d", len(v))
	}
	return Uint16s(v)
}

// each reads list to its end, one call of entry after the other.
func (r *reader) each(list []byte, entry func()) {
	if r.err != nil {
		return
	}
	after := r.rest
	r.rest = list
	for !r.rest.Empty() {
		entry()
	}
	if r.err == nil {
		r.rest = after
	}
}
