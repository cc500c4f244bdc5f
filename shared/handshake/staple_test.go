package handshake

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

var (
	testStaple     = []byte("an OCSP response")
	testTimestamps = [][]byte{[]byte("a log"), []byte("another")}
)

// stapled is a certificate with all that may come with it, behind which its
// root stands.
func stapled(c tls.Certificate) tls.Certificate {
	c.Certificate = append(slices.Clone(c.Certificate), testPKI().root.Certificate[0])
	c.OCSPStaple, c.SignedCertificateTimestamps = testStaple, testTimestamps
	return c
}

// stapling are configs whose client asks for what the server has.
func stapling(v protocol.Version) (client, server *Config) {
	client, server = configs(v)
	client.RequestOCSPStaple, client.RequestSCTs = true, true
	server.Certificates = []tls.Certificate{stapled(testPKI().leaf[p256])}
	return client, server
}

func expectStaples(t *testing.T, s ConnectionState, staple []byte, timestamps [][]byte) {
	t.Helper()
	if !bytes.Equal(s.OCSPResponse, staple) || !slices.EqualFunc(s.SignedCertificateTimestamps, timestamps, bytes.Equal) {
		t.Errorf("got the staple %q and the timestamps %q, expected %q and %q", s.OCSPResponse, s.SignedCertificateTimestamps, staple, timestamps)
	}
}

// TestStaples: the client gets what it asks for, once, before it has to say what
// it thinks of the server.
//
// RFC 9846 4.5.1 [8], 4.5.1.1 [1]
func TestStaples(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := stapling(v)
		verified := 0
		client.VerifyConnection = func(s ConnectionState) error {
			verified++
			expectStaples(t, s, testStaple, testTimestamps)
			return nil
		}
		p := complete(t, transport, client, server)
		expectStaples(t, p.client.m.State(), testStaple, testTimestamps)
		expectStaples(t, p.server.m.State(), nil, nil)
		if verified != 1 {
			t.Errorf("VerifyConnection ran %d times", verified)
		}
		sent := bytes.Join(bodies(p.server.sent), nil)
		if n := bytes.Count(sent, testStaple); n != 1 {
			t.Errorf("the staple is sent %d times", n)
		}

		for name, change := range map[string]func(){
			"not asked for": func() { client.RequestOCSPStaple, client.RequestSCTs, client.VerifyConnection = false, false, nil },
			"not there": func() {
				client.RequestOCSPStaple, client.RequestSCTs = true, true
				server.Certificates = []tls.Certificate{testPKI().leaf[p256]}
			},
			"empty": func() { server.Certificates[0].OCSPStaple = []byte{} },
		} {
			t.Run(name, func(t *testing.T) {
				client, server = stapling(v)
				change()
				p := complete(t, transport, client, server)
				want, timestamps := []byte(nil), [][]byte(nil)
				if name == "empty" {
					timestamps = testTimestamps
				}
				expectStaples(t, p.client.m.State(), want, timestamps)
				if sent := bytes.Join(bodies(p.server.sent), nil); bytes.Contains(sent, testStaple) || slices.Contains(typesOf(p.server.sent), protocol.CertificateStatus) {
					t.Error("the server sends a staple")
				}
			})
		}
	})
}

func bodies(sent []Message) (list [][]byte) {
	for _, m := range sent {
		list = append(list, m.Body)
	}
	return list
}

// TestGetOCSPStaple: a server's callback supplies, declines or fails.
func TestGetOCSPStaple(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := stapling(v)
		fresh := []byte("a fresh one")
		asked := 0
		server.GetOCSPStaple = func(hello *tls.ClientHelloInfo, c *tls.Certificate) ([]byte, error) {
			asked++
			if hello.ServerName != testName || !bytes.Equal(c.Certificate[0], server.Certificates[0].Certificate[0]) {
				t.Error("the callback sees another name or certificate")
			}
			return fresh, nil
		}
		p := complete(t, transport, client, server)
		expectStaples(t, p.client.m.State(), fresh, testTimestamps)

		server.GetOCSPStaple = func(*tls.ClientHelloInfo, *tls.Certificate) ([]byte, error) { return nil, nil }
		p = complete(t, transport, client, server)
		expectStaples(t, p.client.m.State(), nil, testTimestamps)

		server.GetOCSPStaple = func(*tls.ClientHelloInfo, *tls.Certificate) ([]byte, error) { return nil, errors.New("no") }
		p = begin(t, transport, client, server).run()
		p.server.expectRefused(t, alert.InternalError)
		if len(p.server.sent) > 0 {
			t.Error("the server speaks in spite of it")
		}

		client.RequestOCSPStaple = false
		complete(t, transport, client, server) // it isn't asked
		if asked != 1 {
			t.Errorf("the callback ran %d times, expected once", asked)
		}
	})
}

