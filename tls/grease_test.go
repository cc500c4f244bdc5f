package tls

import (
	"crypto/tls"
	"testing"

	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// greased counts the reserved values of RFC 8701 2.
func greased(values message.Uint16s) (n int) {
	for v := range values.All() {
		if v&0x0f0f == 0x0a0a && v>>8 == v&0xff {
			n++
		}
	}
	return n
}

// A ClientHello with GREASE has it wherever it may be, in an order of extensions
// that changes; crypto/tls and we talk to its client all the same.
func TestGrease(t *testing.T) {
	orders := map[string]bool{}
	for range 4 {
		client, server := configs(VersionTLS13)
		client.MinVersion, client.GREASE, server.GREASE = VersionTLS12, true, true
		client.ClientSessionCache = NewLRUClientSessionCache(0)
		server.CurvePreferences = []tls.CurveID{tls.CurveP384} // a retry, so that there are two hellos
		for range 2 {
			p := connected(t, client, server)
			var hello message.ClientHello
			if err := hello.Parse(p.fromClient[9:9+int(p.fromClient[7])<<8+int(p.fromClient[8])], protocol.Stream); err != nil {
				t.Fatal(err)
			}
			order, last := "", protocol.ExtensionType(0)
			n := 0
			for kind, body := range hello.Extensions.All() {
				n += greased(message.MakeUint16s([]protocol.ExtensionType{kind}))
				order, last = order+kind.String(), kind
				switch kind {
				case protocol.ExtSupportedVersions:
					versions, _ := message.ParseSupportedVersions(body)
					n += greased(versions)
				case protocol.ExtSupportedGroups:
					groups, _ := message.ParseSupportedGroups(body)
					n += greased(groups)
				case protocol.ExtSignatureAlgorithms:
					schemes, _ := message.ParseSignatureAlgorithms(body)
					n += greased(schemes)
				case protocol.ExtKeyShare:
					n += greased(message.MakeUint16s([]uint16{uint16(body[2])<<8 | uint16(body[3])}))
				}
			}
			if n += greased(hello.CipherSuites); n != 6 {
				t.Errorf("%d GREASE values, expected 6: suite, version, group, scheme, share, extension", n)
			}
			if p.client.State().DidResume && last != protocol.ExtPreSharedKey {
				t.Errorf("%v is the last extension", last)
			}
			orders[order] = true
		}
	}
	if len(orders) < 6 {
		t.Errorf("8 hellos have %d orders of extensions", len(orders))
	}
	ours, _ := configs(VersionTLS13)
	_, theirs := goConfigs(VersionTLS13)
	ours.GREASE = true
	a, b := tcpPair(t)
	c, err := Client(a, ours)
	if err != nil {
		t.Fatal(err)
	}
	s := tls.Server(b, theirs)
	converse(t, c, s)
}
