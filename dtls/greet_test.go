package dtls

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A caller is a client's Engine that talks to a greeter, in datagrams.
type caller struct {
	*Engine
	t    testing.TB
	from netip.AddrPort
	now  time.Time
}

func newCaller(t testing.TB, client *Config) *caller {
	t.Helper()
	e, err := NewClientEngine(client)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{Engine: e, t: t, from: someAddr, now: epochOfSimulation}
	if err := e.Start(c.now); err != nil {
		t.Fatal(err)
	}
	return c
}

// flight returns the datagrams that the Engine has to send.
func (c *caller) flight() (all [][]byte) {
	buf := make([]byte, 2000)
	for {
		n := c.Transmit(buf)
		if n == 0 {
			return all
		}
		all = append(all, bytes.Clone(buf[:n]))
	}
}

// An outcome is what a greeter makes of a datagram.
type outcome struct {
	greeting
	wait bool
}

// greet is what a Listener does with a datagram from an address without a Conn.
func (g *greeter) greet(datagram []byte, from netip.AddrPort, now time.Time) outcome {
	in, wait := g.hear(datagram, from, now)
	if in == nil {
		return outcome{wait: wait}
	}
	return outcome{greeting: g.answer(in, from, now)}
}

// call gives all datagrams to the greeter and returns its last word. Every one
// but the last must make it wait.
func (c *caller) call(g *greeter, datagrams [][]byte) outcome {
	c.t.Helper()
	in, last := 0, outcome{}
	for i, d := range datagrams {
		in += len(d)
		last = g.greet(d, c.from, c.now)
		if i < len(datagrams)-1 && !last.wait {
			c.t.Fatalf("datagram %d of %d: %+v, want wait", i+1, len(datagrams), last)
		}
	}
	if len(last.reply) > amplification*in {
		c.t.Errorf("%d bytes in, %d out", in, len(last.reply))
	}
	return last
}

// answer calls with the first hello, and returns the one with the cookie.
func (c *caller) answer(g *greeter) [][]byte {
	c.t.Helper()
	last := c.call(g, c.flight())
	if last.reply == nil {
		c.t.Fatalf("%+v, want a reply", last)
	}
	if err := c.Receive(bytes.Clone(last.reply), c.now); err != nil {
		c.t.Fatal(err)
	}
	return c.flight()
}

func testGreeter(server *Config) *greeter {
	g := newGreeter(server, epochOfSimulation)
	return &g
}

// greetings are the shapes of hello: whole and in fragments, for both versions.
var greetings = []setting{
	{"1.3", together()},
	{"1.3, in two datagrams", hybrid},
	{"1.3, in many datagrams", together(hybrid, mtu(228))},
	{"1.3, another group", retry},
	{"1.3, no group but a PSK alone", keyAlone},
	{"1.2", only12},
	{"1.2, of a client with both, in two datagrams", together(hybrid, func(_, server *Config) { server.MaxVersion = VersionDTLS12 })},
}

func is12(client, server *Config) bool {
	return client.MaxVersion == VersionDTLS12 || server.MaxVersion == VersionDTLS12
}

// RFC 9147 5.1 [5]
func TestGreet(t *testing.T) {
	for _, c := range greetings {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change)
			g, caller := testGreeter(server), newCaller(t, client)
			second := caller.answer(g)
			w := caller.call(g, second).welcome
			if w == nil {
				t.Fatal("not welcome")
			}
			want := VersionDTLS13
			if is12(client, server) {
				want = VersionDTLS12
			}
			if uint16(w.entry.Version) != want || w.entry.Seq != 1 {
				t.Errorf("entry %+v", w.entry)
			}
			if r, _, _ := parseHeader12(second[len(second)-1]); w.sequence != r.number.Sequence {
				t.Errorf("sequence %d, the hello's is %d", w.sequence, r.number.Sequence)
			}
			if len(second) == 1 && !bytes.Equal(w.hello, second[0]) {
				t.Error("the hello is not the client's")
			}
			// The same hello is as good a second time, since nothing is kept.
			if caller.call(g, second).welcome == nil {
				t.Error("not welcome again")
			}
		})
	}
}