// TestStapleRefused: the application judges the staple, and chooses the alert.
func TestStapleRefused(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := stapling(v)
		client.VerifyConnection = func(s ConnectionState) error {
			return fmt.Errorf("wrapped: %w", alert.Peerf(alert.BadCertificateStatusResponse, "revoked: %q", s.OCSPResponse))
		}
		for name, certificate := range map[string]tls.Certificate{"with": server.Certificates[0], "without": testPKI().leaf[p256]} {
			server.Certificates = []tls.Certificate{certificate}
			p := begin(t, transport, client, server).run()
			p.client.expectRefused(t, alert.BadCertificateStatusResponse)
			for _, sent := range p.client.sent {
				if sent.Type != protocol.ClientHello {
					t.Errorf("%s a staple: the client sends %v after it has refused", name, sent.Type)
				}
			}
		}
	})
}

// TestStapleLeftOut: a 1.2 server promises a staple and sends none (RFC 6066 8).
// The certificate is verified all the same, before anything of it is used.
func TestStapleLeftOut(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := stapling(protocol.VersionTLS12)
		verified, chains := 0, 0
		client.VerifyPeerCertificate = func(_ [][]byte, verified [][]*x509.Certificate) error {
			chains += len(verified)
			return nil
		}
		client.VerifyConnection = func(s ConnectionState) error {
			verified++
			expectStaples(t, s, nil, testTimestamps)
			return nil
		}
		leaveOut := func(_ *peer, m Message) []Message {
			if m.Type == protocol.CertificateStatus {
				return nil
			}
			return []Message{m}
		}
		p := begin(t, transport, client, server)
		p.onWay = leaveOut
		p.run()
		if verified != 1 || chains != 1 {
			t.Errorf("verified %d times, with %d chains", verified, chains)
		}
		if !slices.Contains(typesOf(p.client.sent), protocol.ClientKeyExchange) {
			t.Errorf("the client does not go on: %v", p.client.err)
		}
		p.server.expectRefused(t, alert.DecryptError) // as its transcript has a CertificateStatus

		server.Certificates[0] = stapled(testPKI().stranger)
		for _, onWay := range []func(*peer, Message) []Message{leaveOut, nil} {
			p = begin(t, transport, client, server)
			p.onWay = onWay
			p.run().client.expectRefused(t, alert.UnknownCA)
		}
	})
}

