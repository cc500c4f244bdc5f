package dtls_test

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// Clients from as many addresses bring a good cookie and are never heard of again, and
// hellos and pieces of hellos come under the addresses of others. They take each other's
// place: honest clients all come in, whoever drives the handshakes, and the Listener has no
// more memory than MaxHandshakes of them may have.
func TestHalfOpen(t *testing.T) {
	if !dtls.Alone(t) {
		return
	}
	flood := struct{ places, ghosts, rate int }{96, 400, 80} // rate: ghosts a second
	if os.Getenv("GODWIT_FULL") == "1" {
		flood.places, flood.ghosts, flood.rate = 0, 1_000_000, 8_000 // 0: the default of 8192
	}
	for name, run := range map[string]func(*dtls.Listener){"Accept": echoAll, "Serve": echoServed} {
		t.Run(name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				synctest.Test(t, func(t *testing.T) {
					client, server := configs(t, version)
					oneDatagram(client)
					server.MaxHandshakes = flood.places
					s := newSiege(t, client, server)
					go run(s.listener)
					s.visitors(1, 0) // what all have together is there now
					before := heap()
					const ticks = 20 // a second
					for s.came < flood.ghosts {
						s.ghosts(flood.rate / ticks)
						s.spoofed(10)
						s.visitors(1, roundTrip)
						time.Sleep(time.Second / ticks)
					}
					synctest.Wait()
					s.check(cmp.Or(flood.places, dtls.DefaultMaxHandshakes), int64(heap())-int64(before))
					s.end()
				})
			})
		})
	}
}

// echoServed serves all clients of a Listener.
func echoServed(l *dtls.Listener) { l.Serve(func(c *dtls.Conn, data []byte) { c.Write(data) }) }

const (
	roundTrip = 100 * time.Millisecond // of visitors
	visiting  = 40                     // of them at the same time, or fewer
)

// A siege is a Listener on a lan, with those who come there.
type siege struct {
	t        *testing.T
	lan      *lan
	listener *dtls.Listener
	port     *port // the Listener's
	client   *dtls.Config
	hello    []byte // the first one,
	again    []byte // the one with the cookie,
	from, to int    // where that stands in the latter,
	at       int    // and in the challenge

	count  int // addresses
	came   int // ghosts
	honest sync.WaitGroup

	mu     sync.Mutex
	delay  map[netip.AddrPort]time.Duration // on the way from and to whom
	called map[netip.AddrPort]bool          // ghosts that wait for their challenge
}

func newSiege(t *testing.T, client, server *dtls.Config) *siege {
	s := &siege{t: t, lan: newLAN(), client: client, delay: map[netip.AddrPort]time.Duration{}, called: map[netip.AddrPort]bool{}}
	s.port = s.lan.listenWithRoom(serverAddr, 4096)
	var err error
	if s.listener, err = dtls.NewListener(s.port, server); err != nil {
		t.Fatal(err)
	}
	a := newAttacker(t, s.lan)
	ghost := a.intruder(client)
	s.hello = ghost.flight()[0]
	a.send(stranger, s.hello)
	challenge := a.answer(stranger)
	if err := ghost.Receive(bytes.Clone(challenge), time.Now()); err != nil {
		t.Fatal(err)
	}
	s.again = ghost.flight()[0]
	s.at, s.from, s.to = common(challenge, s.again)
	s.lan.filter(s.carry)
	return s
}

// common is the longest run of bytes that a has, from at on, and b from from to to.
func common(a, b []byte) (at, from, to int) {
	for i := range a {
		for j := range b {
			n := 0
			for i+n < len(a) && j+n < len(b) && a[i+n] == b[j+n] {
				n++
			}
			if n > to-from {
				at, from, to = i, j, j+n
			}
		}
	}
	return at, from, to
}

// carry lets ghosts answer their challenge and hear nothing else, and delays honest people's
// datagrams.
func (s *siege) carry(d datagram) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.called[d.to] {
		delete(s.called, d.to)
		again := bytes.Clone(s.again)
		copy(again[s.from:s.to], d.data[s.at:])
		s.port.deliver(net.UDPAddrFromAddrPort(d.to), again)
	}
	for _, way := range []netip.AddrPort{d.from, d.to} {
		if delay := s.delay[way]; delay > 0 {
			if to, data := s.lan.ports[d.to], bytes.Clone(d.data); to != nil {
				time.AfterFunc(delay, func() { to.deliver(net.UDPAddrFromAddrPort(d.from), data) })
			}
			return errLost
		}
	}
	return nil
}

func (s *siege) nextAddress(network byte) netip.AddrPort {
	s.count++
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{network, byte(s.count >> 16), byte(s.count >> 8), byte(s.count)}), 1)
}

// ghosts come and go.
func (s *siege) ghosts(n int) {
	for range n {
		from := s.nextAddress(10)
		s.mu.Lock()
		s.called[from] = true
		s.mu.Unlock()
		s.port.deliver(net.UDPAddrFromAddrPort(from), s.hello)
	}
	s.came += n
}

