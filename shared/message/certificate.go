package message

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// CertificateRequest12 is CertificateRequest in 1.2 (RFC 5246 7.4.4):
//
//	uint8 certificate_types<1..255>; uint16 supported_signature_algorithms<2..2^16-2>;
//	DistinguishedName certificate_authorities<0..2^16-1>;  each opaque<1..2^16-1>
type CertificateRequest12 struct {
	Types       []byte
	Schemes     Uint16s
	Authorities [][]byte // distinguished names in DER; none: any authority will do
}

// Parse reads the message.
func (m *CertificateRequest12) Parse(body []byte) error {
	r := read(protocol.CertificateRequest, body)
	m.Types = r.vector8("certificate_types", 1, max8)
	m.Schemes = r.schemes()
	m.Authorities = r.authorities(0)
	return r.done()
}

// Append appends the message.
func (m *CertificateRequest12) Append(b *wire.Builder) {
	b.Bytes8(m.Types)
	b.Bytes16(m.Schemes)
	AppendCertAuthorities(b, m.Authorities)
}

// CertificateRequest13 is CertificateRequest in 1.3 (RFC 9846 4.4.2):
// opaque certificate_request_context<0..255>; Extension extensions<0..2^16-1>.
type CertificateRequest13 struct {
	Context    []byte // empty during the handshake
	Extensions Extensions
}

// Parse reads the message.
func (m *CertificateRequest13) Parse(body []byte) error {
	r := read(protocol.CertificateRequest, body)
	m.Context = r.vector8("certificate_request_context", 0, max8)
	m.Extensions = r.extensions(alert.IllegalParameter)
	return r.done()
}

// Append appends the message.
func (m *CertificateRequest13) Append(b *wire.Builder) {
	b.Bytes8(m.Context)
	b.Bytes16(m.Extensions)
}

// Certificate12 is Certificate in 1.2 (RFC 5246 7.4.2): certificates in DER,
// the writer's own first, opaque<1..2^24-1> each in a vector<0..2^24-1>.
type Certificate12 struct {
	Chain [][]byte
}

// Parse reads the message. An empty chain is for the handshake to judge.
func (m *Certificate12) Parse(body []byte) error {
	m.Chain = nil
	r := read(protocol.Certificate, body)
	r.each(r.vector24("certificate_list", 0, max24), func() {
		m.Chain = append(m.Chain, r.vector24("certificate", 1, max24))
	})
	return r.done()
}

// Append appends the message.
func (m *Certificate12) Append(b *wire.Builder) {
	b.Vector24(func() {
		for _, der := range m.Chain {
			b.Bytes24(der)
		}
	})
}

// Certificate13 is Certificate in 1.3 (RFC 9846 4.5.1):
//
//	opaque certificate_request_context<0..255>;
//	CertificateEntry certificate_list<0..2^24-1>;
type Certificate13 struct {
	Context []byte // that of the CertificateRequest; empty from a server
	Entries []CertificateEntry
}

// CertificateEntry is one certificate of the chain, the writer's own first:
// opaque cert_data<1..2^24-1>; Extension extensions<0..2^16-1>. Empty data is for
// whoever parses what stands in it to refuse, be it a certificate or a raw public
// key.
type CertificateEntry struct {
	Data       []byte     // DER
	Extensions Extensions // status_request's body is that of a CertificateStatus
}

// Parse reads the message. An empty chain is for the handshake to judge.
func (m *Certificate13) Parse(body []byte) error {
	m.Entries = nil
	r := read(protocol.Certificate, body)
	m.Context = r.vector8("certificate_request_context", 0, max8)
	r.each(r.vector24("certificate_list", 0, max24), func() {
		data := r.vector24("cert_data", 0, max24)
		m.Entries = append(m.Entries, CertificateEntry{data, r.extensions(alert.IllegalParameter)})
	})
	return r.done()
}

// Append appends the message.
func (m *Certificate13) Append(b *wire.Builder) {
	b.Bytes8(m.Context)
	b.Vector24(func() {
		for _, entry := range m.Entries {
			b.Bytes24(entry.Data)
			b.Bytes16(entry.Extensions)
		}
	})
}

// statusOCSP is the one CertificateStatusType (RFC 6066 8).
const statusOCSP = 1

// CertificateStatus (RFC 6066 8): uint8 status_type = ocsp(1); opaque
// response<1..2^24-1>. In 1.2 it is a message, in 1.3 the body of the extension
// status_request in a CertificateEntry (RFC 9846 4.5.1.1).
type CertificateStatus struct {
	Response []byte // an OCSP response in DER
}

// Parse reads the message. A status_type other than ocsp is illegal_parameter.
func (m *CertificateStatus) Parse(body []byte) error {
	r := read(protocol.CertificateStatus, body)
	if status := r.uint8("status_type"); r.err == nil && status != statusOCSP {
		r.fail(alert.IllegalParameter, "status_type", "got %d, want ocsp, %d", status, statusOCSP)
	}
	m.Response = r.vector24("response", 1, max24)
	return r.done()
}

// Append appends the message.
func (m *CertificateStatus) Append(b *wire.Builder) {
	b.Uint8(statusOCSP)
	b.Bytes24(m.Response)
}

// CertificateVerify (RFC 9846 4.5.2, RFC 5246 7.4.8): uint16 algorithm; opaque
// signature<0..2^16-1>.
type CertificateVerify struct {
	Scheme    uint16
	Signature []byte
}

// Parse reads the message.
func (m *CertificateVerify) Parse(body []byte) error {
	r := read(protocol.CertificateVerify, body)
	m.Scheme = r.uint16("algorithm")
	m.Signature = r.vector16("signature", 0, max16)
	return r.done()
}

// Append appends the message.
func (m *CertificateVerify) Append(b *wire.Builder) {
	b.Uint16(m.Scheme)
	b.Bytes16(m.Signature)
}

// Finished (RFC 9846 4.5.3, RFC 5246 7.4.9): verify_data alone, with no length.
type Finished struct {
	VerifyData []byte
}

// Parse takes the whole body, of any length: only the handshake knows how long
// verify_data must be. It never fails.
func (m *Finished) Parse(body []byte) error {
	m.VerifyData = body
	return nil
}

// Append appends the message.
func (m *Finished) Append(b *wire.Builder) { b.Raw(m.VerifyData) }

// schemes reads a list of signature schemes behind its length.
func (r *reader) schemes() Uint16s {
	const field = "supported_signature_algorithms"
	return r.uint16s(field, r.vector16(field, 2, max16-1))
}

// authorities reads a list, of at least so many bytes, of distinguished names.
func (r *reader) authorities(least int) (names [][]byte) {
	r.each(r.vector16("certificate_authorities", least, max16), func() {
		names = append(names, r.vector16("distinguished_name", 1, max16))
	})
	return names
}
