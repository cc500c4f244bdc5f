package tls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A session is resumed between our library and crypto/tls, in both roles.
func TestInteropResumption(t *testing.T) {
	checkLeaks(t)
	for _, i := range []interop{
		{name: "plain"},
		{name: "ALPN", protocols: []string{"h2", "http/1.1"}},
		{name: "client certificate", auth: true},
		{name: "HelloRetryRequest", groups: []tls.CurveID{tls.X25519, tls.CurveP384}, serverGroup: tls.CurveP384},
		{name: "other suite", otherSuite: true},
	} {
		eachVersion(t, func(t *testing.T, version uint16) { testResumption(t, i, version) })
	}
}

func testResumption(t *testing.T, i interop, version uint16) {
	ourClient, ourServer := configs(version)
	goClient, goServer := goConfigs(version)
	i.ours(ourClient, ourServer, version)
	i.theirs(goClient, goServer, version)
	ourClient.ClientSessionCache = NewLRUClientSessionCache(0)
	goClient.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	for n := range 3 {
		t.Run(fmt.Sprintf("%s/client/%d", i.name, n), func(t *testing.T) {
			a, b := tcpPair(t)
			c, err := Client(a, ourClient)
			if err != nil {
				t.Fatal(err)
			}
			s := tls.Server(b, goServer)
			converse(t, c, s)
			compareResumed(t, c.ConnectionState(), s.ConnectionState(), n > 0)
		})
		t.Run(fmt.Sprintf("%s/server/%d", i.name, n), func(t *testing.T) {
			a, b := tcpPair(t)
			s, err := Server(b, ourServer)
			if err != nil {
				t.Fatal(err)
			}
			c := tls.Client(a, goClient)
			converse(t, c, s)
			compareResumed(t, s.ConnectionState(), c.ConnectionState(), n > 0)
		})
	}
}

func compareResumed(t *testing.T, ours ConnectionState, theirs tls.ConnectionState, want bool) {
	t.Helper()
	if !bytes.Equal(ours.TLSUnique, theirs.TLSUnique) {
		t.Errorf("tls-unique: ours %x, crypto/tls %x", ours.TLSUnique, theirs.TLSUnique)
	}
	if ours.DidResume != want || theirs.DidResume != want {
		t.Errorf("resumed: ours %v, crypto/tls %v, expected %v", ours.DidResume, theirs.DidResume, want)
	}
	if ours.CipherSuite != theirs.CipherSuite || ours.NegotiatedProtocol != theirs.NegotiatedProtocol {
		t.Errorf("ours: %+v\ntheirs: %+v", ours, theirs)
	}
}

// A session survives a store that knows only bytes.
func TestParseSessionState(t *testing.T) {
	client, server := configs(VersionTLS13)
	client.ClientSessionCache = NewLRUClientSessionCache(0)
	connected(t, client, server)
	kept, ok := client.ClientSessionCache.Get("tls " + serverName)
	if !ok {
		t.Fatal("no session")
	}
	raw, err := kept.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	restored, err := ParseSessionState(raw)
	if err != nil {
		t.Fatal(err)
	}
	client.ClientSessionCache = NewLRUClientSessionCache(0)
	client.ClientSessionCache.Put("tls "+serverName, restored)
	if !connected(t, client, server).client.State().DidResume {
		t.Error("not resumed")
	}
}

// A reentrantCache calls back into the connection that uses it, as an
// application's may.
type reentrantCache struct {
	ClientSessionCache
	call func()
}

func (c *reentrantCache) Put(key string, s *SessionState) {
	c.call()
	c.ClientSessionCache.Put(key, s)
}

// A session is wrapped and kept without the connection's lock.
func TestSessionCallbacksHoldNoLock(t *testing.T) {
	checkLeaks(t)
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		client, server := configs(version)
		var c, s *Conn
		client.ClientSessionCache = &reentrantCache{NewLRUClientSessionCache(0), func() { c.ConnectionState() }}
		server.WrapSession = func(_ ConnectionState, state *SessionState) ([]byte, error) {
			s.ConnectionState()
			return state.Bytes()
		}
		server.UnwrapSession = func(ticket []byte, _ ConnectionState) (*SessionState, error) { return ParseSessionState(ticket) }
		for n := range 2 {
			a, b := tcpPair(t)
			c, s = must(Client(a, client)), must(Server(b, server))
			converse(t, c, s)
			if c.ConnectionState().DidResume != (n > 0) {
				t.Errorf("%#x, connection %d: resumed %v", version, n, n == 0)
			}
		}
	}
}

// Nothing may come behind the Finished that ends a resumed handshake of 1.2.
func TestExcessBehindResumedFinished(t *testing.T) {
	client, server := configs(VersionTLS12)
	client.ClientSessionCache = NewLRUClientSessionCache(0)
	connected(t, client, server)
	var p *pair
	traced := *client
	traced.Trace = func(e Event) {
		if e.Kind == handshake.EventMessage && e.Direction == handshake.Sent && e.Message == protocol.Finished {
			p.client.unpacked = append(p.client.unpacked, 0) // the beginning of another message
		}
	}
	p = newPair(t, &traced, server)
	p.client.Start(testTime)
	p.pump()
	wantAlert(t, "server", p.server.Err(), alert.UnexpectedMessage, false)
	if !errors.Is(p.server.Err(), alert.ExcessHandshakeData) {
		t.Error(p.server.Err())
	}
}
