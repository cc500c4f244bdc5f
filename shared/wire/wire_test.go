package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/godwit-dtls/godwit/shared/wire"
)

func TestBuilder(t *testing.T) {
	b := wire.NewBuilder([]byte("head"))
	b.Uint8(0x01)
	b.Uint16(0x0203)
	b.Uint24(0x040506)
	b.Uint32(0x0708090a)
	b.Uint64(0x0b0c0d0e0f101112)
	b.Raw([]byte("raw"))
	b.Bytes8([]byte("a"))
	b.Bytes16([]byte("bc"))
	b.Bytes24(nil)
	b.Vector24(func() {
		b.Vector16(func() {
			b.Vector8(func() { b.Raw([]byte("deep")) })
			b.Uint8(0xff)
		})
		b.Uint8(0xee)
	})
	want := "head\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12raw" +
		"\x01a\x00\x02bc\x00\x00\x00" + "\x00\x00\x09\x00\x06\x04deep\xff\xee"
	got, err := b.Bytes()
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if b.Len() != len(want) {
		t.Errorf("Len is %d, want %d", b.Len(), len(want))
	}
}

func TestZeroBuilder(t *testing.T) {
	var b wire.Builder
	if got, err := b.Bytes(); len(got) != 0 || err != nil {
		t.Errorf("got %x, %v, want nothing", got, err)
	}
	b.Bytes8([]byte("a"))
	if got, _ := b.Bytes(); string(got) != "\x01a" {
		t.Errorf("got %x, want 0161", got)
	}
}

// TestTooLong fills vectors to the last byte that their length can say, and one
// byte further.
func TestTooLong(t *testing.T) {
	for _, test := range []struct {
		prefix int
		add    func(b *wire.Builder, p []byte)
	}{
		{1, (*wire.Builder).Bytes8},
		{2, (*wire.Builder).Bytes16},
		{3, (*wire.Builder).Bytes24},
	} {
		longest := 1<<(8*test.prefix) - 1
		b := wire.NewBuilder(nil)
		test.add(b, make([]byte, longest))
		got, err := b.Bytes()
		if err != nil || len(got) != test.prefix+longest || !bytes.Equal(got[:test.prefix], []byte{0xff, 0xff, 0xff}[:test.prefix]) {
			t.Errorf("prefix of %d bytes: %d bytes were refused or written wrong: %v", test.prefix, longest, err)
		}
		b = wire.NewBuilder(nil)
		test.add(b, make([]byte, longest+1))
		b.Uint8(0) // what follows doesn't heal it
		if got, err := b.Bytes(); got != nil || !errors.Is(err, wire.ErrTooLong) {
			t.Errorf("prefix of %d bytes, vector of %d: got %d bytes, %v", test.prefix, longest+1, len(got), err)
		}
	}
}

func TestTooLongInside(t *testing.T) {
	var b wire.Builder
	b.Vector16(func() { b.Bytes8(make([]byte, 256)) })
	if _, err := b.Bytes(); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("got %v, want %v", err, wire.ErrTooLong)
	}
}

func TestBuilderDoesNotAllocate(t *testing.T) {
	buf, body := make([]byte, 0, 128), make([]byte, 20)
	n := testing.AllocsPerRun(100, func() {
		b := wire.NewBuilder(buf)
		b.Uint64(1)
		b.Vector16(func() {
			b.Bytes8(body)
			b.Vector24(func() { b.Uint16(7) })
		})
		if _, err := b.Bytes(); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations with room in the buffer, want 0", n)
	}
}
