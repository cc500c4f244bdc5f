package model

import (
	"strings"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/mealy"
	"github.com/godwit-dtls/godwit/tls"
)

// An engine is what dtls.Engine and tls.Engine are alike in.
type engine interface {
	Start(now time.Time) error
	Receive(in []byte, now time.Time) error
	Transmit(buf []byte) int
	Read(p []byte) (n int, ok bool)
	Deadline() time.Time
	Expire(now time.Time) error
	Work() func()
	Resume(now time.Time) error
	Open() bool
	Err() error
	Closed() error
}

// newEngine returns the Engine that is learned. It repeats its flights when it is told to:
// how often its own timer has expired would be part of where it stands.
func (m mode) newEngine() engine {
	c := m.config()
	makeTLS, makeDTLS := tls.NewServerEngine, dtls.NewServerEngine
	if m.role == handshake.Client {
		makeTLS, makeDTLS = tls.NewClientEngine, dtls.NewClientEngine
	}
	if !m.datagrams() {
		e, err := makeTLS(c)
		check(err)
		return e
	}
	e, err := makeDTLS(c)
	check(err)
	e.StopRetransmitTimer()
	return e
}

// box answers words of a mode's alphabet: it is the Engine, behind a peer that speaks to
// it and hears what it answers. Each word has an Engine of its own.
func (m mode) box() mealy.Box {
	alphabet := m.alphabet()
	return func(w mealy.Word) []string {
		c := newConversation(m)
		outputs := make([]string, len(w))
		for i, input := range w {
			outputs[i] = c.exchange(alphabet[input])
		}
		return outputs
	}
}

// A conversation is one Engine and its peer, at a time that passes only while they wait.
type conversation struct {
	engine engine
	peer   *peer
	now    time.Time

	open, closed, ended bool // as noted
}

func newConversation(m mode) *conversation {
	c := &conversation{engine: m.newEngine(), peer: newPeer(m), now: birth}
	if m.role == handshake.Client {
		c.engine.Start(c.now)
		c.settle() // the peer hears the ClientHello
	}
	return c
}

// silence is the answer that there is none.
const silence = "-"

// exchange lets the peer say something, and returns what comes of it.
func (c *conversation) exchange(in input) string {
	if record := c.peer.say(in); record != nil {
		c.engine.Receive(record, c.now)
	} else {
		c.engine.(*dtls.Engine).Retransmit(c.now)
	}
	n, _ := c.engine.Read(make([]byte, 100))
	return c.outcome(c.settle(), n > 0)
}

// settle runs the Engine until nothing is left to do, through all times that it waits for,
// and returns what the peer hears.
func (c *conversation) settle() (heard said) {
	buf := make([]byte, maxDatagram)
	for {
		if work := c.engine.Work(); work != nil {
			work()
			c.engine.Resume(c.now)
			continue
		}
		if n := c.engine.Transmit(buf); n > 0 {
			c.peer.hear(buf[:n], &heard)
			continue
		}
		if c.engine.Deadline().IsZero() {
			return heard
		}
		c.now = c.engine.Deadline()
		c.engine.Expire(c.now)
	}
}

// outcome is what was heard, and what the application of the Engine notices.
func (c *conversation) outcome(heard said, data bool) string {
	note := func(noted *bool, now bool, word string) {
		if now && !*noted {
			*noted = true
			heard.add(0, word)
		}
	}
	ended := c.engine.Err() != nil
	note(&c.open, c.engine.Open() && !ended, "OPEN")
	note(new(bool), data, "DATA")
	note(&c.closed, !ended && c.engine.Closed() != nil, "CLOSED")
	note(&c.ended, ended, "END")
	return heard.String()
}

// said is what somebody has said, word by word.
type said struct {
	words []string
	level uint64 // of the last
}

// add adds a word that went under some keys. From 3 on levels look alike.
func (s *said) add(level uint64, word string) {
	if level = min(level, 3); level != s.level && level != 0 {
		word = string('0'+byte(level)) + ":" + word
		s.level = level
	}
	s.words = append(s.words, word)
}

func (s *said) String() string {
	if s.words == nil {
		return silence
	}
	return strings.Join(s.words, " ")
}
