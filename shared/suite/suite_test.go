package suite

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/tls"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is insecure comes last, and what has a tag of 8 bytes right before. Of those that a
// peer can authenticate with, those with forward secrecy come first.
//
// RFC 9846 E.5 [1]
func TestOrder(t *testing.T) {
	class := func(s *Suite) int {
		switch {
		case s.Insecure():
			return 2
		case s.AEAD.TagLen < 16:
			return 1
		}
		return 0
	}
	secret := func(s *Suite) bool { return s.Exchange == Any || s.Exchange == ECDHE }
	for i, s := range Table {
		for _, behind := range Table[i+1:] {
			if class(behind) < class(s) || class(behind) == class(s) && behind.Auth == s.Auth && secret(behind) && !secret(s) {
				t.Errorf("%s is behind %s", behind.Name, s.Name)
			}
		}
	}
}

// crypto/tls knows the same numbers by the same names.
//
// RFC 9846 9.1 [1]
func TestTableAgainstStandardLibrary(t *testing.T) {
	known := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
	for _, s := range Table {
		if s.Auth == PSK || strings.Contains(s.Name, "CCM") {
			continue // crypto/tls has none
		}
		i := slices.IndexFunc(known, func(k *tls.CipherSuite) bool { return k.ID == s.ID })
		if i < 0 || known[i].Name != s.Name {
			t.Errorf("0x%04x %s is not what crypto/tls knows", s.ID, s.Name)
			continue
		}
		for _, v := range known[i].SupportedVersions {
			if (v == tls.VersionTLS13) != (s.Version == protocol.VersionTLS13) {
				t.Errorf("%s: version %v, crypto/tls has 0x%04x", s.Name, s.Version, v)
			}
		}
	}
}

// The PSK and CCM suites by their names and numbers in IANA's registry.
func TestSuitesBesideStandardLibrary(t *testing.T) {
	registry := map[string]uint16{
		"TLS_PSK_WITH_AES_128_GCM_SHA256":             0x00a8,
		"TLS_PSK_WITH_AES_256_GCM_SHA384":             0x00a9,
		"TLS_PSK_WITH_CHACHA20_POLY1305_SHA256":       0xccab,
		"TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256":       0xd001,
		"TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384":       0xd002,
		"TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256": 0xccac,
		"TLS_PSK_WITH_AES_128_CBC_SHA":                0x008c,
		"TLS_PSK_WITH_AES_256_CBC_SHA":                0x008d,
		"TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA":          0xc035,
		"TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA":          0xc036,
		"TLS_AES_128_CCM_SHA256":                      0x1304,
		"TLS_AES_128_CCM_8_SHA256":                    0x1305,
		"TLS_PSK_WITH_AES_128_CCM":                    0xc0a4,
		"TLS_PSK_WITH_AES_256_CCM":                    0xc0a5,
		"TLS_PSK_WITH_AES_128_CCM_8":                  0xc0a8,
		"TLS_PSK_WITH_AES_256_CCM_8":                  0xc0a9,
		"TLS_ECDHE_ECDSA_WITH_AES_128_CCM":            0xc0ac,
		"TLS_ECDHE_ECDSA_WITH_AES_256_CCM":            0xc0ad,
		"TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8":          0xc0ae,
		"TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8":          0xc0af,
		"TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256":     0xd003,
		"TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256":       0xd005,
	}
	for _, s := range Table {
		if s.Auth != PSK && !strings.Contains(s.Name, "CCM") {
			continue
		}
		if registry[s.Name] != s.ID {
			t.Errorf("%s is 0x%04x, want 0x%04x", s.Name, s.ID, registry[s.Name])
		}
		if forward := strings.Contains(s.Name, "ECDHE"); forward != (s.Exchange == ECDHE) || strings.HasPrefix(s.Name, "TLS_PSK") != (s.Exchange == NoExchange) {
			t.Errorf("%s has the exchange %d", s.Name, s.Exchange)
		}
		delete(registry, s.Name)
	}
	if len(registry) > 0 {
		t.Errorf("missing: %v", registry)
	}
}

