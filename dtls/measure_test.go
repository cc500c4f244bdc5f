package dtls

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

func adaptive(client, server *Config) { client.AdaptiveTimeout, server.AdaptiveTimeout = true, true }

func initialTimeout(d time.Duration) func(client, server *Config) {
	return func(client, server *Config) { client.InitialTimeout, server.InitialTimeout = d, d }
}

// after is the fate of a link without loss whose round trip takes this long.
func after(roundTrip time.Duration) func(*parcel) []time.Duration {
	return func(*parcel) []time.Duration { return []time.Duration{roundTrip / 2} }
}

// shaky is the fate of a link without loss on which what is sent at once takes up to a
// percentage more or less. Nothing overtakes: what comes before its keys is lost.
func shaky(s *simulation, roundTrip time.Duration, percent int) func(*parcel) []time.Duration {
	last := map[*side]time.Time{}
	return func(p *parcel) []time.Duration {
		share := 100 - percent + s.random.IntN(2*percent+1)
		at := s.now.Add(roundTrip / 2 * time.Duration(share) / 100)
		if n := len(s.sent); n > 1 && s.sent[n-2].from == p.from && s.sent[n-2].left == p.left || at.Before(last[p.from]) {
			at = last[p.from]
		}
		last[p.from] = at
		return []time.Duration{at.Sub(s.now)}
	}
}

// due is when d's flight goes out again if nothing comes, after now.
func (d *side) due() time.Duration { return d.retransmitDeadline().Sub(d.s.now) }

// --- Without the option

// Every flight has the schedule of Config.InitialTimeout, however short the round trip
// is: those of a handshake are in retransmit_test.go, and this one comes after it.
//
// RFC 9147 5.8.2 [4]
func TestFixedTimeoutAfterHandshake(t *testing.T) {
	client, server := with()
	s := traced(t, client, server)
	s.settle()
	for _, d := range []*side{s.client, s.server} {
		d.events = nil
		s.fate = losing(d.lost)
		began := s.now
		d.update(UpdateNotRequested)
		d.expectTimeout(began)
	}
}

// --- With it

// A client's last flight, and what a server says after the handshake, have 1.5 times
// the round trip that was measured, and at least 50 ms.
//
// RFC 9147 5.8.2 [4]
func TestAdaptiveTimeout(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, c := range []struct{ roundTrip, want time.Duration }{
			{200 * time.Millisecond, 300 * time.Millisecond},
			{3 * time.Second, 4500 * time.Millisecond},
			{10 * time.Millisecond, 50 * time.Millisecond},
		} {
			client, server := with(version, adaptive, clientAuth, initialTimeout(8*time.Second))
			s := simulate(t, 0, client, server, fated(after(c.roundTrip)))
			if got := s.client.due(); got != 8*time.Second {
				t.Errorf("ClientHello is repeated after %v, want the seed", got)
			}
			if err := s.run(func() bool { return s.client.passed() == 2 }); err != nil {
				t.Fatal(err)
			}
			if got := s.client.due(); got != c.want {
				t.Errorf("round trip %v: the last flight is repeated after %v, want %v", c.roundTrip, got, c.want)
			}
			s.settle()
			for _, d := range []*side{s.client, s.server} {
				if got := d.Stats().Retransmits; got != 0 {
					t.Errorf("round trip %v: the %s repeats %d flights", c.roundTrip, d.name, got)
				}
				if got := d.backoff.Timeout(); d.version.Is13() && got != c.want {
					t.Errorf("round trip %v: the %s waits for %v after the handshake, want %v", c.roundTrip, d.name, got, c.want)
				}
			}
		}
	})
}

// passed is how many flights d has begun.
func (d *side) passed() (flights int) {
	from := 0
	for _, p := range d.s.sent {
		if p.from == d && (flights == 0 || p.index > from+1) {
			flights++
		}
		if p.from == d {
			from = p.index
		}
	}
	return flights
}

