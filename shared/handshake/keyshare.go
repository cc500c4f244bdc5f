package handshake

import (
	"crypto/tls"
	"iter"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// The groups of the key exchange, and the shares of 1.3. What the server chooses
// of them stands in negotiate.go.

// --- supported_groups (RFC 9846 4.3.7, RFC 8422 5.1)

// RFC 9846 9.2 [11]
func offerSupportedGroups(m *Machine, b *wire.Builder) bool {
	message.AppendSupportedGroups(b, message.MakeUint16s(m.groupsWithGrease()))
	return true
}

// groups are the enabled groups that v can use, most preferred first, each once
// (RFC 9846 4.3.7).
//
// RFC 9846 4.3.7 [1]
func (c *Config) groups(v protocol.Version) iter.Seq[*suite.Group] {
	return func(yield func(*suite.Group) bool) {
		for i, id := range c.CurvePreferences {
			g := suite.GroupByID(id)
			if (v.Is13() || !g.PostQuantum) && !slices.Contains(c.CurvePreferences[:i], id) && !yield(g) {
				return
			}
		}
		for _, g := range suite.Groups {
			if len(c.CurvePreferences) == 0 && !g.ByName && (v.Is13() || !g.PostQuantum) && !yield(g) {
				return
			}
		}
	}
}

// hasGroup reports whether a group is one of groups.
func hasGroup(groups iter.Seq[*suite.Group], id tls.CurveID) bool {
	for g := range groups {
		if g.ID == id {
			return true
		}
	}
	return false
}

func receiveSupportedGroups(m *Machine, body []byte) (err error) {
	m.hello.groups, err = message.ParseSupportedGroups(body)
	return err
}

// --- ec_point_formats (RFC 8422 5.1.2): only uncompressed points, 0

func offerPointFormats(m *Machine, b *wire.Builder) bool {
	message.AppendECPointFormats(b, []byte{0})
	return m.offersVersion(protocol.VersionTLS12)
}

func receivePointFormats(m *Machine, body []byte) error {
	return acceptPointFormats(m, inServerHello12, body)
}

func answerPointFormats(_ *Machine, _ where, b *wire.Builder) bool {
	message.AppendECPointFormats(b, []byte{0})
	return true
}

func acceptPointFormats(_ *Machine, _ where, body []byte) error {
	formats, err := message.ParseECPointFormats(body)
	if err == nil && !slices.Contains(formats, 0) {
		err = alert.Peerf(alert.IllegalParameter, "%w: ec_point_formats without uncompressed points", alert.MalformedExtension)
	}
	return err
}

// --- key_share (RFC 9846 4.3.8)

// RFC 9846 2.2 [1]
func offerKeyShare(m *Machine, b *wire.Builder) bool {
	if !m.config.Enabled(protocol.VersionTLS13) {
		return false
	}
	b.Vector16(func() {
		m.appendGreaseShare(b)
		for _, k := range m.keyShares {
			message.AppendKeyShare(b, uint16(k.Group().ID), k.Public())
		}
	})
	return true
}

// shareGroups are the groups that the first ClientHello has shares for, in the
// order of supported_groups (RFC 9846 4.3.8): what the server is known to have,
// else what the Config says, or the first hybrid one and the first other one, so
// that most servers find theirs.
//
// RFC 9846 4.3.8 [1, 4]
func (c *Config) shareGroups() []tls.CurveID {
	for g := range c.groups(protocol.VersionTLS13) {
		if slices.Contains(c.ServerGroupsHint, g.ID) {
			return []tls.CurveID{g.ID}
		}
	}
	var ids []tls.CurveID
	var hybrid, plain bool
	for g := range c.groups(protocol.VersionTLS13) {
		first := g.PostQuantum && !hybrid || !g.PostQuantum && !plain
		if c.KeyShares == nil && first || slices.Contains(c.KeyShares, g.ID) {
			ids = append(ids, g.ID)
		}
		hybrid, plain = hybrid || g.PostQuantum, plain || !g.PostQuantum
	}
	return ids
}

func receiveKeyShare(m *Machine, body []byte) (err error) {
	m.hello.shares, err = message.ParseKeyShares(body)
	return err
}

// answerKeyShare is the server's half of the key exchange. HelloRetryRequest's
// form is AppendRetry's.
//
// RFC 9846 4.3.8 [12]
func answerKeyShare(m *Machine, at where, b *wire.Builder) bool {
	if at != inServerHello13 || m.shared == nil { // a PSK alone
		return false
	}
	message.AppendKeyShare(b, uint16(m.group.ID), m.serverShare)
	return true
}

// RFC 9846 4.3.8 [11, 13]
func acceptKeyShare(m *Machine, at where, body []byte) error {
	if at == inRetry {
		return m.acceptRetryGroup(body)
	}
	id, share, err := message.ParseKeyShare(body)
	if err != nil {
		return err
	}
	for _, k := range m.keyShares {
		if k.Group().ID == tls.CurveID(id) {
			m.group = k.Group()
			m.shared, err = k.Shared(share)
			return err
		}
	}
	return alert.Peerf(alert.IllegalParameter, "%w: a key share of group %d, of which none was sent", alert.WrongGroup, id)
}

// acceptRetryGroup makes the one share that the server asks for. The group must
// be one we named and sent no share of (RFC 9846 4.3.8).
//
// RFC 9846 4.3.8 [8, 10]
func (m *Machine) acceptRetryGroup(body []byte) error {
	id, err := message.ParseKeyShareRetry(body)
	if err != nil {
		return err
	}
	asked := tls.CurveID(id)
	named := hasGroup(m.config.groups(m.version), asked)
	sent := slices.ContainsFunc(m.keyShares, func(k *suite.PrivateKey) bool { return k.Group().ID == asked })
	if !named || sent {
		return alert.Peerf(alert.IllegalParameter, "%w: HelloRetryRequest asks for %d, which was not named or is already there", alert.WrongGroup, id)
	}
	m.group = suite.GroupByID(asked)
	m.keyShares, err = suite.Generate(asked)
	return err
}
