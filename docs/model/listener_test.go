package model

import (
	"bytes"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/mealy"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// A Listener is learned as far as its door: until it has let somebody in, by a cookie. It
// keeps nothing about anybody before, so its machine is that of what a client has.

// The names of what is said at a door, beside what an Engine's peer says.
const (
	withCookie   = "ClientHello with cookie"
	forgedCookie = "ClientHello with forged cookie"
)

// doorInputs are a first hello, those that answer a challenge, and what may not come.
var doorInputs = []string{"ClientHello", withCookie, forgedCookie, "Finished", "ChangeCipherSpec", "data", "close_notify"}

// listened are the versions that it has.
var listened = []protocol.Version{protocol.VersionDTLS13, protocol.VersionDTLS12}

// doorStates are where somebody stands: outside without a cookie, outside with one, inside.
var doorStates = []string{"outside", "challenged", "inside"}

// door is the machine of a Listener.
func door(v protocol.Version) *mealy.Machine {
	challenge, refusal, welcome := "HelloRetryRequest", "alert(illegal_parameter)", "ServerHello"
	if !v.Is13() {
		challenge, refusal = "HelloVerifyRequest", "HelloVerifyRequest" // RFC 6347 4.2.1: as if there was none
	}
	const outside, challenged, inside = 0, 1, 2
	m := &mealy.Machine{Inputs: doorInputs}
	for state := range inside + 1 {
		edges := slices.Repeat([]mealy.Edge{{Output: silence, To: state}}, len(doorInputs))
		if state != inside {
			edges[0] = mealy.Edge{Output: challenge, To: challenged}
			edges[2] = mealy.Edge{Output: refusal, To: state}
		}
		if !v.Is13() && state == outside {
			edges[2].To = challenged // it says what would have been right
		}
		if state == challenged {
			edges[1] = mealy.Edge{Output: welcome, To: inside}
		}
		m.States = append(m.States, edges)
	}
	return m
}

// TestListener: nothing but a cookie opens the door, and nothing else that is said
// outside changes anything.
func TestListener(t *testing.T) {
	for _, v := range listened {
		t.Run(v.String(), func(t *testing.T) {
			m := mode{v, handshake.Server, serverAlone}
			learn(t, door(v), func(w mealy.Word) (outputs []string) {
				synctest.Test(t, func(*testing.T) { outputs = m.knock(w) })
				return outputs
			})
		})
	}
}

// knock says a word to a Listener, until it lets us in.
func (m mode) knock(w mealy.Word) (outputs []string) {
	link := newMemory()
	l, err := dtls.NewListener(link, m.config())
	check(err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			go c.(*dtls.Conn).Handshake()
		}
	}()
	p := newPeer(m)
	inside := false
	for _, input := range w {
		output := silence
		if !inside {
			link.in <- p.knock(doorInputs[input])
			synctest.Wait()
			output = p.hearPlain(link.take())
			inside = output == "ServerHello"
		}
		outputs = append(outputs, output)
	}
	return outputs
}

// knock returns what an input is on the wire.
func (p *peer) knock(name string) []byte {
	in := saidAs(protocol.ClientHello, (*peer).clientHello)
	cookie := p.cookie
	defer func() { p.cookie = cookie }()
	p.seq = 1
	switch name {
	case "ClientHello":
		p.seq, p.cookie = 0, nil
	case withCookie:
	case forgedCookie:
		p.cookie = append([]byte{1}, cookie...)
	default:
		alphabet := p.alphabet()
		in = alphabet[slices.Index(names(alphabet), name)]
	}
	return p.say(in)
}

// hearPlain names the first message or alert of what was sent in the clear, and takes its
// cookie.
func (p *peer) hearPlain(sent []byte) string {
	if sent == nil {
		return silence
	}
	var heard said
	o, _ := p.link.open(sent)
	if o.kind == protocol.Alert {
		p.hear(sent, &heard)
		return heard.String()
	}
	t, whole, _ := p.link.unframe(o.content)
	body := p.link.body(whole)
	step := handshake.HelloVerifyRequest
	if t == protocol.HelloVerifyRequest {
		var in message.HelloVerifyRequest
		check(in.Parse(body))
		p.cookie = bytes.Clone(in.Cookie)
	} else {
		var in message.ServerHello
		check(in.Parse(body))
		step = p.stepOf(t, body)
		if cookie, ok := in.Extensions.Find(protocol.ExtCookie); ok {
			cookie, err := message.ParseCookie(cookie)
			check(err)
			p.cookie = bytes.Clone(cookie)
		}
	}
	return describe(step)
}

// offerCookie says in a ClientHello of 1.3 what the server gave us.
func (p *peer) offerCookie(e *wire.Builder) {
	if p.cookie != nil {
		extension(e, protocol.ExtCookie, func(b *wire.Builder) { message.AppendCookie(b, p.cookie) })
	}
}

// memory is a net.PacketConn with one peer.
type memory struct {
	in     chan []byte
	closed chan struct{}
	close  func()

	mu  sync.Mutex
	out [][]byte
}

func newMemory() *memory {
	m := &memory{in: make(chan []byte), closed: make(chan struct{})}
	m.close = sync.OnceFunc(func() { close(m.closed) })
	return m
}

// take returns the first datagram that was sent since the last time.
func (m *memory) take() (first []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.out) > 0 {
		first = m.out[0]
	}
	m.out = nil
	return first
}

func (m *memory) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case datagram := <-m.in:
		return copy(p, datagram), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1000}, nil
	case <-m.closed:
		return 0, nil, net.ErrClosed
	}
}

func (m *memory) WriteTo(p []byte, _ net.Addr) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out = append(m.out, bytes.Clone(p))
	return len(p), nil
}

func (m *memory) Close() error {
	m.close()
	return nil
}

func (m *memory) LocalAddr() net.Addr              { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 4433} }
func (m *memory) SetDeadline(time.Time) error      { return nil }
func (m *memory) SetReadDeadline(time.Time) error  { return nil }
func (m *memory) SetWriteDeadline(time.Time) error { return nil }
