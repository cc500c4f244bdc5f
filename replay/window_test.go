package replay

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// A model is a window that remembers every number it ever saw.
type model struct {
	seen    map[uint64]bool
	highest uint64
}

func (m *model) fresh(seq uint64) bool {
	tooOld := seq < m.highest && m.highest-seq >= 256
	return !tooOld && !m.seen[seq]
}

func (m *model) mark(seq uint64) {
	m.seen[seq] = true
	m.highest = max(m.highest, seq)
}

// receive is what a record layer does with one record that authenticates; it
// compares the window with the model on the way.
func receive(t *testing.T, w *Window, m *model, seq uint64) {
	t.Helper()
	before := *w
	if got, want := w.Fresh(seq), m.fresh(seq); got != want {
		t.Fatalf("Fresh(%d) = %v with highest %d, want %v", seq, got, m.highest, want)
	}
	if *w != before {
		t.Fatalf("Fresh(%d) changed the window", seq)
	}
	w.Mark(seq)
	m.mark(seq)
	if w.Highest() != m.highest {
		t.Fatalf("Highest() = %d after Mark(%d), want %d", w.Highest(), seq, m.highest)
	}
	if w.Fresh(seq) {
		t.Fatalf("%d is fresh after Mark", seq)
	}
}

// compareAround compares every number that the window could say something of.
func compareAround(t *testing.T, w *Window, m *model) {
	t.Helper()
	for i := range uint64(2*Size + 2) {
		if seq := m.highest - Size - 1 + i; w.Fresh(seq) != m.fresh(seq) {
			t.Fatalf("Fresh(%d) = %v with highest %d, want %v", seq, w.Fresh(seq), m.highest, m.fresh(seq))
		}
	}
}

// RFC 9147 4.5.1 [2]
func TestZeroWindowIsEmpty(t *testing.T) {
	var w Window
	for _, seq := range []uint64{0, 1, Size, 1<<48 - 1, math.MaxUint64} {
		if !w.Fresh(seq) {
			t.Errorf("%d is not fresh in an empty window", seq)
		}
	}
	if w.Highest() != 0 {
		t.Errorf("Highest() = %d, want 0", w.Highest())
	}
}

// RFC 9147 4.5.1 [5]
func TestWindowIsExactlySizeWide(t *testing.T) {
	for _, highest := range []uint64{Size - 1, Size, 1000, 1<<48 - 1, math.MaxUint64} {
		var w Window
		w.Mark(highest)
		oldest := highest - (Size - 1)
		if !w.Fresh(oldest) {
			t.Errorf("%d, the oldest number of the window below %d, is not fresh", oldest, highest)
		}
		if oldest == 0 {
			continue
		}
		if w.Fresh(oldest - 1) {
			t.Errorf("%d, left of the window below %d, is fresh", oldest-1, highest)
		}
		before := w
		if w.Mark(oldest - 1); w != before {
			t.Errorf("Mark(%d), left of the window below %d, changed it", oldest-1, highest)
		}
	}
}

// At the edges of 0, 2^48 and 2^64, too (wolfSSL#7273).
//
// RFC 9147 4.5.1 [1]
func TestPitfallWindow(t *testing.T) {
	for _, base := range []uint64{0, 1, Size - 1, Size, 1<<48 - 2000, 1<<48 - 1, math.MaxUint64 - 5000, math.MaxUint64 - 1} {
		for seed := range uint64(20) {
			random := rand.New(rand.NewPCG(base, seed))
			var w Window
			m := model{seen: map[uint64]bool{}}
			receive(t, &w, &m, base)
			for range 200 {
				receive(t, &w, &m, step(m.highest, random.IntN(4), random.Uint64()))
			}
			compareAround(t, &w, &m)
		}
	}
}

// step picks a number near highest, clipped to what a uint64 can hold.
func step(highest uint64, kind int, r uint64) uint64 {
	switch kind {
	case 0: // the next one
		return highest + min(1, math.MaxUint64-highest)
	case 1: // a small gap
		return highest + min(r%8, math.MaxUint64-highest)
	case 2: // a jump, up to several windows
		return highest + min(r%1024, math.MaxUint64-highest)
	default: // a late one, in the window and a little left of it
		return highest - min(r%(Size+4), highest)
	}
}

func TestWindowHandlesTheLastNumber(t *testing.T) {
	var w Window
	m := model{seen: map[uint64]bool{}}
	for _, seq := range []uint64{0, math.MaxUint64 - 1, math.MaxUint64, math.MaxUint64 - Size + 1, math.MaxUint64 - Size, 0} {
		receive(t, &w, &m, seq)
	}
	compareAround(t, &w, &m)
}

func FuzzWindow(f *testing.F) {
	f.Add([]byte{0, 0, 1, 3, 2, 0xff, 3, 0xff, 2, 0x07})
	f.Add(binary.BigEndian.AppendUint64(nil, math.MaxUint64))
	f.Fuzz(func(t *testing.T, ops []byte) {
		var w Window
		m := model{seen: map[uint64]bool{}}
		if len(ops) >= 8 {
			receive(t, &w, &m, binary.BigEndian.Uint64(ops))
			ops = ops[8:]
		}
		for ; len(ops) >= 3; ops = ops[3:] {
			receive(t, &w, &m, step(m.highest, int(ops[0]%4), uint64(binary.BigEndian.Uint16(ops[1:]))))
		}
		compareAround(t, &w, &m)
	})
}

func TestWindowDoesNotAllocate(t *testing.T) {
	var w Window
	var seq uint64
	if n := testing.AllocsPerRun(1000, func() {
		seq += 3
		if w.Fresh(seq) {
			w.Mark(seq)
		}
	}); n != 0 {
		t.Errorf("%v allocations a record, want 0", n)
	}
}

func BenchmarkWindow(b *testing.B) {
	for _, bench := range []struct {
		name string
		gap  uint64
	}{{"next", 1}, {"gap of 200", 200}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			var w Window
			var seq uint64
			for b.Loop() {
				seq += bench.gap
				if w.Fresh(seq) {
					w.Mark(seq)
				}
			}
		})
	}
}
