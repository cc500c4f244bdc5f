package dtls

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// RFC 9146 6 [1]; RFC 9853 3 [4]
func TestAcceptMove(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, accept := range []bool{true, false} {
			client, server := with(version, identified(0, 8))
			client.PathCheck = NoPathCheck
			var asked []netip.AddrPort
			server.AcceptMove = func(from, to netip.AddrPort) bool {
				asked = append(asked, from, to)
				return accept
			}
			s := established(t, client, server)
			older := s.client.seal("older")
			s.client.at = address(1)
			s.client.post("from elsewhere")
			s.settle()
			want := home
			if accept {
				want = address(1)
			}
			if len(asked) != 2 || asked[1] != address(1).Remote || s.server.Path() != want {
				t.Errorf("asked %v, answered %v: the server writes to %v", asked, accept, s.server.Path())
			}
			// What is older moves nothing, and nobody is asked.
			s.server.receiveFrom(older, address(2))
			s.server.expectRead("from elsewhere", "older")
			if len(asked) != 2 || s.server.Path() != want {
				t.Errorf("an older record: asked %v, the server writes to %v", asked, s.server.Path())
			}
		}
	})
}

// Migrate moves at once. Who asks at the old path learns that we left it.
//
// RFC 9853 4 [2], 5.2 [2, 4]
func TestMigrate(t *testing.T) {
	client, server := with(identified(8, 8))
	s := established(t, client, server)
	s.server.at = address(9)
	if err := s.client.Migrate(address(9), s.now); err != nil {
		t.Fatal(err)
	}
	if s.client.Path() != address(9) {
		t.Fatalf("the client writes to %v", s.client.Path())
	}
	s.client.transmit()
	s.settle()

	// The client has two addresses, writes by the second and is asked at the first.
	s = established(t, client, server)
	for n := range byte(3) { // of two networks, one with an address after the other
		if err := s.client.Migrate(address(6+n), s.now); err != nil {
			t.Fatal(err)
		}
	}
	record := s.client.seal("by the new path")
	last := func(from *side) []byte { // what it has sent to the old path
		for _, p := range slices.Backward(s.sent) {
			if p.from == from && p.to == home {
				return p.data
			}
		}
		t.Fatalf("%s sends nothing to the old path", from.name)
		return nil
	}
	s.sent = nil
	s.server.receiveFrom(record, address(7))
	s.client.receiveFrom(last(s.server), home)
	s.server.receiveFrom(last(s.client), home)
	if c := s.server.paths.check; c == nil || c.asks != newPath {
		t.Errorf("after path_drop the server asks %+v", c)
	}

	// Where it has come back to, it is.
	if err := s.client.Migrate(home, s.now); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(s.client.paths.left, home) || !slices.Contains(s.client.paths.left, address(8)) {
		t.Errorf("the client has left %v", s.client.paths.left)
	}
}

// Only an open association moves, and where it is already it stays.
func TestMigrateRefused(t *testing.T) {
	client, server := with(identified(8, 8))
	s := simulate(t, 0, client, server)
	if err := s.client.Migrate(address(9), s.now); err != errNotOpen {
		t.Errorf("before the handshake: %v", err)
	}
	s = established(t, client, server)
	if err := s.client.Migrate(s.client.Path(), s.now); err != nil || len(s.client.paths.left) > 0 {
		t.Errorf("to where it is: %v, and it has left %v", err, s.client.paths.left)
	}
	s.client.Abort(alert.AccessDenied, s.now)
	if err := s.client.Migrate(address(9), s.now); err == nil || err != s.client.Err() {
		t.Errorf("after its end: %v", err)
	}
	if err := s.client.RotateConnectionIDs(s.now); err == nil || err != s.client.Err() {
		t.Errorf("RotateConnectionIDs after its end: %v", err)
	}
}
