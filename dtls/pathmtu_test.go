package dtls

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/pathmtu"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// carrying is the fate on a path that loses all that is larger than size, without a word.
func carrying(size *int) func(*simulation) {
	return fated(losing(func(p *parcel) bool { return len(p.data) > *size }))
}

// maxMTU lets the client search, for up to so many bytes.
func maxMTU(size int) func(client, server *Config) {
	return func(client, _ *Config) { client.MaxMTU = size }
}

// answering lets the server know path_challenges.
func answering(_, server *Config) { server.MaxMTU = 65507 }

// probers are the ways to probe.
var probers = []setting{
	{"1.3, path_challenge", answering},
	{"1.3, path_challenge, connection IDs", identified(4, 8)},
	{"1.3, path_challenge, connection ID of the client's", together(answering, func(client, _ *Config) { client.ConnectionIDs = RandomConnectionIDs(4) })},
	{"1.3, path_challenge, short headers", together(answering, shortHeaders)},
	{"1.3, path_challenge, Store", together(answering, keeping)},
	{"1.3, KeyUpdate", together()},
	{"1.3, KeyUpdate, short headers, CCM", together(shortHeaders, cipherSuite(TLS_AES_128_CCM_SHA256))},
	{"1.2, path_challenge", together(only12, identified(4, 8))},
	{"1.2, path_challenge, CBC", together(only12, identified(4, 8), cipherSuite(TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256))},
}

// searched returns a simulation whose client looks for the MTU of a path of that size.
func searched(t *testing.T, path *int, changes ...func(client, server *Config)) *simulation {
	t.Helper()
	client, server := with(changes...)
	s := simulate(t, 1, client, server, carrying(path))
	if err := s.run(s.open); err != nil {
		t.Fatal(err)
	}
	return s
}

// expectMTU checks what the client has found on a path of that size, and that data of that
// size arrives and what is larger doesn't leave.
func (s *simulation) expectMTU(path int) {
	s.t.Helper()
	m, near := s.client.PathMTU(), 8
	if w := s.client.newest(); w.size(100) == w.size(101) || w.size(101) == w.size(102) { // CBC has steps
		near = 16
	}
	if m.State != MTUFound || m.Datagram > path || path-m.Datagram >= near {
		s.t.Fatalf("%+v on a path of %d bytes", m, path)
	}
	s.server.read = nil
	b := s.client.seal(string(make([]byte, m.Data)))
	if len(b) > m.Datagram {
		s.t.Fatalf("%d bytes of data make a datagram of %d: %+v", m.Data, len(b), m)
	}
	s.send(s.client, b, home)
	s.advance(2 * latency)
	if len(s.server.read) != 1 || len(s.server.read[0]) != m.Data {
		s.t.Fatalf("%d bytes don't arrive", m.Data)
	}
	if _, err := s.client.Write(make([]byte, 1<<15), make([]byte, m.Data+1), s.now); err != ErrTooLong {
		s.t.Fatalf("%d bytes: %v", m.Data+1, err)
	}
}

// probesOf are the datagrams of the client that are as large as one that was asked about.
func (s *simulation) probesFrom(at time.Time) (n int) {
	for _, p := range s.sent {
		if p.from == s.client && !p.left.Before(at) && len(p.data) > 200 {
			n++
		}
	}
	return n
}

