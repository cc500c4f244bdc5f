package fragment

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

var headers = []Header{
	{},
	{Type: 1, Length: 5, Seq: 0, Offset: 0, Size: 5},
	{Type: 11, Length: 0x010203, Seq: 0x0405, Offset: 0x010000, Size: 0x0203},
	{Type: 20, Length: 12, Seq: 65535, Offset: 12, Size: 0},
	{Type: 255, Length: 1<<24 - 1, Seq: 9, Offset: 1<<24 - 2, Size: 1},
}

func TestHeaderBytes(t *testing.T) {
	h := Header{Type: 11, Length: 0x010203, Seq: 0x0405, Offset: 0x060708, Size: 0x090a0b}
	want := []byte{11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	if got := h.Append([]byte{0xaa}); !bytes.Equal(got, append([]byte{0xaa}, want...)) {
		t.Errorf("Append gives %x, want aa%x", got, want)
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range headers {
		body := bytes.Repeat([]byte{7}, h.Size)
		payload := append(append(h.Append(nil), body...), "rest"...)
		got, gotBody, rest, err := Parse(payload)
		if err != nil || got != h || !bytes.Equal(gotBody, body) || string(rest) != "rest" {
			t.Errorf("Parse gives %+v, %d bytes, rest %q, %v; want %+v", got, len(gotBody), rest, err, h)
		}
	}
}

func TestParseRefusesEveryPrefix(t *testing.T) {
	for _, h := range headers {
		whole := append(h.Append(nil), make([]byte, h.Size)...)
		for n := range whole {
			if _, _, _, err := Parse(whole[:n]); !errors.Is(err, ErrTruncated) {
				t.Fatalf("%d bytes of %+v: %v, want ErrTruncated", n, h, err)
			}
		}
	}
}

func TestParseRefusesFragmentsOutOfBounds(t *testing.T) {
	for _, h := range []Header{
		{Length: 0, Offset: 0, Size: 1},
		{Length: 0, Offset: 1, Size: 0},
		{Length: 10, Offset: 11, Size: 0},
		{Length: 10, Offset: 8, Size: 3},
		{Length: 1<<24 - 1, Offset: 1<<24 - 1, Size: 1<<24 - 1},
	} {
		if _, _, _, err := Parse(append(h.Append(nil), make([]byte, min(h.Size, 100))...)); !errors.Is(err, ErrBounds) {
			t.Errorf("%+v: %v, want ErrBounds", h, err)
		}
	}
}

func TestParseGoesThroughAPayload(t *testing.T) {
	var payload []byte
	for i := range 3 {
		payload = append(Header{Type: 2, Length: i, Seq: uint16(i), Size: i}.Append(payload), make([]byte, i)...)
	}
	for i := range 3 {
		h, body, rest, err := Parse(payload)
		if err != nil || int(h.Seq) != i || len(body) != i {
			t.Fatalf("fragment %d: %+v, %d bytes, %v", i, h, len(body), err)
		}
		payload = rest
	}
	if len(payload) != 0 {
		t.Errorf("%d bytes left", len(payload))
	}
}

func TestWhole(t *testing.T) {
	for _, test := range []struct {
		h    Header
		want bool
	}{
		{Header{}, true},
		{Header{Length: 3, Size: 3}, true},
		{Header{Length: 3, Size: 2}, false},
		{Header{Length: 3, Offset: 1, Size: 2}, false},
		{Header{Length: 3, Offset: 3}, false},
	} {
		if got := test.h.Whole(); got != test.want {
			t.Errorf("%+v: Whole() = %v", test.h, got)
		}
	}
}

func TestSplit(t *testing.T) {
	message := []byte("0123456789")
	whole := Header{Type: 11, Length: 10, Seq: 4, Size: 10}
	for _, test := range []struct {
		from, max int
		want      string
	}{
		{0, 10, "0123456789"},
		{0, math.MaxInt, "0123456789"},
		{0, 4, "0123"},
		{4, 4, "4567"},
		{8, 4, "89"},
		{10, 4, ""},
		{3, 0, ""},
	} {
		h, body := Split(whole, message, test.from, test.max)
		want := Header{Type: 11, Length: 10, Seq: 4, Offset: test.from, Size: len(test.want)}
		if h != want || string(body) != test.want {
			t.Errorf("Split from %d at most %d: %+v %q, want %+v %q", test.from, test.max, h, body, want, test.want)
		}
	}
	if h, body := Split(Header{Type: 14, Seq: 1}, nil, 0, 100); !h.Whole() || len(body) != 0 {
		t.Errorf("an empty message splits into %+v %q", h, body)
	}
}

func FuzzParse(f *testing.F) {
	for _, h := range headers {
		f.Add(append(h.Append(nil), make([]byte, min(h.Size, 1000))...))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		h, body, rest, err := Parse(payload)
		if err != nil {
			if h != (Header{}) || body != nil || rest != nil {
				t.Fatalf("%v, and yet %+v", err, h)
			}
			return
		}
		if len(body) != h.Size || h.Offset+h.Size > h.Length {
			t.Fatalf("%+v with %d bytes", h, len(body))
		}
		if again := append(append(h.Append(nil), body...), rest...); !bytes.Equal(again, payload) {
			t.Fatalf("%x became %x", payload, again)
		}
	})
}

func TestHeadersDoNotAllocate(t *testing.T) {
	payload := append(Header{Type: 1, Length: 500, Size: 100}.Append(nil), make([]byte, 100)...)
	buf := make([]byte, 0, HeaderSize)
	if n := testing.AllocsPerRun(100, func() {
		h, _, _, err := Parse(payload)
		if err != nil {
			t.Fatal(err)
		}
		buf = h.Append(buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
