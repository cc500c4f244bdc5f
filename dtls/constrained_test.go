package dtls

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"testing"
	"time"
)

// standard is the Config of who doesn't count bytes.
func standard() *Config { return &Config{} }

// A proof is what both sides of a handshake authenticate with.
type proof func(client, server *Config)

// proofs are those that devices have.
var proofs = []struct {
	name  string
	prove proof
}{
	{"PSK", provePSK},
	{"RPK", proveKeys},
	{"certificate", proveCertificates},
}

func provePSK(client, server *Config) {
	key := &ExternalPSK{Identity: []byte("sensor"), Key: []byte("sixteen bytes or"), Use: PSKDirect}
	client.Credentials, server.Credentials = []Credential{{PSK: key}}, []Credential{{PSK: key}}
}

func proveKeys(client, server *Config) {
	id := testIdentity()
	shows := func(c *Config, own, peer tls.Certificate) {
		c.Credentials = []Credential{{RawPublicKey: longSigner{own.PrivateKey.(*ecdsa.PrivateKey)}}}
		c.PeerCertificateTypes = []CertificateType{RawPublicKey}
		c.VerifyRawPublicKey = func(info []byte) error {
			if !bytes.Equal(info, peer.Leaf.RawSubjectPublicKeyInfo) {
				return errors.New("another key")
			}
			return nil
		}
	}
	shows(client, id.client, id.server)
	shows(server, id.server, id.client)
	server.ClientAuth = tls.RequireAnyClientCert
}

func proveCertificates(client, server *Config) {
	id := testIdentity()
	shows := func(c *Config, own tls.Certificate) {
		own.PrivateKey = longSigner{own.PrivateKey.(*ecdsa.PrivateKey)}
		c.Certificates, c.RootCAs, c.ClientCAs = []tls.Certificate{own}, id.roots, id.roots
		c.Time = func() time.Time { return epochOfSimulation }
	}
	shows(client, id.client)
	shows(server, id.server)
	client.ServerName, server.ClientAuth = "leaf.example", tls.RequireAndVerifyClientCert
}

// A longSigner makes signatures of the greatest length: others differ by a few
// bytes from one to the next.
type longSigner struct{ *ecdsa.PrivateKey }

func (k longSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	const longest = 2 + 2*(2+1+32) // a SEQUENCE of two INTEGERs whose first bit is set
	for {
		signature, err := k.PrivateKey.Sign(random, digest, opts)
		if err != nil || len(signature) == longest {
			return signature, err
		}
	}
}

// A constrained peer and one with a default Config understand each other, in both
// roles and versions.
func TestConstrainedConfig(t *testing.T) {
	for name, make := range map[string][2]func() *Config{
		"both":       {ConstrainedConfig, ConstrainedConfig},
		"the client": {ConstrainedConfig, standard},
		"the server": {standard, ConstrainedConfig},
	} {
		for _, p := range proofs {
			t.Run(name+", "+p.name, func(t *testing.T) {
				bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
					client, server := make[0](), make[1]()
					version(client, server)
					p.prove(client, server)
					s := simulate(t, 0, client, server)
					s.settle()
					s.exchange()
					if want := 1152; name == "both" && (s.client.State().MaxPlaintext < want || s.server.State().MaxPlaintext < want) {
						t.Errorf("a CoAP message does not fit: %d", s.client.State().MaxPlaintext)
					}
				})
			})
		}
	}
}

// Its first repetition comes after nine seconds, and the handshake may take three;
// the fourth would be due at its end.
func TestConstrainedTimers(t *testing.T) {
	client, server := ConstrainedConfig(), ConstrainedConfig()
	provePSK(client, server)
	s := simulate(t, 0, client, server, fated(losing(func(*parcel) bool { return true })))
	s.advance(client.HandshakeTimeout)
	var sent []float64
	for _, p := range s.sent {
		sent = append(sent, p.left.Sub(epochOfSimulation).Seconds())
	}
	if want := []float64{0, 9, 27, 63, 123}; !slices.Equal(slices.Compact(sent), want) { // in two datagrams at last
		t.Errorf("the hello goes out after %v seconds, want %v", sent, want)
	}
}

// Each Config is its own.
func TestConstrainedConfigIsFresh(t *testing.T) {
	a, b := ConstrainedConfig(), ConstrainedConfig()
	a.CipherSuites[0] = 0
	if a == b || b.CipherSuites[0] != TLS_AES_128_CCM_SHA256 {
		t.Error("two calls share memory")
	}
}
