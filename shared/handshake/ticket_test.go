package handshake

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
)

// singleUse are configs of version v, whose server's tickets resume once.
func singleUse(v protocol.Version) (client, server *Config, kept *shelf) {
	client, server, kept = resumingConfigs()
	for _, c := range []*Config{client, server} {
		c.MinVersion, c.MaxVersion = uint16(v), uint16(v)
	}
	server.SingleUseTickets = true
	return client, server, kept
}

func expectResumed(t *testing.T, p *pair, want bool) {
	t.Helper()
	p.expectAgreement(t)
	if c, s := p.client.m.State().DidResume, p.server.m.State().DidResume; c != want || s != want {
		t.Errorf("resumed: client %v, server %v, expected %v", c, s, want)
	}
}

// TestSingleUseTickets: each resumes once, and each connection brings another,
// that of a resumed one in 1.2 too.
func TestSingleUseTickets(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server, kept := singleUse(v)
		complete(t, transport, client, server)
		used := slices.Clone(kept.sessions)
		kept.sessions = []*SessionState{used[0]}
		for range 3 {
			expectResumed(t, complete(t, transport, client, server), true)
			if len(kept.sessions) == 0 {
				t.Fatal("no new ticket")
			}
			kept.sessions = kept.sessions[len(kept.sessions)-1:]
			used = append(used, kept.sessions[0])
		}
		for _, i := range []int{0, len(used) - 2} {
			kept.sessions = []*SessionState{used[i]}
			expectResumed(t, complete(t, transport, client, server), false)
		}
		kept.sessions = []*SessionState{used[len(used)-1]}
		expectResumed(t, complete(t, transport, client, server), true)
	})
}

// TestSingleUseAcrossServers: of the servers that share ticket keys and the
// register, one takes a ticket.
func TestSingleUseAcrossServers(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server, kept := singleUse(v)
		server.TicketKeys, server.AntiReplay = [][32]byte{{7}}, session.NewReplayRegister(0, time.Time{})
		other := new(*server)
		complete(t, transport, client, server)
		stolen := kept.sessions[:1:1]
		for i, s := range []*Config{other, server, other} {
			kept.sessions = slices.Clone(stolen)
			expectResumed(t, complete(t, transport, client, s), i == 0)
		}
	})
}

// TestSingleUseAfterRestart: a server that has the ticket keys of the one before, but
// not its register, takes no ticket that can have been used there; those that it gives
// are good once, as ever.
func TestSingleUseAfterRestart(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server, kept := singleUse(v)
		server.TicketKeys, server.AntiReplay = [][32]byte{{7}}, session.NewReplayRegister(0, testTime.Add(-time.Hour))
		complete(t, transport, client, server)
		stolen := kept.sessions[:1:1]
		kept.sessions = slices.Clone(stolen)
		expectResumed(t, complete(t, transport, client, server), true)

		restarted := new(*server)
		restarted.AntiReplay = session.NewReplayRegister(0, testTime)
		kept.sessions = slices.Clone(stolen)
		expectResumed(t, complete(t, transport, client, restarted), false)
	})
}

// TestSingleUseOfUnwrapped: what an application wraps is used once as well.
func TestSingleUseOfUnwrapped(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server, kept := singleUse(v)
		server.AntiReplay = session.NewReplayRegister(0, time.Time{})
		server.WrapSession = func(_ ConnectionState, s *SessionState) ([]byte, error) { return s.Bytes() }
		server.UnwrapSession = func(ticket []byte, _ ConnectionState) (*SessionState, error) { return session.ParseState(ticket) }
		complete(t, transport, client, server)
		stolen := kept.sessions[:1:1]
		for i := range 3 {
			kept.sessions = slices.Clone(stolen)
			expectResumed(t, complete(t, transport, client, server), i == 0)
		}
	})
}

// unreliable is an AntiReplay that fails, though it says fresh.
type unreliable struct{}

