package differ

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A content is what goes into one record.
type content struct {
	level uint64
	kind  protocol.ContentType
	body  []byte
}

// A recordFault is what may become of a record: the records that are sent instead. It
// returns none where there is nothing to do.
type recordFault struct {
	name   string
	commit func(r *rogue, c content) [][]byte
}

var recordFaults = []recordFault{
	// What the record says.
	{"in two records", func(r *rogue, c content) [][]byte {
		if len(c.body) < 2 || r.transport == protocol.Datagram {
			return nil
		}
		return [][]byte{r.seal(c.with(c.body[:1])), r.seal(c.with(c.body[1:]))}
	}},
	{"in records of a byte", func(r *rogue, c content) (all [][]byte) {
		if len(c.body) < 2 || len(c.body) > 100 || r.transport == protocol.Datagram {
			return nil
		}
		for b := range slices.Chunk(c.body, 1) {
			all = append(all, r.seal(c.with(b)))
		}
		return all
	}},
	{"in one record with the same again", func(r *rogue, c content) [][]byte {
		return [][]byte{r.seal(c.with(slices.Concat(c.body, c.body)))}
	}},
	{"as an unknown type", as(99)},
	{"as an alert", as(protocol.Alert)},
	{"as a handshake message", as(protocol.Handshake)},
	{"as ChangeCipherSpec", as(protocol.ChangeCipherSpec)},
	{"as data", as(protocol.ApplicationData)},
	{"as an ACK", as(protocol.ACK)},
	{"behind an empty record", behind(func(c content) content { return c.with(nil) })},
	{"behind many empty records", func(r *rogue, c content) (all [][]byte) {
		for range 40 {
			all = append(all, r.seal(c.with(nil)))
		}
		return append(all, r.seal(c))
	}},
	{"behind data", behind(of(protocol.ApplicationData, 'x'))},
	{"behind empty data", behind(of(protocol.ApplicationData))},
	{"behind a warning", behind(of(protocol.Alert, 1, byte(alert.UnrecognizedName)))},
	{"behind a warning that nobody knows", behind(of(protocol.Alert, 1, 250))},
	{"behind user_canceled", behind(of(protocol.Alert, 1, byte(alert.UserCanceled)))},
	{"behind no_renegotiation", behind(of(protocol.Alert, 1, byte(alert.NoRenegotiation)))},
	{"behind close_notify", behind(of(protocol.Alert, 1, byte(alert.CloseNotify)))},
	{"behind a fatal close_notify", behind(of(protocol.Alert, 2, byte(alert.CloseNotify)))},
	{"behind a fatal alert", behind(of(protocol.Alert, 2, byte(alert.AccessDenied)))},
	{"behind an alert of no level", behind(of(protocol.Alert, 7, byte(alert.AccessDenied)))},
	{"behind half an alert", behind(of(protocol.Alert, 1))},
	{"behind two alerts in a record", behind(of(protocol.Alert, 1, 90, 1, 90))},
	{"behind ChangeCipherSpec", behind(of(protocol.ChangeCipherSpec, 1))},
	{"behind another ChangeCipherSpec", behind(of(protocol.ChangeCipherSpec, 2))},
	{"behind ChangeCipherSpec in the clear", func(r *rogue, c content) [][]byte {
		return [][]byte{append(r.header(protocol.ChangeCipherSpec, 77, 1), 1), r.seal(c)}
	}},
	{"behind an alert in the clear", func(r *rogue, c content) [][]byte {
		return [][]byte{append(r.header(protocol.Alert, 77, 2), 2, byte(alert.AccessDenied)), r.seal(c)}
	}},
	{"behind HelloRequest", behind(func(c content) content { return content{c.level, protocol.Handshake, make([]byte, 4)} })},
	{"behind a ClientHello", behind(func(c content) content {
		return content{c.level, protocol.Handshake, append([]byte{1, 0, 0, 100}, make([]byte, 100)...)}
	})},
	{"behind a KeyUpdate", behind(func(c content) content { return content{c.level, protocol.Handshake, []byte{24, 0, 0, 1, 0}} })},

	// What it is protected with, and its header.
	{"twice", func(r *rogue, c content) [][]byte {
		record := r.seal(c)
		return [][]byte{record, bytes.Clone(record)}
	}},
	{"with another bit in its middle", sealed(func(record []byte) []byte { record[len(record)/2] ^= 4; return record })},
	{"with another last bit", sealed(func(record []byte) []byte { record[len(record)-1] ^= 1; return record })},
	{"with version 1.0", versioned(protocol.VersionTLS10)},
	{"with version 1.3", versioned(protocol.VersionTLS13)},
	{"with version 0", versioned(0)},
	{"with a length that is one too small", lengthened(func(n int) int { return n - 1 })},
	{"with a length that is one too large", lengthened(func(n int) int { return n + 1 })},
	{"with no length", lengthened(func(int) int { return 0 })},
	{"with a length of 2^14+257", lengthened(func(int) int { return 1<<14 + 257 })},
	{"with a length of 2^14+2049", lengthened(func(int) int { return 1<<14 + 2049 })},
	{"with the largest length", lengthened(func(int) int { return 1<<16 - 1 })},
	{"cut", sealed(func(record []byte) []byte { return record[:len(record)-1] })},

	// Over datagrams, the number.
	{"with a later number", numbered(func(n uint64) uint64 { return n + 1000 })},
	{"with the last number", numbered(func(n uint64) uint64 { return n | (1<<48 - 1) })},
	{"in epoch 0", numbered(func(n uint64) uint64 { return n << 16 >> 16 })},
	{"in the next epoch", numbered(func(n uint64) uint64 { return n + 1<<48 })},
	{"in the last epoch", numbered(func(n uint64) uint64 { return n | 0xffff<<48 })},

	// And how a handshake message is cut.
	{"in two fragments", fragmented(func(m piece) []piece { return m.cut(0, len(m.body)/2, len(m.body)) })},
	{"in fragments of ten bytes", fragmented(func(m piece) []piece {
		cuts := []int{0}
		for at := 10; at < len(m.body); at += 10 {
			cuts = append(cuts, at)
		}
		return m.cut(append(cuts, len(m.body))...)
	})},
	{"in fragments from behind", fragmented(func(m piece) []piece {
		all := m.cut(0, len(m.body)/3, len(m.body)/2, len(m.body))
		slices.Reverse(all)
		return all
	})},
	{"in fragments that overlap", fragmented(func(m piece) []piece {
		n := len(m.body)
		return []piece{m.part(0, n*2/3), m.part(n/3, n)}
	})},
	{"in fragments that overlap and differ", fragmented(func(m piece) []piece {
		n := len(m.body)
		first, second := m.part(0, n*2/3), m.part(n/3, n)
		second.body = bytes.Clone(second.body)
		if len(second.body) > 0 {
			second.body[0] ^= 1
		}
		return []piece{first, second}
	})},
	{"behind an empty fragment", fragmented(func(m piece) []piece { return []piece{m.part(0, 0), m} })},
	{"behind an empty fragment in its middle", fragmented(func(m piece) []piece {
		return []piece{m.part(len(m.body)/2, len(m.body)/2), m}
	})},
	{"in fragments that say other lengths", fragmented(func(m piece) []piece {
		all := m.cut(0, len(m.body)/2, len(m.body))
		all[1].length++
		return all
	})},
	{"in fragments of other types", fragmented(func(m piece) []piece {
		all := m.cut(0, len(m.body)/2, len(m.body))
		all[1].kind ^= 1
		return all
	})},
	{"as a fragment beyond its end", fragmented(func(m piece) []piece { m.offset = 1; return []piece{m} })},
	{"as a fragment of the largest message", fragmented(func(m piece) []piece { m.length = 1<<24 - 1; return []piece{m} })},
	{"as the message after", fragmented(func(m piece) []piece { m.seq++; return []piece{m} })},
	{"as the message before", fragmented(func(m piece) []piece { m.seq--; return []piece{m} })},
	{"as a message of a later time", fragmented(func(m piece) []piece { m.seq += 100; return []piece{m} })},
	{"behind the same message", fragmented(func(m piece) []piece { return []piece{m, m} })},
}

