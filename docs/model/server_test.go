package model

import (
	"bytes"
	"crypto/tls"
	"slices"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// What the server of a client's Engine says, and what it learns.

func (p *peer) learnClientHello(body []byte) {
	var in message.ClientHello
	check(in.Parse(body, p.transport()))
	p.clientRandom = bytes.Clone(in.Random)
	p.sessionID = bytes.Clone(in.SessionID)
	list, ok := in.Extensions.Find(protocol.ExtKeyShare)
	if !ok {
		return
	}
	shares, err := message.ParseKeyShares(list)
	check(err)
	for chosen, key := range shares.All() {
		p.group, p.share = tls.CurveID(chosen), bytes.Clone(key)
		break
	}
}

func (p *peer) helloVerifyRequest(b *wire.Builder) {
	(&message.HelloVerifyRequest{Version: protocol.VersionDTLS10, Cookie: []byte("cookie")}).Append(b)
}

func (p *peer) helloRetryRequest(b *wire.Builder) {
	hello := p.hello()
	hello.Random = message.HelloRetryRandom[:]
	hello.Extensions = p.choose(func(b *wire.Builder) { message.AppendKeyShareRetry(b, uint16(otherGroup)) })
	hello.Append(b)
}

func (p *peer) hello() message.ServerHello {
	return message.ServerHello{Version: protocol.VersionTLS12.Over(p.transport()), CipherSuite: p.suite().ID, SessionID: p.sessionID}
}

// choose are the extensions that a server of 1.3 answers a hello with.
func (p *peer) choose(share func(b *wire.Builder)) message.Extensions {
	var e wire.Builder
	extension(&e, protocol.ExtSupportedVersions, func(b *wire.Builder) { message.AppendSelectedVersion(b, p.version) })
	extension(&e, protocol.ExtKeyShare, share)
	return built(&e)
}

func (p *peer) serverHello(b *wire.Builder) {
	p.serverRandom = randomBytes()
	hello := p.hello()
	hello.Random = p.serverRandom
	if p.version.Is13() {
		public := p.makeShare(p.group)
		hello.Extensions = p.choose(func(b *wire.Builder) { message.AppendKeyShare(b, uint16(p.group), public) })
		if p.resumes {
			var e wire.Builder
			extension(&e, protocol.ExtPreSharedKey, func(b *wire.Builder) { message.AppendSelectedIdentity(b, 0) })
			hello.Extensions = append(hello.Extensions, built(&e)...)
		}
	} else {
		if !p.resumes {
			hello.SessionID = nil
		}
		var e wire.Builder
		extension(&e, protocol.ExtExtendedMasterSecret, func(*wire.Builder) {})
		extension(&e, protocol.ExtRenegotiationInfo, func(b *wire.Builder) { message.AppendRenegotiationInfo(b, nil) })
		hello.Extensions = built(&e)
	}
	hello.Append(b)
}

func (p *peer) resumingServerHello(b *wire.Builder) {
	p.resumes = true
	p.serverHello(b)
}

// encryptedExtensions has none.
func (p *peer) encryptedExtensions(b *wire.Builder) { b.Uint16(0) }

func (p *peer) serverKeyExchange(b *wire.Builder) {
	if p.authentication == sharedKey {
		(&message.ServerKeyExchangePSK{Hint: []byte("hint")}).Append(b)
		return
	}
	public := p.makeShare(group)
	var params wire.Builder
	message.AppendECDHEParams(&params, uint16(group), public)
	signed := slices.Concat(p.clientRandom, p.serverRandom, built(&params))
	(&message.ServerKeyExchange{Group: uint16(group), Public: public, Scheme: uint16(scheme), Signature: sign(signed)}).Append(b)
}

func (p *peer) certificateRequest(b *wire.Builder) {
	schemes := message.MakeUint16s([]tls.SignatureScheme{scheme})
	if !p.version.Is13() {
		const ecdsaSign = 64
		(&message.CertificateRequest12{Types: []byte{ecdsaSign}, Schemes: schemes}).Append(b)
		return
	}
	var e wire.Builder
	extension(&e, protocol.ExtSignatureAlgorithms, func(b *wire.Builder) { message.AppendSignatureAlgorithms(b, schemes) })
	(&message.CertificateRequest13{Extensions: built(&e)}).Append(b)
}

func (p *peer) newSessionTicket(b *wire.Builder) {
	if p.version.Is13() {
		(&message.NewSessionTicket13{Lifetime: 60, Nonce: []byte{0}, Ticket: []byte("ticket")}).Append(b)
		return
	}
	(&message.NewSessionTicket12{Lifetime: 60, Ticket: []byte("ticket")}).Append(b)
}
