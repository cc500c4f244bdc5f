package handshake

import (
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A PSK without a key exchange (psk_ke, RFC 9846 2.2, 4.3.9): ServerHello has no
// key_share, and the key schedule no secret but the PSK. By option only, and only
// where the PSK could not be used with one.

// allowsPSKOnly reports whether a server may do without a group in common, because
// the client offers PSKs that go alone. Whether one of them is good shows later:
// respond refuses the client if none is. It does not allocate.
func (c *Config) allowsPSKOnly(in *message.ClientHello) bool {
	if !c.InsecureAllowPSKOnly {
		return false
	}
	body, _ := in.Extensions.Find(protocol.ExtPSKModes)
	modes, err := message.ParsePSKModes(body)
	_, offered := in.Extensions.Find(protocol.ExtPreSharedKey)
	return err == nil && offered && slices.Contains(modes, message.PSKOnly)
}

// skipsExchange reports whether a ClientHello has nothing of a key exchange, which
// it lawfully hasn't beside pre_shared_key (RFC 9846 9.2).
func skipsExchange(in *message.ClientHello) bool {
	_, groups := in.Extensions.Find(protocol.ExtSupportedGroups)
	_, shares := in.Extensions.Find(protocol.ExtKeyShare)
	return !groups && !shares
}

// pskOnly reports whether the server uses a PSK of this client's alone: the client
// doesn't want it otherwise, or there is no group in common.
func (m *Machine) pskOnly() bool {
	modes := m.hello.pskModes
	return m.config.InsecureAllowPSKOnly && slices.Contains(modes, message.PSKOnly) &&
		(m.group == nil || !slices.Contains(modes, message.PSKWithECDHE))
}

// takesPSK reports whether the server can use a PSK of this client's at all.
//
// RFC 9846 4.2.1 [2], 4.3.9 [4]
func (m *Machine) takesPSK() bool {
	return slices.Contains(m.hello.pskModes, message.PSKWithECDHE) || m.pskOnly()
}

// checkShare refuses a ServerHello of 1.3 without a key_share, unless the client
// has offered to use a PSK alone, and the server has selected one.
//
// RFC 9846 4.3.9 [8]
func (m *Machine) checkShare() error {
	switch {
	case m.shared != nil:
		return nil
	case m.psk == nil || !m.config.InsecureAllowPSKOnly:
		return alert.Peerf(alert.MissingExtension, "%w: ServerHello without one", alert.MissingKeyShare)
	}
	m.group = nil // whatever a HelloRetryRequest has asked for
	return nil
}
