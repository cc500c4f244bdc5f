package handshake

import (
	"bytes"
	"crypto/tls"
	"fmt"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// What others say about a certificate, and its owner shows with it: the answer
// of its authority's OCSP responder (a staple, RFC 6066 8), and signed
// certificate timestamps of logs (RFC 6962 3.3). 1.2 has a message for the
// former and ServerHello for the latter; in 1.3 both are extensions of the
// certificate they are about, and a server may ask for those of its client
// (RFC 9846 4.5.1.1). Neither is looked into here: VerifyConnection sees them.

// --- status_request (RFC 6066 8)

func offerStatusRequest(m *Machine, b *wire.Builder) bool {
	message.AppendStatusRequest(b)
	return m.config.RequestOCSPStaple
}

func receiveStatusRequest(m *Machine, body []byte) (err error) {
	m.hello.wantsStaple, err = message.ParseStatusRequest(body)
	return err
}

// RFC 9846 4.5.1.1 [1, 4]
func answerStatusRequest(m *Machine, at where, b *wire.Builder) bool {
	switch at {
	case inRequest:
		return m.config.RequestOCSPStaple
	case inServerHello12:
		return m.place.Is(Stapled)
	}
	out := message.CertificateStatus{Response: m.staple}
	out.Append(b)
	return m.staple != nil
}

func acceptStatusRequest(m *Machine, at where, body []byte) error {
	if at != inServerCertificate && at != inClientCertificate {
		m.shown.stapleMayCome = at == inServerHello12
		return message.ParseEmptyExtension(protocol.ExtStatusRequest, body)
	}
	in, err := parse(&message.CertificateStatus{}, body)
	m.peer.staple = bytes.Clone(in.Response)
	return err
}

// --- CertificateStatus, in 1.2. A server that has promised one may leave it out
// after all (RFC 6066 8), and so its certificate is verified only with what
// comes next: CertificateStatus, or else ServerKeyExchange (with key transport
// CertificateRequest or ServerHelloDone).

func writeCertificateStatus(m *Machine, b *wire.Builder) error {
	out := message.CertificateStatus{Response: m.staple}
	out.Append(b)
	return nil
}

func readCertificateStatus(m *Machine, body []byte) error {
	in, err := parse(&message.CertificateStatus{}, body)
	if err != nil {
		return err
	}
	m.peer.staple = bytes.Clone(in.Response)
	return m.verifyPeer(m.shown.chain)
}

// verifyUnstapled verifies the certificate that came just before, if a staple
// might have followed.
func (m *Machine) verifyUnstapled() error {
	if m.place.At != ServerCertificate || m.place.Knows(Stapled) || m.version.Is13() {
		return nil
	}
	return m.verifyPeer(m.shown.chain)
}

// --- signed_certificate_timestamp (RFC 6962 3.3)

func offerSCTs(m *Machine, _ *wire.Builder) bool { return m.config.RequestSCTs }

func receiveSCTs(_ *Machine, body []byte) error {
	return message.ParseEmptyExtension(protocol.ExtSCT, body)
}

func answerSCTs(m *Machine, at where, b *wire.Builder) bool {
	if at == inRequest {
		return m.config.RequestSCTs
	}
	if m.credential == nil || m.credential.Certificate == nil || len(m.credential.Certificate.SignedCertificateTimestamps) == 0 {
		return false
	}
	message.AppendSCTs(b, m.credential.Certificate.SignedCertificateTimestamps)
	return true
}

func acceptSCTs(m *Machine, at where, body []byte) error {
	if at == inRequest {
		return message.ParseEmptyExtension(protocol.ExtSCT, body)
	}
	timestamps, err := message.ParseSCTs(body)
	m.peer.timestamps = cloneAll(timestamps)
	return err
}

// checkTimestamps refuses timestamps that have no place in the extension.
func checkTimestamps(c *tls.Certificate) error {
	total := 0
	for _, t := range c.SignedCertificateTimestamps {
		if total += 2 + len(t); len(t) == 0 || total > 1<<16-1-2 {
			return fmt.Errorf("SignedCertificateTimestamps: a timestamp has at least one byte, all together at most 64 KiB")
		}
	}
	return nil
}

// --- What is shown with our certificate

// chooseStaple finds a server's staple, if the client wants one and there is one.
func (m *Machine) chooseStaple() error {
	if !m.hello.wantsStaple || m.credential.Certificate == nil {
		return m.staples(nil)
	}
	staple := m.credential.Certificate.OCSPStaple
	if ask := m.config.GetOCSPStaple; ask != nil {
		info, certificate := m.clientHelloInfo(), m.credential.Certificate
		var err error
		if staple, err = later(m, func() ([]byte, error) { return ask(info, certificate) }); err != nil {
			return wrap(err, alert.InternalError, "GetOCSPStaple")
		}
	}
	return m.staples(staple)
}

// staples sets what goes with our certificate. An empty staple is none
// (RFC 6066 8).
func (m *Machine) staples(staple []byte) error {
	if m.staple = staple; len(staple) == 0 {
		m.staple = nil
	}
	if c := m.credential.Certificate; c != nil {
		if err := checkTimestamps(c); err != nil {
			return alert.Localf(alert.InternalError, "our certificate: %w", err)
		}
	}
	return nil
}
