package handshake

import (
	"crypto"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

func fingerprintOf(c tls.Certificate) string {
	return cert.Fingerprint(crypto.SHA256, c.Certificate[0])
}

// fingerprinted returns a client and a server that know each other by fingerprints
// alone: of certificates that nobody knows the issuer of, for a name that nobody asks
// for, and whose time is over.
func fingerprinted(v protocol.Version) (client, server *Config) {
	client, server = configs(v)
	stranger := issue("stranger", nil, newKey(p256))
	ours, theirs := issue("a.example", &stranger, newKey(p256)), issue("b.example", &stranger, newKey(p256))
	client.RootCAs, client.ServerName, client.Certificates = nil, "", []tls.Certificate{ours}
	server.ClientCAs, server.Certificates = nil, []tls.Certificate{theirs}
	client.PeerFingerprints, server.PeerFingerprints = []string{fingerprintOf(theirs)}, []string{fingerprintOf(ours)}
	client.Time = func() time.Time { return testTime.AddDate(9, 0, 0) }
	server.Time = client.Time
	return client, server
}

// TestPeerFingerprints: the right certificate is enough, and nothing else is.
func TestPeerFingerprints(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		stranger := testPKI().leaf[p256] // that the roots would know
		wrong := []string{fingerprintOf(stranger)}
		none := alert.CertificateRequired
		if !v.Is13() {
			none = alert.HandshakeFailure
		}
		for name, test := range map[string]struct {
			change func(client, server *Config)
			by     Role
			want   alert.Alert // close_notify: none
		}{
			"right": {func(_, _ *Config) {}, Client, alert.CloseNotify},
			"one of several": {func(client, server *Config) {
				client.PeerFingerprints = append(wrong, client.PeerFingerprints...)
				server.PeerFingerprints = append(wrong, server.PeerFingerprints...)
			}, Client, alert.CloseNotify},
			"another server": {func(client, server *Config) {
				client.ServerName = testName
				server.Certificates = []tls.Certificate{stranger}
			}, Client, alert.BadCertificate},
			"another client":          {func(client, _ *Config) { client.Certificates = []tls.Certificate{stranger} }, Server, alert.BadCertificate},
			"the client takes no one": {func(client, _ *Config) { client.PeerFingerprints = wrong }, Client, alert.BadCertificate},
			"InsecureSkipVerify doesn't matter": {func(client, _ *Config) {
				client.PeerFingerprints, client.InsecureSkipVerify = wrong, true
			}, Client, alert.BadCertificate},
			"ClientAuth doesn't matter": {func(_, server *Config) {
				server.PeerFingerprints, server.ClientAuth = wrong, tls.RequestClientCert
			}, Server, alert.BadCertificate},
			"no client certificate": {func(client, _ *Config) { client.Certificates = nil }, Server, none},
			"no client certificate, ClientAuth doesn't matter": {func(client, server *Config) {
				client.Certificates, server.ClientAuth = nil, tls.RequestClientCert
			}, Server, none},
		} {
			t.Run(name, func(t *testing.T) {
				client, server := fingerprinted(v)
				test.change(client, server)
				if test.want == alert.CloseNotify {
					p := complete(t, transport, client, server)
					for _, s := range []ConnectionState{p.client.m.State(), p.server.m.State()} {
						if len(s.PeerCertificates) != 1 || s.VerifiedChains != nil {
							t.Errorf("%d certificates, chains %v", len(s.PeerCertificates), s.VerifiedChains)
						}
					}
					return
				}
				p := begin(t, transport, client, server).run()
				side := p.client
				if test.by == Server {
					side = p.server
				}
				side.expectRefused(t, test.want)
				if errors.Is(side.err, alert.WrongFingerprint) != (test.want == alert.BadCertificate) {
					t.Errorf("%v", side.err)
				}
			})
		}
	})
}

// TestPeerFingerprintsAndCallbacks: callbacks run after the comparison, and see the
// certificate.
func TestPeerFingerprintsAndCallbacks(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		refused := errors.New("refused")
		client, server := fingerprinted(v)
		server.VerifyConnection = func(s ConnectionState) error {
			if len(s.PeerCertificates) != 1 {
				t.Errorf("%d certificates", len(s.PeerCertificates))
			}
			return refused
		}
		p := begin(t, transport, client, server).run()
		p.server.expectRefused(t, alert.BadCertificate)
		if !errors.Is(p.server.err, refused) {
			t.Errorf("%v", p.server.err)
		}

		client, server = fingerprinted(v)
		client.PeerFingerprints = server.PeerFingerprints // its own
		client.VerifyConnection = func(ConnectionState) error {
			t.Error("asked about a certificate that doesn't fit")
			return nil
		}
		begin(t, transport, client, server).run().client.expectRefused(t, alert.BadCertificate)
	})
}