// The search ends with what the path carries, less than 8 bytes below it, whatever it is.
// The handshake has come through with smaller datagrams where it must.
//
// RFC 9147 4.4 [2, 5]; RFC 9853 5.3 [1]
func TestPathMTU(t *testing.T) {
	const ipv4 = 28 // bytes of the headers of IPv4 and UDP
	for _, c := range []struct {
		link, most int
		probes     int // at most
		takes      time.Duration
	}{
		{296, 1472, 27, 25 * time.Second},
		{576, 1472, 26, 25 * time.Second},
		{1200, 1472, 20, 17 * time.Second},
		{1280, 1472, 15, 13 * time.Second},
		{1500, 1472, 3, 4 * latency},
		{1500, 8972, 31, 28 * time.Second},
		{9000, 8972, 3, 4 * latency},
	} {
		for _, p := range probers {
			client, server := with(p.change, maxMTU(c.most))
			path := c.link - ipv4
			s := simulate(t, 1, client, server, carrying(&path))
			if err := s.run(func() bool { return s.open() && !s.client.Outstanding() }); err != nil {
				t.Fatalf("%s, MTU %d: %v", p.name, c.link, err)
			}
			began := s.now
			found := func() bool { return s.client.PathMTU().State == MTUFound }
			err := s.run(found)
			for err != nil && s.client.search.updates == maxUpdates { // it waits for data
				s.client.post("a word")
				err = s.run(found)
			}
			if err != nil {
				t.Fatalf("%s, MTU %d: %v, %+v", p.name, c.link, err, s.client.PathMTU())
			}
			probes := s.probesFrom(began)
			t.Logf("%s, MTU %d: %+v after %v and %d probes", p.name, c.link, s.client.PathMTU(), s.now.Sub(began), probes)
			if s.now.Sub(began) > c.takes || probes > c.probes {
				t.Errorf("%s, MTU %d: found after %v and %d probes", p.name, c.link, s.now.Sub(began), probes)
			}
			s.expectMTU(path)
			s.settle()
			s.exchange()
		}
	}
}

// A black hole that appears later is found by whoever writes, and when it is gone, what is
// possible again.
func TestPathMTUBlackHole(t *testing.T) {
	for _, p := range probers {
		for _, smaller := range []int{1300, 1200, 548, 300} {
			path := 1472
			s := searched(t, &path, p.change, maxMTU(1472))
			s.settle()
			s.expectMTU(1472)
			path = smaller
			limit := pathmtu.Confirm + 40*time.Second
			since := s.converse(limit, func() bool { m := s.client.PathMTU(); return m.State == MTUFound && m.Datagram <= smaller })
			if since > limit {
				t.Fatalf("%s: a path that carries %d bytes now: %+v after %v", p.name, smaller, s.client.PathMTU(), since)
			}
			s.expectMTU(smaller)
			if smaller != 1300 {
				continue
			}
			path = 1472
			if since := s.converse(pathmtu.Raise+pathmtu.Confirm, func() bool { return s.client.PathMTU().Datagram == 1472 }); since < pathmtu.Raise/2 {
				t.Errorf("%s: larger ones were tried after %v", p.name, since)
			}
			s.expectMTU(1472)
		}
	}
}

// converse lets the client write a little every second, and the server answer, until done,
// and returns how long that took; more than limit: it was never.
func (s *simulation) converse(limit time.Duration, done func() bool) time.Duration {
	s.t.Helper()
	for began := s.now; ; s.advance(time.Second) {
		if since := s.now.Sub(began); done() || since > limit {
			return since
		}
		for _, d := range []*side{s.client, s.server} {
			if d.err != nil {
				s.t.Fatalf("%s: %v", d.name, d.err)
			}
			d.post("a word")
		}
	}
}

// When nothing arrives it isn't the size that is at fault: the MTU isn't lowered below
// where it began, and what was found is found again afterwards.
func TestPathMTUSilence(t *testing.T) {
	for _, p := range probers {
		path := 1400
		s := searched(t, &path, p.change, maxMTU(1472))
		s.settle()
		s.expectMTU(1400)
		path = 0
		if s.converse(3*time.Minute, func() bool { return s.client.PathMTU().Datagram < handshake.DefaultMTU }) < 3*time.Minute {
			t.Errorf("%s: on a path that is dead: %+v", p.name, s.client.PathMTU())
		}
		if n := len(s.client.search.asked); n > 3 {
			t.Errorf("%s: %d answers are awaited", p.name, n)
		}
		path = 1400
		s.converse(2*time.Minute, func() bool { m := s.client.PathMTU(); return m.State == MTUFound && m.Datagram > 1390 })
		s.expectMTU(1400)
	}
}

// A few losses by chance don't fool it.
func TestPathMTULoss(t *testing.T) {
	for _, p := range probers {
		path := 1400
		s := searched(t, &path, p.change, maxMTU(1472))
		sized := s.fate
		s.fate = func(p *parcel) []time.Duration {
			if s.random.IntN(10) == 0 {
				return nil
			}
			return sized(p)
		}
		s.converse(time.Minute, func() bool { return s.client.PathMTU().State == MTUFound })
		s.fate = sized
		s.settle()
		s.expectMTU(1400)
	}
}