// What only an ACK answers waits for the ACK's delay, which is assumed first and then
// measured.
func TestAdaptiveTimeoutOfKeyUpdate(t *testing.T) {
	const roundTrip = 100 * time.Millisecond
	client, server := with(adaptive)
	server.AdaptiveTimeout = false // its ACKs take 100 ms more
	s := simulate(t, 0, client, server, fated(after(roundTrip)))
	s.settle()
	s.client.update(UpdateNotRequested)
	if got, want := s.client.due(), 150*time.Millisecond+unknownDelay; got != want {
		t.Errorf("the first KeyUpdate is repeated after %v, want %v", got, want)
	}
	s.settle()
	s.client.update(UpdateNotRequested)
	if got, want := s.client.due(), 300*time.Millisecond; got != want { // 1.5 * (100 + 100)
		t.Errorf("the second KeyUpdate is repeated after %v, want %v", got, want)
	}
	s.settle()
	s.fate = losing(s.client.lost)
	s.client.update(UpdateNotRequested)
	began, sent := s.now, len(s.sent)
	s.advance(1500 * time.Millisecond)
	var passes []int
	for _, p := range s.sent[sent-1:] {
		passes = append(passes, int(p.left.Sub(began).Milliseconds()))
	}
	if want := []int{0, 300, 750, 1500}; !slices.Equal(passes, want) { // 150, doubled, and 150 each
		t.Errorf("it goes out at %v ms, want %v", passes, want)
	}
	if got := s.client.Stats().Retransmits; got != 3 {
		t.Errorf("%d flights were repeated, want 3", got)
	}
}

// On a slow link with jitter, once there is a sample, nothing is repeated that isn't
// lost: no flight of the handshake, no ticket, no KeyUpdate, no connection ID. A seed
// that is too small costs what it must before, and in 1.3 at most one copy of the
// client's last flight, until the peer's ACK says which copy it has answered.
func TestAdaptiveTimeoutOnSlowLink(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for seed := range uint64(runs(2000)) {
			roundTrip := time.Second + time.Duration(seed%41)*100*time.Millisecond
			first := []time.Duration{100, 400, 1000, 9000}[seed/41%4] * time.Millisecond
			client, server := with(version, adaptive, clientAuth, identified(4, 4), initialTimeout(first))
			client.ClientSessionCache = NewLRUClientSessionCache(1)
			s := traced(t, client, server, func(s *simulation) { s.fate = shaky(s, roundTrip, 15) })
			sampled := s.repeatsAtFirstSample(t)
			for range 3 {
				for _, d := range []*side{s.client, s.server} {
					if !d.version.Is13() {
						continue
					}
					if d.update(UpdateNotRequested); d.RotateConnectionIDs(s.now) == nil {
						d.did(nil)
					}
					s.settle()
				}
			}
			for _, d := range []*side{s.client, s.server} {
				got, until := int(d.Stats().Retransmits), sampled[d]
				if got != until {
					t.Errorf("seed %d, round trip %v, first timeout %v: the %s repeats %d flights after the first sample", seed, roundTrip, first, d.name, got-until)
				}
				must := 0 // timeouts before an answer can have come
				for wait := first; wait < roundTrip*115/100; wait = 2*wait + first {
					must++
				}
				if allowed := must + int(d.extra()); until > allowed {
					t.Errorf("seed %d, round trip %v, first timeout %v: the %s repeats %d flights, %d must be", seed, roundTrip, first, d.name, until, must)
				}
			}
		}
	})
}

// extra is what else d may repeat: see TestAdaptiveTimeoutOnSlowLink.
func (d *side) extra() int {
	if d.version.Is13() && d == d.s.client {
		return 1
	}
	return 0
}

