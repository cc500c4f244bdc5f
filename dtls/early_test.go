package dtls

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/suite"
	"github.com/pion/transport/v3/test"
)

// withEarly makes both sides ready for 0-RTT, and a server that has seen the client
// at its address.
func withEarly(client, server *Config) {
	resuming(client, server)
	client.EarlyData, server.EarlyData = true, true
}

var earlyAddress = netip.MustParseAddr("192.0.2.7")

// earlyConfigs are Configs of which the client has sessions, many.
func earlyConfigs(t testing.TB, changes ...func(client, server *Config)) (client, server *Config) {
	t.Helper()
	client, server = with(append([]func(client, server *Config){withEarly}, changes...)...)
	server.SessionTickets = 5
	simulate(t, 0, client, server, func(s *simulation) { s.server.machine.ClientAddress = earlyAddress }).settle()
	return client, server
}

// minutes are how long after the first simulation the next one is.
var minutes atomic.Int64

// later is simulate when all tickets of before are a minute old or more.
func later(t testing.TB, seed uint64, client, server *Config, options ...func(*simulation)) *simulation {
	t.Helper()
	return simulate(t, seed, client, server, append(options, func(s *simulation) {
		s.now = s.now.Add(time.Duration(minutes.Add(1)) * time.Minute)
	})...)
}

// writeEarly has a side send one record before the handshake is complete.
func (d *side) writeEarly(data string) error {
	buf := make([]byte, len(data)+100)
	n, err := d.WriteEarly(buf, []byte(data), d.s.now)
	if err == nil {
		d.s.send(d, buf[:n], d.Path())
	}
	return err
}

// mustWriteEarly is writeEarly where that has to work.
func (s *simulation) mustWriteEarly(data ...string) {
	s.t.Helper()
	for _, d := range data {
		if err := s.client.writeEarly(d); err != nil {
			s.t.Fatal(err)
		}
	}
}

// takeEarly is the server's early data so far, record by record.
func (s *simulation) takeEarly() (got []string) {
	buf := make([]byte, 100)
	for n, ok := s.server.ReadEarly(buf); ok; n, ok = s.server.ReadEarly(buf) {
		got = append(got, string(buf[:n]))
	}
	return got
}

// arrive lets one round of datagrams arrive, and no more.
func (s *simulation) arrive() {
	for n := len(s.air); n > 0; n-- {
		s.step()
	}
}

func TestEarlyData(t *testing.T) {
	client, server := earlyConfigs(t)
	s := later(t, 0, client, server)
	s.mustWriteEarly("one", "two")
	if state := s.client.State(); !state.DidResume || state.Version != VersionDTLS13 {
		t.Errorf("predicted: %+v", state)
	}
	s.arrive()
	if len(s.server.read) > 0 {
		t.Error("Read gives data before the association is open")
	}
	if got := s.takeEarly(); !slices.Equal(got, []string{"one", "two"}) || s.server.Open() {
		t.Fatalf("%q, %v", got, s.server.Err())
	}
	if state := s.server.State(); !state.EarlyDataAccepted || state.EarlyBytes != 6 {
		t.Errorf("%+v", state)
	}
	s.server.writeEarly("answer")
	s.settle()
	if len(s.client.read) != 1 || string(s.client.read[0]) != "answer" {
		t.Errorf("%q", s.client.read)
	}
	if !s.client.State().EarlyDataAccepted || s.client.State().HelloRetryRequest || !s.server.EarlyOver() {
		t.Errorf("%+v", s.client.State())
	}
	if err := s.client.writeEarly("later"); err != nil {
		t.Error(err)
	}
	s.settle()
	s.exchange()
	// Nothing marks the end of early data (RFC 9147 5.6): one datagram from the
	// client for its hello, two of early data, one for its Finished.
	if from := s.sent[0].from; from != s.client || len(s.sent[3].data) == 0 {
		t.Error("the first flight is not the client's")
	}
}

// A server that doesn't ask for early data gets it by Read, in order, once the
// association is open.
func TestEarlyDataWaits(t *testing.T) {
	client, server := earlyConfigs(t)
	s := later(t, 0, client, server)
	s.mustWriteEarly("one", "two")
	s.settle()
	got := s.server.read
	if len(got) != 2 || string(got[0]) != "one" || string(got[1]) != "two" || s.server.early.data != nil {
		t.Errorf("%q", got)
	}
}

