package handshake

import (
	"crypto/tls"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/ech"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// Encrypted Client Hello (RFC 9849), the client's side. It makes two hellos: the
// inner one is what it wants, and goes encrypted inside of the outer one, which
// asks for the public name of whoever serves many names. The server answers one
// of the two, and says which in the random of its ServerHello (or in an
// extension of HelloRetryRequest); until then the Machine goes by the outer one
// and keeps what it needs for the inner one in its hidden.
//
//	writeClientHello --> composeHidden:  inner --encoded, sealed--> outer --> Layer
//	                                       |                          |
//	                                 hidden.transcript            transcript
//	readServerHello  --> settleHidden:  accepted: the inner takes the outer's place
//	                                    rejected: the handshake is the outer's, and
//	                                    ends with ech_required when it is complete

// A hidden is what a client needs of its inner ClientHello.
type hidden struct {
	config *ech.Config
	sender *ech.Sender
	random []byte
	hello  struct {
		serverName string
		offered    []protocol.ExtensionType
	}
	transcript transcript
	encoded    int // its length, for which the outer one makes room

	face      face // of the hello that is being written
	verdict   verdict
	confirmed bool   // by the HelloRetryRequest
	extension []byte // encrypted_client_hello of the last outer hello
	answer    []byte // of the server in its HelloRetryRequest
	retry     []byte // the ECHConfigList that a server which rejects offers
}

// A face is which of its two hellos a client writes.
type face uint8

const (
	outerFace face = iota // everybody sees it; without ECH the only one
	innerFace
)

// A verdict is what the server made of the inner ClientHello.
type verdict uint8

const (
	undecided verdict = iota
	accepted
	rejected
)

// hides is the verdict about the inner hello of a client that has one.
func (m *Machine) hides(v verdict) bool { return m.hidden != nil && m.hidden.verdict == v }

// writesInner and writesOuter say which of two ClientHellos is being written; a
// single one is neither.
func (m *Machine) writesInner() bool { return m.hidden != nil && m.hidden.face == innerFace }
func (m *Machine) writesOuter() bool { return m.hidden != nil && m.hidden.face == outerFace }

// offersVersion reports whether the ClientHello that is being written offers a
// version. An inner one offers only what hides it from others (RFC 9849 6.1).
func (m *Machine) offersVersion(v protocol.Version) bool {
	return m.config.Enabled(v) && (v.Is13() || !m.writesInner())
}

// helloTranscript is the transcript with the ClientHello that we want.
func (m *Machine) helloTranscript() *transcript {
	if m.hides(undecided) {
		return &m.hidden.transcript
	}
	return &m.transcript
}

// prepareHidden decides whether there is an inner hello.
func (m *Machine) prepareHidden() error {
	c := m.config
	config, ok := c.selectECH()
	if !ok {
		if c.EncryptedClientHelloGREASE && c.Enabled(protocol.VersionTLS13) {
			return m.prepareDecoy()
		}
		return nil
	}
	sender, err := ech.NewSender(config)
	if err != nil {
		return alert.Localf(alert.InternalError, "EncryptedClientHelloConfigList: %w", err)
	}
	m.hidden = &hidden{config: config, sender: sender, random: randomBytes(32)}
	return nil
}

// selectECH is the configuration that a client uses, if there is one.
func (c *Config) selectECH() (*ech.Config, bool) {
	if len(c.EncryptedClientHelloConfigList) == 0 || !c.Enabled(protocol.VersionTLS13) {
		return nil, false
	}
	configs, _ := ech.ParseConfigList(c.EncryptedClientHelloConfigList) // Validate has seen it
	return ech.Select(configs)
}

// prepareDecoy makes an extension that looks like an encrypted ClientHello as
// long as ours may be, and stays the same over a HelloRetryRequest (RFC 9849 6.2).
func (m *Machine) prepareDecoy() error {
	const usual = 224
	var b wire.Builder
	err := ech.Grease(&b, usual+len(m.config.ServerName))
	m.decoy, _ = b.Bytes()
	return err
}

// composeHidden writes the outer ClientHello with the inner one in it.
func (m *Machine) composeHidden(b *wire.Builder) error {
	h := m.hidden
	outer, err := m.extensionsAs(outerFace)
	if err != nil {
		return err
	}
	inner, shared, err := m.composeInner(outer)
	if err != nil {
		return err
	}
	encoded, err := ech.Encode(inner, shared, h.config.MaxName, m.transport)
	if err != nil {
		return alert.Localf(alert.InternalError, "the inner ClientHello: %w", err)
	}
	h.encoded = len(encoded)
	if outer, err = m.extensionsAs(outerFace); err != nil { // now with room for it
		return err
	}
	m.composeHello(b, outer)
	body, err := b.Bytes()
	if err != nil {
		return err
	}
	if err := h.sender.Seal(body, encoded, m.transport); err != nil {
		return alert.Localf(alert.InternalError, "the inner ClientHello: %w", err)
	}
	var sent message.ClientHello
	if err := sent.Parse(body, m.transport); err != nil {
		return err
	}
	extension, _ := sent.Extensions.Find(protocol.ExtEncryptedClientHello)
	h.extension = slices.Clone(extension)
	return nil
}

// extensionsAs is the extension block of one of the hellos.
func (m *Machine) extensionsAs(f face) ([]byte, error) {
	m.hidden.face = f
	return m.offerExtensions()
}

// composeInner makes the inner ClientHello, which goes into its transcript, and
// says which of its extensions the outer one has as well. Those come right
// before pre_shared_key and in the order of the outer one.
func (m *Machine) composeInner(outer message.Extensions) (*message.ClientHello, []protocol.ExtensionType, error) {
	h := m.hidden
	serverName, offered := m.serverName, slices.Clone(m.hello.offered)
	block, err := m.extensionsAs(innerFace)
	if err != nil {
		return nil, nil, err
	}
	h.hello.serverName, h.hello.offered = m.serverName, m.hello.offered
	m.serverName, m.hello.offered = serverName, offered

	block, shared := arrange(block, outer)
	var b wire.Builder
	random := m.random.client
	m.random.client = h.random
	m.composeHello(&b, block)
	m.random.client = random
	body, err := b.Bytes()
	if err != nil {
		return nil, nil, err
	}
	m.bind(&h.transcript, body)
	h.transcript.add(Message{Type: protocol.ClientHello, Body: body})
	m.traceInner(Sent, len(body))
	inner := &message.ClientHello{}
	return inner, shared, inner.Parse(body, m.transport)
}

// arrange puts the extensions of an inner hello that the outer one has as well
// behind the others, but before pre_shared_key, which is the last of all. A
// server_name is never one of them, even if it is: nobody is to learn that
// (RFC 9849 10.5).
func arrange(inner, outer message.Extensions) (message.Extensions, []protocol.ExtensionType) {
	var own, same, last wire.Builder
	var shared []protocol.ExtensionType
	for t, body := range inner.All() {
		theirs, ok := outer.Find(t)
		to := &own
		switch {
		case t == protocol.ExtPreSharedKey:
			to = &last
		case ok && t != protocol.ExtServerName && string(theirs) == string(body):
			to, shared = &same, append(shared, t)
		}
		message.AppendExtension(to, t, func() { to.Raw(body) })
	}
	for _, b := range []*wire.Builder{&same, &last} {
		rest, _ := b.Bytes()
		own.Raw(rest)
	}
	block, _ := own.Bytes()
	return block, shared
}

// --- The extension

func offerECH(m *Machine, b *wire.Builder) bool {
	switch {
	case m.hidden == nil:
		b.Raw(m.decoy)
		return m.decoy != nil
	case m.writesInner():
		ech.AppendInner(b)
	case m.hides(rejected): // as it was: nobody but the server is to see a difference
		b.Raw(m.hidden.extension)
	default:
		m.hidden.sender.Room(b, m.hidden.encoded)
	}
	return true
}

func acceptECH(m *Machine, at where, body []byte) error {
	if at == inRetry {
		if m.hidden != nil {
			m.hidden.answer = body
		}
		if len(body) != ech.ConfirmationLen {
			return alert.Peerf(alert.DecodeError, "%w: %v of HelloRetryRequest has %d bytes, expected %d", alert.MalformedExtension, protocol.ExtEncryptedClientHello, len(body), ech.ConfirmationLen)
		}
		return nil
	}
	if m.hides(accepted) { // RFC 9849 6.1
		return alert.Peerf(alert.UnsupportedExtension, "%w: a server that took the encrypted ClientHello sends other keys for it", alert.UnexpectedExtension)
	}
	if _, err := ech.ParseConfigList(body); err != nil {
		return alert.Peerf(alert.DecodeError, "%w: %v: %w", alert.MalformedExtension, protocol.ExtEncryptedClientHello, err)
	}
	if m.hidden != nil {
		m.hidden.retry = slices.Clone(body)
	}
	return nil
}

// --- The server's verdict

const (
	confirmHello = "ech accept confirmation"     // RFC 9849 7.2
	confirmRetry = "hrr ech accept confirmation" // RFC 9849 7.2.1
)

// confirms reports whether at, a part of the body of a ServerHello or
// HelloRetryRequest, is the server's confirmation for what a transcript and the
// inner random say.
func (m *Machine) confirms(t *transcript, innerRandom []byte, label string, body, at []byte) bool {
	return len(at) == ech.ConfirmationLen && string(at) == string(m.confirmation(t, innerRandom, label, body, at))
}

// confirmation is what stands for at, computed over body with zeros there.
func (m *Machine) confirmation(t *transcript, innerRandom []byte, label string, body, at []byte) []byte {
	cleared := slices.Clone(body)
	// at is a view of body: their capacities end at the same byte.
	clear(cleared[cap(body)-cap(at):][:ech.ConfirmationLen])
	sum := t.sumAnd(Message{Type: protocol.ServerHello, Body: cleared})
	schedule := keys.Schedule{Hash: m.suite.Hash, Transport: m.transport}
	return schedule.Confirmation(innerRandom, label, sum)
}

// settleHiddenRetry is what a HelloRetryRequest says of the inner hello.
func (m *Machine) settleHiddenRetry(body []byte) {
	h := m.hidden
	if h == nil {
		return
	}
	h.transcript.begin(m.suite.Hash, m.version)
	h.transcript.retry(h.transcript.sum())
	h.confirmed = m.confirms(&h.transcript, h.random, confirmRetry, body, h.answer)
	h.answer = nil
	if !h.confirmed {
		m.rejectHidden()
		return
	}
	h.transcript.add(Message{Type: protocol.ServerHello, Body: body})
}

// settleHidden is what a ServerHello says of the inner hello.
func (m *Machine) settleHidden(body []byte, in *message.ServerHello) error {
	h := m.hidden
	if h == nil || h.verdict != undecided {
		return nil
	}
	if m.version.Is13() {
		if !h.confirmed {
			h.transcript.begin(m.suite.Hash, m.version)
		}
		end := in.Random[len(in.Random)-ech.ConfirmationLen:]
		if m.confirms(&h.transcript, h.random, confirmHello, body, end) {
			h.verdict = accepted
			m.encrypted = true
			m.transcript, m.random.client = h.transcript, h.random
			m.serverName, m.hello.offered = h.hello.serverName, h.hello.offered
			return nil
		}
	}
	if h.confirmed {
		return alert.Peerf(alert.IllegalParameter, "%w: ServerHello rejects what HelloRetryRequest accepted", alert.InconsistentECH)
	}
	m.rejectHidden()
	return nil
}

// rejectHidden goes on with the outer hello, which offers no session.
func (m *Machine) rejectHidden() {
	m.hidden.verdict = rejected
	m.hidden.transcript = transcript{}
	m.resumption, m.psks = nil, nil
}

// verifyRejecting verifies whoever speaks for the public name: only then its
// ECHConfigs for another try can be believed (RFC 9849 6.1.7).
func (m *Machine) verifyRejecting(raw [][]byte) error {
	public, state, s := *m.config, m.State(), m.suite
	judge := public.EncryptedClientHelloRejectionVerify
	public.ServerName, public.InsecureSkipVerify = m.hidden.config.PublicName, judge != nil
	public.PeerFingerprints = nil // who speaks for the public name may be another
	v, err := later(m, func() (verified, error) {
		v, err := public.verifyChain(Client, s, raw)
		if err == nil && judge != nil {
			state.PeerCertificates = v.chain
			err = judge(state)
		}
		return v, err
	})
	if err != nil {
		return wrap(err, alert.BadCertificate, "the certificate of a server that rejects the encrypted ClientHello")
	}
	m.peer.verified = v
	return nil
}

// crossedOpen ends a handshake that is complete with a server that rejected the
// inner hello: it was only to learn, with the server authenticated, how to do
// better (RFC 9849 6.1.6).
func crossedOpen(m *Machine) error {
	if m.Open() || !m.hides(rejected) { // it was open before, or nothing was hidden
		return nil
	}
	return alert.Peerf(alert.ECHRequired, "%w: %w", alert.ECHRejected, &tls.ECHRejectionError{RetryConfigList: m.hidden.retry})
}

// traceInner tells of an inner ClientHello, which no Layer sees.
func (m *Machine) traceInner(d Direction, size int) {
	m.trace(Event{Kind: EventInnerHello, Direction: d, Message: protocol.ClientHello, Size: size, Length: size})
}

// validateECH checks what Config says of Encrypted Client Hello.
func (c *Config) validateECH(role Role) error {
	if role == Server {
		_, err := c.keysECH()
		return err
	}
	if c.EncryptedClientHelloConfigList == nil {
		return nil
	}
	const field = "EncryptedClientHelloConfigList"
	if c.RewriteMessage != nil {
		return unusable("RewriteMessage", "a ClientHello that hides another is not rewritten (%s)", field)
	}
	if _, err := ech.ParseConfigList(c.EncryptedClientHelloConfigList); err != nil && len(c.EncryptedClientHelloConfigList) > 0 {
		return unusable(field, "%w", err)
	}
	if _, ok := c.selectECH(); !ok && !c.InsecureAllowMissingECH {
		return unusable(field, "none of its configurations can be used, or 1.3 is off")
	}
	return nil
}

// keysECH are a server's keys.
func (c *Config) keysECH() ([]*ech.Key, error) {
	var all []*ech.Key
	for i, k := range c.EncryptedClientHelloKeys {
		key, err := ech.ParseKey(k.Config, k.PrivateKey)
		if err != nil {
			return nil, unusable("EncryptedClientHelloKeys", "number %d: %v", i, err)
		}
		all = append(all, key)
	}
	return all, nil
}