func (c content) with(body []byte) content { return content{c.level, c.kind, body} }

// as is a record of another type.
func as(kind protocol.ContentType) func(r *rogue, c content) [][]byte {
	return func(r *rogue, c content) [][]byte {
		if c.kind == kind {
			return nil
		}
		return [][]byte{r.seal(content{c.level, kind, c.body})}
	}
}

// behind sends another record first.
func behind(first func(c content) content) func(r *rogue, c content) [][]byte {
	return func(r *rogue, c content) [][]byte {
		f := first(c)
		if r.transport == protocol.Datagram && f.kind == protocol.Handshake && len(f.body) >= 4 && f.body[0] != c.body[0] {
			f.body = slices.Concat(f.body[:4], []byte{0, 99, 0, 0, 0}, f.body[1:4], f.body[4:]) // of its own, and not this one's number
		}
		return [][]byte{r.seal(f), r.seal(c)}
	}
}

func of(kind protocol.ContentType, body ...byte) func(c content) content {
	return func(c content) content { return content{c.level, kind, body} }
}

// sealed changes a record after it was protected.
func sealed(change func(record []byte) []byte) func(r *rogue, c content) [][]byte {
	return func(r *rogue, c content) [][]byte { return [][]byte{change(r.seal(c))} }
}

func versioned(v protocol.Version) func(r *rogue, c content) [][]byte {
	return func(r *rogue, c content) [][]byte {
		record := r.seal(c)
		binary.BigEndian.PutUint16(record[1:], uint16(v.Over(r.transport)))
		return [][]byte{record}
	}
}

