package handshake

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/connectionid"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Connection IDs (RFC 9146 for 1.2, RFC 9147 9 for 1.3), over datagrams only:
// each side tells the other what to put on the records that it sends. In 1.3 both
// can be given new ones later. What happens to records is the Layer's; here is
// what the peers say about it.

// A ConnectionIDGenerator makes connection IDs; see Config.ConnectionIDs.
type ConnectionIDGenerator = connectionid.Generator

// MinPlaintext is how much plaintext a datagram must have room for beside a
// connection ID, in bytes.
const MinPlaintext = 64

// RoomBeside is how much plaintext a datagram of mtu bytes has room for if its
// record carries a connection ID of idLen bytes.
func RoomBeside(idLen, mtu int) int {
	const overhead = 13 + 8 + 1 + 16 // header, explicit nonce, content type and tag of 1.2 with GCM
	return mtu - overhead - idLen
}

// validateConnectionIDs makes an ID to see that it can be used.
func (c *Config) validateConnectionIDs() error {
	if c.ConnectionIDs == nil {
		return nil
	}
	id, mtu := c.ConnectionIDs.New(), cmp.Or(c.MTU, DefaultMTU)
	switch {
	case len(id) > connectionid.MaxLen:
		return unusable("ConnectionIDs", "an ID of %d bytes, more than %d", len(id), connectionid.MaxLen)
	case len(id) > 0 && c.ConnectionIDs.Len(id) != len(id):
		return unusable("ConnectionIDs", "an ID of %d bytes is taken for one of %d", len(id), c.ConnectionIDs.Len(id))
	case RoomBeside(len(id), mtu) < MinPlaintext:
		return unusable("ConnectionIDs", "with an ID of %d bytes an MTU of %d leaves less than %d bytes of plaintext", len(id), mtu, MinPlaintext)
	}
	return nil
}

// ConnectionIDs are IDs that a Layer learns of, beside those that it knows.
type ConnectionIDs struct {
	Local     [][]byte // records to us may carry one of these too
	Remote    [][]byte // ours may carry these, in this order
	Immediate bool     // the next of ours carries the first of Remote
}

// identity is what a Machine knows of connection IDs.
type identity struct {
	local, remote []byte // of the hellos; empty: that side wants none on what it gets
	agreed        bool   // both sides have them
	checks        bool   // both can check a return path (RFC 9853)

	fresh     [][]byte // NewConnectionId is to be written, with these,
	answers   bool     // or with none, as it answers a request
	immediate bool     // the peer shall use the first one at once: it goes by itself
	wanted    uint8    // RequestConnectionId is to be written, for so many
	awaited   bool     // our request is not answered yet
}

// asksConnectionIDs reports whether this side uses connection IDs at all. Who probes the
// path has none to give, but wants the return routability checks that come with them.
//
// RFC 9147 5.1 [11]
func (m *Machine) asksConnectionIDs() bool {
	return m.transport == protocol.Datagram && (m.config.ConnectionIDs != nil || m.config.MaxMTU != 0)
}

// newConnectionID makes an ID of ours. Nil or empty: there is none to give, as by a
// Config without a generator, which a connection can be imported with.
func (m *Machine) newConnectionID() []byte {
	if m.config.ConnectionIDs == nil {
		return nil
	}
	if m.Identify != nil {
		return m.Identify(m.config.ConnectionIDs)
	}
	return m.config.ConnectionIDs.New()
}

// nameOurselves makes our first ID, once.
func (m *Machine) nameOurselves() []byte {
	if m.identity.local == nil {
		m.identity.local = append([]byte{}, m.newConnectionID()...)
	}
	return m.identity.local
}

// --- connection_id (RFC 9146 3)

// RFC 9146 3 [1]
func offerConnectionID(m *Machine, b *wire.Builder) bool {
	if !m.asksConnectionIDs() {
		return false
	}
	message.AppendConnectionID(b, m.nameOurselves())
	return true
}

func receiveConnectionID(m *Machine, body []byte) error {
	id, err := message.ParseConnectionID(body)
	m.identity.remote, m.identity.agreed = bytes.Clone(id), m.asksConnectionIDs()
	return err
}

func answerConnectionID(m *Machine, _ where, b *wire.Builder) bool {
	if !m.identity.agreed {
		return false
	}
	message.AppendConnectionID(b, m.nameOurselves())
	return true
}

func acceptConnectionID(m *Machine, _ where, body []byte) error {
	id, err := message.ParseConnectionID(body)
	m.identity.remote, m.identity.agreed = bytes.Clone(id), true
	return err
}

// settleConnectionIDs learns whose records carry an ID: what ServerHello says.
func (m *Machine) settleConnectionIDs() {
	m.identity.checks = m.identity.checks && m.identity.agreed
	ours, theirs := false, false
	if m.identity.agreed {
		ours, theirs = len(m.nameOurselves()) > 0, len(m.identity.remote) > 0
	}
	toClient, toServer := ours, theirs
	if m.role == Server {
		toClient, toServer = theirs, ours
	}
	m.place.Learn(ClientCID, toClient && m.version.Is13())
	m.place.Learn(ServerCID, toServer && m.version.Is13())
}

