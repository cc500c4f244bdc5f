package message

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// RawPublicKey12 is Certificate in 1.2 where RawPublicKey was negotiated (RFC
// 7250 3): opaque ASN.1_subjectPublicKeyInfo<1..2^24-1>. In 1.3 the key stands in
// a CertificateEntry.
type RawPublicKey12 struct {
	Info []byte // DER; empty, as a client writes it that has no key to show
}

// Parse reads the message. An empty one, which the structure has no room for, is
// for the handshake to judge: RFC 7250 names no other way to show nothing.
func (m *RawPublicKey12) Parse(body []byte) error {
	r := read(protocol.Certificate, body)
	m.Info = r.vector24("subjectPublicKeyInfo", 0, max24)
	return r.done()
}

// Append appends the message.
func (m *RawPublicKey12) Append(b *wire.Builder) { b.Bytes24(m.Info) }

// ParseCertificateTypes reads client_certificate_type or server_certificate_type
// as a client sends it (RFC 7250 3): CertificateType types<1..2^8-1>, most
// preferred first. A list of nothing but X509 must not be sent (RFC 7250 4.1) and
// is illegal_parameter, as an empty one is.
func ParseCertificateTypes(t protocol.ExtensionType, body []byte) (types []protocol.CertificateType, err error) {
	r := read(t, body)
	for _, v := range r.vector8("certificate_types", 0, max8) {
		types = append(types, protocol.CertificateType(v))
	}
	if r.err == nil && (len(types) == 0 || len(types) == 1 && types[0] == protocol.X509) {
		r.failFor(alert.DefaultCertificateTypes, alert.IllegalParameter, "certificate_types", "%v", types)
	}
	return types, r.done()
}

// AppendCertificateTypes appends a client's client_certificate_type or
// server_certificate_type.
func AppendCertificateTypes(b *wire.Builder, types []protocol.CertificateType) {
	b.Vector8(func() {
		for _, t := range types {
			b.Uint8(uint8(t))
		}
	})
}

// ParseCertificateType reads client_certificate_type or server_certificate_type
// as a server sends it: CertificateType.
func ParseCertificateType(t protocol.ExtensionType, body []byte) (protocol.CertificateType, error) {
	r := read(t, body)
	selected := protocol.CertificateType(r.uint8("certificate_type"))
	return selected, r.done()
}

// AppendCertificateType appends a server's client_certificate_type or
// server_certificate_type.
func AppendCertificateType(b *wire.Builder, t protocol.CertificateType) { b.Uint8(uint8(t)) }
