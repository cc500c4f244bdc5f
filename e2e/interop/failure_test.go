package interop

import (
	"slices"
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
	of      func(row) bool // the rows that can be brought to it; nil: all
	arrange func(server, client *peer.Settings)
	early   []peer.Protocol // of the clients that godwit's Listener refuses before it keeps any state
}

var failures = []failure{
	{name: "wrong CA", sender: "client", alert: "unknown_ca", arrange: func(_, client *peer.Settings) {
		client.Root = credentials.foreignRoot
	}},
	{name: "wrong name", sender: "client", alert: "bad_certificate", arrange: func(server, _ *peer.Settings) {
		server.Leaf = credentials.otherName
	}},
	{name: "expired certificate", sender: "client", alert: "certificate_expired", arrange: func(server, _ *peer.Settings) {
		server.Leaf = credentials.expired
	}},
	{name: "client's wrong CA", sender: "server", alert: "unknown_ca", arrange: func(server, client *peer.Settings) {
		server.Root, server.Verify = credentials.foreignRoot, true
		client.Leaf = credentials.client[pki.ECDSA]
	}},
	{name: "client's expired certificate", sender: "server", alert: "certificate_expired", arrange: func(server, client *peer.Settings) {
		server.Root, server.Verify = credentials.root, true
		client.Leaf = credentials.expired
	}},
	{name: "no common suite", sender: "server", alert: "handshake_failure", of: choosesSuites, arrange: func(server, client *peer.Settings) {
		suites := peer.Suites(client.Max, pki.ECDSA)
		server.Suites, client.Suites = suites[:1], suites[1:2]
	}, early: []peer.Protocol{peer.DTLS13}},
	{name: "server of 1.3 only", sender: "server", alert: "protocol_version", of: version12, arrange: func(server, _ *peer.Settings) {
		server.Min, server.Max = server.Max.With("1.3"), server.Max.With("1.3")
	}, early: []peer.Protocol{peer.DTLS12}},
	{name: "client of 1.3 only", sender: "server", alert: "protocol_version", of: seesVersions, arrange: func(server, _ *peer.Settings) {
		server.Min, server.Max = server.Max.With("1.2"), server.Max.With("1.2")
	}, early: []peer.Protocol{peer.DTLS13}},
	{name: "server that knows no 1.3", sender: "client", alert: "protocol_version", of: blindToVersions, arrange: func(server, _ *peer.Settings) {
		server.Min, server.Max = server.Max.With("1.2"), server.Max.With("1.2")
	}},
}

func version12(r row) bool { return r.protocol.Number() == "1.2" }

// seesVersions: a server that knows supported_versions and so can refuse a
// client of 1.3 only.
func seesVersions(r row) bool {
	return r.protocol == peer.TLS13 || r.protocol == peer.DTLS13 && isGodwit(r.server)
}

// blindToVersions: one that doesn't, and answers such a client with 1.2. GnuTLS's
// server is another, but has no connection yet when the client refuses.
func blindToVersions(r row) bool { return r.protocol == peer.DTLS13 && is[peer.OpenSSL](r.server) }

// choosesSuites leaves out crypto/tls, which has all suites of 1.3 always on,
// and GnuTLS's server, which sends nothing if it refuses a datagram ClientHello.
func choosesSuites(r row) bool {
	fixed := r.protocol == peer.TLS13 && (is[peer.CryptoTLS](r.server) || is[peer.CryptoTLS](r.client))
	silent := r.protocol == peer.DTLS12 && is[peer.GnuTLS](r.server)
	return !fixed && !silent
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
	"gnutls server client of 1.3 only":           "handshake_failure",
	"gnutls server server of 1.3 only":           "handshake_failure",
}

func TestFailures(t *testing.T) {
	for _, f := range failures {
		for _, protocol := range protocols {
			for _, pair := range pairs() {
				r := row{protocol: protocol, server: pair[0], client: pair[1], kind: pki.ECDSA}
				server, client := r.settings()
				f.arrange(&server, &client)
				if r.server.Speaks(server.Max) && r.client.Speaks(client.Max) && (f.of == nil || f.of(r)) {
					t.Run(f.name+"/"+r.String(), func(t *testing.T) {
						t.Parallel()
						f.check(t, r)
					})
				}
			}
		}
	}
}

// TestOldVersions refuses what came before 1.2. (A server of that time finds no
// suite of its own in godwit's ClientHello, and never gets to choose a version.)
func TestOldVersions(t *testing.T) {
	for _, old := range []peer.Protocol{peer.DTLS10, peer.TLS11} {
		f := failure{name: string(old), sender: "server", alert: "protocol_version", arrange: func(_, client *peer.Settings) {
			client.Min, client.Max = old, old
		}, early: []peer.Protocol{peer.DTLS10}}
		r := row{protocol: old.With("1.2"), server: peer.Godwit{}, client: peer.OpenSSL{}, kind: pki.ECDSA}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.check(t, r)
		})
	}
}

