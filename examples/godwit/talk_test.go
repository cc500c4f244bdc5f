package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/protocol"

	cryptotls "crypto/tls"
)

// protocols are the four, and the flags that choose them.
var protocols = []struct {
	name  string
	flags []string
}{
	{"DTLS 1.3", []string{"-min", "1.3"}},
	{"DTLS 1.2", []string{"-max", "1.2"}},
	{"TLS 1.3", []string{"-tls", "-min", "1.3"}},
	{"TLS 1.2", []string{"-tls", "-max", "1.2"}},
}

func with(flags []string, more ...string) []string {
	return append(append([]string{}, flags...), more...)
}

func client(flags []string, more ...string) []string {
	return append([]string{"connect"}, with(flags, more...)...)
}

func TestTalk(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			is13 := strings.HasSuffix(p.name, "1.3")
			files := newPair(t, "nest.example")
			staple := filepath.Join(t.TempDir(), "staple.der")
			if err := os.WriteFile(staple, []byte("alive"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := startServer(t, with(p.flags, "-cert", files.cert, "-key", files.key, "-staple", staple, "-once", "1", "-json",
				"-alpn", "chirp,sing", "-export", "EXPORTER-egg:20")...)
			c := godwit(t, nil, client(p.flags, "-ca", files.cert, "-sni", "nest.example", "-alpn", "sing", "-json", "-status",
				"-export", "EXPORTER-egg:20", "-send", "tweet", s.address)...).expect(t, 0)
			served := s.end(t).expect(t, 0)

			if !strings.HasPrefix(c.stdout, "tweet\n{") {
				t.Errorf("the client printed %q", c.stdout)
			}
			want := map[string]any{
				"version": p.name, "signature": "ecdsa_secp256r1_sha256", "resumed": false, "early_data": false,
				"alpn": "sing", "server_name": "nest.example", "psk_identity": "", "cid_local": "", "cid_remote": "", "max_plaintext": 16384.0, "retransmits": 0.0, "bytes_in": 5.0, "bytes_out": 5.0,
				"cipher": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "group": "x25519",
			}
			if is13 {
				want["cipher"], want["group"] = "TLS_AES_128_GCM_SHA256", "X25519MLKEM768"
			}
			theirs, ours := served.report(t), c.report(t)
			for name, value := range want {
				if ours[name] != value || theirs[name] != value {
					t.Errorf("%s: client %v, server %v, want %v", name, ours[name], theirs[name], value)
				}
			}
			if len(ours) != len(want)+3 || len(theirs) != len(want)+3 {
				t.Errorf("a report has another number of fields than expected: %v", ours)
			}
			if e, _ := ours["exporter"].(string); len(e) != 40 || e != theirs["exporter"] {
				t.Errorf("exporter: client %v, server %v", ours["exporter"], theirs["exporter"])
			}
			if ours["ocsp_response"] != "616c697665" || theirs["ocsp_response"] != "" {
				t.Errorf("ocsp_response: client %v, server %v", ours["ocsp_response"], theirs["ocsp_response"])
			}
			leaf, err := cryptotls.LoadX509KeyPair(files.cert, files.key)
			if err != nil {
				t.Fatal(err)
			}
			if ours["peer_fingerprint"] != digest(leaf.Certificate[0]) || theirs["peer_fingerprint"] != "" {
				t.Errorf("peer_fingerprint: client %v, server %v", ours["peer_fingerprint"], theirs["peer_fingerprint"])
			}
		})
	}
}

// With -rpk both sides show keys instead of certificates, and pin them.
func TestRawKeys(t *testing.T) {
	files := newPair(t, "nest.example")
	leaf, err := cryptotls.LoadX509KeyPair(files.cert, files.key)
	if err != nil {
		t.Fatal(err)
	}
	key := fingerprint(leaf.Leaf.RawSubjectPublicKeyInfo)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, with(p.flags, "-once", "1", "-json", "-rpk", "-compress", "-cert", files.cert, "-key", files.key, "-fingerprint", key, "-client-auth", "require")...)
			flags := with(p.flags, "-rpk", "-compress", "-cert", files.cert, "-key", files.key, "-fingerprint", key, "-send", "tide?", "-json")
			ours := godwit(t, nil, client(flags, s.address)...).expect(t, 0).report(t)
			theirs := s.end(t).report(t)
			if want := strings.TrimPrefix(key, "sha-256:"); ours["peer_fingerprint"] != want || theirs["peer_fingerprint"] != want {
				t.Errorf("peer_fingerprint: client %v, server %v, want %v", ours["peer_fingerprint"], theirs["peer_fingerprint"], want)
			}
		})
	}
	s := startServer(t, "-once", "1", "-rpk", "-cert", files.cert, "-key", files.key)
	other := "sha-256:" + strings.Repeat("00", 32)
	c := godwit(t, nil, "connect", "-rpk", "-fingerprint", other, "-send", "tide?", s.address)
	if c.status == 0 || !strings.Contains(c.stderr, "bad_certificate") {
		t.Errorf("another key is taken: %s", c.stderr)
	}
}