// spoofed hellos and first halves of hellos have other people's addresses.
func (s *siege) spoofed(n int) {
	half := bytes.Clone(s.hello[:len(s.hello)/2])
	half[11], half[12] = byte((len(half)-13)>>8), byte(len(half)-13)              // of the record,
	half[22], half[23], half[24] = 0, byte((len(half)-25)>>8), byte(len(half)-25) // and of the fragment
	for range n {
		s.port.deliver(net.UDPAddrFromAddrPort(s.nextAddress(11)), s.hello)
		s.port.deliver(net.UDPAddrFromAddrPort(s.nextAddress(11)), half)
	}
}

// visitors connect, each with a round trip so long, get an echo, and go.
func (s *siege) visitors(n int, trip time.Duration) {
	for range n {
		link := s.link(trip)
		s.honest.Go(func() { visit(s.t, link, s.client) })
	}
	if trip == 0 {
		s.honest.Wait()
	}
}

// link is an honest client's, with such a round trip.
func (s *siege) link(trip time.Duration) net.Conn {
	address := s.nextAddress(12)
	s.mu.Lock()
	s.delay[address] = trip / 2
	s.mu.Unlock()
	return dtls.FromPacketConn(s.lan.listenWithRoom(address.String(), 8), s.listener.Addr())
}

// check looks at what the Listener has of so many, whose handshakes are under way, and how
// much memory they hold.
func (s *siege) check(places int, held int64) {
	stats := s.listener.Stats()
	s.t.Logf("%d came, %d are there and hold %d bytes each", s.came, stats.Connections, held/int64(places))
	if stats.Connections < places || stats.Connections > places+visiting {
		s.t.Errorf("%d connections, expected %d and a few visitors", stats.Connections, places)
	}
	if most := int64(places+visiting) * int64(dtls.HandshakeBound()); held > most && !dtls.RaceDetector {
		s.t.Errorf("they hold %d bytes, more than %d", held, most)
	}
	if gone := uint64(s.came - places); stats.Handshakes.Failed < gone {
		s.t.Errorf("%d ghosts are gone, expected %d", stats.Handshakes.Failed, gone)
	}
}

// end waits until all have gone.
func (s *siege) end() {
	s.honest.Wait()
	time.Sleep(time.Minute)
	if got := s.listener.Stats().Connections; got != 0 {
		s.t.Errorf("%d connections are left", got)
	}
	s.listener.Close()
}

// A crowd of honest clients, several times as many as there are places, harms nobody in it:
// who finds no place comes again, and who has one keeps it.
func TestHonestCrowd(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			oneDatagram(client)
			server.MaxHandshakes = 16
			s := newSiege(t, client, server)
			go echoServed(s.listener)
			for range 64 {
				link := s.link(roundTrip)
				s.honest.Go(func() { call(t, link, client) })
			}
			s.honest.Wait()
			if n := s.listener.Stats().Handshakes.Failed; n > 0 {
				t.Errorf("%d handshakes failed", n)
			}
			s.end()
		})
	})
}

// Callbacks that take their time hold what they were called for, also when its place is
// another's by then: Serve runs no more of them than there are places.
func TestCrowdedCallbacks(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			oneDatagram(client)
			const places = 8
			server.MaxHandshakes = places
			answer := make(chan struct{})
			var running, most atomic.Int32
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				defer running.Add(-1)
				most.Store(max(most.Load(), running.Add(1)))
				<-answer
				return nil, nil
			}
			s := newSiege(t, client, server)
			go echoServed(s.listener)
			for range 10 * places {
				s.ghosts(1)
				synctest.Wait()
			}
			if n := most.Load(); n > places {
				t.Errorf("%d callbacks at once, expected %d", n, places)
			}
			close(answer)
			time.Sleep(2 * time.Second) // then they have been waited for
			s.visitors(1, 0)
			s.end()
		})
	})
}

// Closed while a callback has the last place, Serve lets nobody else in, and ends once that
// returns.
func TestCloseWhileCrowded(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			oneDatagram(client)
			server.MaxHandshakes = 1
			answer, ended := make(chan struct{}), make(chan error, 1)
			var called atomic.Int32
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				called.Add(1)
				<-answer
				return nil, nil
			}
			s := newSiege(t, client, server)
			go func() { ended <- s.listener.Serve(func(*dtls.Conn, []byte) {}) }()
			s.ghosts(1)
			synctest.Wait()
			time.Sleep(2 * time.Second) // it has been waited for, and makes room
			s.ghosts(1)
			synctest.Wait()
			s.listener.Close()
			synctest.Wait()
			if len(ended) > 0 {
				t.Error("Serve ends before the callback does")
			}
			close(answer)
			if err := <-ended; err != net.ErrClosed {
				t.Error(err)
			}
			if n := called.Load(); n != 1 {
				t.Errorf("%d callbacks", n)
			}
		})
	})
}
