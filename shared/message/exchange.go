package message

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// namedCurve is the one ECCurveType left (RFC 8422 5.4).
const namedCurve = 3

// ServerKeyExchange of the ECDHE suites of 1.2 (RFC 8422 5.4):
//
//	uint8 curve_type = named_curve(3); uint16 group; opaque public<1..255>;
//	uint16 algorithm; opaque signature<0..2^16-1>;
type ServerKeyExchange struct {
	Group     uint16
	Public    []byte // the server's share
	Scheme    uint16
	Signature []byte // over both randoms and Params
	Params    []byte // curve_type, group and public as they came; Append writes them anew
}

// Parse reads the message. A curve_type other than named_curve is
// illegal_parameter.
func (m *ServerKeyExchange) Parse(body []byte) error {
	*m = ServerKeyExchange{}
	r := read(protocol.ServerKeyExchange, body)
	if curve := r.uint8("curve_type"); r.err == nil && curve != namedCurve {
		r.fail(alert.IllegalParameter, "curve_type", "got %d, want named_curve, %d", curve, namedCurve)
	}
	m.Group = r.uint16("group")
	m.Public = r.vector8("public", 1, max8)
	if r.err == nil {
		m.Params = body[:len(body)-len(r.rest)]
	}
	m.Scheme = r.uint16("algorithm")
	m.Signature = r.vector16("signature", 0, max16)
	return r.done()
}

// Append appends the message.
func (m *ServerKeyExchange) Append(b *wire.Builder) {
	AppendECDHEParams(b, m.Group, m.Public)
	b.Uint16(m.Scheme)
	b.Bytes16(m.Signature)
}

// AppendECDHEParams appends the part of a ServerKeyExchange that is signed.
func AppendECDHEParams(b *wire.Builder, group uint16, public []byte) {
	b.Uint8(namedCurve)
	b.Uint16(group)
	b.Bytes8(public)
}

// ClientKeyExchange of the ECDHE suites of 1.2 (RFC 8422 5.7): opaque
// public<1..255>.
type ClientKeyExchange struct {
	Public []byte // the client's share
}

// Parse reads the message.
func (m *ClientKeyExchange) Parse(body []byte) error {
	r := read(protocol.ClientKeyExchange, body)
	m.Public = r.vector8("public", 1, max8)
	return r.done()
}

// Append appends the message.
func (m *ClientKeyExchange) Append(b *wire.Builder) { b.Bytes8(m.Public) }

// ClientKeyExchangeRSA is ClientKeyExchange of the suites with key transport of
// 1.2 (RFC 5246 7.4.7.1): opaque encrypted_premaster<1..2^16-1>.
type ClientKeyExchangeRSA struct {
	Encrypted []byte
}

// Parse reads the message.
func (m *ClientKeyExchangeRSA) Parse(body []byte) error {
	r := read(protocol.ClientKeyExchange, body)
	m.Encrypted = r.vector16("encrypted_premaster", 1, max16)
	return r.done()
}

// Append appends the message.
func (m *ClientKeyExchangeRSA) Append(b *wire.Builder) { b.Bytes16(m.Encrypted) }
