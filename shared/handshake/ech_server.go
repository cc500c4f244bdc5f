package handshake

import (
	"bytes"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/ech"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Encrypted Client Hello (RFC 9849), the server's side. An inner ClientHello that
// can be decrypted takes the place of the outer one at once: nothing else of the
// Machine sees the latter, nor does the transcript. Whatever ClientHello is
// marked as an inner one gets its confirmation: somebody in front of this server
// may have decrypted it (RFC 9849 7.2).

// An openedHello is an outer ClientHello and the inner one that was in it.
type openedHello struct {
	outer, inner []byte
	receiver     *ech.Receiver
}

// openHello returns the ClientHello that counts: the inner one, if body has one
// that we can decrypt. It may be asked again for the same body.
func (m *Machine) openHello(body []byte) ([]byte, error) {
	if len(m.given.EncryptedClientHelloKeys) == 0 || !m.given.Enabled(protocol.VersionTLS13) {
		return body, nil
	}
	if bytes.Equal(m.opened.outer, body) {
		return m.opened.inner, nil
	}
	var outer message.ClientHello
	if err := outer.Parse(body, m.transport); err != nil {
		return nil, err
	}
	extension, found := outer.Extensions.Find(protocol.ExtEncryptedClientHello)
	if !found {
		if m.opened.receiver != nil { // RFC 9849 7.1.1
			return nil, alert.Peerf(alert.MissingExtension, "the second ClientHello has no %v", protocol.ExtEncryptedClientHello)
		}
		return body, nil
	}
	o, err := ech.Parse(extension)
	if err != nil || o == nil {
		return body, err
	}
	inner, err := m.decryptHello(body, &outer, o)
	if err != nil || inner == nil {
		return body, err
	}
	m.traceInner(Received, len(inner))
	m.opened.outer, m.opened.inner, m.encrypted = bytes.Clone(body), inner, true
	return inner, nil
}

// counted is what the transcript takes of a message: of an outer ClientHello the
// inner one.
func (m *Machine) counted(msg Message) Message {
	if m.opened.inner != nil && bytes.Equal(msg.Body, m.opened.outer) {
		msg.Body = m.opened.inner
	}
	return msg
}

// decryptHello is nil if no key fits. What is declined once stays declined.
func (m *Machine) decryptHello(body []byte, outer *message.ClientHello, o *ech.Outer) (inner []byte, err error) {
	switch {
	case m.opened.receiver != nil:
		return m.opened.receiver.OpenAgain(body, outer, o, m.transport)
	case m.place.At != Start:
		return nil, nil
	}
	keys, err := m.given.keysECH()
	if err != nil {
		return nil, alert.Localf(alert.InternalError, "%w", err)
	}
	m.opened.receiver, inner, err = ech.Open(keys, body, outer, o, m.transport)
	return inner, err
}

// receiveECH learns whether this is an inner ClientHello.
func receiveECH(m *Machine, body []byte) error {
	outer, err := ech.Parse(body)
	m.hello.inner = err == nil && outer == nil
	return err
}

// answerECH offers those who used a key that we don't have the ones that we do
// have (RFC 9849 7.1).
func answerECH(m *Machine, at where, b *wire.Builder) bool {
	if at != inEncrypted || m.hello.inner {
		return false
	}
	var current [][]byte
	for _, k := range m.given.EncryptedClientHelloKeys {
		if k.SendAsRetry {
			current = append(current, k.Config)
		}
	}
	ech.AppendConfigList(b, current)
	return len(current) > 0
}

// confirmInner puts the confirmation where it belongs: at is a part of body,
// a ServerHello or HelloRetryRequest to an inner ClientHello.
func (m *Machine) confirmInner(label string, body, at []byte) {
	copy(at, m.confirmation(&m.transcript, m.random.client, label, body, at))
}
