package dtls

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"
)

// What one side has sent the other has received, where nothing is lost, to the byte;
// and what is sent to two paths is sent twice.
func TestStatsBalance(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, identified(8, 8))
		s := simulate(t, 0, client, server)
		s.settle()
		if s.client.version.Is13() {
			for _, d := range []*side{s.client, s.server} {
				d.did(d.KeyUpdate(UpdateRequested, s.now))
				s.settle()
				d.peer.post("with the answer before it, in one datagram")
				s.settle()
			}
		}
		for _, d := range []*side{s.client, s.server} {
			d.post("data")
		}
		s.settle()
		for _, d := range []*side{s.client, s.server} {
			sent, received := d.Stats(), d.peer.Stats()
			if sent.DatagramsSent != received.DatagramsReceived || sent.BytesSent != received.BytesReceived || sent.RecordsSent != received.RecordsReceived {
				t.Errorf("sent %+v, received %+v", sent, received)
			}
			if s.client.version.Is13() && (sent.KeyUpdatesSent != 2 || received.KeyUpdatesReceived != 2) {
				t.Errorf("%d and %d key updates, want 2", sent.KeyUpdatesSent, received.KeyUpdatesReceived)
			}
		}
		s.client.at = address(1)
		s.client.post("from elsewhere")
		s.advance(latency)
		s.server.post("to both")
		s.settle()
		if got := s.server.Stats().Moves; got != 1 {
			t.Errorf("moved %d times", got)
		}
		for _, d := range []*side{s.client, s.server} {
			var datagrams, bytes uint64
			for _, p := range s.sent {
				if p.from == d {
					datagrams, bytes = datagrams+1, bytes+uint64(len(p.data))
				}
			}
			if got := d.Stats(); got.DatagramsSent != datagrams || got.BytesSent != bytes {
				t.Errorf("%s: %+v, and %d datagrams of %d bytes were on the link", d.name, got, datagrams, bytes)
			}
		}
	})
}

// The times are those of the link, whose latency is known, and round trips are as in
// the RFCs: one more in 1.2, and one more for a HelloRetryRequest.
func TestStatsOfHandshake(t *testing.T) {
	for _, c := range []struct {
		setting
		client, server int // round trips
	}{
		{setting{"1.3", together()}, 1, 1},
		{setting{"1.3, retried", retry}, 2, 2},
		{setting{"1.2", only12}, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			s := simulate(t, 0, client, server)
			if got := s.client.Stats(); got.HandshakeTime != 0 || got.RoundTrips != 0 {
				t.Errorf("%+v before it is complete", got)
			}
			s.settle()
			for d, trips := range map[*side]int{s.client: c.client, s.server: c.server} {
				if got := d.Stats(); got.RoundTrips != trips || got.HandshakeTime != time.Duration(trips)*2*latency {
					t.Errorf("%s: %d round trips in %v, want %d", d.name, got.RoundTrips, got.HandshakeTime, trips)
				}
			}
		})
	}
}

// One association's counters end where they would begin again, and the Listener's go on.
func TestIncidentsSaturate(t *testing.T) {
	c := counters{totals: new(totals)}
	c.incidents[dropReplay] = math.MaxUint32 - 1
	for range 3 {
		c.count(dropReplay)
	}
	if c.incidents[dropReplay] != math.MaxUint32 || c.totals.sum().Dropped.Replay != 3 {
		t.Errorf("%d, and %+v", c.incidents[dropReplay], c.totals.sum())
	}
}

// Every incident has a counter of its own, every counter an incident, and each drop a
// reason; and what is written as JSON can be read back.
func TestIncidentsAreComplete(t *testing.T) {
	var sum Incidents
	fields := map[*uint64]bool{}
	for i := range incidents {
		if incidents[i].counter == nil {
			t.Fatalf("incident %d has no counter", i)
		}
		field := incidents[i].counter(&sum)
		if fields[field] {
			t.Errorf("incident %d shares its counter", i)
		}
		*field, fields[field] = uint64(i)+1, true
		if drop := incident(i) >= dropHeader; drop != (incidents[i].reason != "") {
			t.Errorf("incident %d has the reason %q", i, incidents[i].reason)
		}
	}
	if want := reflect.TypeFor[Incidents]().NumField() - 1 + reflect.TypeFor[DropStats]().NumField(); len(fields) != want {
		t.Errorf("%d counters of %d are used", len(fields), want)
	}
	if got, want := sum.Dropped.Total(), uint64(sumOf(int(dropHeader)+1, int(numIncidents))); got != want {
		t.Errorf("%d in total, want %d", got, want)
	}
	stats := Stats{DatagramsSent: 1, HandshakeTime: time.Second, Incidents: sum}
	text, err := json.Marshal(stats)
	if err != nil {
		t.Fatal(err)
	}
	var again Stats
	if err := json.Unmarshal(text, &again); err != nil || again != stats {
		t.Errorf("%v: %s is read as %+v", err, text, again)
	}
}

func sumOf(from, to int) (sum int) {
	for ; from <= to; from++ {
		sum += from
	}
	return sum
}

func TestHandshakeTimes(t *testing.T) {
	h := newHandshakeStats()
	times := []time.Duration{0, time.Millisecond, time.Millisecond + 1, 70 * time.Millisecond, 10 * time.Second, time.Minute}
	for _, d := range times {
		h.complete(d)
	}
	want := map[time.Duration]uint64{time.Millisecond: 2, 2 * time.Millisecond: 1, 100 * time.Millisecond: 1, 10 * time.Second: 1, math.MaxInt64: 1}
	for _, b := range h.Times {
		if b.Count != want[b.AtMost] {
			t.Errorf("%d took at most %v, want %d", b.Count, b.AtMost, want[b.AtMost])
		}
	}
	if h.Completed != 6 || h.Min != 0 || h.Max != time.Minute || h.Sum != 70*time.Second+72*time.Millisecond+1 {
		t.Errorf("%+v", h)
	}
}