// The first record of a server whose cookie came back has the number of the one that
// brought it, since nobody knows which were used before; the next counts on (RFC 6347
// 4.2.1).
//
// RFC 6347 4.2.1 [11]
func TestAnswerToCookieHasItsNumber(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		g, caller := testGreeter(server), newCaller(t, client)
		w := caller.call(g, caller.answer(g)).welcome
		if w == nil || w.sequence == 0 {
			t.Fatalf("welcome %+v", w)
		}
		s := simulate(t, 0, client, server)
		w.prepare(s.server.Engine)
		s.sent = nil
		s.server.receive(w.hello)
		want := w.sequence
		for _, p := range s.sent {
			for rest := p.data; len(rest) > 0 && !isUnified(rest[0]); want++ {
				var h header12
				if h, rest, _ = parseHeader12(rest); h.number.Sequence != want {
					t.Errorf("%v, expected number %d", h.number, want)
				}
			}
		}
		if want == w.sequence {
			t.Error("no answer")
		}
	})
}

// A HelloVerifyRequest says 1.0, whichever version is chosen afterwards (RFC 6347 4.2.1).
//
// RFC 6347 4.2.1 [2]
func TestVerifyRequestVersion(t *testing.T) {
	client, server := with(only12)
	r, _, ok := parseHeader12(testGreeter(server).greet(newCaller(t, client).flight()[0], someAddr, epochOfSimulation).reply)
	if !ok {
		t.Fatal("no reply")
	}
	_, body, _, err := fragment.Parse(r.body)
	var in message.HelloVerifyRequest
	if err != nil || in.Parse(body) != nil || in.Version != protocol.VersionDTLS10 {
		t.Errorf("HelloVerifyRequest with %v, %v", in.Version, err)
	}
}

// A reply has the number of the record that it answers, and in 1.2 its version
// too, for clients that check them before they know better.
//
// RFC 6347 4.2.1 [9]
func TestGreetAnswersRecord(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		g := testGreeter(server)
		hello := newCaller(t, client).flight()[0]
		for _, version := range []protocol.Version{protocol.VersionDTLS10, protocol.VersionDTLS12} {
			binary.BigEndian.PutUint16(hello[1:], uint16(version))
			hello[10] = 77
			want := version
			if !is12(client, server) {
				want = protocol.VersionDTLS12 // RFC 9147 4
			}
			r, rest, ok := parseHeader12(g.greet(hello, someAddr, epochOfSimulation).reply)
			if !ok || len(rest) > 0 || r.version != want || r.number.Sequence != 77 {
				t.Errorf("%v: the answer is %v %v, %v", version, r.version, r.number, ok)
			}
		}
	})
}

// A cookie is good for its address, hello and time only (tinydtls#59, #243). In
// 1.3 the client is told to start from scratch, in 1.2 it gets a new one.
//
// RFC 9147 5.1 [9], 11 [3]; RFC 6347 4.2.1 [16]
func TestPitfallCookieOfAnotherHello(t *testing.T) {
	changes := map[string]func(*caller, [][]byte) [][]byte{
		"expired": func(c *caller, d [][]byte) [][]byte {
			c.now = c.now.Add(cookieLifetime + time.Second)
			return d
		},
		"another address": func(c *caller, d [][]byte) [][]byte {
			c.from = otherAddr
			return d
		},
		"another random": func(_ *caller, d [][]byte) [][]byte {
			d[0][30]++
			return d
		},
	}
	for _, setting := range greetings {
		for name, change := range changes {
			t.Run(setting.name+"/"+name, func(t *testing.T) {
				client, server := with(setting.change)
				g, caller := testGreeter(server), newCaller(t, client)
				last := caller.call(g, change(caller, caller.answer(g)))
				if last.welcome != nil {
					t.Fatal("welcome")
				}
				r, _, ok := parseHeader12(last.reply)
				switch {
				case !ok:
					t.Error("no reply")
				case is12(client, server):
					if r.kind != protocol.Handshake || protocol.HandshakeType(r.body[0]) != protocol.HelloVerifyRequest {
						t.Errorf("the reply is %v % x", r.kind, r.body)
					}
				case r.kind != protocol.Alert || alert.Alert(r.body[1]) != alert.IllegalParameter:
					t.Errorf("the reply is %v % x", r.kind, r.body)
				}
			})
		}
	}
}

