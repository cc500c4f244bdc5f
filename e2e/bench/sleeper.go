package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/godwit-dtls/godwit/dtls"
)

// sleepers are clients that share a socket. Each has an address of its own among those
// of 127.0.0.0/8, which tells whom an answer is for.
type sleepers struct {
	socket *ipv4.PacketConn
	server *net.UDPAddr
	all    []*sleeper
	in     []ipv4.Message
}

// A sleeper is one of them.
type sleeper struct {
	engine  *dtls.Engine
	source  []byte // the control message with its address
	heard   bool   // what it has asked for last
	askedAt time.Time
}

// atOnce is how many wait for an answer, at most: not enough to fill the buffer of a
// socket.
const atOnce = 64

func newSleepers(server string, n int) (*sleepers, error) {
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		return nil, err
	}
	// Bound to no address, it may send from any that is the host's.
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	s := &sleepers{socket: ipv4.NewPacketConn(conn), server: to, in: make([]ipv4.Message, atOnce)}
	for i := range s.in {
		s.in[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 2048)}, OOB: ipv4.NewControlMessage(ipv4.FlagDst)}
	}
	config, _ := godwitDTLS13.stack.(godwit).configs(handshake{})
	config.ConnectionIDs = dtls.RandomConnectionIDs(0)
	for i := range n {
		e, err := dtls.NewClientEngine(config)
		if err != nil {
			return nil, err
		}
		source := ipv4.ControlMessage{Src: addressOf(i)}
		s.all = append(s.all, &sleeper{engine: e, source: source.Marshal()})
	}
	return s, errors.Join(s.socket.SetControlMessage(ipv4.FlagDst, true), conn.SetReadBuffer(4<<20))
}

func (s *sleepers) close() { s.socket.Close() }

// addressOf is the address of the sleeper with this number, and numberOf the other way
// round.
func addressOf(i int) net.IP { return net.IPv4(127, 1+byte(i>>16), byte(i>>8), byte(i)).To4() }

func numberOf(a net.IP) int {
	a = a.To4()
	return int(a[1]-1)<<16 | int(a[2])<<8 | int(a[3])
}

// connect runs handshakes.
func (s *sleepers) connect(who []*sleeper) error {
	return s.each(who, 5*time.Second, func(z *sleeper, now time.Time) error {
		if !z.engine.Deadline().IsZero() {
			return z.engine.Expire(now)
		}
		return z.engine.Start(now)
	}, func(z *sleeper) bool { return z.engine.Open() && !z.engine.Outstanding() })
}

// talk lets each say a word, and waits for the answer.
func (s *sleepers) talk(who []*sleeper) error {
	return s.each(who, time.Second, func(z *sleeper, now time.Time) error {
		buf := make([]byte, 256)
		n, err := z.engine.Write(buf, []byte("still here"), now)
		if err != nil {
			return err
		}
		z.heard = false
		return s.send(z, buf[:n])
	}, func(z *sleeper) bool { return z.heard })
}

// each lets everybody begin, some at a time, and goes on until all are done. Who isn't
// for some time begins again.
func (s *sleepers) each(who []*sleeper, patience time.Duration, begin func(*sleeper, time.Time) error, done func(*sleeper) bool) error {
	waiting, next := map[*sleeper]bool{}, 0
	for lastHeard := time.Now(); next < len(who) || len(waiting) > 0; {
		for ; next < len(who) && len(waiting) < atOnce; next++ {
			waiting[who[next]] = true
			if err := s.begin(who[next], begin); err != nil {
				return err
			}
		}
		heard, err := s.receive()
		if err != nil {
			return err
		}
		for _, z := range heard {
			lastHeard = time.Now()
			if done(z) {
				delete(waiting, z)
			}
		}
		for z := range waiting {
			if time.Since(z.askedAt) > patience/10 {
				if err := s.begin(z, begin); err != nil {
					return err
				}
			}
		}
		if time.Since(lastHeard) > 10*patience {
			return fmt.Errorf("%d have no answer, of %d", len(waiting), next)
		}
	}
	return nil
}

func (s *sleepers) begin(z *sleeper, begin func(*sleeper, time.Time) error) error {
	z.askedAt = time.Now()
	if err := begin(z, z.askedAt); err != nil {
		return err
	}
	return s.flush(z)
}

// receive waits a moment for datagrams, and says who has got one.
func (s *sleepers) receive() (heard []*sleeper, err error) {
	s.socket.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := s.socket.ReadBatch(s.in, 0)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var to ipv4.ControlMessage
	for _, m := range s.in[:n] {
		if err := to.Parse(m.OOB[:m.NN]); err != nil {
			return nil, err
		}
		z := s.all[numberOf(to.Dst)]
		if err := z.engine.Receive(m.Buffers[0][:m.N], time.Now()); err != nil {
			return nil, err
		}
		for buf := make([]byte, 64); ; z.heard = true {
			if _, ok := z.engine.Read(buf); !ok {
				break
			}
		}
		if err := s.flush(z); err != nil {
			return nil, err
		}
		heard = append(heard, z)
	}
	return heard, nil
}

// flush does what an Engine wants done.
func (s *sleepers) flush(z *sleeper) error {
	for work := z.engine.Work(); work != nil; work = z.engine.Work() {
		work()
		if err := z.engine.Resume(time.Now()); err != nil {
			return err
		}
	}
	buf := make([]byte, 1500)
	for n := z.engine.Transmit(buf); n > 0; n = z.engine.Transmit(buf) {
		if err := s.send(z, buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

func (s *sleepers) send(z *sleeper, datagram []byte) error {
	_, err := s.socket.WriteBatch([]ipv4.Message{{Buffers: [][]byte{datagram}, OOB: z.source, Addr: s.server}}, 0)
	return err
}
