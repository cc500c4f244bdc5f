package tls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/pion/logging"
)

// keyTypes are the certificates by name.
func keyTypes() map[string]tls.Certificate {
	return map[string]tls.Certificate{"ECDSA": pki().ecdsa, "RSA": pki().rsa, "Ed25519": pki().ed25519}
}

// Every suite with every group, key type and kind of client authentication.
func TestHandshakes(t *testing.T) {
	for _, s := range suite.Table {
		if s.Auth == suite.PSK || s.Exchange == suite.KeyTransport {
			continue // it has no certificates, or no group
		}
		for _, g := range suite.Groups {
			for key, certificate := range keyTypes() {
				is13 := s.Version.Is13()
				if !is13 && (g.PostQuantum || (s.Auth == suite.RSA) != (key == "RSA")) {
					continue
				}
				for _, auth := range []string{"none", "empty", "ECDSA", "RSA", "Ed25519"} {
					client, server := configs(uint16(s.Version))
					client.CipherSuites = []uint16{s.ID}
					server.CipherSuites = []uint16{s.ID}
					client.CurvePreferences = []tls.CurveID{g.ID}
					server.CurvePreferences = []tls.CurveID{g.ID}
					if !is13 && g.ID != tls.CurveP256 {
						// 1.2: the certificate's curve too (RFC 8422 5.1.1)
						client.CurvePreferences = append(client.CurvePreferences, tls.CurveP256)
					}
					server.Certificates = []tls.Certificate{certificate}
					server.ClientCAs = pki().roots
					switch own, named := keyTypes()[auth]; {
					case named:
						server.ClientAuth = tls.RequireAndVerifyClientCert
						client.Certificates = []tls.Certificate{own}
					case auth == "empty":
						server.ClientAuth = tls.VerifyClientCertIfGiven
					}
					t.Run(fmt.Sprintf("%s/%s/%s/%s", s.Name, g.Name, key, auth), func(t *testing.T) {
						checkConnected(t, connected(t, client, server), s, g, certificate, client.Certificates)
					})
				}
			}
		}
	}
}

// checkConnected checks what both sides say of the connection, and uses it.
func checkConnected(t *testing.T, p *pair, s *suite.Suite, g *suite.Group, server tls.Certificate, client []tls.Certificate) {
	c, d := p.client.State(), p.server.State()
	for _, state := range []ConnectionState{c, d} {
		if !state.HandshakeComplete || state.Version != uint16(s.Version) || state.CipherSuite != s.ID ||
			state.CurveID != g.ID || state.ServerName != serverName || !state.ExtendedMasterSecret || state.HelloRetryRequest {
			t.Errorf("state %+v", state)
		}
	}
	if len(c.PeerCertificates) != 1 || !c.PeerCertificates[0].Equal(server.Leaf) || len(c.VerifiedChains) != 1 {
		t.Error("the client did not verify the server's certificate")
	}
	if len(d.PeerCertificates) != len(client) || len(client) > 0 && !d.PeerCertificates[0].Equal(client[0].Leaf) {
		t.Error("the server did not see the client's certificate")
	}
	if c.PeerSignature != d.LocalSignature || d.PeerSignature != c.LocalSignature || c.PeerSignature == 0 {
		t.Error("the sides differ about signatures")
	}
	ours, err := c.ExportKeyingMaterial("EXPORTER-test", []byte("context"), 40)
	theirs, err2 := d.ExportKeyingMaterial("EXPORTER-test", []byte("context"), 40)
	if err != nil || err2 != nil || !bytes.Equal(ours, theirs) {
		t.Error("the sides export different keying material", err, err2)
	}
	p.exchange(t)
}

