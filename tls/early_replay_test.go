package tls

import (
	"bytes"
	"testing"
	"time"
)

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
