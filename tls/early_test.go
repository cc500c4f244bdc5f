package tls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
)

// earlyConfigs returns Configs with 0-RTT, of which the client has a session
// with the server.
func earlyConfigs(t testing.TB, changes ...func(client, server *Config)) (client, server *Config) {
	t.Helper()
	client, server = configs(VersionTLS13)
	client.ClientSessionCache = NewLRUClientSessionCache(0)
	client.EarlyData, server.EarlyData = true, true
	for _, change := range changes {
		change(client, server)
	}
	connected(t, client, server)
	return client, server
}

// begin starts the client, writes early data, and returns how much it took.
func (p *pair) begin(t testing.TB, data string) int {
	t.Helper()
	p.client.Start(testTime)
	work(p.client)
	n, err := p.client.WriteEarly([]byte(data), testTime)
	if err != nil && err != ErrNoEarlyData || (err == nil) != (n == len(data)) {
		t.Fatal(n, err)
	}
	return n
}

// workAt is work at a time of its own.
func workAt(e *Engine, now time.Time) {
	for w := e.Work(); w != nil; w = e.Work() {
		w()
		e.Resume(now)
	}
}

// offerAt has the client offer early data when its ticket is ten minutes old,
// and some more by its own clock, and gives it to the server.
func (p *pair) offerAt(t testing.TB, skew time.Duration) {
	t.Helper()
	ours, theirs := testTime.Add(10*time.Minute+skew), testTime.Add(10*time.Minute)
	p.client.Start(ours)
	workAt(p.client, ours)
	if n, err := p.client.WriteEarly([]byte("early"), ours); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	p.server.Receive(drain(p.client), theirs)
	workAt(p.server, theirs)
}

// readEarly is all early data that an Engine has.
func readEarly(e *Engine) []byte {
	var all []byte
	buf := make([]byte, 3)
	for n, ok := e.ReadEarly(buf); ok; n, ok = e.ReadEarly(buf) {
		all = append(all, buf[:n]...)
	}
	return all
}

// RFC 9846 4.3.10 [1, 2, 5], 4.3.11.3 [1]
func TestEarlyData(t *testing.T) {
	client, server := earlyConfigs(t)
	p := newPair(t, client, server)
	if n := p.begin(t, "early"); n != len("early") {
		t.Fatal(n)
	}
	predicted := p.client.State()
	if !predicted.DidResume || predicted.Version != VersionTLS13 || predicted.HandshakeComplete || len(predicted.PeerCertificates) == 0 {
		t.Errorf("predicted: %+v", predicted)
	}
	p.carry(p.client, p.server, &p.fromClient)
	if got, ok := p.server.Read(make([]byte, 9)); ok {
		t.Errorf("Read gives %d bytes before the handshake is complete", got)
	}
	if p.server.EarlyOver() {
		t.Error("the early data is over before it is read")
	}
	if got := readEarly(p.server); string(got) != "early" {
		t.Fatalf("%q, %v", got, p.server.Err())
	}
	state := p.server.State()
	if state.HandshakeComplete || !state.EarlyDataAccepted || state.EarlyBytes != 5 || p.server.EarlyOver() {
		t.Errorf("%+v", state)
	}
	if n, err := p.server.WriteEarly([]byte("answer"), testTime); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	if err := p.server.Write([]byte("answer"), testTime); err != errNotOpen {
		t.Errorf("Write behind the server's Finished: %v", err)
	}
	p.carry(p.server, p.client, &p.fromServer)
	if got := readAll(p.client); string(got) != "answer" || !p.client.Open() {
		t.Fatalf("%q, %v", got, p.client.Err())
	}
	p.pump()
	if !p.server.EarlyOver() || !p.server.Open() {
		t.Error("the server's handshake is not complete")
	}
	for _, s := range []ConnectionState{p.client.State(), p.server.State()} {
		if !s.EarlyDataAccepted || s.EarlyDataReason != EarlyDataAccepted || !s.DidResume {
			t.Errorf("%+v", s)
		}
	}
	p.exchange(t)
	if n, err := p.client.WriteEarly([]byte("late"), testTime); n != 4 || err != nil {
		t.Error(n, err)
	}
	p.pump()
	if got := readAll(p.server); string(got) != "late" {
		t.Errorf("%q", got)
	}
}

