package dtls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/rogue"
)

// The matrix of messages of shared/handshake, with records: what a peer does wrong
// under keys that are in use is answered with its alert, and everything else is
// dropped.

// matrixSettings have every way to authenticate, and to begin.
var matrixSettings = []setting{
	{"1.3", together()},
	{"1.3, client certificate, HelloRetryRequest", together(retry, clientAuth)},
	{"1.3, client without the certificate that is asked for", askedInVain},
	{"1.3, cookie", clientAuth},
	{"1.3, resumed", resumes},
	{"1.3, external PSK", sharedKey},
	{"1.3, external PSK alone", keyAlone},
	{"1.3, connection IDs, hybrid, small datagrams", together(hybrid, identified(4, 8), mtu(300))},
	{"1.2", only12},
	{"1.2, client certificate, connection IDs", together(only12, clientAuth, identified(8, 4))},
	{"1.2, client without the certificate that is asked for", together(only12, askedInVain)},
	{"1.2, cookie", only12},
	{"1.2, ticket", together(only12, forgets)},
	{"1.2, resumed", together(only12, resumes)},
	{"1.2, resumed, another ticket", together(only12, resumes, renews)},
	{"1.2, PSK suite", together(only12, sharedKey)},
	{"1.2, staple", together(only12, stapled)},
}

// A kept session is given out again and again.
type kept struct{ session *SessionState }

func (k *kept) Get(string) (*SessionState, bool) { return k.session, k.session != nil }
func (k *kept) Put(_ string, s *SessionState) {
	if k.session == nil {
		k.session = s
	}
}

// resumes gives the client a session that it always has.
func resumes(client, _ *Config) { client.ClientSessionCache = new(kept) }

// A sieve takes sessions, and keeps none.
type sieve struct{}

func (sieve) Get(string) (*SessionState, bool) { return nil, false }
func (sieve) Put(string, *SessionState)        {}

// forgets lets the client ask for tickets, and resume nothing.
func forgets(client, _ *Config) { client.ClientSessionCache = sieve{} }

// renews gives the client another ticket whenever it resumes.
func renews(_, server *Config) {
	server.WrapSession = func(_ ConnectionState, s *SessionState) ([]byte, error) { return s.Bytes() }
	server.UnwrapSession = func(ticket []byte, _ ConnectionState) (*SessionState, error) {
		s, err := ParseSessionState(ticket)
		if err == nil {
			s.Renew = true
		}
		return s, err
	}
}

// askedInVain has the server ask for a certificate that the client hasn't.
func askedInVain(_, server *Config) { server.ClientAuth = tls.VerifyClientCertIfGiven }

// A hoarder is a layer that keeps its keys, whichever a flight begins with.
type hoarder struct{ *layer }

func (h hoarder) Send(m handshake.Message) {
	if h.flushed {
		h.beginFlight(0)
	}
	h.layer.Send(m)
}

// betrayed returns a simulation in which one side commits a fault at a message, and
// that side's layer.
func betrayed(t *testing.T, client, server *Config, by handshake.Role, f rogue.Fault, at int) (*simulation, *rogue.Layer) {
	t.Helper()
	var c, v *rogue.Layer
	s := simulate(t, 0, client, server, func(s *simulation) {
		c, v = &rogue.Layer{Layer: hoarder{(*layer)(s.client.Engine)}}, &rogue.Layer{Layer: hoarder{(*layer)(s.server.Engine)}}
		c.Other, v.Other = v, c
		s.client.machine = handshake.NewClient(client, protocol.Datagram, c)
		s.server.machine = handshake.NewServer(server, protocol.Datagram, v)
		for _, d := range s.sides() {
			d.machine.Identify = d.ids.make
		}
		guilty := c
		if by == handshake.Server {
			guilty = v
		}
		guilty.Fault, guilty.At = f, at
	})
	if by == handshake.Server {
		return s, v
	}
	return s, c
}

// challenge lets the hellos go to a Listener, which asks for a cookie.
func (s *simulation) challenge() {
	s.t.Helper()
	g := testGreeter(s.server.config)
	for range 2 {
		var last outcome
		for _, p := range s.air {
			last = g.greet(p.data, someAddr, s.now)
		}
		s.air = nil
		if w := last.welcome; w != nil {
			w.prepare(s.server.Engine)
			s.server.receive(w.hello)
			return
		}
		s.client.receive(bytes.Clone(last.reply))
	}
	s.t.Fatal("the client is not welcome")
}

// An ending is what came of a fault.
type ending struct {
	alert alert.Alert // by the victim; else
	how   string
}

var (
	nothing  = ending{how: "nothing"} // it waits for what doesn't come
	refused  = ending{how: "the one who did it refuses"}
	complete = ending{how: "the handshake is complete"}
)

func (e ending) String() string {
	if e.how != "" {
		return e.how
	}
	return e.alert.String()
}

// ending runs on until a side is wronged and says so, or for some time.
func (d *side) ending() ending {
	for n := 0; n < 80 && d.err == nil && !d.s.quiet() && d.s.step(); n++ {
	}
	e, ok := errors.AsType[*Error](d.err)
	switch {
	case d.err == nil && d.Open():
		return complete
	case d.err == nil || d.err == ErrTimeout:
		return nothing
	case ok && e.Received:
		return refused
	case ok:
		return ending{alert: e.Alert}
	}
	return ending{how: d.err.Error()}
}

