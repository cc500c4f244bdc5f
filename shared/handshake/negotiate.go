package handshake

import (
	"crypto/tls"
	"errors"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A Choice is what a server decides from a ClientHello and its Config alone, so
// that a Listener can decide it without keeping state. In 1.2, where suite and
// group also depend on the certificate, only Version is set.
type Choice struct {
	Version   protocol.Version
	Suite     *suite.Suite
	Group     *suite.Group // nil: only a PSK alone can do, see allowsPSKOnly
	NeedShare bool         // the client sent no share for Group
}

// Why there is no Choice. A Listener is told for any hello that anybody sends: it
// costs nothing.
var (
	errNoVersion = alert.Peerf(alert.ProtocolVersion, "%w: none that the client offers is enabled here", alert.NoCommonVersion)
	errFellBack  = alert.Peerf(alert.InappropriateFallback, "the client fell back, and this server has better")
	errNoSuite13 = alert.Peerf(alert.HandshakeFailure, "%w for 1.3", alert.NoCommonSuite)
	errNoGroup   = alert.Peerf(alert.HandshakeFailure, "%w", alert.NoCommonGroup)
	errNoGroups  = alert.Peerf(alert.MissingExtension, "%w: ClientHello of 1.3 without supported_groups", alert.NoCommonGroup)
	errNoShares  = alert.Peerf(alert.MissingExtension, "%w: ClientHello of 1.3 without one", alert.MissingKeyShare)
)

// Choose makes the Choice, or says with which alert there is none. It does not
// allocate unless an extension is malformed.
//
// RFC 9846 4.2.1 [4]
func Choose(c *Config, in *message.ClientHello, t protocol.Transport) (Choice, error) {
	var choice Choice
	var err error
	if choice.Version, err = chooseVersion(c, in, t); err != nil || !choice.Version.Is13() {
		return choice, err
	}
	if choice.Suite = chooseSuite13(c, in, t); choice.Suite == nil {
		return choice, errNoSuite13
	}
	return choice, choice.chooseGroup(c, in)
}

// chooseSuite13 picks the suite of 1.3 by our order of preference, or nil. A PSK
// goes with one hash alone: if the client names keys that we may want, it is the
// first suite that goes with one of them.
//
// RFC 9846 4.3.11 [3, 7]
func chooseSuite13(c *Config, in *message.ClientHello, t protocol.Transport) (first *suite.Suite) {
	wanted := wantedHashes(c, in, t)
	for s := range c.common(protocol.VersionTLS13.Over(t), in.CipherSuites) {
		if wanted == 0 || wanted.has(s.Hash) {
			return s
		}
		if first == nil {
			first = s
		}
	}
	return first
}

// chooseVersion is RFC 9846 4.3.1: supported_versions decides if it is there,
// and legacy_version counts for 1.2 and below only.
//
// RFC 9846 4.2.2 [7], 4.3.1 [2, 3, 4, 6], E.2 [2, 3]
func chooseVersion(c *Config, in *message.ClientHello, t protocol.Transport) (protocol.Version, error) {
	v13, v12 := protocol.VersionTLS13.Over(t), protocol.VersionTLS12.Over(t)
	has13, has12 := false, in.Version >= v12
	if t == protocol.Datagram {
		has12 = in.Version <= v12 && in.Version >= 0x8000 // the complement of a version: it counts downwards, past 1.x too
	}
	if body, ok := in.Extensions.Find(protocol.ExtSupportedVersions); ok {
		versions, err := message.ParseSupportedVersions(body)
		if err != nil {
			return 0, err
		}
		has13, has12 = versions.Contains(uint16(v13)), versions.Contains(uint16(v12))
	}
	// RFC 7507 3: the client tried something better and was cut off. It may have
	// fallen below what there is here.
	if in.CipherSuites.Contains(fallback) && !has13 && (c.highest(t).Is13() || !has12) {
		return 0, errFellBack
	}
	switch {
	case has13 && c.Enabled(v13):
		return v13, nil
	case has12 && c.Enabled(v12):
		return v12, nil
	}
	return 0, errNoVersion
}

// chooseGroup picks the group of 1.3 by our order of preference. Unless Config
// insists on one, a share saves a round trip and so beats a better place in the
// list; but against harvesting for a quantum computer, a hybrid group is worth
// that round trip.
//
// RFC 9846 4.2.1 [1, 3]
func (choice *Choice) chooseGroup(c *Config, in *message.ClientHello) error {
	pskOnly := c.allowsPSKOnly(in)
	if pskOnly && skipsExchange(in) {
		return nil
	}
	groups, shares, err := keyExchangeOffer(in)
	if err != nil {
		return err
	}
	insists := len(c.CurvePreferences) > 0
	for g := range c.groups(choice.Version) {
		if !groups.Contains(uint16(g.ID)) {
			continue
		}
		g = c.firstEqual(g, groups, choice.Version)
		_, shared := shares.Find(uint16(g.ID))
		if choice.Group == nil || shared && choice.NeedShare {
			choice.Group, choice.NeedShare = g, !shared
		}
		if !choice.NeedShare || choice.Group.PostQuantum || insists {
			return nil
		}
	}
	if choice.Group == nil && !pskOnly {
		return errNoGroup
	}
	return nil
}

// firstEqual is the first of their groups that we prefer no less than g.
//
// RFC 9846 4.3.8 [2]
func (c *Config) firstEqual(g *suite.Group, theirs message.Uint16s, v protocol.Version) *suite.Group {
	for _, set := range c.EqualCurves {
		if !slices.Contains(set, g.ID) {
			continue
		}
		for id := range theirs.All() {
			for enabled := range c.groups(v) {
				if enabled.ID == tls.CurveID(id) && slices.Contains(set, enabled.ID) {
					return enabled
				}
			}
		}
	}
	return g
}

// keyExchangeOffer reads the extensions without which 1.3 has no key exchange
// (RFC 9846 9.2).
//
// RFC 9846 9.2 [12]
func keyExchangeOffer(in *message.ClientHello) (message.Uint16s, message.KeyShares, error) {
	groupsBody, ok := in.Extensions.Find(protocol.ExtSupportedGroups)
	if !ok {
		return nil, nil, errNoGroups
	}
	groups, err := message.ParseSupportedGroups(groupsBody)
	if err != nil {
		return nil, nil, err
	}
	sharesBody, ok := in.Extensions.Find(protocol.ExtKeyShare)
	if !ok {
		return nil, nil, errNoShares
	}
	shares, err := message.ParseKeyShares(sharesBody)
	return groups, shares, err
}

// configure lets the application replace the Config for this client. It happens
// at the first ClientHello that reaches the Machine.
func (m *Machine) configure() error {
	ask := m.given.GetConfigForClient
	if ask == nil || m.place.At != Start && !m.entered {
		return nil
	}
	info := m.clientHelloInfo()
	c, err := later(m, func() (*Config, error) { return ask(info) })
	if err != nil {
		return wrap(err, alert.InternalError, "GetConfigForClient")
	}
	if c == nil {
		return nil
	}
	if err := c.Validate(Server, m.transport); err != nil {
		return alert.Localf(alert.InternalError, "GetConfigForClient: %w", err)
	}
	m.config = c
	return nil
}

// negotiate decides what the handshake will be.
//
// RFC 9846 4.2.2 [16]
func (m *Machine) negotiate(in *message.ClientHello) error {
	choice, err := Choose(m.config, in, m.transport)
	if err != nil {
		return err
	}
	if m.version != 0 && m.version != choice.Version {
		return alert.Peerf(alert.IllegalParameter, "%w: the second ClientHello leads to %v, the first led to %v", alert.VersionChanged, choice.Version, m.version)
	}
	m.setVersion(choice.Version)
	if !slices.Contains(in.Compression, 0) {
		return alert.Peerf(alert.IllegalParameter, "%w: the null method is missing", alert.WrongCompressionList)
	}
	if len(m.hello.protocols) > 0 && len(m.config.NextProtos) > 0 {
		if m.protocol = firstCommon(m.config.NextProtos, m.hello.protocols); m.protocol == "" {
			return alert.Peerf(alert.NoApplicationProtocol, "%w: the client offers %q, this server has %q", alert.NoCommonProtocol, m.hello.protocols, m.config.NextProtos)
		}
	}
	if choice.Version.Is13() {
		err = m.negotiate13(in, choice)
	} else {
		err = m.negotiate12()
	}
	if err != nil {
		return err
	}
	m.place.Learn(V13, choice.Version.Is13())
	if m.place.Is(Retry) {
		return nil // the rest is decided by the second ClientHello
	}
	if err := m.settleResumption(); err != nil {
		return err
	}
	m.place.Learn(Ticket, m.givesTicket12())
	m.place.Learn(EarlyData, m.early.accepted)
	if m.early.accepted { // and read before the client's Finished
		if err := m.verifyUnasked(); err != nil {
			return err
		}
	}
	m.place.Learn(KeyExchange, m.sendsHint())
	m.settleConnectionIDs()
	m.place.Learn(Stapled, m.staple != nil && !choice.Version.Is13())
	if !m.place.Is(ServerCert) {
		return nil // and the client shows none either
	}
	m.place.Learn(CertRequested, m.config.clientAuth() != tls.NoClientCert)
	if m.config.clientAuth() == tls.NoClientCert {
		m.place.Learn(ClientCert, false)
		return nil
	}
	return m.chooseClientType()
}

// RFC 9147 5.3 [5]; RFC 9846 4.2.2 [15], 4.3.3 [3], 4.3.11 [6]
func (m *Machine) negotiate13(in *message.ClientHello, choice Choice) error {
	// legacy_version says nothing beside supported_versions (RFC 9846 4.3.1).
	switch {
	case len(in.Compression) != 1: // RFC 9846 4.2.2
		return alert.Peerf(alert.IllegalParameter, "%w: 1.3 has the null method alone", alert.WrongCompressionList)
	case len(in.Cookie) != 0: // RFC 9147 5.3
		return alert.Peerf(alert.IllegalParameter, "%w: ClientHello of DTLS 1.3 with a legacy_cookie", alert.MalformedMessage)
	case m.hello.schemes == nil && m.hello.pskOffer == nil: // RFC 9846 9.2
		return alert.Peerf(alert.MissingExtension, "%w: ClientHello of 1.3 without signature_algorithms", alert.NoCommonScheme)
	}
	if err := m.readPreSharedKey(); err != nil {
		return err
	}
	retry := m.place.At == Start && choice.NeedShare
	if m.place.At != Start {
		if err := m.checkRetried(in, &choice); err != nil {
			return err
		}
	} else if retry && m.hello.earlyData {
		m.layer.SkipEarly(m.config.maxSkipped())
	}
	m.suite, m.group = choice.Suite, choice.Group
	m.place.Learn(Retry, retry)
	if retry {
		return nil
	}
	m.settleSizes()
	if err := m.findSession(); err != nil {
		return err
	}
	if err := m.decideEarlyData(); err != nil {
		return err
	}
	if m.psk != nil {
		return m.respond()
	}
	if err := m.chooseServerCredential(); err != nil {
		return err
	}
	if m.credential.PSK != nil {
		if err := m.checkPSK(); err != nil {
			return err
		}
	} else if err := m.chooseStaple(); err != nil {
		return err
	}
	return m.respond()
}

// checkRetried holds the second ClientHello to what HelloRetryRequest said:
// exactly the share that was asked for, if one was (RFC 9846 4.2.2, 4.3.8).
//
// RFC 9846 4.2.4 [9]
func (m *Machine) checkRetried(in *message.ClientHello, choice *Choice) error {
	if m.group != nil {
		groups, shares, err := keyExchangeOffer(in)
		if err != nil {
			return err
		}
		_, shared := shares.Find(uint16(m.group.ID))
		if !shared || !groups.Contains(uint16(m.group.ID)) || m.askedShare && shares.Len() != 1 {
			return alert.Peerf(alert.IllegalParameter, "%w: the second ClientHello has not just the key share that was asked for, %s", alert.WrongGroup, m.group.Name)
		}
	}
	if !in.CipherSuites.Contains(m.suite.ID) {
		return alert.Peerf(alert.IllegalParameter, "%w: the second ClientHello no longer offers %s", alert.WrongSuite, m.suite.Name)
	}
	choice.Suite, choice.Group, choice.NeedShare = m.suite, m.group, false
	return nil
}

// respond does the server's half of 1.3's key exchange, if there is one, once:
// the step may run again after a wait.
//
// RFC 9846 4.3.8 [11]
func (m *Machine) respond() error {
	switch {
	case m.shared != nil:
		return nil
	case m.psk != nil && m.pskOnly():
		m.group = nil
		return nil
	case m.group == nil:
		return alert.Peerf(alert.HandshakeFailure, "%w", alert.NoCommonGroup)
	}
	share, _ := m.hello.shares.Find(uint16(m.group.ID))
	var err error
	m.serverShare, m.shared, err = m.group.Respond(share)
	return err
}

func (m *Machine) negotiate12() error {
	m.place.Learn(Retry, false)
	m.settleSizes()
	m.early.reason = EarlyDataProtocolVersion
	if !m.config.EarlyData {
		m.early.reason = EarlyDataDisabled
	}
	if err := m.checkRenegotiation(); err != nil {
		return err
	}
	if !m.extendedMasterSecret && !m.config.InsecureAllowMissingEMS {
		return alert.Peerf(alert.HandshakeFailure, "%w: the client's (Config.InsecureAllowMissingEMS)", alert.NoExtendedMasterSecret)
	}
	for g := range m.config.groups(m.version) {
		// RFC 8422 4 lets a client without supported_groups leave the choice to us.
		// As stacks in use do we take it for one without ECDHE.
		if m.hello.groups.Contains(uint16(g.ID)) {
			m.group = m.config.firstEqual(g, m.hello.groups, m.version)
			break
		}
	}
	if err := m.chooseServerCredential(); err != nil {
		return err
	}
	if err := m.findSession12(); err != nil || m.selected {
		return err
	}
	if m.suite.Exchange != suite.ECDHE {
		m.group = nil
	}
	if m.suite.Auth == suite.PSK {
		return nil
	}
	return m.chooseStaple()
}

// clientHelloInfo is the ClientHello as the application sees it.
func (m *Machine) clientHelloInfo() *tls.ClientHelloInfo {
	info := &tls.ClientHelloInfo{
		CipherSuites:      message.Collect[uint16](m.hello.suites),
		ServerName:        m.serverName,
		SupportedCurves:   message.Collect[tls.CurveID](m.hello.groups),
		SupportedPoints:   []uint8{0},
		SignatureSchemes:  m.hello.schemes,
		SupportedProtos:   m.hello.protocols,
		HelloRetryRequest: m.retried,
	}
	for t := range m.hello.block.All() {
		info.Extensions = append(info.Extensions, uint16(t))
	}
	for v := range m.hello.versions.All() {
		info.SupportedVersions = append(info.SupportedVersions, uint16(protocol.Version(v).Over(protocol.Stream)))
	}
	if m.hello.versions == nil {
		info.SupportedVersions = []uint16{tls.VersionTLS12}
	}
	if m.Introduce != nil {
		m.Introduce(info)
	}
	return info
}

func firstCommon(ours, theirs []string) string {
	for _, p := range ours {
		if slices.Contains(theirs, p) {
			return p
		}
	}
	return ""
}

// wrap gives an error of the application or of a helper package an alert,
// unless it carries one, or is nil or ErrNotYet.
func wrap(err error, a alert.Alert, what string) error {
	if err == nil || err == ErrNotYet || errors.As(err, new(*alert.Error)) {
		return err
	}
	return alert.Localf(a, "%s: %w", what, err)
}
