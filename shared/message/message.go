// Package message reads and writes the handshake messages of TLS and DTLS, 1.2
// and 1.3, and the bodies of their extensions: Parse and Append, nothing else.
// Whether a message or a value is welcome is for the handshake to say.
//
// A body is a message without its handshake header of 4 (TLS) or 12 (DTLS)
// bytes. What Parse yields are views into the body it was given: they live as
// long as that body stays unchanged, and must not be appended to. A Parse that
// fails returns an *alert.Error which names message and field, and leaves the
// struct in no defined state. Append trusts its values, but for vectors that
// are too long, which make the Builder fail.
//
// Packages below shared carry no compatibility promise of their own; what dtls
// and tls alias from them is covered by theirs.
package message

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Empty is a message of no bytes: HelloRequest, ServerHelloDone, EndOfEarlyData.
type Empty struct{}

// Parse refuses any content with decode_error.
func (*Empty) Parse(body []byte) error { return ParseEmpty(body) }

// Append appends nothing.
func (*Empty) Append(*wire.Builder) {}

// ParseEmpty refuses any content with decode_error. It reads HelloRequest,
// ServerHelloDone and EndOfEarlyData.
func ParseEmpty(body []byte) error {
	if len(body) > 0 {
		return alert.Peerf(alert.DecodeError, "%w: it has no content, and came with %d bytes", alert.MalformedMessage, len(body))
	}
	return nil
}

// Parse reads the body of a message of type t as version v, one that is Known,
// defines it, and returns a pointer to the struct of that message. It is for
// tools that look at messages of any type; a handshake knows which it expects.
// Types that have no struct here are refused with unexpected_message.
func Parse(t protocol.HandshakeType, v protocol.Version, body []byte) (any, error) {
	if t == protocol.ClientHello {
		transport := protocol.Stream
		if v == v.Over(protocol.Datagram) {
			transport = protocol.Datagram
		}
		hello := new(ClientHello)
		if err := hello.Parse(body, transport); err != nil {
			return nil, err
		}
		return hello, nil
	}
	m := blank(t, v)
	if m == nil {
		return nil, alert.Peerf(alert.UnexpectedMessage, "%v: no message that can be parsed in %v", t, v)
	}
	if err := m.Parse(body); err != nil {
		return nil, err
	}
	return m, nil
}

// blank returns the struct for a message other than ClientHello, or nil.
func blank(t protocol.HandshakeType, v protocol.Version) interface{ Parse(body []byte) error } {
	switch t {
	case protocol.HelloRequest, protocol.ServerHelloDone, protocol.EndOfEarlyData:
		return new(Empty)
	case protocol.HelloVerifyRequest:
		return new(HelloVerifyRequest)
	case protocol.ServerHello:
		return new(ServerHello)
	case protocol.EncryptedExtensions:
		return new(EncryptedExtensions)
	case protocol.CertificateRequest:
		if v.Is13() {
			return new(CertificateRequest13)
		}
		return new(CertificateRequest12)
	case protocol.Certificate:
		if v.Is13() {
			return new(Certificate13)
		}
		return new(Certificate12)
	case protocol.CompressedCertificate:
		return new(CompressedCertificate)
	case protocol.CertificateStatus:
		return new(CertificateStatus)
	case protocol.ServerKeyExchange:
		return new(ServerKeyExchange)
	case protocol.ClientKeyExchange:
		return new(ClientKeyExchange)
	case protocol.CertificateVerify:
		return new(CertificateVerify)
	case protocol.Finished:
		return new(Finished)
	case protocol.NewSessionTicket:
		if v.Is13() {
			return new(NewSessionTicket13)
		}
		return new(NewSessionTicket12)
	case protocol.KeyUpdate:
		return new(KeyUpdate)
	case protocol.NewConnectionID:
		return new(NewConnectionID)
	case protocol.RequestConnectionID:
		return new(RequestConnectionID)
	}
	return nil
}
