package wire_test

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/wire"
)

// everything has a field of each kind.
type everything struct {
	small      uint8
	large      uint64
	count      int
	yes, no    bool
	none, some []byte
	empty      []byte
	text       string
	never, now time.Time
	list       [][]byte
}

func (e *everything) code(c *wire.Codec) {
	wire.Number(c, &e.small)
	wire.Number(c, &e.large)
	wire.Number(c, &e.count)
	c.Flag(&e.yes)
	c.Flag(&e.no)
	c.Data(&e.none)
	c.Data(&e.some)
	c.Data(&e.empty)
	c.Text(&e.text)
	c.Time(&e.never)
	c.Time(&e.now)
	wire.List(c, &e.list, c.Data)
}

func encoded(t testing.TB, e *everything) []byte {
	c := wire.NewEncoder()
	e.code(c)
	b, err := c.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func something() *everything {
	return &everything{
		small: 255, large: math.MaxUint64, count: 300, yes: true, some: []byte("some"), empty: []byte{}, text: "text",
		now: time.Unix(1_700_000_000, 5), list: [][]byte{{1}, nil, {}},
	}
}

func TestCodec(t *testing.T) {
	for _, want := range []*everything{{}, something()} {
		b := encoded(t, want)
		c := wire.NewDecoder(b)
		var got everything
		got.code(c)
		if _, err := c.Finish(); err != nil {
			t.Fatal(err)
		}
		clear(b) // what was read is a copy
		if !reflect.DeepEqual(&got, want) {
			t.Errorf("%+v, expected %+v", got, *want)
		}
	}
}

// TestCodecRefuses every proper prefix, and more than all.
func TestCodecRefuses(t *testing.T) {
	b := encoded(t, something())
	for n := range len(b) {
		c := wire.NewDecoder(b[:n])
		new(everything).code(c)
		if _, err := c.Finish(); !errors.Is(err, wire.ErrState) {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	c := wire.NewDecoder(append(b, 0))
	new(everything).code(c)
	if _, err := c.Finish(); !errors.Is(err, wire.ErrState) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestCodecFlag(t *testing.T) {
	c := wire.NewEncoder()
	two := uint8(2)
	wire.Number(c, &two)
	b, _ := c.Finish()
	c = wire.NewDecoder(b)
	var flag bool
	if c.Flag(&flag); !errors.Is(c.Err(), wire.ErrState) {
		t.Errorf("a flag of 2 is %v, %v", flag, c.Err())
	}
}

func TestCodecNumberTooLarge(t *testing.T) {
	c := wire.NewEncoder()
	large := uint64(math.MaxUint64)
	wire.Number(c, &large)
	b, _ := c.Finish()
	var signed int
	var small uint8
	for what, read := range map[string]func(*wire.Codec){
		"int":   func(c *wire.Codec) { wire.Number(c, &signed) },
		"uint8": func(c *wire.Codec) { wire.Number(c, &small) },
	} {
		c := wire.NewDecoder(b)
		if read(c); !errors.Is(c.Err(), wire.ErrState) {
			t.Errorf("%s: %v", what, c.Err())
		}
	}
	if signed != 0 || small != 0 {
		t.Errorf("%d and %d were read", signed, small)
	}
}

func FuzzCodec(f *testing.F) {
	f.Add(encoded(f, something()))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := wire.NewDecoder(b)
		var got everything
		got.code(c)
		if _, err := c.Finish(); err != nil {
			return
		}
		again := encoded(t, &got)
		c = wire.NewDecoder(again)
		var twice everything
		twice.code(c)
		if _, err := c.Finish(); err != nil || !bytes.Equal(encoded(t, &twice), again) {
			t.Errorf("%x became %x: %v", b, again, err)
		}
	})
}
