package message

import (
	"iter"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
	"golang.org/x/crypto/cryptobyte"
)

// KeyShares is the list of a client's key shares without its outer length
// (RFC 9846 4.3.8): a run of entries, each uint16 group and opaque
// key_exchange<1..2^16-1>. It is a view, which ParseKeyShares checked.
type KeyShares []byte

// All yields groups and keys in the client's order of preference.
func (k KeyShares) All() iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		rest := cryptobyte.String(k)
		for group, key, ok := nextEntry(&rest); ok; group, key, ok = nextEntry(&rest) {
			if !yield(group, key) {
				return
			}
		}
	}
}

// Len is the number of shares.
func (k KeyShares) Len() int {
	n := 0
	for range k.All() {
		n++
	}
	return n
}

// Find returns the key share of a group, and whether there is one.
func (k KeyShares) Find(group uint16) (key []byte, ok bool) { return findEntry(k, group) }

// ParseKeyShares reads key_share as a client sends it: KeyShareEntry
// client_shares<0..2^16-1>. Two shares of one group are illegal_parameter. It
// doesn't allocate unless it fails, and its time is linear in len(body).
func ParseKeyShares(body []byte) (KeyShares, error) {
	r := read(protocol.ExtKeyShare, body)
	shares := r.vector16("client_shares", 0, max16)
	r.entries("client_shares", shares, 1, alert.DuplicateKeyShare, alert.IllegalParameter)
	return KeyShares(shares), r.done()
}

// A KeyShare is one entry of a client's key_share.
type KeyShare struct {
	Group uint16
	Key   []byte
}

// AppendKeyShares appends a client's key_share, most preferred first.
func AppendKeyShares(b *wire.Builder, shares []KeyShare) {
	b.Vector16(func() {
		for _, s := range shares {
			AppendKeyShare(b, s.Group, s.Key)
		}
	})
}

// ParseKeyShare reads key_share as a ServerHello carries it: uint16 group;
// opaque key_exchange<1..2^16-1>.
func ParseKeyShare(body []byte) (group uint16, key []byte, err error) {
	r := read(protocol.ExtKeyShare, body)
	group = r.uint16("group")
	key = r.vector16("key_exchange", 1, max16)
	return group, key, r.done()
}

// AppendKeyShare appends a ServerHello's key_share.
func AppendKeyShare(b *wire.Builder, group uint16, key []byte) {
	b.Uint16(group)
	b.Bytes16(key)
}

// ParseKeyShareRetry reads key_share as a HelloRetryRequest carries it: uint16
// selected_group.
func ParseKeyShareRetry(body []byte) (group uint16, err error) {
	r := read(protocol.ExtKeyShare, body)
	group = r.uint16("selected_group")
	return group, r.done()
}

// AppendKeyShareRetry appends a HelloRetryRequest's key_share.
func AppendKeyShareRetry(b *wire.Builder, group uint16) { b.Uint16(group) }

// ParseCookie reads cookie (RFC 9846 4.3.2): opaque cookie<1..2^16-1>.
func ParseCookie(body []byte) ([]byte, error) {
	r := read(protocol.ExtCookie, body)
	cookie := r.vector16("cookie", 1, max16)
	return cookie, r.done()
}

// AppendCookie appends a cookie.
func AppendCookie(b *wire.Builder, cookie []byte) { b.Bytes16(cookie) }

// The modes of psk_key_exchange_modes (RFC 9846 4.3.9).
const (
	PSKOnly      uint8 = 0 // psk_ke
	PSKWithECDHE uint8 = 1 // psk_dhe_ke
)

// ParsePSKModes reads psk_key_exchange_modes (RFC 9846 4.3.9): uint8
// ke_modes<1..255>.
func ParsePSKModes(body []byte) ([]byte, error) {
	r := read(protocol.ExtPSKModes, body)
	modes := r.vector8("ke_modes", 1, max8)
	return modes, r.done()
}

// AppendPSKModes appends a psk_key_exchange_modes.
func AppendPSKModes(b *wire.Builder, modes []byte) { b.Bytes8(modes) }

// A PSKIdentity names one pre-shared key that a client offers: opaque
// identity<1..2^16-1>; uint32 obfuscated_ticket_age.
type PSKIdentity struct {
	Identity      []byte
	ObfuscatedAge uint32 // milliseconds plus the ticket's age_add, modulo 2^32
}