// exchange sends something both ways.
func (p *pair) exchange(t testing.TB) {
	t.Helper()
	for _, way := range []struct{ from, to *Engine }{{p.client, p.server}, {p.server, p.client}} {
		text := []byte("from the " + way.from.machine.Role().String())
		if err := way.from.Write(text, testTime); err != nil {
			t.Fatal(err)
		}
		p.pump()
		if got := readAll(way.to); !bytes.Equal(got, text) || way.to.Closed() != nil {
			t.Fatalf("got %q of %q, %v", got, text, way.to.Closed())
		}
	}
}

// The scenarios of the tests that cut and bend a handshake: short messages.
var scenarios = []struct {
	name    string
	version uint16
	change  func(client, server *Config)
}{
	{"1.3", VersionTLS13, func(*Config, *Config) {}},
	{"1.3 with everything", VersionTLS13, func(client, server *Config) {
		server.CurvePreferences = []tls.CurveID{tls.CurveP256} // a HelloRetryRequest
		authenticateClient(client, server)
	}},
	{"1.2", VersionTLS12, func(*Config, *Config) {}},
	{"1.2 with client authentication", VersionTLS12, authenticateClient},
}

func authenticateClient(client, server *Config) {
	client.Certificates = []tls.Certificate{pki().ed25519}
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pki().roots
}

func scenario(i int) (client, server *Config) {
	client, server = configs(scenarios[i].version)
	client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
	server.Certificates = []tls.Certificate{pki().ed25519}
	scenarios[i].change(client, server)
	return client, server
}

// However the stream is cut, both sides answer with the same bytes.
func TestCuts(t *testing.T) {
	for i := range scenarios {
		t.Run(scenarios[i].name, func(t *testing.T) {
			run := func(cut func([]byte) [][]byte) *pair {
				cryptotest.SetGlobalRandom(t, 1)
				client, server := scenario(i)
				p := newPair(t, client, server)
				p.cut = cut
				p.connect()
				return p
			}
			whole := run(nil)
			if !whole.client.Open() || !whole.server.Open() {
				t.Fatal("not open", whole.client.Err(), whole.server.Err())
			}
			check := func(how string, p *pair) {
				if !p.client.Open() || !p.server.Open() || !bytes.Equal(p.fromClient, whole.fromClient) || !bytes.Equal(p.fromServer, whole.fromServer) {
					t.Fatalf("%s: it went another way: %v, %v", how, p.client.Err(), p.server.Err())
				}
			}
			check("byte by byte", run(func(b []byte) [][]byte { return slices.Collect(slices.Chunk(b, 1)) }))
			longest := max(len(whole.fromClient), len(whole.fromServer))
			step := 1
			if testing.Short() {
				step = 10
			}
			for at := 1; at < longest; at += step {
				check(fmt.Sprintf("cut at %d", at), run(func(b []byte) [][]byte {
					n := min(at, len(b))
					return [][]byte{b[:n], b[n:]}
				}))
			}
		})
	}
}

// Messages may share a record and may span many, in any mixture.
func TestRecordBoundaries(t *testing.T) {
	for i := range scenarios {
		for _, size := range []int{1, 3, 50, maxPlaintext} {
			t.Run(fmt.Sprintf("%s/%d", scenarios[i].name, size), func(t *testing.T) {
				client, server := scenario(i)
				p := newPair(t, client, server)
				p.cut = func(b []byte) [][]byte { return [][]byte{recut(b, size)} }
				p.connect()
				if !p.client.Open() || !p.server.Open() {
					t.Fatal(p.client.Err(), p.server.Err())
				}
				p.cut = nil
				p.exchange(t)
			})
		}
	}
}

// recut puts the handshake messages in the clear that stand together into
// records of another size.
func recut(b []byte, size int) (out []byte) {
	var messages []byte
	flush := func() {
		for fragment := range slices.Chunk(messages, size) {
			out, _ = new(writeLevel).append(out, protocol.VersionTLS12, protocol.Handshake, fragment)
		}
		messages = nil
	}
	for clear := true; len(b) > 0; {
		h := parseHeader(b)
		whole := b[:headerSize+h.length]
		b = b[len(whole):]
		if clear = clear && h.content == protocol.Handshake; clear {
			messages = append(messages, whole[headerSize:]...)
			continue
		}
		flush()
		out = append(out, whole...)
	}
	flush()
	return out
}