// useConnectionIDs tells the Layer, before there are keys.
func (m *Machine) useConnectionIDs() error {
	if !m.identity.agreed {
		return nil
	}
	ids := ConnectionIDs{Immediate: true}
	if len(m.identity.local) > 0 {
		ids.Local = [][]byte{m.identity.local}
	}
	if len(m.identity.remote) > 0 {
		ids.Remote = [][]byte{m.identity.remote}
	}
	return m.layer.ConnectionIDs(ids)
}

// --- rrc (RFC 9853 3): the extension is empty, and needs connection_id beside it

// A PathCheck is how the peer's new address is checked (RFC 9853 5).
type PathCheck uint8

const (
	// EnhancedPathCheck asks at the old address first, and at the new one only if
	// the peer is there no more: somebody who copies its records and is faster than
	// the network can't draw the association to an address of his (RFC 9853 5.2). It takes
	// a second longer where the old address is dead.
	EnhancedPathCheck PathCheck = iota
	// BasicPathCheck asks at the new address alone (RFC 9853 5.1).
	BasicPathCheck
	// NoPathCheck neither offers nor makes checks; see AcceptMove.
	NoPathCheck
)

// RFC 9853 3 [1, 3]
func offerReturnRoutability(m *Machine, _ *wire.Builder) bool {
	return m.asksConnectionIDs() && m.config.PathCheck != NoPathCheck
}

func receiveReturnRoutability(_ *Machine, body []byte) error {
	return message.ParseEmptyExtension(protocol.ExtReturnRoutability, body)
}

// RFC 9853 3 [2]
func answerReturnRoutability(m *Machine, _ where, _ *wire.Builder) bool {
	m.identity.checks = m.identity.agreed && m.config.PathCheck != NoPathCheck
	return m.identity.checks
}

func acceptReturnRoutability(m *Machine, _ where, body []byte) error {
	m.identity.checks = true
	return message.ParseEmptyExtension(protocol.ExtReturnRoutability, body)
}

// ChecksPaths reports whether both peers know return routability checks.
//
// RFC 9853 3 [4]
func (m *Machine) ChecksPaths() bool { return m.identity.checks }

// --- NewConnectionId and RequestConnectionId (RFC 9147 9)

// RotateConnectionIDs gives the peer a new ID to use at once, if its records carry
// one and there is one to give, and asks for up to so many, if ours do and no
// request is under way (RFC 9147 9): both in one flight.
//
// RFC 9147 9 [9]
func (m *Machine) RotateConnectionIDs(want uint8) error {
	if !m.Open() {
		return alert.Localf(alert.InternalError, "connection IDs can be replaced only once the connection is open")
	}
	if m.place.Is(m.carries(m.role.Peer())) {
		if id := m.newConnectionID(); len(id) > 0 {
			m.identity.fresh, m.identity.immediate = append([][]byte{id}, m.identity.fresh...), true
		}
	}
	if m.place.Is(m.carries(m.role)) && !m.identity.awaited {
		m.identity.wanted = want
	}
	return m.latch(m.post())
}

// carries is the fact that the records of r carry an ID.
func (m *Machine) carries(r Role) Facts { return [...]Facts{0, ServerCID, ClientCID}[r] }

// DueConnectionIDs are IDs of ours that were made, and of which the Layer learns when
// they are written.
func (m *Machine) DueConnectionIDs() [][]byte { return m.identity.fresh }

// writeNewConnectionID writes one to be used at once, or what else there is: that
// is how a peer knows the answer to its request (RFC 9147 9). There is one such
// message in a flight, so the other waits for the ACK.
func writeNewConnectionID(m *Machine, b *wire.Builder) error {
	out, i := message.NewConnectionID{IDs: m.identity.fresh, Usage: message.CIDSpare}, &m.identity
	if i.immediate {
		out.IDs, out.Usage = i.fresh[:1], message.CIDImmediate
		i.fresh, i.immediate = i.fresh[1:], false
	} else {
		i.fresh, i.answers = nil, false
	}
	out.Append(b)
	return m.layer.ConnectionIDs(ConnectionIDs{Local: out.IDs})
}

func readNewConnectionID(m *Machine, body []byte) error {
	in, err := parse(&message.NewConnectionID{}, body)
	if err != nil {
		return err
	}
	ids := ConnectionIDs{Immediate: in.Usage == message.CIDImmediate}
	for _, id := range in.IDs {
		if len(id) == 0 { // RFC 9147 9: whoever wants none on its records sends no new ones
			return alert.Peerf(alert.IllegalParameter, "%w: NewConnectionId with an empty ID", alert.MalformedMessage)
		}
		ids.Remote = append(ids.Remote, slices.Clone(id))
	}
	m.identity.awaited = m.identity.awaited && ids.Immediate
	return m.layer.ConnectionIDs(ids)
}

func writeRequestConnectionID(m *Machine, b *wire.Builder) error {
	out := message.RequestConnectionID{Count: m.identity.wanted}
	m.identity.wanted, m.identity.awaited = 0, true
	out.Append(b)
	return nil
}

// readRequestConnectionID makes the answer due, which has as many IDs as there
// are to give.
//
// RFC 9147 9 [8]
func readRequestConnectionID(m *Machine, body []byte) error {
	in, err := parse(&message.RequestConnectionID{}, body)
	if err != nil {
		return err
	}
	for range int(in.Count) - len(m.identity.fresh) {
		id := m.newConnectionID()
		if len(id) == 0 {
			break
		}
		m.identity.fresh = append(m.identity.fresh, id)
	}
	m.identity.answers = true
	return nil
}
