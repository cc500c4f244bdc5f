package message

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// NewSessionTicket12 is NewSessionTicket in 1.2 (RFC 5077 3.3): uint32
// ticket_lifetime_hint; opaque ticket<0..2^16-1>.
type NewSessionTicket12 struct {
	Lifetime uint32 // seconds; 0: not said
	Ticket   []byte // empty: the server changed its mind
}

// Parse reads the message.
func (m *NewSessionTicket12) Parse(body []byte) error {
	r := read(protocol.NewSessionTicket, body)
	m.Lifetime = r.uint32("ticket_lifetime_hint")
	m.Ticket = r.vector16("ticket", 0, max16)
	return r.done()
}

// Append appends the message.
func (m *NewSessionTicket12) Append(b *wire.Builder) {
	b.Uint32(m.Lifetime)
	b.Bytes16(m.Ticket)
}

// NewSessionTicket13 is NewSessionTicket in 1.3 (RFC 9846 4.7.1):
//
//	uint32 ticket_lifetime; uint32 ticket_age_add; opaque ticket_nonce<0..255>;
//	opaque ticket<1..2^16-1>; Extension extensions<0..2^16-1>;
type NewSessionTicket13 struct {
	Lifetime   uint32 // seconds
	AgeAdd     uint32 // added to the ticket's age in milliseconds, modulo 2^32
	Nonce      []byte
	Ticket     []byte
	Extensions Extensions
}

// Parse reads the message.
func (m *NewSessionTicket13) Parse(body []byte) error {
	r := read(protocol.NewSessionTicket, body)
	m.Lifetime = r.uint32("ticket_lifetime")
	m.AgeAdd = r.uint32("ticket_age_add")
	m.Nonce = r.vector8("ticket_nonce", 0, max8)
	m.Ticket = r.vector16("ticket", 1, max16)
	m.Extensions = r.extensions(alert.IllegalParameter)
	return r.done()
}

// Append appends the message.
func (m *NewSessionTicket13) Append(b *wire.Builder) {
	b.Uint32(m.Lifetime)
	b.Uint32(m.AgeAdd)
	b.Bytes8(m.Nonce)
	b.Bytes16(m.Ticket)
	b.Bytes16(m.Extensions)
}

// KeyUpdateRequest says whether the reader of a KeyUpdate shall send one too.
type KeyUpdateRequest uint8

const (
	NotRequested KeyUpdateRequest = 0
	Requested    KeyUpdateRequest = 1
)

// KeyUpdate (RFC 9846 4.7.3): uint8 request_update.
type KeyUpdate struct {
	Request KeyUpdateRequest
}

// Parse reads the message. A request other than the two is illegal_parameter.
//
// RFC 9846 4.7.3 [4]
func (m *KeyUpdate) Parse(body []byte) error {
	r := read(protocol.KeyUpdate, body)
	m.Request = KeyUpdateRequest(r.uint8("request_update"))
	if m.Request > Requested {
		r.fail(alert.IllegalParameter, "request_update", "got %d, want 0 or 1", m.Request)
	}
	return r.done()
}

// Append appends the message.
func (m *KeyUpdate) Append(b *wire.Builder) { b.Uint8(uint8(m.Request)) }

// The usages of a NewConnectionID (RFC 9147 9).
const (
	CIDImmediate uint8 = 0 // use one of them from the next record on
	CIDSpare     uint8 = 1 // keep them for later
)

// NewConnectionID (RFC 9147 9): ConnectionId cids<0..2^16-1>, each
// opaque<0..255>; uint8 usage.
type NewConnectionID struct {
	IDs   [][]byte // none: a request that is not granted
	Usage uint8    // CIDImmediate or CIDSpare
}

// Parse reads the message. A usage other than the two is illegal_parameter.
func (m *NewConnectionID) Parse(body []byte) error {
	m.IDs = nil
	r := read(protocol.NewConnectionID, body)
	r.each(r.vector16("cids", 0, max16), func() {
		m.IDs = append(m.IDs, r.vector8("cid", 0, max8))
	})
	m.Usage = r.uint8("usage")
	if m.Usage > CIDSpare {
		r.fail(alert.IllegalParameter, "usage", "got %d, want cid_immediate, 0, or cid_spare, 1", m.Usage)
	}
	return r.done()
}

// Append appends the message.
func (m *NewConnectionID) Append(b *wire.Builder) {
	b.Vector16(func() {
		for _, id := range m.IDs {
			b.Bytes8(id)
		}
	})
	b.Uint8(m.Usage)
}

// RequestConnectionID (RFC 9147 9): uint8 num_cids.
type RequestConnectionID struct {
	Count uint8
}

// Parse reads the message.
func (m *RequestConnectionID) Parse(body []byte) error {
	r := read(protocol.RequestConnectionID, body)
	m.Count = r.uint8("num_cids")
	return r.done()
}

// Append appends the message.
func (m *RequestConnectionID) Append(b *wire.Builder) { b.Uint8(m.Count) }