// A connection that says nothing has no timer, and sends nothing.
func TestPathMTUAtRest(t *testing.T) {
	for _, p := range probers {
		path := 1400
		s := searched(t, &path, p.change, maxMTU(1472))
		s.settle() // no deadlines
		sent := len(s.sent)
		s.advance(time.Hour)
		if len(s.sent) != sent {
			t.Errorf("%s: %d datagrams in an hour of silence", p.name, len(s.sent)-sent)
		}
		s.exchange()
		s.settle()
		if n := s.probesFrom(s.now.Add(-time.Minute)); n == 0 {
			t.Errorf("%s: what was found an hour ago is not asked for again", p.name)
		}
	}
}

// Who can't be asked is not asked, and the Engine says so. What it then has is what it had
// without the option.
func TestPathMTUUnprobed(t *testing.T) {
	for name, change := range map[string]func(client, server *Config){
		"1.2":                   only12,
		"1.2, no ID on ours":    together(only12, identified(4, 0)),
		"1.2, NoPathCheck":      together(only12, identified(4, 8), pathCheckOf(NoPathCheck)),
		"1.3, DisableKeyUpdate": func(client, _ *Config) { client.DisableKeyUpdate = true },
		"1.3, Store":            keeping,
		"1.3, small records":    recordSizeLimit(1000, 1000),
	} {
		path := 9000
		s := searched(t, &path, change, maxMTU(1472))
		s.settle()
		if m := s.client.PathMTU(); m.State != MTUUnprobed || m.Datagram != handshake.DefaultMTU {
			t.Errorf("%s: %+v", name, m)
		}
		if m := s.server.PathMTU(); m.State != MTUAssumed {
			t.Errorf("%s: the server, which doesn't search: %+v", name, m)
		}
		if n := s.client.Stats().KeyUpdatesSent; n > 0 {
			t.Errorf("%s: %d key updates", name, n)
		}
		if _, err := s.client.Write(make([]byte, 2048), make([]byte, min(1300, s.client.State().MaxPlaintext)), s.now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Before the handshake nothing is known, and without the option the MTU is what it is set to.
func TestPathMTUWithoutSearch(t *testing.T) {
	client, server := with(mtu(1300))
	s := simulate(t, 1, client, server)
	if m := s.client.PathMTU(); m != (PathMTU{Datagram: 1300}) {
		t.Errorf("before the handshake: %+v", m)
	}
	s.settle()
	if m := s.client.PathMTU(); m != (PathMTU{Datagram: 1300, Data: 1300 - 5 - 1 - 16}) {
		t.Errorf("after the handshake: %+v", m)
	}
	if err := s.client.SetMTU(600); err != nil {
		t.Fatal(err)
	}
	if m := s.client.PathMTU(); m.Datagram != 600 {
		t.Errorf("after SetMTU: %+v", m)
	}
}

// Data is exact: so much makes a datagram of the MTU, or one that CBC rounds down.
//
// RFC 9147 4.4 [5]
func TestPathMTUData(t *testing.T) {
	for _, p := range append(probers, protections...) {
		for size := handshake.MinMTU; size < handshake.MinMTU+20; size += 3 {
			client, server := with(p.change, mtu(size))
			s := simulate(t, 1, client, server)
			s.settle()
			for range fullNumbers + 1 {
				m := s.client.PathMTU()
				if n := len(s.client.seal(string(make([]byte, m.Data)))); n > m.Datagram || m.Datagram-n > 16 {
					t.Fatalf("%s: %+v, and a datagram of %d bytes", p.name, m, n)
				}
			}
		}
	}
}

// Whose flights others repeat sends no KeyUpdate that nobody repeats, until the timer does.
func TestPathMTUWithoutTimer(t *testing.T) {
	client, server := with(maxMTU(1472))
	s := simulate(t, 1, client, server, func(s *simulation) { s.client.StopRetransmitTimer() })
	s.settle()
	if m := s.client.PathMTU(); m.State != MTUUnprobed || s.client.Stats().KeyUpdatesSent != 0 {
		t.Errorf("%+v, %d KeyUpdates", m, s.client.Stats().KeyUpdatesSent)
	}
	s.client.StartRetransmitTimer(s.now)
	s.client.did(nil)
	s.settle()
	s.expectMTU(1472)
	s.client.StopRetransmitTimer()
	sent := s.client.Stats().KeyUpdatesSent
	s.exchange()
	s.advance(pathmtu.Raise)
	if n := s.client.Stats().KeyUpdatesSent - sent; n != 0 {
		t.Errorf("%d KeyUpdates, stopped again", n)
	}
}

// A KeyUpdate goes to nobody who hasn't acknowledged the last one.
func TestPathMTUOfSilentPeer(t *testing.T) {
	path := 1472
	s := searched(t, &path, maxMTU(1472))
	s.settle()
	sent := s.client.Stats().KeyUpdatesSent
	for range 10 { // the server says nothing
		s.client.post("a word")
		s.advance(pathmtu.Confirm)
	}
	s.settle()
	if n := s.client.Stats().KeyUpdatesSent - sent; n < 9 { // but it acknowledges
		t.Errorf("%d KeyUpdates", n)
	}
	path = 0
	updates := len(s.sent)
	for range 10 {
		s.client.post("a word")
		s.advance(time.Second)
	}
	large := 0
	for _, p := range s.sent[updates:] {
		if len(p.data) > 1000 {
			large++
		}
	}
	if large > 1 {
		t.Errorf("%d probes into the void", large)
	}
}

// Who gives Transmit a smaller buffer finds no more than fits.
func TestPathMTUSmallBuffer(t *testing.T) {
	path := 9000
	s := searched(t, &path, answering, maxMTU(1472))
	s.client.room = 1400
	s.settle()
	s.expectMTU(1400)
}

// There are no probes once one side has said goodbye.
func TestPathMTUClosed(t *testing.T) {
	for _, p := range probers {
		path := 1400
		s := searched(t, &path, p.change, maxMTU(1472))
		s.settle()
		s.client.post("a word")
		s.server.Close(s.now)
		s.server.did(nil)
		s.advance(latency)
		closed := s.now
		s.advance(time.Minute)
		s.client.Close(s.now)
		s.client.did(nil)
		s.advance(time.Minute)
		if n := s.probesFrom(closed); n > 0 {
			t.Errorf("%s: %d probes", p.name, n)
		}
	}
}

// SetMTU ends the search.
func TestPathMTUSet(t *testing.T) {
	path := 1400
	s := searched(t, &path, answering, maxMTU(1472))
	if err := s.client.SetMTU(1000); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if m := s.client.PathMTU(); m.Datagram != 1000 || m.State != MTUUnprobed {
		t.Errorf("%+v", m)
	}
}

// Nobody can lower the MTU or raise it without the keys: not by what he alters, repeats or
// makes up.
func TestPathMTUForgeries(t *testing.T) {
	for _, p := range probers {
		path := 1400
		s := searched(t, &path, p.change, maxMTU(1472))
		honest := s.fate
		s.fate = func(p *parcel) []time.Duration {
			arrivals := honest(p)
			for i := range p.data { // one byte of it altered, and all of it twice
				if i%7 == 0 && len(p.data) < 100 {
					altered := bytes.Clone(p.data)
					altered[i] ^= 1
					s.air = append(s.air, &parcel{from: p.from, data: altered, by: p.by, to: p.to, left: s.now, at: s.now.Add(latency / 2)})
				}
			}
			return append(arrivals, arrivals...)
		}
		s.settle()
		s.expectMTU(1400)
		before := s.client.PathMTU()
		s.client.receive([]byte{byte(protocol.ReturnRoutability), 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9, pathResponse, 0, 0, 0, 0, 0, 0, 0, 0})
		if m := s.client.PathMTU(); m != before {
			t.Errorf("%s: %+v", p.name, m)
		}
	}
}

// Peers take so many KeyUpdates without data in between, and no more (BoringSSL 32): however
// long the search, it waits for data before.
func TestPathMTUKeyUpdatesInARow(t *testing.T) {
	const most = 32
	path := 548
	s := searched(t, &path, maxMTU(65507))
	s.advance(5 * time.Minute)
	if n := s.client.Stats().KeyUpdatesSent; n > most/2 {
		t.Errorf("%d KeyUpdates, and no data", n)
	}
	before := s.client.Stats().KeyUpdatesSent
	s.converse(time.Minute, func() bool {
		n := s.client.Stats().KeyUpdatesSent
		if n > before+2 {
			t.Fatalf("%d KeyUpdates in a second", n-before)
		}
		before = n
		return s.client.PathMTU().State == MTUFound
	})
	s.expectMTU(path)
}

// What the old path answers late says nothing about the new one.
func TestPathMTULateAnswer(t *testing.T) {
	path := 1472
	s := searched(t, &path, identified(4, 8), func(_, server *Config) { server.MaxMTU = 1472 })
	s.settle()
	asked := probe{size: handshake.DefaultMTU, cookie: cookie{1}}
	s.server.search.asked = []probe{asked} // before it was found
	path = 700
	s.server.Migrate(address(2), s.now)
	if s.server.answeredPath(asked.cookie) || s.server.search.Awaits() {
		t.Error("an answer from the old path counts for the new one")
	}
}

// On another path it begins again.
func TestPathMTUMoves(t *testing.T) {
	for _, version := range []func(client, server *Config){together(), only12} {
		path := 1472
		s := searched(t, &path, version, identified(4, 8), func(_, server *Config) { server.MaxMTU = 1472 })
		s.settle()
		if m := s.server.PathMTU(); m.Datagram != 1472 {
			t.Fatalf("%+v", m)
		}
		path = 1300
		s.client.at = address(2)
		s.client.post("from elsewhere")
		s.settle()
		if m := s.server.PathMTU(); s.server.Path() != address(2) || m.State != MTUFound || m.Datagram > 1300 || m.Datagram <= 1292 {
			t.Errorf("at %v: %+v", s.server.Path(), m)
		}
	}
}

// Where it goes on elsewhere, it begins again.
func TestPathMTUImported(t *testing.T) {
	path := 1472
	s := searched(t, &path, answering, maxMTU(1472), func(client, _ *Config) { client.InsecureImportWithoutStore = true })
	s.settle()
	key := make([]byte, blobKeySize)
	blob, err := s.client.Export(key, s.now)
	if err != nil {
		t.Fatal(err)
	}
	config := s.client.config
	if s.client.Engine, err = ImportEngine(config, blob, key, s.now); err != nil {
		t.Fatal(err)
	}
	path = 1300
	s.client.did(nil)
	s.settle()
	s.expectMTU(1300)
	if errors.Is(s.client.Err(), ErrExported) {
		t.Error("it is the old one")
	}
}

// The largest that a flight after the handshake may have is what was found; where that
// doesn't get through, less is.
//
// RFC 9147 4.4 [13]
func TestPathMTUOfFlights(t *testing.T) {
	path := 1472
	s := searched(t, &path, identified(4, 255), func(_, server *Config) { server.MaxMTU, server.MTU = 1472, 1400 })
	s.settle()
	path = 400
	if err := s.client.RotateConnectionIDs(s.now); err != nil { // it asks for two of 255 bytes
		t.Fatal(err)
	}
	s.client.did(nil)
	s.settle()
	if m := s.server.PathMTU(); m.State != MTUFound || m.Datagram > 400 || m.Datagram <= 392 {
		t.Errorf("%+v", m)
	}
	s.exchange()
}

func TestMaxMTUConfig(t *testing.T) {
	for _, c := range []struct{ mtu, most int }{{0, 1199}, {1300, 1299}, {0, 65508}, {0, -1}} {
		client, _ := with(mtu(c.mtu), maxMTU(c.most))
		_, err := NewClientEngine(client)
		if e, ok := errors.AsType[*ConfigError](err); !ok || e.Field != "MaxMTU" {
			t.Errorf("MTU %d, MaxMTU %d: %v", c.mtu, c.most, err)
		}
	}
}
