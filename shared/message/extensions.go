package message

import (
	"encoding/binary"
	"iter"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
	"golang.org/x/crypto/cryptobyte"
)

// Extensions is an extension block without its outer length (RFC 9846 4.3): a
// run of entries, each a type in two bytes and a body behind its length in two.
// It is a view. A message's Parse has refused blocks that are malformed or name a
// type twice.
type Extensions []byte

// All yields types and bodies in the order of the wire.
func (e Extensions) All() iter.Seq2[protocol.ExtensionType, []byte] {
	return func(yield func(protocol.ExtensionType, []byte) bool) {
		rest := cryptobyte.String(e)
		for t, body, ok := nextEntry(&rest); ok; t, body, ok = nextEntry(&rest) {
			if !yield(protocol.ExtensionType(t), body) {
				return
			}
		}
	}
}

// Find returns the body of the extension of type t, and whether there is one.
func (e Extensions) Find(t protocol.ExtensionType) (body []byte, ok bool) {
	return findEntry(e, uint16(t))
}

// Last returns the type of the last extension: pre_shared_key must be the last
// of a ClientHello (RFC 9846 4.3.11). It is false if there is none.
func (e Extensions) Last() (last protocol.ExtensionType, ok bool) {
	for t := range e.All() {
		last, ok = t, true
	}
	return last, ok
}

// AppendExtension appends an extension of type t with what body appends.
func AppendExtension(b *wire.Builder, t protocol.ExtensionType, body func()) {
	b.Uint16(uint16(t))
	b.Vector16(body)
}

// ParseEmptyExtension refuses any content of an extension of type t with
// decode_error: those that say all by being there, such as
// extended_master_secret, and the server's answers to server_name and
// status_request.
func ParseEmptyExtension(t protocol.ExtensionType, body []byte) error {
	if len(body) > 0 {
		return alert.Peerf(alert.DecodeError, "%w: %v: it has no content, and came with %d bytes", alert.MalformedExtension, t, len(body))
	}
	return nil
}

// extensions reads an extension block behind its length. RFC 9846 4.3 forbids to
// name a type twice, and no alert for it; this is what stacks in use say.
//
// RFC 9846 4.3 [7]
func (r *reader) extensions(twice alert.Alert) Extensions {
	const field = "extensions"
	block := r.vector16(field, 0, max16)
	r.entries(field, block, 0, alert.DuplicateExtension, twice)
	return Extensions(block)
}

// entries checks that list is a run of entries (a key in two bytes, a value of
// at least leastValue bytes behind its length in two) with no key twice: that is
// why, with an alert. A list of extensions and a list of key shares are both
// that.
func (r *reader) entries(field string, list []byte, leastValue int, why alert.Reason, twice alert.Alert) {
	rest := cryptobyte.String(list)
	for !rest.Empty() {
		key, value, ok := nextEntry(&rest)
		if !ok {
			r.fail(alert.DecodeError, field, "the last entry is truncated, %d bytes are left for it", len(rest))
			return
		}
		if len(value) < leastValue {
			r.fail(alert.DecodeError, field, "entry %d: length %d, want %d or more", key, len(value), leastValue)
			return
		}
	}
	if key, found := duplicateKey(list); found {
		r.failFor(why, twice, field, "entry %d is there twice", key)
	}
}

// nextEntry takes one entry off rest. It takes nothing if rest is empty or the
// entry malformed. Of each hello it is called some hundred times, of spoofed ones
// too.
func nextEntry(rest *cryptobyte.String) (key uint16, value []byte, ok bool) {
	const header = 4
	s := *rest
	if len(s) < header {
		return 0, nil, false
	}
	end := header + int(binary.BigEndian.Uint16(s[2:]))
	if len(s) < end {
		return 0, nil, false
	}
	*rest = s[end:]
	return binary.BigEndian.Uint16(s), s[header:end], true
}

func findEntry(list []byte, want uint16) (value []byte, found bool) {
	rest := cryptobyte.String(list)
	for key, value, ok := nextEntry(&rest); ok; key, value, ok = nextEntry(&rest) {
		if key == want {
			return value, true
		}
	}
	return nil, false
}

// fewEntries is how many keys are compared each with each. A longer list is
// checked with one bit for each key there is. An entry so costs at most 32
// comparisons, or one bit and its share of 8 KiB of cleared stack: the time is
// linear in the input, whatever a peer packs into 64 KiB, and no heap is used.
const fewEntries = 32

func duplicateKey(list []byte) (key uint16, found bool) {
	var seen [fewEntries]uint16
	n := 0
	rest := cryptobyte.String(list)
	for key, _, ok := nextEntry(&rest); ok; key, _, ok = nextEntry(&rest) {
		if n == fewEntries {
			return duplicateKeyOfMany(list)
		}
		if slices.Contains(seen[:n], key) {
			return key, true
		}
		seen[n] = key
		n++
	}
	return 0, false
}

func duplicateKeyOfMany(list []byte) (key uint16, found bool) {
	var seen [(max16 + 1) / 64]uint64
	rest := cryptobyte.String(list)
	for key, _, ok := nextEntry(&rest); ok; key, _, ok = nextEntry(&rest) {
		word, bit := &seen[key/64], uint64(1)<<(key%64)
		if *word&bit != 0 {
			return key, true
		}
		*word |= bit
	}
	return 0, false
}
