package dtls

import (
	"bytes"
	"net/netip"
	"testing"
)

// BenchmarkFlood is what a greeter needs for a hello under a spoofed address:
// reading it, and writing the answer. Each comes from an address of its own.
func BenchmarkFlood(b *testing.B) {
	for _, f := range floods(b) {
		b.Run(f.name, func(b *testing.B) {
			g := testGreeter(f.server)
			from, sources := someAddr.Addr(), uint16(0)
			b.ReportAllocs()
			for b.Loop() {
				sources++
				for _, d := range f.datagrams {
					g.greet(d, netip.AddrPortFrom(from, sources), epochOfSimulation)
				}
			}
		})
	}
}

// A floodOf is a hello that an attacker sends again and again, under any address.
type floodOf struct {
	name      string
	datagrams [][]byte
	server    *Config
}

// floods are all shapes of hello, each without a cookie and with one that is forged.
func floods(t testing.TB) (all []floodOf) {
	for _, c := range greetings {
		client, server := with(c.change)
		caller := newCaller(t, client)
		first := caller.flight()
		last := caller.call(testGreeter(server), first)
		if err := caller.Receive(bytes.Clone(last.reply), caller.now); err != nil {
			t.Fatal(err)
		}
		all = append(all, floodOf{c.name, first, server}, floodOf{c.name + ", with a cookie", caller.flight(), server})
	}
	return all
}
