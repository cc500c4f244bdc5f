package handshake

import (
	"bytes"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Raw public keys (RFC 7250): either side may show a SubjectPublicKeyInfo where
// a certificate would stand. A client says which certificate types it can show
// and which it takes; the server chooses both, and says so. Whose key it is
// nobody says: Config.VerifyRawPublicKey knows it, or the handshake fails.

// A CertificateType is what a peer shows its public key in.
type CertificateType = protocol.CertificateType

var onlyX509 = []CertificateType{protocol.X509}

// peerCertificateTypes are those that the peer may show, most preferred first.
func (c *Config) peerCertificateTypes() []CertificateType {
	if len(c.PeerCertificateTypes) > 0 {
		return c.PeerCertificateTypes
	}
	return onlyX509
}

// takes reports whether the peer may show certificates of type t.
func (c *Config) takes(t CertificateType) bool { return slices.Contains(c.peerCertificateTypes(), t) }

// localCertificateTypes are those that this side can show, most preferred first.
func (c *Config) localCertificateTypes() []CertificateType {
	if len(c.LocalCertificateTypes) > 0 {
		return c.LocalCertificateTypes
	}
	var types []CertificateType
	add := func(t CertificateType) {
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	for i := range c.Credentials {
		add(c.Credentials[i].certificateType())
	}
	if len(c.Certificates) > 0 {
		add(protocol.X509)
	}
	return types
}

// certificateType is what the peer gets to see of a credential.
func (c *Credential) certificateType() CertificateType {
	if c.RawPublicKey != nil {
		return protocol.RawPublicKey
	}
	return protocol.X509
}

// checkType refuses a credential that is of no type that the peer takes. RFC 7250
// 4.2 has unsupported_certificate for a server with none that is; stacks in use
// say handshake_failure, as for every other reason that a credential doesn't fit.
func (m *Machine) checkType(c *Credential) error {
	takes := m.hello.serverTypes
	switch {
	case m.role == Client:
		takes = []CertificateType{m.shows}
	case takes == nil:
		takes = onlyX509
	}
	if !slices.Contains(takes, c.certificateType()) {
		return alert.Peerf(alert.HandshakeFailure, "%w: the peer takes %v", alert.NoCommonCertificateType, takes)
	}
	return nil
}

// RFC 9846 4.5.1 [13]
func (c *Config) validateCertificateTypes() error {
	for _, list := range []struct {
		field string
		types []CertificateType
	}{{"PeerCertificateTypes", c.PeerCertificateTypes}, {"LocalCertificateTypes", c.LocalCertificateTypes}} {
		for _, t := range list.types {
			if t != protocol.X509 && t != protocol.RawPublicKey {
				return unusable(list.field, "%v is not one that this library has", t)
			}
		}
	}
	if c.takes(protocol.RawPublicKey) && c.VerifyRawPublicKey == nil {
		return unusable("VerifyRawPublicKey", "without it nobody would say whose raw public keys are good")
	}
	return nil
}

// --- server_certificate_type (RFC 7250 4): what the server shows

func offerServerCertType(m *Machine, b *wire.Builder) bool {
	return offerCertificateTypes(b, m.config.peerCertificateTypes())
}

// answerServerCertType names the type of the server's credential. A resumed
// session has none; what it would be is still said, as stacks in use expect it.
func answerServerCertType(m *Machine, _ where, b *wire.Builder) bool {
	types := m.config.localCertificateTypes()
	if m.credential != nil {
		types = []CertificateType{m.shows}
	}
	i := slices.IndexFunc(types, func(t CertificateType) bool { return slices.Contains(m.hello.serverTypes, t) })
	if i < 0 {
		return false
	}
	message.AppendCertificateType(b, types[i])
	return true
}

// offerCertificateTypes leaves out a list that says no more than no extension
// would (RFC 7250 4.1).
func offerCertificateTypes(b *wire.Builder, types []CertificateType) bool {
	message.AppendCertificateTypes(b, types)
	return len(types) > 0 && !slices.Equal(types, onlyX509)
}

func receiveServerCertType(m *Machine, body []byte) (err error) {
	m.hello.serverTypes, err = message.ParseCertificateTypes(protocol.ExtServerCertType, body)
	return err
}

func acceptServerCertType(m *Machine, _ where, body []byte) (err error) {
	m.shown.as, err = message.ParseCertificateType(protocol.ExtServerCertType, body)
	if err == nil && !m.config.takes(m.shown.as) {
		err = alert.Peerf(alert.UnsupportedCertificate, "%w: the server wants to show %v", alert.UnsupportedCertificateType, m.shown.as)
	}
	return err
}

// --- client_certificate_type (RFC 7250 4): what the client shows

func offerClientCertType(m *Machine, b *wire.Builder) bool {
	return offerCertificateTypes(b, m.config.localCertificateTypes())
}

func receiveClientCertType(m *Machine, body []byte) (err error) {
	m.hello.clientTypes, err = message.ParseCertificateTypes(protocol.ExtClientCertType, body)
	return err
}

// chooseClientType is the server's choice of what the client shows, if it asks.
func (m *Machine) chooseClientType() error {
	offered := m.hello.clientTypes
	if offered == nil {
		offered = onlyX509
	}
	for _, t := range m.config.peerCertificateTypes() {
		if slices.Contains(offered, t) {
			m.shown.as = t
			return nil
		}
	}
	return alert.Peerf(alert.UnsupportedCertificate, "%w: the client can show %v", alert.UnsupportedCertificateType, offered) // RFC 7250 4.2
}

// answerClientCertType is only for a server that asks (RFC 7250 4.2).
func answerClientCertType(m *Machine, _ where, b *wire.Builder) bool {
	message.AppendCertificateType(b, m.shown.as)
	return m.place.Is(CertRequested)
}

func acceptClientCertType(m *Machine, _ where, body []byte) (err error) {
	m.shows, err = message.ParseCertificateType(protocol.ExtClientCertType, body)
	if err == nil && !slices.Contains(m.config.localCertificateTypes(), m.shows) {
		err = alert.Peerf(alert.UnsupportedCertificate, "%w: the server asks for %v", alert.UnsupportedCertificateType, m.shows)
	}
	return err
}

// --- Certificate, with a raw public key in it

// writeRawPublicKey12 writes the form of Certificate that 1.2 has for it. An empty
// key is how a client shows none.
func writeRawPublicKey12(b *wire.Builder, chain [][]byte) {
	var out message.RawPublicKey12
	if len(chain) > 0 {
		out.Info = chain[0]
	}
	out.Append(b)
}

// readRawPublicKey12 reads it.
func readRawPublicKey12(body []byte) ([][]byte, error) {
	in, err := parse(&message.RawPublicKey12{}, body)
	if err != nil || len(in.Info) == 0 {
		return nil, err
	}
	return cloneAll([][]byte{in.Info}), nil
}

// verifyRawPublicKey checks a raw public key by what the protocol says, and asks
// the application whose it is.
//
// RFC 9846 4.5.1 [12]
func (c *Config) verifyRawPublicKey(verifier Role, s *suite.Suite, raw [][]byte) (v verified, err error) {
	if len(raw) > 1 { // RFC 9846 4.5.1
		return v, alert.Peerf(alert.IllegalParameter, "Certificate has %d raw public keys, expected one", len(raw))
	}
	v.rawKey = bytes.Clone(raw[0]) // it lasts, and what came with it doesn't
	if v.key, err = cert.ParseRawPublicKey(v.rawKey); err != nil {
		return v, err
	}
	if err := c.checkKey(verifier, v.key, s); err != nil {
		return v, err
	}
	return v, c.VerifyRawPublicKey(v.rawKey)
}
