package model

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"sync"

	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// An input is something that the peer can be asked to say.
type input struct {
	name     string
	content  protocol.ContentType
	kind     protocol.HandshakeType // of a handshake message
	build    func(p *peer, b *wire.Builder)
	says     handshake.Facts // that are true, of those that its reader learns from it
	isForged bool
}

// The names of inputs that something depends on.
const (
	withoutShare         = "ClientHello without a share"
	helloRetryRequest    = "HelloRetryRequest"
	selectingPSK         = "ServerHello with PSK"
	resuming             = "ServerHello that resumes"
	strangersCertificate = "stranger's Certificate" // of a root that the Engine doesn't know
	emptyCertificate     = "empty Certificate"
)

// noContent is what nobody says: the Engine's time has come to repeat its flight.
const noContent protocol.ContentType = 0

// A condition is what an input needs to be in the alphabet of a mode.
type condition uint16

const (
	toClient condition = 1 << iota
	toServer
	in12
	in13
	overDatagrams
	inTurn          // 1.2 or datagrams: TLS 1.3 counts what may come again and again
	withSharedKey   // a PSK is the only way to authenticate
	withCertificate // or it isn't
	withSession
	withBinder // a ClientHello of 1.3 offers a PSK or a session
)

// conditions are those that hold in a mode.
func (m mode) conditions() (c condition) {
	is13, psk, session := m.version.Is13(), m.authentication == sharedKey, m.authentication == resumed
	for condition, holds := range map[condition]bool{
		toClient: m.role == handshake.Client, toServer: m.role == handshake.Server, in12: !is13, in13: is13,
		overDatagrams: m.datagrams(), inTurn: m.version != protocol.VersionTLS13,
		withSharedKey: psk, withCertificate: !psk, withSession: session, withBinder: is13 && (psk || session),
	} {
		if holds {
			c |= condition
		}
	}
	return c
}

// vocabulary is all that there is to say.
var vocabulary = []struct {
	input
	needs condition
}{
	{saidAs(protocol.ClientHello, (*peer).clientHello), toServer},
	{saidAs(protocol.ClientHello, (*peer).clientHelloWithoutShare).named(withoutShare).saying(handshake.Retry), toServer | in13},
	{saidAs(protocol.ClientHello, (*peer).clientHello).forged(), toServer | withBinder}, // the binder
	{saidAs(protocol.HelloVerifyRequest, (*peer).helloVerifyRequest), toClient | in12 | overDatagrams},
	{saidAs(protocol.ServerHello, (*peer).serverHello).saying(handshake.V13 | handshake.ServerCert), toClient | in13},
	{saidAs(protocol.ServerHello, (*peer).serverHello).saying(handshake.ServerCert), toClient | in12 | withCertificate},
	{saidAs(protocol.ServerHello, (*peer).serverHello), toClient | in12 | withSharedKey},
	{saidAs(protocol.ServerHello, (*peer).resumingServerHello).named(selectingPSK).saying(handshake.V13 | handshake.Resumed), toClient | withBinder},
	{saidAs(protocol.ServerHello, (*peer).resumingServerHello).named(resuming).saying(handshake.Resumed), toClient | in12 | withSession},
	{saidAs(protocol.ServerHello, (*peer).helloRetryRequest).named(helloRetryRequest), toClient | in13},
	{saidAs(protocol.EncryptedExtensions, (*peer).encryptedExtensions), toClient | in13},

	{saidAs(protocol.Certificate, (*peer).certificate).saying(handshake.ClientCert), 0},
	{saidAs(protocol.Certificate, (*peer).strangersCertificate).named(strangersCertificate).saying(handshake.ClientCert), withCertificate},
	{saidAs(protocol.Certificate, (*peer).emptyCertificate).named(emptyCertificate), toServer},
	{saidAs(protocol.ServerKeyExchange, (*peer).serverKeyExchange), toClient | in12},
	{saidAs(protocol.ServerKeyExchange, (*peer).serverKeyExchange).forged(), toClient | in12 | withCertificate},
	{saidAs(protocol.CertificateRequest, (*peer).certificateRequest), toClient},
	{saidAs(protocol.ServerHelloDone, (*peer).nothing), toClient | in12},
	{saidAs(protocol.ClientKeyExchange, (*peer).clientKeyExchange), toServer | in12},
	{saidAs(protocol.CertificateVerify, (*peer).certificateVerify), toServer},
	{saidAs(protocol.CertificateVerify, (*peer).certificateVerify).forged(), toServer},
	{saidAs(protocol.CertificateVerify, (*peer).certificateVerify), toClient | in13},
	{saidAs(protocol.CertificateVerify, (*peer).certificateVerify).forged(), toClient | in13},

	{input{name: "ChangeCipherSpec", content: protocol.ChangeCipherSpec}, inTurn},
	{saidAs(protocol.Finished, (*peer).finished), 0},
	{saidAs(protocol.Finished, (*peer).finished).forged(), 0},
	{saidAs(protocol.NewSessionTicket, (*peer).newSessionTicket), toClient},
	{saidAs(protocol.KeyUpdate, (*peer).keyUpdate), in13 | overDatagrams},
	{input{name: "ACK", content: protocol.ACK}, overDatagrams},
	{input{name: "timeout", content: noContent}, overDatagrams},
	{input{name: "data", content: protocol.ApplicationData}, 0},
	{input{name: "close_notify", content: protocol.Alert}, 0},
}

