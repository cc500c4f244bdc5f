// Package peer runs the programs of an interop conversation, each as client
// and as server, and reads from their output what they saw: OpenSSL, GnuTLS,
// Go's crypto/tls, and godwit itself.
package peer

import (
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/pki"
)

// A Protocol is named as ConnectionState names it.
type Protocol string

const (
	DTLS10 Protocol = "DTLS 1.0"
	DTLS12 Protocol = "DTLS 1.2"
	DTLS13 Protocol = "DTLS 1.3"
	TLS11  Protocol = "TLS 1.1"
	TLS12  Protocol = "TLS 1.2"
	TLS13  Protocol = "TLS 1.3"
)

// Datagram says that p runs over UDP.
func (p Protocol) Datagram() bool { return strings.HasPrefix(string(p), "DTLS") }

// Number is the bare version, "1.2" or "1.3".
func (p Protocol) Number() string { return string(p[len(p)-3:]) }

// With returns p's transport with another version, "1.2" or "1.3".
func (p Protocol) With(number string) Protocol { return p[:len(p)-3] + Protocol(number) }

func (p Protocol) network() string {
	if p.Datagram() {
		return "udp"
	}
	return "tcp"
}

// Text is what every client sends and every server returns. The line end is
// for GnuTLS, which echoes lines.
const Text = "echo of a bar-tailed godwit\n"

// The key material that both sides export, where they can.
const (
	ExporterLabel  = "EXPORTER-godwit-interop"
	ExporterLength = 32
)

// Settings are what one side is told. Everything but Min, Max and a server's
// Leaf may be left out.
type Settings struct {
	Min, Max Protocol // of one transport
	Leaf     *pki.Leaf
	Root     string   // PEM file of the roots that the other side's chain must end in
	Name     string   // client: the server's name, sent and verified
	Verify   bool     // server: a client certificate is required, and verified
	Suites   []string // IANA names
	Groups   []string // RFC names
	ALPN     []string
	PSK      *PSK   // instead of certificates
	Staple   bool   // server: Leaf's goes to clients that ask; client: it asks
	Raw      bool   // GnuTLS, godwit: keys instead of certificates; godwit takes any
	MTU      int    // UDP payload
	Fragment int    // client: max_fragment_length; GnuTLS and OpenSSL, godwit
	Record   int    // GnuTLS, godwit: record_size_limit
	Mute     bool   // client: sends no Text, and waits for the server to end
	Listen   bool   // OpenSSL's server: cookies without state (DTLSv1_listen)
	NoEMS    bool   // GnuTLS: without extended_master_secret; godwit: that is allowed
	Update   bool   // godwit: new keys in both directions after the handshake
	Resume   bool   // client: it connects a second time and resumes; server: it serves both
	KeyLog   string // file for the secrets, in NSS's format
}

// A PSK is a pre-shared key that is used as it is, in both versions.
type PSK struct {
	Identity string
	Key      string // hex
	Hint     string // the server's, in 1.2
}

// A Report is what one side said about a conversation. A field is empty where
// the program doesn't print it. The JSON names are those of godwit's -json.
type Report struct {
	Version     string `json:"version"`
	Cipher      string `json:"cipher"` // IANA name
	Group       string `json:"group"`  // RFC name
	ALPN        string `json:"alpn"`
	ServerName  string `json:"server_name"`
	Fingerprint string `json:"peer_fingerprint"` // SHA-256 of the other side's leaf
	Staple      string `json:"ocsp_response"`    // the status that it tells: "good"
	PSKIdentity string `json:"psk_identity"`
	Exporter    string `json:"exporter"`

	MaxPlaintext int  `json:"max_plaintext"` // godwit: that the other side takes in one record
	Resumed      bool `json:"resumed"`

	Established bool     `json:"-"`
	Echoed      bool     `json:"-"` // client: Text came back; server: Text arrived
	Sent        string   `json:"-"` // the fatal alert that this side sent
	Received    string   `json:"-"` // the fatal alert that it received
	ExitStatus  int      `json:"-"` // godwit: 0 clean, 1 failed, 2 usage
	Complaints  []string `json:"-"` // godwit: the lines on standard error that say what failed
	Output      string   `json:"-"` // for the reader of a failed test
}

// A Peer is one implementation.
type Peer interface {
	Name() string
	Speaks(Protocol) bool
	// Certifies says that its server can use a kind of certificate.
	Certifies(Protocol, pki.Kind) bool
	// Serve starts a server for one connection; it is ready on return.
	Serve(testing.TB, Settings) Server
	// Connect starts a client that sends Text, waits for its echo and closes,
	// unless it is mute.
	Connect(t testing.TB, s Settings, address string) Conversation
}

// A Conversation is a side that is running.
type Conversation interface {
	// Report waits until the conversation has ended.
	Report() Report
}

// A Server is a Conversation that waits for its client.
type Server interface {
	Conversation
	Address() string
}

// All are the peers in the order of the tables, godwit last.
func All() []Peer { return []Peer{OpenSSL{}, GnuTLS{}, CryptoTLS{}, Godwit{}} }

// A suite and the names that the programs have for it.
type suite struct {
	iana    string
	openssl string
	gnutls  string // the cipher alone
}

