package handshake

import (
	"crypto"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// An extensionList is an extension block that can be changed.
type extensionList []extensionEntry

type extensionEntry struct {
	kind protocol.ExtensionType
	body []byte
}

func listOf(e message.Extensions) (x extensionList) {
	for t, body := range e.All() {
		x = append(x, extensionEntry{t, body})
	}
	return x
}

// set replaces the body of an extension, or adds one at the end.
func (x *extensionList) set(t protocol.ExtensionType, body []byte) {
	for i := range *x {
		if (*x)[i].kind == t {
			(*x)[i].body = body
			return
		}
	}
	*x = append(*x, extensionEntry{t, body})
}

func (x *extensionList) drop(t protocol.ExtensionType) {
	*x = slices.DeleteFunc(*x, func(e extensionEntry) bool { return e.kind == t })
}

func (x extensionList) block() message.Extensions {
	return appended(func(b *wire.Builder) {
		for _, e := range x {
			message.AppendExtension(b, e.kind, func() { b.Raw(e.body) })
		}
	})
}

func parseHello(t testing.TB, m Message, transport protocol.Transport) *message.ClientHello {
	t.Helper()
	hello := new(message.ClientHello)
	if err := hello.Parse(m.Body, transport); err != nil {
		t.Fatal(err)
	}
	return hello
}

// editClientHello changes a ClientHello on its way.
func editClientHello(t testing.TB, transport protocol.Transport, m Message, edit func(*message.ClientHello, *extensionList)) Message {
	t.Helper()
	hello := parseHello(t, m, transport)
	x := listOf(hello.Extensions)
	edit(hello, &x)
	hello.Extensions = x.block()
	m.Body = appended(func(b *wire.Builder) { hello.Append(b, transport) })
	return m
}

// editServerHello changes a ServerHello or HelloRetryRequest on its way.
func editServerHello(t testing.TB, m Message, edit func(*message.ServerHello, *extensionList)) Message {
	t.Helper()
	var hello message.ServerHello
	if err := hello.Parse(m.Body); err != nil {
		t.Fatal(err)
	}
	x := listOf(hello.Extensions)
	edit(&hello, &x)
	hello.Extensions = x.block()
	m.Body = appended(hello.Append)
	return m
}

// header4 is the handshake header of TLS and of DTLS 1.3's transcript.
func header4(m Message) []byte {
	return binary.BigEndian.AppendUint32(nil, uint32(m.Type)<<24|uint32(len(m.Body)))
}

func sum(h crypto.Hash, parts ...[]byte) []byte {
	d := h.New()
	for _, p := range parts {
		d.Write(p)
	}
	return d.Sum(nil)
}