// alphabet is what the peer of a mode's Engine says.
func (m mode) alphabet() (all []input) {
	for _, word := range vocabulary {
		if word.needs&^m.conditions() == 0 {
			all = append(all, word.input)
		}
	}
	return all
}

// names are those of an alphabet.
func names(alphabet []input) (all []string) {
	for _, in := range alphabet {
		all = append(all, in.name)
	}
	return all
}

func saidAs(t protocol.HandshakeType, build func(p *peer, b *wire.Builder)) input {
	return input{name: t.String(), content: protocol.Handshake, kind: t, build: build}
}

func (in input) named(name string) input {
	in.name = name
	return in
}

func (in input) saying(f handshake.Facts) input {
	in.says = f
	return in
}

// forged is an input whose last byte is another.
func (in input) forged() input {
	lawful := in.build
	in.name, in.isForged = "forged "+in.name, true
	in.build = func(p *peer, b *wire.Builder) {
		lawful(p, b)
		body := built(b)
		body[len(body)-1] ^= 1
	}
	return in
}

// step is what a message is where it is lawful.
func (in input) step(p *peer) handshake.Step {
	switch {
	case in.name == helloRetryRequest:
		return handshake.HelloRetryRequest
	case in.kind == protocol.ClientHello && p.retried:
		return handshake.ClientHelloAgain
	case in.kind == protocol.NewSessionTicket && p.version.Is13():
		return handshake.PostTicket
	}
	return stepOf(in.kind, p.we())
}

// stepOf is the first step that a role writes as a type, but for HelloRetryRequest.
func stepOf(t protocol.HandshakeType, writer handshake.Role) handshake.Step {
	for _, e := range handshake.Graph {
		if s := e.To; s.Type() == t && s.Writer() == writer && s != handshake.HelloRetryRequest {
			return s
		}
	}
	return handshake.Start // none
}

// --- What both roles say

func (p *peer) nothing(*wire.Builder) {}

func (p *peer) certificate(b *wire.Builder) { p.appendCertificate(b, identities().peer.Certificate) }

func (p *peer) strangersCertificate(b *wire.Builder) {
	p.appendCertificate(b, identities().stranger.Certificate)
}

func (p *peer) appendCertificate(b *wire.Builder, chain [][]byte) {
	if p.version.Is13() {
		(&message.Certificate13{Entries: []message.CertificateEntry{{Data: chain[0]}}}).Append(b)
		return
	}
	(&message.Certificate12{Chain: chain}).Append(b)
}

func (p *peer) emptyCertificate(b *wire.Builder) {
	if p.version.Is13() {
		(&message.Certificate13{}).Append(b)
		return
	}
	(&message.Certificate12{}).Append(b)
}

const scheme = tls.ECDSAWithP256AndSHA256

func sign(content []byte) []byte {
	signature, err := cert.Sign(identities().peer.PrivateKey.(crypto.Signer), scheme, content)
	check(err)
	return signature
}

func (p *peer) certificateVerify(b *wire.Builder) {
	content := p.transcript
	if p.version.Is13() {
		context := cert.ServerVerify
		if p.we() == handshake.Client {
			context = cert.ClientVerify
		}
		content = cert.Content13(context, p.sum())
	}
	(&message.CertificateVerify{Scheme: uint16(scheme), Signature: sign(content)}).Append(b)
}

func (p *peer) finished(b *wire.Builder) { b.Raw(p.verifyData()) }

// keyUpdate asks for none in return.
func (p *peer) keyUpdate(b *wire.Builder) { b.Uint8(0) }

// makeShare chooses a key share of ours.
func (p *peer) makeShare(group tls.CurveID) []byte {
	p.own, p.group = shares()[group], group
	return p.own.Public()
}

// The groups: the one that hellos are for, and the one that a HelloRetryRequest asks for.
const (
	group      = tls.CurveP256
	otherGroup = tls.X25519
)

// shares are the peer's, the same each time: they cost more than all else.
var shares = sync.OnceValue(func() map[tls.CurveID]*suite.PrivateKey {
	shares := map[tls.CurveID]*suite.PrivateKey{}
	for _, g := range []tls.CurveID{group, otherGroup} {
		made, err := suite.Generate(g)
		check(err)
		shares[g] = made[0]
	}
	return shares
})

func randomBytes() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

func extension(b *wire.Builder, t protocol.ExtensionType, body func(b *wire.Builder)) {
	message.AppendExtension(b, t, func() { body(b) })
}
