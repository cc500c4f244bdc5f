package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Of many datagrams the share that a fault says meets each fate, and all of them do the
// same again.
func TestFate(t *testing.T) {
	const n = 20000
	f := fault{loss: 0.3, duplication: 0.2, corruption: 0.1, reordering: 0.4, delay: time.Second, jitter: time.Millisecond}
	var lost, twice, wrong, late int
	for i := range uint64(n) {
		its := f.fate(7, up, i)
		if fmt.Sprint(its) != fmt.Sprint(f.fate(7, up, i)) {
			t.Fatalf("datagram %d has two fates", i)
		}
		if len(its.arrivals) == 0 {
			lost++
			continue
		}
		if len(its.arrivals) == 2 {
			twice++
		}
		if its.flip >= 0 {
			wrong++
		}
		if its.arrivals[0] >= time.Second+heldBack {
			late++
		}
		for _, a := range its.arrivals {
			if a < time.Second || a > time.Second+time.Millisecond+heldBack {
				t.Fatalf("datagram %d takes %v", i, a)
			}
		}
	}
	const arrived = n * 7 / 10
	for what, share := range map[string]float64{
		"lost":     float64(lost)/n - 0.3,
		"twice":    float64(twice)/arrived - 0.2,
		"wrong":    float64(wrong)/arrived - 0.1,
		"too late": float64(late)/arrived - 0.4,
	} {
		if share < -0.02 || share > 0.02 {
			t.Errorf("%s: %+.3f beside what it should be", what, share)
		}
	}
}

// Seeds, directions and indices have fates of their own; what is lost at one share is
// lost at a larger one.
func TestFatesDiffer(t *testing.T) {
	losses := func(share float64, seed uint64, d direction) (all string) {
		for i := range uint64(200) {
			all += fmt.Sprint(len(fault{loss: share}.fate(seed, d, i).arrivals))
		}
		return all
	}
	if a := losses(0.3, 1, up); a == losses(0.3, 2, up) || a == losses(0.3, 1, down) {
		t.Error("another seed or direction makes no difference")
	}
	for i, few := range losses(0.1, 1, up) {
		if few == '0' && losses(0.5, 1, up)[i] != '0' {
			t.Errorf("datagram %d is lost at 10 %%, and arrives at 50 %%", i)
		}
	}
}

// relayed is what arrives of datagrams that are sent up through a proxy, and comes back
// of a server that echoes them.
func relayed(t *testing.T, f fault, datagrams ...[]byte) (arrived, returned [][]byte) {
	t.Helper()
	s := newStage(time.Minute, "")
	defer s.end()
	server, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p, err := startProxy(s, f, 1, server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("udp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	expect := func(way direction) (n int) {
		for i, d := range datagrams {
			if !f.swallows(len(d)) {
				n += len(f.fate(1, way, uint64(i)).arrivals)
			}
		}
		return n
	}
	read := func(c net.PacketConn, n int) (all [][]byte) {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		for range n {
			b := make([]byte, 2000)
			size, _, err := c.ReadFrom(b)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b[:size])
		}
		return all
	}
	for _, d := range datagrams {
		client.Write(d)
	}
	arrived = read(server, expect(up))
	to := p.back.LocalAddr()
	for _, d := range datagrams {
		server.WriteTo(d, to)
	}
	return arrived, read(client.(*net.UDPConn), expect(down))
}

func TestProxy(t *testing.T) {
	small, large := bytes.Repeat([]byte{1}, 100), bytes.Repeat([]byte{2}, 1000)
	sizes := func(all [][]byte) (sizes []int) {
		for _, d := range all {
			sizes = append(sizes, len(d))
		}
		return sizes
	}
	t.Run("nothing", func(t *testing.T) {
		up, down := relayed(t, fault{}, small, large)
		for _, got := range [][][]byte{up, down} {
			if len(got) != 2 || !bytes.Equal(got[0], small) || !bytes.Equal(got[1], large) {
				t.Errorf("datagrams of %v bytes", sizes(got))
			}
		}
	})
	t.Run("loss and duplication", func(t *testing.T) {
		var datagrams [][]byte
		for i := range 40 {
			datagrams = append(datagrams, small[:i+1])
		}
		up, down := relayed(t, fault{loss: 0.3, duplication: 0.3}, datagrams...)
		if slices.Equal(sizes(up), sizes(down)) {
			t.Errorf("both ways datagrams of %v bytes arrive", sizes(up))
		}
	})
	t.Run("corruption", func(t *testing.T) {
		up, _ := relayed(t, fault{corruption: 1}, large)
		differ := 0
		for i, b := range up[0] {
			for x := b ^ large[i]; x != 0; x &= x - 1 {
				differ++
			}
		}
		if len(up[0]) != len(large) || differ != 1 {
			t.Errorf("%d bytes, of which %d bits are wrong", len(up[0]), differ)
		}
	})
	t.Run("MTU", func(t *testing.T) {
		up, down := relayed(t, fault{mtu: 576}, large, small, bytes.Repeat(small, 6)[:549], bytes.Repeat(small, 6)[:548])
		if want := []int{100, 548}; !slices.Equal(sizes(up), want) || !slices.Equal(sizes(down), want) {
			t.Errorf("datagrams of %v and %v bytes arrive", sizes(up), sizes(down))
		}
	})
	t.Run("overtaken", func(t *testing.T) {
		f, datagrams := fault{reordering: 0.5}, [][]byte(nil)
		for i := range 10 {
			datagrams = append(datagrams, small[:i+1])
		}
		up, _ := relayed(t, f, datagrams...)
		if slices.IsSorted(sizes(up)) {
			t.Errorf("datagrams of %v bytes arrive", sizes(up))
		}
	})
}

