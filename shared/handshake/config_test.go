package handshake

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
)

// ofDatagrams are the fields that TLS ignores.
var ofDatagrams = map[string]bool{"MTU": true, "StoreKey": true, "StoreBlock": true}

// noStore is a Store that is never asked.
type noStore struct{ Store }

// TestValidate: each field that can't be used is named.
//
// RFC 9846 4.5.1 [14], C.5 [1], E.5 [4]
func TestValidate(t *testing.T) {
	good := testPKI().leaf[p256]
	for _, c := range []struct {
		field  string // empty: valid
		role   Role
		change func(*Config)
	}{
		{"", Client, func(*Config) {}},
		{"", Server, func(*Config) {}},
		{"MinVersion", Client, func(c *Config) { c.MinVersion = tls.VersionTLS11 }},
		{"MaxVersion", Client, func(c *Config) { c.MaxVersion = tls.VersionTLS10 }},
		{"MaxVersion", Server, func(c *Config) { c.MaxVersion = 0xfeff }},
		{"MinVersion", Server, func(c *Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS13, tls.VersionTLS12 }},
		{"MinVersion", Server, func(c *Config) { c.MinVersion, c.MaxVersion = 0xfefc, 0xfefd }},
		{"", Server, func(c *Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, 0xfefc }},
		{"CipherSuites", Client, func(c *Config) { c.CipherSuites = []uint16{0x1301, 0x000a} }},
		{"CurvePreferences", Client, func(c *Config) { c.CurvePreferences = []tls.CurveID{x25519, 0x2a2a} }},
		{"CurvePreferences", Client, func(c *Config) { c.MaxVersion, c.CurvePreferences = tls.VersionTLS12, []tls.CurveID{pq} }},
		{"", Client, func(c *Config) { c.CurvePreferences = []tls.CurveID{pq, pq} }},
		{"", Client, func(c *Config) { c.CurvePreferences = []tls.CurveID{} }},
		{"NextProtos", Client, func(c *Config) { c.NextProtos = []string{"a", ""} }},
		{"NextProtos", Server, func(c *Config) { c.NextProtos = []string{strings.Repeat("a", 256)} }},
		{"", Server, func(c *Config) { c.NextProtos = []string{strings.Repeat("a", 255)} }},
		{"NextProtos", Server, func(c *Config) {
			for range 100 {
				c.NextProtos = append(c.NextProtos, strings.Repeat("a", 255))
			}
		}},
		{"SessionTickets", Server, func(c *Config) { c.SessionTickets = 256 }},
		{"SessionTickets", Server, func(c *Config) { c.SessionTickets = -1 }},
		{"WrapSession", Server, func(c *Config) {
			c.WrapSession = func(ConnectionState, *session.State) ([]byte, error) { return nil, nil }
		}},
		{"CertificateCompression", Client, func(c *Config) { c.CertificateCompression = make([]CertificateCompressor, 128) }},
		{"Certificates", Server, func(c *Config) { c.Certificates = nil }},
		{"", Server, func(c *Config) {
			c.Certificates, c.GetCertificate = nil, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
		}},
		{"", Server, func(c *Config) {
			c.Certificates, c.GetConfigForClient = nil, func(*tls.ClientHelloInfo) (*Config, error) { return nil, nil }
		}},
		{"Certificates", Server, func(c *Config) { c.Certificates = []tls.Certificate{good, {}} }},
		{"Certificates", Server, func(c *Config) { c.Certificates = []tls.Certificate{{PrivateKey: good.PrivateKey}} }},
		{"Certificates", Client, func(c *Config) { c.Certificates = []tls.Certificate{{Certificate: good.Certificate}} }},
		{"Certificates", Client, func(c *Config) {
			bad := good
			bad.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.Ed25519}
			c.Certificates = []tls.Certificate{bad}
		}},
		{"", Server, func(c *Config) { c.Certificates, c.Credentials = nil, []Credential{{Certificate: &good}} }},
		{"Credentials", Client, func(c *Config) { c.Credentials = []Credential{{Certificate: &good}, {}} }},
		{"Credentials", Client, func(c *Config) { c.Credentials = []Credential{{Certificate: &tls.Certificate{}}} }},
		{"Credentials", Server, func(c *Config) {
			c.Credentials = []Credential{{Certificate: &good, SignatureSchemes: []tls.SignatureScheme{tls.Ed25519}}}
		}},
		{"CertificateAuthorities", Client, func(c *Config) { c.CertificateAuthorities = [][]byte{{1}, {}} }},
		{"CertificateAuthorities", Server, func(c *Config) { c.CertificateAuthorities = [][]byte{make([]byte, 1<<14)} }},
		{"", Server, func(c *Config) { c.CertificateAuthorities = [][]byte{} }},
		{"EqualCurves", Server, func(c *Config) { c.EqualCurves = [][]tls.CurveID{{x25519, 0x2a2a}} }},
		{"PeerSignatureSchemes", Client, func(c *Config) { c.PeerSignatureSchemes = []tls.SignatureScheme{} }},
		{"PeerSignatureSchemes", Server, func(c *Config) { c.PeerSignatureSchemes = []tls.SignatureScheme{tls.ECDSAWithSHA1, tls.PKCS1WithSHA1} }},
		{"", Server, func(c *Config) { c.PeerSignatureSchemes = []tls.SignatureScheme{0x2a2a, tls.PKCS1WithSHA256} }},
		{"ServerName", Client, func(c *Config) { c.ServerName = "" }},
		{"MaxEarlyData", Server, func(c *Config) { c.MaxEarlyData = -1 }},
		{"MaxEarlyData", Client, func(c *Config) { c.MaxEarlyData = 1<<30 + 1 }},
		{"AntiReplay", Server, func(c *Config) { c.EarlyData, c.TicketKeys = true, [][32]byte{{1}} }},
		{"", Client, func(c *Config) { c.EarlyData, c.TicketKeys = true, [][32]byte{{1}} }},
		{"AntiReplay", Server, func(c *Config) { c.SingleUseTickets, c.TicketKeys = true, [][32]byte{{1}} }},
		{"", Server, func(c *Config) { c.SingleUseTickets = true }},
		{"", Server, func(c *Config) {
			c.SingleUseTickets, c.TicketKeys, c.AntiReplay = true, [][32]byte{{1}}, session.NewReplayRegister(0, time.Time{})
		}},
		{"", Server, func(c *Config) {
			c.EarlyData, c.TicketKeys, c.AntiReplay = true, [][32]byte{{1}}, session.NewReplayRegister(0, time.Time{})
		}},
		{"", Client, func(c *Config) { c.ServerName, c.InsecureSkipVerify = "", true }},
		{"", Server, func(c *Config) { c.ServerName = "" }},
		{"ServerName", Client, func(c *Config) { c.ServerName = strings.Repeat("a", 256) }},
		{"ServerName", Client, func(c *Config) { c.ServerName = "gödel.example" }},
		{"ServerName", Client, func(c *Config) { c.ServerName = "a b" }},
		{"ClientAuth", Server, func(c *Config) { c.ClientAuth = tls.RequireAndVerifyClientCert + 1 }},
		{"ClientAuth", Server, func(c *Config) { c.ClientAuth = -1 }},
		{"MTU", Client, func(c *Config) { c.MTU = MinMTU - 1 }},
		{"MTU", Client, func(c *Config) { c.MTU = 65508 }},
		{"MTU", Client, func(c *Config) { c.MTU = -1 }},
		{"", Client, func(c *Config) { c.MTU = MinMTU }},
		{"StoreKey", Client, func(c *Config) { c.StoreKey = make([]byte, 32) }},
		{"StoreKey", Server, func(c *Config) { c.Store, c.StoreKey = noStore{}, make([]byte, 31) }},
		{"StoreBlock", Server, func(c *Config) { c.StoreBlock = 15 }},
		{"StoreBlock", Client, func(c *Config) { c.StoreBlock = 4097 }},
		{"StoreBlock", Client, func(c *Config) { c.StoreBlock, c.ShortRecordHeaders = 65, true }},
		{"", Server, func(c *Config) { c.Store, c.StoreKey, c.StoreBlock = noStore{}, make([]byte, 32), 16 }},
		{"InitialTimeout", Client, func(c *Config) { c.InitialTimeout = -time.Second }},
		{"SplitHellos", Server, func(c *Config) { c.SplitHellos = -1 }},
		{"SplitHellos", Server, func(c *Config) { c.SplitHellos = 1<<16 + 1 }},
		{"MaxSplitHello", Server, func(c *Config) { c.MaxSplitHello = -1 }},
		{"MaxSplitHello", Server, func(c *Config) { c.MaxSplitHello = 1<<16 + 1 }},
		{"", Server, func(c *Config) { c.SplitHellos, c.MaxSplitHello = 1, 1<<16 }},
		{"MaxHandshakes", Server, func(c *Config) { c.MaxHandshakes = -1 }},
		{"MaxHandshakes", Server, func(c *Config) { c.MaxHandshakes = 1<<20 + 1 }},
		{"MaxFragmentLength", Client, func(c *Config) { c.MaxFragmentLength = 256 }},
		{"MaxFragmentLength", Client, func(c *Config) { c.MaxFragmentLength = 513 }},
		{"MaxFragmentLength", Client, func(c *Config) { c.MaxFragmentLength = 8192 }},
		{"MaxFragmentLength", Client, func(c *Config) { c.MaxFragmentLength = -512 }},
		{"", Client, func(c *Config) { c.MaxFragmentLength = 4096 }},
		{"", Server, func(c *Config) { c.MaxFragmentLength = 1 }},
		{"RecordSizeLimit", Client, func(c *Config) { c.RecordSizeLimit = 63 }},
		{"RecordSizeLimit", Server, func(c *Config) { c.RecordSizeLimit = -1 }},
		{"RecordSizeLimit", Server, func(c *Config) { c.RecordSizeLimit = 1<<14 + 2 }},
		{"RecordSizeLimit", Client, func(c *Config) { c.MaxVersion, c.RecordSizeLimit = tls.VersionTLS12, 1<<14+1 }},
		{"", Client, func(c *Config) { c.RecordSizeLimit = 1<<14 + 1 }},
		{"", Server, func(c *Config) { c.RecordSizeLimit = 64 }},
	} {
		config := &Config{ServerName: testName, Certificates: []tls.Certificate{good}}
		c.change(config)
		err := config.Validate(c.role, protocol.Datagram)
		bad, ok := errors.AsType[*ConfigError](err)
		switch {
		case c.field == "" && err != nil:
			t.Error(err)
		case c.field != "" && (!ok || bad.Field != c.field || !strings.HasPrefix(err.Error(), "Config."+c.field+": ")):
			t.Errorf("%v, expected %s to be named", err, c.field)
		}
		if err := config.Validate(c.role, protocol.Stream); (err != nil) != (c.field != "" && !ofDatagrams[c.field]) {
			t.Errorf("%s over a stream: %v", c.field, err)
		}
	}
}