// repeatsAtFirstSample runs the handshake to its end and says how many flights each side
// had repeated when it had its first sample, or had at the end if it has none.
func (s *simulation) repeatsAtFirstSample(t *testing.T) map[*side]int {
	t.Helper()
	had := map[*side]int{}
	if err := s.run(func() bool {
		for _, d := range []*side{s.client, s.server} {
			if _, ok := had[d]; !ok && (d.measure.prompt.Sampled() || d.measure.delayed.Sampled()) {
				had[d] = int(d.Stats().Retransmits)
			}
		}
		return s.quiet()
	}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*side{s.client, s.server} {
		if _, ok := had[d]; !ok {
			had[d] = int(d.Stats().Retransmits)
		}
	}
	return had
}

// A flight that was repeated is no sample (Karn). What the timer assumes then depends on
// what the caller's seed makes likely, and an ACK settles it.
func TestAdaptiveTimeoutInDoubt(t *testing.T) {
	for _, c := range []struct {
		name      string
		change    func(client, server *Config)
		roundTrip time.Duration
		lost      int // copies of the hello
		assumed   time.Duration
		settled   time.Duration
	}{
		{"lost once", together(), 100 * time.Millisecond, 1, 600 * time.Millisecond, 0},
		{"lost twice", together(), 100 * time.Millisecond, 2, 600 * time.Millisecond, 0},
		{"slow, and like lost", together(), time.Second / 2, 0, 600 * time.Millisecond, 750 * time.Millisecond},
		{"slow", together(), time.Second, 0, 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"1.2, lost", only12, 100 * time.Millisecond, 1, 750 * time.Millisecond, 0},
	} {
		client, server := with(adaptive, c.change, clientAuth)
		s := simulate(t, 0, client, server)
		s.air = nil
		s.fate = func(p *parcel) []time.Duration {
			if p.index < c.lost {
				return nil
			}
			return after(c.roundTrip)(p)
		}
		if c.lost == 0 {
			s.send(s.client, s.sent[0].data, s.sent[0].to)
		}
		if err := s.run(func() bool {
			return s.client.version != 0 && s.client.flight.Level() > 0 || s.client.version == protocol.VersionDTLS12 && len(s.client.writes) > 1
		}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := s.client.backoff.Timeout(); got != c.assumed {
			t.Errorf("%s: the last flight is repeated after %v, want %v", c.name, got, c.assumed)
		}
		s.settle()
		if got := s.client.backoff.Timeout(); c.settled != 0 && got != c.settled {
			t.Errorf("%s: %v after the handshake, want %v", c.name, got, c.settled)
		}
	}
}

// However little time passes between copies that the caller repeats and the answer, no
// timeout comes of it that is shorter than 50 ms.
func TestAdaptiveTimeoutInDoubtHasFloor(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, roundTrip := range []time.Duration{0, 2 * time.Millisecond} {
			client, server := with(version, adaptive, clientAuth, initialTimeout(2*time.Millisecond))
			s := simulate(t, 0, client, server, fated(after(roundTrip)))
			s.client.Retransmit(s.now)
			s.client.transmit()
			if err := s.run(func() bool { return s.client.measure.answered && s.client.passed() == 2 }); err != nil {
				t.Fatalf("round trip %v: %v", roundTrip, err)
			}
			if got := s.client.backoff.Timeout(); got != 50*time.Millisecond {
				t.Errorf("round trip %v: the last flight is repeated after %v, want 50 ms", roundTrip, got)
			}
			s.settle()
			if got := s.client.Stats().Retransmits; got != 1 {
				t.Errorf("round trip %v: %d flights were repeated, want the one of the caller", roundTrip, got)
			}
		}
	})
}

// An ACK that anybody can have written is no sample, and moves no timer.
func TestAdaptiveTimeoutOfForgedACK(t *testing.T) {
	client, server := with(adaptive)
	s := simulate(t, 0, client, server, fated(losing(func(p *parcel) bool { return p.index > 0 })))
	s.advance(latency)
	s.advance(time.Millisecond)
	before := s.server.Deadline()
	s.server.receive(forged12(protocol.ACK, 0, 7, []byte{0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}))
	if s.server.err != nil || before.IsZero() {
		t.Fatal(s.server.err, before)
	}
	if got := s.server.Deadline(); got != before {
		t.Errorf("the flight goes out again %v sooner", before.Sub(got))
	}
	if s.server.measure.delayed.Sampled() {
		t.Error("it is a sample")
	}
}

