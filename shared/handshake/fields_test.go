package handshake

import (
	"bytes"
	"crypto/tls"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// What stands in the hellos that we write.

// has reports whether a ClientHello or ServerHello has an extension.
func (x extensionList) has(t protocol.ExtensionType) bool {
	return slices.ContainsFunc(x, func(e extensionEntry) bool { return e.kind == t })
}

// TestClientHelloFields: the fields of ClientHello that are left of older
// versions, and the extensions that 1.3 can't do without.
//
// RFC 9147 5.1 [2], 5.3 [1, 3]; RFC 9853 3 [1]; RFC 9846 4.2.2 [6, 9, 10, 14], 4.3.1 [1],
// 4.3.2 [2], 4.3.3 [2], 4.3.7 [1], 4.3.8 [6], 9.2 [1, 10, 11]
func TestClientHelloFields(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		sessions, shares := map[string]bool{}, map[string]bool{}
		for _, only13 := range []bool{true, false, false} {
			client, server := configs(0)
			client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.X25519}
			if only13 {
				client.MinVersion = tls.VersionTLS13
			}
			hello := parseHello(t, begin(t, transport, client, server).client.sent[0], transport)
			if hello.Version != protocol.VersionTLS12.Over(transport) {
				t.Errorf("legacy_version %v", hello.Version)
			}
			if len(hello.Cookie) != 0 || !bytes.Equal(hello.Compression, []byte{0}) {
				t.Errorf("legacy_cookie % x, legacy_compression_methods % x", hello.Cookie, hello.Compression)
			}
			want := map[protocol.Transport]int{protocol.Stream: 32, protocol.Datagram: 0}[transport]
			if sessions[string(hello.SessionID)] && want > 0 || len(hello.SessionID) != want {
				t.Errorf("legacy_session_id % x, the last time too, or not of %d bytes", hello.SessionID, want)
			}
			sessions[string(hello.SessionID)] = true
			x := listOf(hello.Extensions)
			for _, needed := range []protocol.ExtensionType{protocol.ExtSupportedVersions, protocol.ExtSignatureAlgorithms, protocol.ExtSupportedGroups, protocol.ExtKeyShare, protocol.ExtServerName} {
				if !x.has(needed) {
					t.Errorf("no %v", needed)
				}
			}
			if x.has(protocol.ExtCookie) {
				t.Error("a cookie that nobody has given")
			}
			if x.has(protocol.ExtConnectionID) || x.has(protocol.ExtReturnRoutability) {
				t.Error("connection_id or rrc without Config.ConnectionIDs")
			}
			body, _ := hello.Extensions.Find(protocol.ExtSupportedVersions)
			versions, err := message.ParseSupportedVersions(body)
			if err != nil || !versions.Contains(uint16(protocol.VersionTLS13.Over(transport))) || versions.Contains(uint16(protocol.VersionTLS12.Over(transport))) == only13 {
				t.Errorf("supported_versions % x, %v", body, err)
			}
			body, _ = hello.Extensions.Find(protocol.ExtSupportedGroups)
			if groups, err := message.ParseSupportedGroups(body); err != nil || groups.Len() != 2 {
				t.Errorf("supported_groups % x, %v: one is there twice", body, err)
			}
			share, _ := hello.Extensions.Find(protocol.ExtKeyShare)
			if shares[string(share)] {
				t.Error("key_share comes again")
			}
			shares[string(share)] = true
		}
	})
}

// TestSecondClientHelloFields: behind a HelloRetryRequest there is no 0-RTT, and no
// PSK that the suite rules out.
//
// RFC 9846 4.2.4 [11], 4.3.10 [6]
func TestSecondClientHelloFields(t *testing.T) {
	client, server := earlyConfigs(t, protocol.Datagram)
	retrying(client, server)
	client.Credentials, client.PSKOrCertificate = []Credential{keyNamed("a", PSKImported)}, true
	p := begin(t, protocol.Datagram, client, server)
	p.client.work()
	p.client.writes = nil // refused with the HelloRetryRequest
	p.next(p.server)
	p.next(p.client)
	for i, want := range []struct {
		early bool
		psks  int
	}{{true, 3}, {false, 2}} {
		x := listOf(parseHello(t, p.client.sent[i], protocol.Datagram).Extensions)
		offer, err := message.ParsePreSharedKey(x.body(protocol.ExtPreSharedKey))
		if err != nil || x.has(protocol.ExtEarlyData) != want.early || len(offer.Identities) != want.psks {
			t.Errorf("ClientHello %d: early_data %t, %d PSKs, %v", i+1, x.has(protocol.ExtEarlyData), len(offer.Identities), err)
		}
		for _, binder := range offer.Binders {
			if i == 1 && len(binder) != p.client.m.suite.Hash.Size() {
				t.Errorf("a PSK of another hash, with a binder of %d bytes", len(binder))
			}
		}
	}
}

