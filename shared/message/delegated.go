package message

import (
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// ParseDelegatedSchemes reads delegated_credential as it asks (RFC 9345 4.1.1):
// SignatureScheme supported_signature_algorithm<2..2^16-2>.
func ParseDelegatedSchemes(body []byte) (Uint16s, error) {
	r := read(protocol.ExtDelegatedCredential, body)
	schemes := r.schemes()
	return schemes, r.done()
}

// AppendDelegatedSchemes appends it.
func AppendDelegatedSchemes(b *wire.Builder, schemes Uint16s) { b.Bytes16(schemes) }

// DelegatedCredential is delegated_credential as it answers, in the
// CertificateEntry of whoever has delegated (RFC 9345 4):
//
//	uint32 valid_time; SignatureScheme dc_cert_verify_algorithm;
//	opaque ASN1_subjectPublicKeyInfo<1..2^24-1>;
//	SignatureScheme algorithm; opaque signature<1..2^16-1>;
type DelegatedCredential struct {
	ValidTime uint32 // seconds, from the certificate's notBefore on
	Scheme    uint16 // of the CertificateVerify that the delegated key makes
	Info      []byte // the delegated key, a SubjectPublicKeyInfo in DER
	Algorithm uint16 // of Signature
	Signature []byte // by the certificate's key
}

// Parse reads the extension's body.
func (d *DelegatedCredential) Parse(body []byte) error {
	r := read(protocol.ExtDelegatedCredential, body)
	d.ValidTime = r.uint32("valid_time")
	d.Scheme = r.uint16("dc_cert_verify_algorithm")
	d.Info = r.vector24("ASN1_subjectPublicKeyInfo", 1, max24)
	d.Algorithm = r.uint16("algorithm")
	d.Signature = r.vector16("signature", 1, max16)
	return r.done()
}

// AppendSigned appends what the signature is over.
func (d *DelegatedCredential) AppendSigned(b *wire.Builder) {
	b.Uint32(d.ValidTime)
	b.Uint16(d.Scheme)
	b.Bytes24(d.Info)
	b.Uint16(d.Algorithm)
}

// Append appends the extension's body.
func (d *DelegatedCredential) Append(b *wire.Builder) {
	d.AppendSigned(b)
	b.Bytes16(d.Signature)
}