// Whoever waits for the handshake reads early data by Read, before all other,
// in whatever pieces the stream comes.
func TestEarlyDataWaits(t *testing.T) {
	for _, size := range []int{1, 7, 1 << 20} {
		client, server := earlyConfigs(t)
		p := newPair(t, client, server)
		p.cut = func(b []byte) (pieces [][]byte) {
			for len(b) > 0 {
				n := min(size, len(b))
				pieces, b = append(pieces, b[:n]), b[n:]
			}
			return pieces
		}
		p.begin(t, "early, ")
		p.pump()
		if err := p.client.Write([]byte("late"), testTime); err != nil {
			t.Fatal(err)
		}
		p.pump()
		if got := readAll(p.server); string(got) != "early, late" || p.server.State().EarlyBytes != 7 {
			t.Errorf("pieces of %d: %q, %v", size, got, p.server.Err())
		}
	}
}

// What is exported of early data is the same on both sides before the handshake
// is complete, and nothing else is exported by the client.
//
// RFC 9846 7.5 [2]
func TestEarlyExporter(t *testing.T) {
	client, server := earlyConfigs(t)
	p := newPair(t, client, server)
	p.begin(t, "early")
	export := func(e *Engine) []byte {
		s := e.State()
		b, err := s.ExportEarlyKeyingMaterial("label", []byte("context"), 32)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ours := export(p.client)
	state := p.client.State()
	if _, err := state.ExportKeyingMaterial("label", nil, 32); !errors.Is(err, alert.HandshakeIncomplete) {
		t.Errorf("keying material before the handshake is complete: %v", err)
	}
	p.carry(p.client, p.server, &p.fromClient)
	if !bytes.Equal(ours, export(p.server)) {
		t.Error("the sides export different early keying material")
	}
	state = p.server.State()
	half, err := state.ExportKeyingMaterial("label", nil, 32) // of a server that may answer
	if err != nil {
		t.Fatal(err)
	}
	p.pump()
	state = p.client.State()
	if whole, err := state.ExportKeyingMaterial("label", nil, 32); err != nil || !bytes.Equal(half, whole) {
		t.Error("the server exported something else behind its Finished", err)
	}
	if !bytes.Equal(ours, export(p.client)) {
		t.Error("the early exporter changes")
	}
}

type failing struct{}

func (failing) Record([]byte, time.Time, time.Time, time.Time) (bool, error) {
	return true, io.ErrClosedPipe
}

func protocols(client, server *Config) {
	client.NextProtos, server.NextProtos = []string{"a", "b"}, []string{"a", "b"}
}

// TestEarlyDataRefused: each reason, as both sides see it; the connection goes
// on, and nothing of the early data arrives until it is written again.
//
// RFC 9846 4.3.10 [3, 4, 5, 8, 10], 4.6 [2]
func TestEarlyDataRefused(t *testing.T) {
	other := func(id uint16) func(client, server *Config) {
		return func(_, server *Config) { server.CipherSuites = []uint16{id} }
	}
	for _, c := range []struct {
		name    string
		before  func(client, server *Config) // for the first connection too
		then    func(client, server *Config)
		age     time.Duration // of the ticket, as the client has it, beyond that of the server
		client  EarlyDataReason
		server  EarlyDataReason
		resumes bool
	}{
		{name: "server disabled", then: func(_, server *Config) { server.EarlyData = false },
			client: EarlyDataPeerDeclined, server: EarlyDataDisabled, resumes: true},
		{name: "ALPN", before: protocols, then: func(_, server *Config) { server.NextProtos = []string{"b"} },
			client: EarlyDataPeerDeclined, server: EarlyDataALPNMismatch, resumes: true},
		{name: "ALPN is new", then: protocols,
			client: EarlyDataPeerDeclined, server: EarlyDataALPNMismatch, resumes: true},
		{name: "suite", then: other(TLS_CHACHA20_POLY1305_SHA256),
			client: EarlyDataNotResumed, server: EarlyDataNotResumed},
		{name: "hash", then: other(TLS_AES_256_GCM_SHA384),
			client: EarlyDataNotResumed, server: EarlyDataNotResumed},
		{name: "HelloRetryRequest", then: func(_, server *Config) { server.CurvePreferences = []tls.CurveID{tls.CurveP384} },
			client: EarlyDataHelloRetry, server: EarlyDataHelloRetry, resumes: true},
		{name: "HelloRetryRequest and hash", then: func(_, server *Config) {
			server.CurvePreferences = []tls.CurveID{tls.CurveP384}
			server.CipherSuites = []uint16{TLS_AES_256_GCM_SHA384}
		}, client: EarlyDataHelloRetry, server: EarlyDataNoSession},
		{name: "ticket too old", age: 61 * time.Second,
			client: EarlyDataPeerDeclined, server: EarlyDataTicketAge, resumes: true},
		{name: "ticket too young", age: -61 * time.Second,
			client: EarlyDataPeerDeclined, server: EarlyDataTicketAge, resumes: true},
		{name: "AntiReplay fails", then: func(_, server *Config) { server.AntiReplay = failing{} },
			client: EarlyDataPeerDeclined, server: EarlyDataAntiReplayFailed, resumes: true},
		{name: "AntiReplay is full", then: func(_, server *Config) {
			r := NewReplayRegister(1, time.Time{})
			r.Record([]byte("somebody else"), testTime, testTime, testTime.Add(time.Hour))
			server.AntiReplay = r
		}, client: EarlyDataPeerDeclined, server: EarlyDataAntiReplayFailed, resumes: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			register := func(_, server *Config) {
				server.TicketKeys, server.AntiReplay = [][32]byte{{1}}, NewReplayRegister(0, time.Time{})
			}
			changes := []func(client, server *Config){register}
			if c.before != nil {
				changes = append(changes, c.before)
			}
			client, server := earlyConfigs(t, changes...)
			if c.then != nil {
				c.then(client, server)
			}
			p := newPair(t, client, server)
			p.offerAt(t, c.age)
			if _, ok := p.server.ReadEarly(make([]byte, 10)); ok {
				t.Error("early data came through")
			}
			p.pump()
			if !p.client.Open() || !p.server.Open() || !p.server.EarlyOver() {
				t.Fatalf("client: %v; server: %v", p.client.Err(), p.server.Err())
			}
			ours, theirs := p.client.State(), p.server.State()
			if ours.EarlyDataReason != c.client || theirs.EarlyDataReason != c.server {
				t.Errorf("client: %s, server: %s", ours.EarlyDataReason, theirs.EarlyDataReason)
			}
			if ours.EarlyDataAccepted || theirs.EarlyDataAccepted || ours.DidResume != c.resumes || theirs.EarlyBytes != 0 {
				t.Errorf("client: %+v; server: %+v", ours, theirs)
			}
			if err := p.client.Write([]byte("early"), testTime); err != ErrEarlyDataRejected {
				t.Errorf("Write after early data got lost: %v", err)
			}
			p.client.ForgetEarlyData()
			p.exchange(t)
		})
	}
}