// TestCertificateExtensions: what may stand beside a certificate of 1.3, and what
// not.
//
// RFC 9846 4.5.1 [6]
func TestCertificateExtensions(t *testing.T) {
	entry := func(edit func(*extensionList)) message.CertificateEntry {
		c := testPKI().leaf[p256].Certificate[0]
		var x extensionList
		edit(&x)
		return message.CertificateEntry{Data: c, Extensions: x.block()}
	}
	root := func(x extensionList) message.CertificateEntry {
		return message.CertificateEntry{Data: testPKI().root.Certificate[0], Extensions: x.block()}
	}
	status := appended((&message.CertificateStatus{Response: testStaple}).Append)
	plain := entry(func(*extensionList) {})
	type test struct {
		entries []message.CertificateEntry
		want    alert.Alert // close_notify: it is taken
	}
	tests := map[string]test{
		"a staple":                {[]message.CertificateEntry{entry(func(x *extensionList) { x.set(protocol.ExtStatusRequest, status) })}, alert.CloseNotify},
		"an empty staple":         {[]message.CertificateEntry{entry(func(x *extensionList) { x.set(protocol.ExtStatusRequest, []byte{1, 0, 0, 0}) })}, alert.DecodeError},
		"a staple and more":       {[]message.CertificateEntry{entry(func(x *extensionList) { x.set(protocol.ExtStatusRequest, append(slices.Clone(status), 0)) })}, alert.DecodeError},
		"another status":          {[]message.CertificateEntry{entry(func(x *extensionList) { x.set(protocol.ExtStatusRequest, []byte{2, 0, 0, 1, 1}) })}, alert.IllegalParameter},
		"no timestamps":           {[]message.CertificateEntry{entry(func(x *extensionList) { x.set(protocol.ExtSCT, []byte{0, 0}) })}, alert.DecodeError},
		"an empty timestamp":      {[]message.CertificateEntry{entry(func(x *extensionList) { x.set(protocol.ExtSCT, []byte{0, 5, 0, 1, 1, 0, 0}) })}, alert.DecodeError},
		"a staple of a root":      {[]message.CertificateEntry{plain, root(extensionList{{protocol.ExtStatusRequest, []byte{9}}})}, alert.CloseNotify},
		"what nobody asked for":   {[]message.CertificateEntry{entry(func(x *extensionList) { x.set(0x7f, nil) })}, alert.UnsupportedExtension},
		"the same behind a root":  {[]message.CertificateEntry{plain, root(extensionList{{0x7f, nil}})}, alert.UnsupportedExtension},
		"what belongs elsewhere":  {[]message.CertificateEntry{entry(func(x *extensionList) { x.set(protocol.ExtKeyShare, nil) })}, alert.IllegalParameter},
		"something twice":         {[]message.CertificateEntry{entry(func(x *extensionList) { *x = append(*x, extensionEntry{5, status}, extensionEntry{5, status}) })}, alert.IllegalParameter},
		"a client's empty answer": {[]message.CertificateEntry{entry(func(x *extensionList) { x.set(protocol.ExtStatusRequest, nil) })}, alert.DecodeError},
	}
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, test := range tests {
			for _, ask := range []bool{true, false} {
				client, server := stapling(protocol.VersionTLS13)
				client.RequestOCSPStaple, client.RequestSCTs = ask, ask
				p := begin(t, transport, client, server)
				p.onWay = func(to *peer, m Message) []Message {
					if m.Type == protocol.Certificate {
						out := message.Certificate13{Entries: test.entries}
						m.Body = appended(out.Append)
					}
					return []Message{m}
				}
				p.run()
				switch {
				case !ask && name != "something twice" && name != "what belongs elsewhere":
					p.client.expectRefused(t, alert.UnsupportedExtension)
				case test.want != alert.CloseNotify:
					p.client.expectRefused(t, test.want)
				default:
					expectAlert(t, p.client.err, alert.DecryptError) // CertificateVerify's, behind it
				}
				if t.Failed() {
					t.Fatalf("%s, asked for: %v", name, ask)
				}
			}
		}
	})
}

// TestUnaskedStaples12: neither extension comes unasked in 1.2, nor does a staple
// without its promise.
func TestUnaskedStaples12(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for extension, body := range map[protocol.ExtensionType][]byte{
			protocol.ExtStatusRequest: nil,
			protocol.ExtSCT:           {0, 3, 0, 1, 1},
		} {
			client, server := configs(protocol.VersionTLS12)
			p := begin(t, transport, client, server)
			p.next(p.server)
			p.client.take(editServerHello(t, p.client.pop(), func(_ *message.ServerHello, x *extensionList) { x.set(extension, body) }))
			p.client.expectRefused(t, alert.UnsupportedExtension)
		}
		for extension, body := range map[protocol.ExtensionType][]byte{
			protocol.ExtStatusRequest: {1},
			protocol.ExtSCT:           {0, 0},
		} {
			client, server := stapling(protocol.VersionTLS12)
			p := begin(t, transport, client, server)
			p.next(p.server)
			p.client.take(editServerHello(t, p.client.pop(), func(_ *message.ServerHello, x *extensionList) { x.set(extension, body) }))
			p.client.expectRefused(t, alert.DecodeError)
		}
		client, server := stapling(protocol.VersionTLS12)
		p := begin(t, transport, client, server)
		p.next(p.server)
		p.client.take(editServerHello(t, p.client.pop(), func(_ *message.ServerHello, x *extensionList) { x.drop(protocol.ExtStatusRequest) }))
		for p.client.err == nil && len(p.client.inbox) > 0 {
			p.next(p.client)
		}
		p.client.expectRefused(t, alert.UnexpectedMessage)
	})
}