// A stale cookie gets a client of 1.2 another HelloVerifyRequest, three at most.
//
// RFC 6347 4.2.1 [17]
func TestGreetRepeatedly(t *testing.T) {
	for stale := range 4 {
		for _, setting := range greetings {
			client, server := with(setting.change)
			if !is12(client, server) {
				continue
			}
			g, caller := testGreeter(server), newCaller(t, client)
			hello := caller.answer(g)
			var err error
			for range stale {
				g.cookies.set(nil, caller.now)
				last := caller.call(g, hello)
				if last.reply == nil {
					t.Fatalf("%s: %+v, want a reply", setting.name, last)
				}
				if err = caller.Receive(bytes.Clone(last.reply), caller.now); err != nil {
					break
				}
				hello = caller.flight()
			}
			if stale == 3 {
				expectAlertError(t, err, alert.UnexpectedMessage)
				continue
			}
			w := caller.call(g, hello).welcome
			if err != nil || w == nil || int(w.entry.Seq) != stale+1 {
				t.Errorf("%s, %d stale cookies: %v, %+v", setting.name, stale, err, w)
			}
		}
	}
}

func expectAlertError(t testing.TB, err error, want alert.Alert) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Alert != want {
		t.Errorf("%v, want %v", err, want)
	}
}

// Hellos that lead nowhere get the alert that a handshake would give.
//
// RFC 9147 5.10 [1]
func TestGreetRefusesHellos(t *testing.T) {
	tests := []struct {
		name   string
		change func(client, server *Config)
		want   alert.Alert
	}{
		{"no common version", func(client, server *Config) { client.MaxVersion, server.MinVersion = VersionDTLS12, VersionDTLS13 }, alert.ProtocolVersion},
		{"no common suite", func(client, server *Config) {
			client.CipherSuites, server.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256}, []uint16{tls.TLS_AES_256_GCM_SHA384}
		}, alert.HandshakeFailure},
		{"no common group", func(client, server *Config) {
			client.CurvePreferences, server.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256}
		}, alert.HandshakeFailure},
	}
	for _, tt := range tests {
		client, server := with(tt.change)
		caller := newCaller(t, client)
		last := caller.call(testGreeter(server), caller.flight())
		expectAlertError(t, caller.Receive(bytes.Clone(last.reply), caller.now), tt.want)
		if caller.Err() == nil {
			t.Errorf("%s: the client goes on", tt.name)
		}
	}
}

