package tls

import (
	"bytes"
	"crypto/tls"
	"errors"
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
