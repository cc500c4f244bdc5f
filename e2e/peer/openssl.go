package peer

import (
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/pki"
)

// OpenSSL is openssl s_server and s_client. Its server prints neither version
// nor group nor server name.
type OpenSSL struct{}

func (OpenSSL) Name() string           { return "openssl" }
func (OpenSSL) Speaks(p Protocol) bool { return p != DTLS13 }

// Certifies leaves out what OpenSSL's server takes for TLS alone.
func (OpenSSL) Certifies(p Protocol, k pki.Kind) bool { return !p.Datagram() || k != pki.Ed25519 }

func (o OpenSSL) Serve(t testing.TB, s Settings) Server {
	// One connection, then the end; -state prints alerts.
	arguments := []string{"s_server", "-accept", "127.0.0.1:0", "-naccept", strconv.Itoa(s.connections()), "-state"}
	if s.Verify {
		arguments = append(arguments, "-Verify", "4", "-verify_return_error")
	}
	if s.Staple {
		arguments = append(arguments, "-status_file", s.Leaf.Staple)
	}
	if s.PSK != nil {
		arguments = append(arguments, "-nocert")
		if s.PSK.Hint != "" {
			arguments = append(arguments, "-psk_hint", s.PSK.Hint)
		}
	}
	if s.Listen {
		arguments = append(arguments, "-listen")
	}
	p := start(t, nil, Find(t, "openssl"), append(arguments, opensslArguments(s)...)...)
	go func() { // s_server has no echo for datagrams: its standard input is the reply
		for n := range s.connections() {
			if p.wait(func(stdout, _ string) bool { return strings.Count(stdout, Text) > n }) {
				io.WriteString(p.stdin, Text)
			}
		}
	}()
	return opensslServer{p, p.address(s.Max.network()), s.connections()}
}

func (o OpenSSL) Connect(t testing.TB, s Settings, address string) Conversation {
	arguments := []string{"s_client", "-connect", address, "-state", "-nocommands"}
	if s.Root != "" {
		arguments = append(arguments, "-verify_return_error")
	}
	if s.Staple {
		arguments = append(arguments, "-status")
	}
	if s.Fragment != 0 {
		arguments = append(arguments, "-maxfraglen", strconv.Itoa(s.Fragment))
	}
	if s.Name != "" {
		arguments = append(arguments, "-servername", s.Name, "-verify_hostname", s.Name)
	} else {
		arguments = append(arguments, "-noservername")
	}
	arguments = append(arguments, opensslArguments(s)...)
	if s.Resume {
		session := filepath.Join(t.TempDir(), "session.pem")
		o.connect(t, s, append(slices.Clone(arguments), "-sess_out", session)).Report()
		arguments = append(arguments, "-sess_in", session)
	}
	return o.connect(t, s, arguments)
}

func (OpenSSL) connect(t testing.TB, s Settings, arguments []string) Conversation {
	p := start(t, nil, Find(t, "openssl"), arguments...)
	if !s.Mute {
		io.WriteString(p.stdin, Text) // read once the handshake is over
	}
	return opensslClient{p}
}

// opensslVersions are the flags for one version alone.
var opensslVersions = map[Protocol]string{
	DTLS10: "-dtls1",
	DTLS12: "-dtls1_2",
	TLS11:  "-tls1_1",
	TLS12:  "-tls1_2",
	TLS13:  "-tls1_3",
}

// opensslArguments are those that both roles understand.
func opensslArguments(s Settings) []string {
	arguments := []string{
		"-keymatexport", ExporterLabel, "-keymatexportlen", strconv.Itoa(ExporterLength),
		opensslVersions[s.Max],
	}
	option := func(name, value string) {
		if value != "" {
			arguments = append(arguments, name, value)
		}
	}
	if s.Leaf != nil {
		option("-cert", s.Leaf.Chain) // only the leaf is read
		option("-cert_chain", s.Leaf.Intermediate)
		option("-key", s.Leaf.Key)
	}
	if s.PSK != nil {
		option("-psk", s.PSK.Key)
		option("-psk_identity", s.PSK.Identity)
	}
	if s.MTU != 0 {
		option("-mtu", strconv.Itoa(s.MTU+28)) // it wants the link's: with IPv4 and UDP header
	}
	suites := strings.Join(names(s.Suites, func(s suite) string { return s.openssl }), ":")
	level := ""
	if strings.Contains(suites, "CCM8") || strings.Contains(suites, "CCM_8") {
		level = ":@SECLEVEL=0" // its default level has no tags of 8 bytes
	}
	switch s.Max {
	case TLS13:
		option("-ciphersuites", suites)
		option("-cipher", "DEFAULT"+level) // this level counts
	case DTLS10, TLS11:
		option("-cipher", "ALL:@SECLEVEL=0") // its default level has no SHA-1
	default:
		option("-cipher", suites+level)
	}
	option("-groups", strings.Join(s.Groups, ":"))
	option("-CAfile", s.Root)
	option("-alpn", strings.Join(s.ALPN, ","))
	option("-keylogfile", s.KeyLog)
	return arguments
}

type opensslServer struct {
	*process
	at          string
	connections int
}

func (s opensslServer) Address() string { return s.at }

// Report doesn't wait for the exit: s_server lingers for half a second.
func (s opensslServer) Report() Report {
	s.t.Helper()
	s.await("its end", func(stdout, _ string) bool { return strings.Count(stdout, "CONNECTION CLOSED") == s.connections })
	s.stop()
	return opensslReport(s.process)
}

type opensslClient struct{ *process }

func (c opensslClient) Report() Report {
	c.t.Helper()
	c.await("an echo", func(stdout, _ string) bool { return strings.Contains(stdout, Text) })
	c.stdin.Close() // at the end of its input it sends close_notify
	c.exit()
	return opensslReport(c.process)
}

func opensslReport(p *process) Report {
	stdout, stderr := p.output()
	r := Report{
		Version:     protocolName(match(stdout, `Protocol  : (\S+)`, `New, (TLSv1\.3)`)),
		Cipher:      cipherName(match(stdout, `(?:Cipher|CIPHER) is (\S+)`)),
		Group:       groupName(match(stdout, `Server Temp Key: (?:ECDH, )?([^,\s]+)`)),
		ALPN:        match(stdout, `ALPN protocol(?:s selected)?: (\S+)`),
		Fingerprint: fingerprint(stdout),
		Staple:      match(stdout, `Cert Status: (\S+)`),
		Exporter:    strings.ToLower(match(stdout, `Keying material: ([0-9A-F]+)`)),
		Resumed:     strings.Contains(stdout, "Reused, ") || strings.Contains(stdout, "Reused session-id"),
		Echoed:      strings.Contains(stdout, Text),
		Sent:        alertName(match(stderr, `SSL3 alert write:fatal:(.+)`)),
		Received:    alertName(match(stderr, `SSL3 alert read:fatal:(.+)`)),
		Output:      p.log(),
	}
	r.Established = r.Cipher != ""
	return r
}