// Nothing but a ClientHello in plaintext gets an answer, at any length.
//
// RFC 9147 4 [3]
func TestGreetDropsOthers(t *testing.T) {
	client, server := with()
	hello := newCaller(t, client).flight()[0]
	altered := func(at int, value byte) []byte {
		b := bytes.Clone(hello)
		b[at] = value
		return b
	}
	others := map[string][]byte{
		"application data": altered(0, 23),
		"alert":            altered(0, 21),
		"unified header":   altered(0, 0x2f),
		"TLS":              altered(1, 3),
		"DTLS 1.3 version": altered(2, 0xfc),
		"epoch 1":          altered(4, 1),
		"ServerHello":      altered(13, 2),
		"message_seq 4":    altered(18, 4),
		"message_seq 256":  altered(17, 1),
	}
	for n := range hello {
		others[fmt.Sprintf("the first %d bytes", n)] = hello[:n]
	}
	g := testGreeter(server)
	for name, datagram := range others {
		if last := g.greet(datagram, someAddr, epochOfSimulation); last.reply != nil || last.welcome != nil || last.wait {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

// --- The cost of spoofed hellos

// spoofed are datagrams that an attacker could send under any address: whole
// hellos and first fragments, of both versions, with and without cookies.
func spoofed(t testing.TB) (all [][]byte, server *Config) {
	for _, c := range greetings {
		if c.name == "1.3, another group" {
			continue // the server's Config differs
		}
		client, config := with(c.change)
		config.MaxVersion = 0
		config.CurvePreferences = nil
		server = config
		caller := newCaller(t, client)
		g := testGreeter(config)
		first := caller.flight()
		last := caller.call(g, first)
		if err := caller.Receive(bytes.Clone(last.reply), caller.now); err != nil {
			t.Fatal(err)
		}
		all = append(all, first[0], caller.flight()[0])
	}
	return all, server
}

// Nobody who has shown no cookie costs memory: what other stacks keep of a client
// from its first hello on can be made as large as somebody likes.
//
// RFC 6347 4.2.1 [10]
func TestPitfallStateBeforeCookie(t *testing.T) {
	if !Alone(t) {
		return
	}
	datagrams, server := spoofed(t)
	g := testGreeter(server) // with other keys: every cookie is forged
	port := uint16(0)
	flood := func() {
		for _, d := range datagrams {
			port++
			g.greet(d, netip.AddrPortFrom(someAddr.Addr(), port), epochOfSimulation)
		}
	}
	for i, d := range datagrams {
		if n := testing.AllocsPerRun(200, func() { g.greet(d, someAddr, epochOfSimulation) }); n != 0 {
			t.Errorf("%v allocations for datagram %d", n, i)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 500 {
		flood()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// Never more than three times what came goes out, whatever it was that came
// (CVE-2015-6925).
//
// RFC 9147 5.1 [7]
func TestPitfallAmplification(t *testing.T) {
	datagrams, server := spoofed(t)
	random := rand.New(rand.NewPCG(1, 2))
	g := testGreeter(server)
	in, out, replies := 0, 0, 0
	for range 20000 {
		d := bytes.Clone(datagrams[random.IntN(len(datagrams))])
		switch random.IntN(3) {
		case 0:
			for range 1 + random.IntN(3) {
				d[random.IntN(len(d))] = byte(random.Uint32())
			}
		case 1:
			d = d[:random.IntN(len(d)+1)]
		}
		last := g.greet(d, someAddr, epochOfSimulation)
		if last.welcome != nil {
			t.Fatal("welcome without a good cookie")
		}
		in, out = in+len(d), out+len(last.reply)
		if last.reply != nil {
			replies++
		}
		if out > amplification*in {
			t.Fatalf("%d bytes in, %d out", in, out)
		}
	}
	if replies < 1000 {
		t.Errorf("%d replies: the test tests nothing", replies)
	}
}

// The smallest hello that parses gets no more than three times its size either.
func TestGreetSmallestHello(t *testing.T) {
	_, server := with()
	server.CurvePreferences = nil
	datagram := smallestHello()
	body := datagram[headerSize12+fragment.HeaderSize:]
	reply := testGreeter(server).greet(datagram, someAddr, epochOfSimulation).reply
	if reply == nil || len(reply) > amplification*len(datagram) {
		t.Errorf("%d bytes in, %d out", len(datagram), len(reply))
	}
	// In fragments of one byte, many more come before the answer.
	g := testGreeter(server)
	in := 0
	for i := range body {
		part := append([]byte{1, 0, 0, byte(len(body)), 0, 0, 0, 0, byte(i), 0, 0, 1}, body[i])
		d := append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(part))}, part...)
		in += len(d)
		last := g.greet(d, someAddr, epochOfSimulation)
		if last.wait != (i < len(body)-1) || (last.reply != nil) == last.wait {
			t.Fatalf("fragment %d of %d: %+v", i+1, len(body), last)
		}
		if len(last.reply) > amplification*in {
			t.Errorf("%d bytes in, %d out", in, len(last.reply))
		}
	}
}