func (unreliable) Record([]byte, time.Time, time.Time, time.Time) (bool, error) {
	return true, errors.New("broken")
}

// watched is an AntiReplay that shows what it is asked.
type watched struct {
	session.AntiReplay
	asked    int
	lifetime time.Duration
}

func (w *watched) Record(key []byte, from, now, until time.Time) (bool, error) {
	w.asked++
	w.lifetime = until.Sub(now)
	return w.AntiReplay.Record(key, from, now, until)
}

// TestSingleUseRegister: without a register that remembers there are full
// handshakes; one is asked once in a connection that brings a ticket, after a
// HelloRetryRequest too, and for as long as the session lives.
func TestSingleUseRegister(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		full := session.NewReplayRegister(1, time.Time{})
		full.Record([]byte("another"), testTime, testTime, testTime.Add(time.Hour))
		for name, register := range map[string]AntiReplay{"full": full, "failing": unreliable{}} {
			t.Run(name, func(t *testing.T) {
				client, server, _ := singleUse(v)
				server.AntiReplay = register
				for range 2 {
					expectResumed(t, complete(t, transport, client, server), false)
				}
			})
		}
		client, server, _ := singleUse(v)
		register := &watched{AntiReplay: session.NewReplayRegister(0, time.Time{})}
		server.AntiReplay = register
		complete(t, transport, client, server)
		if register.asked != 0 {
			t.Error("asked without a ticket")
		}
		client.KeyShares, server.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256}
		expectResumed(t, complete(t, transport, client, server), true)
		if register.asked != 1 || register.lifetime != session.MaxLifetime {
			t.Errorf("asked %d times, for %v", register.asked, register.lifetime)
		}
	})
}

// TestSingleUseNeedsBinder: somebody who has seen a ticket of 1.3, and doesn't know
// its secret, can't use it up.
//
// RFC 9846 8.2 [2]
func TestSingleUseNeedsBinder(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server, kept := singleUse(protocol.VersionTLS13)
		complete(t, transport, client, server)
		good := kept.sessions[0]
		forged := new(*good)
		forged.Secret = make([]byte, len(good.Secret))
		kept.sessions = []*SessionState{forged}
		begin(t, transport, client, server).run().server.expectRefused(t, alert.DecryptError)
		kept.sessions = []*SessionState{good}
		expectResumed(t, complete(t, transport, client, server), true)
	})
}

// TestSingleUseEarlyData: 0-RTT is taken with a ticket that is, and not again.
func TestSingleUseEarlyData(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server, kept := singleUse(protocol.VersionTLS13)
		client.EarlyData, server.EarlyData = true, true
		complete(t, transport, client, server)
		stolen := kept.sessions[:1:1]
		for _, want := range []EarlyDataReason{EarlyDataAccepted, EarlyDataNotResumed} {
			kept.sessions = slices.Clone(stolen)
			p := begin(t, transport, client, server).run()
			if s := p.server.m.State(); !p.server.m.Open() || s.EarlyDataReason != want || s.DidResume != s.EarlyDataAccepted || !p.client.m.Open() {
				t.Errorf("%q, expected %q; resumed: %v", s.EarlyDataReason, want, s.DidResume)
			}
		}
	})
}

// TestResumptionAcrossNames: a client learns what the server says of its tickets,
// beside 0-RTT and GREASE too.
func TestResumptionAcrossNames(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, across := range []bool{false, true} {
			client, server, kept := resumingConfigs()
			client.EarlyData = true
			server.ResumptionAcrossNames, server.EarlyData, server.GREASE = across, true, true
			complete(t, transport, client, server)
			for _, s := range kept.sessions {
				if s.AcrossNames != across || s.MaxEarlyData == 0 {
					t.Errorf("across names: %v, expected %v; early data: %d", s.AcrossNames, across, s.MaxEarlyData)
				}
			}
			if len(kept.sessions) != 2 {
				t.Errorf("%d sessions", len(kept.sessions))
			}
		}
	})
}
