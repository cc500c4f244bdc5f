package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// A listenerTask has many clients at once, of this process too, that connect to
// one listener on loopback a few times each, and want an echo.
type listenerTask struct {
	endpoints endpoints
	clients   int
	limit     time.Duration // how long a client waits for its echo, and the server for a handshake
}

// connectsEach is how often a client connects.
const connectsEach = 3

func (p inProcess) listener(clients int) (task, error) {
	e, err := p.socketEndpoints()
	// Some stacks never end if the wrong datagram is lost.
	limit := time.Second + time.Duration(clients)*5*time.Millisecond
	return listenerTask{e, clients, limit}, err
}

func (listenerTask) close() {}

func (t listenerTask) run(time.Duration) (sample, error) {
	l, err := t.endpoints.listen()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	go t.echoAll(l)
	used := cpuTime()
	s := t.visitAll(l.Addr().String(), connectsEach, 0)
	s[cost] = float64(cpuTime()-used) / float64(t.clients*connectsEach)
	return s, nil
}

// visitAll lets every client connect a few times; they come one after the other, so
// long apart.
func (t listenerTask) visitAll(address string, times int, apart time.Duration) sample {
	visits := make([][]visit, t.clients)
	began := time.Now()
	var clients sync.WaitGroup
	for i := range visits {
		clients.Go(func() {
			time.Sleep(time.Duration(i) * apart)
			for range times {
				visits[i] = append(visits[i], t.visit(address))
			}
		})
	}
	clients.Wait()
	return summarize(slices.Concat(visits...), time.Since(began))
}

// summarize says on standard error what went wrong first: the number alone helps
// nobody.
func summarize(visits []visit, took time.Duration) sample {
	var served, failed, slowest float64
	for _, v := range visits {
		slowest = max(slowest, float64(v.took))
		if v.err == nil {
			served++
			continue
		}
		if failed++; failed == 1 {
			fmt.Fprintf(os.Stderr, "one of %d connections failed: %v\n", len(visits), v.err)
		}
	}
	return sample{perSecond: served / took.Seconds(), longest: slowest, failures: failed}
}

// A visit is one connection of a client, and took until the echo came. In 1.3 a
// client has its handshake behind it when the server may not.
type visit struct {
	took time.Duration
	err  error
}

func (t listenerTask) visit(address string) (v visit) {
	began := time.Now()
	defer func() { v.took = time.Since(began) }()
	ctx, cancel := context.WithTimeout(context.Background(), t.limit)
	defer cancel()
	c, err := t.endpoints.dial(ctx, address)
	if err != nil {
		return visit{err: fmt.Errorf("handshake: %w", err)}
	}
	defer c.Close()
	if err := ask(ctx, c); err != nil {
		return visit{err: fmt.Errorf("echo: %w", err)}
	}
	return visit{}
}

// ask wants an echo. A datagram may be lost, as the sockets' buffers are small:
// then it asks again, after twice the time. In 1.3 the server may still be at the
// handshake, and many who ask often keep it from that.
func ask(ctx context.Context, c conn) error {
	buf := make([]byte, 16)
	for patience := time.Second / 2; ; patience *= 2 {
		if _, err := c.Write(buf[:1]); err != nil {
			return err
		}
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		_, err := c.Read(buf)
		if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() || ctx.Err() != nil {
			return err
		}
	}
}

// echoAll serves every client of a listener until it says goodbye.
func (t listenerTask) echoAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			ctx, cancel := context.WithTimeout(context.Background(), t.limit)
			defer cancel()
			if c.(conn).HandshakeContext(ctx) == nil {
				io.CopyBuffer(justWriter{c}, c, make([]byte, 2048))
			}
		}()
	}
}

// justWriter hides what else a Conn can do from io.Copy.
type justWriter struct{ io.Writer }
