package handshake

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// ConnectionState describes a connection; fields that crypto/tls has too are
// named as there.
type ConnectionState struct {
	Version            uint16 // on the wire: 0xfefc is DTLS 1.3, 0x0304 TLS 1.3
	HandshakeComplete  bool
	DidResume          bool
	CipherSuite        uint16
	CurveID            tls.CurveID // the key exchange group; of a resumed session of 1.2, that of its first handshake; zero with a PSK alone
	NegotiatedProtocol string      // ALPN
	SRTPProfile        SRTPProfile // zero if none was negotiated; see Config.SRTPProfiles
	ServerName         string      // SNI, as sent or received

	// SRTPMasterKeyIdentifier is the MKI that every SRTP packet of this association
	// carries, in both directions (RFC 5764 4.1.3); empty if they carry none.
	SRTPMasterKeyIdentifier []byte

	// MaxPlaintext is how many bytes of data, and of padding, one record to the
	// peer may have: 2^14, or less by its record_size_limit or by
	// max_fragment_length (see Config.RecordSizeLimit). Over datagrams, where one
	// Write is one record, Write takes no more. Config.MTU and MaxSendFragment
	// don't count here.
	MaxPlaintext int

	PeerCertificates []*x509.Certificate
	VerifiedChains   [][]*x509.Certificate

	// OCSPResponse and SignedCertificateTimestamps came with PeerCertificates, if
	// Config.RequestOCSPStaple and RequestSCTs asked for them; a resumed session
	// has those of its first handshake. They are as the peer sent them: neither
	// is verified.
	OCSPResponse                []byte
	SignedCertificateTimestamps [][]byte

	// PeerRawPublicKey is the SubjectPublicKeyInfo, in DER, of a peer that showed
	// no certificate but a raw public key (RFC 7250); nil otherwise.
	PeerRawPublicKey []byte

	ECHAccepted bool // the ClientHello went encrypted (RFC 9849)

	HelloRetryRequest bool

	// PeerSignature and LocalSignature are the schemes by which each side
	// proved that it has its certificate's key; zero if it showed none. In a
	// resumed session they are the peer's of the first handshake, and none.
	PeerSignature, LocalSignature tls.SignatureScheme

	// LocalCredential is what this side authenticated with: one of
	// Config.Credentials, or one made of Certificates or of what a callback gave;
	// nil if it showed nothing, or resumed a session.
	LocalCredential *Credential

	// PSKIdentity is the identity of the external key that authenticates both
	// peers: in this handshake, or in the one whose session is resumed. Without
	// one it is nil.
	PSKIdentity []byte

	// LocalConnectionID is what the peer's newest record carried, or shall carry
	// if it has sent none; RemoteConnectionID what ours carry (RFC 9146, RFC 9147
	// 9). Empty if they carry none; of what the peer does that is certain once the
	// handshake is complete. ReturnRoutability is whether both sides know RFC 9853.
	LocalConnectionID, RemoteConnectionID []byte
	ReturnRoutability                     bool

	// ExtendedMasterSecret is whether RFC 7627 was used; always true in 1.3,
	// whose key schedule does the same.
	ExtendedMasterSecret bool

	// EarlyDataAccepted says that 0-RTT data is, or was, taken on this connection,
	// and EarlyDataReason why, or why not; a client that offers some doesn't know
	// until the server has answered. Until then the fields above are what the
	// session has, and what its early data will be understood by.
	EarlyDataAccepted bool
	EarlyDataReason   EarlyDataReason

	// EarlyBytes is how many bytes a server has received as 0-RTT. They are the
	// first that it reads, before all others.
	EarlyBytes int64

	// TicketAgeSkew is by how much a client's clock, or somebody who held its
	// ClientHello back, makes the ticket older (or, negative, younger) than the
	// server of 1.3 knows it to be.
	TicketAgeSkew time.Duration

	// SecureRenegotiation is whether the peer signals RFC 5746; always true in
	// 1.3, which has no renegotiation. See Config.RequireSecureRenegotiation.
	SecureRenegotiation bool

	// TLSUnique is the channel binding "tls-unique" (RFC 5929 3): the first
	// Finished of a 1.2 handshake. 1.3 has none; use ExportKeyingMaterial there
	// (RFC 9266). Nor has a resumed session without ExtendedMasterSecret: it may be
	// the same in two connections that somebody in the middle has brought together.
	TLSUnique []byte

	// LimitReached says that a 1.2 connection has protected as much as its AEAD
	// safely can with one key (see Config.CloseAtLimit).
	LimitReached bool

	export      func(label string, context []byte, length int) ([]byte, error)
	exportEarly func(label string, context []byte, length int) ([]byte, error)
}

// ExportKeyingMaterial returns length bytes of keying material bound to this
// connection (RFC 5705, RFC 9846 7.5). A nil context is, in 1.2, different from
// an empty one. It fails before the handshake is complete (but for a server that
// answers 0-RTT), and in 1.2 without extended_master_secret.
func (s *ConnectionState) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if s.export == nil {
		return nil, alert.Localf(alert.InternalError, "%w: no keying material yet", alert.HandshakeIncomplete)
	}
	return s.export(label, context, length)
}

// ExportEarlyKeyingMaterial returns length bytes of keying material bound to the
// ClientHello that brings 0-RTT (RFC 9846 7.5): whoever sends it again gets the
// same. It fails where no 0-RTT is offered, and at a server that doesn't take it.
//
// RFC 9846 7.5 [2]
func (s *ConnectionState) ExportEarlyKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	if s.exportEarly == nil {
		return nil, alert.Localf(alert.InternalError, "no keying material of early data: %s", s.EarlyDataReason)
	}
	return s.exportEarly(label, context, length)
}
