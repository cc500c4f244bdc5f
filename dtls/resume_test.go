package dtls

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// resuming makes the client keep sessions, as many as a test may need.
func resuming(client, _ *Config) { client.ClientSessionCache = NewLRUClientSessionCache(10_000) }

// resumptions are the handshakes that a session can be resumed in.
var resumptions = []setting{
	{"1.3", resuming},
	{"1.3, client certificate", together(resuming, clientAuth)},
	{"1.3, HelloRetryRequest", together(resuming, retry)},
	{"1.2", together(resuming, only12)},
	{"1.2, server has 1.2 only", together(resuming, func(_, server *Config) { server.MaxVersion = VersionDTLS12 })},
	{"1.2, client certificate", together(resuming, only12, clientAuth)},
}

// Every subset of the datagrams of a resumed handshake, tickets among them, is
// lost once; and of a full one that gives tickets.
func TestLossOfResumedHandshake(t *testing.T) {
	for _, c := range resumptions {
		for _, size := range []int{1200, handshake.MinMTU} {
			t.Run(fmt.Sprintf("%s, MTU %d", c.name, size), func(t *testing.T) {
				client, server := with(c.change, mtu(size))
				s := simulate(t, 0, client, server)
				s.settle()
				full := len(s.sent)
				s = simulate(t, 0, client, server)
				s.settle()
				if !s.client.State().DidResume || !s.server.State().DidResume {
					t.Fatal("not resumed")
				}
				n := min(max(full, len(s.sent)), 11)
				masks := 1 << n
				stride := max(1, masks/max(1, runs(1000))) | 1
				for mask := 0; mask < masks; mask += stride {
					lossy := fated(losing(func(p *parcel) bool { return p.index < n && mask>>p.index&1 != 0 }))
					s := simulate(t, 0, client, server, lossy)
					if err := s.run(s.quiet); err != nil {
						t.Fatalf("mask %0*b: %v", n, mask, err)
					}
					s.exchange()
					if !s.client.State().DidResume {
						t.Fatalf("mask %0*b: not resumed: tickets got lost", n, mask)
					}
					fresh := *client
					resuming(&fresh, nil)
					s = simulate(t, 0, &fresh, server, lossy)
					if err := s.run(s.quiet); err != nil {
						t.Fatalf("mask %0*b, full handshake: %v", n, mask, err)
					}
					tickets := 1
					if s.client.version.Is13() {
						tickets = handshake.DefaultSessionTickets
					}
					for got := range tickets {
						if _, ok := fresh.ClientSessionCache.Get("dtls leaf.example"); !ok {
							t.Fatalf("mask %0*b: %d tickets came", n, mask, got)
						}
					}
				}
			})
		}
	}
}

// A resumed handshake in a storm ends well.
func TestStormOfResumedHandshake(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(resuming, version, clientAuth)
		simulate(t, 0, client, server).settle()
		for seed := range uint64(runs(1000)) {
			s := simulate(t, seed, client, server, stormy)
			if err := s.run(s.quiet); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			s.exchange()
			if !s.server.State().DidResume {
				t.Fatalf("seed %d: not resumed", seed)
			}
		}
	})
}

// One datagram each way goes before the client's Finished; the tickets come in
// the datagram of the ACK.
func TestResumedFlights(t *testing.T) {
	client, server := with(resuming)
	simulate(t, 0, client, server).settle()
	s := simulate(t, 0, client, server)
	s.settle()
	var from []string
	for _, p := range s.sent {
		from = append(from, p.from.name)
	}
	if !slices.Equal(from, []string{"client", "server", "client", "server", "client"}) {
		t.Errorf("datagrams from %v", from)
	}
}

// Tickets that are not acknowledged are sent again, and a KeyUpdate waits for
// them.
func TestTicketsAreRepeated(t *testing.T) {
	client, server := with(resuming)
	s := simulate(t, 0, client, server)
	if err := s.run(s.open); err != nil {
		t.Fatal(err)
	}
	s.server.did(s.server.KeyUpdate(UpdateNotRequested, s.now))
	s.fate = losing(func(p *parcel) bool { return p.from == s.server })
	s.air = slices.DeleteFunc(s.air, func(p *parcel) bool { return p.from == s.server })
	s.advance(2 * time.Second)
	if s.server.newest().number != handshake.LevelApplication {
		t.Error("the keys changed before the tickets were acknowledged")
	}
	s.fate = prompt
	s.settle()
	if s.server.newest().number != handshake.LevelApplication+1 || s.server.Stats().Retransmits == 0 {
		t.Error("epoch", s.server.newest().number, "retransmits", s.server.Stats().Retransmits)
	}
	s.exchange()
	if _, ok := client.ClientSessionCache.Get("dtls leaf.example"); !ok {
		t.Error("no ticket came")
	}
}

// Behind a Listener's stateless cookie the binder is over HelloRetryRequest and
// the second hello.
func TestResumeBehindCookie(t *testing.T) {
	client, server := with(resuming)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewListener(pc, server)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 100) // echo until the client says goodbye
			for n, err := c.Read(buf); err == nil; n, err = c.Read(buf) {
				c.Write(buf[:n])
			}
			c.Close()
		}
	}()
	defer func() {
		l.Close()
		<-served
	}()
	for n := range 3 {
		c, err := Dial("udp", pc.LocalAddr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		c.Write([]byte("ping"))
		got, err := c.Read(buf) // after the ticket, which came before it
		if err != nil || !bytes.Equal(buf[:got], []byte("ping")) {
			t.Fatal(err)
		}
		state := c.ConnectionState()
		if state.DidResume != (n > 0) || !state.HelloRetryRequest || len(state.PeerCertificates) != 1 {
			t.Errorf("connection %d: resumed %v, retried %v", n, state.DidResume, state.HelloRetryRequest)
		}
		if state.Version != uint16(protocol.VersionDTLS13) {
			t.Error(state.Version)
		}
		c.Close()
	}
}
