package peer

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/pki"
)

// GnuTLS is gnutls-serv and gnutls-cli. Its server prints next to nothing about
// a datagram conversation, and sends no alert when a datagram handshake fails.
type GnuTLS struct{}

func (GnuTLS) Name() string                      { return "gnutls" }
func (GnuTLS) Speaks(p Protocol) bool            { return p != DTLS13 }
func (GnuTLS) Certifies(Protocol, pki.Kind) bool { return true }

func (g GnuTLS) Serve(t testing.TB, s Settings) Server {
	arguments := []string{"--port", "0", "--echo"}
	if s.Verify {
		arguments = append(arguments, "--require-client-cert", "--verify-client-cert")
	} else {
		arguments = append(arguments, "--disable-client-cert")
	}
	if s.Staple {
		arguments = append(arguments, "--ocsp-response", s.Leaf.Staple)
	}
	if s.PSK != nil {
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, []byte(s.PSK.Identity+":"+s.PSK.Key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, "--pskpasswd", file)
		if s.PSK.Hint != "" {
			arguments = append(arguments, "--pskhint", s.PSK.Hint)
		}
	}
	p := g.start(t, s, "gnutls-serv", arguments)
	return gnutlsServer{p, p.address(s.Max.network()), s.connections()}
}

func (g GnuTLS) Connect(t testing.TB, s Settings, address string) Conversation {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	arguments := []string{host, "--port", port, "--print-cert"}
	if s.Root == "" {
		arguments = append(arguments, "--insecure")
	}
	if s.Name != "" {
		arguments = append(arguments, "--sni-hostname", s.Name, "--verify-hostname", s.Name)
	} else {
		arguments = append(arguments, "--disable-sni")
	}
	if s.PSK != nil {
		arguments = append(arguments, "--pskusername", s.PSK.Identity, "--pskkey", s.PSK.Key)
	}
	if s.Resume {
		arguments = append(arguments, "--resume")
	}
	p := g.start(t, s, "gnutls-cli", arguments)
	if !s.Mute {
		io.WriteString(p.stdin, Text)
	}
	return gnutlsClient{p}
}

func (GnuTLS) start(t testing.TB, s Settings, program string, arguments []string) *process {
	arguments = append([]string{"-oL", Find(t, program)}, arguments...)
	arguments = append(arguments, gnutlsArguments(s)...)
	var environment []string
	if s.KeyLog != "" {
		environment = []string{"SSLKEYLOGFILE=" + s.KeyLog}
	}
	// stdbuf: into a pipe they would print nothing before their end.
	return start(t, environment, Find(t, "stdbuf"), arguments...)
}

// gnutlsArguments are those that both programs understand.
func gnutlsArguments(s Settings) []string {
	arguments := []string{
		"--debug", "5", // prints alerts and the server name
		"--keymatexport", ExporterLabel, "--keymatexportsize", strconv.Itoa(ExporterLength),
		"--priority", priority(s),
	}
	if s.Max.Datagram() {
		arguments = append(arguments, "--udp")
	}
	if s.MTU != 0 {
		arguments = append(arguments, "--mtu", strconv.Itoa(s.MTU))
	}
	if s.Record != 0 { // it sends max_fragment_length, too
		arguments = append(arguments, "--recordsize", strconv.Itoa(s.Record))
	}
	switch {
	case s.Leaf == nil:
	case s.Raw:
		arguments = append(arguments, "--rawpkfile", s.Leaf.Public, "--rawpkkeyfile", s.Leaf.Key)
	default:
		arguments = append(arguments, "--x509certfile", s.Leaf.Chain, "--x509keyfile", s.Leaf.Key)
	}
	if s.Root != "" {
		arguments = append(arguments, "--x509cafile", s.Root)
	}
	for _, name := range s.ALPN {
		arguments = append(arguments, "--alpn", name)
	}
	return arguments
}

