package peer

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// LibCoAP is libcoap's coap-server and coap-client. They speak DTLS 1.2 without
// connection IDs, and choose suites and groups themselves: of Settings they know
// Leaf, Root, Verify and PSK.
type LibCoAP struct {
	Library string // below it: "openssl" or "gnutls"
}

func (l LibCoAP) Name() string { return "libcoap over " + l.Library }

// coapServers numbers the servers of this process.
var coapServers atomic.Uint32

// Serve starts a server of "/" and "/.well-known/core", and of what clients PUT
// there.
func (l LibCoAP) Serve(t testing.TB, s Settings) Daemon {
	// It wants two ports in a row, and would take any for DTLS only as root. With
	// a loopback address of its own it has those that it knows (RFC 7252 6).
	n, pid := coapServers.Add(1), os.Getpid()
	host := fmt.Sprintf("127.%d.%d.%d", 1+pid/250%250, 1+pid%250, 1+n%250)
	const port, secure = "5683", "5684"
	arguments := []string{"-A", host, "-p", port, "-d", "100"} // at most 100 resources by PUT
	if s.PSK != nil {
		arguments = append(arguments, "-h", s.PSK.Hint)
	}
	if !s.Verify {
		arguments = append(arguments, "-n")
	}
	at := net.JoinHostPort(host, secure)
	d := Daemon{l.start(t, "coap-server", s, arguments), at}
	d.Output("created DTLS endpoint " + at)
	return d
}

// Request runs a client for one request, and returns the payload of a response
// 2.xx, and what the client said.
func (l LibCoAP) Request(t testing.TB, s Settings, method, url, payload string) (response, said string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "response")
	arguments := []string{"-m", method, "-o", file, "-B", "20"} // seconds to wait for the response
	if payload != "" {
		arguments = append(arguments, "-e", payload)
	}
	if s.PSK != nil {
		arguments = append(arguments, "-u", s.PSK.Identity)
	}
	p := l.start(t, "coap-client", s, append(arguments, url))
	p.exit()
	body, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) { // it makes none for an empty response
		t.Fatal(err)
	}
	return string(body), p.log()
}

// start runs a program with the arguments that both understand before its own.
func (l LibCoAP) start(t testing.TB, program string, s Settings, own []string) *process {
	t.Helper()
	arguments := []string{"-v", "7"} // says who talks with whom, and each message
	if s.PSK != nil {
		key, err := hex.DecodeString(s.PSK.Key)
		if err != nil || strings.ContainsRune(string(key), 0) {
			t.Fatalf("libcoap takes keys as text, not %s", s.PSK.Key)
		}
		arguments = append(arguments, "-k", string(key))
	}
	if s.Leaf != nil {
		arguments = append(arguments, "-c", s.Leaf.Chain, "-j", s.Leaf.Key)
	}
	if roots := l.roots(t, s); roots != "" {
		arguments = append(arguments, "-R", roots)
	}
	return start(t, nil, Find(t, program+"-"+l.Library), append(arguments, own...)...)
}

// roots is the file of the trusted roots. OpenSSL gets the intermediate of the
// leaf in it too: libcoap gives it the leaf alone, and it looks for the rest of
// its chain there.
func (l LibCoAP) roots(t testing.TB, s Settings) string {
	t.Helper()
	if s.Leaf == nil || l.Library != "openssl" {
		return s.Root
	}
	var both []byte
	for _, file := range []string{s.Root, s.Leaf.Intermediate} {
		if file == "" {
			continue
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, pem...)
	}
	name := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(name, both, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