// OfferedPSKs is pre_shared_key as a client sends it (RFC 9846 4.3.11):
// PskIdentity identities<7..2^16-1>; PskBinderEntry binders<33..2^16-1>, each
// opaque<32..255>, one for each identity. A binder of another length is read all
// the same: it fits no ClientHello, which is a fault of its own.
type OfferedPSKs struct {
	Identities []PSKIdentity
	Binders    [][]byte
}

// BindersLen is the length in bytes of the binders with all their lengths. They
// end the ClientHello; a binder is computed over the message without them
// (RFC 9846 4.3.11.2).
func (o *OfferedPSKs) BindersLen() int {
	n := 2
	for _, binder := range o.Binders {
		n += 1 + len(binder)
	}
	return n
}

// ParsePreSharedKey reads pre_shared_key as a client sends it. Another number
// of binders than of identities is illegal_parameter.
func ParsePreSharedKey(body []byte) (OfferedPSKs, error) {
	var o OfferedPSKs
	r := read(protocol.ExtPreSharedKey, body)
	r.each(r.vector16("identities", 7, max16), func() {
		identity := r.vector16("identity", 1, max16)
		o.Identities = append(o.Identities, PSKIdentity{identity, r.uint32("obfuscated_ticket_age")})
	})
	r.each(r.vector16("binders", 0, max16), func() {
		o.Binders = append(o.Binders, r.vector8("binder", 0, max8))
	})
	if err := r.done(); err != nil {
		return o, err
	}
	if len(o.Binders) == 0 {
		return o, alert.Peerf(alert.DecodeError, "pre_shared_key: there are no binders")
	}
	if len(o.Identities) != len(o.Binders) {
		return o, alert.Peerf(alert.IllegalParameter, "pre_shared_key: %w: %d for %d", alert.WrongBinderCount, len(o.Binders), len(o.Identities))
	}
	return o, nil
}

// A PSKCursor goes through a client's pre_shared_key without allocating.
type PSKCursor struct{ identities, binders cryptobyte.String }

// OpenPreSharedKey begins at the first PSK. It reads less strictly than
// ParsePreSharedKey: what is malformed ends early.
func OpenPreSharedKey(body []byte) PSKCursor {
	var c PSKCursor
	in := cryptobyte.String(body)
	if !in.ReadUint16LengthPrefixed(&c.identities) || !in.ReadUint16LengthPrefixed(&c.binders) {
		return PSKCursor{}
	}
	return c
}

// Next returns the next identity and its binder, or false at the end.
func (c *PSKCursor) Next() (identity, binder []byte, ok bool) {
	var i, b cryptobyte.String
	ok = c.identities.ReadUint16LengthPrefixed(&i) && c.identities.Skip(4) && c.binders.ReadUint8LengthPrefixed(&b)
	return i, b, ok
}

// AppendPreSharedKey appends a client's pre_shared_key.
func AppendPreSharedKey(b *wire.Builder, o OfferedPSKs) {
	b.Vector16(func() {
		for _, id := range o.Identities {
			b.Bytes16(id.Identity)
			b.Uint32(id.ObfuscatedAge)
		}
	})
	b.Vector16(func() {
		for _, binder := range o.Binders {
			b.Bytes8(binder)
		}
	})
}

// ParseSelectedIdentity reads pre_shared_key as a server sends it: uint16, which
// counts the client's identities from 0.
func ParseSelectedIdentity(body []byte) (uint16, error) {
	r := read(protocol.ExtPreSharedKey, body)
	selected := r.uint16("selected_identity")
	return selected, r.done()
}

// AppendSelectedIdentity appends a server's pre_shared_key.
func AppendSelectedIdentity(b *wire.Builder, selected uint16) { b.Uint16(selected) }

// ParseEarlyData reads early_data as a NewSessionTicket carries it
// (RFC 9846 4.3.10): uint32 max_early_data_size, in bytes. In a ClientHello and
// in EncryptedExtensions it has no content.
func ParseEarlyData(body []byte) (uint32, error) {
	r := read(protocol.ExtEarlyData, body)
	size := r.uint32("max_early_data_size")
	return size, r.done()
}

// AppendEarlyData appends a NewSessionTicket's early_data.
func AppendEarlyData(b *wire.Builder, size uint32) { b.Uint32(size) }
