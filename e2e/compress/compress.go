// Package compress has the algorithms of RFC 8879 that need libraries of their
// own, for dtls.Config.CertificateCompression; zlib is in dtls and tls. Programs
// that want them copy what they need: it is a few lines for each.
package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/godwit-dtls/godwit/dtls"
	"github.com/klauspost/compress/zstd"
)

var (
	_ dtls.CertificateCompressor = Brotli{}
	_ dtls.CertificateCompressor = Zstd{}
)

// Brotli is RFC 7932's, and the best of the three for certificates: it knows
// some of what stands in them beforehand.
type Brotli struct{}

// ID is brotli's CertificateCompressionAlgorithm.
func (Brotli) ID() uint16 { return 2 }

// Compress returns message compressed.
func (Brotli) Compress(message []byte) ([]byte, error) {
	var compressed bytes.Buffer
	w := brotli.NewWriterLevel(&compressed, brotli.BestCompression)
	if _, err := w.Write(message); err != nil {
		return nil, err
	}
	err := w.Close()
	return compressed.Bytes(), err
}

// Decompress returns the length bytes that were compressed, or an error.
func (Brotli) Decompress(compressed []byte, length int) ([]byte, error) {
	in := bytes.NewReader(compressed)
	message, err := exactly(brotli.NewReader(in), length)
	if err == nil && in.Len() > 0 {
		err = fmt.Errorf("%d bytes follow the compressed ones", in.Len())
	}
	return message, err
}

// Zstd is RFC 8878's, and the fastest.
type Zstd struct{}

// ID is zstd's CertificateCompressionAlgorithm.
func (Zstd) ID() uint16 { return 3 }

// Compress returns message compressed.
func (Zstd) Compress(message []byte) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.EncodeAll(message, nil), nil
}

// maxWindow bounds what a frame may make us allocate, whatever it says: as much as
// every decoder shall have (RFC 8878 3.1.1.1.2).
const maxWindow = 1 << 23

// Decompress returns the length bytes that were compressed, or an error.
func (Zstd) Decompress(compressed []byte, length int) ([]byte, error) {
	r, err := zstd.NewReader(bytes.NewReader(compressed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return exactly(r, length)
}

// exactly reads length bytes and the end, and no more than that.
func exactly(r io.Reader, length int) ([]byte, error) {
	message := make([]byte, length)
	if n, err := io.ReadFull(r, message); err != nil {
		return nil, fmt.Errorf("%d of %d bytes came out: %w", n, length, err)
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return nil, fmt.Errorf("more than %d bytes come out", length)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return message, nil
}
