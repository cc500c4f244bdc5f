package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"time"
)

// A target is the process that is flooded: this program, started with "target". It
// says where it listens, and for each line that it gets what it has come to.
type target struct {
	*process
	address string
}

func startTarget(peer string, h handshake) (*target, error) {
	p, err := startAgain("target", peer, strconv.Itoa(int(h.group)))
	if err != nil {
		return nil, err
	}
	address, err := p.line()
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the target's address: %w", err)
	}
	return &target{p, address}, nil
}

// during is what it spends while something happens.
func (t *target) during(what func() error) (sample, error) {
	before, err := t.state()
	if err != nil {
		return nil, err
	}
	if err := what(); err != nil {
		return nil, err
	}
	after, err := t.state()
	for q := range after {
		after[q] -= before[q]
	}
	return after, err
}

// state is what it has come to: CPU time and datagrams so far, and the heap that it
// holds, once the connections have gone.
func (t *target) state() (sample, error) {
	if _, err := fmt.Fprintln(t.in); err != nil {
		return nil, err
	}
	return t.sample()
}

// beTarget is what the process does.
func beTarget(in io.Reader, out io.Writer, name, group string) error {
	p, ok := peerByName(name).(inProcess)
	g, err := strconv.ParseUint(group, 10, 16)
	if !ok || err != nil {
		return fmt.Errorf("%q can't be flooded with %q", name, group)
	}
	e, err := p.endpoints(handshake{group: tls.CurveID(g)})
	if err != nil {
		return err
	}
	l, err := e.listen()
	if err != nil {
		return err
	}
	defer l.Close()
	go listenerTask{endpoints: e, limit: floodPatience}.echoAll(l)
	fmt.Fprintln(out, l.Addr())
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if _, err := fmt.Fprintln(out, e.stateOf(l)); err != nil {
			return err
		}
	}
	return nil
}

func (e endpoints) stateOf(l net.Listener) sample {
	// A goodbye may be lost, and its connection stays.
	for giveUp := time.Now().Add(time.Second); time.Now().Before(giveUp); time.Sleep(5 * time.Millisecond) {
		if _, connections := e.counted(l); connections == 0 {
			break
		}
	}
	datagrams, _ := e.counted(l)
	used := cpuTime()
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools are emptied in two steps
	runtime.ReadMemStats(&m)
	return sample{cost: float64(used), datagramsRead: float64(datagrams), serverHeap: float64(m.HeapAlloc)}
}
