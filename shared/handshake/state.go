package handshake

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// ConnectionState describes a connection; fields that crypto/tls has too are
// named as there.
type ConnectionState struct {
	Version            uint16 // on the wire: 0xfefc is DTLS 1.3, 0x0304 TLS 1.3
	HandshakeComplete  bool
	DidResume          bool
	CipherSuite        uint16
	CurveID            tls.CurveID // the key exchange group
	NegotiatedProtocol string      // ALPN
	SRTPProfile        SRTPProfile // zero if none was negotiated; see Config.SRTPProfiles
	ServerName         string      // SNI, as sent or received

	PeerCertificates []*x509.Certificate
	VerifiedChains   [][]*x509.Certificate

	// OCSPResponse and SignedCertificateTimestamps came with PeerCertificates, if
	// Config.RequestOCSPStaple and RequestSCTs asked for them; a resumed session
	// has those of its first handshake. They are as the peer sent them: neither
	// is verified.
	OCSPResponse                []byte
	SignedCertificateTimestamps [][]byte

	HelloRetryRequest bool

	// PeerSignature and LocalSignature are the schemes by which each side
	// proved that it has its certificate's key; zero if it showed none.
	PeerSignature, LocalSignature tls.SignatureScheme

	// LocalCredential is what this side authenticated with: one of
	// Config.Credentials, or one made of Certificates or of what a callback gave;
	// nil if it showed nothing, or resumed a session.
	LocalCredential *Credential

	// ExtendedMasterSecret is whether RFC 7627 was used; always true in 1.3,
	// whose key schedule does the same.
	ExtendedMasterSecret bool

	// LimitReached says that a 1.2 connection has protected as much as its AEAD
	// safely can with one key (see Config.CloseAtLimit).
	LimitReached bool

	export func(label string, context []byte, length int) ([]byte, error)
}

// ExportKeyingMaterial returns length bytes of keying material bound to this
// connection (RFC 5705, RFC 9846 7.5). A nil context is, in 1.2, different from
// an empty one. It fails before the handshake is complete, and in 1.2 without
// extended_master_secret.
func (s *ConnectionState) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if s.export == nil {
		return nil, alert.Localf(alert.InternalError, "keying material is exported after a completed handshake, not before")
	}
	return s.export(label, context, length)
}