var suites = []suite{
	{"TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", "AES-128-GCM"},
	{"TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384", "AES-256-GCM"},
	{"TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"},
	{"TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_SHA256", "AES-128-CCM"},
	{"TLS_AES_128_CCM_8_SHA256", "TLS_AES_128_CCM_8_SHA256", "AES-128-CCM-8"},
	{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "AES-128-GCM"},
	{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", "AES-256-GCM"},
	{"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "CHACHA20-POLY1305"},
	{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "AES-128-GCM"},
	{"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384", "AES-256-GCM"},
	{"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305", "CHACHA20-POLY1305"},
	{"TLS_PSK_WITH_AES_128_GCM_SHA256", "PSK-AES128-GCM-SHA256", "AES-128-GCM"},
	{"TLS_PSK_WITH_AES_256_GCM_SHA384", "PSK-AES256-GCM-SHA384", "AES-256-GCM"},
	{"TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", "PSK-CHACHA20-POLY1305", "CHACHA20-POLY1305"},
	{"TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-PSK-CHACHA20-POLY1305", "CHACHA20-POLY1305"},
	{"TLS_PSK_WITH_AES_128_CBC_SHA", "PSK-AES128-CBC-SHA", "AES-128-CBC"},
	{"TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA", "ECDHE-PSK-AES256-CBC-SHA", "AES-256-CBC"},
	{"TLS_PSK_WITH_AES_128_CCM", "PSK-AES128-CCM", "AES-128-CCM"},
	{"TLS_PSK_WITH_AES_256_CCM", "PSK-AES256-CCM", "AES-256-CCM"},
	{"TLS_PSK_WITH_AES_128_CCM_8", "PSK-AES128-CCM8", "AES-128-CCM-8"},
	{"TLS_PSK_WITH_AES_256_CCM_8", "PSK-AES256-CCM8", "AES-256-CCM-8"},
	{"TLS_ECDHE_ECDSA_WITH_AES_128_CCM", "ECDHE-ECDSA-AES128-CCM", "AES-128-CCM"},
	{"TLS_ECDHE_ECDSA_WITH_AES_256_CCM", "ECDHE-ECDSA-AES256-CCM", "AES-256-CCM"},
	{"TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", "ECDHE-ECDSA-AES128-CCM8", "AES-128-CCM-8"},
	{"TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", "ECDHE-ECDSA-AES256-CCM8", "AES-256-CCM-8"},
}

// PSKSuites are the IANA names of the suites that serve a protocol with a
// pre-shared key, at all peers. In 1.3 the key is for those with SHA-256.
func PSKSuites(p Protocol) []string {
	if p.Number() == "1.3" {
		return []string{suites[0].iana, suites[2].iana}
	}
	var names []string
	for _, s := range suites {
		if strings.Contains(s.iana, "_PSK_") {
			names = append(names, s.iana)
		}
	}
	return names
}

// connections is how many there are in a conversation.
func (s Settings) connections() int {
	if s.Resume {
		return 2
	}
	return 1
}

// Suites are the IANA names of the suites that serve a protocol with a kind of
// certificate, without those of CCM.
func Suites(p Protocol, kind pki.Kind) []string {
	prefix := "TLS_ECDHE_ECDSA_"
	switch {
	case p.Number() == "1.3":
		return []string{suites[0].iana, suites[1].iana, suites[2].iana}
	case kind == pki.RSA:
		prefix = "TLS_ECDHE_RSA_"
	}
	var names []string
	for _, s := range suites {
		if strings.HasPrefix(s.iana, prefix) && !strings.Contains(s.iana, "_CCM") {
			names = append(names, s.iana)
		}
	}
	return names
}

// CCMSuites are the IANA names of the suites of CCM that serve a protocol with an
// ECDSA certificate. crypto/tls has none of them, and nobody but godwit those of
// ECDHE_PSK.
func CCMSuites(p Protocol) []string {
	prefix := "TLS_ECDHE_ECDSA_"
	if p.Number() == "1.3" {
		prefix = "TLS_AES_"
	}
	var names []string
	for _, s := range suites {
		if strings.HasPrefix(s.iana, prefix) && strings.Contains(s.iana, "_CCM") {
			names = append(names, s.iana)
		}
	}
	return names
}

// names translates IANA names of suites.
func names(iana []string, to func(suite) string) []string {
	var out []string
	for _, s := range suites {
		if name := to(s); slices.Contains(iana, s.iana) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// A group and the names that the programs have for it.
type group struct {
	rfc     string
	openssl string
	gnutls  string
}

var groups = []group{
	{"x25519", "X25519", "X25519"},
	{"secp256r1", "prime256v1", "SECP256R1"},
	{"secp384r1", "secp384r1", "SECP384R1"},
	{"secp521r1", "secp521r1", "SECP521R1"},
}

// alerts are the numbers of the alerts that the tests meet (RFC 8446 6).
var alerts = map[int]string{
	20:  "bad_record_mac",
	40:  "handshake_failure",
	42:  "bad_certificate",
	45:  "certificate_expired",
	48:  "unknown_ca",
	49:  "access_denied",
	50:  "decode_error",
	70:  "protocol_version",
	80:  "internal_error",
	116: "certificate_required",
	120: "no_application_protocol",
}
