package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
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

// A victim can be a target.
type victim interface {
	// stand opens a socket that is there to be flooded, and returns what it counts.
	stand(h handshake) (at net.Addr, counted func() (datagrams uint64, connections int), err error)
}

// beTarget is what the process does.
func beTarget(in io.Reader, out io.Writer, name, group string) error {
	p, ok := peerByName(name).(victim)
	g, err := strconv.ParseUint(group, 10, 16)
	if !ok || err != nil {
		return fmt.Errorf("%q can't be flooded with %q", name, group)
	}
	address, counted, err := p.stand(handshake{group: tls.CurveID(g)})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, address)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if _, err := fmt.Fprintln(out, stateOf(counted)); err != nil {
			return err
		}
	}
	return nil
}

func stateOf(counted func() (datagrams uint64, connections int)) sample {
	// A goodbye may be lost, and its connection stays; and what still waits in the
	// socket's buffer has another to be read into.
	const quiet = 100 * time.Millisecond
	datagrams, _ := counted()
	for now, giveUp := time.Now(), time.Now().Add(time.Second); now.Before(giveUp); now = time.Now() {
		time.Sleep(quiet)
		before, connections := datagrams, 0
		if datagrams, connections = counted(); connections == 0 && datagrams == before {
			break
		}
	}
	used := cpuTime()
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools are emptied in two steps
	runtime.ReadMemStats(&m)
	return sample{cost: float64(used), datagramsRead: float64(datagrams), serverHeap: float64(m.HeapAlloc)}
}

func (p inProcess) stand(h handshake) (net.Addr, func() (uint64, int), error) {
	e, err := p.endpoints(h)
	if err != nil {
		return nil, nil, err
	}
	l, err := e.listen()
	if err != nil {
		return nil, nil, err
	}
	go listenerTask{endpoints: e, limit: floodPatience}.echoAll(l)
	return l.Addr(), func() (uint64, int) { return e.counted(l) }, nil
}

// stand answers whatever comes, in batches, with as many bytes as a
// HelloRetryRequest has.
func (bare) stand(handshake) (net.Addr, func() (uint64, int), error) {
	const answer = 150
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, err
	}
	var datagrams atomic.Uint64
	go func() {
		batch, messages := ipv4.NewPacketConn(socket), newMessages(16)
		for {
			n, err := batch.ReadBatch(messages, 0)
			if err != nil {
				return
			}
			datagrams.Add(uint64(n))
			for i := range messages[:n] {
				messages[i].Buffers[0] = messages[i].Buffers[0][:answer]
			}
			batch.WriteBatch(messages[:n], 0) // what can't be sent is lost
			for i := range messages[:n] {
				messages[i].Buffers[0] = messages[i].Buffers[0][:largestDatagram]
			}
		}
	}()
	return socket.LocalAddr(), func() (uint64, int) { return datagrams.Load(), 0 }, nil
}

// largestDatagram is the room for one, in bytes.
const largestDatagram = 2048

func newMessages(n int) []ipv4.Message {
	messages := make([]ipv4.Message, n)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, largestDatagram)}
	}
	return messages
}
