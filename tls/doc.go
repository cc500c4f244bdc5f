// Package tls is TLS 1.3 (RFC 9846) and TLS 1.2 (RFC 5246) over streams, on the
// same handshake as package dtls. Names and meanings are crypto/tls's where it
// has them:
//
//	listener, err := tls.Listen("tcp", ":443", &tls.Config{Certificates: certificates})
//	conn, err := tls.Dial("tcp", "example.com:443", nil)
//
// One difference is meant to be noticed: [Client], [Server] and [NewListener]
// return an error, a *[ConfigError] that names the field, if a Config can't
// work. It never waits for the first handshake to say so.
//
// A [Conn] is a net.Conn. An [Engine] is what is inside of one: a connection
// without I/O, goroutines or clock, for whoever brings bytes along in another
// way.
//
// What ends a connection, apart from errors of the link below it, is an
// *[Error], which names the alert that went out or came in.
//
// Where causes share an alert, a [Reason] tells them apart. Package shared/alert
// lists them, and is covered by this package's promise:
//
//	if errors.Is(err, alert.NoCommonSuite) {
package tls

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

// What tls and dtls have in common is covered by tls's promise under these
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
	// An AntiReplay recognizes 0-RTT that comes again, for Config.AntiReplay.
	AntiReplay = handshake.AntiReplay
	// An EarlyDataReason says why there is 0-RTT, or none.
	EarlyDataReason = handshake.EarlyDataReason
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

// The versions for Config.MinVersion and MaxVersion. DTLS's numbers mean the
// same there.
const (
	VersionTLS12 = uint16(protocol.VersionTLS12)
	VersionTLS13 = uint16(protocol.VersionTLS13)
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
