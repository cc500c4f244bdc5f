// Package dtls is DTLS 1.3 (RFC 9147) and DTLS 1.2 (RFC 6347): TLS over datagrams
// that get lost, doubled and out of order. Names and meanings are crypto/tls's
// where it has them:
//
//	listener, err := dtls.Listen("udp", ":5684", &dtls.Config{Certificates: certificates})
//	conn, err := dtls.Dial("udp", "device.example:5684", nil)
//
// One difference is meant to be noticed: [Client], [Server], [Listen] and
// [NewListener] return an error, a *[ConfigError] that names the field, if a
// Config can't work. It never waits for the first handshake to say so.
//
// A [Conn] is a net.Conn that keeps boundaries: Write sends one record in one
// datagram, Read returns one record. What is lost stays lost, and what comes
// twice is delivered once. An [Engine] is what is inside of a Conn: an
// association without I/O, goroutines or clock, for whoever brings datagrams
// along in another way.
//
// A [Listener] keeps nothing about a client until that has shown, by bringing a
// cookie back, that it receives what is sent to its address.
//
// What ends a connection, apart from errors of the link below it, is an
// *[Error], which names the alert that went out or came in, or a timeout:
// [ErrTimeout] when the peer didn't answer, [ErrHandshakeTimeout] when the
// handshake took too long. What anybody could have forged (datagrams that don't
// authenticate, ICMP errors) is counted in [Stats] and changes nothing.
//
// Where causes share an alert, a [Reason] tells them apart. Package shared/alert
// lists them, and is covered by this package's promise:
//
//	if errors.Is(err, alert.NoCommonSuite) {
package dtls

