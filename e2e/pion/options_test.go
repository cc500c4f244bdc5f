package dtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/elliptic"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// ownSuite is a suite of the application's own.
type ownSuite struct{}

func (ownSuite) String() string         { return "own" }
func (ownSuite) ID() dtls.CipherSuiteID { return 0xff42 }

// What can't be done, or says nothing, is an error that names it.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		option dtls.ClientOption
		names  string
	}{
		{dtls.WithCertificates(), "WithCertificates"},
		{dtls.WithCipherSuites(), "WithCipherSuites"},
		{dtls.WithCipherSuites(0x00ae), "CipherSuites"},
		{dtls.WithEllipticCurves(), "WithEllipticCurves"},
		{dtls.WithEllipticCurves(elliptic.Curve(9)), "CurvePreferences"},
		{dtls.WithSignatureSchemes(), "WithSignatureSchemes"},
		{dtls.WithCertificateSignatureSchemes(tls.Ed25519), "CertificateSignatureSchemes"},
		{dtls.WithSRTPProtectionProfiles(), "WithSRTPProtectionProfiles"},
		{dtls.WithSupportedProtocols(), "WithSupportedProtocols"},
		{dtls.WithExtendedMasterSecret(9), "WithExtendedMasterSecret"},
		{dtls.WithFlightInterval(0), "WithFlightInterval"},
		{dtls.WithMTU(0), "WithMTU"},
		{dtls.WithMTU(100), "MTU"},
		{dtls.WithReplayProtectionWindow(-1), "WithReplayProtectionWindow"},
		{dtls.WithPSK(nil), "WithPSK"},
		{dtls.WithPSK(func([]byte) ([]byte, error) { return key, nil }), "PSKIdentityHint"},
		{dtls.WithPSKIdentityHint([]byte("curlew")), "PSKIdentityHint"},
		{dtls.WithVerifyConnection(nil), "WithVerifyConnection"},
		{dtls.WithVerifyPeerCertificate(nil), "WithVerifyPeerCertificate"},
		{dtls.WithGetClientCertificate(nil), "WithGetClientCertificate"},
		{dtls.WithConnectionIDGenerator(nil), "WithConnectionIDGenerator"},
		{dtls.WithCustomCipherSuites(func() []dtls.CipherSuite { return []dtls.CipherSuite{ownSuite{}} }), "CustomCipherSuites"},
		{dtls.WithDisableRetransmitBackoff(true), "DisableRetransmitBackoff"},
		{dtls.WithPaddingLengthGenerator(func(uint) uint { return 1 }), "PaddingLengthGenerator"},
		{dtls.WithHelloRandomBytesGenerator(nil), "WithHelloRandomBytesGenerator"},
		{dtls.WithClientHelloMessageHook(nil), "WithClientHelloMessageHook"},
	} {
		a, _ := link()
		_, err := dtls.ClientWithOptions(a, address, c.option)
		if fatal := (*dtls.FatalError)(nil); !errors.As(err, &fatal) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v", c.names, err)
		}
	}
	for _, option := range []dtls.ClientOption{
		dtls.WithDisableRetransmitBackoff(false),
		dtls.WithReplayProtectionWindow(1),
		dtls.WithCustomCipherSuites(func() []dtls.CipherSuite { return nil }),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_NULL_HMAC_SHA1_32),
		dtls.WithRootCAs(nil),
	} {
		a, _ := link()
		if _, err := dtls.ClientWithOptions(a, address, option); err != nil {
			t.Error(err)
		}
	}
	_, b := link()
	if _, err := dtls.ServerWithOptions(b, address); !strings.Contains(err.Error(), "Certificates") {
		t.Error("a server without anything to show:", err)
	}
	if _, err := dtls.Client(b, address, nil); err == nil {
		t.Error("a client without a Config")
	}
	if _, err := dtls.Listen("udp4", loopback, nil); err == nil {
		t.Error("a listener without a Config")
	}
}

// Without a name the server's address is its name; with a callback that verifies,
// its roots count alone.
func TestServerName(t *testing.T) {
	named, err := selfsign.GenerateSelfSignedWithDNS("marsh.example")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(named.Leaf)
	var verified int
	for name, c := range map[string]struct {
		options []dtls.ClientOption
		want    string // in the error; empty: none
	}{
		"its name":         {[]dtls.ClientOption{dtls.WithRootCAs(roots), dtls.WithServerName("marsh.example")}, ""},
		"another name":     {[]dtls.ClientOption{dtls.WithRootCAs(roots), dtls.WithServerName("moor.example")}, "moor.example"},
		"its address":      {[]dtls.ClientOption{dtls.WithRootCAs(roots)}, "192.0.2.1"},
		"no root":          {[]dtls.ClientOption{dtls.WithRootCAs(x509.NewCertPool()), dtls.WithServerName("marsh.example")}, "unknown authority"},
		"roots alone":      {[]dtls.ClientOption{dtls.WithRootCAs(roots), dtls.WithVerifyPeerCertificate(func(_ [][]byte, chains [][]*x509.Certificate) error { verified = len(chains); return nil })}, ""},
		"not those roots":  {[]dtls.ClientOption{dtls.WithRootCAs(x509.NewCertPool()), dtls.WithVerifyConnection(func(*dtls.State) error { return nil })}, "unknown authority"},
		"nothing verified": {[]dtls.ClientOption{dtls.WithInsecureSkipVerify(true)}, ""},
	} {
		bothVersions(t, func(t *testing.T, _ uint16, limit dtls.Option) {
			client, server := sides{both: []dtls.Option{limit}, client: c.options, server: []dtls.ServerOption{dtls.WithCertificates(named)}}.pair(t)
			clientErr, serverErr := shake(client, server)
			switch {
			case c.want == "" && (clientErr != nil || serverErr != nil):
				t.Errorf("%s: %v, %v", name, clientErr, serverErr)
			case c.want != "" && (clientErr == nil || !strings.Contains(clientErr.Error(), c.want)):
				t.Errorf("%s: %v", name, clientErr)
			}
		})
	}
	if verified != 1 {
		t.Error("VerifyPeerCertificate got no chain")
	}
}

