package dtls

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// recordOf makes a plaintext record, numbered as r.
func recordOf(r header12, payload ...[]byte) []byte {
	b := append(make([]byte, headerSize12), slices.Concat(payload...)...)
	putHeader12(b, protocol.Handshake, r.version, r.number, len(b)-headerSize12)
	return b
}

// cut cuts the only message of a datagram into n fragments.
func cut(t testing.TB, datagram []byte, n int) (r header12, parts [][]byte) {
	t.Helper()
	r, rest, ok := parseHeader12(datagram)
	h, body, more, err := fragment.Parse(r.body)
	if !ok || err != nil || !h.Whole() || len(rest)+len(more) > 0 {
		t.Fatalf("not one message: % x", datagram)
	}
	for i := range n {
		from, to := i*len(body)/n, (i+1)*len(body)/n
		part, b := fragment.Split(h, body, from, to-from)
		parts = append(parts, append(part.Append(nil), b...))
	}
	return r, parts
}

// arrangements are the ways in which the fragments of a hello may lie in records
// and datagrams.
var arrangements = []struct {
	name   string
	places func(r header12, parts [][]byte) (datagrams [][]byte)
}{
	{"a datagram for each", func(r header12, parts [][]byte) (all [][]byte) {
		for _, p := range parts {
			all = append(all, recordOf(r, p))
		}
		return all
	}},
	{"all in one record", func(r header12, parts [][]byte) [][]byte { return [][]byte{recordOf(r, parts...)} }},
	{"a record for each, in one datagram", func(r header12, parts [][]byte) [][]byte {
		var b []byte
		for _, p := range parts {
			b = append(b, recordOf(r, p)...)
		}
		return [][]byte{b}
	}},
	{"two records in each of two datagrams", func(r header12, parts [][]byte) (all [][]byte) {
		half := (len(parts) + 1) / 2
		for _, p := range [][][]byte{parts[:half], parts[half:]} {
			all = append(all, append(recordOf(r, p[:1]...), recordOf(r, p...)...))
		}
		return all
	}},
	{"the second before the first, and twice", func(r header12, parts [][]byte) [][]byte {
		parts = slices.Clone(parts)
		parts[0], parts[1] = parts[1], parts[0]
		return [][]byte{recordOf(r, parts[0]), recordOf(r, parts[0]), recordOf(r, parts[1:]...)}
	}},
}

// However a hello is cut, the answer is that to the whole, and so is what the
// Engine gets once the cookie is there.
func TestSplitHelloIsAnsweredLikeWhole(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		caller, g := newCaller(t, client), testGreeter(server)
		first := caller.flight()[0]
		reply := bytes.Clone(g.greet(first, someAddr, epochOfSimulation).reply)
		if err := caller.Receive(bytes.Clone(reply), caller.now); err != nil {
			t.Fatal(err)
		}
		second := caller.flight()[0]
		for _, a := range arrangements {
			r, parts := cut(t, first, 8)
			if got := caller.call(g, a.places(r, parts)); !bytes.Equal(got.reply, reply) {
				t.Errorf("%s: the reply is\n% x, want\n% x", a.name, got.reply, reply)
			}
			r, parts = cut(t, second, 8)
			if w := caller.call(g, a.places(r, parts)).welcome; w == nil || !bytes.Equal(w.hello, second) {
				t.Errorf("%s: %+v, want a welcome for the hello as it was", a.name, w)
			}
		}
	})
}

// What follows a hello in its datagram, 0-RTT for instance, is kept with it.
func TestHelloKeepsWhatFollows(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		caller, g := newCaller(t, client), testGreeter(server)
		hello := caller.answer(g)[0]
		r, parts := cut(t, hello, 3)
		early := []byte{0x2d, 0, 1, 0, 4, 1, 2, 3, 4}
		for name, datagrams := range map[string][][]byte{
			"whole":    {slices.Concat(hello, early)},
			"split":    {recordOf(r, parts[0]), slices.Concat(recordOf(r, parts[1:]...), early)},
			"together": {slices.Concat(recordOf(r, parts[:1]...), recordOf(r, parts[1:]...), early)},
		} {
			if w := caller.call(g, datagrams).welcome; w == nil || !bytes.Equal(w.hello, slices.Concat(hello, early)) {
				t.Errorf("%s: %+v, want the hello with what followed", name, w)
			}
		}
	})
}

// A datagram counts once in what may be answered, whatever it is full of: many
// tiny fragments are no more bytes than they are.
func TestSplitHelloCountsBytesOnce(t *testing.T) {
	_, server := with()
	server.CurvePreferences = nil
	g := testGreeter(server)
	hello := smallestHello()
	for _, n := range []int{2, 3, 10, 40} {
		for _, a := range arrangements {
			g.hellos = newHelloTable(0, 0) // the last one was the same hello
			r, parts := cut(t, hello, n)
			in, last := 0, outcome{}
			for _, d := range a.places(r, parts) {
				in += len(d)
				last = g.greet(d, someAddr, epochOfSimulation)
				if !last.wait && g.hello.size != in {
					t.Errorf("%s: %d bytes counted, of %d", a.name, g.hello.size, in)
				}
			}
			if last.reply == nil || len(last.reply) > amplification*in {
				t.Errorf("%s: %d bytes in, %d out", a.name, in, len(last.reply))
			}
		}
	}
}

