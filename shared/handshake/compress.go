package handshake

import (
	"bytes"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Certificate compression (RFC 8879), in 1.3 alone: each side says what it can
// decompress, and a CompressedCertificate may stand wherever a Certificate does.
// It is the same step of the graph, so it is packed and unpacked where messages
// leave and come (flow.go); the transcript has it as it was on the wire.

// A CertificateCompressor is one way to compress Certificate messages.
type CertificateCompressor interface {
	// ID is the CertificateCompressionAlgorithm: 1 is zlib, 2 brotli, 3 zstd.
	ID() uint16
	// Compress returns a message compressed. An error ends the handshake.
	Compress(message []byte) ([]byte, error)
	// Decompress returns the length bytes that were compressed. What the peer
	// sends is not authenticated yet and may be made to swell: fail as soon as
	// there would be more than length bytes, which is never more than a Certificate
	// may have.
	Decompress(compressed []byte, length int) ([]byte, error)
}

// maxCompressors is how many algorithms compress_certificate has room for.
const maxCompressors = (1<<8 - 2) / 2

func (c *Config) validateCompression() error {
	if len(c.CertificateCompression) > maxCompressors {
		return unusable("CertificateCompression", "there are %d, at most %d can be named", len(c.CertificateCompression), maxCompressors)
	}
	var ids []uint16
	for i, compressor := range c.CertificateCompression {
		if compressor == nil || slices.Contains(ids, compressor.ID()) {
			return unusable("CertificateCompression", "number %d is nil, or of an algorithm that is there already", i)
		}
		ids = append(ids, compressor.ID())
	}
	return nil
}

// --- compress_certificate (RFC 8879 3), in ClientHello and CertificateRequest

func offerCompressCertificate(m *Machine, b *wire.Builder) bool {
	return m.config.Enabled(protocol.VersionTLS13) && answerCompressCertificate(m, inRequest, b)
}

func receiveCompressCertificate(m *Machine, body []byte) (err error) {
	m.hello.compression, err = message.ParseCompressCertificate(body)
	return err
}

func answerCompressCertificate(m *Machine, _ where, b *wire.Builder) bool {
	var ids []uint16
	for _, c := range m.config.CertificateCompression {
		ids = append(ids, c.ID())
	}
	message.AppendCompressCertificate(b, message.MakeUint16s(ids))
	return len(ids) > 0
}

func acceptCompressCertificate(m *Machine, _ where, body []byte) error {
	ids, err := message.ParseCompressCertificate(body)
	m.request.compression = slices.Clone(ids)
	return err
}

// --- CompressedCertificate (RFC 8879 4)

// pack compresses what was written, if it is a Certificate and the peer can
// decompress one. It returns the type that the message has then.
func (m *Machine) pack(s Step, b *wire.Builder) (protocol.HandshakeType, error) {
	if s.Type() != protocol.Certificate || !m.version.Is13() {
		return s.Type(), nil
	}
	c := m.commonCompressor()
	if c == nil {
		return s.Type(), nil
	}
	certificate, err := b.Bytes()
	if err != nil {
		return 0, err
	}
	compressed, err := later(m, func() ([]byte, error) { return c.Compress(certificate) })
	if err != nil {
		return 0, wrap(err, alert.InternalError, "compressing Certificate")
	}
	out := message.CompressedCertificate{Algorithm: c.ID(), Length: len(certificate), Compressed: compressed}
	b.Truncate(0)
	out.Append(b)
	return protocol.CompressedCertificate, nil
}

// commonCompressor is the first of ours that the peer can decompress; nil if
// there is none.
func (m *Machine) commonCompressor() CertificateCompressor {
	theirs := m.demanded().compression
	for _, c := range m.config.CertificateCompression {
		if theirs.Contains(c.ID()) {
			return c
		}
	}
	return nil
}

// unpack is the body of a message as its step reads it.
func (m *Machine) unpack(s Step, msg Message) ([]byte, error) {
	if msg.Content != protocol.Handshake || msg.Type != protocol.CompressedCertificate {
		return msg.Body, nil
	}
	in, err := parse(&message.CompressedCertificate{}, msg.Body)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(m.config.CertificateCompression, func(c CertificateCompressor) bool { return c.ID() == in.Algorithm })
	switch {
	case len(m.config.CertificateCompression) == 0:
		return nil, alert.Peerf(alert.UnexpectedMessage, "CompressedCertificate, though it was not offered")
	case i < 0: // RFC 8879 4
		return nil, alert.Peerf(alert.IllegalParameter, "%w %d", alert.UnknownCompression, in.Algorithm)
	case in.Length > m.maxBody(s): // the limit is that of a Certificate, RFC 8879 5
		return nil, alert.Peerf(alert.BadCertificate, "%w: %d bytes, at most %d", alert.CertificateTooLong, in.Length, m.maxBody(s))
	}
	c, length, compressed := m.config.CertificateCompression[i], in.Length, bytes.Clone(in.Compressed)
	body, err := later(m, func() ([]byte, error) { return c.Decompress(compressed, length) })
	switch {
	case err == ErrNotYet:
		return nil, err
	case err != nil:
		return nil, alert.Peerf(alert.BadCertificate, "%w: %w", alert.DecompressionFailed, err)
	case len(body) != length:
		return nil, alert.Peerf(alert.BadCertificate, "%w: %d bytes instead of %d", alert.DecompressionFailed, len(body), length)
	}
	return body, nil
}