// What a callback chooses is what is shown, and ClientAuth counts.
func TestCallbacks(t *testing.T) {
	bothVersions(t, func(t *testing.T, _ uint16, limit dtls.Option) {
		mine, yours := certificate(t), certificate(t)
		roots := x509.NewCertPool()
		roots.AddCert(yours.Leaf)
		s := sides{
			both:   []dtls.Option{limit},
			client: []dtls.ClientOption{dtls.WithInsecureSkipVerify(true), dtls.WithServerName("marsh.example")},
			server: []dtls.ServerOption{
				dtls.WithClientAuth(dtls.RequireAndVerifyClientCert), dtls.WithClientCAs(roots),
				dtls.WithGetCertificate(func(info *dtls.ClientHelloInfo) (*tls.Certificate, error) {
					if info.ServerName != "marsh.example" || !slices.Contains(info.CipherSuites, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256) {
						t.Errorf("%+v", info)
					}
					return &mine, nil
				}),
			},
		}
		client, server := s.pair(t)
		if _, err := shake(client, server); err == nil {
			t.Error("a client without certificate")
		}
		s.client = append(s.client, dtls.WithGetClientCertificate(func(info *dtls.CertificateRequestInfo) (*tls.Certificate, error) {
			if err := info.SupportsCertificate(&yours); err != nil || !slices.ContainsFunc(info.AcceptableCAs, func(ca []byte) bool { return string(ca) == string(yours.Leaf.RawSubject) }) {
				t.Error(err, info.AcceptableCAs)
			}
			return &yours, nil
		}))
		client, server = s.connected(t)
		if c := state(t, client); string(c.PeerCertificates[0]) != string(mine.Certificate[0]) {
			t.Error("not the certificate that GetCertificate chose")
		}
		if c := state(t, server); string(c.PeerCertificates[0]) != string(yours.Certificate[0]) {
			t.Error("not the certificate that GetClientCertificate chose")
		}
	})
}

// Schemes count for what is taken, and for what is signed.
func TestSignatureSchemes(t *testing.T) {
	s := sides{
		client: []dtls.ClientOption{dtls.WithInsecureSkipVerify(true)},
		server: []dtls.ServerOption{dtls.WithCertificates(certificate(t)), dtls.WithSignatureSchemes(tls.ECDSAWithP256AndSHA256)},
	}
	s.connected(t)
	s.client = append(s.client, dtls.WithSignatureSchemes(tls.Ed25519))
	client, server := s.pair(t)
	if c, err := shake(client, server); c == nil || err == nil {
		t.Error("a signature by another scheme", c, err)
	}
}

// The first timeout is a second, or what FlightInterval says.
func TestFlightInterval(t *testing.T) {
	for _, c := range []struct {
		options []dtls.ClientOption
		want    time.Duration
	}{
		{nil, time.Second},
		{[]dtls.ClientOption{dtls.WithFlightInterval(70 * time.Millisecond)}, 70 * time.Millisecond},
	} {
		var got time.Duration
		a, _ := link()
		options := append(c.options, dtls.WithGodwit(func(g *godwit.Config) { got = g.InitialTimeout }))
		if _, err := dtls.ClientWithOptions(a, address, options...); err != nil || got != c.want {
			t.Errorf("%v, %v, want %v", got, err, c.want)
		}
	}
}

// A missing extended_master_secret has to be allowed by name.
func TestExtendedMasterSecret(t *testing.T) {
	for ems, want := range map[dtls.ExtendedMasterSecretType]bool{
		dtls.RequestExtendedMasterSecret: false, dtls.RequireExtendedMasterSecret: false, dtls.DisableExtendedMasterSecret: true,
	} {
		var got bool
		a, _ := link()
		_, err := dtls.ClientWithOptions(a, address, dtls.WithExtendedMasterSecret(ems), dtls.WithGodwit(func(g *godwit.Config) { got = g.InsecureAllowMissingEMS }))
		if err != nil || got != want {
			t.Errorf("%v: %v, %v", ems, got, err)
		}
	}
}

func TestCipherSuiteName(t *testing.T) {
	for id, want := range map[dtls.CipherSuiteID]string{
		dtls.TLS_AES_128_GCM_SHA256:               "TLS_AES_128_GCM_SHA256",
		dtls.TLS_PSK_WITH_AES_128_CCM_8:           "TLS_PSK_WITH_AES_128_CCM_8",
		dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
		0xff42: "0xFF42",
	} {
		if got := dtls.CipherSuiteName(id); got != want || id.String() != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

var _ net.Conn = (*dtls.Conn)(nil)
