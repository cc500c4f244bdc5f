package dtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// outcome runs both handshakes and then a Read of the client, since in 1.3 it is
// done before the server has seen its certificate.
func outcome(c, s *dtls.Conn) (clientErr, serverErr error) {
	clientErr, serverErr = handshakes(c, s)
	if clientErr == nil && serverErr != nil {
		_, clientErr = c.Read(make([]byte, 10))
	}
	return clientErr, serverErr
}

// expectAlert checks an error of one side.
func expectAlert(t testing.TB, side string, err error, want alert.Alert, fault alert.Fault, received bool) {
	t.Helper()
	e, ok := errors.AsType[*dtls.Error](err)
	if !ok {
		t.Errorf("%s: %v, want %v", side, err, want)
		return
	}
	if e.Alert != want || e.Fault != fault || e.Received != received {
		t.Errorf("%s: %v, %v fault, received %v (%v), want %v, %v fault, received %v", side, e.Alert, e.Fault, e.Received, err, want, fault, received)
	}
	if !received && e.Err == nil {
		t.Errorf("%s: the error does not say why", side)
	}
}

// expectUnusable checks that nothing can be done with a failed Conn.
func expectUnusable(t testing.TB, side string, c *dtls.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Errorf("%s: read %d bytes", side, n)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Errorf("%s: written", side)
	}
	state := c.ConnectionState()
	if _, err := state.ExportKeyingMaterial("EXPORTER-test", nil, 16); err == nil || state.HandshakeComplete {
		t.Errorf("%s: exported, complete %v", side, state.HandshakeComplete)
	}
	if keys, err := c.SRTPKeys(); err == nil || keys.ClientMasterKey != nil || c.SRTPProfile() != 0 {
		t.Errorf("%s: keys for %v", side, c.SRTPProfile())
	}
	if _, err := c.Export(make([]byte, 32)); err == nil {
		t.Errorf("%s: the connection was written down", side)
	}
}

// A refusal is a handshake that one side ends with an alert.
type refusal struct {
	name   string
	change func(t *testing.T, client, server *dtls.Config)
	by     string // the side that sends the alert
	want   alert.Alert
	fault  alert.Fault // as that side sees it
	only   uint16      // a version, or 0
}

var refusals13and12 = []refusal{
	{"wrong CA", func(t *testing.T, client, _ *dtls.Config) { _, client.RootCAs = identity(t, "server.example") }, "client", alert.UnknownCA, alert.Peer, 0},
	{"wrong name", func(_ *testing.T, client, _ *dtls.Config) { client.ServerName = "other.example" }, "client", alert.BadCertificate, alert.Peer, 0},
	{"expired", func(_ *testing.T, client, _ *dtls.Config) {
		client.Time = func() time.Time { return time.Now().AddDate(1, 0, 0) }
	}, "client", alert.CertificateExpired, alert.Peer, 0},
	{"no common suite", func(_ *testing.T, client, server *dtls.Config) {
		client.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		server.CipherSuites = []uint16{tls.TLS_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	}, "server", alert.HandshakeFailure, alert.Peer, 0},
	{"no common version, server above", func(_ *testing.T, client, server *dtls.Config) {
		client.MinVersion, client.MaxVersion = 0, dtls.VersionDTLS12
		server.MinVersion, server.MaxVersion = dtls.VersionDTLS13, 0
	}, "server", alert.ProtocolVersion, alert.Peer, 0},
	{"no common version, client above", func(_ *testing.T, client, server *dtls.Config) {
		client.MinVersion, client.MaxVersion = dtls.VersionDTLS13, 0
		server.MinVersion, server.MaxVersion = 0, dtls.VersionDTLS12
	}, "server", alert.ProtocolVersion, alert.Peer, 0},
	{"no common ALPN", func(_ *testing.T, client, server *dtls.Config) {
		client.NextProtos, server.NextProtos = []string{"a"}, []string{"b"}
	}, "server", alert.NoApplicationProtocol, alert.Peer, 0},
	{"no client certificate", func(_ *testing.T, _, server *dtls.Config) { server.ClientAuth = tls.RequireAnyClientCert }, "server", alert.CertificateRequired, alert.Peer, dtls.VersionDTLS13},
	{"no client certificate", func(_ *testing.T, _, server *dtls.Config) { server.ClientAuth = tls.RequireAnyClientCert }, "server", alert.HandshakeFailure, alert.Peer, dtls.VersionDTLS12},
	{"unknown client", func(t *testing.T, client, server *dtls.Config) {
		mine, _ := identity(t, "client.example")
		client.Certificates = []tls.Certificate{mine}
		_, server.ClientCAs = identity(t, "another.example")
		server.ClientAuth = tls.RequireAndVerifyClientCert
	}, "server", alert.UnknownCA, alert.Peer, 0},
	{"the client's VerifyConnection", func(_ *testing.T, client, _ *dtls.Config) {
		client.VerifyConnection = func(dtls.ConnectionState) error { return errRefused }
	}, "client", alert.BadCertificate, alert.Local, 0},
	{"the server's VerifyPeerCertificate", func(t *testing.T, client, server *dtls.Config) {
		mine, _ := identity(t, "client.example")
		client.Certificates = []tls.Certificate{mine}
		server.ClientAuth = tls.RequestClientCert
		server.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errRefused }
	}, "server", alert.BadCertificate, alert.Local, 0},
	{"an alert of VerifyConnection", func(_ *testing.T, client, _ *dtls.Config) {
		client.VerifyConnection = func(dtls.ConnectionState) error {
			return fmt.Errorf("no: %w", &dtls.Error{Alert: alert.AccessDenied, Fault: alert.Peer, Err: errRefused})
		}
	}, "client", alert.AccessDenied, alert.Peer, 0},
}

