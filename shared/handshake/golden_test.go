package handshake

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A golden handshake is one of docs/graph/handshakes.txt.
type golden struct {
	facts Facts
	asked int // how often the server asks for another ClientHello
	path  []Step
}

// goldens are all of them.
var goldens = sync.OnceValue(func() (all []golden) {
	x, err := explore(worlds)
	if err != nil {
		panic(err)
	}
	seen := map[string]bool{}
	for _, e := range x.ends {
		g := golden{e.world.facts &^ (ClientCID | ServerCID), e.world.asked, e.path}
		if name := g.String(); !seen[name] {
			seen[name], all = true, append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b golden) int { return cmp.Or(cmp.Compare(a.facts, b.facts), a.asked-b.asked) })
	return all
})

func (g golden) String() string {
	return fmt.Sprintf("%v %v", g.protocol(), summary(g.facts, 0)) + fmt.Sprint(" asked ", g.asked)
}

func (g golden) has(f Facts) bool { return g.facts&f == f }

func (g golden) transport() protocol.Transport {
	if g.has(Datagram) {
		return protocol.Datagram
	}
	return protocol.Stream
}

func (g golden) protocol() protocol.Version {
	if g.has(V13) {
		return protocol.VersionTLS13.Over(g.transport())
	}
	return protocol.VersionTLS12.Over(g.transport())
}

// pair returns Machines whose client has begun this handshake, and what they were
// configured with.
func (g golden) pair(t *testing.T) *pair {
	t.Helper()
	client, server := g.configs()
	if g.has(Resumed) && server.Credentials == nil {
		client.ClientSessionCache = new(shelf)
		first := server
		if g.has(Ticket) { // it is renewed
			first = new(*server)
			first.TicketKeys, server.TicketKeys = [][32]byte{{1}}, [][32]byte{{2}, {1}}
		}
		complete(t, g.transport(), client, first)
	}
	p := begin(t, g.transport(), client, server)
	p.client.work() // it looks for a session
	return p
}

// configs are those that lead to these facts.
func (g golden) configs() (client, server *Config) {
	client, server = configs(g.protocol())
	switch {
	case g.has(KeyTransport):
		client, server = transporting(g.transport())
	case !g.has(ServerCert) && !g.has(Resumed):
		client, server = pskConfigs(protocol.VersionTLS12, keyNamed("device", PSKDirect12))
		client.CipherSuites = []uint16{suite.TLS_PSK_WITH_AES_128_GCM_SHA256}
		if g.has(KeyExchange) {
			server.PSKIdentityHint = []byte("which network")
		}
	}
	if g.has(V13 | Retry) {
		retrying(client, server)
	}
	if g.has(Stapled) {
		client.RequestOCSPStaple = true
		server.Certificates = []tls.Certificate{stapled(server.Certificates[0])}
	}
	if g.has(CertRequested) {
		server.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if g.has(ClientCert) {
		authenticated(client, server)
	}
	if g.has(EarlyData) {
		client.EarlyData, server.EarlyData = true, true
		server.AntiReplay = forgetful{} // the handshake is tried again and again
		client.NextProtos, server.NextProtos = []string{"one"}, []string{"one"}
	}
	if g.has(Ticket) {
		client.ClientSessionCache = new(shelf)
	}
	return client, server
}

// eachMessage runs this handshake, and calls f before each message that arrives.
func (g golden) eachMessage(t *testing.T, f func(p *pair, victim func(*pair) *peer)) {
	t.Helper()
	p := g.pair(t)
	client, server := func(p *pair) *peer { return p.client }, func(p *pair) *peer { return p.server }
	var path []Step
	next := func(victim func(*pair) *peer) {
		v := victim(p)
		path = append(path, v.step(v.inbox[0]))
		f(p, victim)
		p.next(v)
	}
	if g.has(Datagram) && !g.has(V13) {
		var entry Entry
		for n := range g.asked {
			path = append(path, [...]Step{ClientHello, ClientHelloAgain}[min(n, 1)]) // a Listener reads it
			entry = p.challenge(t)
			next(client)
		}
		if g.asked > 0 {
			p.server.m.Enter(entry)
		}
	}
	for !p.client.m.Open() || !p.server.m.Open() {
		for _, victim := range []func(*pair) *peer{client, server} {
			if len(victim(p).inbox) > 0 && !victim(p).m.Open() {
				next(victim)
			}
		}
		if p.client.err != nil || p.server.err != nil {
			t.Fatalf("client: %v, server: %v", p.client.err, p.server.err)
		}
	}
	p.run().expectAgreement(t)
	if !slices.Equal(path, g.path) {
		t.Fatalf("%v: the handshake is\n%v, want\n%v", g, path, g.path)
	}
}

// step is what a message is to p.
func (p *peer) step(m Message) Step {
	if m.Content == protocol.ChangeCipherSpec {
		return p.m.role.Peer().ChangeCipherSpec()
	}
	return p.m.place.Classify(m.Type, m.Body, p.m.role.Peer())
}
