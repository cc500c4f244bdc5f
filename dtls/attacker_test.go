package dtls_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

var (
	victim   = netip.MustParseAddrPort(clientAddr)
	stranger = netip.MustParseAddrPort("198.51.100.66:666")
)

// An attacker sees all that goes over a lan, and sends under any address. He
// can't stop anything.
type attacker struct {
	t      testing.TB
	lan    *lan
	server *port
	seen   [][]byte                  // what was sent to the server, in order
	told   map[netip.AddrPort][]byte // what the server sent last to each address
	in     map[netip.AddrPort]int    // bytes that came to the server from each address
	out    map[netip.AddrPort]int    // and went there
	gone   map[netip.AddrPort]bool   // who hears nothing more
}

func newAttacker(t testing.TB, l *lan) *attacker {
	a := &attacker{t: t, lan: l, server: l.ports[netip.MustParseAddrPort(serverAddr)],
		told: map[netip.AddrPort][]byte{}, in: map[netip.AddrPort]int{}, out: map[netip.AddrPort]int{}, gone: map[netip.AddrPort]bool{}}
	l.filter(func(d datagram) error {
		if !fromServer(d) {
			if a.gone[d.from] && a.out[d.from] > 0 {
				return errLost // it has done what it came for
			}
			a.seen = append(a.seen, bytes.Clone(d.data))
			a.in[d.from] += len(d.data)
			return nil
		}
		a.told[d.to] = bytes.Clone(d.data)
		a.out[d.to] += len(d.data)
		if a.gone[d.to] {
			return errLost
		}
		return nil
	})
	return a
}

// send gives the server a datagram under an address.
func (a *attacker) send(from netip.AddrPort, data []byte) {
	a.lan.mu.Lock()
	a.in[from] += len(data)
	a.lan.mu.Unlock()
	a.server.deliver(net.UDPAddrFromAddrPort(from), data)
	synctest.Wait()
}

// answer is what the server last sent to an address.
func (a *attacker) answer(to netip.AddrPort) []byte {
	a.lan.mu.Lock()
	defer a.lan.mu.Unlock()
	return bytes.Clone(a.told[to])
}

// reset begins to count anew.
func (a *attacker) reset() {
	a.lan.mu.Lock()
	defer a.lan.mu.Unlock()
	clear(a.in)
	clear(a.out)
	clear(a.told)
}

// cut lets an address send until it is answered, and hear nothing.
func (a *attacker) cut(address netip.AddrPort) {
	a.lan.mu.Lock()
	defer a.lan.mu.Unlock()
	a.gone[address] = true
}

// bounded checks what went to an address that nobody has validated.
func (a *attacker) bounded(to netip.AddrPort) {
	a.t.Helper()
	a.lan.mu.Lock()
	defer a.lan.mu.Unlock()
	if a.out[to] > 3*a.in[to] {
		a.t.Errorf("%d bytes in from %v, %d out", a.in[to], to, a.out[to])
	}
}

// An intruder is a client's Engine in the hands of an attacker.
type intruder struct {
	*dtls.Engine
	a *attacker
}

func (a *attacker) intruder(client *dtls.Config) *intruder {
	a.t.Helper()
	e, err := dtls.NewClientEngine(client)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := e.Start(time.Now()); err != nil {
		a.t.Fatal(err)
	}
	return &intruder{e, a}
}

func (i *intruder) flight() (all [][]byte) {
	b := make([]byte, 2000)
	for n := i.Transmit(b); n > 0; n = i.Transmit(b) {
		all = append(all, bytes.Clone(b[:n]))
	}
	return all
}

// call sends a flight under an address, and returns the next: that with the
// cookie, since the attacker sees it.
func (i *intruder) call(from netip.AddrPort) [][]byte {
	i.a.t.Helper()
	for _, d := range i.flight() {
		i.a.send(from, d)
	}
	answer := i.a.answer(from)
	if answer == nil {
		i.a.t.Fatal("no challenge")
	}
	if err := i.Receive(answer, time.Now()); err != nil {
		i.a.t.Fatal(err)
	}
	return i.flight()
}