var errRefused = errors.New("refused")

func (r refusal) configs(t *testing.T, version uint16) (client, server *dtls.Config) {
	client, server = configs(t, version)
	r.change(t, client, server)
	return client, server
}

func (r refusal) check(t *testing.T, clientErr, serverErr error) {
	t.Helper()
	if r.by == "client" {
		expectAlert(t, "client", clientErr, r.want, r.fault, false)
		expectAlert(t, "server", serverErr, r.want, alert.Peer, true)
	} else {
		expectAlert(t, "server", serverErr, r.want, r.fault, false)
		expectAlert(t, "client", clientErr, r.want, alert.Peer, true)
	}
}

func TestRefusals(t *testing.T) {
	for _, r := range refusals13and12 {
		t.Run(r.name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				if r.only != 0 && r.only != version {
					return
				}
				client, server := r.configs(t, version)
				c, s := ends(t, newLAN(), client, server)
				defer c.Close()
				defer s.Close()
				clientErr, serverErr := outcome(c, s)
				r.check(t, clientErr, serverErr)
				if serverErr != nil && version == dtls.VersionDTLS12 || r.by == "client" {
					expectUnusable(t, "client", c)
				}
				expectUnusable(t, "server", s)
			})
		})
	}
}

// Behind a cookie a Listener refuses some hellos without a Conn; the client hears
// the same.
func TestRefusalsByListener(t *testing.T) {
	for _, r := range refusals13and12 {
		t.Run(r.name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				if r.only != 0 && r.only != version {
					return
				}
				client, server := r.configs(t, version)
				l, err := dtls.Listen("udp", "127.0.0.1:0", server)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				result := make(chan error, 1)
				go func() {
					s, err := l.AcceptConn()
					if err == nil {
						err = s.Handshake()
						s.Close()
					}
					result <- err
				}()
				c, clientErr := dtls.Dial("udp", l.Addr().String(), client)
				if clientErr == nil {
					_, clientErr = c.Read(make([]byte, 10))
					c.Close()
				}
				l.Close()
				switch serverErr := <-result; {
				case errors.Is(serverErr, net.ErrClosed) && r.by == "server": // no Conn
					expectAlert(t, "client", clientErr, r.want, alert.Peer, true)
				default:
					r.check(t, clientErr, serverErr)
				}
			})
		})
	}
}

// Every mode of crypto/tls's ClientAuth, with every kind of client.
func TestClientAuth(t *testing.T) {
	good, roots := identity(t, "client.example")
	foreign, _ := identity(t, "client.example")
	const ok = alert.CloseNotify // no alert
	tests := []struct {
		mode                  tls.ClientAuthType
		none13, none12        alert.Alert
		foreign               alert.Alert
		asks                  bool
		verified, certificate bool // of the good client
	}{
		{tls.NoClientCert, ok, ok, ok, false, false, false},
		{tls.RequestClientCert, ok, ok, ok, true, false, true},
		{tls.RequireAnyClientCert, alert.CertificateRequired, alert.HandshakeFailure, ok, true, false, true},
		{tls.VerifyClientCertIfGiven, ok, ok, alert.UnknownCA, true, true, true},
		{tls.RequireAndVerifyClientCert, alert.CertificateRequired, alert.HandshakeFailure, alert.UnknownCA, true, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.mode.String(), func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				try := func(who string, want alert.Alert, certificates ...tls.Certificate) {
					client, server := configs(t, version)
					asked := false
					client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
						asked = true
						if len(certificates) == 0 {
							return &tls.Certificate{}, nil
						}
						return &certificates[0], nil
					}
					server.ClientAuth, server.ClientCAs = tt.mode, roots
					c, s := ends(t, newLAN(), client, server)
					defer c.Close()
					defer s.Close()
					clientErr, serverErr := outcome(c, s)
					if asked != tt.asks {
						t.Errorf("%s: asked %v", who, asked)
					}
					if want != ok {
						expectAlert(t, who+", server", serverErr, want, alert.Peer, false)
						expectAlert(t, who+", client", clientErr, want, alert.Peer, true)
						return
					}
					if clientErr != nil || serverErr != nil {
						t.Errorf("%s: client: %v; server: %v", who, clientErr, serverErr)
						return
					}
					send(t, c, s, "ping")
					state := s.ConnectionState()
					if has := len(state.PeerCertificates) > 0; has != (tt.certificate && len(certificates) > 0) {
						t.Errorf("%s: certificate %v", who, has)
					}
					if verified := state.VerifiedChains != nil; verified != (tt.verified && len(certificates) > 0) {
						t.Errorf("%s: verified %v", who, verified)
					}
				}
				none := tt.none13
				if version == dtls.VersionDTLS12 {
					none = tt.none12
				}
				try("no certificate", none)
				try("good certificate", ok, good)
				try("foreign certificate", tt.foreign, foreign)
			})
		})
	}
}
