package dtls

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"time"

	"github.com/pion/dtls/v3/pkg/crypto/elliptic"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/logging"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// A Config is what an application says, field by field or by options of the same
// names, which say what each means. It must not be changed once it is in use.
type Config struct {
	Certificates                []tls.Certificate
	GetCertificate              func(*ClientHelloInfo) (*tls.Certificate, error)
	GetClientCertificate        func(*CertificateRequestInfo) (*tls.Certificate, error)
	SignatureSchemes            []tls.SignatureScheme
	CertificateSignatureSchemes []tls.SignatureScheme
	InsecureHashes              bool

	PSK             PSKCallback
	PSKIdentityHint []byte

	RootCAs               *x509.CertPool
	ClientCAs             *x509.CertPool
	ServerName            string
	ClientAuth            ClientAuthType
	InsecureSkipVerify    bool
	VerifyPeerCertificate func(rawCerts [][]byte, verifiedChains [][]*x509.Certificate) error
	VerifyConnection      func(*State) error

	CipherSuites         []CipherSuiteID
	CustomCipherSuites   func() []CipherSuite
	EllipticCurves       []elliptic.Curve
	ExtendedMasterSecret ExtendedMasterSecretType
	SupportedProtocols   []string

	SRTPProtectionProfiles  []SRTPProtectionProfile
	SRTPMasterKeyIdentifier []byte

	SessionStore          SessionStore
	ConnectionIDGenerator func() []byte

	FlightInterval           time.Duration
	DisableRetransmitBackoff bool
	MTU                      int
	ReplayProtectionWindow   int
	PaddingLengthGenerator   func(uint) uint
	InsecureSkipVerifyHello  bool
	OnConnectionAttempt      func(net.Addr) error

	HelloRandomBytesGenerator     func() [handshake.RandomBytesLength]byte
	ClientHelloMessageHook        func(handshake.MessageClientHello) handshake.Message
	ServerHelloMessageHook        func(handshake.MessageServerHello) handshake.Message
	CertificateRequestMessageHook func(handshake.MessageCertificateRequest) handshake.Message

	LoggerFactory logging.LoggerFactory
	KeyLogWriter  io.Writer

	listen  net.ListenConfig
	options []func(*godwit.Config)
}

// A ClientAuthType is a server's policy for client certificates.
type ClientAuthType int

// The policies, as crypto/tls has them.
const (
	NoClientCert               = ClientAuthType(tls.NoClientCert)
	RequestClientCert          = ClientAuthType(tls.RequestClientCert)
	RequireAnyClientCert       = ClientAuthType(tls.RequireAnyClientCert)
	VerifyClientCertIfGiven    = ClientAuthType(tls.VerifyClientCertIfGiven)
	RequireAndVerifyClientCert = ClientAuthType(tls.RequireAndVerifyClientCert)
)

// An ExtendedMasterSecretType is a policy for RFC 7627 in 1.2; 1.3 always has it.
type ExtendedMasterSecretType int

const (
	// RequestExtendedMasterSecret is the zero value, and the same as
	// RequireExtendedMasterSecret: nobody gets less without saying so.
	RequestExtendedMasterSecret ExtendedMasterSecretType = iota
	RequireExtendedMasterSecret
	// DisableExtendedMasterSecret takes peers without it. Warning: the triple
	// handshake attack becomes possible with them. Those that have it use it.
	DisableExtendedMasterSecret
)

// A PSKCallback finds a pre-shared key. A server's gets the client's identity, a
// client's the server's hint: nil in 1.3, which has none, and where the server sent
// none.
type PSKCallback func(hint []byte) ([]byte, error)

// An SRTPProtectionProfile is a protection profile of DTLS-SRTP.
type SRTPProtectionProfile = extension.SRTPProtectionProfile

// The profiles; see package extension for a warning.
const (
	SRTP_AES128_CM_HMAC_SHA1_80 = extension.SRTP_AES128_CM_HMAC_SHA1_80
	SRTP_AES128_CM_HMAC_SHA1_32 = extension.SRTP_AES128_CM_HMAC_SHA1_32
	SRTP_AES256_CM_SHA1_80      = extension.SRTP_AES256_CM_SHA1_80
	SRTP_AES256_CM_SHA1_32      = extension.SRTP_AES256_CM_SHA1_32
	SRTP_NULL_HMAC_SHA1_80      = extension.SRTP_NULL_HMAC_SHA1_80
	SRTP_NULL_HMAC_SHA1_32      = extension.SRTP_NULL_HMAC_SHA1_32
	SRTP_AEAD_AES_128_GCM       = extension.SRTP_AEAD_AES_128_GCM
	SRTP_AEAD_AES_256_GCM       = extension.SRTP_AEAD_AES_256_GCM
)

// A ClientHelloInfo is what GetCertificate sees.
type ClientHelloInfo struct {
	ServerName   string
	CipherSuites []CipherSuiteID
	RandomBytes  [handshake.RandomBytesLength]byte
}

// A CertificateRequestInfo is what GetClientCertificate sees.
type CertificateRequestInfo struct {
	AcceptableCAs [][]byte // distinguished names, in DER; none if the server has no preference

	info *tls.CertificateRequestInfo
}

// SupportsCertificate says why a certificate is not what the server asks for.
func (i *CertificateRequestInfo) SupportsCertificate(c *tls.Certificate) error {
	return i.info.SupportsCertificate(c)
}
