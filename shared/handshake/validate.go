package handshake

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A ConfigError names the field of a Config that can't be used.
type ConfigError struct {
	Field  string
	Reason string
	Err    error // that says more, if there is one
}

func (e *ConfigError) Unwrap() error { return e.Err }

func (e *ConfigError) Error() string { return fmt.Sprintf("Config.%s: %s", e.Field, e.Reason) }

// Validate reports the first field that is unusable for a role over a
// transport, as a *ConfigError. A Config that was good once is not looked at again.
//
// RFC 9846 4.5.1 [14]
func (c *Config) Validate(role Role, t protocol.Transport) error {
	valid := &c.companion().valid[role][t]
	if valid.Load() {
		return nil
	}
	err := c.validate(role, t)
	valid.Store(err == nil)
	return err
}

func (c *Config) validate(role Role, t protocol.Transport) error {
	for _, check := range [...]func() error{ // those behind versions and lists rely on them
		c.validateVersions,
		func() error { return c.validateLists(t) },
		func() error { return c.validateECH(role) },
		func() error { return c.validateRecordSizes(role) },
		func() error { return c.validateFingerprints(role) },
		c.validateSRTP,
		func() error { return c.validateRole(role) },
		c.validateNumbers,
		func() error { return c.validateTransport(t) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func unusable(field, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &ConfigError{field, err.Error(), errors.Unwrap(err)}
}

// validateRole checks what one side needs.
func (c *Config) validateRole(role Role) error {
	if role == Server {
		return c.validateServer()
	}
	return c.validateClient()
}

func (c *Config) validateClient() error {
	printable := func(r rune) bool { return ' ' < r && r <= '~' }
	switch {
	case c.ServerName == "" && c.verifiesName():
		return unusable("ServerName", "a client needs the name to verify, or PeerFingerprints, or InsecureSkipVerify")
	case len(c.ServerName) > 255:
		return unusable("ServerName", "longer than 255 bytes")
	case strings.TrimFunc(c.ServerName, printable) != "":
		return unusable("ServerName", "%q is not ASCII; a server is asked for by its A-label (RFC 6066 3)", c.ServerName)
	case !c.Enabled(protocol.VersionTLS12) && !c.servesPSK(protocol.VersionTLS13),
		!c.Enabled(protocol.VersionTLS13) && !c.servesPSK(protocol.VersionTLS12):
		return unusable("Credentials", "no external key is for the versions from MinVersion to MaxVersion")
	case c.offering().versionWithoutSuite() != 0:
		return unusable("CipherSuites", "none is for %v and what this client authenticates by", c.offering().versionWithoutSuite())
	}
	return nil
}

func (c *Config) validateServer() error {
	switch {
	case len(c.Credentials)+len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetPSK == nil && c.GetConfigForClient == nil:
		return unusable("Certificates", "a server needs one, or Credentials, GetCertificate, GetPSK or GetConfigForClient")
	case (c.EarlyData || c.SingleUseTickets) && c.AntiReplay == nil && (len(c.TicketKeys) > 0 || c.UnwrapSession != nil):
		return unusable("AntiReplay", "others may have the ticket keys too, and must know which tickets and early data each of them has taken")
	}
	return nil
}

// validateNumbers checks what has bounds on either side and over either transport.
func (c *Config) validateNumbers() error {
	const maxSplit = 1 << 16
	switch {
	case c.ClientAuth < tls.NoClientCert || c.ClientAuth > tls.RequireAndVerifyClientCert:
		return unusable("ClientAuth", "unknown value %d", c.ClientAuth)
	case len(c.PSKIdentityHint) > math.MaxUint16:
		return unusable("PSKIdentityHint", "longer than 65535 bytes")
	case c.SessionTickets < 0 || c.SessionTickets > 255:
		return unusable("SessionTickets", "%d is outside 0 to 255", c.SessionTickets)
	case (c.WrapSession == nil) != (c.UnwrapSession == nil):
		return unusable("WrapSession", "of WrapSession and UnwrapSession there is only one")
	case c.MaxEarlyData < 0 || c.MaxEarlyData > 1<<30:
		return unusable("MaxEarlyData", "%d is outside 0 to 2^30", c.MaxEarlyData)
	case c.MaxCertificateList < 0 || c.MaxCertificateList > 1<<24-1:
		return unusable("MaxCertificateList", "%d is outside 0 to %d", c.MaxCertificateList, 1<<24-1)
	case c.RecordPadding < 0 || c.RecordPadding > 1<<14:
		return unusable("RecordPadding", "%d is outside 0 to 16384", c.RecordPadding)
	case c.SplitHellos < 0 || c.SplitHellos > maxSplit:
		return unusable("SplitHellos", "%d is outside 0 to %d", c.SplitHellos, maxSplit)
	case c.MaxSplitHello < 0 || c.MaxSplitHello > maxSplit:
		return unusable("MaxSplitHello", "%d is outside 0 to %d", c.MaxSplitHello, maxSplit)
	case c.MaxHandshakes < 0 || c.MaxHandshakes > 1<<20:
		return unusable("MaxHandshakes", "%d is outside 0 to 2^20", c.MaxHandshakes)
	case c.InitialTimeout < 0:
		return unusable("InitialTimeout", "%v is negative", c.InitialTimeout)
	}
	return nil
}

// validateTransport checks what one transport alone looks at.
func (c *Config) validateTransport(t protocol.Transport) error {
	const maxDatagram = 65507 // over IPv4
	mtu := cmp.Or(c.MTU, DefaultMTU)
	switch {
	case t == protocol.Stream && c.MaxSendFragment != 0 && (c.MaxSendFragment < 512 || c.MaxSendFragment > 1<<14):
		return unusable("MaxSendFragment", "%d is outside 512 to 16384", c.MaxSendFragment)
	case t == protocol.Stream:
		return nil
	case mtu < MinMTU || mtu > maxDatagram:
		return unusable("MTU", "%d is outside %d to %d", mtu, MinMTU, maxDatagram)
	case c.MaxMTU != 0 && (c.MaxMTU < mtu || c.MaxMTU > maxDatagram):
		return unusable("MaxMTU", "%d is outside the MTU, %d, to %d", c.MaxMTU, mtu, maxDatagram)
	case c.PathCheck > NoPathCheck:
		return unusable("PathCheck", "unknown value %d", c.PathCheck)
	}
	if err := c.validateStore(); err != nil {
		return err
	}
	return c.validateConnectionIDs()
}

// validateLists checks what there may be several of.
//
// RFC 9846 4.3.8 [5]
func (c *Config) validateLists(t protocol.Transport) error {
	for _, id := range c.CipherSuites {
		if suite.ByID(id) == nil {
			return unusable("CipherSuites", "0x%04x is not a suite that this library has", id)
		}
	}
	for _, id := range c.CurvePreferences {
		if suite.GroupByID(id) == nil {
			return unusable("CurvePreferences", "%d is not a group that this library has", id)
		}
	}
	for _, id := range c.KeyShares {
		if !hasGroup(c.groups(protocol.VersionTLS13), id) {
			return unusable("KeyShares", "%d is not one of the enabled groups", id)
		}
	}
	for _, id := range slices.Concat(c.EqualCurves...) {
		if suite.GroupByID(id) == nil {
			return unusable("EqualCurves", "%d is not a group that this library has", id)
		}
	}
	if len(slices.Collect(c.groups(c.highest(t)))) == 0 {
		return unusable("CurvePreferences", "no group for 1.2, which has no hybrid ones")
	}
	const mostProtocols = 1 << 14 // bytes, so that the hello has room for them
	total := 0
	for _, p := range c.NextProtos {
		if total += 1 + len(p); p == "" || len(p) > 255 || total > mostProtocols {
			return unusable("NextProtos", "a protocol name has 1 to 255 bytes, all together at most %d", mostProtocols)
		}
	}
	if err := c.validateDelegatedSchemes(); err != nil {
		return err
	}
	if err := c.validateAuthorities(); err != nil {
		return err
	}
	if len(c.verifiable(c.use(c.highest(t), Client))) == 0 {
		return unusable("PeerSignatureSchemes", "none of %v can be used", c.PeerSignatureSchemes)
	}
	if err := c.validateCertificateTypes(); err != nil {
		return err
	}
	if err := c.validateCompression(); err != nil {
		return err
	}
	for i := range c.Credentials {
		if err := c.Credentials[i].validate(); err != nil {
			return unusable("Credentials", "number %d: %w", i, err)
		}
	}
	for i := range c.Certificates {
		if err := (&Credential{Certificate: &c.Certificates[i]}).validate(); err != nil {
			return unusable("Certificates", "number %d: %w", i, err)
		}
	}
	return nil
}