// Short record headers tell 64 record numbers apart at most, where Config doesn't say.
func TestReservedBlock(t *testing.T) {
	for want, c := range map[int]*Config{
		DefaultStoreBlock: {},
		shortStoreBlock:   {ShortRecordHeaders: true},
		100:               {StoreBlock: 100, ShortRecordHeaders: true},
	} {
		if got := c.ReservedBlock(); got != want {
			t.Errorf("%d, expected %d", got, want)
		}
	}
}

// TestEnabled: numbers of either transport mean the same.
//
// RFC 9846 4.3.1 [5]
func TestEnabled(t *testing.T) {
	for _, c := range []struct {
		min, max uint16
		v12, v13 bool
	}{
		{0, 0, true, true},
		{tls.VersionTLS13, 0, false, true}, {0xfefc, 0, false, true},
		{0, tls.VersionTLS12, true, false}, {0, 0xfefd, true, false},
		{0xfefd, tls.VersionTLS13, true, true},
	} {
		config := &Config{MinVersion: c.min, MaxVersion: c.max}
		for _, transport := range []protocol.Transport{protocol.Stream, protocol.Datagram} {
			if config.Enabled(protocol.VersionTLS12.Over(transport)) != c.v12 || config.Enabled(protocol.VersionTLS13.Over(transport)) != c.v13 {
				t.Errorf("%#x to %#x", c.min, c.max)
			}
		}
		for _, v := range []protocol.Version{protocol.VersionTLS11, protocol.VersionDTLS10, 0x0305} {
			if config.Enabled(v) {
				t.Errorf("%v is enabled", v)
			}
		}
	}
}