// RFC 9846 5.2 [4], 5.3 [3], E.5 [3]
func TestTableRows(t *testing.T) {
	for _, s := range Table {
		if ByID(s.ID) != s || ByName(s.Name) != s {
			t.Errorf("%s is not found by its ID or name", s.Name)
		}
		if !s.Hash.Available() {
			t.Errorf("%s: hash %v is not linked in", s.Name, s.Hash)
		}
		if is13 := s.Version.Is13(); is13 != (s.Exchange == Any) || is13 != (s.Auth == AnyAuth) {
			t.Errorf("%s: %v with exchange %d and authentication %d", s.Name, s.Version, s.Exchange, s.Auth)
		}
		if (s.AEAD == nil) == (s.CBC == nil) || s.Insecure() != (s.CBC != nil || s.Exchange == KeyTransport || s.ID == TLS_AES_128_CCM_8_SHA256) {
			t.Errorf("%s: AEAD %v, CBC %v, insecure %v", s.Name, s.AEAD, s.CBC, s.Insecure())
		}
		if s.CBC != nil {
			checkCBC(t, s)
			continue
		}
		a := s.AEAD
		aead, err := a.New(make([]byte, a.KeyLen))
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if aead.NonceSize() != a.SaltLen+a.ExplicitLen || aead.Overhead() != a.TagLen {
			t.Errorf("%s: nonce %d and tag %d, the table has %d+%d and %d", s.Name, aead.NonceSize(), aead.Overhead(), a.SaltLen, a.ExplicitLen, a.TagLen)
		}
		if s.Version.Is13() && (a.NewMask == nil || a.ExplicitLen != 0) {
			t.Errorf("%s: 1.3 needs a mask and has no explicit nonce", s.Name)
		}
	}
	if ByID(0x0a0a) != nil || ByName("TLS_NULL_WITH_NULL_NULL") != nil {
		t.Error("an unknown suite was found")
	}
}

func checkCBC(t *testing.T, s *Suite) {
	block, err := s.CBC.New(make([]byte, s.CBC.KeyLen))
	if err != nil || block.BlockSize() != aes.BlockSize || !s.CBC.MAC.Available() || s.CBC.MACLen() > 32 {
		t.Errorf("%s: %v, MAC %v", s.Name, err, s.CBC.MAC)
	}
	if s.Version != protocol.VersionTLS12 || s.Hash != crypto.SHA256 {
		t.Errorf("%s: %v with the PRF of %v", s.Name, s.Version, s.Hash) // RFC 5246 5
	}
}

// What every CCM suite is made of, by its name (RFC 6655 3 and 6, RFC 7251 2,
// RFC 8442 3); its tags of 8 bytes come after all others.
func TestCCMSuites(t *testing.T) {
	short := false
	for _, s := range Table {
		if s.Insecure() || s.Version.Is13() {
			continue
		}
		if s.AEAD.TagLen == 8 {
			short = true
		} else if short {
			t.Errorf("%s comes after one with a short tag", s.Name)
		}
	}
	for _, s := range Table {
		if !strings.Contains(s.Name, "CCM") {
			continue
		}
		keyLen, tagLen := 16, 16
		if strings.Contains(s.Name, "AES_256") {
			keyLen = 32
		}
		if strings.Contains(s.Name, "CCM_8") {
			tagLen = 8
		}
		if a := s.AEAD; a.KeyLen != keyLen || a.TagLen != tagLen || a.SaltLen+a.ExplicitLen != 12 || (a.ExplicitLen == 8) == s.Version.Is13() {
			t.Errorf("%s: key %d, tag %d, nonce %d+%d", s.Name, a.KeyLen, a.TagLen, a.SaltLen, a.ExplicitLen)
		}
		if s.Hash != crypto.SHA256 || s.Auth == ECDSA != strings.Contains(s.Name, "ECDSA") {
			t.Errorf("%s: %v, authentication %d", s.Name, s.Hash, s.Auth)
		}
	}
}

