package loss

import (
	"encoding/binary"
	"hash/fnv"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// A link has a round trip of 50 ms and loses datagrams by lot. What becomes of a
// datagram follows from the seed, its direction and how many went before it that way,
// and from nothing else: so all stacks meet the same weather. Each takes half a
// millisecond more or less, so that no two things happen at once and a run can be
// repeated; none overtakes another.
type link struct {
	seed uint64
	loss float64 // of 1, each way
}

const (
	roundTrip = 50 * time.Millisecond
	jitter    = time.Millisecond // between the fastest and the slowest
)

// A direction tells the two ways apart.
type direction byte

const (
	up   direction = iota // from the client
	down                  // from the server
)

// fate says whether the datagram with this index gets through, and when it arrives.
func (l link) fate(d direction, index uint64) (lost bool, latency time.Duration) {
	draw := func(what byte) float64 {
		h := fnv.New64a()
		h.Write([]byte{byte(d), what})
		h.Write(binary.BigEndian.AppendUint64(nil, l.seed))
		h.Write(binary.BigEndian.AppendUint64(nil, index))
		return float64(scatter(h.Sum64())>>11) / (1 << 53)
	}
	return draw(0) < l.loss, roundTrip/2 - jitter/2 + time.Duration(draw(1)*float64(jitter))
}

// scatter lets every bit of x change every bit of the result, which FNV doesn't.
func scatter(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// open returns the two ends.
func (l link) open() (client, server *end) {
	client, server = newEnd("client"), newEnd("server")
	client.send = l.way(up, server)
	server.send = l.way(down, client)
	return client, server
}

// way carries datagrams one way, in their order.
func (l link) way(d direction, to *end) func([]byte) {
	var (
		mu    sync.Mutex
		index uint64
		last  time.Time
		air   [][]byte
	)
	return func(p []byte) {
		mu.Lock()
		defer mu.Unlock()
		lost, latency := l.fate(d, index)
		index++
		if lost {
			return
		}
		arrival := time.Now().Add(latency)
		if !arrival.After(last) {
			arrival = last.Add(time.Microsecond)
		}
		last, air = arrival, append(air, slices.Clone(p))
		time.AfterFunc(time.Until(arrival), func() {
			mu.Lock()
			next := air[0]
			air = air[1:]
			mu.Unlock()
			to.arrive(next)
		})
	}
}

// An end is a net.Conn and a net.PacketConn at one end of a link.
type end struct {
	name string
	send func([]byte)

	mu       sync.Mutex
	changed  sync.Cond // of mu: what follows
	inbox    [][]byte
	deadline time.Time
	alarm    *time.Timer
	closed   bool
}

func newEnd(name string) *end {
	e := &end{name: name}
	e.changed.L = &e.mu
	return e
}

func (e *end) arrive(p []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inbox = append(e.inbox, p)
	e.changed.Broadcast()
}

func (e *end) Read(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		switch {
		case e.closed:
			return 0, net.ErrClosed
		case !e.deadline.IsZero() && !time.Now().Before(e.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(e.inbox) > 0:
			n := copy(b, e.inbox[0])
			e.inbox = e.inbox[1:]
			return n, nil
		}
		e.changed.Wait()
	}
}

func (e *end) Write(b []byte) (int, error) {
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	e.send(b)
	return len(b), nil
}

func (e *end) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.changed.Broadcast()
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deadline = t
	if e.alarm != nil {
		e.alarm.Stop()
	}
	if !t.IsZero() {
		e.alarm = time.AfterFunc(time.Until(t), func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.changed.Broadcast()
		})
	}
	e.changed.Broadcast()
	return nil
}

func (e *end) SetDeadline(t time.Time) error    { return e.SetReadDeadline(t) }
func (e *end) SetWriteDeadline(time.Time) error { return nil }
func (e *end) LocalAddr() net.Addr              { return address(e.name) }
func (e *end) RemoteAddr() net.Addr             { return address("the peer of the " + e.name) }

func (e *end) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := e.Read(b)
	return n, e.RemoteAddr(), err
}

func (e *end) WriteTo(b []byte, _ net.Addr) (int, error) { return e.Write(b) }

// An address is a name.
type address string

func (a address) Network() string { return "simulated" }
func (a address) String() string  { return string(a) }
