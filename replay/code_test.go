package replay

import (
	"testing"

	"github.com/godwit-dtls/godwit/shared/wire"
)

// copied is w, written and read.
func copied(t testing.TB, w *Window) (got Window) {
	t.Helper()
	c := wire.NewEncoder()
	w.Code(c)
	b, err := c.Finish()
	if err != nil {
		t.Fatal(err)
	}
	c = wire.NewDecoder(b)
	got.Code(c)
	if _, err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCode(t *testing.T) {
	var w Window
	for _, n := range []uint64{0, 3, 300, 299, 1<<48 - 1} {
		w.Mark(n)
		if copied(t, &w) != w {
			t.Errorf("after %d: %+v, expected %+v", n, copied(t, &w), w)
		}
	}
}

func TestFill(t *testing.T) {
	for _, n := range []uint64{0, 1, 2, 100, Size, Size + 1, 10_000} {
		var w Window
		w.Fill(n)
		for seq := range n {
			if w.Fresh(seq) {
				t.Fatalf("filled below %d: %d is fresh", n, seq)
			}
		}
		for seq := n; seq < n+2*Size; seq++ {
			if !w.Fresh(seq) {
				t.Fatalf("filled below %d: %d is not fresh", n, seq)
			}
			if w.Mark(seq); w.Fresh(seq) {
				t.Fatalf("filled below %d: %d is fresh after Mark", n, seq)
			}
		}
	}
	var w Window
	w.Mark(500)
	before := w
	if w.Fill(500); w != before {
		t.Error("Fill changed a window that was beyond it")
	}
}

func FuzzCode(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		c := wire.NewDecoder(b)
		var w Window
		w.Code(c)
		if _, err := c.Finish(); err == nil && copied(t, &w) != w {
			t.Errorf("%+v became %+v", w, copied(t, &w))
		}
	})
}
