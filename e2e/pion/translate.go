package dtls

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/logging"

	godwit "github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// defaultFlightInterval is Pion's, which RFC 9147 5.8.2 recommends too.
const defaultFlightInterval = time.Second

// server is what a Config means for a server.
func (c *Config) server() (*godwit.Config, error) {
	if c == nil {
		return nil, refused("no Config")
	}
	g, err := c.common()
	if err != nil {
		return nil, err
	}
	g.ClientAuth = tls.ClientAuthType(c.ClientAuth)
	g.ClientCAs = c.ClientCAs
	g.InsecureDisableCookies = c.InsecureSkipVerifyHello
	if c.GetCertificate != nil {
		g.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.GetCertificate(clientHelloInfo(info))
		}
	}
	if c.PSK != nil {
		c.servePSK(g)
	}
	if c.SessionStore != nil {
		serveSessions(g, c.SessionStore)
	}
	return c.finished(g), nil
}

// client is what a Config means for a client whose server is at this address.
func (c *Config) client(remote net.Addr) (*godwit.Config, error) {
	switch {
	case c == nil:
		return nil, refused("no Config")
	case c.PSK != nil && c.PSKIdentityHint == nil:
		return nil, refused("PSK without PSKIdentityHint: a client's key has an identity")
	}
	g, err := c.common()
	if err != nil {
		return nil, err
	}
	g.RootCAs, g.ServerName, g.InsecureSkipVerify = c.RootCAs, c.ServerName, c.InsecureSkipVerify
	if c.GetClientCertificate != nil {
		g.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.GetClientCertificate(&CertificateRequestInfo{info.AcceptableCAs, info})
		}
	}
	switch {
	case c.ServerName != "" || c.InsecureSkipVerify:
	case c.VerifyPeerCertificate != nil || c.VerifyConnection != nil:
		verifyRootsAlone(g)
	default:
		g.ServerName = host(remote)
	}
	if len(c.SRTPProtectionProfiles) > 0 {
		requireSRTP(g)
	}
	if c.PSK != nil {
		c.offerPSK(g)
	}
	if c.SessionStore != nil {
		g.ClientSessionCache = clientSessions{c.SessionStore}
	}
	return c.finished(g), nil
}

// common is what a Config means for either role.
func (c *Config) common() (*godwit.Config, error) {
	if err := c.refuse(); err != nil {
		return nil, err
	}
	g := &godwit.Config{
		Certificates:            c.signers(),
		PSKIdentityHint:         c.PSKIdentityHint,
		PeerSignatureSchemes:    c.SignatureSchemes,
		InsecureAllowSHA1:       c.InsecureHashes,
		InsecureAllowMissingEMS: c.ExtendedMasterSecret == DisableExtendedMasterSecret,
		CipherSuites:            converted[uint16](c.CipherSuites),
		CurvePreferences:        converted[tls.CurveID](c.EllipticCurves),
		NextProtos:              c.SupportedProtocols,
		SRTPProfiles:            converted[godwit.SRTPProfile](c.SRTPProtectionProfiles),
		SRTPMasterKeyIdentifier: c.SRTPMasterKeyIdentifier,
		SessionTicketsDisabled:  c.SessionStore == nil || c.PSK != nil, // a PSKCallback may take a ticket for an identity
		MaxVersion:              maxVersion,
		RewriteMessage:          c.rewrite(),
		MTU:                     max(c.MTU, 0),
		InitialTimeout:          c.FlightInterval,
		LoggerFactory:           c.LoggerFactory,
		KeyLogWriter:            c.KeyLogWriter,
	}
	if g.InitialTimeout <= 0 {
		g.InitialTimeout = defaultFlightInterval
	}
	if g.LoggerFactory == nil {
		g.LoggerFactory = logging.NewDefaultLoggerFactory() // which goes by PION_LOG_DEBUG and the like
	}
	if c.VerifyPeerCertificate != nil {
		g.VerifyPeerCertificate = func(rawCerts [][]byte, chains [][]*x509.Certificate) error {
			if len(rawCerts) == 0 {
				return nil // ClientAuth has said whether that is allowed
			}
			return c.VerifyPeerCertificate(rawCerts, chains)
		}
	}
	if c.VerifyConnection != nil {
		g.VerifyConnection = func(state godwit.ConnectionState) error {
			return c.VerifyConnection(newState(state, nil))
		}
	}
	if c.ConnectionIDGenerator != nil {
		g.ConnectionIDs = connectionIDs{c.ConnectionIDGenerator, len(c.ConnectionIDGenerator())}
	}
	return g, nil
}

