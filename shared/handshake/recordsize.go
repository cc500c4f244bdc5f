package handshake

import (
	"math/bits"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// How much a record may have. max_fragment_length (RFC 6066 4) is the client's
// wish, which the server grants or not, and bounds both sides' records, those in
// the clear too. record_size_limit (RFC 8449) is what each side says for itself,
// bounds protected records alone, and makes a server ignore the other one.
//
// Here a length is that of content and, in 1.3, padding, without the content
// type behind it: record_size_limit counts that too, and RFC 9846 5.4 lets it
// come on top of max_fragment_length.

// The bounds of Config.RecordSizeLimit and MaxFragmentLength, in bytes.
const (
	MaxPlaintext       = 1 << 14 // RFC 9846 5.1
	MinRecordSizeLimit = 64      // RFC 8449 4
	minFragmentLength  = 1 << 9
	maxFragmentLength  = 1 << 12
)

// recordSizes is what the hellos settled.
type recordSizes struct {
	fragment     int // max_fragment_length
	ours, theirs int // record_size_limit, as on the wire; both or none
}

// SendLimit is the largest record that the peer takes at a level, by its length.
// RFC 8449 4 doesn't limit what is in the clear, but in 1.2, where that may be long,
// GnuTLS does. There, too, a record with a connection ID encrypts its content type
// (RFC 9146 4), which counts in every limit but that of max_fragment_length (RFC 9146
// 5.3).
func (m *Machine) SendLimit(level uint64) int {
	if m.flow == opened && level >= m.settled.from {
		return m.settled.send
	}
	return m.sendLimit(level)
}

// ReceiveLimit is the largest that it may send.
func (m *Machine) ReceiveLimit(level uint64) int {
	if m.flow == opened && level >= m.settled.from {
		return m.settled.receive
	}
	return m.receiveLimit(level)
}

// settledLimits are those of an open connection, which are asked for with each record.
type settledLimits struct {
	from          uint64 // the level: those below have others
	send, receive int
}

func (m *Machine) settleLimits() {
	from := LevelHandshake
	if !m.version.Is13() {
		from = LevelEncrypted
	}
	m.settled = settledLimits{from, m.sendLimit(from), m.receiveLimit(from)}
}

// RFC 9146 5 [2]
func (m *Machine) sendLimit(level uint64) int {
	limit := m.sizes.theirs
	switch {
	case level == LevelPlain && limit != 0 && !m.version.Is13():
		return min(limit, MaxPlaintext)
	case !m.version.Is13() && m.identity.agreed && len(m.identity.remote) > 0:
		return min(m.limit(level, m.lengthOf(limit-1)), MaxPlaintext-1)
	}
	return m.limit(level, m.lengthOf(limit))
}

func (m *Machine) receiveLimit(level uint64) int { return m.limit(level, m.lengthOf(m.sizes.ours)) }

// limit is what counts at a level; negotiated is record_size_limit as a length,
// positive if there is one.
func (m *Machine) limit(level uint64, negotiated int) int {
	switch {
	case level == LevelEarly && (m.version == 0 || m.version.Is13()):
		if m.resumption != nil && m.resumption.state.MaxPlaintext != 0 {
			return int(m.resumption.state.MaxPlaintext)
		}
		return MaxPlaintext
	case level > LevelPlain && negotiated > 0:
		return negotiated
	case m.sizes.fragment != 0:
		return m.sizes.fragment
	}
	return MaxPlaintext
}

// settleSizes is what a server makes of the ClientHello that it answers: from now
// on we send no more, and the client has not said anything since.
func (m *Machine) settleSizes() {
	h := &m.hello
	switch {
	case h.recordSizeLimit != 0: // RFC 8449 5
		m.sizes = recordSizes{ours: m.recordSizeLimit(), theirs: h.recordSizeLimit}
	default:
		m.sizes = recordSizes{fragment: h.maxFragmentLength}
	}
}

// --- max_fragment_length

func offerMaxFragmentLength(m *Machine, b *wire.Builder) bool {
	if m.config.MaxFragmentLength == 0 {
		return false
	}
	message.AppendMaxFragmentLength(b, uint8(bits.Len(uint(m.config.MaxFragmentLength/minFragmentLength))))
	return true
}

func receiveMaxFragmentLength(m *Machine, body []byte) error {
	n, err := message.ParseMaxFragmentLength(body)
	m.hello.maxFragmentLength = minFragmentLength << n >> 1
	return err
}

func answerMaxFragmentLength(m *Machine, _ where, b *wire.Builder) bool {
	if m.sizes.fragment == 0 {
		return false
	}
	message.AppendMaxFragmentLength(b, uint8(bits.Len(uint(m.sizes.fragment/minFragmentLength))))
	return true
}

func acceptMaxFragmentLength(m *Machine, _ where, body []byte) error {
	n, err := message.ParseMaxFragmentLength(body)
	if err != nil {
		return err
	}
	if m.sizes.fragment = minFragmentLength << n >> 1; m.sizes.fragment != m.config.MaxFragmentLength { // RFC 6066 4
		return alert.Peerf(alert.IllegalParameter, "%w: max_fragment_length of %d bytes, and %d were asked for", alert.WrongRecordSize, m.sizes.fragment, m.config.MaxFragmentLength)
	}
	return m.sizes.check()
}

// keep reports whether a server may resume a session: the max_fragment_length that
// was agreed holds for all of its connections (RFC 6066 4), unless
// record_size_limit takes its place.
func (s recordSizes) keep(old *session.State) bool {
	return old.FragmentLength == 0 || int(old.FragmentLength) == s.fragment || s.ours != 0
}

// resumeFragmentLength takes a server at its word that doesn't repeat what was
// agreed with the session that it resumes.
func (m *Machine) resumeFragmentLength() {
	if r := m.resumption; m.role == Client && r != nil && m.sizes == (recordSizes{}) {
		m.sizes.fragment = int(r.state.FragmentLength)
	}
}

// --- record_size_limit

// recordSizeLimit is what this side says, on the wire. A client doesn't know the
// version yet, and says what the highest has.
func (m *Machine) recordSizeLimit() int {
	most := MaxPlaintext
	if m.version.Is13() || m.version == 0 && m.config.Enabled(protocol.VersionTLS13) {
		most++ // the content type
	}
	if m.config.RecordSizeLimit == 0 {
		return most
	}
	return min(m.config.RecordSizeLimit, most)
}

// lengthOf is the length that a limit allows in the version of this connection,
// and no more than that has (RFC 8449 4).
func (m *Machine) lengthOf(limit int) int {
	if m.version.Is13() {
		limit--
	}
	return min(limit, MaxPlaintext)
}

func offerRecordSizeLimit(m *Machine, b *wire.Builder) bool {
	if m.config.RecordSizeLimit == 0 {
		return false
	}
	m.hello.recordSizeLimit = m.recordSizeLimit()
	message.AppendRecordSizeLimit(b, uint16(m.hello.recordSizeLimit))
	return true
}

func receiveRecordSizeLimit(m *Machine, body []byte) error {
	limit, err := message.ParseRecordSizeLimit(body)
	m.hello.recordSizeLimit = int(limit)
	return err
}

func answerRecordSizeLimit(m *Machine, _ where, b *wire.Builder) bool {
	message.AppendRecordSizeLimit(b, uint16(m.recordSizeLimit()))
	return true
}

// acceptRecordSizeLimit takes a limit that is more than there can be for none, as
// it may (RFC 8449 4).
func acceptRecordSizeLimit(m *Machine, _ where, body []byte) error {
	limit, err := message.ParseRecordSizeLimit(body)
	if err != nil {
		return err
	}
	m.sizes.ours, m.sizes.theirs = m.hello.recordSizeLimit, int(limit)
	return m.sizes.check()
}

// check refuses a server that answers both (RFC 8449 5).
func (s recordSizes) check() error {
	if s.fragment != 0 && s.theirs != 0 {
		return alert.Peerf(alert.IllegalParameter, "%w: max_fragment_length and record_size_limit in one answer", alert.WrongRecordSize)
	}
	return nil
}

// --- Config

func (c *Config) validateRecordSizes(role Role) error {
	most := MaxPlaintext
	if c.Enabled(protocol.VersionTLS13) {
		most++
	}
	switch n := c.MaxFragmentLength; {
	case role == Client && n != 0 && (n < minFragmentLength || n > maxFragmentLength || bits.OnesCount(uint(n)) != 1):
		return unusable("MaxFragmentLength", "%d is not 512, 1024, 2048 or 4096", n)
	case c.RecordSizeLimit != 0 && (c.RecordSizeLimit < MinRecordSizeLimit || c.RecordSizeLimit > most):
		return unusable("RecordSizeLimit", "%d is outside %d to %d", c.RecordSizeLimit, MinRecordSizeLimit, most)
	}
	return nil
}