// Of a server's flight, what the client's ACK shows to be missing goes out again after
// 1.5 times what the ACK took, and not when a fixed timer says so.
//
// RFC 9147 7.2 [2]
func TestAdaptiveTimeoutAfterPartialACK(t *testing.T) {
	const roundTrip = 40 * time.Millisecond
	client, server := with(adaptive, hybrid)
	s := traced(t, client, server, fated(func(p *parcel) []time.Duration {
		if p.index == 3 { // the second half of the server's flight
			return nil
		}
		return after(roundTrip)(p)
	}))
	s.settle()
	acks := s.client.acks()
	if len(acks) == 0 || acks[0][0] != (protocol.RecordNumber{}) {
		t.Fatalf("ACKs %v, want one of the ServerHello first", acks)
	}
	const ackDelay = 15 * time.Millisecond // a quarter of 1.5 round trips
	answered := (roundTrip + ackDelay) * 3 / 2
	for _, p := range s.sent[4:] {
		if p.from == s.server {
			if got := p.left.Sub(epochOfSimulation); got != roundTrip/2+answered {
				t.Errorf("the rest of the flight goes out again after %v, want %v", got, roundTrip/2+answered)
			}
			break
		}
	}
	if s.client.Stats().Retransmits != 0 || s.server.Stats().Retransmits != 1 {
		t.Errorf("the client repeats %d flights, the server %d", s.client.Stats().Retransmits, s.server.Stats().Retransmits)
	}
	for at, n := range bytesOf(s.client.reaches(handshake.Received, epochOfSimulation)) {
		if n != 1 {
			t.Fatalf("byte %d of message %d comes %d times", at[1], at[0], n)
		}
	}
}

// SetInitialTimeout is a seed, whatever was measured before, and the next sample comes
// after it.
func TestAdaptiveTimeoutSeed(t *testing.T) {
	client, server := with(adaptive)
	s := simulate(t, 0, client, server, fated(after(100*time.Millisecond)))
	set := func(d, want time.Duration) {
		t.Helper()
		if err := s.client.SetInitialTimeout(d); err != nil {
			t.Fatal(err)
		}
		if got := s.client.backoff.Timeout(); got != want {
			t.Errorf("the timer waits for %v, want %v", got, want)
		}
	}
	set(time.Second, time.Second)
	if got := s.client.due(); got != time.Second {
		t.Errorf("the timer that runs waits for %v", got)
	}
	s.settle()
	if got := s.client.backoff.Timeout(); got != 150*time.Millisecond {
		t.Errorf("measured %v", got)
	}
	set(30*time.Millisecond, 30*time.Millisecond)
	if s.client.SetInitialTimeout(0) == nil || s.client.backoff.Timeout() != 30*time.Millisecond {
		t.Error("no time at all is taken")
	}
	s.client.update(UpdateNotRequested)
	s.settle()
	if got := s.client.backoff.Timeout(); got <= 150*time.Millisecond {
		t.Errorf("%v after a KeyUpdate's ACK, want that and its delay", got)
	}
}

// What was measured goes on elsewhere, unless the Config there says otherwise; and what
// was sent here is no sample there.
func TestAdaptiveTimeoutSurvivesExport(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	for _, c := range []struct {
		here, there bool
		want        time.Duration
	}{
		{true, true, 150 * time.Millisecond},
		{true, false, 400 * time.Millisecond},
		{false, true, 400 * time.Millisecond},
		{false, false, 400 * time.Millisecond},
	} {
		client, server := with()
		client.AdaptiveTimeout = c.here
		s := simulate(t, 0, client, server, fated(after(100*time.Millisecond)))
		s.settle()
		s.fate = losing(s.client.lost)
		s.client.update(UpdateNotRequested)
		blob, err := s.client.Export(key, s.now)
		if err != nil {
			t.Fatal(err)
		}
		config := *client
		config.AdaptiveTimeout, config.InsecureImportWithoutStore = c.there, true
		s.now = s.now.Add(time.Minute)
		e, err := ImportEngine(&config, blob, key, s.now)
		if err != nil {
			t.Fatal(err)
		}
		s.client.Engine, s.fate = e, after(100*time.Millisecond)
		if got := e.backoff.Timeout(); got != c.want {
			t.Errorf("%v to %v: the timer waits for %v, want %v", c.here, c.there, got, c.want)
		}
		s.client.did(e.Expire(s.now))
		s.settle()
		if got := e.backoff.Timeout(); got > time.Second {
			t.Errorf("%v to %v: the timer waits for %v, the minute between here and there counts", c.here, c.there, got)
		}
	}
}

