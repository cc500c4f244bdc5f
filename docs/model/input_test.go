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

// step is what a message is where it is lawful.
func (in input) step(p *peer) handshake.Step {
	switch {
	case in.name == helloRetryRequest:
		return handshake.HelloRetryRequest
	case in.kind == protocol.ClientHello && p.retried:
		return handshake.ClientHelloAgain
	}
	for _, e := range handshake.Graph {
		if s := e.To; s.Type() == in.kind && s.Writer() == p.we() && s != handshake.HelloRetryRequest && (s != handshake.NewSessionTicket || !p.version.Is13()) {
			return s
		}
	}
	return handshake.Start // no message of ours
}

// noContent is what nobody says: the Engine's time has come to repeat its flight.
const noContent protocol.ContentType = 0

// The names of inputs that something depends on.
const (
	helloRetryRequest = "HelloRetryRequest"
	withoutShare      = "ClientHello without a share"
	selectingPSK      = "ServerHello with PSK"
	resuming          = "ServerHello that resumes"
	emptyCertificate  = "empty Certificate"

	strangersCertificate = "stranger's Certificate" // of a root that the Engine doesn't know
)

func handshakeInput(t protocol.HandshakeType, build func(p *peer, b *wire.Builder)) input {
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

// alphabet is what the peer of a mode's Engine says.
func (m mode) alphabet() []input {
	certificate := handshakeInput(protocol.Certificate, (*peer).certificate).saying(handshake.ClientCert)
	verify := handshakeInput(protocol.CertificateVerify, (*peer).certificateVerify)
	finished := handshakeInput(protocol.Finished, func(p *peer, b *wire.Builder) { b.Raw(p.verifyData()) })
	var all []input
	switch {
	case m.role == handshake.Server:
		all = append(all, handshakeInput(protocol.ClientHello, (*peer).clientHello))
		if m.version.Is13() {
			all = append(all, handshakeInput(protocol.ClientHello, (*peer).clientHelloWithoutShare).named(withoutShare).saying(handshake.Retry))
			if m.authentication == sharedKey || m.authentication == resumed {
				all = append(all, handshakeInput(protocol.ClientHello, (*peer).clientHello).forged()) // its binder
			}
		}
	case m.version.Is13():
		hello := handshakeInput(protocol.ServerHello, (*peer).serverHello)
		all = append(all, hello.saying(handshake.V13|handshake.ServerCert))
		if m.authentication == sharedKey || m.authentication == resumed {
			all = append(all, handshakeInput(protocol.ServerHello, (*peer).resumingServerHello).named(selectingPSK).saying(handshake.V13|handshake.Resumed))
		}
		all = append(all,
			handshakeInput(protocol.ServerHello, (*peer).helloRetryRequest).named(helloRetryRequest),
			handshakeInput(protocol.EncryptedExtensions, func(p *peer, b *wire.Builder) { b.Uint16(0) }))
	default:
		hello := handshakeInput(protocol.ServerHello, (*peer).serverHello)
		if m.authentication != sharedKey {
			hello = hello.saying(handshake.ServerCert)
		}
		if m.datagrams() {
			all = append(all, handshakeInput(protocol.HelloVerifyRequest, (*peer).helloVerifyRequest))
		}
		all = append(all, hello)
		if m.authentication == resumed {
			all = append(all, handshakeInput(protocol.ServerHello, (*peer).resumingServerHello).named(resuming).saying(handshake.Resumed))
		}
	}
	all = append(all, certificate)
	if m.authentication != sharedKey {
		all = append(all, handshakeInput(protocol.Certificate, (*peer).strangersCertificate).named(strangersCertificate).saying(handshake.ClientCert))
	}
	if m.role == handshake.Server {
		all = append(all, handshakeInput(protocol.Certificate, (*peer).emptyCertificate).named(emptyCertificate))
	}
	if m.role == handshake.Client {
		if !m.version.Is13() {
			exchange := handshakeInput(protocol.ServerKeyExchange, (*peer).serverKeyExchange)
			if all = append(all, exchange); m.authentication != sharedKey { // else nothing in it is signed
				all = append(all, exchange.forged())
			}
		}
		all = append(all, handshakeInput(protocol.CertificateRequest, (*peer).certificateRequest))
	}
	if !m.version.Is13() {
		if m.role == handshake.Client {
			all = append(all, handshakeInput(protocol.ServerHelloDone, func(*peer, *wire.Builder) {}))
		} else {
			all = append(all, handshakeInput(protocol.ClientKeyExchange, (*peer).clientKeyExchange))
		}
	}
	if m.version.Is13() || m.role == handshake.Server {
		all = append(all, verify, verify.forged())
	}
	if m.datagrams() || !m.version.Is13() { // in TLS 1.3 it means nothing, but is counted
		all = append(all, input{name: "ChangeCipherSpec", content: protocol.ChangeCipherSpec})
	}
	all = append(all, finished, finished.forged())
	if m.role == handshake.Client {
		all = append(all, handshakeInput(protocol.NewSessionTicket, (*peer).newSessionTicket))
	}
	if m.version == protocol.VersionDTLS13 { // in TLS 1.3 those without data between them are counted
		all = append(all, handshakeInput(protocol.KeyUpdate, func(p *peer, b *wire.Builder) { b.Uint8(0) }))
	}
	if m.datagrams() {
		all = append(all, input{name: "ACK", content: protocol.ACK}, input{name: "timeout", content: noContent})
	}
	return append(all, input{name: "data", content: protocol.ApplicationData}, input{name: "close_notify", content: protocol.Alert})
}

// names are those of an alphabet.
func names(alphabet []input) (all []string) {
	for _, in := range alphabet {
		all = append(all, in.name)
	}
	return all
}

// --- What both roles say

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
