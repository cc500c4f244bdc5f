package handshake

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/godwit-dtls/godwit/shared/connectionid"
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
	if err := c.validateVersions(); err != nil {
		return err
	}
	if err := c.validateLists(t); err != nil {
		return err
	}
	if err := c.validateECH(role); err != nil {
		return err
	}
	if t == protocol.Datagram {
		if err := c.validateStore(); err != nil {
			return err
		}
	}
	if err := c.validateConnectionIDs(t); err != nil {
		return err
	}
	if err := c.validateRecordSizes(role); err != nil {
		return err
	}
	if err := c.validateFingerprints(role); err != nil {
		return err
	}
	if err := c.validateSRTP(); err != nil {
		return err
	}
	const maxSplit = 1 << 16
	printable := func(r rune) bool { return ' ' < r && r <= '~' }
	switch {
	case c.ClientAuth < tls.NoClientCert || c.ClientAuth > tls.RequireAndVerifyClientCert:
		return unusable("ClientAuth", "unknown value %d", c.ClientAuth)
	case role == Client && c.ServerName == "" && c.verifiesName():
		return unusable("ServerName", "a client needs the name to verify, or PeerFingerprints, or InsecureSkipVerify")
	case role == Client && len(c.ServerName) > 255:
		return unusable("ServerName", "longer than 255 bytes")
	case role == Client && strings.TrimFunc(c.ServerName, printable) != "":
		return unusable("ServerName", "%q is not ASCII; a server is asked for by its A-label (RFC 6066 3)", c.ServerName)
	case role == Client && !c.Enabled(protocol.VersionTLS12) && !c.servesPSK(protocol.VersionTLS13),
		role == Client && !c.Enabled(protocol.VersionTLS13) && !c.servesPSK(protocol.VersionTLS12):
		return unusable("Credentials", "no external key is for the versions from MinVersion to MaxVersion")
	case role == Client && c.offering().versionWithoutSuite() != 0:
		return unusable("CipherSuites", "none is for %v and what this client authenticates by", c.offering().versionWithoutSuite())
	case role == Server && len(c.Credentials)+len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetPSK == nil && c.GetConfigForClient == nil:
		return unusable("Certificates", "a server needs one, or Credentials, GetCertificate, GetPSK or GetConfigForClient")
	case len(c.PSKIdentityHint) > math.MaxUint16:
		return unusable("PSKIdentityHint", "longer than 65535 bytes")
	case t == protocol.Datagram && c.MTU != 0 && (c.MTU < MinMTU || c.MTU > 65507):
		return unusable("MTU", "%d is outside %d to 65507", c.MTU, MinMTU)
	case t == protocol.Datagram && c.MaxMTU != 0 && (c.MaxMTU < cmp.Or(c.MTU, DefaultMTU) || c.MaxMTU > 65507):
		return unusable("MaxMTU", "%d is outside the MTU, %d, to 65507", c.MaxMTU, cmp.Or(c.MTU, DefaultMTU))
	case t == protocol.Stream && c.MaxSendFragment != 0 && (c.MaxSendFragment < 512 || c.MaxSendFragment > 1<<14):
		return unusable("MaxSendFragment", "%d is outside 512 to 16384", c.MaxSendFragment)
	case c.SessionTickets < 0 || c.SessionTickets > 255:
		return unusable("SessionTickets", "%d is outside 0 to 255", c.SessionTickets)
	case (c.WrapSession == nil) != (c.UnwrapSession == nil):
		return unusable("WrapSession", "of WrapSession and UnwrapSession there is only one")
	case c.MaxEarlyData < 0 || c.MaxEarlyData > 1<<30:
		return unusable("MaxEarlyData", "%d is outside 0 to 2^30", c.MaxEarlyData)
	case role == Server && (c.EarlyData || c.SingleUseTickets) && c.AntiReplay == nil && (len(c.TicketKeys) > 0 || c.UnwrapSession != nil):
		return unusable("AntiReplay", "others may have the ticket keys too, and must know which tickets and early data each of them has taken")
	case c.MaxCertificateList < 0 || c.MaxCertificateList > 1<<24-1:
		return unusable("MaxCertificateList", "%d is outside 0 to %d", c.MaxCertificateList, 1<<24-1)
	case c.RecordPadding < 0 || c.RecordPadding > 1<<14:
		return unusable("RecordPadding", "%d is outside 0 to 16384", c.RecordPadding)
	case t == protocol.Datagram && c.PathCheck > NoPathCheck:
		return unusable("PathCheck", "unknown value %d", c.PathCheck)
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

func unusable(field, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &ConfigError{field, err.Error(), errors.Unwrap(err)}
}

// RFC 9846 E.5 [4]
func (c *Config) validateVersions() error {
	lowest, highest := protocol.Version(c.MinVersion), protocol.Version(c.MaxVersion)
	const unknown = "%v is not supported, only 1.2 and 1.3 are"
	switch {
	case lowest != 0 && !lowest.Known():
		return unusable("MinVersion", unknown, lowest)
	case highest != 0 && !highest.Known():
		return unusable("MaxVersion", unknown, highest)
	case !c.Enabled(protocol.VersionTLS12) && !c.Enabled(protocol.VersionTLS13):
		return unusable("MinVersion", "%v is above MaxVersion %v", lowest, highest)
	}
	return nil
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

// MinPlaintext is how much plaintext a datagram must have room for beside a
// connection ID, in bytes.
const MinPlaintext = 64

// RoomBeside is how much plaintext a datagram of mtu bytes has room for if its
// record carries a connection ID of idLen bytes.
func RoomBeside(idLen, mtu int) int {
	const overhead = 13 + 8 + 1 + 16 // header, explicit nonce, content type and tag of 1.2 with GCM
	return mtu - overhead - idLen
}

// validateConnectionIDs makes an ID to see that it can be used.
func (c *Config) validateConnectionIDs(t protocol.Transport) error {
	if t != protocol.Datagram || c.ConnectionIDs == nil {
		return nil
	}
	id, mtu := c.ConnectionIDs.New(), c.MTU
	if mtu == 0 {
		mtu = DefaultMTU
	}
	switch {
	case len(id) > connectionid.MaxLen:
		return unusable("ConnectionIDs", "an ID of %d bytes, more than %d", len(id), connectionid.MaxLen)
	case len(id) > 0 && c.ConnectionIDs.Len(id) != len(id):
		return unusable("ConnectionIDs", "an ID of %d bytes is taken for one of %d", len(id), c.ConnectionIDs.Len(id))
	case RoomBeside(len(id), mtu) < MinPlaintext:
		return unusable("ConnectionIDs", "with an ID of %d bytes an MTU of %d leaves less than %d bytes of plaintext", len(id), mtu, MinPlaintext)
	}
	return nil
}
