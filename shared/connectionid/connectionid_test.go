package connectionid

import (
	"bytes"
	"testing"
)

func TestRandom(t *testing.T) {
	for _, n := range []int{0, 1, 8, MaxLen} {
		g := Random(n)
		id := g.New()
		if len(id) != n {
			t.Fatalf("an ID of %d bytes, expected %d", len(id), n)
		}
		if n >= 8 && bytes.Equal(id, g.New()) {
			t.Errorf("two IDs are both % x", id)
		}
		if got := g.Len(append(id, 1, 2, 3)); got != n {
			t.Errorf("an ID of %d bytes is said to have %d", n, got)
		}
		for size := range id {
			if got := g.Len(id[:size]); got != 0 {
				t.Errorf("%d of its %d bytes are said to be an ID of %d", size, n, got)
			}
		}
	}
}