func lengthened(change func(n int) int) func(r *rogue, c content) [][]byte {
	return func(r *rogue, c content) [][]byte {
		record := r.seal(c)
		at := r.headerSize() - 2
		length := int(binary.BigEndian.Uint16(record[at:]))
		binary.BigEndian.PutUint16(record[at:], uint16(change(length)))
		return [][]byte{record}
	}
}

// numbered changes epoch and sequence number of a record, after it was protected.
func numbered(change func(n uint64) uint64) func(r *rogue, c content) [][]byte {
	return func(r *rogue, c content) [][]byte {
		if r.transport == protocol.Stream {
			return nil
		}
		record := r.seal(c)
		number := record[3:]
		binary.BigEndian.PutUint64(number, change(binary.BigEndian.Uint64(number)))
		return [][]byte{record}
	}
}

// A piece is a fragment of a handshake message, as it says itself to be.
type piece struct {
	kind   byte
	length int
	seq    uint16
	offset int
	body   []byte
}

// part is the fragment from one byte to another.
func (m piece) part(from, to int) piece {
	m.offset, m.body = from, m.body[from:to]
	return m
}

// cut makes the fragments between those bytes.
func (m piece) cut(at ...int) (all []piece) {
	for i := range len(at) - 1 {
		all = append(all, m.part(at[i], at[i+1]))
	}
	return all
}

func (m piece) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(m.kind)<<24|uint32(m.length))
	b = binary.BigEndian.AppendUint16(b, m.seq)
	b = append(b, byte(m.offset>>16), byte(m.offset>>8), byte(m.offset))
	n := len(m.body)
	return append(append(b, byte(n>>16), byte(n>>8), byte(n)), m.body...)
}

// fragmented sends a handshake message in other fragments, each in a record.
func fragmented(change func(whole piece) []piece) func(r *rogue, c content) [][]byte {
	return func(r *rogue, c content) (records [][]byte) {
		if r.transport == protocol.Stream || c.kind != protocol.Handshake {
			return nil
		}
		whole := piece{kind: c.body[0], length: len(c.body) - 12, seq: binary.BigEndian.Uint16(c.body[4:]), body: c.body[12:]}
		for _, f := range change(whole) {
			records = append(records, r.seal(c.with(f.bytes())))
		}
		return records
	}
}