// TestTicketAge: a minute more or less is allowed, and the server says how much.
//
// RFC 9846 4.3.10 [3]
func TestTicketAge(t *testing.T) {
	for _, skew := range []time.Duration{-60 * time.Second, 0, time.Second, 60 * time.Second} {
		client, server := earlyConfigs(t)
		p := newPair(t, client, server)
		p.offerAt(t, skew)
		if s := p.server.State(); !s.EarlyDataAccepted || s.TicketAgeSkew != skew {
			t.Errorf("skew %v: %s, %v", skew, s.EarlyDataReason, s.TicketAgeSkew)
		}
	}
}

// TestEarlyDataNotOffered: what a client knows already.
//
// RFC 9846 4.3.10 [1], E.1 [2], F.5 [3]
func TestEarlyDataNotOffered(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(client, server *Config)
		then   func(client, server *Config)
		want   EarlyDataReason
	}{
		{"disabled", nil, func(client, _ *Config) { client.EarlyData = false }, EarlyDataDisabled},
		{"1.2", nil, func(client, server *Config) {
			client.MinVersion, client.MaxVersion, server.MinVersion = VersionTLS12, VersionTLS12, VersionTLS12
		}, EarlyDataProtocolVersion},
		{"no session", nil, func(client, _ *Config) { client.ClientSessionCache = nil }, EarlyDataNoSession},
		{"none with the ticket", func(_, server *Config) { server.EarlyData = false },
			func(_, server *Config) { server.EarlyData = true }, EarlyDataUnsupported},
		{"ALPN", protocols, func(client, _ *Config) { client.NextProtos = []string{"b"} }, EarlyDataALPNMismatch},
		{"suite", func(client, server *Config) { server.CipherSuites = []uint16{TLS_AES_128_GCM_SHA256} },
			func(client, server *Config) {
				client.CipherSuites, server.CipherSuites = []uint16{TLS_CHACHA20_POLY1305_SHA256}, nil
			}, EarlyDataSuiteMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before []func(client, server *Config)
			if c.before != nil {
				before = append(before, c.before)
			}
			client, server := earlyConfigs(t, before...)
			c.then(client, server)
			p := newPair(t, client, server)
			if n := p.begin(t, "early"); n != 0 {
				t.Errorf("%d bytes are sent", n)
			}
			p.pump()
			if s := p.client.State(); s.EarlyDataReason != c.want || p.server.State().EarlyDataAccepted {
				t.Errorf("%s", s.EarlyDataReason)
			}
			p.exchange(t)
		})
	}
}

