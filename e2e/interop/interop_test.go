// Package interop holds conversations between godwit and other
// implementations, as processes over loopback.
package interop

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// small is an MTU at which every certificate message is fragmented, and at
// which a ClientHello without ML-KEM still fits into one datagram.
const small = 320

func TestMain(m *testing.M) {
	directory, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	peer.Build("../..", directory)
	if err := makeCredentials(directory); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The peers wait more than they work: GnuTLS between datagrams, OpenSSL at its end.
	flag.Set("test.parallel", "16")
	status := m.Run()
	os.RemoveAll(directory)
	os.Exit(status)
}

// A row is one conversation of a table.
type row struct {
	protocol       peer.Protocol
	server, client peer.Peer
	suite          string
	kind           pki.Kind
	group          string // any when empty
	verify         bool   // the client is authenticated too
	mtu            int
}

func (r row) String() string {
	parts := []string{string(r.protocol), r.client.Name() + " to " + r.server.Name(), r.suite, string(r.kind), r.group}
	if r.verify {
		parts = append(parts, "client certificate")
	}
	if r.mtu != 0 {
		parts = append(parts, fmt.Sprintf("MTU %d", r.mtu))
	}
	empty := func(part string) bool { return part == "" }
	return strings.Join(slices.DeleteFunc(parts, empty), "/")
}

// settings are what the two sides of a row are told.
func (r row) settings() (server, client peer.Settings) {
	both := peer.Settings{
		Min: r.protocol, Max: r.protocol,
		MTU:  r.mtu,
		ALPN: []string{"godwit"},
	}
	if r.suite != "" {
		both.Suites = []string{r.suite}
	}
	if r.group != "" {
		both.Groups = []string{r.group}
	}
	server, client = both, both
	server.Leaf = credentials.server[r.kind]
	client.Root, client.Name = credentials.root, pki.Host
	if r.verify {
		server.Root, server.Verify = credentials.root, true
		client.Leaf = credentials.client[r.kind]
	}
	return server, client
}

// talk runs a row and checks what both sides saw.
func (r row) talk(t *testing.T) {
	server, client := r.settings()
	r.check(t, converse(t, r.server, server, r.client, client))
}

// A pair is what the two sides of a conversation reported.
type pair struct{ server, client peer.Report }

func (p pair) String() string {
	return "server: " + p.server.Output + "\nclient: " + p.client.Output
}

func converse(t *testing.T, s peer.Peer, server peer.Settings, c peer.Peer, client peer.Settings) pair {
	t.Helper()
	listening := s.Serve(t, server)
	connected := c.Connect(t, client, listening.Address())
	var p pair
	p.client = connected.Report()
	p.server = listening.Report()
	return p
}

// check compares both reports with what was asked for, and with each other.
func (r row) check(t *testing.T, p pair) {
	t.Helper()
	if !p.server.Established || !p.client.Established {
		t.Fatalf("server established: %v, client established: %v\n%v", p.server.Established, p.client.Established, p)
	}
	if !p.client.Echoed {
		t.Errorf("the client got no echo")
	}
	want := peer.Report{
		Version:    string(r.protocol),
		Cipher:     r.suite,
		Group:      r.group,
		ALPN:       "godwit",
		ServerName: pki.Host,
		Exporter:   p.client.Exporter,
	}
	wantServer, wantClient := want, want
	wantClient.Fingerprint = credentials.server[r.kind].Fingerprint
	if r.verify {
		wantServer.Fingerprint = credentials.client[r.kind].Fingerprint
	}
	compare(t, "server", r.server, p.server, wantServer)
	compare(t, "client", r.client, p.client, wantClient)
	if t.Failed() {
		t.Log(p)
	}
}