// Both sides of every refusal, with the alert of who refuses.
//
// RFC 9846 6 [2], 6.2 [1, 6]
func TestRefusals(t *testing.T) {
	refuse := errors.New("no")
	both := []uint16{VersionTLS12, VersionTLS13}
	only12, only13 := both[:1], both[1:]
	for _, c := range []struct {
		name     string
		versions []uint16
		change   func(client, server *Config)
		by       handshake.Role
		alert    alert.Alert
	}{
		{"unknown CA", both, func(c, _ *Config) { c.RootCAs = pki().strangers }, handshake.Client, alert.UnknownCA},
		{"another name", both, func(c, _ *Config) { c.ServerName = "other.example" }, handshake.Client, alert.BadCertificate},
		{"expired", both, func(_, s *Config) { s.Certificates = []tls.Certificate{pki().expired} }, handshake.Client, alert.CertificateExpired},
		{"VerifyConnection", both, func(c, _ *Config) {
			c.VerifyConnection = func(ConnectionState) error { return refuse }
		}, handshake.Client, alert.BadCertificate},
		{"VerifyPeerCertificate, with an alert", both, func(c, _ *Config) {
			c.VerifyPeerCertificate = verifyWith(alert.Peerf(alert.CertificateRevoked, "revoked"))
		}, handshake.Client, alert.CertificateRevoked},

		{"no group", both, func(c, s *Config) {
			c.CurvePreferences, s.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP384}
		}, handshake.Server, alert.HandshakeFailure},
		{"no suite", only13, func(c, s *Config) {
			c.CipherSuites, s.CipherSuites = []uint16{TLS_AES_128_GCM_SHA256}, []uint16{TLS_AES_256_GCM_SHA384}
		}, handshake.Server, alert.HandshakeFailure},
		{"no suite", only12, func(c, _ *Config) {
			c.CipherSuites = []uint16{TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		}, handshake.Server, alert.HandshakeFailure},
		{"client too old", only13, func(c, _ *Config) { c.MinVersion, c.MaxVersion = VersionTLS12, VersionTLS12 }, handshake.Server, alert.ProtocolVersion},
		{"client too new", only12, func(c, _ *Config) { c.MinVersion, c.MaxVersion = VersionTLS13, VersionTLS13 }, handshake.Server, alert.ProtocolVersion},
		{"ALPN", both, func(c, s *Config) { c.NextProtos, s.NextProtos = []string{"a"}, []string{"b"} }, handshake.Server, alert.NoApplicationProtocol},
		{"GetCertificate", both, func(_, s *Config) {
			s.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, refuse }
		}, handshake.Server, alert.InternalError},
		{"GetConfigForClient", both, func(_, s *Config) {
			s.GetConfigForClient = func(*tls.ClientHelloInfo) (*Config, error) { return nil, refuse }
		}, handshake.Server, alert.InternalError},

		{"no client certificate", only13, func(_, s *Config) { s.ClientAuth = tls.RequireAnyClientCert }, handshake.Server, alert.CertificateRequired},
		{"no client certificate", only12, func(_, s *Config) { s.ClientAuth = tls.RequireAnyClientCert }, handshake.Server, alert.HandshakeFailure},
		{"client of an unknown CA", both, func(c, s *Config) {
			authenticateClient(c, s)
			s.ClientCAs = pki().strangers
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pki().ecdsa, nil }
		}, handshake.Server, alert.UnknownCA},
		{"expired client", both, func(c, s *Config) {
			authenticateClient(c, s)
			c.Certificates = []tls.Certificate{pki().expired}
		}, handshake.Server, alert.CertificateExpired},
		{"the server verifies a connection", both, func(c, s *Config) {
			authenticateClient(c, s)
			s.VerifyConnection = func(ConnectionState) error { return refuse }
		}, handshake.Server, alert.BadCertificate},
	} {
		for _, v := range c.versions {
			t.Run(fmt.Sprintf("%s/%v", c.name, protocol.Version(v)), func(t *testing.T) {
				client, server := configs(v)
				c.change(client, server)
				p := newPair(t, client, server)
				p.connect()
				refused, told := p.client, p.server
				if c.by == handshake.Server {
					refused, told = told, refused
				}
				wantAlert(t, "who refuses", refused.Err(), c.alert, false)
				wantAlert(t, "who is refused", told.Err(), c.alert, true)
				checkUnusable(t, refused)
			})
		}
	}
}

