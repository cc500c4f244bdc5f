package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// inFlight is how many records are written before they are read.
const inFlight = 16

// A recordTask writes records at the client and reads them at the server. One
// operation is one record, written and read.
type recordTask struct {
	pair   pair
	data   []byte
	buf    []byte
	cipher *bareAEAD
}

func (p inProcess) records(size int) (task, error) {
	if size > p.largest() {
		return nil, errors.ErrUnsupported
	}
	e, err := p.endpoints(handshake{})
	if err != nil {
		return nil, err
	}
	established, err := e.connect(newLinks(p.transport()))
	if err != nil {
		return nil, err
	}
	return &recordTask{pair: established, data: make([]byte, size), buf: make([]byte, size), cipher: newBareAEAD(size)}, nil
}

func (t *recordTask) run(d time.Duration) (sample, error) { return t.cipher.beside(d, t.exchange) }

func (t *recordTask) exchange() (int, error) {
	for range inFlight {
		if _, err := t.pair.client.Write(t.data); err != nil {
			return 0, err
		}
	}
	for range inFlight {
		if _, err := io.ReadFull(t.pair.server, t.buf); err != nil {
			return 0, err
		}
	}
	return inFlight, nil
}

func (t *recordTask) close() { t.pair.close() }

// A bareAEAD seals and opens data with AES-128-GCM in a buffer that stays: what
// no record layer can do without.
type bareAEAD struct {
	aead       cipher.AEAD
	nonce      []byte
	additional []byte
	data       []byte
	flying     [inFlight][]byte
	number     uint64 // of the first of them
}

func newBareAEAD(size int) *bareAEAD {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		panic(err) // the key has its size
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return &bareAEAD{
		aead:       aead,
		nonce:      make([]byte, aead.NonceSize()),
		additional: make([]byte, 13), // as in DTLS 1.2, RFC 6347 4.1.2.1
		data:       make([]byte, size),
	}
}

func (b *bareAEAD) run(d time.Duration) (sample, error) {
	return measure(d, func() (int, error) {
		for i := range b.flying {
			b.flying[i] = b.aead.Seal(b.flying[i][:0], b.nonceOf(i), b.data, b.additional)
		}
		for i, sealed := range b.flying {
			if _, err := b.aead.Open(sealed[:0], b.nonceOf(i), sealed, b.additional); err != nil {
				return 0, err
			}
		}
		b.number += inFlight
		return inFlight, nil
	})
}

// nonceOf is the nonce of a record in flight.
func (b *bareAEAD) nonceOf(i int) []byte {
	binary.BigEndian.PutUint64(b.nonce[4:], b.number+uint64(i))
	return b.nonce
}

func (b *bareAEAD) close() {}

// beside measures exchange, and the bare AEAD for half of the time, so that a ratio to
// it is as fresh as can be.
func (b *bareAEAD) beside(d time.Duration, exchange func() (operations int, err error)) (sample, error) {
	bare, err := b.run(d / 2)
	if err != nil {
		return nil, err
	}
	s, err := measure(d/2, exchange)
	if err == nil {
		s[floorCost] = bare[cost]
	}
	return s, err
}