// unprinted are the fields that a side says nothing about. They are checked on
// the other side.
func unprinted(who peer.Peer, role string, datagram bool) []string {
	switch {
	case is[peer.OpenSSL](who) && role == "server":
		return []string{"version", "group", "server name"}
	case is[peer.GnuTLS](who) && role == "server" && datagram:
		return []string{"version", "cipher", "group", "ALPN", "fingerprint", "exporter"}
	case role == "client" && (is[peer.OpenSSL](who) || is[peer.GnuTLS](who)):
		return []string{"server name"}
	}
	return nil
}

// compare holds what a side printed against what is wanted of it.
func compare(t *testing.T, role string, who peer.Peer, got, want peer.Report) {
	t.Helper()
	silent := unprinted(who, role, strings.HasPrefix(want.Version, "DTLS"))
	for _, field := range []struct{ name, got, want string }{
		{"version", got.Version, want.Version},
		{"cipher", got.Cipher, want.Cipher},
		{"group", got.Group, cmp.Or(want.Group, got.Group)}, // any, if none was asked for
		{"ALPN", got.ALPN, want.ALPN},
		{"server name", got.ServerName, want.ServerName},
		{"fingerprint", got.Fingerprint, want.Fingerprint},
		{"exporter", got.Exporter, want.Exporter},
		{"sent alert", got.Sent, ""},
		{"received alert", got.Received, ""},
	} {
		switch {
		case slices.Contains(silent, field.name):
			if field.got != "" {
				t.Errorf("the %s does print the %s: %q", role, field.name, field.got)
			}
		case field.got != field.want:
			t.Errorf("the %s's %s is %q, want %q", role, field.name, field.got, field.want)
		}
	}
	if got.Group == "" && !slices.Contains(silent, "group") {
		t.Errorf("the %s printed no group", role)
	}
	if len(got.Exporter) != 2*peer.ExporterLength && !slices.Contains(silent, "exporter") {
		t.Errorf("the %s exported %q, want %d bytes", role, got.Exporter, peer.ExporterLength)
	}
	if got.ExitStatus != 0 {
		t.Errorf("the %s ended with status %d", role, got.ExitStatus)
	}
}

// pairs are all (server, client) pairs in which one side is godwit.
func pairs() [][2]peer.Peer {
	var out [][2]peer.Peer
	for _, server := range peer.All() {
		for _, client := range peer.All() {
			if isGodwit(server) || isGodwit(client) {
				out = append(out, [2]peer.Peer{server, client})
			}
		}
	}
	return out
}

// pairings are those pairs of which both sides speak a protocol.
func pairings(protocol peer.Protocol) [][2]peer.Peer {
	return slices.DeleteFunc(pairs(), func(p [2]peer.Peer) bool {
		return !p[0].Speaks(protocol) || !p[1].Speaks(protocol)
	})
}

// rows multiplies suites, certificates, client authentication and MTU.
func rows(protocol peer.Protocol, server, client peer.Peer) []row {
	mtus := []int{0}
	if protocol.Datagram() {
		mtus = append(mtus, small)
	}
	var out []row
	for _, kind := range []pki.Kind{pki.ECDSA, pki.RSA, pki.Ed25519} {
		if !server.Certifies(protocol, kind) {
			continue
		}
		for _, suite := range peer.Suites(protocol, kind) {
			for _, verify := range []bool{false, true} {
				for _, mtu := range mtus {
					out = append(out, row{
						protocol: protocol, server: server, client: client,
						suite: suite, kind: kind, verify: verify, mtu: mtu,
					})
				}
			}
		}
	}
	return out
}

var protocols = []peer.Protocol{peer.DTLS12, peer.DTLS13, peer.TLS12, peer.TLS13}

func TestSuites(t *testing.T) {
	for _, protocol := range protocols {
		for _, pair := range pairings(protocol) {
			for _, r := range rows(protocol, pair[0], pair[1]) {
				t.Run(r.String(), func(t *testing.T) {
					t.Parallel()
					r.talk(t)
				})
			}
		}
	}
}

