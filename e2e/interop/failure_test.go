package interop

import (
	"cmp"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// A failure is a handshake that one side must refuse, and the alert it must
// send then.
type failure struct {
	name    string
	sender  string // "server" or "client"
	alert   string
	arrange func(server, client *peer.Settings)
}

var failures = []failure{
	{"wrong CA", "client", "unknown_ca", func(_, client *peer.Settings) {
		client.Root = credentials.foreignRoot
	}},
	{"wrong name", "client", "bad_certificate", func(server, _ *peer.Settings) {
		server.Leaf = credentials.otherName
	}},
	{"expired certificate", "client", "certificate_expired", func(server, _ *peer.Settings) {
		server.Leaf = credentials.expired
	}},
	{"client's wrong CA", "server", "unknown_ca", func(server, client *peer.Settings) {
		server.Root, server.Verify = credentials.foreignRoot, true
		client.Leaf = credentials.client[pki.ECDSA]
	}},
	{"client's expired certificate", "server", "certificate_expired", func(server, client *peer.Settings) {
		server.Root, server.Verify = credentials.root, true
		client.Leaf = credentials.expired
	}},
	{"no common suite", "server", "handshake_failure", func(server, client *peer.Settings) {
		suites := peer.Suites(client.Max, pki.ECDSA)
		server.Suites, client.Suites = suites[:1], suites[1:2]
	}},
	{"no common version", "server", "protocol_version", func(server, client *peer.Settings) {
		other := map[string]string{"1.2": "1.3", "1.3": "1.2"}[client.Max.Number()]
		server.Min, server.Max = server.Max.With(other), server.Max.With(other)
	}},
}

// deviations are the alerts of peers that send others than the RFCs name, by
// peer, role and failure.
var deviations = map[string]string{
	"crypto-tls client wrong CA":                 "bad_certificate",
	"crypto-tls client expired certificate":      "bad_certificate",
	"gnutls client wrong CA":                     "bad_certificate",
	"gnutls client expired certificate":          "bad_certificate",
	"gnutls server client's wrong CA":            "access_denied",
	"gnutls server client's expired certificate": "access_denied",
	"gnutls server no common version":            "handshake_failure",
}

func TestFailures(t *testing.T) {
	for _, f := range failures {
		for _, protocol := range protocols {
			for _, pair := range pairs() {
				r := row{protocol: protocol, server: pair[0], client: pair[1], kind: pki.ECDSA}
				if f.possible(r) {
					t.Run(f.name+"/"+r.String(), func(t *testing.T) {
						t.Parallel()
						f.check(t, r)
					})
				}
			}
		}
	}
}

// possible says whether the two peers of a row can be brought to this failure.
func (f failure) possible(r row) bool {
	server, client := r.settings()
	f.arrange(&server, &client)
	if !r.server.Speaks(server.Max) || !r.client.Speaks(client.Max) {
		return false
	}
	// GnuTLS's server is silent when a datagram handshake fails over a ClientHello.
	silent := r.server == peer.Peer(peer.GnuTLS{}) && client.Max.Datagram() &&
		(f.name == "no common suite" || f.name == "no common version")
	// crypto/tls has all suites of 1.3 always on.
	fixed := f.name == "no common suite" && client.Max == peer.TLS13 &&
		(r.server == peer.Peer(peer.CryptoTLS{}) || r.client == peer.Peer(peer.CryptoTLS{}))
	return !silent && !fixed
}

func (f failure) check(t *testing.T, r row) {
	server, client := r.settings()
	f.arrange(&server, &client)
	p := converse(t, r.server, server, r.client, client)
	sender, receiver := r.client, r.server
	sent, received := p.client, p.server
	if f.sender == "server" {
		sender, receiver = receiver, sender
		sent, received = received, sent
	}
	alert := f.alert
	if other, ok := deviations[strings.Join([]string{sender.Name(), f.sender, f.name}, " ")]; ok {
		alert = other
	}
	if sent.Sent != alert && sender != peer.Peer(peer.CryptoTLS{}) {
		t.Errorf("the %s sent %q, want %q", f.sender, cmp.Or(sent.Sent, "no alert"), alert)
	}
	// OpenSSL's client has no write keys yet when it refuses a TLS 1.3 server's
	// certificate: its alert is in plaintext, which only OpenSSL reads.
	plaintext := sender == peer.Peer(peer.OpenSSL{}) && f.sender == "client" && client.Max == peer.TLS13 &&
		receiver != peer.Peer(peer.OpenSSL{})
	if received.Received != alert && !plaintext {
		t.Errorf("the %s's peer received %q, want %q", f.sender, cmp.Or(received.Received, "no alert"), alert)
	}
	if sent.Echoed || received.Echoed {
		t.Error("data went through")
	}
	for _, side := range []struct {
		who    peer.Peer
		report peer.Report
	}{{r.server, p.server}, {r.client, p.client}} {
		if isGodwit(side.who) && side.report.ExitStatus != 1 {
			t.Errorf("exit status %d, want 1", side.report.ExitStatus)
		}
	}
	if t.Failed() {
		t.Log(p)
	}
}

// TestOldVersions meets OpenSSL with what came before 1.2: godwit refuses it in
// both roles.
func TestOldVersions(t *testing.T) {
	for protocol, flag := range map[peer.Protocol]string{peer.DTLS12: "-dtls1", peer.TLS12: "-tls1_1"} {
		old := []string{flag, "-cipher", "ALL:@SECLEVEL=0"} // its default level has no SHA-1
		asServer := failure{"old client", "server", "protocol_version", func(_, client *peer.Settings) { client.Flags = old }}
		asClient := failure{"old server", "client", "protocol_version", func(server, _ *peer.Settings) { server.Flags = old }}
		for _, test := range []struct {
			failure
			row
		}{
			{asServer, row{protocol: protocol, server: peer.Godwit{}, client: peer.OpenSSL{}, kind: pki.ECDSA}},
			{asClient, row{protocol: protocol, server: peer.OpenSSL{}, client: peer.Godwit{}, kind: pki.ECDSA}},
		} {
			t.Run(test.name+"/"+test.row.String(), func(t *testing.T) {
				t.Parallel()
				test.failure.check(t, test.row)
			})
		}
	}
}
