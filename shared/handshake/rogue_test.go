package handshake

import (
	"fmt"
	"math/bits"
	"os"
	"slices"
	"testing"
)

// A rogue is a Machine that writes what it wants, when it wants, under whichever keys
// it has: all that it says fits together, its transcript and its Finished too. So
// nothing but the order of messages can give it away.

// rogueGraph lets a role read everything everywhere, and write nothing by itself.
func rogueGraph(r Role) (graph [numSteps][]Edge) {
	for from := range numSteps {
		for _, e := range after[from] {
			if e.To.Writer() != r {
				graph[from] = append(graph[from], e)
			}
		}
		for to := range numSteps {
			lawful := slices.ContainsFunc(graph[from], func(e Edge) bool { return e.To == to })
			if hello := to == ClientHelloAgain || to == HelloVerifyRequest || to == HelloRetryRequest; to.Writer() == r.Peer() && !lawful && !hello {
				graph[from] = append(graph[from], Edge{From: from, To: to})
			}
		}
	}
	return graph
}

// A script is what a rogue writes, flight by flight.
type script [][]Step

// scriptOf is what a role writes in a golden handshake.
func (g golden) scriptOf(r Role) (flights script) {
	last := Nobody
	for _, s := range g.path {
		if s.Writer() == r {
			if last != r {
				flights = append(flights, nil)
			}
			flights[len(flights)-1] = append(flights[len(flights)-1], s)
		}
		last = s.Writer()
	}
	return flights
}

// perform runs a handshake that has begun, in which a role follows a script, whatever
// the other side says to it, and returns the other side.
func (p *pair) perform(r Role, flights script) *peer {
	p = p.fork()
	rogue, victim := p.server, p.client
	if r == Client {
		rogue, victim = p.client, p.server
		flights = flights[1:] // it has begun
	}
	p.onWay = func(_ *peer, m Message) []Message { return []Message{m} } // whatever its level
	graph := rogueGraph(r)
	run := func(f func()) {
		defer func(lawful [numSteps][]Edge) { after = lawful }(after)
		after = graph
		f()
	}
	for {
		for len(victim.inbox) > 0 && victim.err == nil {
			p.next(victim)
		}
		for victim.err == nil && victim.work() {
		}
		if len(rogue.inbox) == 0 || victim.err != nil || rogue.err != nil {
			return victim
		}
		run(func() {
			for len(rogue.inbox) > 0 && rogue.err == nil {
				p.next(rogue)
			}
			if len(flights) > 0 && rogue.err == nil {
				rogue.err = rogue.write(flights[0])
				flights = flights[1:]
			}
		})
	}
}

// write sends these steps, one after the other, as far as there are secrets for them: a
// rogue that has left out the key exchange has none.
func (p *peer) write(steps []Step) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	for _, s := range steps {
		err := p.m.send(Edge{From: p.m.place.At, To: s})
		for err == ErrNotYet {
			p.work()
			err = p.m.send(Edge{From: p.m.place.At, To: s})
		}
		if err != nil {
			return err
		}
	}
	p.m.layer.Flush(AwaitReply)
	return nil
}

// authenticates are the handshakes by which somebody is authenticated, each in its way.
func authenticates(g golden) bool {
	return !g.has(Retry) && !g.has(Ticket) && (g.has(ClientCert) || !g.has(CertRequested))
}

// dispensable are the steps that their writer may leave out: it is another handshake
// then, but a lawful one.
func (g golden) dispensable(s Step) bool {
	return s == CertificateStatus || s == CertificateRequest || s == ServerKeyExchange && !g.has(ServerCert) // a hint alone
}

// TestPitfallSkippedAuthentication: a peer that leaves out any of its messages, or
// several, and is consistent about it, is never believed: no certificate, no proof of
// possession, no Finished is dispensable. A client without certificate gets into no
// server that wants one (JSSE and others, USENIX Security 2020; CVE-2020-24613,
// CVE-2021-34433, CVE-2022-25640).
func TestPitfallSkippedAuthentication(t *testing.T) {
	performed := 0
	for _, g := range goldens() {
		if !authenticates(g) {
			continue
		}
		p := g.pair(t)
		for _, r := range []Role{Client, Server} {
			whole := g.scriptOf(r)
			if v := p.perform(r, whole); !v.m.Open() {
				t.Fatalf("%v: a %v that leaves nothing out is not believed: %v", g, r, v.err)
			}
			for at, flight := range whole {
				if at == 0 && r == Client || len(flight) > 7 {
					continue // nothing happens without a hello
				}
				for mask := 1; mask < 1<<len(flight); mask++ {
					if bits.OnesCount(uint(mask)) > 2 && os.Getenv("GODWIT_FULL") == "" {
						continue
					}
					var says, leavesOut []Step
					for n, s := range flight {
						if mask>>n&1 == 0 {
							says = append(says, s)
						} else {
							leavesOut = append(leavesOut, s)
						}
					}
					flights := slices.Clone(whole)
					flights[at] = says
					if performed++; performed%stride(7) != 0 {
						continue
					}
					if v := p.perform(r, flights); v.m.Open() && slices.ContainsFunc(leavesOut, func(s Step) bool { return !g.dispensable(s) }) {
						t.Errorf("%v: the %v leaves out %v, and is believed", g, r, leavesOut)
					} else if v.m.Open() && r == Client && g.has(ClientCert) && v.m.peer.scheme == 0 {
						t.Errorf("%v: the %v leaves out %v, and nobody is authenticated", g, r, leavesOut)
					}
				}
			}
		}
	}
	t.Logf("%d handshakes", performed)
}

// TestPitfallOrder: nor is one that exchanges two of its messages (CVE-2020-24613).
func TestPitfallOrder(t *testing.T) {
	tries := 0
	for _, g := range goldens() {
		if !authenticates(g) {
			continue
		}
		p := g.pair(t)
		for _, r := range []Role{Client, Server} {
			whole := g.scriptOf(r)
			for at, flight := range whole {
				for i := range flight {
					for j := range i {
						if tries++; tries%stride(7) != 0 {
							continue
						}
						flights := slices.Clone(whole)
						flights[at] = slices.Clone(flight)
						flights[at][i], flights[at][j] = flight[j], flight[i]
						if v := p.perform(r, flights); v.m.Open() {
							t.Errorf("%v: the %v writes %v, and is believed", g, r, flights[at])
						}
					}
				}
			}
		}
	}
}