// attacks are what is tried on an association that is open.
var attacks = []struct {
	name string
	do   func(a *attacker, client *dtls.Config)
}{
	{"a spoofed hello", func(a *attacker, client *dtls.Config) {
		for range 10 {
			for _, d := range a.intruder(client).flight() {
				a.send(victim, d)
			}
		}
	}},
	{"the first fragment of one", func(a *attacker, client *dtls.Config) {
		hybrid := *client
		hybrid.CurvePreferences, hybrid.MaxVersion = nil, 0
		for range 10 {
			a.send(victim, a.intruder(&hybrid).flight()[0])
		}
	}},
	{"a copy of everything, from the same address", func(a *attacker, _ *dtls.Config) {
		for _, d := range a.seen {
			a.send(victim, d)
		}
	}},
	{"a copy of everything, backwards", func(a *attacker, _ *dtls.Config) {
		for i := len(a.seen) - 1; i >= 0; i-- {
			a.send(victim, a.seen[i])
		}
	}},
	{"a copy of everything, from elsewhere", func(a *attacker, _ *dtls.Config) {
		for _, d := range a.seen {
			a.send(stranger, d)
		}
	}},
	{"a late cookie", func(a *attacker, client *dtls.Config) {
		late := a.intruder(client).call(victim)
		time.Sleep(61 * time.Second)
		for _, d := range late {
			a.send(victim, d)
		}
	}},
	{"the cookie of another hello", func(a *attacker, client *dtls.Config) {
		for _, d := range a.intruder(client).call(victim) {
			const randomAt = 13 + 12 + 2
			d[randomAt]++
			a.send(victim, d)
		}
	}},
	{"the cookie of another address", func(a *attacker, client *dtls.Config) {
		for _, d := range a.intruder(client).call(stranger) {
			a.send(victim, d)
		}
	}},
	{"alerts in plaintext", func(a *attacker, _ *dtls.Config) {
		for _, version := range []byte{0xfd, 0xff} { // 1.2 and 1.0
			for alert := range byte(120) {
				a.send(victim, []byte{21, 0xfe, version, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, alert})
			}
		}
	}},
	{"noise", func(a *attacker, _ *dtls.Config) {
		for _, d := range a.seen {
			for at := range min(len(d), 60) {
				altered := bytes.Clone(d)
				altered[at] ^= 0x55
				a.send(victim, altered)
			}
		}
	}},
}

// kinds are the associations that they are tried on.
var kinds = []struct {
	name   string
	change func(*dtls.Config)
}{
	{"1.3", highest(dtls.VersionDTLS13)},
	{"1.2", highest(dtls.VersionDTLS12)},
	{"1.3, small", small},
	{"1.3, IDs", identified},
	{"1.2, IDs", together(identified, highest(dtls.VersionDTLS12))},
}

// Whatever an attacker sends, no association dies, none begins, no address moves,
// and nobody gets more than three times what came under his.
//
// RFC 9147 5.11 [1]
func TestAttacker(t *testing.T) {
	for _, kind := range kinds {
		for _, attack := range attacks {
			t.Run(kind.name+"/"+attack.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, server := configs(t, 0)
					client.MinVersion, server.MinVersion = 0, 0
					kind.change(client)
					kind.change(server)
					d := newRebooter(t, client, server)
					a := newAttacker(t, d.lan)
					c, s := d.connect()
					send(t, c, s, "ping")
					send(t, s, c, "pong")
					a.reset()
					attack.do(a, client)
					drain(t, c)
					a.bounded(victim)
					a.bounded(stranger)
					d.connections(1)
					if got := s.RemoteAddr().String(); got != clientAddr {
						t.Errorf("the client's address is %s", got)
					}
					for range 3 {
						send(t, c, s, "still here")
						send(t, s, c, "here too")
						time.Sleep(time.Minute)
					}
				})
			})
		}
	}
}

// drain lets a Conn take what lies in its socket, which has little room and no
// data in it.
func drain(t testing.TB, c *dtls.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(time.Second))
	_, err := c.Read(make([]byte, 10))
	expectError(t, "Read", err, os.ErrDeadlineExceeded)
	c.SetReadDeadline(time.Time{})
}

// An attacker who sees the challenge to a client's address can begin a handshake
// there. He can't end it, and it ends nothing.
func TestAttackerWithCookie(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := configs(t, 0)
				client.MinVersion, server.MinVersion = 0, 0
				kind.change(client)
				kind.change(server)
				d := newRebooter(t, client, server)
				a := newAttacker(t, d.lan)
				c, s := d.connect()
				for range 3 {
					intruder := a.intruder(client)
					for _, d := range intruder.call(victim) {
						a.send(victim, d)
					}
					half := d.accept()
					go half.Handshake()
					for _, d := range a.seen { // all that the client has sent
						a.send(victim, d)
					}
					d.connections(2)
					send(t, c, s, "still here")
					send(t, s, c, "here too")
					time.Sleep(time.Minute)
					d.connections(1)
				}
				again, next := d.connect()
				send(t, again, next, "ping")
				if client.ConnectionIDs != nil { // it may be anybody's
					d.connections(2)
					return
				}
				_, err := s.Read(make([]byte, 10))
				expectError(t, "Read", err, dtls.ErrReplaced)
			})
		})
	}
}

