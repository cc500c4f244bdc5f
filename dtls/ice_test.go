package dtls

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A small model of ICE (RFC 8445): two agents send connectivity checks, one each 50 ms,
// until one of their own was answered; only then they may send to each other directly.
// With plain DTLS the handshake begins then. Or its flights go with the checks and their
// answers from the beginning, a datagram in each, as draft-hancke-webrtc-sped has it.

const (
	pace    = 50 * time.Millisecond // Ta, RFC 8445 14.2
	iceTrip = 40 * time.Millisecond
)

// An agent is one side.
type agent struct {
	*Engine
	m       *iceModel
	peer    *agent
	client  bool
	valid   bool     // a check has been answered
	queue   [][]byte // datagrams for the next messages
	given   time.Time
	opened  time.Duration
	packets int // that went out, of either kind
}

// A message is a check, its answer, or a datagram that goes directly.
type iceMessage struct {
	kind byte // '?', '!', '-'
	left time.Time
	data []byte // nil: none
}

type iceModel struct {
	t      *testing.T
	now    time.Time
	events []iceEvent
	embeds bool // flights go with the checks
	agents [2]*agent
	lost   map[string]bool // "client 0": its first message
	seen   map[string]bool // datagrams that went out
	noise  *rand.Rand      // nil: none
}

type iceEvent struct {
	at time.Time
	do func()
}

func newICEModel(t *testing.T, client, server *Config, embeds bool, lost ...string) *iceModel {
	m := &iceModel{t: t, now: epochOfSimulation, embeds: embeds, lost: map[string]bool{}, seen: map[string]bool{}}
	for _, l := range lost {
		m.lost[l] = true
	}
	c, err := NewClientEngine(client)
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewServerEngine(server)
	if err != nil {
		t.Fatal(err)
	}
	m.agents = [2]*agent{{Engine: c, m: m, client: true}, {Engine: e, m: m}}
	for i, a := range m.agents {
		if a.peer = m.agents[1-i]; embeds {
			a.StopRetransmitTimer()
		}
	}
	if embeds {
		m.check(c.Start(m.now))
	}
	for _, a := range m.agents {
		a.pace()
	}
	return m
}

func (a *agent) name() string {
	if a.client {
		return "client"
	}
	return "server"
}

func (m *iceModel) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *iceModel) at(d time.Duration, do func()) {
	m.events = append(m.events, iceEvent{m.now.Add(d), do})
}

// pace sends a check, and the next one in time if that isn't answered.
func (a *agent) pace() {
	if !a.valid {
		a.send(iceMessage{kind: '?', left: a.m.now, data: a.next()})
		a.m.at(pace, a.pace)
	}
}

// next is what goes with a check or an answer: the next datagram of the flight. Once
// all have gone, and the last one a check ago, the flight goes again.
func (a *agent) next() []byte {
	if !a.m.embeds || a.valid {
		return nil
	}
	a.fill()
	if len(a.queue) == 0 && a.m.now.Sub(a.given) >= pace {
		a.Retransmit(a.m.now)
		a.fill()
	}
	if len(a.queue) == 0 {
		return nil
	}
	first := a.queue[0]
	a.queue, a.given = a.queue[1:], a.m.now
	return first
}

// fill runs what waits and takes all that the Engine has to send.
func (a *agent) fill() {
	for work := a.Work(); work != nil; work = a.Work() {
		work()
		a.m.check(a.Resume(a.m.now))
	}
	buf := make([]byte, 1500)
	for n := a.Transmit(buf); n > 0; n = a.Transmit(buf) {
		a.queue = append(a.queue, bytes.Clone(buf[:n]))
	}
	if a.Open() && a.opened == 0 {
		a.opened = a.m.now.Sub(epochOfSimulation)
	}
}

// flush sends all that there is directly, where that is possible.
func (a *agent) flush() {
	if a.fill(); !a.valid {
		return
	}
	for _, d := range a.queue {
		a.send(iceMessage{kind: '-', data: d})
	}
	a.queue = nil
}

func (a *agent) send(msg iceMessage) {
	if a.m.seen[string(msg.data)] && msg.data != nil {
		a.m.t.Errorf("%s: a datagram goes out twice", a.name())
	}
	a.m.seen[string(msg.data)] = true
	lost := a.m.lost[fmt.Sprintf("%s %d", a.name(), a.packets)]
	if a.packets++; lost {
		return
	}
	a.m.at(iceTrip/2, func() { a.peer.take(msg) })
}

// take is what an agent does with a message.
func (a *agent) take(msg iceMessage) {
	if msg.data != nil {
		a.m.check(a.Receive(msg.data, a.m.now))
	}
	a.disturb()
	switch msg.kind {
	case '?':
		a.fill()
		a.send(iceMessage{kind: '!', left: msg.left, data: a.next()})
	case '!':
		if !a.valid {
			a.open(a.m.now.Sub(msg.left))
		}
	}
	a.flush()
}

