package main

import (
	"crypto/tls"
	"time"
)

// A floodTask sends hellos under spoofed addresses to a listener in a process of
// its own, while honest clients connect to it: what a hello costs the server, and
// whether the clients notice.
type floodTask struct {
	victim string
	client inProcess // whose hellos they are
	flood  flood
	hellos int
	honest listenerTask
}

// A flood is what comes under spoofed addresses, as a name tells.
type flood struct {
	name   string
	shape  shape
	window int // how many of them may wait for an answer; zero: they come as fast as they can be sent
}

// The floods of the table.
const (
	plainFlood     = "flood of hellos"
	unboundedFlood = "flood of hellos, faster than they are answered"
	forgedFlood    = "flood of hellos with forged cookies"
	splitFlood     = "flood of hellos in two datagrams"
)

// floodWindow is how many hellos wait for their answer at most, where there is a
// bound: not enough to fill the buffer of a socket.
const floodWindow = 100

var (
	asAnswered = flood{name: plainFlood, window: floodWindow}
	asSent     = flood{name: unboundedFlood}
	withCookie = flood{name: forgedFlood, window: floodWindow, shape: shape{cookie: forgedCookie}}
	inTwo      = flood{name: splitFlood, window: floodWindow, shape: shape{handshake: handshake{group: tls.X25519MLKEM768}}}
)

// floodPatience is how long honest clients wait: what they send may be lost a few
// times.
const floodPatience = 20 * time.Second

func (p inProcess) flood(f flood, hellos, honest int) (task, error) {
	e, err := p.endpoints(f.shape.handshake)
	return floodTask{p.name(), p, f, hellos, listenerTask{e, honest, floodPatience}}, err
}

// flood has no clients but the spoofer.
func (b bare) flood(f flood, hellos, _ int) (task, error) {
	return floodTask{victim: b.name(), client: godwitDTLS13, flood: f, hellos: hellos}, nil
}

func (floodTask) close() {}

func (t floodTask) run(time.Duration) (sample, error) {
	target, err := startTarget(t.victim, t.flood.shape.handshake)
	if err != nil {
		return nil, err
	}
	defer target.stop()
	hello, err := t.flood.shape.record(t.client)
	if err != nil {
		return nil, err
	}
	spoofer, err := newSpoofer(target.address, hello)
	if err != nil {
		return nil, err
	}
	defer spoofer.close()
	// What the same clients cost without a flood is not the flood's.
	calm, err := target.during(func() error { t.visitAll(target.address); return nil })
	if err != nil {
		return nil, err
	}
	var s sample
	var took time.Duration
	spent, err := target.during(func() error {
		s, took, err = t.visitInFlood(target.address, spoofer)
		return err
	})
	if err != nil {
		return nil, err
	}
	hellos := (spent[datagramsRead] - calm[datagramsRead]) / float64(len(hello))
	s[cost] = (spent[cost] - calm[cost]) / hellos
	s[perSecond] = hellos / took.Seconds()
	s[serverHeap] = max(0, spent[serverHeap])
	return s, nil
}

// visitAll lets the honest clients come, about as long after each other as their
// share of the flood takes.
func (t floodTask) visitAll(address string) sample {
	const perHello = 5 * time.Microsecond
	return t.honest.visitAll(address, 1, time.Duration(t.hellos/max(1, t.honest.clients))*perHello)
}

// visitInFlood also says how long the flood took.
func (t floodTask) visitInFlood(address string, s *spoofer) (honest sample, took time.Duration, err error) {
	began, over := time.Now(), make(chan error, 1)
	go func() {
		err := s.flood(t.hellos, t.flood.window)
		took = time.Since(began)
		over <- err
	}()
	honest = t.visitAll(address)
	err = <-over
	return honest, took, err
}
