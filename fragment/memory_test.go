package fragment

import (
	"runtime"
	"testing"
)

// heap returns the bytes that are alive.
func heap() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// growth returns how much more is alive after f, with a kept alive.
func growth(a *Assembler, f func()) int {
	before := heap()
	f()
	after := heap()
	runtime.KeepAlive(a)
	return int(after) - int(before)
}

// Seven messages that claim 16 MB each cost what was sent of them (CVE-2026-95690).
func TestPitfallClaimedLengths(t *testing.T) {
	a := &Assembler{Limit: 1<<24 - 1}
	got := growth(a, func() {
		for seq := range uint16(Ahead) {
			h := Header{Length: 1<<24 - 1, Seq: seq, Size: 1}
			for _, offset := range []int{0, 1 << 12, 1<<24 - 2} {
				h.Offset = offset
				if outcome, err := a.Add(h, []byte{1}); outcome != Kept || err != nil {
					t.Fatal(outcome, err)
				}
			}
		}
	})
	if most := 3 * Ahead * 1024; got > most {
		t.Errorf("%d bytes for %d fragments of a byte, want at most %d", got, 3*Ahead, most)
	}
}

// A flood of fragments that are all different stays below the documented bound,
// and the next message is still taken (CVE-2022-29189). Pop and Start release
// everything.
func TestPitfallFragmentFlood(t *testing.T) {
	const limit = 1 << 16
	a := &Assembler{Limit: limit}
	dropped := 0
	flood := func() {
		for seq := uint16(Ahead - 1); seq > 0; seq-- {
			h := Header{Length: limit, Seq: seq, Size: 1}
			for h.Offset = 0; h.Offset < limit; h.Offset += 100 {
				outcome, err := a.Add(h, []byte{1})
				if err != nil {
					t.Fatal(err)
				}
				if outcome == TooFar {
					dropped++
				}
			}
		}
	}
	if got := growth(a, flood); got > limit*3/2 {
		t.Errorf("%d bytes alive after a flood, limit %d", got, limit)
	}
	if dropped == 0 {
		t.Error("nothing was dropped")
	}
	h, body := content(0, limit)
	for from := 0; from < limit; from += 1000 {
		add(t, a, h, body, from, 1000, Kept)
	}
	pop(t, a, h, body)
	if got := growth(a, func() { a.Start(1) }); got > -limit {
		t.Errorf("Start freed %d bytes, want at least %d", -got, limit)
	}
}

// Messages ahead of their turn share Limit, counted in whole pages.
func TestAssemblerRoomForLaterMessages(t *testing.T) {
	a := &Assembler{Limit: 2*pageSize - 1}
	add := func(seq uint16, from, size int, want Outcome) {
		t.Helper()
		h, body := content(seq, a.Limit)
		add(t, a, h, body, from, size, want)
	}
	add(1, 0, 1, Kept)
	add(2, pageSize-1, 2, TooFar) // two pages more
	add(2, 0, a.Limit, TooFar)
	add(2, pageSize, 1, Kept)
	add(1, pageSize, 1, TooFar)
	add(1, 1, 100, Kept) // on the page that is there
	add(0, 0, a.Limit, Kept)

	a.Pop() // now message 1 is the next one
	add(1, pageSize, 1, Kept)
	add(1, 0, a.Limit, Kept)
}

// They may have less than that, or more.
func TestAssemblerRoom(t *testing.T) {
	a := &Assembler{Limit: 3 * pageSize, Room: pageSize}
	h, body := content(1, a.Limit)
	add(t, a, h, body, 0, 1, Kept)
	add(t, a, h, body, pageSize, 1, TooFar)
	h, body = content(0, a.Limit)
	add(t, a, h, body, 0, a.Limit, Kept)
	a.Pop()
	h, body = content(1, a.Limit)
	add(t, a, h, body, pageSize, 1, Kept)
}

// A message that came in pieces holds its length once it is whole.
func TestAssemblerHeapOfAWholeMessage(t *testing.T) {
	a := &Assembler{}
	h, body := content(0, 1<<16)
	if got := growth(a, func() {
		for from := 0; from < len(body); from += 1000 {
			add(t, a, h, body, from, 1000, Kept)
		}
	}); got > len(body)*3/2 { // pages and their joined copy would be twice as much
		t.Errorf("%d bytes alive for a message of %d", got, len(body))
	}
	pop(t, a, h, body)
}

func TestAssemblerIdleHoldsNothing(t *testing.T) {
	a := &Assembler{}
	if got := growth(a, func() {
		for seq := range uint16(20) {
			h, body := content(seq, 20000)
			for from := 0; from < len(body); from += 1000 {
				add(t, a, h, body, from, 1000, Kept)
			}
			pop(t, a, h, body)
		}
	}); got > 16<<10 { // less than one of them; a thread that the runtime starts meanwhile takes 3 KiB
		t.Errorf("%d bytes alive after 20 messages were popped", got)
	}
}

// Dropped and repeated fragments cost no memory at all.
func TestAssemblerDropsWithoutAllocation(t *testing.T) {
	a := &Assembler{}
	a.Start(5)
	h, body := content(5, 1000)
	add(t, a, h, body, 0, 500, Kept)
	for name, from := range map[string]uint16{"old": 4, "repeated": 5, "too far": 5 + Ahead} {
		part, b := Split(h, body, 0, 500)
		part.Seq = from
		if n := testing.AllocsPerRun(100, func() {
			if _, err := a.Add(part, b); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func TestAssemblerWholeMessageIsCopiedOnce(t *testing.T) {
	h, body := content(0, 10000)
	a := &Assembler{}
	if n := testing.AllocsPerRun(100, func() {
		a.Start(0)
		add(t, a, h, body, 0, len(body), Kept)
	}); n > 2 { // the message and its body
		t.Errorf("%v allocations, want at most 2", n)
	}
}
