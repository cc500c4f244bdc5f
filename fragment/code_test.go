package fragment

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/godwit-dtls/godwit/shared/wire"
)

func written(t testing.TB, a *Assembler) []byte {
	t.Helper()
	c := wire.NewEncoder()
	a.Code(c)
	b, err := c.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An Assembler that was written and read at any point goes on as it would have.
func TestAssemblerCode(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		var a Assembler
		a.Start(uint16(random.IntN(1 << 16)))
		first := a.Next()
		last := min(int(first)+Ahead, 1<<16)
		for range 100 {
			h, body := content(uint16(int(first)+random.IntN(last-int(first))), 700)
			from := random.IntN(700)
			part, b := Split(h, body, from, 1+random.IntN(300))
			if _, err := a.Add(part, b); err != nil {
				t.Fatal(err)
			}
			b = written(t, &a)
			c := wire.NewDecoder(b)
			var got Assembler
			got.Code(c)
			if _, err := c.Finish(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !bytes.Equal(written(t, &got), b) {
				t.Fatalf("seed %d: it was read as another", seed)
			}
			a = got
			if h, _, ok := a.Message(); ok {
				want, wantBody := content(h.Seq, 700)
				pop(t, &a, want, wantBody)
			}
		}
	}
}

// TestAssemblerCodeRefuses what no Assembler is.
func TestAssemblerCodeRefuses(t *testing.T) {
	h, body := content(0, 300)
	beyond := h
	beyond.Offset = 200
	for what, b := range map[string]struct {
		next      uint32
		fragments []byte
	}{
		"a message after the last":                 {1<<16 + 1, nil},
		"half a header":                            {0, make([]byte, 5)},
		"a fragment beyond the end of its message": {0, append(beyond.Append(nil), body...)},
	} {
		c := wire.NewEncoder()
		wire.Number(c, &b.next)
		c.Data(&b.fragments)
		written, err := c.Finish()
		if err != nil {
			t.Fatal(err)
		}
		c = wire.NewDecoder(written)
		new(Assembler).Code(c)
		if _, err := c.Finish(); !errors.Is(err, wire.ErrState) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzCode(f *testing.F) {
	var a Assembler
	h, body := content(0, 300)
	part, b := Split(h, body, 10, 100)
	a.Add(part, b)
	f.Add(written(f, &a))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := wire.NewDecoder(b)
		var a, again Assembler
		a.Code(c)
		if _, err := c.Finish(); err != nil {
			return
		}
		b = written(t, &a)
		c = wire.NewDecoder(b)
		again.Code(c)
		if _, err := c.Finish(); err != nil || !bytes.Equal(written(t, &again), b) {
			t.Errorf("an Assembler became another: %v", err)
		}
	})
}