func TestReply(t *testing.T) {
	s := startServer(t, "-once", "1", "-reply", "wait for low tide", "-json")
	c := godwit(t, nil, "connect", "-fingerprint", s.fingerprint, "-send", "may I?", "-json", s.address).expect(t, 0)
	if !strings.HasPrefix(c.stdout, "wait for low tide\n{") {
		t.Errorf("the client printed %q", c.stdout)
	}
	if r := s.end(t).report(t); r["bytes_in"] != 6.0 || r["bytes_out"] != 17.0 {
		t.Errorf("the server counted %v", r)
	}
}

// Standard input is copied, and the client stays until both directions have
// ended: on a stream the server's goodbye says so, on datagrams the timeout.
func TestStandardInput(t *testing.T) {
	text := strings.Repeat("mud, worms and molluscs; ", 200)
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, with(p.flags, "-once", "1")...)
			flags := with(p.flags, "-insecure")
			if strings.HasPrefix(p.name, "DTLS") {
				flags = append(flags, "-timeout", "500ms")
			}
			c := godwit(t, strings.NewReader(text), client(flags, s.address)...).expect(t, 0)
			if c.stdout != text {
				t.Errorf("%d bytes came back, want %d", len(c.stdout), len(text))
			}
			s.end(t).expect(t, 0)
		})
	}
}

// The peer's goodbye ends one direction in 1.3, and both in 1.2.
func TestPeerCloses(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			address := selfMadeServer(t, p.name, func(c net.Conn) { c.Write([]byte("off I go")); c.Close() })
			stdin, typist := io.Pipe()
			if strings.HasSuffix(p.name, "1.3") {
				typist.Close()
			}
			c := godwit(t, stdin, client(p.flags, "-insecure", address)...).expect(t, 0)
			if c.stdout != "off I go" {
				t.Errorf("the client printed %q", c.stdout)
			}
		})
	}
}

// selfMadeServer runs f on the first connection of a server of ours.
func selfMadeServer(t *testing.T, version string, f func(net.Conn)) (address string) {
	t.Helper()
	c, err := cert.SelfSigned(time.Now(), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	o := options{address: "127.0.0.1:0", config: dtls.Config{Certificates: []cryptotls.Certificate{c}}, transport: protocol.Stream}
	if strings.HasPrefix(version, "DTLS") {
		o.transport = protocol.Datagram
	}
	listener, err := o.listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		if c.(conn).HandshakeContext(t.Context()) == nil {
			f(c)
		}
	}()
	return listener.Addr().String()
}

func TestNoReply(t *testing.T) {
	silent := make(chan struct{})
	defer close(silent)
	address := selfMadeServer(t, "DTLS 1.3", func(c net.Conn) { <-silent; c.Close() })
	c := godwit(t, nil, "connect", "-insecure", "-json", "-timeout", "50ms", "-send", "anybody?", address).expect(t, 0)
	if r := c.report(t); r["bytes_in"] != 0.0 || r["bytes_out"] != 8.0 {
		t.Errorf("the client counted %v", r)
	}
}

func TestNobodyThere(t *testing.T) {
	hole, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	c := godwit(t, nil, "connect", "-insecure", "-json", "-timeout", "50ms", "-send", "x", hole.LocalAddr().String()).
		expect(t, 1, "the handshake took longer than 50ms")
	if c.stdout != "" || strings.Count(c.stderr, "\n") != 1 {
		t.Errorf("the client wrote %q and %q, want one line on standard error", c.stdout, c.stderr)
	}
}

