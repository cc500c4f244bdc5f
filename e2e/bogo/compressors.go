package main

import (
	"bytes"
	"crypto/rand"
	"errors"

	"github.com/godwit-dtls/godwit/dtls"
)

// A toy is a compressor of the runner's: one that takes something from the
// front of a Certificate, or puts something there.
type toy struct {
	id         uint16
	compress   func(message []byte) ([]byte, error)
	decompress func(compressed []byte) (message []byte, ok bool)
}

func (t toy) ID() uint16                              { return t.id }
func (t toy) Compress(message []byte) ([]byte, error) { return t.compress(message) }

func (t toy) Decompress(compressed []byte, _ int) ([]byte, error) {
	message, ok := t.decompress(compressed)
	if !ok {
		return nil, errNotCompressed
	}
	return message, nil
}

var errNotCompressed = errors.New("that was never compressed")

var (
	taken = []byte{0, 0} // what every Certificate begins with
	put   = []byte{1, 2, 3, 4}
)

// compressors are in the runner's order of preference.
var compressors = []dtls.CertificateCompressor{
	toy{0xff02,
		func(message []byte) ([]byte, error) { return append(bytes.Clone(put), message...), nil },
		func(compressed []byte) ([]byte, bool) { return bytes.CutPrefix(compressed, put) }},
	toy{0xff01,
		func(message []byte) ([]byte, error) {
			rest, ok := bytes.CutPrefix(message, taken)
			if !ok {
				return nil, errNotCompressed
			}
			return bytes.Clone(rest), nil
		},
		func(compressed []byte) ([]byte, bool) { return append(bytes.Clone(taken), compressed...), true }},
	toy{0xff03,
		func(message []byte) ([]byte, error) {
			noise := make([]byte, 1)
			rand.Read(noise)
			return append(noise, message...), nil
		},
		func(compressed []byte) ([]byte, bool) { return compressed[1:], true }},
}

func setCompressor(s *settings, v string) error {
	var id uint16
	err := scan(v, &id)
	for _, c := range compressors {
		if c.ID() == id {
			s.compressors = append(s.compressors, c)
		}
	}
	return err
}
