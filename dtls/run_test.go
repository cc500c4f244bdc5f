package dtls

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// What is put into an outgoing comes out as it was, in runs that a system takes.
func TestOutgoingRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		out := newOutgoing()
		var want [][]byte
		for size := 1 + random.IntN(1500); len(out.free()) >= size; {
			datagram := bytes.Repeat([]byte{byte(len(want))}, size)
			out.add(copy(out.free(), datagram), Path{})
			want = append(want, datagram)
			if random.IntN(20) == 0 {
				size = 1 + random.IntN(1500)
			}
		}
		checkRuns(t, out.runs, want)
		n := random.IntN(len(want) + 1)
		checkRuns(t, skip(out.runs, n), want[n:])
		out.release()
	}
}

// checkRuns checks the limits of runs and their datagrams.
func checkRuns(t *testing.T, runs []run, want [][]byte) {
	t.Helper()
	if n := count(runs); n != len(want) {
		t.Fatalf("%d datagrams, want %d", n, len(want))
	}
	for _, r := range runs {
		if len(r.data) > maxRun || count([]run{r}) > maxSegments {
			t.Fatalf("a run of %d datagrams, %d bytes", count([]run{r}), len(r.data))
		}
		for datagram := range slices.Chunk(r.data, r.size) {
			if !bytes.Equal(datagram, want[0]) {
				t.Fatalf("%x..., %d bytes; want %x..., %d", datagram[0], len(datagram), want[0][0], len(want[0]))
			}
			want = want[1:]
		}
	}
}

// Datagrams share a run only if they have the same path, and only the last is shorter.
func TestRunsEndWhereTheyMust(t *testing.T) {
	here, there := Path{Remote: netip.MustParseAddrPort("192.0.2.1:1")}, Path{Remote: netip.MustParseAddrPort("192.0.2.1:2")}
	out := newOutgoing()
	defer out.release()
	for _, d := range []struct {
		size int
		to   Path
		run  int // the one that it belongs to
	}{
		{100, here, 0}, {100, here, 0}, {60, here, 0}, {60, here, 1}, {100, here, 2}, {100, there, 3}, {100, here, 4}, {1, here, 4}, {1, here, 5},
	} {
		if out.add(d.size, d.to); len(out.runs) != d.run+1 {
			t.Errorf("%d bytes to %v: in run %d, want %d", d.size, d.to.Remote, len(out.runs)-1, d.run)
		}
	}
}