func TestTrust(t *testing.T) {
	files, other := newPair(t, "nest.example"), newPair(t, "nest.example")
	wrong := "sha-256:" + strings.Repeat("00", 32)
	for _, test := range []struct {
		name   string
		flags  []string
		status int
		alert  string
	}{
		{"root and name", []string{"-ca", files.cert, "-sni", "nest.example"}, 0, ""},
		{"wrong name", []string{"-ca", files.cert, "-sni", "burrow.example"}, 1, "bad_certificate"},
		{"wrong root", []string{"-ca", other.cert, "-sni", "nest.example"}, 1, "unknown_ca"},
		{"system's roots", []string{"-sni", "nest.example"}, 1, "unknown_ca"},
		{"insecure", []string{"-insecure"}, 0, ""},
		{"wrong fingerprint", []string{"-fingerprint", wrong}, 1, "bad_certificate"},
		{"wrong fingerprint, insecure", []string{"-insecure", "-fingerprint", wrong}, 1, "bad_certificate"},
		{"root and wrong fingerprint", []string{"-ca", files.cert, "-sni", "nest.example", "-fingerprint", wrong}, 1, "bad_certificate"},
	} {
		for _, p := range []int{0, 3} { // DTLS 1.3, TLS 1.2
			t.Run(test.name+" "+protocols[p].name, func(t *testing.T) {
				t.Parallel()
				flags := protocols[p].flags
				s := startServer(t, with(flags, "-cert", files.cert, "-key", files.key, "-once", "1")...)
				c := godwit(t, nil, append(client(flags, test.flags...), "-send", "x", s.address)...)
				if test.status == 0 {
					c.expect(t, 0)
					s.end(t).expect(t, 0)
					return
				}
				c.expect(t, 1, test.alert+" (peer fault)")
				s.end(t).expect(t, 1, "the peer sent the alert "+test.alert)
			})
		}
	}
}

func TestClientAuth(t *testing.T) {
	known, unknown := newPair(t, "client"), newPair(t, "client")
	leaf, err := cryptotls.LoadX509KeyPair(known.cert, known.key)
	if err != nil {
		t.Fatal(err)
	}
	pinned := fingerprint(leaf.Certificate[0])
	authority := newAuthority(t)
	for _, test := range []struct {
		name   string
		server []string
		client *pair // nil: a fresh one, if the server would take it
		status int
		alert  string // that the server sends
		shown  bool   // the server sees a certificate
	}{
		{"none", []string{"-client-auth", "none"}, &known, 0, "", false},
		{"request, fresh", []string{"-client-auth", "request"}, nil, 0, "", true},
		{"request, unacceptable", []string{"-client-auth", "request", "-ca", authority}, nil, 0, "", false},
		{"require", []string{"-client-auth", "require"}, &unknown, 0, "", true},
		{"require, unacceptable", []string{"-client-auth", "require", "-ca", authority}, nil, 1, "certificate_required", false},
		{"verify", []string{"-client-auth", "verify", "-ca", known.cert}, &known, 0, "", true},
		{"verify, unknown", []string{"-client-auth", "verify"}, &unknown, 1, "unknown_ca", false},
		{"verify, insecure", []string{"-client-auth", "verify", "-insecure"}, &unknown, 0, "", true},
		{"pinned", []string{"-fingerprint", pinned}, &known, 0, "", true},
		{"pinned and verified", []string{"-fingerprint", pinned, "-ca", known.cert}, &known, 0, "", true},
		{"pinned, another", []string{"-fingerprint", pinned}, &unknown, 1, "bad_certificate", false},
		{"pinned, unacceptable", []string{"-fingerprint", pinned, "-client-auth", "request", "-ca", authority}, nil, 1, "certificate_required", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, with(test.server, "-once", "1", "-json")...)
			flags := []string{"-insecure", "-send", "x"}
			if test.client != nil {
				flags = append(flags, "-cert", test.client.cert, "-key", test.client.key)
			}
			c := godwit(t, nil, client(flags, s.address)...)
			served := s.end(t)
			if test.status != 0 {
				c.expect(t, 1, "the peer sent the alert "+test.alert)
				served.expect(t, 1, test.alert+" (peer fault)")
				return
			}
			c.expect(t, 0)
			if shown := served.expect(t, 0).report(t)["peer_fingerprint"] != ""; shown != test.shown {
				t.Errorf("the server saw a certificate: %v, want %v", shown, test.shown)
			}
		})
	}
}

func TestOnce(t *testing.T) {
	s := startServer(t, "-tls", "-once", "3", "-json")
	for range 2 {
		godwit(t, nil, "connect", "-tls", "-insecure", "-send", "x", s.address).expect(t, 0)
	}
	godwit(t, nil, "connect", "-tls", "-send", "x", s.address).expect(t, 1, "unknown_ca (peer fault)")
	// One of three failed.
	if served := s.end(t).expect(t, 1, "unknown_ca"); len(served.reports(t)) < 2 {
		t.Errorf("%d reports, want one for each established connection", len(served.reports(t)))
	}
}