// TestServerHelloFields: the same of ServerHello and HelloRetryRequest. Nothing
// stands there that the client has not offered.
//
// RFC 9846 4.2.3 [1, 7, 9, 10], 4.2.4 [1, 3], 4.3 [3], 4.3.1 [7], 4.3.9 [6], 9.2 [1]
func TestServerHelloFields(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, everything := range []bool{false, true} {
			client, server := configs(v)
			lawful := []protocol.ExtensionType{protocol.ExtSupportedVersions, protocol.ExtKeyShare}
			if everything {
				client, server, _ = resumingConfigs()
				client.MinVersion, client.MaxVersion = uint16(v), uint16(v)
				server.MinVersion, server.MaxVersion = uint16(v), uint16(v)
				client.NextProtos, server.NextProtos = []string{"one"}, []string{"one"}
				client.MaxFragmentLength, client.RequestOCSPStaple, client.RequestSCTs = 1024, true, true
				client.ConnectionIDs, server.ConnectionIDs = fixedID("to both"), fixedID("to both")
				lawful = append(lawful, protocol.ExtPreSharedKey, protocol.ExtConnectionID, protocol.ExtReturnRoutability)
				complete(t, transport, client, server)
			}
			if v.Is13() {
				retrying(client, server)
			}
			p := begin(t, transport, client, server)
			p.client.work()
			p.run().expectAgreement(t)
			offered := listOf(parseHello(t, p.client.sent[0], transport).Extensions)
			for _, m := range p.server.sent {
				if m.Type != protocol.ServerHello {
					continue
				}
				editServerHello(t, m, func(hello *message.ServerHello, x *extensionList) {
					if hello.Version != protocol.VersionTLS12.Over(transport) || hello.Compression != 0 {
						t.Errorf("legacy_version %v, legacy_compression_method %d", hello.Version, hello.Compression)
					}
					if x.has(protocol.ExtSupportedVersions) != v.Is13() {
						t.Errorf("supported_versions there: %t", !v.Is13())
					}
					for _, e := range *x {
						if !offered.has(e.kind) || v.Is13() && !slices.Contains(lawful, e.kind) {
							t.Errorf("%v, which was not offered or belongs elsewhere", e.kind)
						}
					}
				})
			}
		}
	})
}

// A fixedID is the only connection ID that there is.
type fixedID string

func (f fixedID) New() []byte    { return []byte(f) }
func (f fixedID) Len([]byte) int { return len(f) }

// TestReturnRoutabilityNeedsConnectionID: a client that can check paths and has no
// connection IDs is told nothing of either.
//
// RFC 9853 3 [2]
func TestReturnRoutabilityNeedsConnectionID(t *testing.T) {
	for _, v := range []protocol.Version{protocol.VersionDTLS12, protocol.VersionDTLS13} {
		client, server := configs(v)
		client.ConnectionIDs, server.ConnectionIDs = fixedID("to both"), fixedID("to both")
		for _, drops := range []bool{false, true} {
			p := begin(t, protocol.Datagram, client, server)
			p.server.take(editClientHello(t, protocol.Datagram, p.server.pop(), func(_ *message.ClientHello, x *extensionList) {
				if drops {
					x.drop(protocol.ExtConnectionID)
				}
			}))
			editServerHello(t, p.client.pop(), func(_ *message.ServerHello, x *extensionList) {
				if x.has(protocol.ExtReturnRoutability) == drops || x.has(protocol.ExtConnectionID) == drops {
					t.Errorf("%v, connection_id dropped %t: rrc %t", v, drops, x.has(protocol.ExtReturnRoutability))
				}
			})
		}
	}
}

// TestExternalKeyHasNoAge: the obfuscated_ticket_age of an external key is 0, and
// whatever else it says changes nothing but the transcript.
//
// RFC 9846 4.3.11 [1]
func TestExternalKeyHasNoAge(t *testing.T) {
	client, server := pskConfigs(protocol.VersionTLS13, keyNamed("a", PSKImported))
	for _, age := range []uint32{0, 12345} {
		p := begin(t, protocol.Stream, client, server)
		p.client.work()
		p.client.m.psks[0].age = age
		hello := parseHello(t, p.client.sent[0], protocol.Stream)
		body, _ := hello.Extensions.Find(protocol.ExtPreSharedKey)
		offer, err := message.ParsePreSharedKey(body)
		if err != nil || offer.Identities[0].ObfuscatedAge != 0 {
			t.Fatalf("%+v, %v", offer, err)
		}
		offer.Identities[0].ObfuscatedAge = age
		said := p.server.pop()
		at := bytes.Index(said.Body, offer.Identities[0].Identity) + len(offer.Identities[0].Identity)
		said.Body = slices.Clone(said.Body)
		said.Body[at], said.Body[at+1], said.Body[at+2], said.Body[at+3] = byte(age>>24), byte(age>>16), byte(age>>8), byte(age)
		p.client.m.bind(&transcript{}, said.Body)
		p.server.take(said)
		if p.server.err != nil || p.server.m.psk == nil {
			t.Errorf("age %d: %v", age, p.server.err)
		}
	}
}

// TestNoPostHandshakeAuthentication: a client that hasn't offered it refuses to be
// asked for a certificate after the handshake.
//
// RFC 9846 4.7.2 [5]
func TestNoPostHandshakeAuthentication(t *testing.T) {
	eachTransport13(t, func(t *testing.T, p *pair) {
		request := message.CertificateRequest13{Context: []byte{1}, Extensions: message.Extensions{0, 13, 0, 4, 0, 2, 4, 3}}
		p.client.take(Message{Content: protocol.Handshake, Type: protocol.CertificateRequest, Body: appended(request.Append)})
		expectAlert(t, p.client.err, alert.UnexpectedMessage)
	})
}
