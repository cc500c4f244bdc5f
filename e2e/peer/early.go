package peer

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An EarlyPeer has 0-RTT too, over TLS 1.3.
type EarlyPeer interface {
	Name() string
	// ServeEarly starts a server that takes 0-RTT data. It returns every Text on as
	// many connections as come.
	ServeEarly(testing.TB, Settings) Daemon
	// ConnectEarly connects twice, sends Text each time and waits for its echo. The
	// second time it resumes the first, and sends Text as 0-RTT data. It returns
	// what the program said.
	ConnectEarly(t testing.TB, s Settings, address string) string
}

// ServeEarly is openssl s_server. What it reads early it prints by itself.
func (OpenSSL) ServeEarly(t testing.TB, s Settings) Daemon {
	arguments := []string{"s_server", "-accept", "127.0.0.1:0", "-early_data", "-state"}
	p := start(t, nil, Find(t, "openssl"), append(arguments, opensslArguments(s)...)...)
	go func() {
		for n := 1; p.wait(func(stdout, _ string) bool { return strings.Count(stdout, Text) >= n }); n++ {
			if _, err := io.WriteString(p.stdin, Text); err != nil {
				return
			}
		}
	}()
	return Daemon{p, p.address("tcp")}
}

func (o OpenSSL) ConnectEarly(t testing.TB, s Settings, address string) string {
	directory := t.TempDir()
	session, early := filepath.Join(directory, "session"), textFile(t)
	said := ""
	for _, second := range [][]string{{"-sess_out", session}, {"-sess_in", session, "-early_data", early}} {
		arguments := append([]string{"s_client", "-connect", address, "-state", "-nocommands", "-servername", s.Name}, second...)
		p := start(t, nil, Find(t, "openssl"), append(arguments, opensslArguments(s)...)...)
		if second[0] == "-sess_out" {
			io.WriteString(p.stdin, Text)
		}
		said += opensslClient{p}.Report().Output
	}
	return said
}

// ServeEarly is gnutls-serv, which says nothing about early data and doesn't echo
// it.
func (g GnuTLS) ServeEarly(t testing.TB, s Settings) Daemon {
	p := g.start(t, s, "gnutls-serv", []string{"--port", "0", "--echo", "--disable-client-cert", "--earlydata"})
	return Daemon{p, p.address("tcp")}
}

func (g GnuTLS) ConnectEarly(t testing.TB, s Settings, address string) string {
	host, port, _ := strings.Cut(address, ":")
	p := g.start(t, s, "gnutls-cli", []string{host, "--port", port, "--resume", "--waitresumption",
		"--earlydata", textFile(t), "--sni-hostname", s.Name, "--verify-hostname", s.Name})
	p.await("an echo", func(stdout, _ string) bool { return strings.Contains(stdout, Text) })
	p.stdin.Close()
	p.exit()
	return p.log()
}

// textFile holds Text.
func textFile(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "early")
	if err := os.WriteFile(name, []byte(Text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
