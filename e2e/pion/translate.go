package dtls

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/pion/logging"

	godwit "github.com/godwit-dtls/godwit/dtls"
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
	verify := verifier{config: c}
	g.VerifyPeerCertificate, g.VerifyConnection = verify.certificate, verify.connection
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
	verify := verifier{config: c, wantsSRTP: len(c.SRTPProtectionProfiles) > 0}
	if c.ServerName == "" && !c.InsecureSkipVerify {
		verify.rootsAlone = c.VerifyPeerCertificate != nil || c.VerifyConnection != nil
		g.InsecureSkipVerify, g.ServerName = verify.rootsAlone, host(remote)
	}
	g.VerifyPeerCertificate, g.VerifyConnection = verify.certificate, verify.connection
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

func clientHelloInfo(info *tls.ClientHelloInfo) *ClientHelloInfo {
	return &ClientHelloInfo{ServerName: info.ServerName, CipherSuites: converted[CipherSuiteID](info.CipherSuites)}
}