func verifyWith(err error) func([][]byte, [][]*x509.Certificate) error {
	return func([][]byte, [][]*x509.Certificate) error { return err }
}

// checkUnusable checks that nothing can be had from a failed connection.
func checkUnusable(t *testing.T, e *Engine) {
	t.Helper()
	state := e.State()
	if _, err := state.ExportKeyingMaterial("EXPORTER-test", nil, 16); err == nil || state.HandshakeComplete {
		t.Error("a failed connection exports keying material")
	}
	reason := e.Err()
	if err := e.Write([]byte("data"), testTime); err != reason || e.Pending() {
		t.Error("a failed connection can be written:", err)
	}
	if err := e.KeyUpdate(UpdateRequested, testTime); err != reason {
		t.Error("a failed connection updates keys:", err)
	}
	if err := e.Receive([]byte{byte(protocol.ApplicationData), 3, 3, 0, 1, 0}, testTime); err != reason {
		t.Error("a failed connection still receives:", err)
	}
	if _, ok := e.Read(make([]byte, 10)); ok || e.Closed() != reason {
		t.Error("a failed connection can be read")
	}
	e.Close(testTime)
	if e.Pending() {
		t.Error("a failed connection says goodbye")
	}
}

// RFC 6347 4.1.2.2 [1]; RFC 9846 E.5 [2]
func TestWrongConfig(t *testing.T) {
	good, _ := configs(0)
	for _, c := range []struct {
		field string
		role  handshake.Role
		Config
	}{
		{"ServerName", handshake.Client, Config{}},
		{"MinVersion", handshake.Client, Config{ServerName: "a", MinVersion: 0x0301}},
		{"MinVersion", handshake.Client, Config{ServerName: "a", MinVersion: VersionTLS13, MaxVersion: VersionTLS12}},
		{"MaxVersion", handshake.Client, Config{ServerName: "a", MaxVersion: 0x0305}},
		{"CipherSuites", handshake.Client, Config{ServerName: "a", CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}}},
		{"CurvePreferences", handshake.Client, Config{ServerName: "a", CurvePreferences: []tls.CurveID{99}}},
		{"NextProtos", handshake.Client, Config{ServerName: "a", NextProtos: []string{""}}},
		{"Certificates", handshake.Client, Config{ServerName: "a", Certificates: make([]tls.Certificate, 1)}},
		{"Certificates", handshake.Server, Config{}},
		{"ClientAuth", handshake.Server, Config{Certificates: []tls.Certificate{pki().ecdsa}, ClientAuth: 99}},
	} {
		makers := map[string]func(*Config) error{
			"NewClientEngine": func(c *Config) error { _, err := NewClientEngine(c); return err },
			"Client":          func(c *Config) error { _, err := Client(nil, c); return err },
			"Dial":            func(c *Config) error { _, err := Dial("tcp", "", c); return err },
		}
		if c.role == handshake.Server {
			makers = map[string]func(*Config) error{
				"NewServerEngine": func(c *Config) error { _, err := NewServerEngine(c); return err },
				"Server":          func(c *Config) error { _, err := Server(nil, c); return err },
				"Listen":          func(c *Config) error { _, err := Listen("tcp", "256.0.0.0:0", c); return err },
				"NewListener":     func(c *Config) error { _, err := NewListener(nil, c); return err },
			}
		}
		for name, maker := range makers {
			var e *ConfigError
			if err := maker(&c.Config); !errors.As(err, &e) || e.Field != c.field {
				t.Errorf("%s with a wrong %s: %v", name, c.field, err)
			}
		}
	}
	if _, err := NewClientEngine(good); err != nil {
		t.Error(err)
	}
	if _, err := NewServerEngine(nil); err == nil {
		t.Error("a server without a Config")
	}
	if _, err := NewListener(nil, nil); err == nil {
		t.Error("a Listener without a Config")
	}
}

