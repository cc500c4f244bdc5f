package handshake

import (
	"crypto/tls"
	"math/rand/v2"
	"slices"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// GREASE (RFC 8701): values that nobody may understand and everybody must
// tolerate, so that peers which don't are found before there is a value that
// matters. The same reason stands behind extensions in an order that changes.

// A grease is what one handshake makes its values of; zero if it has none.
type grease [32]byte

// The places of GREASE values. Those of groups and key shares are one.
const (
	greaseSuite = iota
	greaseVersion
	greaseGroup
	greaseScheme
	greaseExtension
)

// value is one of the sixteen that are reserved, 0x0a0a to 0xfafa. The values of
// a handshake stay the same over its two ClientHellos.
func (g grease) value(place int) uint16 {
	n := uint16(g[place]>>4)<<4 | 0x0a
	return n<<8 | n
}

// greasy appends values behind a GREASE value, if there are any.
func greasy[T ~uint16](m *Machine, place int, values []T) []T {
	if !m.config.GREASE {
		return values
	}
	return append([]T{T(m.grease.value(place))}, values...)
}

// appendGreaseShare appends a key share of no group (RFC 8701 3.1). After a
// HelloRetryRequest there is only the one that it asks for.
func (m *Machine) appendGreaseShare(b *wire.Builder) {
	if m.config.GREASE && !m.retried {
		message.AppendKeyShare(b, m.grease.value(greaseGroup), []byte{0})
	}
}

// appendGreaseExtension appends an extension without content.
func (m *Machine) appendGreaseExtension(b *wire.Builder) {
	if m.config.GREASE {
		message.AppendExtension(b, protocol.ExtensionType(m.grease.value(greaseExtension)), func() {})
	}
}

// ticketGrease is an extension of NewSessionTicket without content (RFC 8701 4.1).
var ticketGrease = []byte{0x0a, 0x0a, 0, 0}

// offerOrder is the order of the extensions in ClientHello: that of the table,
// or any with pre_shared_key at its end (RFC 9846 4.3.11).
func (m *Machine) offerOrder() []extension {
	if !m.config.GREASE {
		return extensions
	}
	order := slices.Clone(extensions)
	movable := order[:len(order)-1]
	rand.New(rand.NewChaCha8(m.grease)).Shuffle(len(movable), func(i, j int) { movable[i], movable[j] = movable[j], movable[i] })
	return order
}

// groupsWithGrease are a client's groups as it writes them.
func (m *Machine) groupsWithGrease() []tls.CurveID {
	var ids []tls.CurveID
	for g := range m.config.groups(m.config.highest(m.transport)) {
		ids = append(ids, g.ID)
	}
	return greasy(m, greaseGroup, ids)
}