func TestGroups(t *testing.T) {
	classical := []string{"x25519", "secp256r1", "secp384r1", "secp521r1"}
	hybrid := []string{"X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"}
	for _, protocol := range protocols {
		for _, pair := range pairings(protocol) {
			groups := classical
			if protocol.Number() == "1.3" && postQuantum(pair[0]) && postQuantum(pair[1]) {
				groups = slices.Concat(classical, hybrid)
			}
			for _, group := range groups {
				r := row{ // RSA: in 1.2 the groups bound the curves of certificates too (RFC 8422 5.1)
					protocol: protocol, server: pair[0], client: pair[1], group: group,
					kind: pki.RSA, suite: peer.Suites(protocol, pki.RSA)[0],
				}
				t.Run(r.String(), func(t *testing.T) {
					t.Parallel()
					r.talk(t)
				})
			}
		}
	}
}

// postQuantum says that a peer has ML-KEM.
func postQuantum(p peer.Peer) bool {
	return isGodwit(p) || is[peer.CryptoTLS](p)
}

// TestCurves signs with the larger curves, whose certificates need their own
// signature algorithms (RFC 8446 4.2.3).
func TestCurves(t *testing.T) {
	for _, protocol := range protocols {
		for _, pair := range pairings(protocol) {
			for _, kind := range []pki.Kind{pki.P384, pki.P521} {
				r := row{
					protocol: protocol, server: pair[0], client: pair[1], verify: true,
					kind: kind, suite: peer.Suites(protocol, kind)[0],
				}
				t.Run(r.String(), func(t *testing.T) {
					t.Parallel()
					r.talk(t)
				})
			}
		}
	}
}

// TestStatelessCookie meets OpenSSL's server where it keeps no state before
// the cookie.
func TestStatelessCookie(t *testing.T) {
	for _, mtu := range []int{0, small} {
		r := row{
			protocol: peer.DTLS12, server: peer.OpenSSL{}, client: peer.Godwit{},
			suite: peer.Suites(peer.DTLS12, pki.ECDSA)[0], kind: pki.ECDSA, mtu: mtu,
		}
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			server, client := r.settings()
			server.Listen = true
			r.check(t, converse(t, r.server, server, r.client, client))
		})
	}
}

// TestNegotiation lets godwit offer 1.2 and 1.3 to peers that have one of them,
// or both: the highest common version is chosen.
func TestNegotiation(t *testing.T) {
	for _, protocol := range protocols {
		for _, pair := range pairings(protocol) {
			r := row{
				protocol: protocol, server: pair[0], client: pair[1],
				suite: peer.Suites(protocol, pki.ECDSA)[0], kind: pki.ECDSA,
			}
			t.Run(r.String(), func(t *testing.T) {
				t.Parallel()
				server, client := r.settings()
				flexible := &client
				if isGodwit(r.server) {
					flexible = &server
				}
				flexible.Min, flexible.Max = protocol.With("1.2"), protocol.With("1.3")
				flexible.Suites = nil
				r.check(t, converse(t, r.server, server, r.client, client))
			})
		}
	}
}

// TestKeyUpdate changes the keys of both directions before the first data.
func TestKeyUpdate(t *testing.T) {
	for _, protocol := range []peer.Protocol{peer.DTLS13, peer.TLS13} {
		for _, pair := range pairings(protocol) {
			for _, suite := range peer.Suites(protocol, pki.ECDSA) {
				r := row{protocol: protocol, server: pair[0], client: pair[1], suite: suite, kind: pki.ECDSA}
				t.Run(r.String(), func(t *testing.T) {
					t.Parallel()
					server, client := r.settings()
					server.Update, client.Update = true, true
					r.check(t, converse(t, r.server, server, r.client, client))
				})
			}
		}
	}
}

// is says which implementation a peer is.
func is[P peer.Peer](p peer.Peer) bool {
	_, ok := p.(P)
	return ok
}

func isGodwit(p peer.Peer) bool { return is[peer.Godwit](p) }
