package dtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"github.com/pion/dtls/v3/pkg/crypto/elliptic"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/logging"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// A ServerOption configures a server, a ClientOption a client, an Option either. An
// option with a value that can't be used fails where it is applied.
type (
	ServerOption interface{ applyServer(*Config) error }
	ClientOption interface{ applyClient(*Config) error }
	Option       interface {
		ServerOption
		ClientOption
	}
)

type (
	either     func(*Config) error
	serverOnly func(*Config) error
)

func (o either) applyServer(c *Config) error     { return o(c) }
func (o either) applyClient(c *Config) error     { return o(c) }
func (o serverOnly) applyServer(c *Config) error { return o(c) }

// configured applies options of one role to a new Config.
func configured[O any](options []O, apply func(O, *Config) error) (*Config, error) {
	c := new(Config)
	for _, o := range options {
		if err := apply(o, c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func clientConfig(options []ClientOption) (*Config, error) {
	return configured(options, ClientOption.applyClient)
}

func serverConfig(options []ServerOption) (*Config, error) {
	return configured(options, ServerOption.applyServer)
}

// set is an option that any value will do for.
func set(f func(*Config)) either {
	return func(c *Config) error {
		f(c)
		return nil
	}
}

// list is an option that wants at least one value, and keeps a copy.
func list[T any](name string, values []T, field func(*Config) *[]T) either {
	return func(c *Config) error {
		if len(values) == 0 {
			return refused("With" + name + " without any value")
		}
		*field(c) = slices.Clone(values)
		return nil
	}
}

// callback is an option that wants a function.
func callback(name string, missing bool, f func(*Config)) either {
	return func(c *Config) error {
		if missing {
			return refused("With" + name + " without a function")
		}
		f(c)
		return nil
	}
}

// within is an option that wants a value of some range.
func within(name string, ok bool, f func(*Config)) either {
	return func(c *Config) error {
		if !ok {
			return refused("With" + name + " with a value out of its range")
		}
		f(c)
		return nil
	}
}

func refused(why string) error { return &FatalError{Err: errors.New(why)} }

// --- What this side authenticates with

// WithCertificates sets what this side shows: each a chain, leaf first, and its key.
func WithCertificates(certs ...tls.Certificate) Option {
	return list("Certificates", certs, func(c *Config) *[]tls.Certificate { return &c.Certificates })
}

// WithGetCertificate chooses a server's certificate by the name that the client
// asks for.
func WithGetCertificate(fn func(*ClientHelloInfo) (*tls.Certificate, error)) ServerOption {
	return serverOnly(callback("GetCertificate", fn == nil, func(c *Config) { c.GetCertificate = fn }))
}

// WithGetClientCertificate chooses a client's certificate when the server asks for
// one.
func WithGetClientCertificate(fn func(*CertificateRequestInfo) (*tls.Certificate, error)) Option {
	return callback("GetClientCertificate", fn == nil, func(c *Config) { c.GetClientCertificate = fn })
}

// WithSignatureSchemes sets the schemes that are taken of the peer and used by this
// side.
func WithSignatureSchemes(schemes ...tls.SignatureScheme) Option {
	return list("SignatureSchemes", schemes, func(c *Config) *[]tls.SignatureScheme { return &c.SignatureSchemes })
}

// WithCertificateSignatureSchemes sets the schemes of signatures inside
// certificates, which can't be others than WithSignatureSchemes names.
func WithCertificateSignatureSchemes(schemes ...tls.SignatureScheme) Option {
	return list("CertificateSignatureSchemes", schemes, func(c *Config) *[]tls.SignatureScheme { return &c.CertificateSignatureSchemes })
}

// WithInsecureHashes allows signatures by SHA-1 in 1.2. Warning: collisions of it
// are affordable.
func WithInsecureHashes(allow bool) Option { return set(func(c *Config) { c.InsecureHashes = allow }) }

// WithPSK sets how pre-shared keys are found, in both versions. With one there are
// no certificates, unless there is WithCertificates too.
func WithPSK(fn PSKCallback) Option {
	return callback("PSK", fn == nil, func(c *Config) { c.PSK = fn })
}

// WithPSKIdentityHint sets a client's identity, which it must have, or what a server
// of 1.2 tells clients about theirs.
func WithPSKIdentityHint(hint []byte) Option {
	return set(func(c *Config) { c.PSKIdentityHint = slices.Clone(hint) })
}

// --- How the peer is authenticated

// WithRootCAs sets the roots that a client trusts; nil means the system's.
func WithRootCAs(pool *x509.CertPool) Option { return set(func(c *Config) { c.RootCAs = pool }) }

// WithClientCAs sets the roots for client certificates; nil means the system's.
func WithClientCAs(pool *x509.CertPool) ServerOption {
	return serverOnly(set(func(c *Config) { c.ClientCAs = pool }))
}

// WithServerName sets the name that a client asks for and verifies. Without it, it
// is the peer's IP address that has to be in the certificate; or, with a callback
// that verifies, roots alone.
func WithServerName(name string) Option { return set(func(c *Config) { c.ServerName = name }) }

// WithClientAuth sets a server's policy for client certificates.
func WithClientAuth(auth ClientAuthType) ServerOption {
	return serverOnly(within("ClientAuth", NoClientCert <= auth && auth <= RequireAndVerifyClientCert, func(c *Config) { c.ClientAuth = auth }))
}

// WithInsecureSkipVerify accepts any server certificate for any name. Warning:
// without a callback that verifies, anybody on the path can be the server.
func WithInsecureSkipVerify(skip bool) Option {
	return set(func(c *Config) { c.InsecureSkipVerify = skip })
}

// WithVerifyPeerCertificate sets what checks a certificate after the ordinary
// checks, or instead of them. It runs if the peer shows one.
func WithVerifyPeerCertificate(fn func(rawCerts [][]byte, verifiedChains [][]*x509.Certificate) error) Option {
	return callback("VerifyPeerCertificate", fn == nil, func(c *Config) { c.VerifyPeerCertificate = fn })
}

// WithVerifyConnection sets what checks every connection last, resumed ones too.
func WithVerifyConnection(fn func(*State) error) Option {
	return callback("VerifyConnection", fn == nil, func(c *Config) { c.VerifyConnection = fn })
}

// --- What else is negotiated

// WithCipherSuites sets the suites of a version, most preferred first. Those of a
// version that no suite is named of are the default ones.
func WithCipherSuites(suites ...CipherSuiteID) Option {
	return list("CipherSuites", suites, func(c *Config) *[]CipherSuiteID { return &c.CipherSuites })
}

// WithCustomCipherSuites fails if the function returns any suite: there are none but
// godwit's.
func WithCustomCipherSuites(fn func() []CipherSuite) Option {
	return callback("CustomCipherSuites", fn == nil, func(c *Config) { c.CustomCipherSuites = fn })
}

// WithEllipticCurves sets the key exchange groups, most preferred first. Without it
// X25519MLKEM768 is the first.
func WithEllipticCurves(curves ...elliptic.Curve) Option {
	return list("EllipticCurves", curves, func(c *Config) *[]elliptic.Curve { return &c.EllipticCurves })
}

// WithExtendedMasterSecret sets the policy for RFC 7627.
func WithExtendedMasterSecret(ems ExtendedMasterSecretType) Option {
	return within("ExtendedMasterSecret", RequestExtendedMasterSecret <= ems && ems <= DisableExtendedMasterSecret, func(c *Config) { c.ExtendedMasterSecret = ems })
}

// WithSupportedProtocols sets the ALPN protocols, most preferred first.
func WithSupportedProtocols(protocols ...string) Option {
	return list("SupportedProtocols", protocols, func(c *Config) *[]string { return &c.SupportedProtocols })
}

// WithSRTPProtectionProfiles sets the profiles, most preferred first. A client then
// wants its server to choose one.
func WithSRTPProtectionProfiles(profiles ...SRTPProtectionProfile) Option {
	return list("SRTPProtectionProfiles", profiles, func(c *Config) *[]SRTPProtectionProfile { return &c.SRTPProtectionProfiles })
}

// WithSRTPMasterKeyIdentifier sets the MKI that a client asks for and a server
// agrees to.
func WithSRTPMasterKeyIdentifier(identifier []byte) Option {
	return set(func(c *Config) { c.SRTPMasterKeyIdentifier = slices.Clone(identifier) })
}

// WithSessionStore sets where sessions are kept, to be resumed. Without it none are.
func WithSessionStore(store SessionStore) Option {
	return set(func(c *Config) { c.SessionStore = store })
}

// WithConnectionIDGenerator sets what makes the connection IDs of the peer's
// records: all of one length.
func WithConnectionIDGenerator(fn func() []byte) Option {
	return callback("ConnectionIDGenerator", fn == nil, func(c *Config) { c.ConnectionIDGenerator = fn })
}

// --- Datagrams

// WithFlightInterval sets the first retransmission timeout, which is one second
// otherwise.
func WithFlightInterval(interval time.Duration) Option {
	return within("FlightInterval", interval > 0, func(c *Config) { c.FlightInterval = interval })
}

// WithDisableRetransmitBackoff fails if it disables anything: timeouts double.
func WithDisableRetransmitBackoff(disable bool) Option {
	return set(func(c *Config) { c.DisableRetransmitBackoff = disable })
}

// WithMTU sets the largest datagram of the handshake, from 228 bytes. Without it, it
// is 1200, and less after repeated timeouts.
func WithMTU(mtu int) Option { return within("MTU", mtu > 0, func(c *Config) { c.MTU = mtu }) }

// WithReplayProtectionWindow takes any window: there are 256 records in it, always.
func WithReplayProtectionWindow(window int) Option {
	return within("ReplayProtectionWindow", window >= 0, func(c *Config) { c.ReplayProtectionWindow = window })
}

// WithPaddingLengthGenerator fails: godwit pads to multiples of a length. See
// WithGodwit and Config.RecordPadding there.
func WithPaddingLengthGenerator(fn func(uint) uint) Option {
	return callback("PaddingLengthGenerator", fn == nil, func(c *Config) { c.PaddingLengthGenerator = fn })
}

// WithInsecureSkipVerifyHello lets a listener keep state for a client whose address
// it hasn't validated by a cookie.
func WithInsecureSkipVerifyHello(skip bool) ServerOption {
	return serverOnly(set(func(c *Config) { c.InsecureSkipVerifyHello = skip }))
}

// WithOnConnectionAttempt sets what may refuse a client, by its address, once that
// is validated.
func WithOnConnectionAttempt(fn func(net.Addr) error) ServerOption {
	return serverOnly(callback("OnConnectionAttempt", fn == nil, func(c *Config) { c.OnConnectionAttempt = fn }))
}

// WithListenConfig sets how ListenWithOptions opens its socket.
func WithListenConfig(listenConfig net.ListenConfig) ServerOption {
	return serverOnly(set(func(c *Config) { c.listen = listenConfig }))
}

// --- Hooks

// WithHelloRandomBytesGenerator sets what makes the random bytes of a client's
// hellos. Warning: they have to be as fresh as random ones.
func WithHelloRandomBytesGenerator(fn func() [handshake.RandomBytesLength]byte) Option {
	return callback("HelloRandomBytesGenerator", fn == nil, func(c *Config) { c.HelloRandomBytesGenerator = fn })
}

// WithClientHelloMessageHook sets what may replace a ClientHello, in the limits of
// godwit's Config.RewriteMessage: suites and extensions in another order, or fewer,
// or with others that mean nothing.
func WithClientHelloMessageHook(fn func(handshake.MessageClientHello) handshake.Message) Option {
	return callback("ClientHelloMessageHook", fn == nil, func(c *Config) { c.ClientHelloMessageHook = fn })
}

// WithServerHelloMessageHook sets what may replace a ServerHello.
func WithServerHelloMessageHook(fn func(handshake.MessageServerHello) handshake.Message) ServerOption {
	return serverOnly(callback("ServerHelloMessageHook", fn == nil, func(c *Config) { c.ServerHelloMessageHook = fn }))
}

// WithCertificateRequestMessageHook sets what may replace a CertificateRequest of
// 1.2; that of 1.3 goes encrypted.
func WithCertificateRequestMessageHook(fn func(handshake.MessageCertificateRequest) handshake.Message) ServerOption {
	return serverOnly(callback("CertificateRequestMessageHook", fn == nil, func(c *Config) { c.CertificateRequestMessageHook = fn }))
}

// --- Around the connection

// WithLoggerFactory sets what makes the logger "dtls".
func WithLoggerFactory(factory logging.LoggerFactory) Option {
	return set(func(c *Config) { c.LoggerFactory = factory })
}

// WithKeyLogWriter sets where secrets are written to, for debugging. Whoever reads
// them can read the connection.
func WithKeyLogWriter(writer io.Writer) Option {
	return set(func(c *Config) { c.KeyLogWriter = writer })
}

// WithGodwit is not Pion's: it changes godwit's own Config after all other options,
// for what those can't say, as the versions: MaxVersion, MinVersion.
func WithGodwit(change func(*godwit.Config)) Option {
	return callback("Godwit", change == nil, func(c *Config) { c.options = append(c.options, change) })
}
