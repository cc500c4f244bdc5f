package dtls

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// A pinning is a way to know the peer by a fingerprint.
type pinning struct {
	name string
	pin  func(c *Config, fingerprint string)
}

var pinnings = []pinning{
	{"PeerFingerprints", func(c *Config, fingerprint string) { c.PeerFingerprints = []string{fingerprint} }},
	{"VerifyPeerCertificate", func(c *Config, fingerprint string) {
		c.InsecureSkipVerify, c.ClientAuth = true, tls.RequireAnyClientCert
		c.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error { return VerifyFingerprint(raw[0], fingerprint) }
	}},
	{"VerifyConnection", func(c *Config, fingerprint string) {
		c.InsecureSkipVerify, c.ClientAuth = true, tls.RequireAnyClientCert
		c.VerifyConnection = func(s ConnectionState) error {
			return VerifyFingerprint(s.PeerCertificates[0].Raw, fingerprint)
		}
	}},
}

// pinned returns Configs of peers that have certificates of their own and agree on
// SRTP, of which one side, the victim, knows the other by a fingerprint.
func pinned(version func(client, server *Config), by pinning, victim handshake.Role, right bool) (client, server *Config) {
	client, server = with(version, func(client, server *Config) {
		client.Certificates = []tls.Certificate{testIdentity().client}
		client.RootCAs, client.InsecureSkipVerify, server.ClientAuth = nil, true, tls.RequireAnyClientCert
		client.SRTPProfiles = []SRTPProfile{SRTPAEADAES128GCM}
		server.SRTPProfiles = client.SRTPProfiles
	})
	config, certificate := client, server.Certificates[0]
	if victim == handshake.Server {
		config, certificate = server, client.Certificates[0]
	}
	der := certificate.Certificate[0]
	if !right {
		der = append(bytes.Clone(der), 0)
	}
	by.pin(config, Fingerprint(crypto.SHA256, der))
	return client, server
}

// blurt sends data under every key for data that a side has, whatever its handshake
// says, and returns how many there are.
func (d *side) blurt() (keys int) {
	for _, w := range d.writes {
		if w.number == 0 || d.version.Is13() && w.number < handshake.LevelApplication {
			continue
		}
		buf := make([]byte, 100)
		n, err := d.Engine.seal(w, buf, []byte("early"))
		if err != nil {
			d.s.t.Fatal(err)
		}
		d.s.send(d, buf[:n], d.peer.at)
		keys++
	}
	return keys
}

// expectNothing checks that an Engine gives nothing away: nothing to read or to
// export, and it takes nothing to write.
func (d *side) expectNothing() {
	d.s.t.Helper()
	if _, there := d.Peek(make([]byte, 10)); there || len(d.read) > 0 {
		d.s.t.Fatalf("%s: read %q", d.name, d.read)
	}
	if n, err := d.Write(make([]byte, 100), []byte("secret"), d.s.now); err == nil || n > 0 {
		d.s.t.Fatalf("%s: written", d.name)
	}
	state := d.State()
	if d.Open() || state.HandshakeComplete {
		d.s.t.Fatalf("%s: open", d.name)
	}
	if _, err := state.ExportKeyingMaterial("EXPORTER-test", nil, 16); err == nil {
		d.s.t.Fatalf("%s: exported", d.name)
	}
	if _, err := state.ExportEarlyKeyingMaterial("EXPORTER-test", nil, 16); err == nil {
		d.s.t.Fatalf("%s: exported early", d.name)
	}
	if keys, err := state.SRTPKeys(); err == nil || keys.ClientMasterKey != nil {
		d.s.t.Fatalf("%s: keys for SRTP", d.name)
	}
	if _, err := d.export(make([]byte, 32), nil, d.s.now); err == nil {
		d.s.t.Fatalf("%s: the connection was written down", d.name)
	}
}

// Before the peer's certificate is verified, and after that has failed, there is
// nothing to read, to write or to export, however early the peer sends data and however
// long the verification takes (GHSA-74xm-qj29-cq8p).
//
// RFC 9147 5.8.1 [3]
func TestPitfallUnverifiedPeer(t *testing.T) {
	for _, by := range pinnings {
		for _, victim := range []handshake.Role{handshake.Client, handshake.Server} {
			for name, took := range map[string]time.Duration{"at once": 0, "slowly": 300 * time.Millisecond} {
				t.Run(by.name+" of the "+victim.String()+", "+name, func(t *testing.T) {
					bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
						client, server := pinned(version, by, victim, false)
						s := simulate(t, 0, client, server, slow(took))
						d := s.client
						if victim == handshake.Server {
							d = s.server
						}
						early := 0
						for after := 0; after < 20 && s.step(); {
							if d.expectNothing(); d.err != nil {
								after++
							}
							early += d.peer.blurt()
						}
						// A server of 1.2 has no keys before the client's Finished.
						if none := victim == handshake.Client && !d.version.Is13(); none != (early == 0) {
							t.Errorf("the peer sent data %d times", early)
						}
						expectFingerprint(t, d.err)
						if e, ok := errors.AsType[*Error](d.peer.err); !ok || e.Alert != alert.BadCertificate || !e.Received {
							t.Errorf("the peer hears %v", d.peer.err)
						}
					})
				})
			}
		}
	}
}

func expectFingerprint(t *testing.T, err error) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Alert != alert.BadCertificate || !errors.Is(err, alert.WrongFingerprint) {
		t.Errorf("%v, expected %v", err, alert.WrongFingerprint)
	}
}

// With the right fingerprint such early data does come, once the peer is verified
// and in 1.2 under no key that is not in use: so the test above would see it.
func TestVerifiedPeer(t *testing.T) {
	for _, by := range pinnings {
		for _, victim := range []handshake.Role{handshake.Client, handshake.Server} {
			t.Run(by.name+" of the "+victim.String(), func(t *testing.T) {
				bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
					client, server := pinned(version, by, victim, true)
					s := simulate(t, 0, client, server)
					d := s.client
					if victim == handshake.Server {
						d = s.server
					}
					for range 100 {
						if !d.Open() {
							d.expectNothing()
							d.peer.blurt()
						}
						s.step()
					}
					if !d.Open() || len(d.read) == 0 || string(d.read[0]) != "early" {
						t.Fatalf("open %v, read %q", d.Open(), d.read)
					}
					state := d.State()
					if keys, err := state.SRTPKeys(); err != nil || len(keys.ClientMasterKey) != 16 {
						t.Errorf("%+v, %v", keys, err)
					}
				})
			})
		}
	}
}
