package dtls

import (
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
)

// The caller repeats flights, and the Engine's timer doesn't: Deadline has the ACK's
// timer only, and no time that passes ends the association.
func TestStopRetransmitTimer(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, clientAuth)
		s := simulate(t, 0, client, server, fated(losing(func(*parcel) bool { return true })), func(s *simulation) {
			s.client.StopRetransmitTimer()
			s.server.StopRetransmitTimer()
		})
		if !s.client.Outstanding() || s.server.Outstanding() || !s.client.Deadline().IsZero() {
			t.Fatalf("outstanding: %v, %v; a timer at %v", s.client.Outstanding(), s.server.Outstanding(), s.client.Deadline())
		}
		s.advance(time.Hour)
		if s.client.Expire(s.now) != nil || len(s.sent) != 1 {
			t.Fatalf("%v, %d datagrams", s.client.Err(), len(s.sent))
		}
		s.fate = prompt
		for _, d := range []*side{s.client, s.server, s.client, s.server} {
			if !d.Outstanding() {
				continue
			}
			d.Retransmit(s.now)
			d.transmit()
			s.advance(latency)
		}
		s.advance(time.Minute)
		if !s.open() || s.client.err != nil || s.server.err != nil {
			t.Errorf("open: %v, %v (%v, %v)", s.client.Open(), s.server.Open(), s.client.err, s.server.err)
		}
		s.exchange()
	})
}

// Retransmit gives exactly what isn't acknowledged, under record numbers of its own;
// nothing while nothing is outstanding, and nothing twice that hasn't been sent yet.
func TestRetransmit(t *testing.T) {
	client, server := with(clientAuth, mtu(300))
	s := traced(t, client, server, fated(losing(func(p *parcel) bool { return p.index == 3 })))
	s.server.Retransmit(s.now)
	if s.server.Pending() || s.server.Outstanding() {
		t.Error("a server that has heard nothing has something to repeat")
	}
	if err := s.run(func() bool { return len(s.client.acks()) > 0 && len(s.air) == 0 }); err != nil {
		t.Fatal(err)
	}
	have := bytesOf(s.client.reaches(handshake.Received, epochOfSimulation))
	seen := map[string]bool{}
	for _, p := range s.sent {
		seen[string(p.data)] = true
	}
	s.server.Retransmit(s.now)
	s.server.Retransmit(s.now)
	s.server.transmit()
	if got := s.server.Stats().Retransmits; got != 1 {
		t.Errorf("it is repeated %d times", got)
	}
	for at, n := range bytesOf(s.server.reaches(handshake.Sent, s.now)) {
		if have[at] != 0 || n != 1 {
			t.Errorf("byte %d of message %d goes out %d times again, and the client has it %d times", at[1], at[0], n, have[at])
		}
	}
	if last := s.sent[len(s.sent)-1]; last.from != s.server || seen[string(last.data)] {
		t.Error("the same datagram goes out again")
	}
	if got := s.server.due(); got != 400*time.Millisecond {
		t.Errorf("the timer repeats it once more after %v", got)
	}
	s.settle()
	for _, d := range []*side{s.client, s.server} {
		if d.Outstanding() {
			t.Errorf("the %s has something outstanding at the end", d.name)
		}
		d.Retransmit(s.now)
		if d.Pending() {
			t.Errorf("the %s repeats something at the end", d.name)
		}
	}
}

// The timer goes on whenever the caller says so, from then on.
func TestStartRetransmitTimer(t *testing.T) {
	client, server := with()
	s := simulate(t, 0, client, server, fated(losing(func(*parcel) bool { return true })))
	deadline := s.client.Deadline()
	s.advance(100 * time.Millisecond)
	s.client.StartRetransmitTimer(s.now)
	if s.client.Deadline() != deadline {
		t.Error("a timer that wasn't stopped starts anew")
	}
	s.client.StopRetransmitTimer()
	s.advance(10 * time.Second)
	if err := s.client.SetInitialTimeout(75 * time.Millisecond); err != nil { // as ICE has measured
		t.Fatal(err)
	}
	s.client.StartRetransmitTimer(s.now)
	if got := s.client.due(); got != 75*time.Millisecond {
		t.Errorf("the flight goes out again after %v, want 75 ms", got)
	}
	s.server.StopRetransmitTimer()
	s.server.StartRetransmitTimer(s.now)
	if !s.server.Deadline().IsZero() {
		t.Error("a timer without a flight runs")
	}
	s.advance(75*time.Millisecond + 1)
	if len(s.sent) != 2 {
		t.Errorf("%d datagrams, want the hello twice", len(s.sent))
	}
}

// In 1.2 the server's last flight stays outstanding until the client's data or its
// goodbye.
func TestOutstandingLastFlightOf12(t *testing.T) {
	for name, end := range map[string]func(s *simulation){
		"data": func(s *simulation) { s.server.receive(s.client.seal("data")) },
		"close_notify": func(s *simulation) {
			s.client.Close(s.now)
			s.client.transmit()
			s.advance(latency)
		},
	} {
		client, server := with(only12)
		s := simulate(t, 0, client, server)
		s.settle()
		if s.client.Outstanding() || !s.server.Outstanding() {
			t.Errorf("%s: outstanding before: %v, %v", name, s.client.Outstanding(), s.server.Outstanding())
		}
		s.server.Retransmit(s.now) // nobody hinders it, and the client doesn't mind
		s.server.transmit()
		s.settle()
		if end(s); s.server.Outstanding() {
			t.Errorf("%s: still outstanding", name)
		}
		s.server.Retransmit(s.now)
		if s.server.Pending() {
			t.Errorf("%s: there is something to repeat", name)
		}
	}
}

// An association that has ended has nothing to repeat.
func TestRetransmitAfterTheEnd(t *testing.T) {
	client, server := with()
	s := simulate(t, 0, client, server)
	s.client.Abort(alert.InternalError, s.now)
	s.client.transmit()
	s.client.Retransmit(s.now)
	if s.client.StartRetransmitTimer(s.now); s.client.Outstanding() || s.client.Pending() || !s.client.Deadline().IsZero() {
		t.Error("it goes on")
	}
}

// Each datagram comes twice, by two ways of which one is slower: that is nobody's loss,
// and no flight goes out twice.
func TestTwoWays(t *testing.T) {
	for _, c := range settings {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			s := traced(t, client, server, fated(func(p *parcel) []time.Duration {
				slow := latency + time.Duration(7*p.index%5)*time.Millisecond
				return []time.Duration{slow, latency}
			}))
			s.settle()
			for _, d := range []*side{s.client, s.server} {
				if got := d.Stats().Retransmits; got != 0 {
					t.Errorf("the %s repeats %d flights", d.name, got)
				}
				for at, n := range bytesOf(d.reaches(handshake.Sent, epochOfSimulation)) {
					if n != 1 {
						t.Fatalf("the %s sends byte %d of message %d %d times", d.name, at[1], at[0], n)
					}
				}
			}
			s.exchange()
		})
	}
}