// Godwit connects where something is lost, in few runs; and with every stack that is
// installed, where little happens. Times are left to the command.
func TestFaults(t *testing.T) {
	tables, err := plan(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	calm, overtaken := fault{name: "nothing"}, others[1]
	var runs []run
	for i, p := range tables[0].pairings[:2] { // 1.3, then 1.2, which has no ACKs
		for seed := range uint64(10) {
			runs = append(runs, run{client: p.from, server: p.to, fault: losses[1-i], seed: seed})
		}
	}
	for _, p := range tables[1].pairings {
		if installed(p.from) && installed(p.to) {
			runs = append(runs, run{client: p.from, server: p.to, fault: calm}, run{client: p.from, server: p.to, fault: overtaken})
		}
	}
	for i, r := range runs {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			if o := r.play(); o.err != nil || o.took <= 0 {
				t.Errorf("%+v, %s, seed %d: %v", r.client, r.fault.name, r.seed, o.err)
			}
		})
	}
}

// installed reports whether a stack's programs are there. In CI they must be.
func installed(s stack) bool {
	p, ok := s.(program)
	if !ok || os.Getenv("CI") == "true" {
		return true
	}
	_, noServer := exec.LookPath(p.server[0])
	_, noClient := exec.LookPath(p.client("", "")[0])
	return noServer == nil && noClient == nil
}

// A stack that isn't there ends the measurement, and doesn't count as failing.
func TestMissingProgram(t *testing.T) {
	missing := program{server: []string{"no such program"}}
	all := []job{{run: run{client: missing, server: missing}}}
	if _, err := (pace{1, time.Millisecond}).measure(all, io.Discard, io.Discard); err == nil {
		t.Error("no error")
	}
}

func TestCell(t *testing.T) {
	c := cell{time.Second, 2 * time.Second, 15 * time.Second, forEver}
	if got, want := c.markdown(), "**75 %** 2.00 / –"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := (goal{done: 75, median: 2 * time.Second}).check(c, nil); err != nil {
		t.Error(err)
	}
	for _, g := range []goal{{done: 76}, {median: time.Second}, {ninety: time.Minute}} {
		if g.check(c, nil) == nil {
			t.Errorf("%+v holds for %v", g, c)
		}
	}
	for _, test := range []struct {
		rival cell
		want  bool
	}{
		{cell{time.Second, 3 * time.Second, 4 * time.Second, forEver}, true},
		{cell{time.Second, 2 * time.Second, 4 * time.Second, forEver}, false},
		{cell{time.Minute, time.Minute, time.Minute, time.Minute}, false},
		{cell{2 * time.Second, forEver, forEver, forEver}, true},
		{cell{time.Second, forEver, forEver, forEver}, false},
		{cell{forEver, forEver, forEver, forEver}, true},
	} {
		if err := (goal{}).check(c, test.rival); (err == nil) != test.want {
			t.Errorf("beside %v: %v", test.rival, err)
		}
	}
}

// The tables of the document have a row for each pairing, and no cell is empty.
func TestDocument(t *testing.T) {
	tables, err := plan(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		written, err := table.section().Read("../../docs/faults.md")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range table.pairings {
			if !strings.Contains(written, fmt.Sprintf("| %s | %s | ", p.client, p.server)) {
				t.Errorf("no row for %s", p.name())
			}
		}
		if strings.Contains(written, "|  |") {
			t.Errorf("the table %q has empty cells", table.name)
		}
	}
}