// priority is a priority string: GnuTLS's defaults with versions, ciphers and
// groups replaced.
func priority(s Settings) string {
	text := "NORMAL:-VERS-ALL"
	for _, p := range []Protocol{DTLS12, TLS12, TLS13} {
		if p.Datagram() == s.Max.Datagram() && s.Min <= p && p <= s.Max {
			text += ":+VERS-" + strings.ReplaceAll(string(p), " ", "")
		}
	}
	if len(s.Suites) > 0 {
		text += ":-CIPHER-ALL"
		for _, name := range names(s.Suites, func(s suite) string { return s.gnutls }) {
			text += ":+" + name
		}
	}
	if len(s.Groups) > 0 {
		text += ":-GROUP-ALL"
		for _, g := range groups {
			for _, name := range s.Groups {
				if name == g.rfc {
					text += ":+GROUP-" + g.gnutls
				}
			}
		}
	}
	if s.PSK != nil {
		text += ":-KX-ALL:+PSK:+ECDHE-PSK"
	}
	if s.Raw {
		text += ":-CTYPE-ALL:+CTYPE-RAWPK"
	}
	if s.NoEMS {
		text += ":%NO_SESSION_HASH"
	}
	return text
}

type gnutlsServer struct {
	*process
	at          string
	connections int
}

func (s gnutlsServer) Address() string { return s.at }

// Report waits for the echo or the failure; the server itself would go on.
func (s gnutlsServer) Report() Report {
	s.t.Helper()
	end := regexp.MustCompile(`Error in handshake|Processing \d+ bytes command`)
	s.await("an echo", func(_, stderr string) bool { return len(end.FindAllString(stderr, -1)) >= s.connections })
	s.stop()
	return gnutlsReport(s.process)
}

type gnutlsClient struct{ *process }

func (c gnutlsClient) Report() Report {
	c.t.Helper()
	c.await("an echo", func(stdout, _ string) bool { return strings.Contains(stdout, Text) })
	c.stdin.Close()
	c.exit()
	return gnutlsReport(c.process)
}

func gnutlsReport(p *process) Report {
	stdout, stderr := p.output()
	description := regexp.MustCompile(`- Description: \(([^-]+)-X\.509\)-\(ECDHE-([^)]+)\)-\(([^)]+)\)-\(([^)]+)\)`)
	withKey := regexp.MustCompile(`- Description: \((\S+?)(?:-PSK)?\)-\(.*PSK.*\)-\(([^)]+)\)`)
	r := Report{
		ALPN:        match(stdout, `- Application protocol: (\S+)`),
		ServerName:  match(stdout+stderr, `- Given server name\[1\]: (\S+)`, `Requested server name: '(.+)'`),
		Fingerprint: fingerprint(stdout),
		Exporter:    match(stdout, `- Key material: ([0-9a-f]+)`),
		Resumed:     strings.Contains(stdout, "This is a resumed session"),
		Echoed:      strings.Contains(stdout, Text) || strings.Contains(stderr, "command: "+Text),
		Sent:        gnutlsAlert(match(stderr, `end(?:ing)? Alert\[2\|(\d+)\]`)),
		Received:    gnutlsAlert(match(stderr, `Alert\[2\|(\d+)\] - .* - was received`)),
		Output:      p.log(),
	}
	if f := description.FindStringSubmatch(stdout); f != nil {
		r.Version, r.Group = protocolName(f[1]), groupName(f[2])
		r.Cipher = gnutlsCipher(r.Version, f[3], f[4])
	}
	if f := withKey.FindStringSubmatch(stdout); f != nil {
		r.Version, r.Cipher = protocolName(f[1]), "one with "+f[2]
	}
	if strings.Contains(stdout, "OCSP status request,") { // it prints nothing of a response that doesn't verify
		r.Staple = "good"
	}
	r.Established = r.Cipher != "" || r.Echoed
	return r
}

// gnutlsCipher finds the suite of a version, a signature ("RSA-SHA256") and a cipher.
func gnutlsCipher(version, signature, cipher string) string {
	prefix := "TLS_ECDHE_ECDSA_"
	switch {
	case strings.HasSuffix(version, "1.3"):
		prefix = "TLS_"
	case strings.HasPrefix(signature, "RSA"):
		prefix = "TLS_ECDHE_RSA_"
	}
	for _, s := range suites {
		if s.gnutls == cipher && strings.HasPrefix(s.iana, prefix) {
			return s.iana
		}
	}
	return ""
}

func gnutlsAlert(number string) string {
	if number == "" {
		return ""
	}
	n, err := strconv.Atoi(number)
	if name, ok := alerts[n]; ok && err == nil {
		return name
	}
	return fmt.Sprintf("alert %s", number)
}