// open begins to send directly. From here on the Engine's timer repeats flights, as ICE
// has measured; what is outstanding and should have been answered goes again at once.
func (a *agent) open(roundTrip time.Duration) {
	a.valid = true
	a.m.check(a.SetInitialTimeout(roundTrip * 3 / 2))
	switch {
	case a.m.embeds:
		a.StartRetransmitTimer(a.m.now)
		if a.Outstanding() && len(a.queue) == 0 && a.m.now.Sub(a.given) > roundTrip*3/2 {
			a.Retransmit(a.m.now)
		}
	case a.client:
		a.m.check(a.Start(a.m.now))
	}
}

// disturb gives an agent what anybody may send: it must change nothing.
func (a *agent) disturb() {
	if a.m.noise == nil {
		return
	}
	deadline, outstanding, retransmits := a.Deadline(), a.Outstanding(), a.Stats().Retransmits
	for range 10 {
		junk := make([]byte, a.m.noise.IntN(200))
		for i := range junk {
			junk[i] = byte(a.m.noise.Uint32())
		}
		if len(junk) > 0 {
			junk[0] = []byte{0x2e, 0x2f, 0x3f, 0, 128, 20}[a.m.noise.IntN(6)] // ciphertext of 1.3; STUN; RTP; nothing
		}
		a.m.check(a.Receive(junk, a.m.now))
	}
	if a.Deadline() != deadline || a.Outstanding() != outstanding || a.Stats().Retransmits != retransmits {
		a.m.t.Errorf("%s: junk changes something", a.name())
	}
}

// run goes on until both are connected, and says after how many round trips each was.
func (m *iceModel) run() (client, server float64) {
	for m.agents[0].opened == 0 || m.agents[1].opened == 0 {
		next := slices.MinFunc(m.due(), func(x, y iceEvent) int { return x.at.Compare(y.at) })
		if m.now = next.at; m.now.Sub(epochOfSimulation) > time.Minute {
			m.t.Fatal("it takes too long")
		}
		next.do()
	}
	trips := func(a *agent) float64 { return float64(a.opened) / float64(iceTrip) }
	return trips(m.agents[0]), trips(m.agents[1])
}

// due is all that will happen, what happens first first among equals.
func (m *iceModel) due() (events []iceEvent) {
	for i, e := range m.events {
		events = append(events, iceEvent{e.at, func() {
			m.events = slices.Delete(m.events, i, i+1)
			e.do()
		}})
	}
	for _, a := range m.agents {
		if d := a.Deadline(); !d.IsZero() {
			events = append(events, iceEvent{d, func() {
				m.check(a.Expire(m.now))
				a.flush()
			}})
		}
	}
	return events
}

// Round trips from the first check until each side is connected.
func TestFlightsOnConnectivityChecks(t *testing.T) {
	type trips struct{ client, server float64 }
	for _, c := range []struct {
		name            string
		change          func(client, server *Config)
		lost            []string
		plain, embedded trips
		repeats         uint64 // of both sides, embedded
	}{
		{"1.3", together(), nil, trips{2, 2.5}, trips{1, 1.5}, 0},
		{"1.3, hybrid", hybrid, nil, trips{2, 2.5}, trips{1.5, 2}, 0},
		{"1.2", only12, nil, trips{3, 2.5}, trips{2, 1.5}, 0},
		{"1.3, the client's first check is lost", together(), []string{"client 0"}, trips{3.25, 3.75}, trips{2.25, 2.75}, 1},
		{"1.3, the answer to it is lost", together(), []string{"server 1"}, trips{3.25, 3.75}, trips{3, 3.5}, 2},
		{"1.2, the client's first check is lost", only12, []string{"client 0"}, trips{4.25, 3.75}, trips{3.25, 2.75}, 1},
		{"1.3, hybrid, the client's first check is lost", hybrid, []string{"client 0"}, trips{3.25, 3.75}, trips{3.25, 3.75}, 1},
	} {
		for _, noise := range []*rand.Rand{nil, rand.New(rand.NewPCG(1, 1))} {
			run := func(embeds bool) (trips, *iceModel) {
				client, server := with(c.change, clientAuth)
				m := newICEModel(t, client, server, embeds, c.lost...)
				m.noise = noise
				atClient, atServer := m.run()
				return trips{atClient, atServer}, m
			}
			plain, _ := run(false)
			embedded, m := run(true)
			if plain != c.plain || embedded != c.embedded {
				t.Errorf("%s: connected after %v round trips, and %v with flights on checks; want %v, %v", c.name, plain, embedded, c.plain, c.embedded)
			}
			if got := m.agents[0].Stats().Retransmits + m.agents[1].Stats().Retransmits; got != c.repeats {
				t.Errorf("%s: %d flights are repeated, want %d", c.name, got, c.repeats)
			}
		}
	}
}