// Whatever is lost, the handshake ends well; early data arrives once or never,
// and never without its ClientHello.
func TestLossOfEarlyData(t *testing.T) {
	client, server := earlyConfigs(t)
	const n = 7
	for mask := range 1 << n {
		s := later(t, 0, client, server, fated(losing(func(p *parcel) bool { return p.index < n && mask>>p.index&1 != 0 })))
		s.mustWriteEarly("one", "two", "three")
		if err := s.run(s.quiet); err != nil {
			t.Fatalf("mask %0*b: %v", n, mask, err)
		}
		var want []string
		for i, data := range []string{"one", "two", "three"} {
			if helloCame := mask&1 == 0; helloCame && mask>>(i+1)&1 == 0 {
				want = append(want, data)
			}
		}
		var got []string
		for _, data := range s.server.read {
			got = append(got, string(data))
		}
		if !slices.Equal(got, want) || !s.server.State().EarlyDataAccepted {
			t.Fatalf("mask %0*b: got %q, want %q, %s", n, mask, got, want, s.server.State().EarlyDataReason)
		}
		s.exchange()
	}
}

// In a storm, too, nothing comes twice.
func TestStormOfEarlyData(t *testing.T) {
	client, server := earlyConfigs(t)
	for seed := range uint64(runs(1000)) {
		s := later(t, seed, client, server, stormy)
		s.run(func() bool { return len(s.sent) > 0 })
		s.mustWriteEarly("one", "two", "three")
		if err := s.run(s.quiet); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		seen := map[string]int{}
		for _, data := range s.server.read {
			if seen[string(data)]++; seen[string(data)] > 1 {
				t.Fatalf("seed %d: %q came twice", seed, data)
			}
		}
		if s.client.EarlyDataRejected() { // lawful if ticket and hello were so long under way that its age doesn't fit
			if reason := s.server.State().EarlyDataReason; reason != EarlyDataTicketAge || len(seen) > 0 {
				t.Fatalf("seed %d: rejected because of %s, and %q came", seed, reason, s.server.read)
			}
			s.client.ForgetEarlyData()
		}
		s.exchange()
	}
}

// A first flight that is sent again gets a handshake, and no data.
//
// RFC 9846 8 [1]
func TestEarlyReplay(t *testing.T) {
	client, server := earlyConfigs(t)
	s := later(t, 0, client, server)
	start := s.now
	s.mustWriteEarly("one")
	flight := [][]byte{s.sent[0].data, s.sent[1].data}
	s.settle()
	if len(s.server.read) != 1 {
		t.Fatalf("%q", s.server.read)
	}
	for range 2 { // to another Engine, with the same datagrams twice
		again := simulate(t, 0, client, server, func(s *simulation) { s.now = start })
		for _, d := range append(slices.Clone(flight), flight...) {
			again.server.receive(d)
		}
		if got := again.takeEarly(); len(got) > 0 || again.server.State().EarlyDataReason != handshake.EarlyDataReplayed {
			t.Errorf("%q, %s", got, again.server.State().EarlyDataReason)
		}
	}
}

// TestEarlyDataRejected: nothing arrives, Write says so, and the application
// tries again on the same association.
//
// RFC 9846 4.3.10 [13]
func TestEarlyDataRejected(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(client, server *Config)
		want EarlyDataReason
	}{
		{"disabled", func(_, server *Config) { server.EarlyData = false }, EarlyDataPeerDeclined},
		{"HelloRetryRequest", retry, EarlyDataHelloRetry},
		{"suite", func(_, server *Config) { server.CipherSuites = []uint16{TLS_CHACHA20_POLY1305_SHA256} }, EarlyDataNotResumed},
		{"session", func(_, server *Config) { server.CipherSuites = []uint16{TLS_AES_256_GCM_SHA384} }, EarlyDataNotResumed},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := earlyConfigs(t)
			c.then(client, server)
			s := later(t, 0, client, server)
			s.mustWriteEarly("one")
			s.settle()
			if len(s.server.read) > 0 || s.client.State().EarlyDataReason != c.want {
				t.Errorf("%q, %s", s.server.read, s.client.State().EarlyDataReason)
			}
			if _, err := s.client.Write(make([]byte, 100), []byte("more"), s.now); err != ErrEarlyDataRejected {
				t.Errorf("Write: %v", err)
			}
			s.client.ForgetEarlyData()
			s.exchange()
		})
	}
}

