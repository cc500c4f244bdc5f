// Package handshake has the messages that hooks see: those that go in the clear.
package handshake

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/pion/dtls/v3/pkg/crypto/clientcertificate"
	"github.com/pion/dtls/v3/pkg/crypto/signaturehash"
	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/extension"

	"github.com/godwit-dtls/godwit/shared/message"
	wireprotocol "github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A Message is the body of a handshake message, without its header.
type Message interface {
	Marshal() ([]byte, error)
	Unmarshal(data []byte) error
	Type() Type
}

// A Type is the type of a handshake message.
type Type uint8

// The types of messages here.
const (
	TypeClientHello        = Type(wireprotocol.ClientHello)
	TypeServerHello        = Type(wireprotocol.ServerHello)
	TypeCertificateRequest = Type(wireprotocol.CertificateRequest)
)

// String is the type's name.
func (t Type) String() string { return wireprotocol.HandshakeType(t).String() }

// The lengths of a hello's random: all of it, and what is random for certain, as the
// first four bytes were a time once.
const (
	RandomLength      = 32
	RandomBytesLength = 28
)

// A Random is what makes every hello another one.
type Random struct {
	GMTUnixTime time.Time
	RandomBytes [RandomBytesLength]byte
}

// Populate makes a fresh one.
func (r *Random) Populate() error {
	var b [RandomLength]byte
	rand.Read(b[:]) // never fails
	r.UnmarshalFixed(b)
	return nil
}

// MarshalFixed is it on the wire.
func (r *Random) MarshalFixed() (b [RandomLength]byte) {
	binary.BigEndian.PutUint32(b[:], uint32(r.GMTUnixTime.Unix()))
	copy(b[4:], r.RandomBytes[:])
	return b
}

// UnmarshalFixed reads it.
func (r *Random) UnmarshalFixed(data [RandomLength]byte) {
	r.GMTUnixTime = time.Unix(int64(binary.BigEndian.Uint32(data[:])), 0)
	copy(r.RandomBytes[:], data[4:])
}

func readRandom(b []byte) (r Random) {
	r.UnmarshalFixed([RandomLength]byte(b))
	return r
}

func version(v wireprotocol.Version) protocol.Version {
	return protocol.Version{Major: uint8(v >> 8), Minor: uint8(v)}
}

func number(v protocol.Version) wireprotocol.Version {
	return wireprotocol.Version(uint16(v.Major)<<8 | uint16(v.Minor))
}

// clone copies what was parsed, which is a view.
func clone(b []byte) []byte { return append([]byte(nil), b...) }

// A MessageClientHello is a ClientHello (RFC 6347 4.2.1, RFC 9147 5.3).
type MessageClientHello struct {
	Version            protocol.Version // 1.2 also where supported_versions offers 1.3
	Random             Random
	Cookie             []byte
	SessionID          []byte
	CipherSuiteIDs     []uint16
	CompressionMethods []*protocol.CompressionMethod
	Extensions         []extension.Extension
}

// Type is TypeClientHello.
func (MessageClientHello) Type() Type { return TypeClientHello }

// Marshal is the message's body.
func (m *MessageClientHello) Marshal() ([]byte, error) {
	block, err := extension.Block(m.Extensions)
	if err != nil {
		return nil, err
	}
	random := m.Random.MarshalFixed()
	out := message.ClientHello{
		Version:      number(m.Version),
		Random:       random[:],
		SessionID:    m.SessionID,
		Cookie:       m.Cookie,
		CipherSuites: message.MakeUint16s(m.CipherSuiteIDs),
		Extensions:   block,
	}
	for _, c := range m.CompressionMethods {
		out.Compression = append(out.Compression, byte(c.ID))
	}
	var b wire.Builder
	out.Append(&b, wireprotocol.Datagram)
	return b.Bytes()
}