// told reports whether the other side hears of the alert that d has ended with.
func (d *side) told(e ending) bool {
	if e.how != "" {
		return true
	}
	for n := 0; n < 20 && d.peer.err == nil && d.s.step(); n++ {
	}
	heard, ok := errors.AsType[*Error](d.peer.err)
	return ok && heard.Received && heard.Alert == e.alert
}

// expected is how a fault ends that is committed at a message of a handshake which was
// lawful before. Where a message went under keys, plaintext is dropped afterwards.
func expected(f rogue.Fault, lawful *rogue.Layer, at int, is13 bool) []ending {
	m, protected := lawful.Sent[at], slices.ContainsFunc(lawful.Sent[:at], func(m handshake.Message) bool { return m.Level > 0 })
	last := lawful.EndsFlight(at)
	newKeys := !last && (lawful.Sent[at+1].Level != m.Level || lawful.Sent[at+1].Content != protocol.Handshake) // behind it
	finished := m.Type == protocol.Finished
	switch {
	case f.Name == rogue.Omitted && (last || newKeys), f.Name == rogue.Swapped && newKeys,
		f.Moves && f.Epoch > m.Level, f.Moves && f.Epoch == 0 && protected:
		return []ending{nothing}
	case f.Name == rogue.Omitted && m.Type == protocol.CertificateRequest && is13:
		return []ending{{alert: alert.DecryptError}} // of CertificateVerify
	case f.Name == rogue.Omitted && m.Type == protocol.CertificateRequest:
		return []ending{refused}
	case f.Name == rogue.Omitted && m.Type == protocol.CertificateStatus:
		return []ending{nothing} // the keys differ, as the handshakes do (RFC 7627): Finished doesn't open
	case m.Type == protocol.CertificateRequest || m.Type == protocol.CertificateStatus:
		return []ending{{alert: f.Alert}, {alert: alert.DecodeError}} // what may come there instead has another form
	case f.Alert == alert.DecodeError && finished:
		return []ending{{alert: alert.DecryptError}} // RFC 9846 4.5.3
	case finished && f.Name == "behind the last of the other side":
		return []ending{{alert: f.Alert}, {alert: alert.DecryptError}} // theirs is due, but from us
	case m.Type == protocol.ClientHello && f.Name == "doubled":
		return []ending{{alert: f.Alert}, {alert: alert.IllegalParameter}} // after HelloRetryRequest it is the second
	}
	return []ending{{alert: f.Alert}}
}

func TestMessageMatrix(t *testing.T) {
	matrix(t, func(f rogue.Fault) bool { return !f.Moves })
}

// A message in any epoch but its own, of those that there are keys for, is never taken
// (CVE-2021-42141).
func TestPitfallWrongEpoch(t *testing.T) {
	matrix(t, func(f rogue.Fault) bool { return f.Moves })
}

// matrix commits those faults at every message of every setting.
func matrix(t *testing.T, which func(rogue.Fault) bool) {
	tries := 0
	for _, c := range matrixSettings {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			resumes := strings.Contains(c.name, "resumed")
			if resumes {
				simulate(t, 0, client, server).settle()
			}
			run := func(by handshake.Role, f rogue.Fault, at int) (*simulation, *rogue.Layer) {
				s, l := betrayed(t, client, server, by, f, at)
				if c.name[3:] == ", cookie" {
					s.challenge()
				}
				return s, l
			}
			for _, by := range []handshake.Role{handshake.Client, handshake.Server} {
				s, lawful := run(by, rogue.Lawful, 0)
				s.settle()
				if resumed := s.client.State().DidResume; resumed != resumes {
					t.Fatalf("resumed %v", resumed)
				}
				for at, faults := range lawful.Faults(protocol.Datagram) {
					if c.name[3:] == ", cookie" && lawful.Sent[at].Type == protocol.ClientHello {
						continue // the greeter's: see TestGreetDropsOthers
					}
					if s.client.version.Is13() && lawful.Sent[at].Level >= handshake.LevelApplication {
						break // the handshake is over
					}
					for _, f := range faults {
						if tries++; !which(f) || tries%stride(7) != 0 {
							continue
						}
						s, l := run(by, f, at)
						victim := s.client
						if by == handshake.Client {
							victim = s.server
						}
						got := victim.ending()
						if !l.Committed {
							continue
						}
						if want := expected(f, lawful, at, s.client.version.Is13()); !slices.Contains(want, got) {
							t.Errorf("%v of the %v %s: %v (%v, the other says %v), want %v", lawful.Sent[at].Type, by, f.Name, got, victim.err, victim.peer.err, want)
						}
						if !victim.Open() { // else what was too much came behind the end of it
							victim.expectNothing()
						}
						if told := victim.told(got); !told {
							t.Errorf("%v of the %v %s: the other hears %v", lawful.Sent[at].Type, by, f.Name, victim.peer.err)
						}
					}
				}
			}
		})
	}
}
