package message

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Flags are those of tls_flags (draft-ietf-tls-tlsflags 2): flag n is the bit
// 1<<(n%8) of byte n/8, and the last byte is not zero.
type Flags []byte

// A Flag is the number of one, 0 to 2039.
type Flag uint16

// ResumptionAcrossNames says of a ticket that it may be brought to every server
// that the certificate of its connection is good for.
const ResumptionAcrossNames Flag = 8

// Has reports whether a flag is set.
func (f Flags) Has(n Flag) bool { return int(n/8) < len(f) && f[n/8]&(1<<(n%8)) != 0 }

// With are the flags and one more.
func (f Flags) With(n Flag) Flags {
	with := make(Flags, max(len(f), int(n/8)+1))
	copy(with, f)
	with[n/8] |= 1 << (n % 8)
	return with
}

// ParseFlags reads tls_flags: opaque flags<1..255>. Zeros at its end are
// illegal_parameter.
func ParseFlags(body []byte) (Flags, error) {
	r := read(protocol.ExtTLSFlags, body)
	f := Flags(r.vector8("flags", 1, max8))
	if len(f) > 0 && f[len(f)-1] == 0 {
		r.fail(alert.IllegalParameter, "flags", "the last of %d bytes is zero", len(f))
	}
	return f, r.done()
}

// AppendFlags appends tls_flags, of which at least one must be set.
func AppendFlags(b *wire.Builder, f Flags) { b.Bytes8(f) }
