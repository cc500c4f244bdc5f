package message

import (
	"bytes"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// randomLen is the length of the random in either hello.
const randomLen = 32

// ClientHello (RFC 9846 4.2.2, RFC 5246 7.4.1.2; over datagrams RFC 9147 5.3,
// RFC 6347 4.2.1):
//
//	uint16 version; opaque random[32]; opaque session_id<0..32>;
//	opaque cookie<0..255>;                 datagrams only
//	uint16 cipher_suites<2..2^16-2>; uint8 compression_methods<1..255>;
//	Extension extensions<0..2^16-1>;       may be absent, but not in 1.3
type ClientHello struct {
	Version      protocol.Version // 1.2 also if 1.3 is offered, by supported_versions
	Random       []byte           // 32 bytes
	SessionID    []byte           // at most 32 bytes
	Cookie       []byte           // at most 255 bytes; on streams neither read nor written
	CipherSuites Uint16s          // at least one
	Compression  []byte           // at least one method
	Extensions   Extensions       // nil if the block is absent
}

// Parse reads a ClientHello as it comes over transport t. It doesn't allocate
// unless it fails, and its time is linear in len(body).
//
// RFC 9846 4.2.2 [18]
func (m *ClientHello) Parse(body []byte, t protocol.Transport) error {
	*m = ClientHello{}
	r := read(protocol.ClientHello, body)
	m.Version = protocol.Version(r.uint16("version"))
	m.Random = r.bytes("random", randomLen)
	m.SessionID = r.vector8("session_id", 0, 32)
	if t == protocol.Datagram {
		m.Cookie = r.vector8("cookie", 0, max8)
	}
	m.CipherSuites = r.uint16s("cipher_suites", r.vector16("cipher_suites", 2, max16-1))
	m.Compression = r.vector8("compression_methods", 1, max8)
	if !r.rest.Empty() {
		m.Extensions = r.extensions(alert.DecodeError)
	}
	return r.done()
}

// Append appends the message as it goes over transport t.
func (m *ClientHello) Append(b *wire.Builder, t protocol.Transport) {
	b.Uint16(uint16(m.Version))
	b.Raw(m.Random)
	b.Bytes8(m.SessionID)
	if t == protocol.Datagram {
		b.Bytes8(m.Cookie)
	}
	b.Bytes16(m.CipherSuites)
	b.Bytes8(m.Compression)
	if m.Extensions != nil {
		b.Bytes16(m.Extensions)
	}
}

// HelloVerifyRequest (RFC 6347 4.2.1): uint16 version; opaque cookie<0..255>.
type HelloVerifyRequest struct {
	Version protocol.Version // says nothing about the version that will be negotiated
	Cookie  []byte
}

// Parse reads the message.
func (m *HelloVerifyRequest) Parse(body []byte) error {
	r := read(protocol.HelloVerifyRequest, body)
	m.Version = protocol.Version(r.uint16("version"))
	m.Cookie = r.vector8("cookie", 0, max8)
	return r.done()
}

// Append appends the message. It allocates only to grow b.
func (m *HelloVerifyRequest) Append(b *wire.Builder) {
	b.Uint16(uint16(m.Version))
	b.Bytes8(m.Cookie)
}

// HelloRetryRandom is the random that makes a ServerHello a HelloRetryRequest:
// the SHA-256 of "HelloRetryRequest" (RFC 9846 4.2.3).
var HelloRetryRandom = [randomLen]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// The last eight bytes of the random of a server that could have negotiated
// more than it did: 1.3 but took 1.2, or 1.2 but took less (RFC 9846 4.2.3).
const (
	DowngradeTLS12 = "DOWNGRD\x01"
	DowngradeTLS11 = "DOWNGRD\x00"
)

// ServerHello and HelloRetryRequest (RFC 9846 4.2.3, RFC 5246 7.4.1.3):
//
//	uint16 version; opaque random[32]; opaque session_id<0..32>;
//	uint16 cipher_suite; uint8 compression_method;
//	Extension extensions<0..2^16-1>;       may be absent, but not in 1.3
type ServerHello struct {
	Version     protocol.Version // 1.2 also if 1.3 is chosen, by supported_versions
	Random      []byte           // 32 bytes
	SessionID   []byte           // at most 32 bytes; in 1.3 the client's
	CipherSuite uint16
	Compression uint8
	Extensions  Extensions // nil if the block is absent
}

// Parse reads the message. It doesn't allocate unless it fails.
func (m *ServerHello) Parse(body []byte) error {
	*m = ServerHello{}
	r := read(protocol.ServerHello, body)
	m.Version = protocol.Version(r.uint16("version"))
	m.Random = r.bytes("random", randomLen)
	m.SessionID = r.vector8("session_id", 0, 32)
	m.CipherSuite = r.uint16("cipher_suite")
	m.Compression = r.uint8("compression_method")
	if !r.rest.Empty() {
		twice := alert.DecodeError
		if m.IsRetry() {
			twice = alert.IllegalParameter
		}
		m.Extensions = r.extensions(twice)
	}
	return r.done()
}

// Append appends the message. It allocates only to grow b.
func (m *ServerHello) Append(b *wire.Builder) {
	b.Uint16(uint16(m.Version))
	b.Raw(m.Random)
	b.Bytes8(m.SessionID)
	b.Uint16(m.CipherSuite)
	b.Uint8(m.Compression)
	if m.Extensions != nil {
		b.Bytes16(m.Extensions)
	}
}

// IsRetry reports whether the message is a HelloRetryRequest.
func (m *ServerHello) IsRetry() bool { return bytes.Equal(m.Random, HelloRetryRandom[:]) }

// EncryptedExtensions (RFC 9846 4.4.1): Extension extensions<0..2^16-1>.
type EncryptedExtensions struct {
	Extensions Extensions
}

// Parse reads the message.
func (m *EncryptedExtensions) Parse(body []byte) error {
	r := read(protocol.EncryptedExtensions, body)
	m.Extensions = r.extensions(alert.DecodeError)
	return r.done()
}

// Append appends the message.
func (m *EncryptedExtensions) Append(b *wire.Builder) { b.Bytes16(m.Extensions) }
