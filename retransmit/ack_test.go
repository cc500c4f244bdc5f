package retransmit

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

func TestReceivedBytes(t *testing.T) {
	var r Received
	if got := hex.EncodeToString(r.Append([]byte{0xaa})); got != "aa0000" {
		t.Errorf("the empty ACK is %s", got)
	}
	r.Add(protocol.RecordNumber{Epoch: 2, Sequence: 0x0102030405060708})
	r.Add(protocol.RecordNumber{Epoch: 0, Sequence: 9})
	r.Add(protocol.RecordNumber{Epoch: 2, Sequence: 3})
	want := "0030" + "00000000000000000000000000000009" + "00000000000000020000000000000003" + "00000000000000020102030405060708"
	if got := hex.EncodeToString(r.Append(nil)); got != want {
		t.Errorf("the ACK is\n%s, want\n%s", got, want)
	}
	if r.Len() != 3 {
		t.Errorf("Len() = %d", r.Len())
	}
}

func TestReceivedHasNoDuplicates(t *testing.T) {
	var r Received
	for n := range 20 {
		r.Add(record(n % 5))
	}
	if r.Len() != 5 {
		t.Errorf("Len() = %d, want 5", r.Len())
	}
	if r.Clear(); r.Len() != 0 {
		t.Errorf("Len() = %d after Clear", r.Len())
	}
	r.Add(record(1))
	if r.Len() != 1 {
		t.Errorf("Len() = %d, want 1", r.Len())
	}
}

// RFC 9147 7.1 [6]
func TestReceivedKeepsTheNewest(t *testing.T) {
	var r Received
	for n := range 100 {
		r.Add(protocol.RecordNumber{Epoch: 2, Sequence: uint64(100 - n)}) // the newest has the lowest number
	}
	for _, test := range []struct{ most, want int }{{100, 32}, {32, 32}, {31, 31}, {1, 1}, {0, 0}, {-1, 0}} {
		got, err := ParseACK(r.AppendMax(nil, test.most), nil)
		if err != nil || len(got) != test.want {
			t.Fatalf("AppendMax(%d): %d numbers, %v, want %d", test.most, len(got), err, test.want)
		}
		for i, n := range got {
			if n.Sequence != uint64(i+1) {
				t.Fatalf("AppendMax(%d): number %d is %v", test.most, i, n)
			}
		}
	}
	if got, _ := ParseACK(r.Append(nil), nil); len(got) != MaxReceived {
		t.Errorf("Append: %d numbers", len(got))
	}
}

func TestACKRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 5))
	for count := range MaxReceived + 1 {
		var r Received
		var want []protocol.RecordNumber
		for range count {
			n := protocol.RecordNumber{Epoch: random.Uint64N(4), Sequence: random.Uint64() | 1}
			r.Add(n)
			want = append(want, n)
		}
		slices.SortFunc(want, func(x, y protocol.RecordNumber) int {
			return cmp.Or(cmp.Compare(x.Epoch, y.Epoch), cmp.Compare(x.Sequence, y.Sequence))
		})
		prefix := []protocol.RecordNumber{{Epoch: math.MaxUint64}}
		got, err := ParseACK(r.Append(nil), prefix)
		if err != nil || got[0] != prefix[0] || !slices.Equal(got[1:], want) {
			t.Errorf("%d numbers: %v, %v, want %v", count, got, err, want)
		}
	}
}

func TestParseACKRefuses(t *testing.T) {
	var r Received
	for n := range 3 {
		r.Add(record(n))
	}
	whole := r.Append(nil)
	refused := map[string][]byte{
		"a byte more":          append(bytes.Clone(whole), 0),
		"a number more":        append(bytes.Clone(whole), make([]byte, 16)...),
		"length that is short": append([]byte{0, 32}, whole[2:]...),
		"half a number":        append([]byte{0, 8}, make([]byte, 8)...),
	}
	for n := range whole {
		refused[fmt.Sprintf("the first %d bytes", n)] = whole[:n]
	}
	for name, body := range refused {
		dst := numbers(1, 2)
		if got, err := ParseACK(body, dst); !errors.Is(err, ErrACK) || !slices.Equal(got, dst) {
			t.Errorf("%s: %v, %v, want ErrACK", name, got, err)
		}
	}
}

// Order and duplicates are the peer's affair: what it acknowledges is a set.
func TestParseACKTakesAnyOrder(t *testing.T) {
	body := []byte{0, 48}
	for _, n := range []byte{3, 1, 3} {
		body = append(body, make([]byte, 15)...)
		body = append(body, n)
	}
	got, err := ParseACK(body, nil)
	if err != nil || len(got) != 3 || got[0].Sequence != 3 || got[1].Sequence != 1 || got[2].Sequence != 3 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestParseACKTakesTheLongest(t *testing.T) {
	body := append([]byte{0xff, 0xf0}, make([]byte, 0xfff0)...)
	if got, err := ParseACK(body, nil); err != nil || len(got) != 4095 {
		t.Errorf("%d numbers, %v, want 4095", len(got), err)
	}
}

func FuzzParseACK(f *testing.F) {
	var r Received
	f.Add(r.Append(nil))
	for n := range 5 {
		r.Add(record(n))
	}
	f.Add(r.Append(nil))
	f.Add([]byte{0, 1, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := ParseACK(body, nil)
		if err != nil {
			if got != nil {
				t.Fatalf("%v, and yet %v", err, got)
			}
			return
		}
		if len(body) != 2+16*len(got) {
			t.Fatalf("%d numbers in %d bytes", len(got), len(body))
		}
		// What a Received that is told them says is the same set.
		var r Received
		for _, n := range got {
			r.Add(n)
		}
		again, err := ParseACK(r.Append(nil), nil)
		if err != nil || len(again) != r.Len() {
			t.Fatalf("%d numbers, %v, want %d", len(again), err, r.Len())
		}
		for i, n := range again {
			if i > 0 && !again[i-1].Less(n) {
				t.Fatalf("%v comes before %v", again[i-1], n)
			}
			if !slices.Contains(got, n) {
				t.Fatalf("%v is not in %v", n, got)
			}
		}
	})
}

func TestACKsDoNotAllocate(t *testing.T) {
	var r Received
	buf := make([]byte, 0, 2+16*MaxReceived)
	dst := make([]protocol.RecordNumber, 0, MaxReceived)
	next := 0
	for ; next < MaxReceived; next++ {
		r.Add(record(next))
	}
	if n := testing.AllocsPerRun(100, func() {
		r.Add(record(next))
		next++
		buf = r.Append(buf[:0])
		if _, err := ParseACK(buf, dst[:0]); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations an ACK, want 0", n)
	}
}

func BenchmarkACK(b *testing.B) {
	var r Received
	for n := range MaxReceived {
		r.Add(record(n * 7 % 32))
	}
	buf := make([]byte, 0, 2+16*MaxReceived)
	dst := make([]protocol.RecordNumber, 0, MaxReceived)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.Append(buf[:0])
		if _, err := ParseACK(buf, dst); err != nil {
			b.Fatal(err)
		}
	}
}
