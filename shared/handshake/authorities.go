package handshake

import (
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Both sides may say whose certificates they trust, so that a peer who has
// several shows the right one: in certificate_authorities (RFC 9846 4.3.4), and
// a server of 1.2 in its CertificateRequest (RFC 5246 7.4.4). It is a hint; what
// is trusted is checked when a certificate comes. To answer it is the matter of
// Credential.MustMatchIssuer.

// authorities are the distinguished names that a server's CertificateRequest has.
func (c *Config) authorities() [][]byte {
	if c.CertificateAuthorities != nil || c.ClientCAs == nil {
		return c.CertificateAuthorities
	}
	//lint:ignore SA1019 deprecated for the system's pool only, which this is not
	return c.ClientCAs.Subjects()
}

// validateAuthorities refuses names that can't be written.
func (c *Config) validateAuthorities() error {
	const most = 1 << 14 // bytes: a ClientHello has other things to say
	total := 0
	for i, name := range c.CertificateAuthorities {
		if total += 2 + len(name); len(name) == 0 || total > most {
			return unusable("CertificateAuthorities", "number %d has %d bytes: a name has at least one, all together at most %d", i, len(name), most)
		}
	}
	return nil
}

func offerCertAuthorities(m *Machine, b *wire.Builder) bool {
	return appendCertAuthorities(b, m.config.CertificateAuthorities)
}

func receiveCertAuthorities(m *Machine, body []byte) (err error) {
	m.hello.authorities, err = message.ParseCertAuthorities(body)
	return err
}

func answerCertAuthorities(m *Machine, _ where, b *wire.Builder) bool {
	return appendCertAuthorities(b, m.config.authorities())
}

func acceptCertAuthorities(m *Machine, _ where, body []byte) (err error) {
	m.request.authorities, err = message.ParseCertAuthorities(body)
	return err
}

// appendCertAuthorities appends the extension's body, which can't be empty.
func appendCertAuthorities(b *wire.Builder, names [][]byte) bool {
	if len(names) > 0 {
		message.AppendCertAuthorities(b, names)
	}
	return len(names) > 0
}