// RFC 9846 6 [1], 6.1 [1]
func TestClose(t *testing.T) {
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			p := connectedVersion(t, v.number)
			p.client.Write([]byte("last words"), testTime)
			p.client.Close(testTime)
			p.client.Close(testTime)
			if err := p.client.Write([]byte("more"), testTime); err != errClosed {
				t.Error("a Write after Close:", err)
			}
			p.pump()
			if err := p.server.Closed(); err != nil {
				t.Error("closed before all was read:", err)
			}
			if got := string(readAll(p.server)); got != "last words" || p.server.Closed() != io.EOF {
				t.Errorf("read %q, %v", got, p.server.Closed())
			}
			// The other direction stays open, and what follows a close_notify is
			// ignored (RFC 9846 6.1).
			p.client.closing.sent = false
			p.client.Write([]byte("from the grave"), testTime)
			p.server.Write([]byte("noted"), testTime)
			p.pump()
			if got := string(readAll(p.client)); got != "noted" || len(readAll(p.server)) > 0 || p.server.Closed() != io.EOF {
				t.Errorf("read %q, %v", got, p.server.Closed())
			}
			// Close during the handshake tells the peer.
			half := newPair(t, p.client.config, p.server.config)
			half.client.Start(testTime)
			half.client.Close(testTime)
			half.pump()
			wantAlert(t, "server", half.server.Err(), alert.CloseNotify, true)
		})
	}
}

// RFC 9846 2 [2]
func TestNotOpen(t *testing.T) {
	client, server := configs(VersionTLS13)
	p := newPair(t, client, server)
	if err := p.client.Write([]byte("x"), testTime); err != errNotOpen {
		t.Error("Write before the handshake:", err)
	}
	if err := p.client.KeyUpdate(UpdateRequested, testTime); err != errNotOpen {
		t.Error("KeyUpdate before the handshake:", err)
	}
	if !p.client.Deadline().IsZero() || p.client.Expire(testTime) != nil || p.client.Err() != nil {
		t.Error("an Engine of TLS has a timer")
	}
	p.connect()
	p.exchange(t)
}

// Everything about one connection can be followed, in order.
//
// RFC 9846 6.2 [5]
func TestTrace(t *testing.T) {
	client, server := configs(VersionTLS13)
	var log []string
	client.Trace = func(e Event) {
		if e.Time != testTime || e.Role != handshake.Client {
			t.Errorf("event %+v", e)
		}
		switch e.Kind {
		case handshake.EventMessage:
			log = append(log, fmt.Sprintf("%v %v", e.Direction, e.Message))
		case handshake.EventRecord:
			log = append(log, fmt.Sprintf("%v record %v %v", e.Direction, e.Content, e.Number))
		case handshake.EventKey:
			log = append(log, fmt.Sprintf("%v key %d", e.Direction, e.Number.Epoch))
		case handshake.EventAlert:
			log = append(log, fmt.Sprintf("%v %v", e.Direction, e.Alert))
		}
	}
	p := connected(t, client, server)
	p.client.Close(testTime)
	want := []string{
		"sent ClientHello", "sent record handshake 0/0",
		"received record handshake 0/0", "received ServerHello",
		"sent record change_cipher_spec 0/0", "sent key 2", "received key 2",
		"received record change_cipher_spec 2/0",
		"received record handshake 2/0",
		"received EncryptedExtensions", "received Certificate", "received CertificateVerify", "received Finished",
		"received key 3", "sent Finished", "sent record handshake 2/0", "sent key 3",
		"sent close_notify", "sent record alert 3/0",
	}
	if !slices.Equal(log, want) {
		t.Errorf("traced %q", log)
	}
}

