package handshake

import (
	"crypto/tls"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// The key exchange of 1.2 (RFC 8422 5.4, 5.7), which has messages of its own;
// that of 1.3 is the extension key_share.

// --- ServerKeyExchange

func writeServerKeyExchange(m *Machine, b *wire.Builder) error {
	if m.suite.Auth == suite.PSK {
		return m.writeHint(b)
	}
	if err := m.makeShare12(); err != nil {
		return err
	}
	public := m.keyShares[0].Public()
	var params wire.Builder
	message.AppendECDHEParams(&params, uint16(m.group.ID), public)
	raw, err := params.Bytes()
	if err != nil {
		return err
	}
	signature, err := m.sign(m.signedParams(raw))
	if err != nil {
		return err
	}
	out := message.ServerKeyExchange{Group: uint16(m.group.ID), Public: public, Scheme: uint16(m.scheme), Signature: signature}
	out.Append(b)
	return nil
}

// makeShare12 makes the server's share, once: the step may run again.
func (m *Machine) makeShare12() (err error) {
	if m.keyShares == nil {
		m.keyShares, err = suite.Generate(m.group.ID)
	}
	return err
}

func readServerKeyExchange(m *Machine, body []byte) error {
	if m.suite.Auth == suite.PSK {
		return m.readHint(body)
	}
	in, err := parse(&message.ServerKeyExchange{}, body)
	if err != nil {
		return err
	}
	if err := m.verifyUnstapled(); err != nil {
		return err
	}
	if err := m.takeShare12(in.Group, in.Public); err != nil {
		return err
	}
	return m.checkSignature(in.Scheme, m.signedParams(in.Params), in.Signature)
}

// takeShare12 takes the server's share.
func (m *Machine) takeShare12(group uint16, public []byte) error {
	if !hasGroup(m.config.groups(m.version), tls.CurveID(group)) {
		return alert.Peerf(alert.IllegalParameter, "%w: ServerKeyExchange with %d", alert.WrongGroup, group)
	}
	m.group, m.serverShare = suite.GroupByID(tls.CurveID(group)), slices.Clone(public)
	return nil
}

// signedParams is what a server signs: both randoms and its share.
func (m *Machine) signedParams(params []byte) []byte {
	return slices.Concat(m.random.client, m.random.server, params)
}

// --- ServerHelloDone

func writeNothing(*Machine, *wire.Builder) error { return nil }

func readServerHelloDone(m *Machine, body []byte) error {
	if err := message.ParseEmpty(body); err != nil {
		return err
	}
	return m.verifyUnstapled()
}

// --- ClientKeyExchange

func writeClientKeyExchange(m *Machine, b *wire.Builder) error {
	switch {
	case m.suite.Auth == suite.PSK:
		return m.writeIdentity(b)
	case m.suite.Exchange == suite.KeyTransport:
		return m.writePremaster(b)
	}
	ours, err := suite.Generate(m.group.ID)
	if err != nil {
		return err
	}
	if m.shared, err = ours[0].Shared(m.serverShare); err != nil {
		return err
	}
	out := message.ClientKeyExchange{Public: ours[0].Public()}
	out.Append(b)
	return nil
}

func readClientKeyExchange(m *Machine, body []byte) error {
	switch {
	case m.suite.Auth == suite.PSK:
		return m.readIdentity(body)
	case m.suite.Exchange == suite.KeyTransport:
		return m.readPremaster(body)
	}
	in, err := parse(&message.ClientKeyExchange{}, body)
	if err != nil {
		return err
	}
	m.shared, err = m.keyShares[0].Shared(in.Public)
	return err
}

// crossedClientKeyExchange derives the keys of 1.2. The extended master secret
// covers the transcript up to and with ClientKeyExchange (RFC 7627 3).
func crossedClientKeyExchange(m *Machine) error {
	if m.extendedMasterSecret {
		m.deriveKeys12(keys.ExtendedMaster(m.suite.Hash, m.shared, m.transcript.sum()))
	} else {
		m.deriveKeys12(keys.Master(m.suite.Hash, m.shared, m.random.client, m.random.server))
	}
	return nil
}

// deriveKeys12 derives the record keys of a master secret.
func (m *Machine) deriveKeys12(master keys.Master12) {
	*m.secrets12 = secrets12{master, [32]byte(m.random.client), [32]byte(m.random.server)}
	m.keys12.client, m.keys12.server = master.KeyBlock(m.random.client, m.random.server, m.suite)
	m.logKey("CLIENT_RANDOM", master.Bytes())
}
