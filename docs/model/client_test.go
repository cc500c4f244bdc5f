package model

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// What the client of a server's Engine says, and what it learns.

func (p *peer) clientHello(b *wire.Builder) {
	var shares []message.KeyShare
	if p.version.Is13() {
		shares = []message.KeyShare{{Group: uint16(group), Key: p.makeShare(group)}}
	}
	p.appendClientHello(b, shares)
}

func (p *peer) clientHelloWithoutShare(b *wire.Builder) { p.appendClientHello(b, nil) }

func (p *peer) appendClientHello(b *wire.Builder, shares []message.KeyShare) {
	if p.clientRandom == nil {
		p.clientRandom = randomBytes()
	}
	hello := message.ClientHello{
		Version:      protocol.VersionTLS12.Over(p.transport()),
		Random:       p.clientRandom,
		CipherSuites: message.MakeUint16s([]uint16{p.suite().ID}),
		Compression:  []byte{0},
	}
	if p.authentication == resumed && !p.version.Is13() {
		hello.SessionID = []byte("resumed if it comes back") // RFC 5077 3.4
	}
	if !p.version.Is13() {
		hello.Cookie = p.cookie
	}
	var e wire.Builder
	extension(&e, protocol.ExtSupportedGroups, func(b *wire.Builder) {
		message.AppendSupportedGroups(b, message.MakeUint16s([]tls.CurveID{group, otherGroup}))
	})
	extension(&e, protocol.ExtSignatureAlgorithms, func(b *wire.Builder) {
		message.AppendSignatureAlgorithms(b, message.MakeUint16s([]tls.SignatureScheme{scheme}))
	})
	if p.version.Is13() {
		p.offer13(&e, shares)
	} else {
		extension(&e, protocol.ExtExtendedMasterSecret, func(*wire.Builder) {})
		extension(&e, protocol.ExtRenegotiationInfo, func(b *wire.Builder) { message.AppendRenegotiationInfo(b, nil) })
		if p.authentication == resumed {
			extension(&e, protocol.ExtSessionTicket, func(b *wire.Builder) { b.Raw(p.session().Ticket) })
			p.resumes = true
		}
	}
	hello.Extensions = built(&e)
	hello.Append(b, p.transport())
	if p.resumes && p.version.Is13() {
		p.bind(built(b))
	}
}

func (p *peer) offer13(e *wire.Builder, shares []message.KeyShare) {
	extension(e, protocol.ExtSupportedVersions, func(b *wire.Builder) {
		message.AppendSupportedVersions(b, message.MakeUint16s([]protocol.Version{p.version}))
	})
	extension(e, protocol.ExtKeyShare, func(b *wire.Builder) { message.AppendKeyShares(b, shares) })
	p.offerCookie(e)
	if p.authentication != sharedKey && p.authentication != resumed {
		return
	}
	p.resumes = true // if the server doesn't, all is over
	extension(e, protocol.ExtPSKModes, func(b *wire.Builder) { message.AppendPSKModes(b, []byte{message.PSKWithECDHE}) })
	extension(e, protocol.ExtPreSharedKey, func(b *wire.Builder) {
		message.AppendPreSharedKey(b, message.OfferedPSKs{
			Identities: []message.PSKIdentity{{Identity: p.pskIdentity()}},
			Binders:    [][]byte{make([]byte, sha256.Size)},
		})
	})
}

// bind fills in the binder that ends a ClientHello (RFC 9846 4.3.11.2).
func (p *peer) bind(hello []byte) {
	const bindersLen = 2 + 1 + sha256.Size
	header := p.link.transcribed(p.link.frame(protocol.ClientHello, 0, hello))[:4]
	sum := sha256.Sum256(append(append(bytes.Clone(p.transcript), header...), hello[:len(hello)-bindersLen]...))
	early := p.early()
	binder := early.BinderExternal()
	if p.authentication == resumed {
		binder = early.BinderResumption()
	}
	copy(hello[len(hello)-sha256.Size:], binder.Finished(sum[:]))
}

func (p *peer) pskIdentity() []byte {
	if p.authentication == resumed {
		return p.session().Ticket
	}
	return secret.Identity
}

func (p *peer) learnServerHello(body []byte) {
	var in message.ServerHello
	check(in.Parse(body))
	p.serverRandom = bytes.Clone(in.Random)
	if share, ok := in.Extensions.Find(protocol.ExtKeyShare); ok {
		_, key, err := message.ParseKeyShare(share)
		check(err)
		p.share = bytes.Clone(key)
	}
}

func (p *peer) clientKeyExchange(b *wire.Builder) {
	if p.authentication == sharedKey {
		(&message.ClientKeyExchangePSK{Identity: secret.Identity}).Append(b)
		return
	}
	if p.group == 0 {
		p.group = group
	}
	(&message.ClientKeyExchange{Public: p.makeShare(p.group)}).Append(b)
}