// refuse names what godwit can't do, if the application asks for it.
func (c *Config) refuse() error {
	for _, r := range []struct {
		asked bool
		why   string
	}{
		{c.PSK == nil && c.PSKIdentityHint != nil, "PSKIdentityHint without PSK"},
		{c.CustomCipherSuites != nil && len(c.CustomCipherSuites()) > 0, "CustomCipherSuites: there are no suites but godwit's own"},
		{c.CertificateSignatureSchemes != nil && !slices.Equal(c.CertificateSignatureSchemes, c.SignatureSchemes), "CertificateSignatureSchemes: they are those of SignatureSchemes"},
		{c.DisableRetransmitBackoff, "DisableRetransmitBackoff: retransmission timeouts double (RFC 9147 5.8.2)"},
		{c.PaddingLengthGenerator != nil, "PaddingLengthGenerator: see WithGodwit and Config.RecordPadding there"},
	} {
		if r.asked {
			return refused(r.why)
		}
	}
	return nil
}

// finished applies WithGodwit.
func (c *Config) finished(g *godwit.Config) *godwit.Config {
	for _, change := range c.options {
		change(g)
	}
	return g
}

// signers are the certificates, which sign by SignatureSchemes alone.
func (c *Config) signers() []tls.Certificate {
	certificates := slices.Clone(c.Certificates)
	for i := range certificates {
		if len(c.SignatureSchemes) > 0 && certificates[i].SupportedSignatureAlgorithms == nil {
			certificates[i].SupportedSignatureAlgorithms = c.SignatureSchemes
		}
	}
	return certificates
}

// converted is a list with the same numbers of another type; nil stays nil.
func converted[To, From ~uint16](from []From) []To {
	var to []To
	for _, v := range from {
		to = append(to, To(v))
	}
	return to
}

// host is the IP address of an address that has one.
func host(a net.Addr) string {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		if ip := a.AddrPort().Addr().Unmap(); ip.IsValid() {
			return ip.WithZone("").String()
		}
	}
	return ""
}

// verifyRootsAlone leaves the server's name to the application, which verifies.
func verifyRootsAlone(g *godwit.Config) {
	peer, connection := g.VerifyPeerCertificate, g.VerifyConnection
	verify := func(chain []*x509.Certificate) ([][]*x509.Certificate, error) {
		options := x509.VerifyOptions{Roots: g.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range chain[1:] {
			options.Intermediates.AddCert(c)
		}
		chains, err := chain[0].Verify(options)
		if err != nil {
			return nil, alert.Peerf(alert.UnknownCA, "%w", err)
		}
		return chains, nil
	}
	g.InsecureSkipVerify = true
	g.VerifyPeerCertificate = func(rawCerts [][]byte, _ [][]*x509.Certificate) error {
		var parsed []*x509.Certificate
		for _, der := range rawCerts {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			parsed = append(parsed, c)
		}
		if len(parsed) == 0 {
			return nil
		}
		chains, err := verify(parsed)
		if err != nil || peer == nil {
			return err
		}
		return peer(rawCerts, chains)
	}
	g.VerifyConnection = func(state godwit.ConnectionState) error {
		if state.DidResume && len(state.PeerCertificates) > 0 { // which VerifyPeerCertificate doesn't see
			if _, err := verify(state.PeerCertificates); err != nil {
				return err
			}
		}
		if connection == nil {
			return nil
		}
		return connection(state)
	}
}

// requireSRTP refuses a server that chooses no profile, as Pion's client does.
func requireSRTP(g *godwit.Config) {
	verify := g.VerifyConnection
	g.VerifyConnection = func(state godwit.ConnectionState) error {
		if state.SRTPProfile == 0 {
			return alert.Peerf(alert.InsufficientSecurity, "the server chose none of the SRTP profiles on offer")
		}
		if verify == nil {
			return nil
		}
		return verify(state)
	}
}

func clientHelloInfo(info *tls.ClientHelloInfo) *ClientHelloInfo {
	return &ClientHelloInfo{ServerName: info.ServerName, CipherSuites: converted[CipherSuiteID](info.CipherSuites)}
}