// The peer's last flight, repeated, says that ours was lost if it could have arrived:
// then it goes out at once.
func TestRepeatedFlightAsksForOurs(t *testing.T) {
	for name, change := range map[string]func(client, server *Config){"fixed": together(), "adaptive": adaptive} {
		t.Run(name, func(t *testing.T) {
			client, server := with(change, initialTimeout(600*time.Millisecond))
			server.InitialTimeout = 550 * time.Millisecond
			s := simulate(t, 0, client, server)
			s.fate = losing(func(p *parcel) bool {
				return p.from == s.client && s.client.Open() && !s.server.Open() && s.client.repeats == 0
			})
			if err := s.run(s.server.Open); err != nil {
				t.Fatal(err)
			}
			// ClientHello, the flight, 550 ms, the flight again and Finished again.
			want := 550*time.Millisecond + 3*latency
			if name == "adaptive" {
				want = 50*time.Millisecond + 3*latency // Finished has its own timer
			}
			if got := s.now.Sub(epochOfSimulation); got != want {
				t.Errorf("the server is open after %v, want %v", got, want)
			}
			if got := s.client.Stats().Retransmits; got != 1 {
				t.Errorf("the client repeats %d flights, want one", got)
			}
			s.settle()
			s.exchange()
		})
	}
}

// A copy that comes before ours can have arrived asks for nothing, and neither does
// what isn't authenticated or not the flight's end.
func TestRepeatedFlightTooEarly(t *testing.T) {
	client, server := with(clientAuth)
	s := simulate(t, 0, client, server)
	if err := s.run(s.client.Open); err != nil {
		t.Fatal(err)
	}
	s.air, s.fate = nil, losing(func(*parcel) bool { return true })
	finished := s.client.assembler.Next() - 1
	forged := forged12(protocol.Handshake, 0, 9, piece(protocol.Finished, finished, 32, 0, make([]byte, 32)))
	repeat := func(want uint64) {
		t.Helper()
		s.server.repeat()
		buf := make([]byte, 1500)
		for n := s.server.Transmit(buf); n > 0; n = s.server.Transmit(buf) {
			s.client.receive(buf[:n])
		}
		if got := s.client.Stats().Retransmits; got != want {
			t.Errorf("the client repeats %d flights, want %d", got, want)
		}
	}
	repeat(0)
	s.now = s.now.Add(370 * time.Millisecond)
	s.client.receive(forged)
	s.client.receive(s.server.record(2, protocol.Handshake, piece(protocol.Finished, finished, 32, 0, make([]byte, 31))))
	if got := s.client.Stats().Retransmits; got != 0 {
		t.Errorf("the client repeats %d flights for a part of one", got)
	}
	repeat(1)
	repeat(1)
}

// Storms are as harmless with the option as without it.
func TestAdaptiveTimeoutInStorms(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for seed := range uint64(runs(2000)) {
			weather(t, seed, together(version, adaptive))
		}
	})
}

// A handshake whose every datagram is lost keeps the fixed schedule: there is nothing to
// measure.
func TestAdaptiveTimeoutWithoutAnswer(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, adaptive)
		s := traced(t, client, server, fated(losing(func(*parcel) bool { return true })))
		s.client.expectTimeout(s.now)
	})
}
