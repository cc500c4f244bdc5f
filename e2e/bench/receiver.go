package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// A farEnd is the process that receives in a datagramTask: this program, started
// with "receive". It says where it listens, and at last what a datagram cost it.
type farEnd struct {
	*process
	address string
}

func startFarEnd(peer string, batch int) (*farEnd, error) {
	p, err := startAgain("receive", peer, strconv.Itoa(batch))
	if err != nil {
		return nil, err
	}
	address, err := p.line()
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the receiver's address: %w", err)
	}
	return &farEnd{p, address}, nil
}

// patience is how long the beginning and the end may take.
const patience = 20 * time.Second

// result lets finish say that it's over, until that has arrived.
func (f *farEnd) result(finish func() error) (s sample, err error) {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		s, err = f.sample()
	}()
	for giveUp := time.Now().Add(patience); time.Now().Before(giveUp); {
		if err := finish(); err != nil {
			return nil, err
		}
		select {
		case <-answered:
			return s, err
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil, fmt.Errorf("the receiver didn't hear the end in %v", patience)
}

// receive is what the process does.
func receive(out io.Writer, name, batch string) error {
	p, ok := peerByName(name).(correspondent)
	size, err := strconv.Atoi(batch)
	if !ok || err != nil {
		return fmt.Errorf("nobody receives %q by %q", batch, name)
	}
	r, err := p.receiver(size)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, r.Addr())
	a := arrivals{over: make(chan sample, 1)}
	failed := make(chan error, 1)
	go func() { failed <- r.receive(a.add) }()
	select {
	case s := <-a.over:
		_, err := fmt.Fprintln(out, s)
		return err
	case err := <-failed:
		return err
	case <-time.After(10 * patience):
		return errors.New("nobody said that it's over")
	}
}

// arrivals count what arrived, and the CPU time since the first datagram.
type arrivals struct {
	count int
	began time.Duration
	ended bool
	over  chan sample
}

// add counts datagrams of so many bytes. One byte says that it's over.
func (a *arrivals) add(size, count int) {
	if a.ended {
		return
	}
	if size == 1 {
		a.ended = true
		a.over <- sample{cost: float64(cpuTime()-a.began) / float64(max(a.count, 1))}
		return
	}
	if a.count == 0 {
		a.began = cpuTime()
	}
	a.count += count
}