// Loggers say how a connection began and ended.
//
// RFC 9846 6.2 [5]
func TestLog(t *testing.T) {
	var log bytes.Buffer
	client, server := configs(VersionTLS13)
	factory := logging.NewDefaultLoggerFactory()
	factory.Writer, factory.DefaultLogLevel = &log, logging.LogLevelDebug
	client.LoggerFactory = factory
	p := connected(t, client, server)
	misdeed{t, p.server}.raw("nonsense")
	p.client.Receive(drain(p.server), testTime)
	for _, want := range []string{"client: handshake complete: TLS 1.3, TLS_AES_128_GCM_SHA256", "client: connection ended: protocol_version"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in %q", want, log.String())
		}
	}
}

// A first ClientHello says 1.0 in its record and all that follows 1.2, in either
// version (RFC 9846 5.1). In 1.3 each side sends one ChangeCipherSpec (RFC 9846 E.4).
//
// RFC 9846 5.1 [10], E [2], E.4 [1]
func TestRecordVersion(t *testing.T) {
	for _, c := range []struct {
		version uint16
		groups  []tls.CurveID // of the server
	}{{VersionTLS12, nil}, {VersionTLS13, nil}, {VersionTLS13, []tls.CurveID{tls.CurveP384}}} {
		client, server := configs(c.version)
		server.CurvePreferences = c.groups
		p := connected(t, client, server)
		p.exchange(t)
		for who, sent := range map[string][]byte{"client": p.fromClient, "server": p.fromServer} {
			want, disguises := protocol.VersionTLS12, 0
			if who == "client" {
				want = protocol.VersionTLS10
			}
			for ; len(sent) >= headerSize; want = protocol.VersionTLS12 {
				h := parseHeader(sent)
				if h.version != want {
					t.Errorf("%s: a record of %v with %v, expected %v", who, h.content, h.version, want)
				}
				if h.content == protocol.ChangeCipherSpec {
					disguises++
				}
				sent = sent[headerSize+h.length:]
			}
			if disguises != 1 {
				t.Errorf("%s: %d ChangeCipherSpecs", who, disguises)
			}
		}
	}
}

// A close_notify is a warning (RFC 9846 6.1).
//
// RFC 9846 6.1 [2]
func TestCloseNotifyLevel(t *testing.T) {
	_, server := configs(0)
	e, err := NewServerEngine(server)
	if err != nil {
		t.Fatal(err)
	}
	e.Close(testTime)
	if out := drain(e); !bytes.Equal(out, []byte{21, 3, 1, 0, 2, alertWarning, byte(alert.CloseNotify)}) {
		t.Errorf("% x", out)
	}
}

// A client that gives up under handshake keys says so behind its
// ChangeCipherSpec: middleboxes expect one before anything that is protected.
//
// RFC 9846 A.1 [1]
func TestAlertBehindChangeCipherSpec(t *testing.T) {
	client, server := configs(VersionTLS13)
	client.RootCAs = x509.NewCertPool()
	p := newPair(t, client, server)
	p.client.Start(testTime)
	p.server.Receive(drain(p.client), testTime)
	work(p.server)
	p.client.Receive(drain(p.server), testTime)
	work(p.client)
	wantAlert(t, "client", p.client.Err(), alert.UnknownCA, false)
	out := drain(p.client)
	if !bytes.HasPrefix(out, []byte{20, 3, 3, 0, 1, 1, 23, 3, 3}) {
		t.Errorf("the client sent % x, expected ChangeCipherSpec and a protected record", out)
	}
}
