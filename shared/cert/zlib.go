package cert

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// Zlib compresses Certificate messages with zlib (RFC 8879 3, RFC 1950). It
// needs nothing beyond the standard library.
type Zlib struct{}

// ID is zlib's CertificateCompressionAlgorithm.
func (Zlib) ID() uint16 { return 1 }

// Compress returns message compressed. It never fails.
func (Zlib) Compress(message []byte) ([]byte, error) {
	var compressed bytes.Buffer
	w := zlib.NewWriter(&compressed)
	w.Write(message)
	err := w.Close()
	return compressed.Bytes(), err
}

// Decompress returns the length bytes that were compressed. More or fewer of
// them are an error, as is anything behind them.
func (Zlib) Decompress(compressed []byte, length int) ([]byte, error) {
	in := bytes.NewReader(compressed)
	r, err := zlib.NewReader(in)
	if err != nil {
		return nil, err
	}
	message := make([]byte, length)
	if n, err := io.ReadFull(r, message); err != nil {
		return nil, fmt.Errorf("%d of %d bytes came out: %w", n, length, err)
	}
	// The checksum comes with the end.
	if n, err := r.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return nil, fmt.Errorf("no end after %d bytes: %w", length, errors.Join(errTooLong, err))
	}
	if in.Len() > 0 {
		return nil, fmt.Errorf("%d bytes follow the compressed ones", in.Len())
	}
	return message, nil
}

var errTooLong = errors.New("more came out than was announced")
