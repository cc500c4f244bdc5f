package handshake

import (
	"bytes"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Config.RewriteMessage lets the application say what goes in the clear in another
// form. A rewritten hello narrows what this side goes by, and never widens it: what
// it leaves out can't be answered, and what it adds is not understood.

// A HandshakeType is the type of a handshake message, for RewriteMessage.
type HandshakeType = protocol.HandshakeType

// rewrite replaces what b has, if the application wants to.
func (m *Machine) rewrite(t protocol.HandshakeType, b *wire.Builder) error {
	if m.config.RewriteMessage == nil {
		return nil
	}
	body, err := b.Bytes()
	if err != nil {
		return err
	}
	rewritten := m.config.RewriteMessage(t, slices.Clone(body))
	if rewritten == nil {
		return nil
	}
	said := slices.Clone(rewritten)
	switch t {
	case protocol.ClientHello:
		err = m.saidClientHello(body, said)
	case protocol.ServerHello:
		err = m.saidServerHello(said)
	}
	if err != nil {
		return alert.Localf(alert.InternalError, "RewriteMessage: %w", err)
	}
	b.Truncate(0)
	b.Raw(said)
	return nil
}

// saidClientHello goes by what a client said instead of what it meant to say.
func (m *Machine) saidClientHello(meant, said []byte) error {
	var before, after message.ClientHello
	if err := before.Parse(meant, m.transport); err != nil {
		return err
	}
	if err := after.Parse(said, m.transport); err != nil {
		return err
	}
	if err := checkBindable(&before, &after); err != nil {
		return err
	}
	m.random.client, m.hello.sessionID = after.Random, after.SessionID
	m.hello.suites = common(m.hello.suites, after.CipherSuites)
	m.hello.offered = slices.DeleteFunc(m.hello.offered, func(t protocol.ExtensionType) bool {
		_, there := after.Extensions.Find(t)
		return !there
	})
	return nil
}

// checkBindable wants pre_shared_key as it was, and last: its binders are written
// over what was said.
func checkBindable(before, after *message.ClientHello) error {
	meant, offers := before.Extensions.Find(protocol.ExtPreSharedKey)
	said, _ := after.Extensions.Find(protocol.ExtPreSharedKey)
	last, _ := after.Extensions.Last()
	if offers && !(bytes.Equal(meant, said) && last == protocol.ExtPreSharedKey) {
		return alert.PreSharedKeyNotLast
	}
	return nil
}

// common is what two lists have in common, in the order of the first.
func common(a, b message.Uint16s) message.Uint16s {
	var both []uint16
	for v := range a.All() {
		if b.Contains(v) {
			both = append(both, v)
		}
	}
	return message.MakeUint16s(both)
}

// saidServerHello goes by the random that a server said, in which the mark of a
// downgrade stays.
func (m *Machine) saidServerHello(said []byte) error {
	var after message.ServerHello
	if err := after.Parse(said); err != nil {
		return err
	}
	const mark = len(message.DowngradeTLS12)
	if end := m.random.server[32-mark:]; string(end) == message.DowngradeTLS12 {
		copy(after.Random[32-mark:], end) // in said, too, of which this is a view
	}
	m.random.server = after.Random
	return nil
}