// Whoever sends a first flight again, to the same server or to one that shares
// its keys and its register, gets a handshake and no data twice.
//
// RFC 9846 8 [1, 3, 4], 8.2 [1]
func TestEarlyReplay(t *testing.T) {
	client, server := earlyConfigs(t, func(_, server *Config) {
		server.TicketKeys, server.AntiReplay = [][32]byte{{1}}, NewReplayRegister(0, time.Time{})
	})
	p := newPair(t, client, server)
	p.begin(t, "early")
	flight := drain(p.client)
	again := *server
	for n, config := range []*Config{server, server, &again} {
		for _, late := range []time.Duration{0, 59 * time.Second, 2 * time.Minute, time.Hour} {
			e, err := NewServerEngine(config)
			if err != nil {
				t.Fatal(err)
			}
			e.Receive(flight, testTime.Add(late))
			workAt(e, testTime.Add(late))
			got := readEarly(e)
			if first := n == 0 && late == 0; first != (string(got) == "early") || e.Err() != nil {
				t.Errorf("server %d, %v later: %q, %s", n, late, got, e.State().EarlyDataReason)
			}
		}
	}
}

// A server that was started anew, with the ticket keys that it had, doesn't know
// which first flights the one before has taken. For as long as one of those can come
// again it takes no 0-RTT, of a client whose clock is a minute fast either.
//
// RFC 9846 8.2 [3]
func TestEarlyReplayAfterRestart(t *testing.T) {
	for _, fast := range []time.Duration{-time.Minute, 0, time.Minute} {
		client, server := earlyConfigs(t, func(_, server *Config) {
			server.TicketKeys, server.AntiReplay = [][32]byte{{1}}, NewReplayRegister(0, testTime)
		})
		const sent = 5 * time.Minute
		flight := firstFlight(t, client, testTime.Add(sent+fast))
		if !takesEarly(t, server, flight, 0, sent) {
			t.Errorf("a clock that is %v fast: the first server does not take it", fast)
		}
		for start := sent + time.Second; start < sent+3*time.Minute; start += 10 * time.Second {
			for late := time.Duration(0); late < 4*time.Minute; late += 15 * time.Second {
				if takesEarly(t, server, flight, start, start+late) {
					t.Errorf("a clock that is %v fast: a server that began %v later takes it again, %v later", fast, start-sent, late)
				}
			}
		}
	}
}

