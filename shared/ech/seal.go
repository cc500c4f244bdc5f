package ech

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// tagLen is what every AEAD of HPKE adds, in bytes.
const tagLen = 16

// A Sender encrypts the inner ClientHellos of one handshake.
type Sender struct {
	config *Config
	suite  Suite
	enc    []byte
	hpke   *hpke.Sender
	again  bool // the first hello is out
}

// NewSender makes one for a usable config.
func NewSender(c *Config) (*Sender, error) {
	suite, kdf, aead, ok := c.pick()
	kem, err := hpke.NewKEM(c.KEM)
	if err != nil || !ok {
		return nil, fmt.Errorf("ech: a config that is not usable")
	}
	key, err := kem.NewPublicKey(c.PublicKey)
	if err != nil {
		return nil, err
	}
	s := &Sender{config: c, suite: suite}
	s.enc, s.hpke, err = hpke.NewSender(key, kdf, aead, c.info())
	return s, err
}

// Room appends encrypted_client_hello with a payload of zeros in it, where Seal
// will put encoded, which has n bytes.
func (s *Sender) Room(b *wire.Builder, n int) {
	o := Outer{Suite: s.suite, ConfigID: s.config.ID, Enc: s.enc, Payload: make([]byte, n+tagLen)}
	if s.again {
		o.Enc = nil // the server has the context (RFC 9849 6.1.5)
	}
	o.Append(b)
}

// Seal encrypts encoded into the room that the outer ClientHello hello has for
// it. What is authenticated with it is all of hello, with zeros there
// (RFC 9849 5.2).
func (s *Sender) Seal(hello, encoded []byte, t protocol.Transport) error {
	at, err := payloadOf(hello, t)
	if err != nil {
		return err
	}
	payload, err := s.hpke.Seal(hello, encoded)
	if err != nil {
		return err
	}
	s.again = true
	copy(at, payload)
	return nil
}

// payloadOf is the part of an outer ClientHello that is encrypted.
func payloadOf(hello []byte, t protocol.Transport) ([]byte, error) {
	var parsed message.ClientHello
	if err := parsed.Parse(hello, t); err != nil {
		return nil, err
	}
	body, _ := parsed.Extensions.Find(protocol.ExtEncryptedClientHello)
	o, err := Parse(body)
	if err != nil {
		return nil, err
	}
	return o.Payload, nil
}

// A Key is a server's: a config and its private key.
type Key struct {
	Config  *Config
	Private hpke.PrivateKey
}

// ParseKey reads what a server is configured with: an ECHConfig, and the private
// key as its KEM serializes it.
func ParseKey(config, private []byte) (*Key, error) {
	c, err := ParseConfig(config)
	if err != nil {
		return nil, err
	}
	kem, err := hpke.NewKEM(c.KEM)
	if err != nil {
		return nil, fmt.Errorf("%w: KEM %d: %w", ErrConfig, c.KEM, err)
	}
	k, err := kem.NewPrivateKey(private)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(k.PublicKey().Bytes(), c.PublicKey) {
		return nil, fmt.Errorf("ech: the private key is not the one of the config's public_key")
	}
	return &Key{c, k}, nil
}

// A Receiver decrypts the inner ClientHellos of one handshake.
type Receiver struct {
	first Outer // its suite and config
	hpke  *hpke.Recipient
}

// Open finds the key with which the payload of an outer ClientHello can be
// decrypted, and returns the inner one with what decrypts the next. Without any
// there is no inner ClientHello, and no error: its keys may be too old
// (RFC 9849 7.1). hello is the body of the outer ClientHello, parsed its fields.
func Open(keys []*Key, hello []byte, parsed *message.ClientHello, o *Outer, t protocol.Transport) (*Receiver, []byte, error) {
	for _, k := range keys {
		kdf, aead, ok := o.Suite.functions()
		if !ok || k.Config.ID != o.ConfigID || !slices.Contains(k.Config.Suites, o.Suite) {
			continue
		}
		recipient, err := hpke.NewRecipient(o.Enc, k.Private, kdf, aead, k.Config.info())
		if err != nil {
			continue
		}
		r := &Receiver{Outer{Suite: o.Suite, ConfigID: o.ConfigID}, recipient}
		encoded, err := recipient.Open(additional(hello, o), slices.Clone(o.Payload))
		if err != nil {
			continue
		}
		inner, err := decode(encoded, parsed, t)
		return r, inner, err
	}
	return nil, nil, nil
}

// OpenAgain decrypts the second ClientHello, which must be for the same key
// (RFC 9849 7.1.1).
func (r *Receiver) OpenAgain(hello []byte, parsed *message.ClientHello, o *Outer, t protocol.Transport) ([]byte, error) {
	if o.Suite != r.first.Suite || o.ConfigID != r.first.ConfigID || len(o.Enc) != 0 {
		return nil, alert.Peerf(alert.IllegalParameter, "%w: that of the first", alert.MismatchedHello)
	}
	encoded, err := r.hpke.Open(additional(hello, o), slices.Clone(o.Payload))
	if err != nil {
		return nil, alert.Peerf(alert.DecryptError, "%w in the second ClientHello", alert.BadEncryptedHello)
	}
	return decode(encoded, parsed, t)
}

// additional is an outer ClientHello with zeros instead of its payload, which is
// a view of it.
func additional(hello []byte, o *Outer) []byte {
	copied := slices.Clone(hello)
	// The payload lies in hello: their capacities end at the same byte.
	at := cap(hello) - cap(o.Payload)
	clear(copied[at : at+len(o.Payload)])
	return copied
}

// Grease appends an extension that looks like an encrypted hello of n bytes and
// is none, so that those who use ECH don't stand out (RFC 9849 6.2).
func Grease(b *wire.Builder, n int) error {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	var id [1]byte
	rand.Read(id[:])
	payload := make([]byte, (n+paddedTo-1)/paddedTo*paddedTo+tagLen)
	rand.Read(payload)
	o := Outer{
		Suite:    Suite{hpke.HKDFSHA256().ID(), hpke.AES128GCM().ID()},
		ConfigID: id[0],
		Enc:      key.PublicKey().Bytes(),
		Payload:  payload,
	}
	o.Append(b)
	return nil
}