// TestResumedStaples: a session remembers what came with the certificate, and
// nothing of it is sent again. Servers of 1.2 that do so are borne.
func TestResumedStaples(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server, _ := resumingConfigs()
		asking, stapled := stapling(v)
		client.RequestOCSPStaple, client.RequestSCTs = asking.RequestOCSPStaple, asking.RequestSCTs
		server.Certificates = stapled.Certificates
		client.MinVersion, client.MaxVersion, server.MinVersion, server.MaxVersion = uint16(v), uint16(v), uint16(v), uint16(v)
		verified := 0
		client.VerifyConnection = func(s ConnectionState) error {
			verified++
			expectStaples(t, s, testStaple, testTimestamps)
			return nil
		}
		complete(t, transport, client, server)
		p := complete(t, transport, client, server)
		state := p.client.m.State()
		if !state.DidResume || verified != 2 {
			t.Errorf("resumed: %v, verified %d times", state.DidResume, verified)
		}
		expectStaples(t, state, testStaple, testTimestamps)
		if sent := bytes.Join(bodies(p.server.sent), nil); bytes.Contains(sent, testStaple) || bytes.Contains(sent, testTimestamps[0]) {
			t.Error("a resumed handshake shows them again")
		}
		if v.Is13() {
			return
		}
		p = begin(t, transport, client, server)
		p.client.work()
		p.next(p.server)
		p.client.take(editServerHello(t, p.client.pop(), func(_ *message.ServerHello, x *extensionList) {
			x.set(protocol.ExtStatusRequest, nil)
			x.set(protocol.ExtSCT, appended(func(b *wire.Builder) { message.AppendSCTs(b, [][]byte{[]byte("other")}) }))
		}))
		if p.client.err != nil {
			t.Fatal(p.client.err)
		}
		expectStaples(t, p.client.m.State(), testStaple, testTimestamps)
	})
}

// TestClientStaples: in 1.3 a server may ask the client for the same.
//
// RFC 9846 4.5.1 [7], 4.5.1.1 [4]
func TestClientStaples(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, ask := range []bool{true, false} {
			client, server := configs(v)
			authenticated(client, server)
			client.Certificates = []tls.Certificate{stapled(testPKI().leaf[edwards])}
			server.RequestOCSPStaple, server.RequestSCTs = ask, ask
			p := complete(t, transport, client, server)
			if ask && v.Is13() {
				expectStaples(t, p.server.m.State(), testStaple, testTimestamps)
				continue
			}
			expectStaples(t, p.server.m.State(), nil, nil)
			if bytes.Contains(bytes.Join(bodies(p.client.sent), nil), testStaple) {
				t.Error("the client shows a staple that nobody asked for")
			}
		}
	})
}

// TestTimestampsChecked: what can't be sent is told at once, or when a callback
// brings it.
func TestTimestampsChecked(t *testing.T) {
	for name, bad := range map[string][][]byte{
		"empty":    {{}},
		"too long": {make([]byte, 1<<16-1)},
		"too many": {make([]byte, 1<<15), make([]byte, 1<<15)},
	} {
		client, server := stapling(0)
		certificate := server.Certificates[0]
		certificate.SignedCertificateTimestamps = bad
		server.Certificates = []tls.Certificate{certificate}
		if field := (*ConfigError)(nil); !errors.As(server.Validate(Server, protocol.Stream), &field) || field.Field != "Certificates" {
			t.Errorf("%s: %v", name, field)
		}
		server.Certificates = nil
		server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &certificate, nil }
		p := begin(t, protocol.Stream, client, server).run()
		p.server.expectRefused(t, alert.InternalError)

		client, server = configs(0)
		server.ClientAuth = tls.RequestClientCert
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
		p = begin(t, protocol.Stream, client, server).run()
		p.client.expectRefused(t, alert.InternalError)
	}
}