import (
	"crypto"
	"crypto/tls"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// What dtls and tls have in common is covered by dtls's promise under these
// names.
type (
	// A Config configures a client or server; its zero value is a client.
	Config = handshake.Config
	// A ConfigError names the field of a Config that can't be used.
	ConfigError = handshake.ConfigError
	// A Credential is something that a side can authenticate with.
	Credential = handshake.Credential
	// A CertificateType is what a peer shows its public key in (RFC 7250).
	CertificateType = handshake.CertificateType
	// A CertificateCompressor is a way to compress certificates (RFC 8879).
	CertificateCompressor = handshake.CertificateCompressor
	// ZlibCompressor is the CertificateCompressor that is here already.
	ZlibCompressor = cert.Zlib
	// A DelegatedCredential lets another key sign for a certificate.
	DelegatedCredential = handshake.DelegatedCredential
	// A CertificateRequestInfo is what Config.GetClientCredential sees.
	CertificateRequestInfo = handshake.CertificateRequestInfo
	// An ExternalPSK is a key that both peers were given by other means.
	ExternalPSK = handshake.ExternalPSK
	// A PSKUse is how an ExternalPSK is used.
	PSKUse = handshake.PSKUse
	// ConnectionState describes a connection.
	ConnectionState = handshake.ConnectionState
	// An Error ended a connection: it says whose fault it was and which alert
	// went out or came in.
	Error = alert.Error
	// A Reason says why, finer than the alert: package shared/alert lists them.
	Reason = alert.Reason
	// An Alert is what one side tells the other that it ends, and why, as IANA
	// numbers them.
	Alert = alert.Alert
	// KeyUpdateRequest says whether the peer shall update its keys too.
	KeyUpdateRequest = message.KeyUpdateRequest
	// A SessionState is what resumes a session, for Config.WrapSession and for a
	// ClientSessionCache.
	SessionState = handshake.SessionState
	// A ServerSessionCache is where a server keeps sessions, see
	// Config.ServerSessionCache.
	ServerSessionCache = handshake.ServerSessionCache
	// A ClientSessionCache is where a client keeps its sessions.
	ClientSessionCache = handshake.ClientSessionCache
	// An SRTPProfile is a protection profile of DTLS-SRTP, for Config.SRTPProfiles.
	SRTPProfile = handshake.SRTPProfile
	// SRTPKeys are the keys of media beside an association, from Conn.SRTPKeys.
	SRTPKeys = handshake.SRTPKeys
	// An AntiReplay recognizes 0-RTT that comes again, for Config.AntiReplay.
	AntiReplay = handshake.AntiReplay
	// An EarlyDataReason says why there is 0-RTT, or none.
	EarlyDataReason = handshake.EarlyDataReason
	// A Store keeps connections that survive the process, for Config.Store.
	Store = handshake.Store
	// An Event is what Config.Trace is called with.
	Event = handshake.Event
	// A HandshakeType is the type of a handshake message, for Config.RewriteMessage.
	HandshakeType = handshake.HandshakeType
)

// NewLRUClientSessionCache returns a ClientSessionCache that holds up to capacity
// sessions in memory, or 64 if capacity is less than one.
func NewLRUClientSessionCache(capacity int) ClientSessionCache { return session.NewLRUCache(capacity) }

// NewLRUServerSessionCache returns a ServerSessionCache that holds up to capacity
// sessions (1024 if it is less than one), and drops the oldest when it is full.
func NewLRUServerSessionCache(capacity int) ServerSessionCache { return session.NewLRUStore(capacity) }

// NewDelegatedCredential makes a DelegatedCredential for key by the key of parent,
// a certificate that may delegate (RFC 9345 4.2). Clients take it until expires,
// and if that is no more than seven days away.
func NewDelegatedCredential(parent *tls.Certificate, key crypto.Signer, expires time.Time) (*DelegatedCredential, error) {
	return handshake.NewDelegatedCredential(parent, key, expires)
}

// ParseSessionState reads what SessionState.Bytes gave.
func ParseSessionState(data []byte) (*SessionState, error) { return session.ParseState(data) }

// ErrGeneration is a Store's answer to a Swap that comes too late.
var ErrGeneration = handshake.ErrGeneration

// The versions for Config.MinVersion and MaxVersion. TLS's numbers mean the
// same there.
const (
	VersionDTLS12 = uint16(protocol.VersionDTLS12)
	VersionDTLS13 = uint16(protocol.VersionDTLS13)
)

// The messages that Config.RewriteMessage sees.
const (
	ClientHello        = protocol.ClientHello
	ServerHello        = protocol.ServerHello
	CertificateRequest = protocol.CertificateRequest
)

// The certificate types for Config.PeerCertificateTypes.
const (
	X509         = protocol.X509
	RawPublicKey = protocol.RawPublicKey
)

// How an ExternalPSK is used.
const (
	PSKImported = handshake.PSKImported
	PSKDirect   = handshake.PSKDirect
	PSKDirect12 = handshake.PSKDirect12
)

// Whether KeyUpdate asks the peer for one too.
const (
	UpdateNotRequested = message.NotRequested
	UpdateRequested    = message.Requested
)

// The profiles for Config.SRTPProfiles.
const (
	SRTPAES128CMHMACSHA1_80 = protocol.SRTPAES128CMHMACSHA1_80
	SRTPAES128CMHMACSHA1_32 = protocol.SRTPAES128CMHMACSHA1_32
	SRTPAEADAES128GCM       = protocol.SRTPAEADAES128GCM
	SRTPAEADAES256GCM       = protocol.SRTPAEADAES256GCM
)

// MLKEM1024 is for Config.CurvePreferences, whose other groups crypto/tls names.
// No Config has it unless it says so.
const MLKEM1024 = suite.MLKEM1024

// The cipher suites for Config.CipherSuites.
const (
	TLS_AES_128_GCM_SHA256       = suite.TLS_AES_128_GCM_SHA256
	TLS_AES_256_GCM_SHA384       = suite.TLS_AES_256_GCM_SHA384
	TLS_CHACHA20_POLY1305_SHA256 = suite.TLS_CHACHA20_POLY1305_SHA256
	TLS_AES_128_CCM_SHA256       = suite.TLS_AES_128_CCM_SHA256

	TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256       = suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256         = suite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384       = suite.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
	TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384         = suite.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
	TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = suite.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
	TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256   = suite.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
	TLS_ECDHE_ECDSA_WITH_AES_128_CCM              = suite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM
	TLS_ECDHE_ECDSA_WITH_AES_256_CCM              = suite.TLS_ECDHE_ECDSA_WITH_AES_256_CCM
	TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8            = suite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8
	TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8            = suite.TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8

	// Used only with an ExternalPSK; those without ECDHE have no forward secrecy.
	TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256       = suite.TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256
	TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384       = suite.TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384
	TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256 = suite.TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256
	TLS_PSK_WITH_AES_128_GCM_SHA256             = suite.TLS_PSK_WITH_AES_128_GCM_SHA256
	TLS_PSK_WITH_AES_256_GCM_SHA384             = suite.TLS_PSK_WITH_AES_256_GCM_SHA384
	TLS_PSK_WITH_CHACHA20_POLY1305_SHA256       = suite.TLS_PSK_WITH_CHACHA20_POLY1305_SHA256
	TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256       = suite.TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256
	TLS_PSK_WITH_AES_128_CCM                    = suite.TLS_PSK_WITH_AES_128_CCM
	TLS_PSK_WITH_AES_256_CCM                    = suite.TLS_PSK_WITH_AES_256_CCM
	TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256     = suite.TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256
	TLS_PSK_WITH_AES_128_CCM_8                  = suite.TLS_PSK_WITH_AES_128_CCM_8
	TLS_PSK_WITH_AES_256_CCM_8                  = suite.TLS_PSK_WITH_AES_256_CCM_8

	// Used only if they are named: see the warning at Config.CipherSuites.
	TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 = suite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256
	TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256   = suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256
	TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA    = suite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
	TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA      = suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
	TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA    = suite.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA
	TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA      = suite.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
	TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA      = suite.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA
	TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA      = suite.TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA
	TLS_PSK_WITH_AES_128_CBC_SHA            = suite.TLS_PSK_WITH_AES_128_CBC_SHA
	TLS_PSK_WITH_AES_256_CBC_SHA            = suite.TLS_PSK_WITH_AES_256_CBC_SHA

	TLS_RSA_WITH_AES_128_GCM_SHA256 = suite.TLS_RSA_WITH_AES_128_GCM_SHA256
	TLS_RSA_WITH_AES_256_GCM_SHA384 = suite.TLS_RSA_WITH_AES_256_GCM_SHA384
	TLS_RSA_WITH_AES_128_CBC_SHA    = suite.TLS_RSA_WITH_AES_128_CBC_SHA
	TLS_RSA_WITH_AES_256_CBC_SHA    = suite.TLS_RSA_WITH_AES_256_CBC_SHA

	TLS_AES_128_CCM_8_SHA256 = suite.TLS_AES_128_CCM_8_SHA256
)

// CipherSuites lists the suites that are used by default, most preferred first.
func CipherSuites() []*tls.CipherSuite { return handshake.CipherSuites() }

// InsecureCipherSuites lists those that are used only where Config.CipherSuites
// names them; see there for what is wrong with them.
func InsecureCipherSuites() []*tls.CipherSuite { return handshake.InsecureCipherSuites() }
