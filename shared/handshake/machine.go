// Package handshake is the handshake of DTLS and TLS, 1.3 and 1.2, client and
// server: one graph of steps (graph.go), walked by a Machine (machine.go,
// flow.go) that exchanges whole messages with a Layer (layer.go) and knows
// neither records nor sockets nor clocks. What each step reads and writes
// stands in files in the order of the protocol: hello, negotiate, extension,
// authenticate, exchange, schedule, post. Config and ConnectionState are the
// ones that dtls and tls show.
//
// Packages below shared carry no compatibility promise of their own; what dtls
// and tls alias from them is covered by theirs.
package handshake

import (
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/keys"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A Machine is one side of one handshake. It walks the graph: whole messages
// in; whole messages and secrets out, through its Layer. It does no I/O, reads
// no clock and never sees a record.
//
//	          Receive                 speak
//	message --> classify --> place.Read   place.Write --> write[step] --> Layer.Send
//	                 |                        |
//	             read[step]                   |
//	                 +---------> cross <------+
//	                    transcript, place.Move, crossed[step]
//
// Where it stands is its place (graph.go); whether it reads, writes or waits
// for outside work is its flow (flow.go).
type Machine struct {
	given     *Config // as it came
	config    *Config // in force: GetConfigForClient may replace it
	number    uint64  // Event.Engine
	role      Role
	transport protocol.Transport
	layer     Layer

	place   Place // changed by cross; facts are learned where messages are read and written
	flow    flow
	failure error     // that ended it
	now     time.Time // of the call that is running

	// ClientAddress, if valid, is where a server's tickets for 0-RTT are good
	// without a cookie (RFC 9147 5.1).
	ClientAddress netip.Addr

	// Introduce, if set, completes what an application's callback sees, with
	// what only the connection knows.
	Introduce func(*tls.ClientHelloInfo)

	// Identify, if set, makes a connection ID of ours, which is known to whoever
	// looks for it from then on; nil if there is none to give. It stands for the
	// generator's New.
	Identify func(ConnectionIDGenerator) []byte

	// Remote, if set, is what a client knows a server by that has no ServerName:
	// its address.
	Remote func() string

	// What the hellos settled.
	version protocol.Version // zero until known
	suite   *suite.Suite
	group   *suite.Group
	said

	*scaffold            // nil once the handshake is over
	secrets12 *secrets12 // of 1.2, once that is the version
	secrets13 *secrets13 // and of 1.3

	// Authentication.
	credential *Credential         // ours; nil if we have or need none
	scheme     tls.SignatureScheme // ours
	peer       *peerIdentity

	protocol string        // ALPN
	srtp     srtp          // as agreed
	sizes    recordSizes   // of records, as agreed
	settled  settledLimits // what they come to, once open

	encrypted   bool        // the hello that counts went encrypted
	resumed     bool        // a session is
	resumption  *resumption // the session that is offered (client) or resumed; nil once open
	pskIdentity []byte      // of the external key that authenticates both peers, if one does

	ticketsDue     int                          // tickets to be made
	ticketLifetime time.Duration                // of each
	tickets        []message.NewSessionTicket13 // and to be written

	early early // 0-RTT (early.go)

	identity identity // connection IDs (connectionid.go)

	firstFinished []byte // 1.2: the verify_data that came first

	out                   wire.Builder // what is being written, one message after the other
	writeLevel, readLevel uint64
	writeSeq              uint32 // message_seq of our next message; 1<<16 after the last

	task    *task   // outside work under way (flow.go)
	answers []*task // work that the running step has got back
	asked   int     // how many of them it has used
	spoke   bool    // a flight was begun before the wait

	updateDue     bool // a KeyUpdate is to be written
	updateRequest message.KeyUpdateRequest
	answerDue     bool // one is to be written before data, as the peer asked for it
	requested     bool // the peer owes us a KeyUpdate
	unconfirmed   bool // what was sent last isn't acknowledged yet
	rekey         bool // a KeyUpdate of ours awaits its ACK
}

// A scaffold is what a handshake is built with. It is taken down when that stands: a
// connection may last for long, and there may be a million of them.
type scaffold struct {
	grease     grease
	hello      hello // this handshake's ClientHello, ours or the peer's
	random     struct{ client, server []byte }
	transcript transcript

	keyShares      []*suite.PrivateKey // ours, until a secret came of one
	serverShare    []byte              // the server's half of 1.3's key exchange
	shared         []byte              // the key exchange's secret, until it is in the schedule
	keys12         keys12
	master         keys.MasterSecret  // 1.3
	finishedClient keys.TrafficSecret // 1.3: handshake traffic secrets, for Finished
	finishedServer keys.TrafficSecret

	shows   CertificateType // how we show our credential; X509, if nothing else was agreed
	staple  []byte          // OCSP response for our certificate, if the peer wants it
	shown   peerShown
	request demand // the server's, read by the client

	hidden *hidden     // the client's inner hello (ech.go)
	decoy  []byte      // what looks like one
	opened openedHello // the server's (ech_server.go)

	selected    bool   // 1.2: the server takes the session that is offered
	psks        []*psk // 1.3: a client's PSKs
	psk         *psk   // 1.3: the one that is used
	selectedPSK int    // its number among the client's
	pskHint     []byte // 1.2: the server's
	sessionID   []byte // 1.2: the name that the server gives this session, if it keeps it
	promised    bool   // 1.2: the server said that it gives a ticket
	ticket      message.NewSessionTicket12

	verifyRequests int  // HelloVerifyRequests seen
	entered        bool // by a stateless cookie
	askedShare     bool // our HelloRetryRequest named a group
}

// What a step does, apart from when it is lawful. Its reader runs read, its
// writer runs write, and then, once it is in the transcript, both run crossed:
// that is where keys change. read and write may answer ErrNotYet (flow.go) and
// are then run again from their start.
var (
	read    [numSteps]func(m *Machine, body []byte) error
	write   [numSteps]func(m *Machine, b *wire.Builder) error
	crossed [numSteps]func(m *Machine) error
)

func init() {
	steps := []struct {
		step    Step
		read    func(m *Machine, body []byte) error
		write   func(m *Machine, b *wire.Builder) error
		crossed func(m *Machine) error
	}{
		{ClientHello, readClientHello, writeClientHello, crossedClientHello},
		{HelloVerifyRequest, readHelloVerifyRequest, nil, crossedHelloVerifyRequest},
		{HelloRetryRequest, readHelloRetryRequest, writeHelloRetryRequest, nil},
		{ClientHelloAgain, readClientHello, writeClientHello, nil},
		{ServerHello, readServerHello, writeServerHello, crossedServerHello},

		{EncryptedExtensions, readEncryptedExtensions, writeEncryptedExtensions, crossedEncryptedExtensions},
		{CertificateRequest, readCertificateRequest, writeCertificateRequest, nil},
		{ServerCertificate, readServerCertificate, writeCertificate, nil},
		{CertificateStatus, readCertificateStatus, writeCertificateStatus, nil},
		{ServerKeyExchange, readServerKeyExchange, writeServerKeyExchange, nil},
		{ServerHelloDone, readServerHelloDone, writeNothing, nil},
		{ServerCertificateVerify, readCertificateVerify, writeCertificateVerify, nil},

		{EndOfEarlyData, readEndOfEarlyData, writeNothing, crossedEndOfEarlyData},
		{ClientCertificate, readClientCertificate, writeCertificate, nil},
		{ClientKeyExchange, readClientKeyExchange, writeClientKeyExchange, crossedClientKeyExchange},
		{ClientCertificateVerify, readCertificateVerify, writeCertificateVerify, nil},

		{NewSessionTicket, readNewSessionTicket, writeNewSessionTicket, nil},
		{ClientChangeCipherSpec, readChangeCipherSpec, writeChangeCipherSpec, crossedChangeCipherSpec},
		{ServerChangeCipherSpec, readChangeCipherSpec, writeChangeCipherSpec, crossedChangeCipherSpec},
		{ClientFinished, readFinished, writeFinished, crossedClientFinished},
		{ServerFinished, readFinished, writeFinished, crossedServerFinished},
		{Open, nil, nil, crossedOpen},

		{PostTicket, readPostTicket, writePostTicket, nil},
		{ClientKeyUpdate, readKeyUpdate, writeKeyUpdate, crossedKeyUpdate},
		{ServerKeyUpdate, readKeyUpdate, writeKeyUpdate, crossedKeyUpdate},
		{ClientNewConnectionID, readNewConnectionID, writeNewConnectionID, nil},
		{ServerNewConnectionID, readNewConnectionID, writeNewConnectionID, nil},
		{ClientRequestConnectionID, readRequestConnectionID, writeRequestConnectionID, nil},
		{ServerRequestConnectionID, readRequestConnectionID, writeRequestConnectionID, nil},
	}
	for _, s := range steps {
		read[s.step], write[s.step], crossed[s.step] = s.read, s.write, s.crossed
	}
}

// NewClient returns a client's Machine; Start lets it speak. The config is
// valid for this role and transport.
func NewClient(c *Config, t protocol.Transport, l Layer) *Machine {
	return newMachine(Client, c, t, l)
}

// NewServer returns a server's Machine, which waits for a ClientHello.
func NewServer(c *Config, t protocol.Transport, l Layer) *Machine {
	return newMachine(Server, c, t, l)
}

// usualBody is room for most messages: more of it comes where it is needed.
const usualBody = 512

func newMachine(r Role, c *Config, t protocol.Transport, l Layer) *Machine {
	m := &Machine{
		given: c, config: c, number: numberOf(c), role: r, transport: t, layer: l,
		place: Place{At: Start}, scaffold: new(scaffold), peer: new(peerIdentity),
	}
	m.out = *wire.NewBuilder(make([]byte, 0, usualBody))
	m.place.Learn(Datagram, t == protocol.Datagram)
	if r == Client {
		m.config = c.offering()
		m.learnUnoffered()
	}
	return m
}

// learnUnoffered lets a client know what it doesn't offer: it can't be answered.
func (m *Machine) learnUnoffered() {
	c := m.config
	if !m.asksConnectionIDs() {
		m.place.Learn(ClientCID|ServerCID, false)
	}
	if !c.RequestOCSPStaple {
		m.place.Learn(Stapled, false)
	}
	if !m.resumes() && !c.hasPSK(protocol.VersionTLS13) {
		m.place.Learn(Resumed, false)
	}
	if !m.resumes() || c.SessionTicketsDisabled {
		m.place.Learn(Ticket, false)
	}
	if !c.Enabled(protocol.VersionTLS12) || !c.Enabled(protocol.VersionTLS13) {
		m.place.Learn(V13, c.Enabled(protocol.VersionTLS13))
	}
}

// An Entry is what a server that answered a ClientHello without keeping state
// finds in the cookie that comes back (RFC 6347 4.2.1, RFC 9147 5.1).
type Entry struct {
	Choice
	Seq       uint16 // message_seq of the ClientHello that brings the cookie
	HelloHash []byte // 1.3: hash of the first ClientHello
	Retry     []byte // 1.3: the body of the HelloRetryRequest that was sent
}

// Enter puts a fresh server at the place it had when it sent its cookie: after
// HelloVerifyRequest, or after HelloRetryRequest.
func (m *Machine) Enter(e Entry) {
	m.writeSeq = uint32(e.Seq) // every hello so far was answered with one message
	m.entered = true
	m.setVersion(e.Version)
	if !e.Version.Is13() {
		m.place = EntryPlace(HelloVerifyRequest)
		return
	}
	m.place = EntryPlace(HelloRetryRequest)
	m.suite, m.group, m.askedShare = e.Suite, e.Group, e.NeedShare
	m.transcript.begin(m.suite.Hash, m.version)
	m.transcript.retry(e.HelloHash)
	m.transcript.add(Message{Type: protocol.ServerHello, Body: e.Retry})
}

// cross is the only place where a handshake changes state.
func (m *Machine) cross(e Edge, msg Message) error {
	if e.To.Transcribed() {
		m.transcript.add(m.counted(msg))
	}
	if !m.place.Move(e) {
		return alert.Peerf(alert.IllegalParameter, "%w: %v", alert.Contradiction, e.To)
	}
	m.trace(Event{Kind: EventStep, Step: e.To})
	if f := crossed[e.To]; f != nil {
		return f(m)
	}
	return nil
}

// setVersion tells everybody what was agreed.
func (m *Machine) setVersion(v protocol.Version) {
	if m.version == v {
		return
	}
	if m.version = v; v.Is13() {
		m.secrets13 = new(secrets13)
	} else {
		m.secrets12 = new(secrets12)
	}
	m.layer.Version(v)
}

// Open reports whether the handshake is complete.
func (m *Machine) Open() bool { return m.flow == opened }

// Role is this side's role.
func (m *Machine) Role() Role { return m.role }

// State describes the connection as far as it is known.
//
// RFC 9846 E [4], F.5 [4]
func (m *Machine) State() ConnectionState {
	s := ConnectionState{
		Version:              uint16(m.version),
		HandshakeComplete:    m.Open(),
		DidResume:            m.resumed,
		NegotiatedProtocol:   m.protocol,
		SRTPProfile:          m.srtp.profile,
		MaxPlaintext:         m.SendLimit(m.writeLevel),
		ServerName:           m.serverName,
		PeerCertificates:     m.peer.chain,
		VerifiedChains:       m.peer.chains,
		PeerRawPublicKey:     m.peer.rawKey,
		OCSPResponse:         m.peer.staple,
		ECHAccepted:          m.encrypted,
		HelloRetryRequest:    m.retried,
		PeerSignature:        m.peer.scheme,
		LocalSignature:       m.scheme,
		LocalCredential:      m.credential,
		PSKIdentity:          m.pskIdentity,
		ExtendedMasterSecret: m.version.Is13() || m.extendedMasterSecret,
		LocalConnectionID:    m.identity.local,
		RemoteConnectionID:   m.identity.remote,
		ReturnRoutability:    m.identity.checks,
		SecureRenegotiation:  m.version.Is13() || m.secureRenegotiation,

		SignedCertificateTimestamps: m.peer.timestamps,
		SRTPMasterKeyIdentifier:     m.srtp.identifier,
	}
	if m.suite != nil {
		s.CipherSuite = m.suite.ID
	}
	if m.group != nil {
		s.CurveID = m.group.ID
	}
	m.describeEarlyData(&s)
	if m.Open() || m.role == Server && m.EarlyRoom() > 0 {
		s.export = m.exporter()
		if s.ExtendedMasterSecret || !s.DidResume { // RFC 7627 6.3
			s.TLSUnique = m.firstFinished
		}
	}
	return s
}

// Standing is what an observer may see of a Machine, for tests that nothing
// changed.
func (m *Machine) Standing() Place { return m.place }

// parse reads body into a message of the running step.
func parse[M interface{ Parse([]byte) error }](msg M, body []byte) (M, error) {
	return msg, msg.Parse(body)
}
