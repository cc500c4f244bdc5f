package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A ticketFormat makes tickets outside of the library, as an application would
// that shares them with OpenSSL: the runner knows the format, and changes what
// is inside.
//
//	name | iv | AES-128-CBC of a ticketContent in DER | HMAC-SHA256 of all before
type ticketFormat struct {
	key   []byte // name, MAC key and AES key, 16 bytes each
	skip  bool   // neither make nor take any
	renew bool   // give a new one for each that is taken
}

const ticketKeyLen = 16 // of each of the three

// A ticketContent is the beginning of OpenSSL's SSL_SESSION, and then the
// library's own.
type ticketContent struct {
	Format  int
	Version int
	Suite   []byte
	Session []byte
}

// wrap is Config.WrapSession.
func (f *ticketFormat) wrap(_ dtls.ConnectionState, s *dtls.SessionState) ([]byte, error) {
	if f.skip {
		return nil, nil
	}
	session, err := s.Bytes()
	if err != nil {
		return nil, err
	}
	plain, err := asn1.Marshal(ticketContent{1, int(s.Version.Over(protocol.Stream)), binary.BigEndian.AppendUint16(nil, s.Suite), session})
	if err != nil {
		return nil, err
	}
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	return f.seal(append(plain, bytes.Repeat([]byte{byte(padding)}, padding)...)), nil
}

// unwrap is Config.UnwrapSession.
func (f *ticketFormat) unwrap(ticket []byte, _ dtls.ConnectionState) (*dtls.SessionState, error) {
	plain, ok := f.open(ticket)
	if !ok || f.skip {
		return nil, nil
	}
	var content ticketContent
	if _, err := asn1.Unmarshal(plain[:len(plain)-int(plain[len(plain)-1])], &content); err != nil {
		return nil, err
	}
	s, err := dtls.ParseSessionState(content.Session)
	if err != nil {
		return nil, err
	}
	changed := *s
	if content.Version != int(s.Version.Over(protocol.Stream)) {
		changed.Version = protocol.Version(content.Version)
	}
	changed.Suite, changed.Renew = binary.BigEndian.Uint16(content.Suite), f.renew
	return &changed, nil
}

func (f *ticketFormat) seal(plain []byte) []byte {
	ticket := bytes.Clone(f.key[:ticketKeyLen])
	iv := make([]byte, aes.BlockSize)
	rand.Read(iv) // never fails
	cipher.NewCBCEncrypter(f.block(), iv).CryptBlocks(plain, plain)
	ticket = append(append(ticket, iv...), plain...)
	return append(ticket, f.mac(ticket)...)
}

func (f *ticketFormat) open(ticket []byte) ([]byte, bool) {
	end := len(ticket) - sha256.Size
	if end < ticketKeyLen+2*aes.BlockSize || !hmac.Equal(f.mac(ticket[:end]), ticket[end:]) {
		return nil, false
	}
	iv, plain := ticket[ticketKeyLen:ticketKeyLen+aes.BlockSize], bytes.Clone(ticket[ticketKeyLen+aes.BlockSize:end])
	cipher.NewCBCDecrypter(f.block(), iv).CryptBlocks(plain, plain)
	return plain, true
}

func (f *ticketFormat) mac(ticket []byte) []byte {
	mac := hmac.New(sha256.New, f.key[ticketKeyLen:2*ticketKeyLen])
	mac.Write(ticket)
	return mac.Sum(nil)
}

func (f *ticketFormat) block() cipher.Block {
	block, err := aes.NewCipher(f.key[2*ticketKeyLen:])
	if err != nil {
		panic(err) // only for another length
	}
	return block
}

// setTicketKey reads a key of OpenSSL's.
func setTicketKey(s *settings, v string) (err error) {
	s.tickets.key, err = base64.StdEncoding.DecodeString(v)
	if err == nil && len(s.tickets.key) != 3*ticketKeyLen {
		err = fmt.Errorf("a ticket key has %d bytes, not %d", 3*ticketKeyLen, len(s.tickets.key))
	}
	return err
}

// setTicketCallback makes tickets with a key that is known everywhere.
func setTicketCallback(s *settings, _ string) error {
	s.tickets.key = make([]byte, 3*ticketKeyLen)
	return nil
}
