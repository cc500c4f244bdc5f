package main

import (
	"crypto/rand"
	stdtls "crypto/tls"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// serverName is what all servers are called.
const serverName = "soak.test"

// Credentials are what the servers and clients of a run show each other.
type credentials struct {
	server, client stdtls.Certificate
	roots          *x509.CertPool
	psk            []byte
}

func newCredentials() (c credentials, err error) {
	if c.server, err = dtls.SelfSigned(serverName); err != nil {
		return c, err
	}
	if c.client, err = dtls.SelfSigned("client"); err != nil {
		return c, err
	}
	c.roots = x509.NewCertPool()
	for _, own := range []stdtls.Certificate{c.server, c.client} {
		leaf, err := x509.ParseCertificate(own.Certificate[0])
		if err != nil {
			return c, err
		}
		c.roots.AddCert(leaf)
	}
	c.psk = make([]byte, 32)
	rand.Read(c.psk)
	return c, nil
}

// pskOf is the external key of a version.
func (c credentials) pskOf(version uint16) *dtls.ExternalPSK {
	if version == dtls.VersionDTLS12 {
		return &dtls.ExternalPSK{Identity: []byte("device of 1.2"), Key: c.psk, Use: dtls.PSKDirect12}
	}
	return &dtls.ExternalPSK{Identity: []byte("device of 1.3"), Key: c.psk, Use: dtls.PSKImported}
}

// findPSK is for Config.GetPSK.
func (c credentials) findPSK(identity []byte, _ dtls.ConnectionState) (*dtls.ExternalPSK, error) {
	for _, version := range versions {
		if key := c.pskOf(version); string(key.Identity) == string(identity) {
			return key, nil
		}
	}
	return nil, nil
}

// versions are both, by DTLS's numbers, which a Config of TLS takes too.
var versions = []uint16{dtls.VersionDTLS12, dtls.VersionDTLS13}

// maxReplays is how many clients with 0-RTT a server remembers. A register grows to its
// size and stays there; this one is full within seconds. Then 0-RTT is refused until
// somebody is forgotten, so that there are clients with either answer.
const maxReplays = 64

// firstTimeout is as browsers have it.
const firstTimeout = 50 * time.Millisecond

// forServer is a server's Config: it takes whatever clients there are.
func (c credentials) forServer(p patience) *dtls.Config {
	return &dtls.Config{
		Certificates:               []stdtls.Certificate{c.server},
		ClientAuth:                 stdtls.VerifyClientCertIfGiven,
		ClientCAs:                  c.roots,
		GetPSK:                     c.findPSK,
		EarlyData:                  true,
		AntiReplay:                 dtls.NewReplayRegister(maxReplays, time.Time{}),
		ConnectionIDs:              dtls.RandomConnectionIDs(8),
		AcceptMove:                 func(_, _ netip.AddrPort) bool { return true }, // of clients without RRC
		HandshakeTimeout:           p.handshake,
		InitialTimeout:             firstTimeout,
		InsecureImportWithoutStore: true, // each blob is imported once, by who has exported it
	}
}

// forClient is a client's Config of one version. Half of the clients have ML-KEM, and so
// a hello of two datagrams. A visit's patience bounds the handshake.
func (c credentials) forClient(version uint16, hybrid bool) *dtls.Config {
	config := &dtls.Config{MinVersion: version, MaxVersion: version, RootCAs: c.roots, ServerName: serverName, InitialTimeout: firstTimeout, HandshakeTimeout: -1}
	if !hybrid {
		config.CurvePreferences = []stdtls.CurveID{stdtls.X25519, stdtls.CurveP256}
	}
	return config
}