// Unmarshal reads a body.
func (m *MessageClientHello) Unmarshal(data []byte) error {
	var in message.ClientHello
	if err := in.Parse(data, wireprotocol.Datagram); err != nil {
		return err
	}
	*m = MessageClientHello{
		Version:        version(in.Version),
		Random:         readRandom(in.Random),
		Cookie:         clone(in.Cookie),
		SessionID:      clone(in.SessionID),
		CipherSuiteIDs: message.Collect[uint16](in.CipherSuites),
		Extensions:     extension.Split(in.Extensions),
	}
	for _, id := range in.Compression {
		m.CompressionMethods = append(m.CompressionMethods, &protocol.CompressionMethod{ID: protocol.CompressionMethodID(id)})
	}
	return nil
}

// A MessageServerHello is a ServerHello (RFC 5246 7.4.1.3, RFC 9846 4.2.3).
type MessageServerHello struct {
	Version           protocol.Version // 1.2 also where supported_versions chooses 1.3
	Random            Random
	SessionID         []byte
	CipherSuiteID     *uint16
	CompressionMethod *protocol.CompressionMethod
	Extensions        []extension.Extension
}

// Type is TypeServerHello.
func (MessageServerHello) Type() Type { return TypeServerHello }

// Marshal is the message's body.
func (m *MessageServerHello) Marshal() ([]byte, error) {
	block, err := extension.Block(m.Extensions)
	if err != nil {
		return nil, err
	}
	random := m.Random.MarshalFixed()
	out := message.ServerHello{Version: number(m.Version), Random: random[:], SessionID: m.SessionID, Extensions: block}
	if m.CipherSuiteID != nil {
		out.CipherSuite = *m.CipherSuiteID
	}
	if m.CompressionMethod != nil {
		out.Compression = uint8(m.CompressionMethod.ID)
	}
	var b wire.Builder
	out.Append(&b)
	return b.Bytes()
}

// Unmarshal reads a body.
func (m *MessageServerHello) Unmarshal(data []byte) error {
	var in message.ServerHello
	if err := in.Parse(data); err != nil {
		return err
	}
	*m = MessageServerHello{
		Version:           version(in.Version),
		Random:            readRandom(in.Random),
		SessionID:         clone(in.SessionID),
		CipherSuiteID:     &in.CipherSuite,
		CompressionMethod: &protocol.CompressionMethod{ID: protocol.CompressionMethodID(in.Compression)},
		Extensions:        extension.Split(in.Extensions),
	}
	return nil
}

// A MessageCertificateRequest is a CertificateRequest of 1.2 (RFC 5246 7.4.4).
type MessageCertificateRequest struct {
	CertificateTypes            []clientcertificate.Type
	SignatureHashAlgorithms     []signaturehash.Algorithm
	CertificateAuthoritiesNames [][]byte // distinguished names, in DER
}

// Type is TypeCertificateRequest.
func (MessageCertificateRequest) Type() Type { return TypeCertificateRequest }

// Marshal is the message's body.
func (m *MessageCertificateRequest) Marshal() ([]byte, error) {
	out := message.CertificateRequest12{Authorities: m.CertificateAuthoritiesNames}
	for _, t := range m.CertificateTypes {
		out.Types = append(out.Types, byte(t))
	}
	var schemes []uint16
	for _, a := range m.SignatureHashAlgorithms {
		schemes = append(schemes, uint16(a.Scheme()))
	}
	out.Schemes = message.MakeUint16s(schemes)
	var b wire.Builder
	out.Append(&b)
	return b.Bytes()
}

// Unmarshal reads a body.
func (m *MessageCertificateRequest) Unmarshal(data []byte) error {
	var in message.CertificateRequest12
	if err := in.Parse(data); err != nil {
		return err
	}
	*m = MessageCertificateRequest{}
	for _, t := range in.Types {
		m.CertificateTypes = append(m.CertificateTypes, clientcertificate.Type(t))
	}
	for scheme := range in.Schemes.All() {
		m.SignatureHashAlgorithms = append(m.SignatureHashAlgorithms, signaturehash.Of(scheme))
	}
	for _, name := range in.Authorities {
		m.CertificateAuthoritiesNames = append(m.CertificateAuthoritiesNames, clone(name))
	}
	return nil
}