// TestPeerFingerprintsResumed: a session is resumed only if the certificate of its
// first handshake still fits, on either side.
func TestPeerFingerprintsResumed(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		wrong := []string{fingerprintOf(testPKI().leaf[p256])}
		for name, test := range map[string]struct {
			change  func(client, server *Config)
			resumed bool
			by      Role
		}{
			"as it was":         {func(_, _ *Config) {}, true, Client},
			"another at client": {func(client, _ *Config) { client.PeerFingerprints = wrong }, false, Client},
			"another at server": {func(_, server *Config) { server.PeerFingerprints = wrong }, false, Server},
		} {
			t.Run(name, func(t *testing.T) {
				client, server := fingerprinted(v)
				client.ServerName, client.ClientSessionCache, server.TicketKeys = testName, new(shelf), [][32]byte{{7}}
				complete(t, transport, client, server)
				client, server = new(*client), new(*server)
				test.change(client, server)
				if test.resumed {
					p := complete(t, transport, client, server)
					if !p.client.m.State().DidResume || !p.server.m.State().DidResume {
						t.Error("not resumed")
					}
					return
				}
				p := begin(t, transport, client, server).run()
				side := p.client
				if test.by == Server {
					side = p.server
				}
				if side.expectRefused(t, alert.BadCertificate); side.m.State().DidResume {
					t.Error("resumed")
				}
			})
		}
	})
}

// TestPeerFingerprintsNewlyWanted: a server that begins to know its clients by
// fingerprint resumes no session of one that has shown nothing.
func TestPeerFingerprintsNewlyWanted(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		client.ClientSessionCache, server.TicketKeys = new(shelf), [][32]byte{{7}}
		complete(t, transport, client, server)
		server = new(*server)
		server.PeerFingerprints = []string{fingerprintOf(testPKI().leaf[p256])}
		p := begin(t, transport, client, server).run()
		if p.server.expectRefused(t, alert.CertificateRequired, alert.HandshakeFailure); p.server.m.State().DidResume {
			t.Error("resumed")
		}
	})
}

// TestValidateFingerprints: what can't be used, or would not be, is named.
func TestValidateFingerprints(t *testing.T) {
	good := fingerprintOf(testPKI().leaf[p256])
	for name, test := range map[string]struct {
		role   Role
		change func(*Config)
		field  string // empty: valid
	}{
		"a client":                {Client, func(c *Config) {}, ""},
		"a server":                {Server, func(c *Config) {}, ""},
		"beside an unknown hash":  {Client, func(c *Config) { c.PeerFingerprints = []string{"md5 00", good} }, ""},
		"an unknown hash":         {Client, func(c *Config) { c.PeerFingerprints = []string{"md5 00"} }, "PeerFingerprints"},
		"malformed":               {Client, func(c *Config) { c.PeerFingerprints = []string{good[:len(good)-1]} }, "PeerFingerprints"},
		"malformed, a server's":   {Server, func(c *Config) { c.PeerFingerprints = []string{good, ""} }, "PeerFingerprints"},
		"roots of a client":       {Client, func(c *Config) { c.RootCAs = testPKI().roots }, "RootCAs"},
		"roots of no client":      {Server, func(c *Config) { c.RootCAs = testPKI().roots }, ""},
		"authorities to ask for":  {Server, func(c *Config) { c.ClientCAs = testPKI().roots }, ""},
		"a policy without roots":  {Server, func(c *Config) { c.ClientAuth = tls.RequireAnyClientCert }, ""},
		"a policy with roots":     {Server, func(c *Config) { c.ClientAuth = tls.VerifyClientCertIfGiven }, "ClientAuth"},
		"a policy of no server's": {Client, func(c *Config) { c.ClientAuth = tls.RequireAndVerifyClientCert }, ""},
	} {
		c := &Config{PeerFingerprints: []string{good}, Certificates: []tls.Certificate{testPKI().leaf[p256]}}
		test.change(c)
		bad, ok := errors.AsType[*ConfigError](c.Validate(test.role, protocol.Datagram))
		if ok != (test.field != "") || ok && bad.Field != test.field {
			t.Errorf("%s: %v, expected %q to be named", name, bad, test.field)
		}
	}
}
