package dtls

import (
	"net"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// While the Store is asked for an imported connection, it is one that is open to a
// client that begins anew at its address.
func TestImportHasItsPlace(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(0, 8), keeping)
		s := established(t, client, server)
		s.advance(time.Minute) // all is stored
		l := listenerOfTest(t, server)
		blob, store := s.server.store().only(t), s.server.store()
		asked := false
		store.before = func() error {
			if !asked {
				asked = true
				l.mu.Lock()
				l.sit(l.newPeer(newServerEngine(server), address(1)))
				l.mu.Unlock()
			}
			return nil
		}
		c, err := l.Import(net.UDPAddrFromAddrPort(address(1).Remote), blob, exportKey)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.link.(*peer).done:
			t.Errorf("the connection ended: %v", c.link.(*peer).gone)
		default:
		}
		if !asked {
			t.Error("the Store was not asked")
		}
		c.Close()
	})
}

// An import that fails takes nothing.
func TestImportIntoClosedListener(t *testing.T) {
	client, server := with(identified(0, 8), movable)
	s := established(t, client, server)
	blob, err := s.server.Export(exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	l := listenerOfTest(t, server)
	l.Close()
	if _, err := l.Import(net.UDPAddrFromAddrPort(address(1).Remote), blob, exportKey); err != net.ErrClosed {
		t.Errorf("%v", err)
	}
	if len(l.ids) > 0 || len(l.peers) > 0 {
		t.Errorf("%d IDs and %d addresses are taken", len(l.ids), len(l.peers))
	}
}

// An ID that was made and not written yet when its connection was exported finds the
// connection at its new Listener, once the peer has it.
func TestImportWithIDsToCome(t *testing.T) {
	client, server := with(identified(0, 8), movable)
	s := established(t, client, server)
	for range 2 { // the second one waits for the ACK of the first
		s.server.did(s.server.RotateConnectionIDs(s.now))
	}
	blob, err := s.server.Export(exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	l := listenerOfTest(t, server)
	c, err := l.Import(net.UDPAddrFromAddrPort(address(1).Remote), blob, exportKey)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Abort(alert.UserCanceled) // Close would repeat what nobody acknowledges
	sent := len(s.sent)
	s.advance(time.Second) // the client acknowledges
	c.mu.Lock()
	for _, p := range s.sent[sent:] {
		if p.from == s.client {
			c.engine.ReceiveFrom(p.data, address(1), c.engine.now)
		}
	}
	local := c.engine.ids.local
	c.mu.Unlock()
	if len(local) != 3 {
		t.Errorf("%d IDs", len(local))
	}
	for _, id := range local {
		if l.ids[string(id)] == nil {
			t.Errorf("% x leads nowhere", id)
		}
	}
}

// A Listener goes on with servers whose peers are somewhere, and says what is wrong.
func TestListenerImportRefuses(t *testing.T) {
	client, server := with(identified(0, 8), movable)
	s := established(t, client, server)
	l := listenerOfTest(t, server)
	blob, err := s.server.Export(exportKey, s.now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Import(&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, blob, exportKey); err == nil {
		t.Error("at an address of TCP")
	}
	if len(l.ids) > 0 || len(l.peers) > 0 {
		t.Errorf("%d IDs and %d addresses are taken", len(l.ids), len(l.peers))
	}
}

// What is outdated makes way for what is found in the Store, whichever of a group has it.
func TestGroupMakesWay(t *testing.T) {
	client, server := with(identified(0, 8), keeping)
	s := established(t, client, server)
	s.advance(time.Minute) // all is stored
	store := s.server.store()
	g := new(group)
	for range 2 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		g.members = append(g.members, makeListener(pc, server))
	}
	for _, l := range g.members {
		l.group = g
	}
	outdated, err := g.members[0].Import(net.UDPAddrFromAddrPort(address(1).Remote), store.only(t), exportKey)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := ImportEngine(server, store.values[outdated.StoreName()].value, exportKey, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.claimNow(time.Now()); err != nil {
		t.Fatal(err)
	}
	g.members[1].makeWay(elsewhere)
	if _, err := outdated.Write([]byte("still me")); err != ErrReplayed {
		t.Errorf("what is outdated: %v", err)
	}
	if len(g.members[0].ids) > 0 {
		t.Error("it has its ID still")
	}
	outdated.Close()
}
