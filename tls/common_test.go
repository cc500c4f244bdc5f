package tls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

const serverName = "server.example"

// testTime is when all engines of the tests live.
var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type authorities struct {
	roots, strangers    *x509.CertPool
	ecdsa, rsa, ed25519 tls.Certificate // servers and clients
	expired             tls.Certificate
	public              tls.Certificate // of publicName
}

// pki is what all tests share: keys are slow to make.
var pki = sync.OnceValue(func() *authorities {
	p := new(authorities)
	root, other := makeAuthority("root"), makeAuthority("another root")
	p.roots, p.strangers = x509.NewCertPool(), x509.NewCertPool()
	p.roots.AddCert(root.Leaf)
	p.strangers.AddCert(other.Leaf)
	p.ecdsa = makeLeaf(root, serverName, newECDSA(), testTime.AddDate(1, 0, 0))
	p.rsa = makeLeaf(root, serverName, must(rsa.GenerateKey(rand.Reader, 2048)), testTime.AddDate(1, 0, 0))
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	p.ed25519 = makeLeaf(root, serverName, edKey, testTime.AddDate(1, 0, 0))
	p.expired = makeLeaf(root, serverName, newECDSA(), testTime.AddDate(0, 0, -1))
	p.public = makeLeaf(root, publicName, newECDSA(), testTime.AddDate(1, 0, 0))
	return p
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newECDSA() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func makeAuthority(name string) tls.Certificate {
	key := newECDSA()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             testTime.AddDate(-1, 0, 0),
		NotAfter:              testTime.AddDate(2, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	return sign(template, template, key, key)
}

func makeLeaf(authority tls.Certificate, name string, key crypto.Signer, until time.Time) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    testTime.AddDate(-1, 0, 0),
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{name},
		IPAddresses:  nil,
	}
	return sign(template, authority.Leaf, key, authority.PrivateKey.(crypto.Signer))
}

func sign(template, parent *x509.Certificate, key, parentKey crypto.Signer) tls.Certificate {
	der := must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

// configs returns Configs that fit each other, for one version.
func configs(version uint16) (client, server *Config) {
	clock := func() time.Time { return testTime }
	client = &Config{Time: clock, RootCAs: pki().roots, ServerName: serverName, MinVersion: version, MaxVersion: version}
	server = &Config{Time: clock, Certificates: []tls.Certificate{pki().ecdsa}, MinVersion: version, MaxVersion: version}
	return client, server
}

var versions = []struct {
	name   string
	number uint16
}{{"1.3", VersionTLS13}, {"1.2", VersionTLS12}}

// A pair is two Engines, and all that they have sent.
type pair struct {
	client, server         *Engine
	fromClient, fromServer []byte
	cut                    func([]byte) [][]byte // what is sent, for the receiver; nil: as it is
}

func newPair(t testing.TB, client, server *Config) *pair {
	t.Helper()
	c, err := NewClientEngine(client)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServerEngine(server)
	if err != nil {
		t.Fatal(err)
	}
	return &pair{client: c, server: s}
}

// connect runs the handshake, as far as it goes.
func (p *pair) connect() (clientErr, serverErr error) {
	p.client.Start(testTime)
	p.pump()
	return p.client.Err(), p.server.Err()
}

// pump carries bytes both ways until nothing moves.
func (p *pair) pump() {
	for p.carry(p.client, p.server, &p.fromClient) || p.carry(p.server, p.client, &p.fromServer) {
	}
}

func (p *pair) carry(from, to *Engine, log *[]byte) bool {
	work(from)
	sent := drain(from)
	*log = append(*log, sent...)
	pieces := [][]byte{sent}
	if p.cut != nil {
		pieces = p.cut(sent)
	}
	for _, piece := range pieces {
		to.Receive(piece, testTime)
		work(to)
	}
	return len(sent) > 0
}

// work does what an Engine waits for.
func work(e *Engine) {
	for w := e.Work(); w != nil; w = e.Work() {
		w()
		e.Resume(testTime)
	}
}

// drain is all that an Engine has to send.
func drain(e *Engine) []byte {
	var all []byte
	buf := make([]byte, 1000)
	for n := e.Transmit(buf); n > 0; n = e.Transmit(buf) {
		all = append(all, buf[:n]...)
	}
	return all
}

// readAll is all application data that an Engine has.
func readAll(e *Engine) []byte {
	var all []byte
	buf := make([]byte, 5000)
	for n, ok := e.Read(buf); ok; n, ok = e.Read(buf) {
		all = append(all, buf[:n]...)
	}
	return all
}

// connected returns a pair that is open on both sides.
func connected(t testing.TB, client, server *Config) *pair {
	t.Helper()
	p := newPair(t, client, server)
	clientErr, serverErr := p.connect()
	if clientErr != nil || serverErr != nil || !p.client.Open() || !p.server.Open() {
		t.Fatalf("client: open %v, %v; server: open %v, %v", p.client.Open(), clientErr, p.server.Open(), serverErr)
	}
	return p
}

func connectedVersion(t testing.TB, version uint16) *pair {
	t.Helper()
	client, server := configs(version)
	return connected(t, client, server)
}

// wantAlert checks that err is an *Error with this alert, received or not.
func wantAlert(t testing.TB, who string, err error, a alert.Alert, received bool) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Alert != a || e.Received != received {
		t.Errorf("%s: got %v, expected the alert %v, received %v", who, err, a, received)
	}
}
