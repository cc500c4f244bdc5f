package handshake

import (
	"crypto"
	"crypto/x509"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Key transport in 1.2 (RFC 5246 7.4.7.1): the client makes the secret and encrypts
// it to the key of the server's certificate. There is no ServerKeyExchange, and the
// server signs nothing: that it has the key shows when its Finished is right.

// decrypter is our key, if it can decrypt and its certificate allows that.
func (c *Credential) decrypter() (crypto.Decrypter, error) {
	key, ok := c.key().(crypto.Decrypter)
	if !ok || c.Certificate == nil {
		return nil, alert.Localf(alert.HandshakeFailure, "%w: our key can't decrypt", alert.NoCommonSuite)
	}
	leaf, err := cert.Leaf(c.Certificate)
	if err == nil && cert.CheckKeyUsage(leaf, x509.KeyUsageKeyEncipherment) != nil {
		err = alert.Localf(alert.HandshakeFailure, "%w: our certificate's KeyUsage lacks keyEncipherment", alert.NoCommonSuite)
	}
	return key, err
}

// keyUsage is what a server's certificate is needed for.
func keyUsage(verifier Role, s *suite.Suite) x509.KeyUsage {
	if verifier == Client && s.Exchange == suite.KeyTransport {
		return x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageDigitalSignature
}

func (m *Machine) writePremaster(b *wire.Builder) error {
	secret, encrypted, err := cert.NewPremaster(m.peer.key, m.helloVersion())
	if err != nil {
		return err
	}
	m.shared = secret
	out := message.ClientKeyExchangeRSA{Encrypted: encrypted}
	out.Append(b)
	return nil
}

func (m *Machine) readPremaster(body []byte) error {
	in, err := parse(&message.ClientKeyExchangeRSA{}, body)
	if err != nil {
		return err
	}
	key, err := m.credential.decrypter()
	if err != nil {
		return err
	}
	encrypted, version := slices.Clone(in.Encrypted), m.helloVersion()
	m.shared, err = later(m, func() ([]byte, error) { return cert.OpenPremaster(key, encrypted, version) })
	return wrap(err, alert.InternalError, "decrypting")
}

// helloVersion is the version in front of the ClientHello, which the secret
// repeats so that nobody can have changed it.
func (m *Machine) helloVersion() [2]byte {
	v := m.hello.version
	if m.role == Client {
		v = protocol.VersionTLS12.Over(m.transport)
	}
	return [2]byte{byte(v >> 8), byte(v)}
}
