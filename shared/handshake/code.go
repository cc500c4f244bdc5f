package handshake

import (
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A connection whose handshake is complete can go on in another process. What its
// Machine must know there is little: nothing of the handshake but what it led to,
// and what of messages after it is under way. A step that waits for outside work
// is not part of it: it runs again from its start.

// Code writes what an open Machine knows, or reads it into one that Continue made.
func (m *Machine) Code(c *wire.Codec) {
	m.codeAgreed(c)
	m.codePeer(c)
	m.codeSecrets(c)
	m.codeMessages(c)
	m.identity.code(c)
	for _, size := range []*int{&m.sizes.ours, &m.sizes.theirs, &m.sizes.fragment} {
		if wire.Number(c, size); *size > MaxPlaintext+1 {
			c.Fail("records of %d bytes", *size)
		}
	}
	if c.Reads() && c.Err() == nil {
		m.flow = opened
		m.settleLimits()
		m.forget()
	}
}

// Continue returns a Machine for a connection whose handshake was completed
// elsewhere: Code reads what is known of it. The config is valid for this role and
// transport.
func Continue(r Role, c *Config, t protocol.Transport, l Layer) *Machine {
	return newMachine(r, c, t, l)
}

// codeAgreed codes what the hellos settled.
func (m *Machine) codeAgreed(c *wire.Codec) {
	version, group, chosen := m.version, m.State().CurveID, m.State().CipherSuite
	wire.Number(c, &version)
	wire.Number(c, &chosen)
	wire.Number(c, &group)
	wire.Number(c, &m.srtp.profile)
	c.Data(&m.srtp.identifier)
	c.Text(&m.protocol)
	c.Text(&m.serverName)
	c.Flag(&m.extendedMasterSecret)
	c.Flag(&m.secureRenegotiation)
	c.Flag(&m.retried)
	c.Flag(&m.resumed)
	c.Flag(&m.encrypted)
	m.codeFacts(c, version)
	wire.Number(c, &m.early.received)
	reason := string(m.early.reason)
	c.Text(&reason)
	if !c.Reads() {
		return
	}
	m.early.reason = EarlyDataReason(reason)
	m.suite, m.group = suite.ByID(chosen), suite.GroupByID(group)
	switch {
	case c.Err() != nil:
	case !version.Known() || version.Over(m.transport) != version:
		c.Fail("of %v", version)
	case m.suite == nil || m.suite.Version != version.Over(protocol.Stream):
		c.Fail("suite 0x%04x is not one of %v", chosen, version)
	case m.group == nil && group != 0:
		c.Fail("group %d", group)
	default:
		m.setVersion(version)
	}
}

// codeFacts codes the facts that still matter once a handshake is complete.
func (m *Machine) codeFacts(c *wire.Codec, version protocol.Version) {
	var known [2]Facts // false, true
	for _, f := range [...]Facts{EarlyData, ClientCID, ServerCID} {
		holds := m.place.Is(f)
		if c.Flag(&holds); holds {
			known[1] |= f
		} else {
			known[0] |= f
		}
	}
	if !c.Reads() {
		return
	}
	m.place = Place{At: Open}
	m.place.Learn(known[1], true)
	m.place.Learn(known[0], false)
	m.place.Learn(V13, version.Is13())
	m.place.Learn(Datagram, m.transport == protocol.Datagram)
}

// code codes what is known of connection IDs.
func (i *identity) code(c *wire.Codec) {
	c.Data(&i.local)
	c.Data(&i.remote)
	c.Flag(&i.agreed)
	c.Flag(&i.checks)
	wire.List(c, &i.fresh, c.Data)
	c.Flag(&i.answers)
	c.Flag(&i.immediate)
	wire.Number(c, &i.wanted)
	if c.Flag(&i.awaited); i.immediate && len(i.fresh) == 0 {
		c.Fail("a connection ID to be used at once that isn't there")
	}
}

// codePeer codes who the peer is. That its certificates were verified is not part
// of it.
func (m *Machine) codePeer(c *wire.Codec) {
	chain := rawChain(m.peer.chain)
	wire.List(c, &chain, c.Data)
	c.Data(&m.peer.rawKey)
	c.Data(&m.peer.staple)
	wire.List(c, &m.peer.timestamps, c.Data)
	wire.Number(c, &m.peer.scheme)
	wire.Number(c, &m.scheme)
	c.Data(&m.pskIdentity)
	if c.Reads() && len(chain) > 0 && c.Err() == nil {
		var err error
		if m.peer.chain, err = cert.Parse(chain); err != nil {
			c.Fail("%v", err)
		}
	}
}

// codeSecrets codes what derives further secrets: keys that are in use are the
// Layer's.
func (m *Machine) codeSecrets(c *wire.Codec) {
	c.Data(&m.firstFinished)
	if c.Err() != nil {
		return
	}
	if !m.version.Is13() {
		s := m.secrets12
		s.master.Hash = m.suite.Hash
		for _, secret := range [][]byte{s.master.Secret[:], s.client[:], s.server[:]} {
			coded := secret
			if c.Data(&coded); len(coded) != len(secret) {
				c.Fail("a secret of %d bytes", len(coded))
			}
			copy(secret, coded)
		}
		return
	}
	s, schedule := m.secrets13, keys.Schedule{Hash: m.suite.Hash, Transport: m.transport}
	client, server, exporter, resumption := s.client.Bytes(), s.server.Bytes(), s.exporter.Bytes(), s.resumption.Bytes()
	for _, secret := range []*[]byte{&client, &server, &exporter, &resumption} {
		c.Data(secret)
		if needed := secret != &resumption || *secret != nil; needed && len(*secret) != m.suite.Hash.Size() {
			c.Fail("a secret of %d bytes", len(*secret))
		}
	}
	if c.Reads() && c.Err() == nil {
		s.client, s.server = schedule.Traffic(client), schedule.Traffic(server)
		s.exporter, s.resumption = schedule.Exporter(exporter), schedule.Resumption(resumption)
	}
}

// codeMessages codes where the messages after the handshake stand.
func (m *Machine) codeMessages(c *wire.Codec) {
	m.ticketLifetime = max(0, m.ticketLifetime)   // less says that it was over before it began
	address, _ := m.ClientAddress.MarshalBinary() // which never fails
	c.Data(&address)
	wire.Number(c, &m.writeLevel)
	wire.Number(c, &m.readLevel)
	wire.Number(c, &m.writeSeq)
	wire.Number(c, &m.ticketsDue)
	wire.Number(c, &m.ticketLifetime)
	c.Flag(&m.updateDue)
	wire.Number(c, &m.updateRequest)
	c.Flag(&m.answerDue)
	c.Flag(&m.requested)
	c.Flag(&m.unconfirmed)
	c.Flag(&m.rekey)
	if m.ticketsDue > 0 && m.version.Is13() && len(m.secrets13.resumption.Bytes()) == 0 {
		c.Fail("tickets are due, and there is no secret for them")
	}
	if err := m.ClientAddress.UnmarshalBinary(address); c.Reads() && err != nil {
		c.Fail("a client's address of %d bytes", len(address))
	}
}

// Suite is the cipher suite, nil until it is known.
func (m *Machine) Suite() *suite.Suite { return m.suite }

// Still goes on with what an open Machine was about to write when it was written
// down.
func (m *Machine) Still(now time.Time) error {
	m.now = now
	return m.latch(m.post())
}

// Stop ends the Machine where it stands, with secrets and all: the connection goes
// on elsewhere.
func (m *Machine) Stop() {
	m.latch(alert.Localf(alert.InternalError, "the connection goes on elsewhere"))
}