// RFC 9846 5.5, RFC 9147 4.5.3 and B.
//
// RFC 9147 4.5.3 [7]
func TestLimits(t *testing.T) {
	const forgeries = 1 << 36
	records := uint64(math.Pow(2, 24.5))
	blocks := uint64(math.Pow(2, 34.5))
	ccmForgeries := uint64(math.Pow(2, 23.5))
	for _, c := range []struct {
		id                         uint16
		records, blocks, integrity uint64
	}{
		{TLS_AES_128_CCM_SHA256, 1 << 23, Unlimited, ccmForgeries},
		{TLS_AES_128_CCM_8_SHA256, 1 << 23, Unlimited, 1 << 7},
		{TLS_ECDHE_ECDSA_WITH_AES_128_CCM, Unlimited, 1 << 33, ccmForgeries},
		{TLS_PSK_WITH_AES_256_CCM_8, Unlimited, 1 << 33, ccmForgeries},
		{TLS_AES_128_GCM_SHA256, records, Unlimited, forgeries},
		{TLS_AES_256_GCM_SHA384, records, Unlimited, forgeries},
		{TLS_CHACHA20_POLY1305_SHA256, Unlimited, Unlimited, forgeries},
		{TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, Unlimited, blocks, forgeries},
		{TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, Unlimited, blocks, forgeries},
		{TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, Unlimited, Unlimited, forgeries},
	} {
		a := ByID(c.id).AEAD
		if a.ConfidentialityRecords != c.records || a.ConfidentialityBlocks != c.blocks || a.Integrity != c.integrity {
			t.Errorf("%s: limits of %d records, %d blocks, %d forgeries", ByID(c.id).Name, a.ConfidentialityRecords, a.ConfidentialityBlocks, a.Integrity)
		}
	}
}

// RFC 9001 A.5: QUIC makes masks in the same way (RFC 9001 5.4.4), but uses
// only their first 5 bytes.
func TestChaCha20Mask(t *testing.T) {
	key := unhex(t, "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4")
	fill, err := ByID(TLS_CHACHA20_POLY1305_SHA256).AEAD.NewMask(key)
	if err != nil {
		t.Fatal(err)
	}
	clear(key) // the mask has its own copy
	mask := bytes.Repeat([]byte{0xff}, SampleLen)
	fill(mask, unhex(t, "5e5cd55c41f69080575d7999c25a5bfb"))
	if want := unhex(t, "aefefe7d03"); !bytes.Equal(mask[:5], want) {
		t.Errorf("got %x, want %x", mask[:5], want)
	}
}

// RFC 9001 A.2 has a mask made by AES-128.
func TestAESMask(t *testing.T) {
	key := unhex(t, "9f50449e04a0e810283a1e9933adedd2")
	sample := unhex(t, "d1b1c98dd7689fb8ec11d242b123dc9b")
	fill, err := ByID(TLS_AES_128_GCM_SHA256).AEAD.NewMask(key)
	if err != nil {
		t.Fatal(err)
	}
	mask := make([]byte, SampleLen)
	fill(mask, sample)
	if want := unhex(t, "437b9aec36"); !bytes.Equal(mask[:5], want) {
		t.Errorf("got %x, want %x", mask[:5], want)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, SampleLen)
	block.Encrypt(want, sample)
	if !bytes.Equal(mask, want) {
		t.Errorf("got %x, want %x", mask, want)
	}
}

func TestKeysOfWrongLength(t *testing.T) {
	for _, a := range []*AEAD{aes128GCM, aes256GCM, chacha20Poly1305, aes128CCM} {
		short := make([]byte, a.KeyLen-1)
		if _, err := a.New(short); err == nil {
			t.Errorf("New accepts a key of %d bytes", len(short))
		}
		if _, err := a.NewMask(short); err == nil {
			t.Errorf("NewMask accepts a key of %d bytes", len(short))
		}
	}
}
