package ech

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
	"golang.org/x/crypto/cryptobyte"
)

// The forms of encrypted_client_hello in a ClientHello (RFC 9849 5).
const (
	outer = 0 // it carries another ClientHello
	inner = 1 // it is the one that is carried
)

// ConfirmationLen is the length of a server's confirmation, in bytes.
const ConfirmationLen = 8

// An Outer is encrypted_client_hello of an outer ClientHello:
//
//	uint8 type = 0; uint16 kdf_id; uint16 aead_id; uint8 config_id;
//	opaque enc<0..2^16-1>;        empty in the second ClientHello
//	opaque payload<1..2^16-1>
type Outer struct {
	Suite    Suite
	ConfigID uint8
	Enc      []byte
	Payload  []byte
}

// Parse reads the extension of a ClientHello. It is nil for the form of an inner
// ClientHello.
func Parse(body []byte) (*Outer, error) {
	s := cryptobyte.String(body)
	var kind uint8
	if !s.ReadUint8(&kind) {
		return nil, malformed("it is empty")
	}
	switch kind {
	case inner:
		if !s.Empty() {
			return nil, malformed("%d bytes after the type of an inner ClientHello", len(s))
		}
		return nil, nil
	case outer:
	default:
		return nil, malformed("type %d", kind)
	}
	o := &Outer{}
	var enc, payload cryptobyte.String
	if !s.ReadUint16(&o.Suite.KDF) || !s.ReadUint16(&o.Suite.AEAD) || !s.ReadUint8(&o.ConfigID) ||
		!s.ReadUint16LengthPrefixed(&enc) || !s.ReadUint16LengthPrefixed(&payload) || payload.Empty() || !s.Empty() {
		return nil, malformed("%d bytes of an outer ClientHello", len(body))
	}
	o.Enc, o.Payload = enc, payload
	return o, nil
}

func malformed(format string, args ...any) error {
	return alert.Peerf(alert.DecodeError, "%w: %v: "+format, append([]any{alert.MalformedExtension, protocol.ExtEncryptedClientHello}, args...)...)
}

// Append appends the body of the extension.
func (o *Outer) Append(b *wire.Builder) {
	b.Uint8(outer)
	b.Uint16(o.Suite.KDF)
	b.Uint16(o.Suite.AEAD)
	b.Uint8(o.ConfigID)
	b.Bytes16(o.Enc)
	b.Bytes16(o.Payload)
}

// AppendInner appends the body that marks an inner ClientHello.
func AppendInner(b *wire.Builder) { b.Uint8(inner) }
