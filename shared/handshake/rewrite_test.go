package handshake

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// rewriting is a RewriteMessage that edits ClientHellos and ServerHellos.
func rewriting(t testing.TB, transport protocol.Transport, client func(*message.ClientHello, *extensionList), server func(*message.ServerHello, *extensionList)) func(HandshakeType, []byte) []byte {
	return func(kind HandshakeType, body []byte) []byte {
		m := Message{Type: kind, Body: body}
		switch {
		case kind == protocol.ClientHello && client != nil:
			return editClientHello(t, transport, m, client).Body
		case kind == protocol.ServerHello && server != nil:
			return editServerHello(t, m, server).Body
		}
		return nil
	}
}

const (
	nothingExtension protocol.ExtensionType = 0xfafa
	nothingSuite     uint16                 = 0x2a2a
)

// disguised adds what means nothing, turns extensions round, and has a random of its
// own.
func disguised(m *message.ClientHello, x *extensionList) {
	m.Random = bytesOf(0x42)
	m.CipherSuites = message.MakeUint16s(append([]uint16{nothingSuite}, message.Collect[uint16](m.CipherSuites)...))
	last := len(*x)
	if last > 0 && (*x)[last-1].kind == protocol.ExtPreSharedKey {
		last--
	}
	slices.Reverse((*x)[:last])
	*x = slices.Insert(*x, 0, extensionEntry{nothingExtension, []byte("nothing")})
}

func bytesOf(b byte) []byte { return slices.Repeat([]byte{b}, 32) }

// Hellos in another form lead to the same handshake: in every protocol, with and
// without another try, with certificates and with keys.
func TestRewrite(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, retry := range []bool{false, true} {
			for _, key := range []bool{false, true} {
				client, server := configs(v)
				authenticated(client, server)
				if retry {
					client.CurvePreferences = []tls.CurveID{tls.CurveP256, tls.X25519}
				}
				if key {
					psk := &ExternalPSK{Identity: []byte("curlew"), Key: bytesOf(7), Use: PSKDirect}
					client.Credentials, server.Credentials = []Credential{{PSK: psk}}, []Credential{{PSK: psk}}
				}
				client.RewriteMessage = rewriting(t, transport, disguised, nil)
				server.RewriteMessage = rewriting(t, transport, nil, func(m *message.ServerHello, x *extensionList) {
					m.Random = bytesOf(0x43)
					slices.Reverse(*x)
				})
				p := complete(t, transport, client, server)
				hellos := 0
				for _, m := range p.client.sent {
					if m.Type != protocol.ClientHello {
						continue
					}
					hellos++
					hello := parseHello(t, m, transport)
					if _, ok := hello.Extensions.Find(nothingExtension); !ok || hello.CipherSuites.At(0) != nothingSuite || hello.Random[0] != 0x42 {
						t.Errorf("retry %v, key %v: hello %d went out as it was", retry, key, hellos)
					}
				}
				if retried := v.Is13() && retry; p.client.m.retried != retried || retried && hellos != 2 {
					t.Errorf("%d hellos, retried %v, want %v", hellos, p.client.m.retried, retried)
				}
			}
		}
	})
}

// What a hello leaves out is not agreed on, and what it adds is not understood.
func TestRewriteNarrows(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		client.NextProtos, server.NextProtos = []string{"one"}, []string{"one"}
		first := complete(t, transport, client, server).client.m.suite.ID
		client.RewriteMessage = rewriting(t, transport, func(m *message.ClientHello, x *extensionList) {
			m.CipherSuites = message.MakeUint16s(slices.DeleteFunc(message.Collect[uint16](m.CipherSuites), func(id uint16) bool { return id == first }))
			x.drop(protocol.ExtALPN)
		}, nil)
		p := complete(t, transport, client, server)
		if s := p.client.m.State(); s.NegotiatedProtocol != "" || s.CipherSuite == first {
			t.Errorf("protocol %q, suite %#x, which was %#x", s.NegotiatedProtocol, s.CipherSuite, first)
		}

		// What was left out is not answered: 1.2's ServerHello could do so.
		if !v.Is13() {
			server.RewriteMessage = rewriting(t, transport, nil, func(_ *message.ServerHello, x *extensionList) {
				x.set(protocol.ExtALPN, []byte("\x00\x04\x03one"))
			})
			p = begin(t, transport, client, server).run()
			p.client.expectRefused(t, alert.UnsupportedExtension)
		}

		client, server = configs(v)
		client.CipherSuites, server.CipherSuites = []uint16{first}, []uint16{p.client.m.suite.ID}
		client.RewriteMessage = rewriting(t, transport, func(m *message.ClientHello, _ *extensionList) {
			m.CipherSuites = message.MakeUint16s(server.CipherSuites)
		}, nil)
		p = begin(t, transport, client, server).run()
		p.client.expectRefused(t, alert.IllegalParameter)
		if !errors.Is(p.client.err, alert.WrongSuite) {
			t.Error(p.client.err)
		}

		client, server = configs(v)
		server.NextProtos = []string{"one"}
		client.RewriteMessage = rewriting(t, transport, func(_ *message.ClientHello, x *extensionList) {
			*x = slices.Insert(*x, 0, extensionEntry{protocol.ExtALPN, []byte("\x00\x04\x03one")})
		}, nil)
		p = begin(t, transport, client, server).run()
		p.client.expectRefused(t, alert.UnsupportedExtension)
	})
}

