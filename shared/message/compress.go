package message

import (
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// CompressedCertificate stands for a Certificate of 1.3 (RFC 8879 4): uint16
// algorithm; uint24 uncompressed_length; opaque
// compressed_certificate_message<1..2^24-1>.
type CompressedCertificate struct {
	Algorithm  uint16
	Length     int // of the Certificate that comes out, in bytes, at most 2^24-1
	Compressed []byte
}

// Parse reads the message.
func (m *CompressedCertificate) Parse(body []byte) error {
	r := read(protocol.CompressedCertificate, body)
	m.Algorithm = r.uint16("algorithm")
	m.Length = int(r.uint24("uncompressed_length"))
	m.Compressed = r.vector24("compressed_certificate_message", 1, max24)
	return r.done()
}

// Append appends the message.
func (m *CompressedCertificate) Append(b *wire.Builder) {
	b.Uint16(m.Algorithm)
	b.Uint24(uint32(m.Length))
	b.Bytes24(m.Compressed)
}

// ParseCompressCertificate reads compress_certificate (RFC 8879 3): uint16
// algorithms<2..2^8-2>. One that is there twice is illegal_parameter, which is
// stricter than the RFC, as BoringSSL is.
func ParseCompressCertificate(body []byte) (Uint16s, error) {
	r := read(protocol.ExtCompressCertificate, body)
	algorithms := r.uint16s("algorithms", r.vector8("algorithms", 2, max8-1))
	for i := range algorithms.Len() {
		if a := algorithms.At(i); algorithms[:2*i].Contains(a) {
			r.fail(alert.IllegalParameter, "algorithms", "%d is there twice", a)
		}
	}
	return algorithms, r.done()
}

// AppendCompressCertificate appends a compress_certificate.
func AppendCompressCertificate(b *wire.Builder, algorithms Uint16s) { b.Bytes8(algorithms) }