// While a client is in its handshake, what an attacker has sent in its name is
// answered to it: with nothing that could end the handshake (GHSA-hxj9-xwr8-w8pq).
func TestPitfallHelloRace(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := configs(t, 0)
				client.MinVersion, server.MinVersion = 0, 0
				kind.change(client)
				kind.change(server)
				d := newRebooter(t, client, server)
				a := newAttacker(t, d.lan)
				c, done := d.start()
				synctest.Wait() // the cookie has verified
				s := d.accept()
				odd := *client // what no version or suite fits
				odd.MinVersion, odd.MaxVersion = dtls.VersionDTLS13, dtls.VersionDTLS13
				odd.CurvePreferences = []tls.CurveID{tls.CurveP521}
				for _, config := range []*dtls.Config{client, &odd} {
					for seq := range byte(5) {
						for _, d := range a.intruder(config).flight() {
							const seqAt, randomAt = 13 + 5, 13 + 12 + 2
							d[seqAt] = seq
							a.send(victim, d)
						}
					}
				}
				d.finish(s, done)
				send(t, c, s, "ping")
				send(t, s, c, "pong")
				d.connections(1)
			})
		})
	}
}

// A client that a ticket lets in without a cookie, and that is never heard of
// again, gets no more than three times what it sent: not by the server's flight
// and its repetition, and not by what the application answers.
func TestVanishedEarlyClientIsBounded(t *testing.T) {
	for _, size := range []int{0, 100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, dtls.VersionDTLS13)
			client.EarlyData, server.EarlyData = true, true
			client.ClientSessionCache = dtls.NewLRUClientSessionCache(1)
			small(client)
			d := newRebooter(t, client, server)
			a := newAttacker(t, d.lan)
			c, s := d.connect()
			send(t, s, c, "with the ticket")
			c.Close()
			s.Read(make([]byte, 10))
			s.Close()
			time.Sleep(time.Minute)
			d.connections(0)

			a.reset()
			a.cut(victim)
			again, err := dtls.Client(dtls.FromPacketConn(d.lan.listen(clientAddr), d.listener.Addr()), client)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if _, err := again.WriteEarly(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			next := d.accept()
			go func() {
				next.ReadEarly(make([]byte, 2000))
				for range 100 {
					next.WriteEarly(make([]byte, 500))
					time.Sleep(time.Second)
				}
			}()
			for range 200 {
				a.bounded(victim)
				time.Sleep(time.Second)
			}
			if a.out[victim] < a.in[victim] {
				t.Errorf("%d bytes in, %d out: the test tests nothing", a.in[victim], a.out[victim])
			}
			next.Close()
		})
	}
}

// Who repeats pieces of the hello of such a client has only their bytes counted.
func TestPiecesOfEarlyHelloAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, dtls.VersionDTLS13)
		client.EarlyData, server.EarlyData = true, true
		client.ClientSessionCache = dtls.NewLRUClientSessionCache(1)
		d := newRebooter(t, client, server)
		a := newAttacker(t, d.lan)
		c, s := d.connect()
		send(t, s, c, "with the ticket")
		c.Close()
		s.Read(make([]byte, 10))
		s.Close()
		time.Sleep(time.Minute)
		d.connections(0)

		a.reset()
		a.cut(victim)
		a.seen = nil
		again, err := dtls.Client(dtls.FromPacketConn(d.lan.listen(clientAddr), d.listener.Addr()), client)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if _, err := again.WriteEarly([]byte("early")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		next := d.accept()
		const record, fragment = 13, 12
		piece := a.seen[0][:record+fragment] // of a hello that didn't fit into one datagram
		piece[11], piece[12] = 0, fragment
		copy(piece[record+6:], []byte{0, 0, 0, 0, 0, 0}) // no bytes, from 0 on
		go func() {
			for n, err := 1, error(nil); n > 0 && err == nil; {
				n, err = next.ReadEarly(make([]byte, 2000))
			}
		}()
		for range 100 {
			next.WriteEarly(make([]byte, 500))
			a.send(victim, bytes.Clone(piece))
			a.bounded(victim)
			time.Sleep(time.Second)
		}
		if a.out[victim] < a.in[victim] {
			t.Errorf("%d bytes in, %d out: the test tests nothing", a.in[victim], a.out[victim])
		}
		next.Close()
	})
}

// A ticket that was seen lets nobody take the place of a handshake that is under
// way: without a cookie only an address where there is none is taken.
func TestTicketReplacesNoHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, dtls.VersionDTLS13)
		client.EarlyData, server.EarlyData = true, true
		client.ClientSessionCache = dtls.NewLRUClientSessionCache(1)
		small(client)
		d := newRebooter(t, client, server)
		a := newAttacker(t, d.lan)
		c, s := d.connect()
		send(t, s, c, "with the ticket")
		a.reset()
		again, done := d.start()
		synctest.Wait()
		next := d.accept()
		if d.listener.Stats().Challenges != 1 {
			t.Fatalf("%+v, want a hello without a cookie", d.listener.Stats())
		}
		forged := a.seen[len(a.seen)-1]
		const randomAt = 13 + 12 + 2
		forged[randomAt]++
		forged[len(forged)-1]++ // of the binder
		a.send(victim, forged)
		d.connections(2)
		send(t, c, s, "still here")
		d.finish(next, done)
		send(t, again, next, "ping")
	})
}