// A server's random keeps the mark of a downgrade, whatever the application makes of
// it.
func TestRewriteKeepsDowngradeMark(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := configs(0)
		server.RewriteMessage = rewriting(t, transport, nil, func(m *message.ServerHello, _ *extensionList) { m.Random = bytesOf(0x43) })
		p := begin(t, transport, client, server)
		p.server.take(editClientHello(t, transport, p.server.pop(), without(protocol.ExtSupportedVersions)))
		p.run()
		p.client.expectRefused(t, alert.IllegalParameter)
		if !errors.Is(p.client.err, alert.Downgrade) {
			t.Error(p.client.err)
		}
	})
}

// A CertificateRequest of 1.2 can be rewritten; that of 1.3 goes encrypted.
func TestRewriteCertificateRequest(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		authenticated(client, server)
		asked := 0
		server.RewriteMessage = func(kind HandshakeType, body []byte) []byte {
			if kind != protocol.CertificateRequest {
				return nil
			}
			asked++
			var m message.CertificateRequest12
			if err := m.Parse(body); err != nil {
				t.Error(err)
			}
			m.Authorities = nil
			return appended(m.Append)
		}
		p := complete(t, transport, client, server)
		if v.Is13() {
			if asked != 0 {
				t.Error("asked for a message that goes encrypted")
			}
			return
		}
		i := slices.IndexFunc(p.server.sent, func(m Message) bool { return m.Type == protocol.CertificateRequest })
		var m message.CertificateRequest12
		if err := m.Parse(p.server.sent[i].Body); err != nil || asked != 1 || len(m.Authorities) != 0 {
			t.Errorf("asked %d times, %d authorities, %v", asked, len(m.Authorities), err)
		}
	})
}

// What can't be said is not said.
func TestRewriteFails(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		garbage := func(HandshakeType, []byte) []byte { return []byte("garbage") }
		client, server := configs(v)
		client.RewriteMessage = garbage
		p := begin(t, transport, client, server).run()
		p.client.expectRefused(t, alert.InternalError)

		client, server = configs(v)
		server.RewriteMessage = garbage
		p = begin(t, transport, client, server).run()
		p.server.expectRefused(t, alert.InternalError)

		if !v.Is13() {
			return
		}
		for name, edit := range map[string]func(*message.ClientHello, *extensionList){
			"another key":     func(_ *message.ClientHello, x *extensionList) { x.set(protocol.ExtPreSharedKey, []byte("another key")) },
			"no key":          without(protocol.ExtPreSharedKey),
			"not at the end":  func(_ *message.ClientHello, x *extensionList) { x.set(nothingExtension, nil) },
			"turned about it": func(_ *message.ClientHello, x *extensionList) { slices.Reverse(*x) },
		} {
			client, server = configs(v)
			client.Credentials = []Credential{{PSK: &ExternalPSK{Identity: []byte("curlew"), Key: bytesOf(7)}}}
			client.RewriteMessage = rewriting(t, transport, edit, nil)
			p = begin(t, transport, client, server).run()
			if p.client.expectRefused(t, alert.InternalError); !errors.Is(p.client.err, alert.PreSharedKeyNotLast) {
				t.Errorf("%s: %v", name, p.client.err)
			}
		}
	})
}

// An encrypted ClientHello is not rewritten: its outer one has to be what was
// encrypted with it.
func TestRewriteEncrypted(t *testing.T) {
	client, _ := configs(0)
	client.RewriteMessage = func(HandshakeType, []byte) []byte { return nil }
	client.EncryptedClientHelloConfigList = []byte{0, 0}
	err := client.Validate(Client, protocol.Datagram)
	if e, ok := errors.AsType[*ConfigError](err); !ok || e.Field != "RewriteMessage" {
		t.Error(err)
	}
}
