package model

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A mode is one Engine to learn: its protocol, its role, and how the peers authenticate.
type mode struct {
	version protocol.Version
	role    handshake.Role
	authentication
}

// An authentication says who shows what.
type authentication string

const (
	serverAlone authentication = "certificate"          // the client has none, or is not asked
	optional    authentication = "optional certificate" // a server takes a client with or without one
	mutual      authentication = "both certificates"    // the client has one, the server wants one
	sharedKey   authentication = "PSK"
	resumed     authentication = "session" // of an earlier connection with both
)

// modes are all that are learned.
var modes = func() (all []mode) {
	for _, v := range []protocol.Version{protocol.VersionDTLS13, protocol.VersionDTLS12, protocol.VersionTLS13, protocol.VersionTLS12} {
		for _, a := range []authentication{serverAlone, mutual, sharedKey, resumed} {
			all = append(all, mode{v, handshake.Client, a})
		}
		for _, a := range []authentication{serverAlone, optional, mutual, sharedKey, resumed} {
			all = append(all, mode{v, handshake.Server, a})
		}
	}
	return all
}()

func (m mode) String() string { return fmt.Sprintf("%v %v, %s", m.version, m.role, m.authentication) }

func (m mode) transport() protocol.Transport {
	if m.version == m.version.Over(protocol.Datagram) {
		return protocol.Datagram
	}
	return protocol.Stream
}

func (m mode) datagrams() bool { return m.transport() == protocol.Datagram }

// The key that both sides have, where they have one.
var secret = &handshake.ExternalPSK{Identity: []byte("sensor"), Key: []byte("sixteen bytes or"), Use: handshake.PSKDirect}

// session is what both sides remember, where they do.
func (m mode) session() *session.State {
	s := &session.State{
		Version:              m.version,
		Suite:                m.suite().ID,
		Secret:               bytes.Repeat([]byte{1}, 48),
		ExtendedMasterSecret: !m.version.Is13(),
		Created:              birth,
		Lifetime:             time.Hour,
		Group:                group,
		Signature:            scheme,
		Ticket:               []byte("ticket"),
	}
	if m.version.Is13() {
		s.Secret = s.Secret[:m.suite().Hash.Size()]
	}
	if m.role == handshake.Client {
		s.ServerName, s.Chain = name, identities().peer.Certificate
	}
	return s
}

// A shelf always has the same session.
type shelf struct{ session *session.State }

func (s shelf) Get(string) (*session.State, bool) { return s.session, true }
func (s shelf) Put(string, *session.State)        {}

// suite is the one that the mode uses.
func (m mode) suite() *suite.Suite {
	switch {
	case m.version.Is13():
		return suite.ByID(tls.TLS_AES_128_GCM_SHA256)
	case m.authentication == sharedKey:
		return suite.ByID(suite.TLS_PSK_WITH_AES_128_GCM_SHA256)
	}
	return suite.ByID(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
}

// config is that of the Engine.
func (m mode) config() *handshake.Config {
	id := identities()
	c := &handshake.Config{
		Time:             func() time.Time { return birth },
		MinVersion:       uint16(m.version),
		MaxVersion:       uint16(m.version),
		CipherSuites:     []uint16{m.suite().ID},
		CurvePreferences: []tls.CurveID{group, otherGroup},
	}
	if m.datagrams() {
		c.MTU = maxDatagram // a message a record: how they are cut is not what is learned
	}
	switch {
	case m.authentication != resumed:
		c.SessionTicketsDisabled = true
	case m.role == handshake.Client:
		c.ClientSessionCache = shelf{m.session()}
	default:
		c.SessionTickets = 1
		c.WrapSession = func(handshake.ConnectionState, *session.State) ([]byte, error) { return m.session().Ticket, nil }
		c.UnwrapSession = func([]byte, handshake.ConnectionState) (*session.State, error) { return m.session(), nil }
	}
	switch {
	case m.authentication == sharedKey:
		c.Credentials = []handshake.Credential{{PSK: secret}}
	case m.role == handshake.Server:
		c.Certificates = []tls.Certificate{id.engine}
	case m.authentication == mutual:
		c.Certificates = []tls.Certificate{id.engine}
	}
	switch {
	case m.role == handshake.Client:
		c.RootCAs, c.ServerName = id.roots, name
	case m.authentication == optional:
		c.ClientCAs, c.ClientAuth = id.roots, tls.VerifyClientCertIfGiven
	case m.authentication == mutual:
		c.ClientCAs, c.ClientAuth = id.roots, tls.RequireAndVerifyClientCert
	}
	return c
}

// birth is when everything begins.
var birth = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const name = "server.example"

// identities are a root, and leaves for the Engine and for its peer; and another that has
// the peer's name, but is of another root.
var identities = sync.OnceValue(func() (id struct {
	roots                  *x509.CertPool
	engine, peer, stranger tls.Certificate
}) {
	root, other := issue("root", nil), issue("another root", nil)
	id.roots = x509.NewCertPool()
	id.roots.AddCert(root.Leaf)
	id.engine, id.peer, id.stranger = issue(name, &root), issue(name, &root), issue(name, &other)
	return id
})

// issue makes a certificate; without an issuer, a root.
func issue(name string, issuer *tls.Certificate) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             birth.Add(-time.Hour),
		NotAfter:              birth.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:              []string{name},
		BasicConstraintsValid: true,
	}
	parent, signer := template, crypto.Signer(key)
	if issuer == nil {
		template.IsCA, template.KeyUsage, template.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	} else {
		parent, signer = issuer.Leaf, issuer.PrivateKey.(crypto.Signer)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