// Early data that was overtaken is taken for two seconds after the handshake,
// but not behind data of a later epoch.
//
// RFC 9147 5.6 [1]
func TestLateEarlyData(t *testing.T) {
	wait := func(d time.Duration) func(s *simulation) {
		return func(s *simulation) {
			s.fate, s.air = losing(func(*parcel) bool { return true }), nil // no ACK of the tickets comes
			s.advance(d)
		}
	}
	for _, c := range []struct {
		name  string
		after func(s *simulation)
		want  string
	}{
		{"soon", wait(1900 * time.Millisecond), "late"},
		{"too late", wait(2100 * time.Millisecond), ""},
		{"behind an ACK", func(s *simulation) { s.settle() }, ""},
		{"behind other data", func(s *simulation) { s.exchange() }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := earlyConfigs(t)
			s := later(t, 0, client, server)
			buf := make([]byte, 100)
			n, err := s.client.WriteEarly(buf, []byte("late"), s.now)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.run(s.open); err != nil {
				t.Fatal(err)
			}
			c.after(s)
			s.server.read = nil
			s.server.receive(bytes.Clone(buf[:n]))
			s.server.receive(buf[:n])
			got := ""
			for _, data := range s.server.read {
				got += string(data)
			}
			if got != c.want || s.server.Err() != nil {
				t.Errorf("got %q, want %q; %v", got, c.want, s.server.Err())
			}
		})
	}
}

// A server takes no more early data than it said, and the client sends no more.
//
// RFC 9846 4.7.1 [9]
func TestMaxEarlyData(t *testing.T) {
	client, server := earlyConfigs(t, func(_, server *Config) { server.MaxEarlyData = 10 })
	s := later(t, 0, client, server)
	s.mustWriteEarly("12345678")
	if err := s.client.writeEarly("123"); err != ErrNoEarlyData {
		t.Errorf("more than the ticket allows: %v", err)
	}
	s.mustWriteEarly("12")
	buf := make([]byte, 100)
	n, err := s.client.Engine.seal(s.client.early.write, buf, []byte("!"))
	if err != nil {
		t.Fatal(err)
	}
	s.arrive()
	s.server.receive(buf[:n])
	expectAlert(t, s.server.Err(), alert.UnexpectedMessage)
	if !errors.Is(s.server.Err(), alert.TooMuchEarlyData) {
		t.Error(s.server.Err())
	}
}

// Plaintext stays good until the client has shown itself: anybody may have sent
// the early data.
func TestEarlyDataProvesNothing(t *testing.T) {
	client, server := earlyConfigs(t)
	s := later(t, 0, client, server)
	s.mustWriteEarly("one")
	s.arrive()
	if s.server.authenticated {
		t.Error("early data authenticates the client")
	}
	s.settle()
	if !s.server.authenticated {
		t.Error("the client's Finished does not")
	}
}

// --- Without a cookie

// knownCaller is a client that has a session of its address with the server, and
// offers early data.
func knownCaller(t *testing.T, change func(client, server *Config)) (*greeter, *caller) {
	client, server := earlyConfigs(t)
	change(client, server)
	e, err := NewClientEngine(client)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{Engine: e, t: t, now: epochOfSimulation.Add(time.Minute)}
	e.Start(c.now)
	for work := e.Work(); work != nil; work = e.Work() {
		work()
		e.Resume(c.now)
	}
	return testGreeter(server), c
}

func TestGreetKnownClient(t *testing.T) {
	from := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 1234) }
	for _, c := range []struct {
		name   string
		change func(client, server *Config)
		from   netip.AddrPort
		later  time.Duration
		want   bool
	}{
		{"known", func(client, server *Config) {}, from(earlyAddress), 0, true},
		{"as IPv6 knows IPv4", func(client, server *Config) {}, from(netip.AddrFrom16(earlyAddress.As16())), 0, true},
		{"somewhere else", func(client, server *Config) {}, from(earlyAddress.Next()), 0, false},
		{"later", func(client, server *Config) {}, from(earlyAddress), 2 * time.Minute, false},
		{"no early data here", func(_, server *Config) { server.EarlyData = false }, from(earlyAddress), 0, false},
		{"no early data there", func(client, _ *Config) { client.EarlyData = false }, from(earlyAddress), 0, false},
		{"another group", retry, from(earlyAddress), 0, false},
		{"without tickets", func(_, server *Config) { server.SessionTicketsDisabled = true }, from(earlyAddress), 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, caller := knownCaller(t, c.change)
			flight := caller.flight()
			greeting := g.greet(bytes.Clone(flight[0]), c.from, caller.now.Add(c.later))
			if got := greeting.welcome != nil; got != c.want || !got && greeting.reply == nil {
				t.Fatalf("%+v", greeting)
			}
			// The second time a hello needs a cookie.
			if greeting := g.greet(bytes.Clone(flight[0]), c.from, caller.now); greeting.reply == nil && c.later == 0 {
				t.Errorf("again: %+v", greeting)
			}
		})
	}
}