// A server that was started anew takes 0-RTT again when its first minute is over.
func TestEarlyDataAfterRestart(t *testing.T) {
	client, server := earlyConfigs(t, func(_, server *Config) {
		server.TicketKeys, server.AntiReplay = [][32]byte{{1}}, NewReplayRegister(0, testTime)
	})
	const sent = 5 * time.Minute
	flight := firstFlight(t, client, testTime.Add(sent))
	for _, age := range []time.Duration{0, time.Second, 59 * time.Second, time.Minute, time.Hour} {
		if got := takesEarly(t, server, flight, sent-age, sent); got != (age >= time.Minute) {
			t.Errorf("%v after the start: %v", age, got)
		}
	}
}

// firstFlight is a client's with 0-RTT.
func firstFlight(t *testing.T, client *Config, now time.Time) []byte {
	t.Helper()
	e, err := NewClientEngine(client)
	if err != nil {
		t.Fatal(err)
	}
	e.Start(now)
	workAt(e, now)
	if _, err := e.WriteEarly([]byte("early"), now); err != nil {
		t.Fatal(err)
	}
	return drain(e)
}

// takesEarly reports whether a server whose register began at start takes the 0-RTT of
// a flight at another time.
func takesEarly(t *testing.T, server *Config, flight []byte, start, at time.Duration) bool {
	t.Helper()
	restarted := *server
	restarted.AntiReplay = NewReplayRegister(0, testTime.Add(start))
	e, err := NewServerEngine(&restarted)
	if err != nil {
		t.Fatal(err)
	}
	now := testTime.Add(at)
	e.Receive(bytes.Clone(flight), now)
	workAt(e, now)
	if e.Err() != nil || !e.State().DidResume {
		t.Fatalf("resumed: %v, %v", e.State().DidResume, e.Err())
	}
	return string(readEarly(e)) == "early"
}

// TestMaxEarlyData: a client writes no more than the ticket allows, and a server
// takes no more.
//
// RFC 9846 4.7.1 [9]
func TestMaxEarlyData(t *testing.T) {
	client, server := earlyConfigs(t, func(_, server *Config) { server.MaxEarlyData = 40_000 })
	p := newPair(t, client, server)
	if n := p.begin(t, strings.Repeat("x", 39_998)); n != 39_998 {
		t.Fatal(n)
	}
	if n, err := p.client.WriteEarly([]byte("yyy"), testTime); n != 2 || err != ErrNoEarlyData {
		t.Fatal(n, err)
	}
	p.pump()
	if got := readAll(p.server); string(got) != strings.Repeat("x", 39_998)+"yy" {
		t.Errorf("%d bytes, %v", len(got), p.server.Err())
	}

	p = newPair(t, client, server)
	p.begin(t, strings.Repeat("x", 39_998))
	p.client.append(23, []byte("yyy"))
	p.pump()
	wantAlert(t, "server", p.server.Err(), alert.UnexpectedMessage, false)
	if !errors.Is(p.server.Err(), alert.TooMuchEarlyData) {
		t.Error(p.server.Err())
	}

	// A ticket's limit stays what it was; a server with less room by now refuses.
	for _, c := range []struct {
		now  int
		want EarlyDataReason
	}{{30_000, EarlyDataUnsupported}, {50_000, EarlyDataAccepted}} {
		register := NewReplayRegister(0, time.Time{})
		keys := func(_, server *Config) {
			server.MaxEarlyData, server.TicketKeys, server.AntiReplay = 40_000, [][32]byte{{1}}, register
		}
		client, server := earlyConfigs(t, keys)
		changed := *server
		changed.MaxEarlyData = c.now
		p := newPair(t, client, &changed)
		p.begin(t, strings.Repeat("x", 40_000))
		p.carry(p.client, p.server, &p.fromClient)
		if s := p.server.State(); s.EarlyDataReason != c.want {
			t.Errorf("with room for %d: %s", c.now, s.EarlyDataReason)
		}
		if c.want != EarlyDataAccepted {
			continue
		}
		p.client.append(23, []byte("!"))
		p.carry(p.client, p.server, &p.fromClient)
		if !errors.Is(p.server.Err(), alert.TooMuchEarlyData) {
			t.Errorf("more than the ticket allows: %v", p.server.Err())
		}
	}

	// Refused, as much is passed over, in small records too.
	_, server = configs(VersionTLS13)
	server.MaxEarlyData = 40_000
	client, _ = earlyConfigs(t, func(_, server *Config) { server.MaxEarlyData = 40_000 })
	p = newPair(t, client, server)
	p.begin(t, strings.Repeat("x", 39_000))
	for range 40 {
		p.begin(t, strings.Repeat("x", 25))
	}
	p.pump()
	p.client.ForgetEarlyData()
	p.exchange(t)
}

