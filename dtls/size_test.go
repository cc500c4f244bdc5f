package dtls

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// How small handshakes and messages are, as docs/size.md and the README say it. The
// numbers stand here, and a test fails when one is another: larger is a regression,
// smaller is good news to be written down. `go test ./dtls -run Size -update` writes
// the tables.

var update = flag.Bool("update", false, "write the tables of sizes into docs and README.md")

// A footprint is what a handshake puts on the wire: bytes of UDP payload, and
// datagrams from client and server.
type footprint struct{ bytes, client, server int }

func (f footprint) String() string { return fmt.Sprintf("{%d, %d, %d}", f.bytes, f.client, f.server) }

// handshakeSizes are the handshakes between two peers with ConstrainedConfig, and
// between two with a default Config.
var handshakeSizes = []struct {
	name                  string
	run                   func(t *testing.T, config func() *Config, version func(client, server *Config)) *simulation
	version               string
	constrained, standard footprint
}{
	{"PSK", fresh(provePSK), "1.3", footprint{580, 2, 2}, footprint{2905, 3, 3}},
	{"PSK", fresh(provePSK), "1.2", footprint{365, 2, 2}, footprint{478, 2, 2}},
	{"raw public keys", fresh(proveKeys), "1.3", footprint{1000, 2, 2}, footprint{3338, 3, 3}},
	{"raw public keys", fresh(proveKeys), "1.2", footprint{931, 2, 2}, footprint{939, 2, 2}},
	{"certificates", fresh(proveCertificates), "1.3", footprint{1649, 2, 2}, footprint{3987, 3, 3}},
	{"certificates", fresh(proveCertificates), "1.2", footprint{1580, 2, 2}, footprint{1588, 2, 2}},
	{"resumed", again(resuming, nothingEarly), "1.3", footprint{1153, 3, 2}, footprint{3761, 4, 3}},
	{"resumed", again(resuming, nothingEarly), "1.2", footprint{662, 2, 1}, footprint{712, 2, 1}},
	{"0-RTT, with a message", again(withEarly, early12), "1.3", footprint{1200, 4, 2}, footprint{3819, 5, 3}},
}

// fresh is a handshake of which no session is kept: a client of keys would be given
// tickets all the same.
func fresh(prove proof) func(*testing.T, func() *Config, func(client, server *Config)) *simulation {
	return func(t *testing.T, config func() *Config, version func(client, server *Config)) *simulation {
		client, server := config(), config()
		version(client, server)
		prove(client, server)
		server.SessionTicketsDisabled = true
		s := simulate(t, 0, client, server)
		s.settle()
		return s
	}
}

// again resumes the session of a handshake with raw public keys, and gives a new
// ticket where the version does.
func again(keep func(client, server *Config), write func(s *simulation)) func(*testing.T, func() *Config, func(client, server *Config)) *simulation {
	return func(t *testing.T, config func() *Config, version func(client, server *Config)) *simulation {
		client, server := config(), config()
		version(client, server)
		proveKeys(client, server)
		keep(client, server)
		simulate(t, 0, client, server).settle()
		s := simulate(t, 0, client, server)
		write(s)
		s.settle()
		if !s.client.State().DidResume {
			t.Error("not resumed")
		}
		return s
	}
}

const twelve = "temp 21.5 C\n" // bytes

func nothingEarly(*simulation) {}

func early12(s *simulation) { s.mustWriteEarly(twelve) }

// footprint is what went over the wire so far.
func (s *simulation) footprint() (f footprint) {
	for _, p := range s.sent {
		f.bytes += len(p.data)
		if p.from == s.client {
			f.client++
		} else {
			f.server++
		}
	}
	return f
}

func versionOf(name string) func(client, server *Config) {
	if name == "1.2" {
		return only12
	}
	return func(client, server *Config) { client.MinVersion, client.MaxVersion = 0, 0 }
}

func TestHandshakeSize(t *testing.T) {
	for _, h := range handshakeSizes {
		for name, c := range map[string]struct {
			config func() *Config
			want   footprint
		}{"constrained": {ConstrainedConfig, h.constrained}, "default": {standard, h.standard}} {
			if got := h.run(t, c.config, versionOf(h.version)).footprint(); got != c.want {
				t.Errorf("%s, %s, %s: %v, and the table has %v", h.name, h.version, name, got, c.want)
			}
		}
	}
}

// messageSizes are datagrams with 12 bytes of data.
var messageSizes = []struct {
	name    string
	change  func(client, server *Config)
	version string
	size    int // bytes
}{
	{"AES-128-GCM", cipherSuite(TLS_AES_128_GCM_SHA256), "1.3", 34},
	{"AES-128-GCM, connection ID of 4 bytes", together(cipherSuite(TLS_AES_128_GCM_SHA256), identified(0, 4)), "1.3", 38},
	{"AES-128-CCM, short header", together(cipherSuite(TLS_AES_128_CCM_SHA256), shortHeaders), "1.3", 31},
	{"AES-128-CCM, short header, connection ID of 4 bytes", together(cipherSuite(TLS_AES_128_CCM_SHA256), shortHeaders, identified(0, 4)), "1.3", 35},
	{"AES-128-GCM", cipherSuite(TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), "1.2", 49},
	{"AES-128-CCM_8", cipherSuite(TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8), "1.2", 41},
	{"AES-128-CCM_8, connection ID of 4 bytes", together(cipherSuite(TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8), identified(0, 4)), "1.2", 46},
}

func TestMessageSize(t *testing.T) {
	for _, m := range messageSizes {
		client, server := with(m.change, versionOf(m.version))
		s := established(t, client, server)
		record := s.client.seal(twelve)
		if len(record) != m.size {
			t.Errorf("%s, %s: %d bytes, and the table has %d", m.name, m.version, len(record), m.size)
		}
		if s.server.receive(record); len(s.server.read) != 1 || string(s.server.read[0]) != twelve {
			t.Errorf("%s, %s: it does not arrive", m.name, m.version)
		}
	}
}

// table is both tables in Markdown.
func table() string {
	var b strings.Builder
	b.WriteString("| handshake | version | `ConstrainedConfig`: bytes | datagrams | default: bytes | datagrams |\n|---|---|---:|---:|---:|---:|\n")
	for _, h := range handshakeSizes {
		fmt.Fprintf(&b, "| %s | %s | %d | %d + %d | %d | %d + %d |\n", h.name, h.version,
			h.constrained.bytes, h.constrained.client, h.constrained.server, h.standard.bytes, h.standard.client, h.standard.server)
	}
	b.WriteString("\n| datagram with a message of 12 bytes | version | bytes |\n|---|---|---:|\n")
	for _, m := range messageSizes {
		fmt.Fprintf(&b, "| %s | %s | %d |\n", m.name, m.version, m.size)
	}
	return b.String()
}

// The documents have the tables.
func TestSizeTables(t *testing.T) {
	for _, file := range []string{"../docs/size.md", "../README.md"} {
		keepTable(t, file, "Size", table())
	}
}

// keepTable checks that a document has the tables that a test makes, or writes them.
func keepTable(t *testing.T, file, test, table string) {
	t.Helper()
	begin := "<!-- sizes: written by go test ./dtls -run " + test + " -update -->\n"
	const end = "<!-- end of sizes -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s: no place for the tables, which begins with %q", file, begin)
	}
	want := before + begin + "\n" + table + "\n" + end + after
	switch {
	case want == string(text):
	case *update:
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Error(err)
		}
	default:
		t.Errorf("%s has other tables: go test ./dtls -run %s -update", file, test)
	}
}