// TestBudget: no more than three times what came goes out before the client has
// shown that it is there, however often the timer fires.
//
// RFC 9147 5.1 [7]
func TestBudget(t *testing.T) {
	g, caller := knownCaller(t, func(client, server *Config) {})
	flight := caller.flight()
	w := g.greet(bytes.Clone(flight[0]), netip.AddrPortFrom(earlyAddress, 1), caller.now).welcome
	if w == nil {
		t.Fatal("not welcome")
	}
	e := newServerEngine(g.config)
	w.prepare(e)
	sent := 0
	transmit := func() {
		for buf := make([]byte, 1500); e.Pending(); {
			n := e.Transmit(buf)
			if n == 0 {
				t.Fatal("Pending, and Transmit gave nothing")
			}
			sent += n
		}
	}
	e.Receive(w.hello, caller.now)
	for work := e.Work(); work != nil; work = e.Work() {
		work()
		e.Resume(caller.now)
	}
	transmit()
	first := sent
	for e.Err() == nil {
		e.Expire(e.Deadline())
		transmit()
	}
	if most := amplification * len(flight[0]); first == 0 || sent <= first || sent > most {
		t.Errorf("%d bytes at first, %d in all; %d came", first, sent, len(flight[0]))
	}
}

// The whole of it over sockets: the second connection needs no cookie, and its
// data is there before the handshake is complete.
func TestListenerEarlyData(t *testing.T) {
	defer test.CheckRoutines(t)()
	client, server := with(withEarly)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewListener(pc, server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan *Conn, 1)
	go func() {
		for {
			c, err := l.AcceptConn()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	address := net.UDPAddrFromAddrPort(l.Addr().(*net.UDPAddr).AddrPort())
	dial := func() *Conn {
		socket, err := net.DialUDP("udp", nil, address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Client(socket, client)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	buf := make([]byte, 100)

	first := dial()
	if _, err := first.WriteEarly([]byte("x")); err != ErrNoEarlyData {
		t.Fatalf("without a session: %v", err)
	}
	go first.Handshake()
	s := <-accepted
	if _, err := s.ReadEarly(buf); err != io.EOF {
		t.Fatalf("ReadEarly where there is none: %v", err)
	}
	if _, err := s.Write([]byte("tickets")); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(buf); err != nil {
		t.Fatal(err)
	}

	first.Close()
	if _, err := s.Read(buf); err != io.EOF {
		t.Error(err)
	}
	s.Close()

	second := dial()
	if _, err := second.WriteEarly([]byte("question")); err != nil {
		t.Fatal(err)
	}
	s = <-accepted
	n, err := s.ReadEarly(buf)
	if err != nil || string(buf[:n]) != "question" || s.ConnectionState().HandshakeComplete {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if _, err := s.WriteEarly([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	go s.Handshake()
	if n, err = second.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if state := second.ConnectionState(); state.HelloRetryRequest || !state.EarlyDataAccepted {
		t.Errorf("%+v", state)
	}
	if _, err := second.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if n, err = s.Read(buf); err != nil || string(buf[:n]) != "more" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	s.Write([]byte("bye"))
	if n, err = second.Read(buf); err != nil || string(buf[:n]) != "bye" { // behind the tickets
		t.Fatalf("%q, %v", buf[:n], err)
	}
	second.Close()
	if _, err := s.Read(buf); err != io.EOF {
		t.Error(err)
	}
	s.Close()
}

// TestEarlyDataAtLimit: without a KeyUpdate, early data ends before its key has
// protected as much as it may.
//
// RFC 9846 5.5 [2]
func TestEarlyDataAtLimit(t *testing.T) {
	client, server := earlyConfigs(t)
	s := later(t, 0, client, server)
	s.mustWriteEarly("early")
	s.client.early.write.sealer.Resume(suite.ByID(suite.TLS_AES_128_GCM_SHA256).AEAD.ConfidentialityRecords/4*3, 0)
	if err := s.client.writeEarly("more"); err != ErrNoEarlyData {
		t.Error(err)
	}
	s.settle()
	s.exchange()
}

// Nothing can be written behind a goodbye, however early, nor after the end.
func TestWriteEarlyAtTheEnd(t *testing.T) {
	client, server := earlyConfigs(t)
	s := later(t, 0, client, server)
	s.client.Close(s.now)
	if err := s.client.writeEarly("x"); err != errClosed {
		t.Errorf("behind a goodbye: %v", err)
	}
	s.client.Abort(alert.AccessDenied, s.now)
	if err := s.client.writeEarly("x"); err == nil || err != s.client.Err() {
		t.Errorf("after the end: %v", err)
	}
}