// Early data that is taken is protected as all else: a record that was changed ends
// the connection.
//
// RFC 9846 4.3.10 [12]
func TestEarlyDataDamaged(t *testing.T) {
	client, server := earlyConfigs(t)
	p := newPair(t, client, server)
	p.begin(t, "early")
	first := drain(p.client)
	first[len(first)-1] ^= 1
	p.server.Receive(first, testTime)
	work(p.server)
	wantAlert(t, "server", p.server.Err(), alert.BadRecordMAC, false)
	if data := readEarly(p.server); len(data) > 0 {
		t.Errorf("read %q", data)
	}
}

// Data that comes with the second ClientHello doesn't open.
func TestEarlyDataAfterSecondHello(t *testing.T) {
	client, server := earlyConfigs(t)
	server.CurvePreferences = []tls.CurveID{tls.CurveP384}
	p := newPair(t, client, server)
	p.begin(t, "early")
	p.carry(p.client, p.server, &p.fromClient)
	p.carry(p.server, p.client, &p.fromServer) // HelloRetryRequest
	record := "\x17\x03\x03\x00\x20" + strings.Repeat("?", 32)
	p.server.Receive(append(drain(p.client), record...), testTime)
	work(p.server)
	wantAlert(t, "server", p.server.Err(), alert.BadRecordMAC, false)
}

// A server that has lost 1.3 since it gave the session gets no connection.
//
// RFC 9846 E.3 [1]
func TestEarlyDataDowngrade(t *testing.T) {
	client, server := earlyConfigs(t, func(client, _ *Config) { client.MinVersion = VersionTLS12 })
	server.MinVersion, server.MaxVersion = VersionTLS12, VersionTLS12
	p := newPair(t, client, server)
	p.begin(t, "early")
	p.pump()
	wantAlert(t, "client", p.client.Err(), alert.ProtocolVersion, false)
	if !errors.Is(p.client.Err(), alert.EarlyDataVersion) {
		t.Error(p.client.Err())
	}
}

// Early data costs nothing where it is off, and what was kept is given back.
func TestEarlyMemory(t *testing.T) {
	client, server := earlyConfigs(t)
	p := newPair(t, client, server)
	p.begin(t, strings.Repeat("x", 10_000))
	p.pump()
	if n := len(readAll(p.server)); n != 10_000 || p.server.early != nil {
		t.Errorf("%d bytes; %d are kept", n, cap(p.server.early))
	}
}

// --- Conn