func TestInterrupt(t *testing.T) {
	for _, flags := range [][]string{nil, {"-tls"}} {
		s := startServer(t, flags...)
		s.interrupt()
		s.end(t).expect(t, 0)
	}
}

func TestKeyUpdate(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			trace := filepath.Join(t.TempDir(), "trace")
			s := startServer(t, with(p.flags, "-once", "1")...)
			c := godwit(t, nil, client(p.flags, "-insecure", "-key-update", "-trace", trace, "-send", "x", s.address)...)
			s.end(t)
			if strings.HasSuffix(p.name, "1.2") {
				c.expect(t, 1, "KeyUpdate")
				return
			}
			c.expect(t, 0)
			protocol, _, _ := strings.Cut(strings.ToLower(p.name), " ")
			if events := readTrace(t, trace); !message(events, protocol+":message_sent", "KeyUpdate") || !message(events, protocol+":message_received", "KeyUpdate") {
				t.Error("the trace lacks a KeyUpdate of one side")
			}
		})
	}
}

// A traced event is what a test looks for in a qlog.
type traced struct {
	Name string
	Data struct {
		MessageType    string `json:"message_type"`
		Epoch          uint64
		SequenceNumber uint64 `json:"sequence_number"`
	}
}

// readTrace reads the events of a qlog.
func readTrace(t *testing.T, file string) (events []traced) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	records := strings.Split(string(text), "\x1e")
	if len(records) < 2 || !strings.Contains(records[1], "application/qlog+json-seq") {
		t.Fatalf("%s is no qlog: %q", file, text)
	}
	for _, record := range records[2:] {
		var e traced
		if err := json.Unmarshal([]byte(record), &e); err != nil {
			t.Fatalf("%q: %v", record, err)
		}
		events = append(events, e)
	}
	return events
}

// message reports whether a message is among events with a name.
func message(events []traced, name, message string) bool {
	return slices.ContainsFunc(events, func(e traced) bool { return e.Name == name && e.Data.MessageType == message })
}

func TestKeyLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	s := startServer(t, "-once", "2")
	for _, version := range []string{"1.2", "1.3"} {
		godwit(t, nil, "connect", "-insecure", "-min", version, "-max", version, "-keylog", file, "-send", "x", s.address).expect(t, 0)
	}
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	labels := map[string]bool{}
	for lines := bufio.NewScanner(text); lines.Scan(); {
		labels[strings.Fields(lines.Text())[0]] = true
	}
	for _, label := range []string{"CLIENT_RANDOM", "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"} {
		if !labels[label] {
			t.Errorf("the key log has %v, not %s", labels, label)
		}
	}
}

func TestChoices(t *testing.T) {
	for _, test := range []struct {
		flags         []string
		cipher, group string
	}{
		{[]string{"-min", "1.3", "-ciphers", "TLS_CHACHA20_POLY1305_SHA256", "-groups", "secp384r1"}, "TLS_CHACHA20_POLY1305_SHA256", "secp384r1"},
		{[]string{"-max", "1.2", "-ciphers", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "-groups", "secp256r1", "-no-ems"}, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "secp256r1"},
	} {
		s := startServer(t, "-once", "1")
		c := godwit(t, nil, client(test.flags, "-insecure", "-mtu", "300", "-json", "-send", "x", s.address)...).expect(t, 0)
		s.end(t).expect(t, 0)
		if r := c.report(t); r["cipher"] != test.cipher || r["group"] != test.group {
			t.Errorf("%s chose %v and %v", test.flags, r["cipher"], r["group"])
		}
	}
}

// The second connection resumes the session of the first.
func TestResume(t *testing.T) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, with(p.flags, "-once", "3", "-json")...)
			c := godwit(t, nil, client(p.flags, "-fingerprint", s.fingerprint, "-resume", "2", "-json", "-send", "again", s.address)...).expect(t, 0)
			served := s.end(t).expect(t, 0)
			for who, text := range map[string]string{"client": c.stdout, "server": served.stdout} {
				if strings.Count(text, `"resumed":false`) != 1 || strings.Count(text, `"resumed":true`) != 2 {
					t.Errorf("the %s printed %q", who, text)
				}
			}
		})
	}
}