// TestExtendedMasterSecret meets GnuTLS without that extension: godwit refuses
// it by default, and takes it where that is allowed.
func TestExtendedMasterSecret(t *testing.T) {
	for _, protocol := range []peer.Protocol{peer.DTLS12, peer.TLS12} {
		for _, test := range []struct {
			row
			sender string
			peer   func(server, client *peer.Settings) (gnutls, godwit *peer.Settings)
		}{
			{row{server: peer.GnuTLS{}, client: peer.Godwit{}}, "client", func(s, c *peer.Settings) (*peer.Settings, *peer.Settings) { return s, c }},
			{row{server: peer.Godwit{}, client: peer.GnuTLS{}}, "server", func(s, c *peer.Settings) (*peer.Settings, *peer.Settings) { return c, s }},
		} {
			r := test.row
			r.protocol, r.kind, r.suite = protocol, pki.ECDSA, peer.Suites(protocol, pki.ECDSA)[0]
			t.Run("refused/"+r.String(), func(t *testing.T) {
				t.Parallel()
				failure{name: "without", sender: test.sender, alert: "handshake_failure", arrange: func(server, client *peer.Settings) {
					gnutls, _ := test.peer(server, client)
					gnutls.NoEMS = true
				}}.check(t, r)
			})
			t.Run("allowed/"+r.String(), func(t *testing.T) {
				t.Parallel()
				server, client := r.settings()
				server.NoEMS, client.NoEMS = true, true
				p := converse(t, r.server, server, r.client, client)
				if !p.client.Echoed || p.client.ExitStatus != 0 || p.server.ExitStatus != 0 {
					t.Errorf("no conversation without the extension\n%v", p)
				}
			})
		}
	}
}

// check brings a row to the failure and reads both reports.
func (f failure) check(t *testing.T, r row) {
	server, client := r.settings()
	f.arrange(&server, &client)
	// A 1.3 client's handshake is over before the server has read its certificate.
	// If it wrote to a server that has gone, TCP's reset could overtake the alert.
	client.Mute = true
	early := isGodwit(r.server) && slices.Contains(f.early, client.Max)
	var p pair
	if early {
		p = f.refusedEarly(t, r, server, client)
	} else {
		p = converse(t, r.server, server, r.client, client)
	}
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
	if sent.Sent != alert && !early && !is[peer.CryptoTLS](sender) { // crypto/tls doesn't say
		t.Errorf("the %s sent %q, want %q", f.sender, sent.Sent, alert)
	}
	// OpenSSL's client has no write keys yet when it refuses a TLS 1.3 server's
	// certificate: its alert is in plaintext, which only OpenSSL reads.
	plaintext := f.sender == "client" && is[peer.OpenSSL](sender) && client.Max == peer.TLS13 && !is[peer.OpenSSL](receiver)
	if received.Received != alert && !plaintext {
		t.Errorf("the %s's peer received %q, want %q", f.sender, received.Received, alert)
	}
	if p.client.Echoed {
		t.Error("data went through")
	}
	if isGodwit(r.client) {
		f.checkExit(t, p.client)
	}
	if isGodwit(r.server) && !early {
		f.checkExit(t, p.server)
	}
	if t.Failed() {
		t.Log(p)
	}
}

// refusedEarly is a conversation with a Listener that sends an alert and keeps
// no state: there is no connection that could fail, and the server goes on. A
// second client, which fits the server, shows that.
func (f failure) refusedEarly(t *testing.T, r row, server, client peer.Settings) pair {
	t.Helper()
	var p pair
	listening := r.server.Serve(t, server)
	p.client = r.client.Connect(t, client, listening.Address()).Report()
	client.Min, client.Max, client.Suites = server.Min, server.Max, server.Suites
	client.Mute = false
	next := peer.Godwit{}.Connect(t, client, listening.Address()).Report()
	p.server = listening.Report()
	if !next.Echoed || !p.server.Established {
		t.Errorf("the server no longer answers after it refused a client\n%v", pair{p.server, next})
	}
	return p
}

// checkExit holds godwit's end against its promise: status 1, and one line on
// standard error that names the alert.
func (f failure) checkExit(t *testing.T, r peer.Report) {
	t.Helper()
	if r.ExitStatus != 1 {
		t.Errorf("exit status %d, want 1", r.ExitStatus)
	}
	if len(r.Complaints) != 1 {
		t.Errorf("standard error has %d complaints, want 1: %q", len(r.Complaints), r.Complaints)
	}
}
