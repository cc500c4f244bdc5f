// Package ech is the part of Encrypted Client Hello (RFC 9849) that knows no
// handshake: its configurations, its extension, and how one ClientHello is put
// into another.
//
// Packages below shared carry no compatibility promise of their own.
package ech

import (
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/godwit-dtls/godwit/shared/wire"
	"golang.org/x/crypto/cryptobyte"
)

// version is the one of ECHConfig that is known (RFC 9849 4).
const version = 0xfe0d

// A Config says how to encrypt a ClientHello for a server (RFC 9849 4):
//
//	uint16 version; uint16 length;
//	uint8 config_id; uint16 kem_id; opaque public_key<1..2^16-1>;
//	HpkeSymmetricCipherSuite cipher_suites<4..2^16-4>;
//	uint8 maximum_name_length; opaque public_name<1..255>;
//	ECHConfigExtension extensions<0..2^16-1>
type Config struct {
	Raw        []byte // all of it, from version on
	ID         uint8
	KEM        uint16
	PublicKey  []byte
	Suites     []Suite
	MaxName    int    // how long the names are that this server hides, in bytes
	PublicName string // whom the outer ClientHello asks for

	mandatory bool // it has an extension that must be understood, and none is
}

// A Suite is an HPKE key derivation function and an AEAD, by their numbers.
type Suite struct{ KDF, AEAD uint16 }

// ErrConfig says that an ECHConfig or a list of them is malformed.
var ErrConfig = errors.New("ech: malformed ECHConfig")

// ParseConfigList reads an ECHConfigList: ECHConfigs behind their length in two
// bytes. Those of an unknown version are left out.
func ParseConfigList(list []byte) ([]*Config, error) {
	rest, all := cryptobyte.String(list), cryptobyte.String(nil)
	if !rest.ReadUint16LengthPrefixed(&all) || !rest.Empty() || all.Empty() {
		return nil, fmt.Errorf("%w: a list of %d bytes", ErrConfig, len(list))
	}
	var configs []*Config
	for !all.Empty() {
		before := all
		var v uint16
		var contents cryptobyte.String
		if !all.ReadUint16(&v) || !all.ReadUint16LengthPrefixed(&contents) {
			return nil, fmt.Errorf("%w: the last one of the list is cut short", ErrConfig)
		}
		if v != version {
			continue
		}
		c, err := ParseConfig(before[:len(before)-len(all)])
		if err != nil {
			return nil, err
		}
		configs = append(configs, c)
	}
	return configs, nil
}

// AppendConfigList appends the ECHConfigList of some configs.
func AppendConfigList(b *wire.Builder, raw [][]byte) {
	b.Vector16(func() {
		for _, c := range raw {
			b.Raw(c)
		}
	})
}

// ParseConfig reads one ECHConfig of the known version.
func ParseConfig(raw []byte) (*Config, error) {
	s := cryptobyte.String(raw)
	c := &Config{Raw: raw}
	var v uint16
	var contents, key, suites, name, extensions cryptobyte.String
	var longest uint8
	if !s.ReadUint16(&v) || !s.ReadUint16LengthPrefixed(&contents) || !s.Empty() || v != version {
		return nil, fmt.Errorf("%w: %d bytes, version 0x%04x", ErrConfig, len(raw), v)
	}
	if !contents.ReadUint8(&c.ID) || !contents.ReadUint16(&c.KEM) || !contents.ReadUint16LengthPrefixed(&key) || key.Empty() ||
		!contents.ReadUint16LengthPrefixed(&suites) || suites.Empty() || !contents.ReadUint8(&longest) ||
		!contents.ReadUint8LengthPrefixed(&name) || name.Empty() ||
		!contents.ReadUint16LengthPrefixed(&extensions) || !contents.Empty() {
		return nil, fmt.Errorf("%w: its contents", ErrConfig)
	}
	c.PublicKey, c.MaxName, c.PublicName = key, int(longest), string(name)
	for !suites.Empty() {
		var suite Suite
		if !suites.ReadUint16(&suite.KDF) || !suites.ReadUint16(&suite.AEAD) {
			return nil, fmt.Errorf("%w: cipher_suites", ErrConfig)
		}
		c.Suites = append(c.Suites, suite)
	}
	for !extensions.Empty() {
		var kind uint16
		var body cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&body) {
			return nil, fmt.Errorf("%w: extensions", ErrConfig)
		}
		c.mandatory = c.mandatory || kind&mandatoryBit != 0
	}
	return c, nil
}

// mandatoryBit is set in the type of an extension that must be understood.
const mandatoryBit = 0x8000

// pick is the first suite that this library has.
func (c *Config) pick() (suite Suite, kdf hpke.KDF, aead hpke.AEAD, ok bool) {
	for _, suite := range c.Suites {
		if kdf, aead, ok := suite.functions(); ok {
			return suite, kdf, aead, true
		}
	}
	return Suite{}, nil, nil, false
}

// functions are the suite's, if this library has them. An AEAD that only exports
// encrypts nothing.
func (s Suite) functions() (hpke.KDF, hpke.AEAD, bool) {
	const exportOnly = 0xffff
	kdf, err := hpke.NewKDF(s.KDF)
	if err != nil || s.AEAD == exportOnly {
		return nil, nil, false
	}
	aead, err := hpke.NewAEAD(s.AEAD)
	return kdf, aead, err == nil
}

// Usable reports whether a client can use a config.
func (c *Config) Usable() bool {
	kem, err := hpke.NewKEM(c.KEM)
	if err != nil || c.mandatory || !hostName(c.PublicName) {
		return false
	}
	if _, err := kem.NewPublicKey(c.PublicKey); err != nil {
		return false
	}
	_, _, _, ok := c.pick()
	return ok
}

// hostName reports whether a public name is a host name in letters, digits and
// hyphens (RFC 9849 4): not an address in any of the forms that some parsers
// take for one, which end in a number.
func hostName(name string) bool {
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notLDH) {
			return false
		}
	}
	last := labels[len(labels)-1]
	number := !strings.ContainsFunc(last, func(r rune) bool { return r < '0' || r > '9' })
	return !number && !strings.HasPrefix(strings.ToLower(last), "0x")
}

func notLDH(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && !('0' <= r && r <= '9') && r != '-'
}

// Select is the first config that a client can use.
func Select(configs []*Config) (*Config, bool) {
	i := slices.IndexFunc(configs, (*Config).Usable)
	if i < 0 {
		return nil, false
	}
	return configs[i], true
}

// info is what HPKE's context is bound to (RFC 9849 6.1).
func (c *Config) info() []byte { return append([]byte("tls ech\x00"), c.Raw...) }
