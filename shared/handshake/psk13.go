package handshake

import (
	"crypto"
	"crypto/hmac"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Pre-shared keys in 1.3 (RFC 9846 4.3.11), those of sessions and external ones:
// a client offers all it has at once, and the server selects one of them or none.
// They are used together with a fresh key exchange (psk_dhe_ke), unless the Config
// allows otherwise: see pskonly.go.

// --- psk_key_exchange_modes (RFC 9846 4.3.9)

// RFC 9846 4.3.9 [1]
func offerPSKModes(m *Machine, b *wire.Builder) bool {
	modes := []byte{message.PSKWithECDHE}
	if m.config.InsecureAllowPSKOnly {
		modes = append(modes, message.PSKOnly)
	}
	message.AppendPSKModes(b, modes)
	return m.config.Enabled(protocol.VersionTLS13) && (m.resumes() && !m.config.SessionTicketsDisabled || m.config.hasPSK(protocol.VersionTLS13))
}

func receivePSKModes(m *Machine, body []byte) (err error) {
	m.hello.pskModes, err = message.ParsePSKModes(body)
	return err
}

// --- pre_shared_key. It is the last of all extensions, as its binders are over
// everything before them.

// offerPreSharedKey offers the session first and then the external keys, in
// order, each for every hash that it goes with. After a HelloRetryRequest those
// of other hashes than the suite's are left out (RFC 9846 4.2.2).
//
// RFC 9846 4.2.4 [11]
func offerPreSharedKey(m *Machine, b *wire.Builder) bool {
	if !m.config.Enabled(protocol.VersionTLS13) || m.writesOuter() { // an outer hello could tell who we are
		return false
	}
	m.psks = m.collectPSKs()
	if m.retried {
		m.psks = slices.DeleteFunc(m.psks, func(p *psk) bool { return p.hash != m.suite.Hash })
	}
	if len(m.psks) == 0 {
		return false
	}
	var out message.OfferedPSKs
	for _, p := range m.psks {
		out.Identities = append(out.Identities, message.PSKIdentity{Identity: p.identity, ObfuscatedAge: p.age})
		out.Binders = append(out.Binders, make([]byte, p.hash.Size())) // see bind
	}
	message.AppendPreSharedKey(b, out)
	return true
}

// RFC 9846 4.3.10 [2]
func (m *Machine) collectPSKs() (offered []*psk) {
	if r := m.resumption; r != nil && r.state.Version.Is13() {
		offered = append(offered, r.psk(m.now))
	}
	for c := range m.config.psks(protocol.VersionTLS13) {
		for _, kdf := range kdfs {
			if p := c.external(kdf.hash, m.transport); p != nil && m.offersHash(p.hash) {
				offered = append(offered, p)
			}
		}
	}
	return offered
}

// offersHash reports whether the ClientHello offers a suite of 1.3 with hash h.
//
// RFC 9846 4.2.2 [13]
func (m *Machine) offersHash(h crypto.Hash) bool {
	for s := range m.config.suites(protocol.VersionTLS13) {
		if s.Hash == h {
			return true
		}
	}
	return false
}

// bind fills in the binders at the end of a ClientHello.
func (m *Machine) bind(t *transcript, hello []byte) {
	if len(m.psks) == 0 {
		return
	}
	bindersLen := 2
	for _, p := range m.psks {
		bindersLen += 1 + p.hash.Size()
	}
	at := len(hello) - bindersLen + 2
	for _, p := range m.psks {
		at += 1 + copy(hello[at+1:], m.binder(t, p, hello, bindersLen))
	}
}

// binder proves that a client knows a PSK: it is over the transcript and the
// ClientHello without the binders that end it (RFC 9846 4.3.11.2).
func (m *Machine) binder(t *transcript, p *psk, hello []byte, bindersLen int) []byte {
	schedule := keys.Schedule{Hash: p.hash, Transport: m.transport}
	sum := t.sumWith(p.hash, hello, len(hello)-bindersLen)
	return p.binder(schedule.Early(p.secret)).Finished(sum)
}

// RFC 9846 4.3.11 [11]
func acceptPreSharedKey(m *Machine, _ where, body []byte) error {
	selected, err := message.ParseSelectedIdentity(body)
	if err != nil {
		return err
	}
	if int(selected) >= len(m.psks) {
		return alert.Peerf(alert.IllegalParameter, "%w: the server selects number %d of %d", alert.NoCommonPSK, selected, len(m.psks))
	}
	m.psk = m.psks[selected]
	return nil
}

// settlePSK is what both sides do with the PSK that was selected, if one was.
//
// RFC 9846 4.3.11 [11, 12], 4.7.1 [2]
func (m *Machine) settlePSK() error {
	m.resumption, m.psks = nil, nil
	switch p := m.psk; {
	case p == nil && m.role == Client && m.config.needsPSK() && !m.hides(rejected):
		return alert.Peerf(alert.MissingExtension, "ServerHello without pre_shared_key: this client takes no certificate (Config.PSKOrCertificate)")
	case p == nil:
	case p.hash != m.suite.Hash: // RFC 9846 4.3.11
		return alert.Peerf(alert.IllegalParameter, "%w than %s", alert.WrongSessionHash, m.suite.Name)
	case p.session != nil:
		m.resumption = p.session
	default:
		m.credential, m.pskIdentity = p.credential, present(p.credential.PSK.Identity)
	}
	return nil
}

// --- The server

func receivePreSharedKey(m *Machine, body []byte) error {
	m.hello.pskOffer = body // it means something in 1.3 only
	return nil
}

// readPreSharedKey reads the client's offer.
//
// RFC 9846 4.3.11 [16]
func (m *Machine) readPreSharedKey() (err error) {
	if m.hello.pskOffer == nil {
		return nil
	}
	if last, _ := m.hello.block.Last(); last != protocol.ExtPreSharedKey { // RFC 9846 4.3.11
		return alert.Peerf(alert.IllegalParameter, "%w but %v", alert.PreSharedKeyNotLast, last)
	}
	m.hello.psks, err = message.ParsePreSharedKey(m.hello.pskOffer)
	return err
}

func answerPreSharedKey(m *Machine, _ where, b *wire.Builder) bool {
	message.AppendSelectedIdentity(b, uint16(m.selectedPSK))
	return m.psk != nil
}

// maxIdentities is how many identities of one ClientHello are tried as tickets,
// and how many the application is asked for.
const maxIdentities = 5

// findSession finds the first session of the client's that can be resumed, and
// checks its binder.
//
// RFC 9846 4.3.9 [3]
func (m *Machine) findSession() error {
	m.psk, m.resumption = nil, nil
	offered := m.hello.psks.Identities
	switch {
	case len(offered) == 0 && m.hello.dropped != nil:
		return m.checkDropped()
	case len(offered) == 0:
		return nil
	case m.hello.pskModes == nil: // RFC 9846 4.3.9
		return alert.Peerf(alert.MissingExtension, "pre_shared_key without psk_key_exchange_modes")
	case m.config.SessionTicketsDisabled || !m.takesPSK():
		return nil
	}
	found, err := m.openTickets(m.hello.tickets())
	if err != nil || found == nil {
		return err
	}
	ticket := offered[found.selected]
	if err := m.selectPSK(found.selected, found.psk(m.now)); err != nil {
		return err
	}
	// Not before the binder has shown that it is the client's own.
	first, err := m.spend(ticket.Identity, found.state)
	if err != nil || !first {
		m.psk = nil
		return err
	}
	m.resumption, m.early.skew = found, found.state.Skew(ticket.ObfuscatedAge, m.now)
	return nil
}

// selectPSK takes a PSK if the client's binder proves that it knows it. If not,
// somebody else may have changed the ClientHello (RFC 9846 4.3.11).
//
// RFC 9846 4.3.11 [8, 10]
func (m *Machine) selectPSK(i int, p *psk) error {
	binder := m.hello.psks.Binders[i]
	if !hmac.Equal(binder, m.binder(&m.transcript, p, m.hello.raw, m.hello.psks.BindersLen())) {
		return alert.Peerf(alert.DecryptError, "%w", alert.BadBinder)
	}
	m.psk, m.selectedPSK = p, i
	return nil
}

// findPSK finds the first identity of the client's that is the key of a
// credential, for the suite's hash.
func (m *Machine) findPSK(c *Credential) (int, error) {
	offered := m.hello.psks.Identities
	if len(offered) > 0 && !m.takesPSK() {
		return 0, alert.Peerf(alert.HandshakeFailure, "%w: the client offers %v", alert.NoCommonPSKMode, m.hello.pskModes)
	}
	i := slices.IndexFunc(offered, func(id message.PSKIdentity) bool {
		h, ok := c.PSK.named(id.Identity, m.transport)
		return ok && h == m.suite.Hash
	})
	if i < 0 {
		return 0, m.noCommonPSK()
	}
	return i, nil
}

// checkPSK checks the binder of the key that was chosen.
func (m *Machine) checkPSK() error {
	i, err := m.findPSK(m.credential)
	if err != nil {
		return err
	}
	return m.selectPSK(i, m.credential.external(m.suite.Hash, m.transport))
}

// noCommonPSK says why the client has none of our keys. Between two ClientHellos
// it may only drop those that the suite rules out (RFC 9846 4.2.2).
func (m *Machine) noCommonPSK() error {
	before, now := m.hello.before, len(m.hello.psks.Identities)
	switch {
	case now == 0 && before > 0:
		return alert.Peerf(alert.MissingExtension, "the second ClientHello has no pre_shared_key, as the first had")
	case now < before:
		return alert.Peerf(alert.IllegalParameter, "%w: the second ClientHello offers %d of %d", alert.NoCommonPSK, now, before)
	}
	return alert.Peerf(alert.HandshakeFailure, "%w: the client offers %d", alert.NoCommonPSK, now)
}

// A hashSet is a set of crypto.Hash.
type hashSet uint32

func (s *hashSet) add(h crypto.Hash)     { *s |= 1 << h }
func (s hashSet) has(h crypto.Hash) bool { return s&(1<<h) != 0 }

// wantedHashes are the hashes of the PSKs that a client offers and this server
// may have: those of its Credentials or, without one of them, all that it doesn't
// know to be another's, if the application may have it. A binder is as long as its
// hash. It does not allocate.
func wantedHashes(c *Config, in *message.ClientHello, t protocol.Transport) hashSet {
	var known, unknown hashSet
	body, _ := in.Extensions.Find(protocol.ExtPreSharedKey)
	offered := message.OpenPreSharedKey(body)
	for identity, binder, ok := offered.Next(); ok; identity, binder, ok = offered.Next() {
		for p := range c.psks(protocol.VersionTLS13) {
			if h, ok := p.PSK.named(identity, t); ok {
				known.add(h)
			}
		}
		for _, kdf := range kdfs {
			if c.GetPSK != nil && kdf.hash.Size() == len(binder) {
				unknown.add(kdf.hash)
			}
		}
	}
	if known != 0 {
		return known
	}
	return unknown
}

// lookUpPSK asks the application for the keys that the client names, until it
// has one that it can use. In 1.2, where the client names its key after the
// suite is chosen, there is no saying yet.
func (m *Machine) lookUpPSK() ([]*Credential, error) {
	if m.config.GetPSK == nil {
		return nil, nil
	}
	if !m.version.Is13() {
		return []*Credential{{PSK: &ExternalPSK{Use: PSKDirect12}}}, nil
	}
	if !m.takesPSK() {
		return nil, nil
	}
	var identities [][]byte
	for _, id := range m.hello.psks.Identities {
		_, _, h := importedFor(id.Identity, m.transport)
		if (h == 0 || h == m.suite.Hash) && len(identities) < maxIdentities {
			identities = append(identities, id.Identity)
		}
	}
	c, state, v, transport, hash := m.config, m.State(), m.version, m.transport, m.suite.Hash
	found, err := later(m, func() ([]*Credential, error) {
		for _, identity := range identities {
			name := identity
			if external, _, h := importedFor(identity, transport); h != 0 {
				name = external
			}
			found, err := c.askPSK(name, state, v)
			if err != nil {
				return nil, err
			}
			if found == nil {
				continue
			}
			if h, ok := found.PSK.named(identity, transport); ok && h == hash {
				return []*Credential{found}, nil
			}
		}
		return nil, nil
	})
	return found, wrap(err, alert.InternalError, "GetPSK")
}
