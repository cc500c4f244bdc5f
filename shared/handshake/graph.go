package handshake

import (
	"bytes"
	"math/bits"
	"strings"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

//go:generate go test . -run TestPictures -update

// The handshakes of TLS and DTLS, 1.2 and 1.3, are one graph of steps, and
// client and server walk it together. Steps with a star depend on facts.
//
//	        Start
//	          v
//	     ClientHello ------> HelloVerifyRequest (1.2) or HelloRetryRequest (1.3)
//	          |                   v        ^
//	          |              ClientHelloAgain (in 1.2, once more)
//	          v                   |
//	     ServerHello <------------+
//	          |
//	   +------+---------------------+----------------------------+
//	   | 1.3                        | 1.2                        | 1.2, resumed
//	   v                            v                            v
//	EncryptedExtensions          ServerCertificate *          NewSessionTicket *
//	CertificateRequest *         CertificateStatus *          ServerChangeCipherSpec
//	ServerCertificate *          ServerKeyExchange *          ServerFinished
//	ServerCertificateVerify *    CertificateRequest *         ClientChangeCipherSpec
//	ServerFinished               ServerHelloDone              ClientFinished
//	EndOfEarlyData *             ClientCertificate *             |
//	ClientCertificate *          ClientKeyExchange               |
//	ClientCertificateVerify *    ClientCertificateVerify *       |
//	ClientFinished               ClientChangeCipherSpec          |
//	   |                         ClientFinished                  |
//	   |                         NewSessionTicket *              |
//	   |                         ServerChangeCipherSpec          |
//	   |                         ServerFinished                  |
//	   |                            |                            |
//	   +--------> Open <------------+----------------------------+
//	              ^  |
//	              |  v  1.3, when one is due
//	    PostTicket, KeyUpdate, connection IDs
//
// docs/graph has pictures of the whole and of each role and version, and a list
// of every handshake. They are generated; the tests fail when they are stale.

// A Step is one message of the handshake, named for what it is and who writes
// it. Where a handshake stands is the last Step that crossed.
type Step uint8

const (
	Start Step = iota // nothing has crossed yet
	ClientHello
	HelloVerifyRequest
	HelloRetryRequest
	ClientHelloAgain
	ServerHello
	EncryptedExtensions
	ServerCertificate
	CertificateStatus
	ServerKeyExchange
	CertificateRequest
	ServerCertificateVerify
	ServerHelloDone
	EndOfEarlyData
	ClientCertificate
	ClientKeyExchange
	ClientCertificateVerify
	ClientChangeCipherSpec
	ClientFinished
	NewSessionTicket // 1.2, within the handshake
	ServerChangeCipherSpec
	ServerFinished

	Open // the handshake is complete; crossed without a message

	// After the handshake, in 1.3.
	PostTicket // NewSessionTicket
	ClientKeyUpdate
	ServerKeyUpdate
	ClientNewConnectionID
	ServerNewConnectionID
	ClientRequestConnectionID
	ServerRequestConnectionID

	numSteps
)

// A Role is one side of a handshake.
type Role uint8

const (
	Nobody Role = iota
	Client
	Server
)

func (r Role) String() string { return [...]string{"nobody", "client", "server"}[r] }

// Peer is the other side.
func (r Role) Peer() Role { return [...]Role{Nobody, Server, Client}[r] }

// Facts are what the peers have agreed, or one of them has decided, so far. A
// fact is true, false or not known yet; once known it does not change.
type Facts uint32

const (
	V13           Facts = 1 << iota // the version is 1.3, else 1.2
	Datagram                        // DTLS, else TLS
	Retry                           // the server asks for another ClientHello than the last
	Resumed                         // 1.2: a session is resumed; 1.3: a PSK is used
	ServerCert                      // the server shows a certificate in this handshake
	KeyTransport                    // 1.2: the client chooses the secret, for the certificate's key: no ServerKeyExchange
	KeyExchange                     // 1.2 without a certificate: ServerKeyExchange is sent
	Stapled                         // 1.2: CertificateStatus is sent
	CertRequested                   // the server asks for a client certificate
	ClientCert                      // the client shows one; else it answers with an empty list
	Ticket                          // 1.2: NewSessionTicket is sent
	EarlyData                       // 1.3: 0-RTT data is accepted
	ClientCID                       // DTLS 1.3: records to the client carry a connection ID
	ServerCID                       // DTLS 1.3: records to the server carry a connection ID
	Due                             // after the handshake: a message waits to be written

	numFacts = iota
)

var factNames = [numFacts]string{
	"V13", "Datagram", "Retry", "Resumed", "ServerCert", "KeyTransport", "KeyExchange", "Stapled", "CertRequested",
	"ClientCert", "Ticket", "EarlyData", "ClientCID", "ServerCID", "Due",
}

// String lists the facts of the set, as "V13+Resumed".
func (f Facts) String() string {
	var names []string
	for ; f != 0; f &= f - 1 {
		names = append(names, factNames[bits.TrailingZeros32(uint32(f))])
	}
	return strings.Join(names, "+")
}

// byArrival are the facts that the mere arrival of a step may teach its reader.
// All others come only out of a parsed message, so that a peer can't talk us
// out of authentication by choosing what to send.
const byArrival = V13 | Retry | KeyExchange | Stapled | CertRequested | Due

// needs says what a fact can't be true without, as far as the graph depends on
// it. The fact is false as soon as something in If is known to be false, or
// something in Not to be true. A line comes after those of the facts it names.
//
// RFC 9846 4.4.2 [7, 8], F.1 [1]
var needs = []struct{ Fact, If, Not Facts }{
	{ServerCert, 0, Resumed},               // RFC 5246 7.3, RFC 9846 2.2
	{KeyTransport, ServerCert, V13},        // RFC 5246 7.4.7.1
	{KeyExchange, 0, Resumed | ServerCert}, // RFC 4279 2
	{Stapled, 0, V13},                      // RFC 6066 8; 1.3 staples in Certificate
	{CertRequested, ServerCert, 0},         // RFC 5246 7.4.4, RFC 9846 4.4.2
	{ClientCert, CertRequested, 0},         // RFC 5246 7.4.6, RFC 9846 4.5.1
	{Ticket, 0, V13},                       // RFC 5077; 1.3 sends it afterwards
	{EarlyData, Resumed, Retry},            // RFC 9846 4.3.10
	{ClientCID, V13 | Datagram, 0},         // RFC 9147 9
	{ServerCID, V13 | Datagram, 0},
}

// The bounds of message bodies, in bytes.
const (
	maxCertificate = DefaultMaxCertificateList // and of what may be as long
	maxMessage     = 1 << 15                   // BoringSSL takes half of that
	maxFinished    = 64                        // the longest hash
)

// steps says of each step
//
//   - who writes it, and as which handshake type. ChangeCipherSpec has none;
//   - whether it is part of the transcript. HelloVerifyRequest is not, and takes
//     the ClientHello before it out again (RFC 6347 4.2.1);
//   - MaxBody, how long its body may be;
//   - Says: the facts that both know once it has crossed. Its writer has decided
//     them when it writes, its reader learns them as it reads. What byArrival
//     names may be left open: a suite of plain PSK says nothing of KeyExchange,
//     and status_request in a ServerHello nothing of Stapled (RFC 6066 8);
//   - Decides: the facts that the server moreover has decided by then;
//   - Reopens: the facts that nobody knows any more, because they are decided
//     anew.
var steps = [numSteps]struct {
	Name        string
	Writer      Role
	Type        protocol.HandshakeType
	Transcribed bool
	MaxBody     int
	Says        Facts
	Decides     Facts
	Reopens     Facts
}{
	Start: {Name: "Start"},
	Open:  {Name: "Open", Reopens: Due},

	ClientHello:        {"ClientHello", Client, protocol.ClientHello, true, maxMessage, 0, V13 | Retry, 0},
	HelloVerifyRequest: {"HelloVerifyRequest", Server, protocol.HelloVerifyRequest, false, 2 + 1 + 255, 0, 0, Retry},
	HelloRetryRequest:  {"HelloRetryRequest", Server, protocol.ServerHello, true, maxMessage, 0, 0, Retry},
	ClientHelloAgain:   {"ClientHelloAgain", Client, protocol.ClientHello, true, maxMessage, 0, Retry, 0},
	ServerHello: {"ServerHello", Server, protocol.ServerHello, true, maxMessage,
		V13 | Resumed | ServerCert | KeyTransport | KeyExchange | Stapled | Ticket | ClientCID | ServerCID, CertRequested, 0},
	EncryptedExtensions: {"EncryptedExtensions", Server, protocol.EncryptedExtensions, true, maxMessage, EarlyData, 0, 0},

	ServerCertificate:       {"ServerCertificate", Server, protocol.Certificate, true, maxCertificate, 0, 0, 0},
	CertificateStatus:       {"CertificateStatus", Server, protocol.CertificateStatus, true, maxCertificate, 0, 0, 0},
	ServerKeyExchange:       {"ServerKeyExchange", Server, protocol.ServerKeyExchange, true, maxMessage, 0, 0, 0},
	CertificateRequest:      {"CertificateRequest", Server, protocol.CertificateRequest, true, maxCertificate, 0, 0, 0},
	ServerCertificateVerify: {"ServerCertificateVerify", Server, protocol.CertificateVerify, true, maxMessage, 0, 0, 0},
	ServerHelloDone:         {"ServerHelloDone", Server, protocol.ServerHelloDone, true, 0, 0, 0, 0},

	EndOfEarlyData:          {"EndOfEarlyData", Client, protocol.EndOfEarlyData, true, 0, 0, 0, 0},
	ClientCertificate:       {"ClientCertificate", Client, protocol.Certificate, true, maxCertificate, ClientCert, 0, 0},
	ClientKeyExchange:       {"ClientKeyExchange", Client, protocol.ClientKeyExchange, true, maxMessage, 0, 0, 0},
	ClientCertificateVerify: {"ClientCertificateVerify", Client, protocol.CertificateVerify, true, maxMessage, 0, 0, 0},

	ClientChangeCipherSpec: {"ClientChangeCipherSpec", Client, 0, false, 1, 0, 0, 0},
	ClientFinished:         {"ClientFinished", Client, protocol.Finished, true, maxFinished, 0, 0, 0},
	NewSessionTicket:       {"NewSessionTicket", Server, protocol.NewSessionTicket, true, 4 + 2 + 1<<16 - 1, 0, 0, 0},
	ServerChangeCipherSpec: {"ServerChangeCipherSpec", Server, 0, false, 1, 0, 0, 0},
	ServerFinished:         {"ServerFinished", Server, protocol.Finished, true, maxFinished, 0, 0, 0},

	PostTicket:                {"PostTicket", Server, protocol.NewSessionTicket, false, 1 << 16, 0, 0, 0},
	ClientKeyUpdate:           {"ClientKeyUpdate", Client, protocol.KeyUpdate, false, 1, 0, 0, 0},
	ServerKeyUpdate:           {"ServerKeyUpdate", Server, protocol.KeyUpdate, false, 1, 0, 0, 0},
	ClientNewConnectionID:     {"ClientNewConnectionID", Client, protocol.NewConnectionID, false, maxMessage, 0, 0, 0},
	ServerNewConnectionID:     {"ServerNewConnectionID", Server, protocol.NewConnectionID, false, maxMessage, 0, 0, 0},
	ClientRequestConnectionID: {"ClientRequestConnectionID", Client, protocol.RequestConnectionID, false, 1, 0, 0, 0},
	ServerRequestConnectionID: {"ServerRequestConnectionID", Server, protocol.RequestConnectionID, false, 1, 0, 0, 0},
}

func (s Step) String() string { return steps[s].Name }

// Writer is who writes s: Nobody for Start and Open.
func (s Step) Writer() Role { return steps[s].Writer }

// Type is the handshake type of s on the wire. ChangeCipherSpec has none.
func (s Step) Type() protocol.HandshakeType { return steps[s].Type }

// Transcribed reports whether s is part of the transcript.
func (s Step) Transcribed() bool { return steps[s].Transcribed }

// MaxBody is the largest body of s, in bytes, that is read if the Config says
// nothing else.
func (s Step) MaxBody() int { return steps[s].MaxBody }

// An Edge says that To may follow From when every fact in If holds and no fact
// in Not does.
type Edge struct {
	From, To Step
	If, Not  Facts
	Ref      string
}

// Graph is every handshake that this library can have. A guard stands only
// where something depends on it: the tests fail if losing it makes no
// difference. What follows from other facts (needs) is not repeated.
//
// RFC 9147 5.1 [10], 9 [4, 6]; RFC 9846 4 [1], 4.2.2 [3], 4.2.4 [6], 4.5.1 [2, 4], 4.5.2 [2],
// 4.6 [1, 2], 4.7.2 [5], 4.7.3 [1]
var Graph = []Edge{
	// Hellos. HelloVerifyRequest is 1.2's and settles the version, as
	// HelloRetryRequest does: no handshake has both.
	{Start, ClientHello, 0, 0, "RFC 9846 4.2.2"},
	{ClientHello, HelloVerifyRequest, Datagram | Retry, V13, "RFC 6347 4.2.1"},
	{ClientHello, HelloRetryRequest, V13 | Retry, 0, "RFC 9846 4.2.4"},
	{ClientHello, ServerHello, 0, Retry, "RFC 9846 4.2.3"},
	{HelloVerifyRequest, ClientHelloAgain, 0, 0, "RFC 6347 4.2.1"},
	{HelloRetryRequest, ClientHelloAgain, 0, 0, "RFC 9846 4.2.2"},
	{ClientHelloAgain, HelloVerifyRequest, Retry, V13, "RFC 6347 4.2.1"},
	{ClientHelloAgain, ServerHello, 0, Retry, "RFC 9846 4.2.3"},

	// 1.2, full: RFC 5246 7.3, figure 1.
	{ServerHello, ServerCertificate, ServerCert, V13, "RFC 5246 7.4.2"},
	{ServerHello, ServerKeyExchange, KeyExchange, 0, "RFC 4279 2, RFC 5489 2"},
	{ServerHello, ServerHelloDone, 0, Resumed | ServerCert | KeyExchange, "RFC 4279 2"},
	{ServerCertificate, CertificateStatus, Stapled, 0, "RFC 6066 8"},
	{ServerCertificate, ServerKeyExchange, 0, V13 | Stapled | KeyTransport, "RFC 8422 5.4"},
	{ServerCertificate, CertificateRequest, KeyTransport | CertRequested, Stapled, "RFC 5246 7.4.3"},
	{ServerCertificate, ServerHelloDone, KeyTransport, Stapled | CertRequested, "RFC 5246 7.4.3"},
	{CertificateStatus, ServerKeyExchange, 0, KeyTransport, "RFC 6066 8"},
	{CertificateStatus, CertificateRequest, KeyTransport | CertRequested, 0, "RFC 6066 8"},
	{CertificateStatus, ServerHelloDone, KeyTransport, CertRequested, "RFC 6066 8"},
	{ServerKeyExchange, CertificateRequest, CertRequested, 0, "RFC 5246 7.4.4"},
	{ServerKeyExchange, ServerHelloDone, 0, CertRequested, "RFC 5246 7.4.5"},
	{CertificateRequest, ServerHelloDone, 0, V13, "RFC 5246 7.4.5"},
	{ServerHelloDone, ClientCertificate, CertRequested, 0, "RFC 5246 7.4.6"},
	{ServerHelloDone, ClientKeyExchange, 0, CertRequested, "RFC 5246 7.4.7"},
	{ClientCertificate, ClientKeyExchange, 0, V13, "RFC 5246 7.4.7"},
	{ClientKeyExchange, ClientCertificateVerify, ClientCert, 0, "RFC 5246 7.4.8"},
	{ClientKeyExchange, ClientChangeCipherSpec, 0, ClientCert, "RFC 5246 7.1"},
	{ClientCertificateVerify, ClientChangeCipherSpec, 0, V13, "RFC 5246 7.1"},
	{ClientChangeCipherSpec, ClientFinished, 0, 0, "RFC 5246 7.4.9"},
	{ClientFinished, NewSessionTicket, Ticket, Resumed, "RFC 5077 3.3"},
	{ClientFinished, ServerChangeCipherSpec, 0, V13 | Resumed | Ticket, "RFC 5246 7.1"},
	{NewSessionTicket, ServerChangeCipherSpec, 0, 0, "RFC 5077 3.3"},
	{ServerChangeCipherSpec, ServerFinished, 0, 0, "RFC 5246 7.4.9"},
	{ServerFinished, Open, 0, V13 | Resumed, "RFC 5246 7.3"},

	// 1.2, resumed: RFC 5246 7.3, figure 2.
	{ServerHello, NewSessionTicket, Resumed | Ticket, 0, "RFC 5077 3.3"},
	{ServerHello, ServerChangeCipherSpec, Resumed, V13 | Ticket, "RFC 5246 7.3"},
	{ServerFinished, ClientChangeCipherSpec, Resumed, V13, "RFC 5246 7.3"},
	{ClientFinished, Open, Resumed, V13, "RFC 5246 7.3"},

	// 1.3: RFC 9846 2 and appendix A.
	{ServerHello, EncryptedExtensions, V13, 0, "RFC 9846 4.4.1"},
	{EncryptedExtensions, ServerFinished, Resumed, 0, "RFC 9846 2.2"},
	{EncryptedExtensions, CertificateRequest, CertRequested, 0, "RFC 9846 4.4.2"},
	{EncryptedExtensions, ServerCertificate, 0, Resumed | CertRequested, "RFC 9846 4.5.1"},
	{CertificateRequest, ServerCertificate, V13, 0, "RFC 9846 4.5.1"},
	{ServerCertificate, ServerCertificateVerify, V13, 0, "RFC 9846 4.5.2"},
	{ServerCertificateVerify, ServerFinished, 0, 0, "RFC 9846 4.5.3"},
	{ServerFinished, EndOfEarlyData, EarlyData, Datagram, "RFC 9846 4.6"},
	{EndOfEarlyData, ClientFinished, 0, 0, "RFC 9846 4.5.3"},
	{ServerFinished, ClientCertificate, V13 | CertRequested, 0, "RFC 9846 4.5.1"},
	{ServerFinished, ClientFinished, V13, Datagram | CertRequested | EarlyData, "RFC 9846 4.5.3"},
	{ServerFinished, ClientFinished, V13 | Datagram, CertRequested, "RFC 9147 5.6"}, // no EndOfEarlyData
	{ClientCertificate, ClientCertificateVerify, V13 | ClientCert, 0, "RFC 9846 4.5.2"},
	{ClientCertificate, ClientFinished, V13, ClientCert, "RFC 9846 4.5.3"},
	{ClientCertificateVerify, ClientFinished, V13, 0, "RFC 9846 4.5.3"},
	{ClientFinished, Open, V13, 0, "RFC 9846 2"},

	// After the handshake: written when due, and back to Open at once. A
	// peer's connection IDs are replaced only if it has any (RFC 9147 9).
	{Open, PostTicket, V13 | Due, 0, "RFC 9846 4.7.1"},
	{PostTicket, Open, 0, 0, "RFC 9846 4.7.1"},
	{Open, ClientKeyUpdate, V13 | Due, 0, "RFC 9846 4.7.3"},
	{ClientKeyUpdate, Open, 0, 0, "RFC 9846 4.7.3"},
	{Open, ServerKeyUpdate, V13 | Due, 0, "RFC 9846 4.7.3"},
	{ServerKeyUpdate, Open, 0, 0, "RFC 9846 4.7.3"},
	{Open, ClientNewConnectionID, ClientCID | Due, 0, "RFC 9147 9"},
	{ClientNewConnectionID, Open, 0, 0, "RFC 9147 9"},
	{Open, ServerNewConnectionID, ServerCID | Due, 0, "RFC 9147 9"},
	{ServerNewConnectionID, Open, 0, 0, "RFC 9147 9"},
	{Open, ClientRequestConnectionID, ServerCID | Due, 0, "RFC 9147 9"},
	{ClientRequestConnectionID, Open, 0, 0, "RFC 9147 9"},
	{Open, ServerRequestConnectionID, ClientCID | Due, 0, "RFC 9147 9"},
	{ServerRequestConnectionID, Open, 0, 0, "RFC 9147 9"},
}

// after holds the edges of Graph by where they start.
var after = indexEdges(Graph)

func indexEdges(edges []Edge) (index [numSteps][]Edge) {
	for _, e := range edges {
		index[e.From] = append(index[e.From], e)
	}
	return index
}

// A Place is where one peer stands: the last step, and what it knows.
type Place struct {
	At           Step // assigned by Move alone
	Known, Value Facts
	Contradicted Facts // learned to be both true and false: the end of the road
}

// EntryPlace is where a server stands that has answered a ClientHello without
// keeping state: with HelloVerifyRequest, or with HelloRetryRequest. Both
// are ways of DTLS only.
func EntryPlace(answer Step) Place {
	p := Place{At: ClientHello}
	p.Learn(Datagram|Retry, true)
	p.Learn(V13, answer == HelloRetryRequest)
	e, _ := p.Write()
	p.Move(e)
	return p
}

// Learn makes the facts f known, and with them what they rule out. Learning the
// opposite of what is known leaves p without a next step.
func (p *Place) Learn(f Facts, v bool) {
	value := Facts(0)
	if v {
		value = f
	}
	p.Contradicted |= f & p.Known & (p.Value ^ value)
	p.Known |= f
	p.Value = p.Value&^f | value
	for i := range needs {
		if n := &needs[i]; p.Known&(n.If&^p.Value|n.Not&p.Value) != 0 {
			p.Contradicted |= n.Fact & p.Value
			p.Known |= n.Fact
		}
	}
}

// Knows reports whether all of f is known, true or false.
func (p Place) Knows(f Facts) bool { return p.Known&f == f }

// Is reports whether all of f is known to be true.
func (p Place) Is(f Facts) bool { return p.Known&p.Value&f == f }

// possible reports whether nothing p knows contradicts e.
func (p *Place) possible(e *Edge) bool {
	return p.Contradicted == 0 && p.Known&(e.If&^p.Value|e.Not&p.Value) == 0
}

// certain reports whether p knows enough to be sure that e holds.
func (p *Place) certain(e *Edge) bool {
	return p.Knows(e.If|e.Not) && p.possible(e)
}

// Write returns the edge that is taken next, if p is certain of one: to a step
// to write, if that step is p's to write, or to Open. It also returns how many
// edges p is certain of: by the tests, one or none.
func (p Place) Write() (Edge, int) {
	var found Edge
	n := 0
	for i := range after[p.At] {
		if e := &after[p.At][i]; p.certain(e) {
			found = *e
			n++
		}
	}
	return found, n
}

// Due returns the edge to a message that waits to be written, if p is where
// it may be. Write never returns these edges.
func (p Place) Due(s Step) (Edge, bool) {
	p.Learn(Due, true)
	for i := range after[p.At] {
		if e := &after[p.At][i]; e.To == s && p.certain(e) {
			return *e, true
		}
	}
	return Edge{}, false
}

// Read returns the edge by which s may arrive from the peer, if it may: the
// one that p can't rule out, and that teaches nothing but what arrivals may.
func (p Place) Read(s Step) (Edge, bool) {
	for i := range after[p.At] {
		e := &after[p.At][i]
		if e.To == s && (e.If|e.Not)&^p.Known&^byArrival == 0 && p.possible(e) {
			return *e, true
		}
	}
	return Edge{}, false
}

// ahead reports of each step whether some way from here leads to it. What is known now
// holds on all of it, but for what some step reopens.
func (p Place) ahead() (reached [numSteps]bool) {
	for i := range steps {
		p.Known &^= steps[i].Reopens
	}
	from := reached
	from[p.At] = true
	for grown := true; grown; {
		grown = false
		for i := range Graph {
			if e := &Graph[i]; from[e.From] && !reached[e.To] && p.possible(e) {
				from[e.To], reached[e.To], grown = true, true, true
			}
		}
	}
	return reached
}

// Move takes e, once its message has been read or written; what only the writer
// knew, the reader now knows too. It reports false, and p stays, if the message
// said something else than p knew, or not all that it has to say.
func (p *Place) Move(e Edge) bool {
	if !p.possible(&e) || !p.Knows(steps[e.To].Says&^byArrival) {
		return false
	}
	p.At = e.To
	p.Learn(e.If, true)
	p.Learn(e.Not, false)
	p.Known &^= steps[e.To].Reopens
	p.Value &^= steps[e.To].Reopens
	return true
}

// Classify names the step that a handshake message of the given type is when
// writer sent it to somebody who stands at p. Where one type stands for two
// steps it is the one that may come now. A message that is no step at all is
// Start, which can't be read anywhere.
//
// RFC 9846 4.6 [3]
func (p Place) Classify(t protocol.HandshakeType, body []byte, writer Role) Step {
	if t == protocol.CompressedCertificate && p.Is(V13) {
		t = protocol.Certificate // RFC 8879 4
	}
	if t == protocol.HelloRequest {
		return Start // renegotiation is not in the graph
	}
	step := Start
	for s := range numSteps {
		if s.Type() != t || s.Writer() != writer {
			continue
		}
		if t == protocol.ServerHello && isRetry(body) != (s == HelloRetryRequest) {
			continue
		}
		if _, ok := p.Read(s); ok || step == Start {
			step = s
		}
	}
	return step
}

// isRetry reports whether the body of a ServerHello is a HelloRetryRequest: it
// has a random of its own, after two bytes of legacy_version (RFC 9846 4.2.4).
//
// RFC 9846 4.2.3 [11]
func isRetry(body []byte) bool {
	const at = 2
	return len(body) >= at+len(message.HelloRetryRandom) &&
		bytes.Equal(body[at:at+len(message.HelloRetryRandom)], message.HelloRetryRandom[:])
}

// ChangeCipherSpec is the step that a ChangeCipherSpec is when r writes it. It
// has no handshake type.
func (r Role) ChangeCipherSpec() Step {
	return [...]Step{Start, ClientChangeCipherSpec, ServerChangeCipherSpec}[r]
}
