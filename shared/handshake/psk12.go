package handshake

import (
	"encoding/binary"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// The PSK suites of 1.2 (RFC 4279), with ECDHE (RFC 5489) or without. The server
// may say in ServerKeyExchange by what it knows its keys; the client names the
// one that it uses in ClientKeyExchange.

// fitPSK asks whether a key is one that the client has, as far as it says so by
// now: in 1.3 it has named its keys, in 1.2 its suites say that it has some.
func (m *Machine) fitPSK(c *Credential) (*suite.Suite, error) {
	if m.role == Client {
		return nil, alert.Localf(alert.InternalError, "a PSK is no answer to a CertificateRequest")
	}
	if !c.PSK.serves(m.version) {
		return nil, alert.Localf(alert.HandshakeFailure, "%w: ours is not for %v", alert.NoCommonPSK, m.version)
	}
	if m.version.Is13() {
		_, err := m.findPSK(c)
		return m.suite, err
	}
	return m.suiteBy(suite.PSK, func(*suite.Suite) error { return nil })
}

// --- ServerKeyExchange

// sendsHint reports whether there is a ServerKeyExchange: not for a hint that is
// empty (RFC 4279 2), unless there is a share to send.
func (m *Machine) sendsHint() bool {
	return m.suite.Auth == suite.PSK && !m.resumed && (m.suite.Exchange == suite.ECDHE || len(m.config.PSKIdentityHint) > 0)
}

func (m *Machine) writeHint(b *wire.Builder) error {
	out := message.ServerKeyExchangePSK{Hint: m.config.PSKIdentityHint}
	if m.suite.Exchange == suite.ECDHE {
		if err := m.makeShare12(); err != nil {
			return err
		}
		out.Group, out.Public = uint16(m.group.ID), m.keyShares[0].Public()
	}
	out.Append(b)
	return nil
}

func (m *Machine) readHint(body []byte) error {
	in, err := parse(&message.ServerKeyExchangePSK{}, body)
	if err != nil {
		return err
	}
	if err := m.checkShare12(in.Public); err != nil {
		return err
	}
	m.pskHint = slices.Clone(in.Hint)
	if in.Public == nil {
		return nil
	}
	return m.takeShare12(in.Group, in.Public)
}

// checkShare12 refuses a share where the suite has none, and none where it has.
func (m *Machine) checkShare12(public []byte) error {
	if hasShare := public != nil; hasShare != (m.suite.Exchange == suite.ECDHE) {
		return alert.Peerf(alert.DecodeError, "%w: a key exchange of %s, with a share: %t", alert.MalformedMessage, m.suite.Name, hasShare)
	}
	return nil
}

// --- ClientKeyExchange

func (m *Machine) writeIdentity(b *wire.Builder) error {
	if err := m.chooseClientPSK(); err != nil {
		return err
	}
	key := m.credential.PSK
	out := message.ClientKeyExchangePSK{Identity: key.Identity}
	var shared []byte
	if m.suite.Exchange == suite.ECDHE {
		ours, err := suite.Generate(m.group.ID)
		if err != nil {
			return err
		}
		if shared, err = ours[0].Shared(m.serverShare); err != nil {
			return err
		}
		out.Public = ours[0].Public()
	}
	m.shared = m.premaster(shared, key.Key)
	out.Append(b)
	return nil
}

// chooseClientPSK is what GetClientPSK says to the server's hint, or the first of
// our keys.
func (m *Machine) chooseClientPSK() error {
	if ask := m.config.GetClientPSK; ask != nil {
		hint, state := m.pskHint, m.State()
		key, err := later(m, func() (*ExternalPSK, error) { return ask(hint, state) })
		if err == nil && key != nil {
			err = key.validate()
		}
		if err != nil {
			return wrap(err, alert.InternalError, "GetClientPSK")
		}
		if key != nil && key.serves(m.version) {
			m.credential, m.pskIdentity = &Credential{PSK: key}, present(key.Identity)
			return nil
		}
	}
	for c := range m.config.psks(m.version) {
		m.credential, m.pskIdentity = c, present(c.PSK.Identity)
		return nil
	}
	return alert.Localf(alert.HandshakeFailure, "%w: GetClientPSK gave none for the hint %q", alert.NoCommonPSK, m.pskHint)
}

// present tells an empty identity from none.
func present(identity []byte) []byte { return append([]byte{}, identity...) }

func (m *Machine) readIdentity(body []byte) error {
	in, err := parse(&message.ClientKeyExchangePSK{}, body)
	if err != nil {
		return err
	}
	if err := m.checkShare12(in.Public); err != nil {
		return err
	}
	key, err := m.findPSK12(slices.Clone(in.Identity))
	if err != nil {
		return err
	}
	var shared []byte
	if in.Public != nil {
		if shared, err = m.keyShares[0].Shared(in.Public); err != nil {
			return err
		}
	}
	m.shared = m.premaster(shared, key)
	return nil
}

// findPSK12 finds the key that the client names. For a name that nobody knows it
// makes one up: then the handshake ends like one with a wrong key, and as late, and
// nobody learns which names there are (RFC 4279 2). An application that prefers to
// tell its devices returns an error with unknown_psk_identity from GetPSK.
func (m *Machine) findPSK12(identity []byte) ([]byte, error) {
	c, state, v := m.config, m.State(), m.version
	found, err := later(m, func() (*Credential, error) { return c.askPSK(identity, state, v) })
	if err != nil {
		return nil, wrap(err, alert.InternalError, "GetPSK")
	}
	if found == nil {
		found = c.pskFor(v, identity)
	}
	madeUp := Credential{PSK: &ExternalPSK{Key: randomBytes(c.usualKeyLen(v))}} // needed or not
	if found == nil {
		found = &madeUp
	}
	m.credential, m.pskIdentity = found, present(identity)
	return found.PSK.Key, nil
}

// usualKeyLen is how long the keys for version v are, as far as that is known: a
// secret of more than a block of the hash takes longer than others.
func (c *Config) usualKeyLen(v protocol.Version) int {
	for known := range c.psks(v) {
		return len(known.PSK.Key)
	}
	return 16 // what RFC 9257 6 has at least
}

// premaster is the premaster secret: the secret of the key exchange or, without
// one, as many zeros as the key has bytes, and then the key, each behind its
// length (RFC 4279 2, RFC 5489 2).
func (m *Machine) premaster(shared, key []byte) []byte {
	if shared == nil {
		shared = make([]byte, len(key))
	}
	secret := binary.BigEndian.AppendUint16(nil, uint16(len(shared)))
	secret = append(secret, shared...)
	secret = binary.BigEndian.AppendUint16(secret, uint16(len(key)))
	return append(secret, key...)
}