// Of a hello that was heard once every part that comes again is answered, as far as it
// has the bytes for it: with loss the whole of it seldom comes twice.
func TestSplitHelloIsAnsweredAgain(t *testing.T) {
	client, server := with(hybrid)
	caller, g := newCaller(t, client), testGreeter(server)
	flight := caller.flight()
	want := len(caller.call(g, flight).reply)
	for i, d := range flight {
		if got := len(g.greet(d, someAddr, epochOfSimulation.Add(time.Minute)).reply); got != want || want == 0 {
			t.Errorf("datagram %d of %d: %d bytes of answer, want %d", i+1, len(flight), got, want)
		}
	}
	r, _, _ := parseHeader12(flight[0])
	h, _, _, _ := fragment.Parse(r.body)
	h.Size = 0
	if got := g.greet(recordOf(r, h.Append(nil)), someAddr, epochOfSimulation); got.reply != nil || got.welcome != nil {
		t.Error("a fragment without bytes has an answer")
	}
}

// Only one hello of a datagram is answered, and junk behind a part of one is
// passed over.
func TestHelloAmongOthers(t *testing.T) {
	client, server := with()
	g := testGreeter(server)
	hello, other := newCaller(t, client).flight()[0], newCaller(t, client).flight()[0]
	want := bytes.Clone(g.greet(hello, someAddr, epochOfSimulation).reply)
	if got := g.greet(slices.Concat(hello, other), someAddr, epochOfSimulation).reply; !bytes.Equal(got, want) {
		t.Error("the first of two hellos is not the one that is answered")
	}
	r, parts := cut(t, hello, 2)
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		if !g.greet(slices.Concat(recordOf(r, parts[0]), randomBody(random, 100)), someAddr, epochOfSimulation).wait {
			t.Fatal("the part before the junk is lost")
		}
	}
	if got := g.greet(recordOf(r, parts[1]), someAddr, epochOfSimulation).reply; !bytes.Equal(got, want) {
		t.Error("no answer to the rest of the hello")
	}
}

// A later hello than the first has a cookie, or is nobody's.
func TestGreetDropsLaterHelloWithoutCookie(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		g := testGreeter(server)
		hello := newCaller(t, client).flight()[0]
		const seqAt = headerSize12 + 5
		for seq := range byte(maxHelloSeq + 2) {
			hello[seqAt] = seq
			if got := g.greet(hello, someAddr, epochOfSimulation); (got.reply != nil) != (seq == 0) {
				t.Errorf("message_seq %d: %+v", seq, got)
			}
		}
	})
}

// Config sets the size of the table.
func TestSplitHelloSizes(t *testing.T) {
	client, server := with(hybrid)
	flight := newCaller(t, client).flight()
	if len(flight) < 2 {
		t.Fatal("the hello came in one datagram")
	}
	for _, c := range []struct {
		places, most int
		want         bool
	}{{0, 0, true}, {1, 0, true}, {0, 1000, false}, {1, 1 << 16, true}} {
		server.SplitHellos, server.MaxSplitHello = c.places, c.most
		g := testGreeter(server)
		var last outcome
		for _, d := range flight {
			last = g.greet(d, someAddr, epochOfSimulation)
		}
		if (last.reply != nil) != c.want {
			t.Errorf("%d places of %d bytes: %+v", c.places, c.most, last)
		}
		// A place has one hello at a time.
		g.greet(flight[0], someAddr, epochOfSimulation)
		g.greet(flight[0], otherAddr, epochOfSimulation)
		got := g.greet(flight[1], someAddr, epochOfSimulation)
		if c.places == 1 && got.reply != nil {
			t.Errorf("%d places: two hellos at once", c.places)
		}
	}
}

// smallestHello is a datagram with the shortest ClientHello that parses and can
// be answered: of 1.2, without extensions.
func smallestHello() []byte {
	body := []byte{0xfe, 0xfd}
	body = append(body, make([]byte, 32)...)          // random
	body = append(body, 0, 0, 0, 2, 0xc0, 0x2b, 1, 0) // session_id, cookie, suites, compression
	message := append([]byte{1, 0, 0, byte(len(body)), 0, 0, 0, 0, 0, 0, 0, byte(len(body))}, body...)
	return append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(message))}, message...)
}

// FuzzGreeter gives a greeter datagrams from one address, each behind its length
// in two bytes. Nothing that it says is more than three times what came.
func FuzzGreeter(f *testing.F) {
	seed := func(datagrams ...[]byte) {
		var b []byte
		for _, d := range datagrams {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(d))), d...)
		}
		f.Add(b)
	}
	for i := range spoofs {
		datagram, _ := spoofedHello(f, i)
		seed(datagram)
	}
	for _, a := range arrangements {
		r, parts := cut(f, smallestHello(), 5)
		seed(a.places(r, parts)...)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, server := with(hybrid)
		server.SplitHellos = 4 // a table that is soon made
		g := testGreeter(server)
		for in, out := 0, 0; len(b) >= 2; {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			last := g.greet(b[2:2+n], someAddr, epochOfSimulation)
			in, out, b = in+n, out+len(last.reply), b[2+n:]
			if last.welcome != nil {
				t.Fatal("welcome without a cookie of ours")
			}
			if out > amplification*in {
				t.Fatalf("%d bytes in, %d out", in, out)
			}
		}
	})
}
