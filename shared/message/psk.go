package message

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
	"golang.org/x/crypto/cryptobyte"
)

// ServerKeyExchangePSK is ServerKeyExchange of the PSK suites of 1.2 (RFC 4279
// 2), and of ECDHE_PSK with the server's share behind the hint (RFC 5489 2).
// Nothing in it is signed.
//
//	opaque psk_identity_hint<0..2^16-1>;
//	[uint8 curve_type = named_curve(3); uint16 group; opaque public<1..255>;]
type ServerKeyExchangePSK struct {
	Hint   []byte
	Group  uint16
	Public []byte // nil if the message ends with the hint
}

// Parse reads the message. A curve_type other than named_curve is
// illegal_parameter.
func (m *ServerKeyExchangePSK) Parse(body []byte) error {
	*m = ServerKeyExchangePSK{}
	r := read(protocol.ServerKeyExchange, body)
	m.Hint = r.vector16("psk_identity_hint", 0, max16)
	if r.rest.Empty() {
		return r.done()
	}
	if curve := r.uint8("curve_type"); r.err == nil && curve != namedCurve {
		r.fail(alert.IllegalParameter, "curve_type", "got %d, want named_curve, %d", curve, namedCurve)
	}
	m.Group = r.uint16("group")
	m.Public = r.vector8("public", 1, max8)
	return r.done()
}

// Append appends the message.
func (m *ServerKeyExchangePSK) Append(b *wire.Builder) {
	b.Bytes16(m.Hint)
	if m.Public != nil {
		AppendECDHEParams(b, m.Group, m.Public)
	}
}

// ClientKeyExchangePSK is ClientKeyExchange of the PSK suites of 1.2 (RFC 4279
// 2), and of ECDHE_PSK with the client's share behind the identity (RFC 5489 2):
//
//	opaque psk_identity<0..2^16-1>; [opaque public<1..255>;]
type ClientKeyExchangePSK struct {
	Identity []byte
	Public   []byte // nil if the message ends with the identity
}

// Parse reads the message.
func (m *ClientKeyExchangePSK) Parse(body []byte) error {
	*m = ClientKeyExchangePSK{}
	r := read(protocol.ClientKeyExchange, body)
	m.Identity = r.vector16("psk_identity", 0, max16)
	if !r.rest.Empty() {
		m.Public = r.vector8("public", 1, max8)
	}
	return r.done()
}

// Append appends the message.
func (m *ClientKeyExchangePSK) Append(b *wire.Builder) {
	b.Bytes16(m.Identity)
	if m.Public != nil {
		b.Bytes8(m.Public)
	}
}

// An ImportedIdentity is the identity of an imported PSK (RFC 9258 5.1): which
// external key it is made from, and for what alone.
//
//	opaque external_identity<1...2^16-1>; opaque context<0..2^16-1>;
//	uint16 target_protocol; uint16 target_kdf;
type ImportedIdentity struct {
	External []byte
	Context  []byte
	Protocol protocol.Version
	KDF      uint16
}

// The KDFs of an ImportedIdentity (RFC 9258 10).
const (
	KDFSHA256 uint16 = 1 // HKDF_SHA256
	KDFSHA384 uint16 = 2 // HKDF_SHA384
)

// Parse reads an identity, and reports whether it has this form: any other
// sequence of bytes is somebody's identity too. It does not allocate.
func (i *ImportedIdentity) Parse(identity []byte) bool {
	*i = ImportedIdentity{}
	in := cryptobyte.String(identity)
	ok := in.ReadUint16LengthPrefixed((*cryptobyte.String)(&i.External)) && len(i.External) > 0 &&
		in.ReadUint16LengthPrefixed((*cryptobyte.String)(&i.Context)) &&
		in.ReadUint16((*uint16)(&i.Protocol)) && in.ReadUint16(&i.KDF) && in.Empty()
	return ok
}

// Append appends the identity.
func (i *ImportedIdentity) Append(b *wire.Builder) {
	b.Bytes16(i.External)
	b.Bytes16(i.Context)
	b.Uint16(uint16(i.Protocol))
	b.Uint16(i.KDF)
}
