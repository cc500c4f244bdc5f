// Package suite holds the cipher suites and the groups of the key exchange, as
// tables: the rest of the library asks a row what it needs and never compares
// an ID. Supporting another suite is a line here, and a record protection
// where its AEAD is new.
//
// Packages below shared carry no compatibility promise of their own.
package suite

import (
	"crypto"
	_ "crypto/sha256" // for Suite.Hash
	_ "crypto/sha512"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// The cipher suites by their IANA names and numbers.
const (
	TLS_AES_128_GCM_SHA256       uint16 = 0x1301 // RFC 9846 B.4
	TLS_AES_256_GCM_SHA384       uint16 = 0x1302
	TLS_CHACHA20_POLY1305_SHA256 uint16 = 0x1303
	TLS_AES_128_CCM_SHA256       uint16 = 0x1304
	TLS_AES_128_CCM_8_SHA256     uint16 = 0x1305

	TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       uint16 = 0xc02b // RFC 5289 3.2
	TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384       uint16 = 0xc02c
	TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256         uint16 = 0xc02f
	TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384         uint16 = 0xc030
	TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   uint16 = 0xcca8 // RFC 7905 2
	TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 uint16 = 0xcca9
	TLS_ECDHE_ECDSA_WITH_AES_128_CCM              uint16 = 0xc0ac // RFC 7251 2
	TLS_ECDHE_ECDSA_WITH_AES_256_CCM              uint16 = 0xc0ad
	TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8            uint16 = 0xc0ae
	TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8            uint16 = 0xc0af

	TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA    uint16 = 0xc009 // RFC 8422 6
	TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA    uint16 = 0xc00a
	TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA      uint16 = 0xc013
	TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA      uint16 = 0xc014
	TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 uint16 = 0xc023 // RFC 5289 3.1
	TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256   uint16 = 0xc027

	TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256       uint16 = 0xd001 // RFC 8442 3
	TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384       uint16 = 0xd002
	TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256 uint16 = 0xccac // RFC 7905 2
	TLS_PSK_WITH_AES_128_GCM_SHA256             uint16 = 0x00a8 // RFC 5487 2
	TLS_PSK_WITH_AES_256_GCM_SHA384             uint16 = 0x00a9
	TLS_PSK_WITH_CHACHA20_POLY1305_SHA256       uint16 = 0xccab
	TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256     uint16 = 0xd003 // RFC 8442 3
	TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256       uint16 = 0xd005
	TLS_PSK_WITH_AES_128_CCM                    uint16 = 0xc0a4 // RFC 6655 4
	TLS_PSK_WITH_AES_256_CCM                    uint16 = 0xc0a5
	TLS_PSK_WITH_AES_128_CCM_8                  uint16 = 0xc0a8
	TLS_PSK_WITH_AES_256_CCM_8                  uint16 = 0xc0a9

	TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA uint16 = 0xc035 // RFC 5489 4
	TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA uint16 = 0xc036
	TLS_PSK_WITH_AES_128_CBC_SHA       uint16 = 0x008c // RFC 4279 7
	TLS_PSK_WITH_AES_256_CBC_SHA       uint16 = 0x008d

	TLS_RSA_WITH_AES_128_GCM_SHA256 uint16 = 0x009c // RFC 5288 3
	TLS_RSA_WITH_AES_256_GCM_SHA384 uint16 = 0x009d
	TLS_RSA_WITH_AES_128_CBC_SHA    uint16 = 0x002f // RFC 5246 A.5
	TLS_RSA_WITH_AES_256_CBC_SHA    uint16 = 0x0035
)

// A Suite is one row of the table. It is never modified.
type Suite struct {
	ID       uint16
	Name     string           // IANA's
	Version  protocol.Version // VersionTLS13 or VersionTLS12, over both transports
	Hash     crypto.Hash      // of the PRF or HKDF, and of the transcript: SHA-256 where the name has SHA or none (RFC 5246 5)
	Exchange Exchange
	Auth     Auth
	AEAD     *AEAD // how it protects records; nil for a suite of CBC
	CBC      *CBC
}

// Insecure reports whether a suite is used only where its name is asked for. In
// 1.3 it is the one with a short tag too, which DTLS must not use just so
// (RFC 9147 4.5.3). In 1.2 it is what devices have (RFC 7925 4.2 to 4.4), many of
// them nothing else, and hence on, and last.
//
// RFC 9147 4.5.3 [6]
func (s *Suite) Insecure() bool {
	return s.CBC != nil || s.Exchange == KeyTransport || s.Version.Is13() && s.AEAD.TagLen < 16
}

// ChaCha20 reports whether a suite is fast without help of the hardware.
func (s *Suite) ChaCha20() bool { return s.AEAD == chacha20Poly1305 }

// Lengths are how many bytes the MAC key, the key and the IV of one direction
// have.
func (s *Suite) Lengths() (mac, key, iv int) {
	if s.CBC != nil {
		return s.CBC.MACLen(), s.CBC.KeyLen, 0
	}
	return 0, s.AEAD.KeyLen, s.AEAD.SaltLen
}

// An Exchange is how a suite agrees on a secret.
type Exchange uint8

const (
	Any          Exchange = iota // 1.3: negotiated by extensions, apart from the suite
	ECDHE                        // 1.2: RFC 8422
	NoExchange                   // 1.2: the pre-shared key alone, without forward secrecy (RFC 4279 2)
	KeyTransport                 // 1.2: the client encrypts the secret to the server's RSA key, without forward secrecy (RFC 5246 7.4.7.1)
)

// An Auth is what the server of a suite authenticates with.
type Auth uint8

const (
	AnyAuth Auth = iota // 1.3: negotiated by extensions, apart from the suite
	ECDSA               // 1.2: certificates with keys for ECDSA and Ed25519 (RFC 8422 2.2)
	RSA                 // 1.2: certificates with keys for RSA, PSS or PKCS #1
	PSK                 // 1.2: a pre-shared key (RFC 4279)
)

// Table lists all suites in order of preference, those with tags of 8 bytes after
// all others and the insecure ones last. The order is fixed: a CPU without AES
// instructions does ChaCha20 faster, but the best choice depends on the slower of
// two peers. A client that is the slower one says so by its own order, which
// servers heed.
//
// RFC 6347 4.1.2.2 [1]; RFC 9846 9.1 [1], E.5 [1, 2, 3]
var Table = []*Suite{
	{TLS_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256", protocol.VersionTLS13, crypto.SHA256, Any, AnyAuth, aes128GCM, nil},
	{TLS_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384", protocol.VersionTLS13, crypto.SHA384, Any, AnyAuth, aes256GCM, nil},
	{TLS_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256", protocol.VersionTLS13, crypto.SHA256, Any, AnyAuth, chacha20Poly1305, nil},
	{TLS_AES_128_CCM_SHA256, "TLS_AES_128_CCM_SHA256", protocol.VersionTLS13, crypto.SHA256, Any, AnyAuth, aes128CCM, nil},

	{TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, ECDSA, aes128GCM12, nil},
	{TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, RSA, aes128GCM12, nil},
	{TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", protocol.VersionTLS12, crypto.SHA384, ECDHE, ECDSA, aes256GCM12, nil},
	{TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", protocol.VersionTLS12, crypto.SHA384, ECDHE, RSA, aes256GCM12, nil},
	{TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, ECDSA, chacha20Poly1305, nil},
	{TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, RSA, chacha20Poly1305, nil},
	{TLS_ECDHE_ECDSA_WITH_AES_128_CCM, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", protocol.VersionTLS12, crypto.SHA256, ECDHE, ECDSA, aes128CCM12, nil},
	{TLS_ECDHE_ECDSA_WITH_AES_256_CCM, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM", protocol.VersionTLS12, crypto.SHA256, ECDHE, ECDSA, aes256CCM12, nil},

	{TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256, "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, PSK, aes128GCM12, nil},
	{TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384, "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384", protocol.VersionTLS12, crypto.SHA384, ECDHE, PSK, aes256GCM12, nil},
	{TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, PSK, chacha20Poly1305, nil},
	{TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256, "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, PSK, aes128CCM12, nil},
	{TLS_PSK_WITH_AES_128_GCM_SHA256, "TLS_PSK_WITH_AES_128_GCM_SHA256", protocol.VersionTLS12, crypto.SHA256, NoExchange, PSK, aes128GCM12, nil},
	{TLS_PSK_WITH_AES_256_GCM_SHA384, "TLS_PSK_WITH_AES_256_GCM_SHA384", protocol.VersionTLS12, crypto.SHA384, NoExchange, PSK, aes256GCM12, nil},
	{TLS_PSK_WITH_CHACHA20_POLY1305_SHA256, "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", protocol.VersionTLS12, crypto.SHA256, NoExchange, PSK, chacha20Poly1305, nil},
	{TLS_PSK_WITH_AES_128_CCM, "TLS_PSK_WITH_AES_128_CCM", protocol.VersionTLS12, crypto.SHA256, NoExchange, PSK, aes128CCM12, nil},
	{TLS_PSK_WITH_AES_256_CCM, "TLS_PSK_WITH_AES_256_CCM", protocol.VersionTLS12, crypto.SHA256, NoExchange, PSK, aes256CCM12, nil},

	{TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", protocol.VersionTLS12, crypto.SHA256, ECDHE, ECDSA, aes128ShortCCM12, nil},
	{TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", protocol.VersionTLS12, crypto.SHA256, ECDHE, ECDSA, aes256ShortCCM12, nil},
	{TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256, "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, PSK, aes128ShortCCM12, nil},
	{TLS_PSK_WITH_AES_128_CCM_8, "TLS_PSK_WITH_AES_128_CCM_8", protocol.VersionTLS12, crypto.SHA256, NoExchange, PSK, aes128ShortCCM12, nil},
	{TLS_PSK_WITH_AES_256_CCM_8, "TLS_PSK_WITH_AES_256_CCM_8", protocol.VersionTLS12, crypto.SHA256, NoExchange, PSK, aes256ShortCCM12, nil},

	{TLS_AES_128_CCM_8_SHA256, "TLS_AES_128_CCM_8_SHA256", protocol.VersionTLS13, crypto.SHA256, Any, AnyAuth, aes128ShortCCM, nil},

	{TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, ECDSA, nil, aes128CBCSHA256},
	{TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", protocol.VersionTLS12, crypto.SHA256, ECDHE, RSA, nil, aes128CBCSHA256},
	{TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, ECDHE, ECDSA, nil, aes128CBCSHA},
	{TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, ECDHE, RSA, nil, aes128CBCSHA},
	{TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, ECDHE, ECDSA, nil, aes256CBCSHA},
	{TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, ECDHE, RSA, nil, aes256CBCSHA},

	{TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, ECDHE, PSK, nil, aes128CBCSHA},
	{TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA, "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, ECDHE, PSK, nil, aes256CBCSHA},
	{TLS_PSK_WITH_AES_128_CBC_SHA, "TLS_PSK_WITH_AES_128_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, NoExchange, PSK, nil, aes128CBCSHA},
	{TLS_PSK_WITH_AES_256_CBC_SHA, "TLS_PSK_WITH_AES_256_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, NoExchange, PSK, nil, aes256CBCSHA},

	{TLS_RSA_WITH_AES_128_GCM_SHA256, "TLS_RSA_WITH_AES_128_GCM_SHA256", protocol.VersionTLS12, crypto.SHA256, KeyTransport, RSA, aes128GCM12, nil},
	{TLS_RSA_WITH_AES_256_GCM_SHA384, "TLS_RSA_WITH_AES_256_GCM_SHA384", protocol.VersionTLS12, crypto.SHA384, KeyTransport, RSA, aes256GCM12, nil},
	{TLS_RSA_WITH_AES_128_CBC_SHA, "TLS_RSA_WITH_AES_128_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, KeyTransport, RSA, nil, aes128CBCSHA},
	{TLS_RSA_WITH_AES_256_CBC_SHA, "TLS_RSA_WITH_AES_256_CBC_SHA", protocol.VersionTLS12, crypto.SHA256, KeyTransport, RSA, nil, aes256CBCSHA},
}

// ByID returns the suite with this number, or nil.
func ByID(id uint16) *Suite {
	for _, s := range Table {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// ByName returns the suite with this IANA name, or nil.
func ByName(name string) *Suite {
	for _, s := range Table {
		if s.Name == name {
			return s
		}
	}
	return nil
}
