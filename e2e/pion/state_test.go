package dtls_test

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/transport/v3/dpipe"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// A connection goes on where its State is taken to, once the old Conn is dead.
func TestResume(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16, limit dtls.Option) {
		for _, who := range []string{"client", "server"} {
			t.Run(who, func(t *testing.T) {
				a, b := sockets(t)
				client, err := dtls.ClientWithOptions(a, b.LocalAddr(), limit, dtls.WithInsecureSkipVerify(true))
				if err != nil {
					t.Fatal(err)
				}
				mine := certificate(t)
				server, err := dtls.ServerWithOptions(b, a.LocalAddr(), limit, dtls.WithCertificates(mine))
				if err != nil {
					t.Fatal(err)
				}
				if c, s := shake(client, server); c != nil || s != nil {
					t.Fatal(c, s)
				}
				send(t, client, server, "one")
				send(t, server, client, "two")
				moving, staying := client, server
				if who == "server" {
					moving, staying = server, client
				}
				before := state(t, moving)
				blob, err := before.MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := moving.Write([]byte("twice")); !errors.Is(err, godwit.ErrExported) && !errors.Is(err, dtls.ErrConnClosed) {
					t.Error("who has gone writes:", err)
				}
				var after dtls.State
				if err := after.UnmarshalBinary(blob); err != nil {
					t.Fatal(err)
				}
				if after.CipherSuiteID != before.CipherSuiteID || len(after.PeerCertificates) != len(before.PeerCertificates) {
					t.Error("the State has changed on its way")
				}
				socket := reopened(t, moving)
				moved, err := dtls.ResumeWithOptions(&after, socket, moving.RemoteAddr(), limit, dtls.WithCertificates(mine), dtls.WithInsecureSkipVerify(true))
				if err != nil {
					t.Fatal(err)
				}
				defer moved.Close()
				send(t, moved, staying, "three")
				send(t, staying, moved, "four")
				if s := state(t, moved); s.Godwit().Version != version {
					t.Errorf("version %#x", s.Godwit().Version)
				}
			})
		}
	})
}

// reopened is a socket at the address that a Conn had.
func reopened(t *testing.T, c *dtls.Conn) *net.UDPConn {
	t.Helper()
	socket, err := net.ListenUDP("udp4", c.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	return socket
}

// Nothing is handed over before there is something.
func TestNoState(t *testing.T) {
	client, _ := sides{
		client: []dtls.ClientOption{dtls.WithInsecureSkipVerify(true)},
		server: []dtls.ServerOption{dtls.WithCertificates(certificate(t))},
	}.pair(t)
	if _, ok := client.ConnectionState(); ok {
		t.Error("a ConnectionState before the handshake")
	}
	if _, err := new(dtls.State).MarshalBinary(); err == nil {
		t.Error("an empty State is written down")
	}
	for _, garbage := range [][]byte{nil, []byte("garbage")} {
		if err := new(dtls.State).UnmarshalBinary(garbage); err == nil {
			t.Errorf("%q is a State", garbage)
		}
	}
}

// store is a SessionStore in memory.
type store struct {
	mu       sync.Mutex
	sessions map[string]dtls.Session
}

func (s *store) Set(key []byte, session dtls.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions == nil {
		s.sessions = map[string]dtls.Session{}
	}
	s.sessions[string(key)] = session
	return nil
}

func (s *store) Get(key []byte) (dtls.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[string(key)], nil
}

func (s *store) Del(key []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, string(key))
	return nil
}

// A second handshake resumes what the stores have; without a store, or with entries
// that are Pion's, there are full handshakes.
func TestSessionStore(t *testing.T) {
	bothVersions(t, func(t *testing.T, _ uint16, limit dtls.Option) {
		mine := certificate(t)
		var kept [2]store
		handshake := func(ours, theirs dtls.SessionStore) bool {
			client, server := sides{
				both:   []dtls.Option{limit},
				client: []dtls.ClientOption{dtls.WithInsecureSkipVerify(true), dtls.WithServerName("marsh.example"), dtls.WithSessionStore(ours)},
				server: []dtls.ServerOption{dtls.WithCertificates(mine), dtls.WithSessionStore(theirs)},
			}.connected(t)
			send(t, client, server, "there")
			send(t, server, client, "and back") // the tickets have come before
			s := state(t, client)
			client.Close()
			if _, err := server.Read(make([]byte, 1)); err != io.EOF {
				t.Error(err)
			}
			return s.Godwit().DidResume
		}
		for i, want := range []bool{false, true, true} {
			if got := handshake(&kept[0], &kept[1]); got != want {
				t.Errorf("handshake %d: resumed %v", i, got)
			}
		}
		for name, s := range kept[0].sessions {
			s.Version = 1
			kept[0].sessions[name] = s
		}
		if handshake(&kept[0], &kept[1]) {
			t.Error("a session of Pion's is resumed")
		}
		if handshake(&kept[0], nil) || handshake(nil, &kept[1]) {
			t.Error("resumed without a store")
		}
	})
}

// Who resumes a session is asked about its certificate too.
func TestSessionVerified(t *testing.T) {
	bothVersions(t, func(t *testing.T, _ uint16, limit dtls.Option) {
		mine := certificate(t)
		var kept [2]store
		no := errors.New("not this one")
		for i, verdict := range []error{nil, nil, no} {
			asked := 0
			client, server := sides{
				both: []dtls.Option{limit},
				client: []dtls.ClientOption{dtls.WithInsecureSkipVerify(true), dtls.WithServerName("marsh.example"), dtls.WithSessionStore(&kept[0]),
					dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
						if asked++; string(raw[0]) != string(mine.Certificate[0]) {
							t.Error("another certificate")
						}
						return verdict
					})},
				server: []dtls.ServerOption{dtls.WithCertificates(mine), dtls.WithSessionStore(&kept[1])},
			}.pair(t)
			err, _ := shake(client, server)
			if !errors.Is(err, verdict) || asked != 1 {
				t.Errorf("handshake %d: %v, asked %d times", i, err, asked)
			}
			if err == nil {
				send(t, server, client, "there")
				if s := state(t, client); s.Godwit().DidResume != (i > 0) {
					t.Errorf("handshake %d: resumed %v", i, s.Godwit().DidResume)
				}
			}
			client.Close()
			server.Close()
		}
	})
}

// Over links without names, sessions go by the peer's address.
func TestSessionWithoutName(t *testing.T) {
	mine := certificate(t)
	var kept [2]store
	for i := range 2 {
		a, b := dpipe.Pipe()
		client, err := dtls.ClientWithOptions(dtlsnet.PacketConnFromConn(a), address, dtls.WithInsecureSkipVerify(true), dtls.WithSessionStore(&kept[0]))
		if err != nil {
			t.Fatal(err)
		}
		server, err := dtls.ServerWithOptions(dtlsnet.PacketConnFromConn(b), address, dtls.WithCertificates(mine), dtls.WithSessionStore(&kept[1]))
		if err != nil {
			t.Fatal(err)
		}
		if c, s := shake(client, server); c != nil || s != nil {
			t.Fatal(c, s)
		}
		send(t, server, client, "there")
		if s := state(t, client); s.Godwit().DidResume != (i > 0) {
			t.Errorf("handshake %d: resumed %v", i, s.Godwit().DidResume)
		}
		client.Close()
		server.Close()
	}
}