// RFC 9846 F.5 [4]
func TestConnEarlyData(t *testing.T) {
	checkLeaks(t)
	client, server := liveEarlyConfigs(t)
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	if n, err := c.WriteEarly([]byte("question")); n != 8 || err != nil {
		t.Fatal(n, err)
	}
	buf := make([]byte, 100)
	n, err := s.ReadEarly(buf)
	if err != nil || string(buf[:n]) != "question" || s.ConnectionState().HandshakeComplete {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if _, err := s.WriteEarly([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if _, err := s.ReadEarly(buf); err != io.EOF {
		t.Errorf("the end of the early data: %v", err)
	}
	if _, err := c.Write([]byte("more")); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "more" || s.ConnectionState().EarlyBytes != 8 {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

// A server that knows nothing of early data, or waits for the handshake, reads
// it once the client is there.
func TestConnEarlyDataRead(t *testing.T) {
	client, server := liveEarlyConfigs(t)
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	c.WriteEarly([]byte("question"))
	go c.Handshake()
	buf := make([]byte, 100)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "question" || !s.ConnectionState().HandshakeComplete {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

// After a refusal, nothing works until the client knows; then it writes again.
//
// RFC 9846 4.3.10 [13], F.5 [3]
func TestConnEarlyDataRejected(t *testing.T) {
	client, server := liveEarlyConfigs(t)
	server.EarlyData = false
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	c.WriteEarly([]byte("question"))
	go func() {
		if _, err := s.ReadEarly(make([]byte, 10)); err != io.EOF {
			t.Errorf("ReadEarly where there is none: %v", err)
		}
		s.Handshake()
	}()
	for range 2 {
		if _, err := c.Read(make([]byte, 10)); err != ErrEarlyDataRejected {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("more")); err != ErrEarlyDataRejected {
			t.Fatal(err)
		}
	}
	c.ForgetEarlyData()
	if _, err := c.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "question" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

// WriteEarly is Write where it is not early any more, and says why where nothing can be
// written at all.
func TestConnWriteEarlyLate(t *testing.T) {
	c, s := openPair(t, VersionTLS13)
	if n, err := c.WriteEarly([]byte("late")); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	buf := make([]byte, 10)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "late" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	c.Close()
	s.Close()

	client, server := liveEarlyConfigs(t)
	a, b := tcpPair(t)
	a.Close()
	c, s = connPair(t, client, server, a, b)
	if _, err := c.WriteEarly([]byte("question")); err == nil {
		t.Error("written over a link that is closed")
	}
	first := c.Handshake()
	if _, err := c.WriteEarly([]byte("question")); err == nil || err != first {
		t.Errorf("after a handshake that failed with %v: %v", first, err)
	}
	b.Close()
	first = s.Handshake()
	if _, err := s.ReadEarly(buf); err == nil || err != first {
		t.Errorf("after a handshake that failed with %v: %v", first, err)
	}
	e := newPair(t, client, server).client
	e.Start(time.Now())
	e.Close(time.Now())
	if _, err := e.WriteEarly([]byte("x"), time.Now()); err != errClosed {
		t.Errorf("behind a goodbye: %v", err)
	}
	e.Abort(0, time.Now()) // a goodbye was sent: it ends silently
	if _, err := e.WriteEarly([]byte("x"), time.Now()); !errors.Is(err, ErrAborted) {
		t.Errorf("after Abort: %v", err)
	}
}

// Without a session WriteEarly says so, and what it would have sent goes later.
func TestConnEarlyDataNoSession(t *testing.T) {
	client, server := configs(VersionTLS13)
	client.EarlyData = true
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	if n, err := c.WriteEarly([]byte("question")); n != 0 || err != ErrNoEarlyData {
		t.Fatal(n, err)
	}
	go c.Write([]byte("question"))
	buf := make([]byte, 100)
	if n, err := s.Read(buf); err != nil || string(buf[:n]) != "question" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

// liveEarlyConfigs is earlyConfigs for Conns, whose clock is the system's.
func liveEarlyConfigs(t *testing.T) (client, server *Config) {
	client, server = configs(VersionTLS13)
	client.ClientSessionCache = NewLRUClientSessionCache(0)
	client.EarlyData, server.EarlyData = true, true
	a, b := tcpPair(t)
	c, s := connPair(t, client, server, a, b)
	go s.Write([]byte("x"))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // behind the tickets
		t.Fatal(err)
	}
	return client, server
}

// TestEarlyDataAtLimit: without a KeyUpdate, early data ends before its key has
// protected as much as it may.
//
// RFC 9846 5.5 [2]
func TestEarlyDataAtLimit(t *testing.T) {
	const records = 8
	limited(t, TLS_AES_128_GCM_SHA256, records)
	client, server := earlyConfigs(t)
	p := newPair(t, client, server)
	n := p.begin(t, "0")
	for n < 2*records {
		if _, err := p.client.WriteEarly([]byte("1"), testTime); err == ErrNoEarlyData {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n >= records {
		t.Errorf("%d records of early data", n)
	}
	p.pump()
	if got := readAll(p.server); len(got) != n || !p.server.State().EarlyDataAccepted {
		t.Errorf("%d bytes of %d", len(got), n)
	}
	p.exchange(t)
}
