package ech

import (
	"bytes"
	"slices"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
	"golang.org/x/crypto/cryptobyte"
)

// An inner ClientHello goes encrypted as an EncodedClientHelloInner (RFC 9849
// 5.1): itself without its session ID, which is that of the outer one, without
// the extensions that are the same there (ech_outer_extensions names them), and
// with zeros after it that hide its length.

// paddedTo is what the length of an encoded hello is a multiple of.
const paddedTo = 32

// Encode is the EncodedClientHelloInner of hello, in which the extensions of
// types shared, that follow each other there, come from the outer one. The room
// of longest bytes for a name is filled up (RFC 9849 6.1.3).
func Encode(hello *message.ClientHello, shared []protocol.ExtensionType, longest int, t protocol.Transport) ([]byte, error) {
	encoded := *hello
	encoded.SessionID = nil
	var block wire.Builder
	replaced := false
	room := longest + 9 // a whole server_name
	for kind, body := range hello.Extensions.All() {
		switch {
		case kind == protocol.ExtServerName:
			name, _ := message.ParseServerName(body)
			room = max(0, longest-len(name))
		case slices.Contains(shared, kind):
			if !replaced {
				appendOuterExtensions(&block, shared)
				replaced = true
			}
			continue
		}
		message.AppendExtension(&block, kind, func() { block.Raw(body) })
	}
	var err error
	if encoded.Extensions, err = block.Bytes(); err != nil {
		return nil, err
	}
	var b wire.Builder
	encoded.Append(&b, t)
	b.Raw(make([]byte, room))
	if over := b.Len() % paddedTo; over > 0 {
		b.Raw(make([]byte, paddedTo-over))
	}
	return b.Bytes()
}

func appendOuterExtensions(b *wire.Builder, types []protocol.ExtensionType) {
	message.AppendExtension(b, protocol.ExtECHOuterExtensions, func() {
		b.Vector8(func() {
			for _, kind := range types {
				b.Uint16(uint16(kind))
			}
		})
	})
}

// decode makes an inner ClientHello of its encoded form and the outer one.
func decode(encoded []byte, outer *message.ClientHello, t protocol.Transport) ([]byte, error) {
	hello, block, err := readEncoded(encoded, t)
	if err != nil {
		return nil, err
	}
	hello.SessionID = outer.SessionID
	if hello.Extensions, err = expand(block, outer.Extensions); err != nil {
		return nil, err
	}
	var b wire.Builder
	hello.Append(&b, t)
	body, err := b.Bytes()
	if err != nil {
		return nil, invalid("%v", err)
	}
	return body, checkInner(body, t)
}

// readEncoded reads a ClientHello that ends in zeros.
func readEncoded(encoded []byte, t protocol.Transport) (*message.ClientHello, cryptobyte.String, error) {
	s := cryptobyte.String(encoded)
	hello := &message.ClientHello{}
	var v uint16
	var session, cookie, suites, compression, block cryptobyte.String
	ok := s.ReadUint16(&v) && s.ReadBytes(&hello.Random, 32) && s.ReadUint8LengthPrefixed(&session)
	if t == protocol.Datagram {
		ok = ok && s.ReadUint8LengthPrefixed(&cookie)
	}
	ok = ok && s.ReadUint16LengthPrefixed(&suites) && s.ReadUint8LengthPrefixed(&compression) && s.ReadUint16LengthPrefixed(&block)
	switch {
	case !ok || len(suites)%2 != 0:
		return nil, nil, misencoded("%d bytes are no ClientHello", len(encoded))
	case !session.Empty():
		return nil, nil, misencoded("it has a session ID")
	case len(bytes.Trim(s, "\x00")) > 0:
		return nil, nil, misencoded("its padding is not of zeros")
	}
	hello.Version, hello.Cookie = protocol.Version(v), cookie
	hello.CipherSuites, hello.Compression = message.Uint16s(suites), compression
	return hello, block, nil
}

// expand puts the outer extensions in the place of ech_outer_extensions, which
// may name only what is there, in the order in which it is there.
func expand(block cryptobyte.String, outer message.Extensions) (message.Extensions, error) {
	var b wire.Builder
	for !block.Empty() {
		var kind uint16
		var body cryptobyte.String
		if !block.ReadUint16(&kind) || !block.ReadUint16LengthPrefixed(&body) {
			return nil, misencoded("its extensions are cut short")
		}
		if protocol.ExtensionType(kind) != protocol.ExtECHOuterExtensions {
			message.AppendExtension(&b, protocol.ExtensionType(kind), func() { b.Raw(body) })
			continue
		}
		if err := appendNamed(&b, body, outer); err != nil {
			return nil, err
		}
	}
	return b.Bytes()
}

// appendNamed appends the outer extensions that a list names. One pass over them
// is enough, as both are in the same order: the time is linear (RFC 9849 5.1).
func appendNamed(b *wire.Builder, body cryptobyte.String, outer message.Extensions) error {
	var list cryptobyte.String
	if !body.ReadUint8LengthPrefixed(&list) || !body.Empty() || list.Empty() || len(list)%2 != 0 {
		return outerExtension("malformed")
	}
	var want uint16
	pending := list.ReadUint16(&want)
	for kind, value := range outer.All() {
		if !pending {
			break
		}
		if uint16(kind) != want {
			continue
		}
		if kind == protocol.ExtEncryptedClientHello {
			return outerExtension("it names %v", kind)
		}
		message.AppendExtension(b, kind, func() { b.Raw(value) })
		pending = list.ReadUint16(&want)
	}
	if pending {
		return outerExtension("the outer ClientHello has no %v there", protocol.ExtensionType(want))
	}
	return nil
}

// checkInner refuses an inner ClientHello that isn't marked as one, or that
// offers a version without encryption of certificates (RFC 9849 7.1).
func checkInner(body []byte, t protocol.Transport) error {
	var hello message.ClientHello
	if err := hello.Parse(body, t); err != nil {
		return alert.Peerf(alert.IllegalParameter, "%w: %w", alert.BadInnerHello, err)
	}
	mark, marked := hello.Extensions.Find(protocol.ExtEncryptedClientHello)
	if outer, err := Parse(mark); !marked || err != nil || outer != nil {
		return invalid("it is not marked as one")
	}
	list, _ := hello.Extensions.Find(protocol.ExtSupportedVersions)
	versions, err := message.ParseSupportedVersions(list)
	if err != nil {
		return invalid("it has no supported_versions")
	}
	for v := range versions.All() {
		if v := protocol.Version(v); v.Known() && !v.Is13() {
			return invalid("it offers %v", v)
		}
	}
	return nil
}

func invalid(format string, args ...any) error {
	return alert.Peerf(alert.IllegalParameter, "%w: "+format, append([]any{alert.BadInnerHello}, args...)...)
}

func misencoded(format string, args ...any) error {
	return alert.Peerf(alert.IllegalParameter, "%w: "+format, append([]any{alert.MisencodedInnerHello}, args...)...)
}

func outerExtension(format string, args ...any) error {
	return alert.Peerf(alert.IllegalParameter, "%w: "+format, append([]any{alert.BadOuterExtensions}, args...)...)
}
