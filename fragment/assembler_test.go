package fragment

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// content returns the message that tests send with message_seq seq.
func content(seq uint16, length int) (Header, []byte) {
	body := make([]byte, length)
	random := rand.New(rand.NewPCG(uint64(seq), uint64(length)))
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	return Header{Type: uint8(seq%20 + 1), Length: length, Seq: seq, Size: length}, body
}

// add adds the bytes from..from+size of the message h, body.
func add(t *testing.T, a *Assembler, h Header, body []byte, from, size int, want Outcome) {
	t.Helper()
	part, b := Split(h, body, from, size)
	if got, err := a.Add(part, b); err != nil || got != want {
		t.Fatalf("Add(%+v) = %v, %v, want %v", part, got, err, want)
	}
}

// pop expects the message h, body and pops it.
func pop(t *testing.T, a *Assembler, h Header, body []byte) {
	t.Helper()
	got, gotBody, ok := a.Message()
	if !ok {
		t.Fatalf("message %d is not whole", h.Seq)
	}
	if got != h || !bytes.Equal(gotBody, body) {
		t.Fatalf("Message() = %+v with %d bytes, want %+v, or other bytes", got, len(gotBody), h)
	}
	a.Pop()
}

func expectNothing(t *testing.T, a *Assembler) {
	t.Helper()
	if h, _, ok := a.Message(); ok {
		t.Fatalf("unexpected message %+v", h)
	}
}

func TestAssemblerOneMessageInOnePiece(t *testing.T) {
	for _, length := range []int{0, 1, 255, 256, 257, 70, DefaultLimit} {
		var a Assembler
		h, body := content(0, length)
		expectNothing(t, &a)
		add(t, &a, h, body, 0, length, Kept)
		if !a.Pending() {
			t.Errorf("%d bytes: nothing pending", length)
		}
		add(t, &a, h, body, 0, length, Kept) // and again
		add(t, &a, h, body, length/2, 3, Kept)
		pop(t, &a, h, body)
		if a.Pending() || a.Next() != 1 {
			t.Errorf("%d bytes: pending %v, next %d after Pop", length, a.Pending(), a.Next())
		}
		add(t, &a, h, body, 0, length, Old)
		expectNothing(t, &a)
	}
}

// RFC 9147 5.2 [1]
func TestAssemblerCopies(t *testing.T) {
	var a Assembler
	h, body := content(0, 100)
	mine := bytes.Clone(body)
	if _, err := a.Add(h, mine); err != nil {
		t.Fatal(err)
	}
	clear(mine)
	pop(t, &a, h, body)
}

// RFC 9147 5.5 [3]
func TestAssemblerEverySplitOfASmallMessage(t *testing.T) {
	h, body := content(0, 600)
	for _, size := range []int{1, 2, 3, 7, 255, 256, 257, 599} {
		for _, backward := range []bool{false, true} {
			var a Assembler
			count := (len(body) + size - 1) / size
			for i := range count {
				expectNothing(t, &a)
				if backward {
					i = count - 1 - i
				}
				add(t, &a, h, body, i*size, size, Kept)
			}
			pop(t, &a, h, body)
		}
	}
}

// The mark up to which a message is whole must not move back when a short
// fragment overlaps a long one, as it did in NSS.
func TestPitfallShortFragmentAfterLongOne(t *testing.T) {
	var a Assembler
	h, body := content(0, 1000)
	add(t, &a, h, body, 0, 900, Kept)
	add(t, &a, h, body, 100, 10, Kept)
	add(t, &a, h, body, 0, 1, Kept)
	expectNothing(t, &a)
	add(t, &a, h, body, 900, 100, Kept)
	pop(t, &a, h, body)
}

// A peer that lowers its MTU sends other cuts of the same message (RFC 9147 5.5,
// pion #1099).
//
// RFC 9147 5.5 [4]
func TestPitfallSmallerFragments(t *testing.T) {
	var a Assembler
	h, body := content(0, 3000)
	add(t, &a, h, body, 1200, 1200, Kept)
	for from := 0; from < len(body); from += 500 {
		add(t, &a, h, body, from, 500, Kept)
	}
	pop(t, &a, h, body)
}

// Messages may come before their turn, and again (CVE-2009-1379, CVE-2009-1387).
//
// RFC 9147 5.2 [2]
func TestPitfallMessagesOutOfOrder(t *testing.T) {
	var a Assembler
	for i := range Ahead {
		seq := uint16(Ahead - 1 - i)
		expectNothing(t, &a)
		h, body := content(seq, 100*int(seq))
		add(t, &a, h, body, 0, len(body), Kept)
	}
	h, body := content(Ahead, 10)
	add(t, &a, h, body, 0, 10, TooFar)
	for seq := range uint16(Ahead) {
		h, body := content(seq, 100*int(seq))
		pop(t, &a, h, body)
	}
	expectNothing(t, &a)
	add(t, &a, h, body, 0, 10, Kept)
	pop(t, &a, h, body)
}

func TestAssemblerTooFarIsDroppedUnread(t *testing.T) {
	var a Assembler
	for _, seq := range []uint16{Ahead, 1000, math.MaxUint16} {
		got, err := a.Add(Header{Length: 1<<24 - 1, Seq: seq, Size: 1}, []byte{1})
		if got != TooFar || err != nil {
			t.Errorf("seq %d: %v, %v", seq, got, err)
		}
	}
	if a.Pending() {
		t.Error("something is buffered")
	}
}

// A fragment without a byte, wherever it lies, is not the end of a message
// (CVE-2026-33845).
func TestPitfallEmptyFragments(t *testing.T) {
	var a Assembler
	h, body := content(0, 300)
	for _, from := range []int{0, 100, 300} {
		add(t, &a, h, body, from, 0, Kept)
	}
	if a.Pending() {
		t.Error("fragments without a byte are buffered")
	}
	add(t, &a, h, body, 0, 200, Kept)
	add(t, &a, h, body, 300, 0, Kept)
	expectNothing(t, &a)
	add(t, &a, h, body, 200, 100, Kept)
	pop(t, &a, h, body)
}

// Fragments with one message_seq that differ in type, length or bytes are of no
// use to the message that is there (CVE-2026-33846, CVE-2026-42009, CVE-2019-14431).
func TestPitfallDisagreement(t *testing.T) {
	h, body := content(0, 600)
	changed := bytes.Clone(body)
	changed[299] ^= 1
	otherType, otherLength := h, h
	otherType.Type++
	otherLength.Length++

	for _, before := range []int{300, 600} { // partly there, and whole
		for name, fragment := range map[string]func() (Header, []byte){
			"type":                    func() (Header, []byte) { return Split(otherType, body, 300, 300) },
			"type, empty":             func() (Header, []byte) { return Split(otherType, body, 0, 0) },
			"length":                  func() (Header, []byte) { otherLength.Size = 10; return otherLength, body[:10] },
			"changed byte":            func() (Header, []byte) { return Split(h, changed, 299, 1) },
			"changed byte after new":  func() (Header, []byte) { return Split(h, changed, 0, 600) },
			"changed byte before new": func() (Header, []byte) { return Split(h, changed, 299, 301) },
		} {
			var a Assembler
			add(t, &a, h, body, 0, before, Kept)
			part, b := fragment()
			if _, err := a.Add(part, b); !errors.Is(err, ErrMismatch) {
				t.Errorf("%s after %d bytes: %v, want ErrMismatch", name, before, err)
			}
			if _, _, ok := a.Message(); ok != (before == 600) {
				t.Errorf("%s after %d bytes: the refused fragment was kept", name, before)
			}
			add(t, &a, h, body, 0, 600, Kept) // nothing changed: the message still comes out
			pop(t, &a, h, body)
		}
	}
}

func TestAssemblerRefusesLongMessages(t *testing.T) {
	for _, test := range []struct{ limit, most int }{{0, DefaultLimit}, {100, 100}} {
		a := Assembler{Limit: test.limit}
		for _, seq := range []uint16{0, Ahead - 1} {
			_, err := a.Add(Header{Length: test.most + 1, Seq: seq, Size: 1}, []byte{1})
			if !errors.Is(err, ErrTooLong) || a.Pending() {
				t.Errorf("limit %d: %v, pending %v", test.limit, err, a.Pending())
			}
		}
		h, body := content(0, test.most)
		add(t, &a, h, body, 0, len(body), Kept)
	}
}

func TestAssemblerRefusesHeadersThatLie(t *testing.T) {
	var a Assembler
	for _, h := range []Header{{Length: 10, Offset: 9, Size: 2}, {Length: 10, Size: 3}} {
		if _, err := a.Add(h, []byte{1, 2}); !errors.Is(err, ErrBounds) || a.Pending() {
			t.Errorf("%+v with 2 bytes: %v, want ErrBounds", h, err)
		}
	}
}

func TestAssemblerStart(t *testing.T) {
	var a Assembler
	h, body := content(0, 10)
	add(t, &a, h, body, 0, 5, Kept)
	a.Start(1)
	if a.Pending() || a.Next() != 1 {
		t.Errorf("pending %v, next %d after Start(1)", a.Pending(), a.Next())
	}
	add(t, &a, h, body, 5, 5, Old)
	h, body = content(1, 10)
	add(t, &a, h, body, 0, 10, Kept)
	pop(t, &a, h, body)
}

func TestAssemblerPopOfAPartDoesNothing(t *testing.T) {
	var a Assembler
	h, body := content(0, 10)
	add(t, &a, h, body, 0, 5, Kept)
	a.Pop()
	add(t, &a, h, body, 5, 5, Kept)
	pop(t, &a, h, body)
}

// message_seq has 16 bits and doesn't wrap around.
func TestAssemblerLastSequence(t *testing.T) {
	var a Assembler
	a.Start(math.MaxUint16 - 1)
	first, body := content(0, 10)
	add(t, &a, first, body, 0, 10, Old)
	for _, seq := range []uint16{math.MaxUint16 - 1, math.MaxUint16} {
		h, body := content(seq, 10)
		add(t, &a, h, body, 0, 10, Kept)
	}
	for _, seq := range []uint16{math.MaxUint16 - 1, math.MaxUint16} {
		h, body := content(seq, 10)
		pop(t, &a, h, body)
	}
	if a.Next() != math.MaxUint16 {
		t.Errorf("Next() = %d after the last", a.Next())
	}
	last, body := content(math.MaxUint16, 10)
	add(t, &a, last, body, 0, 10, Old)
	add(t, &a, first, body, 0, 10, Old)
	if a.Pending() {
		t.Error("message 0 after 65535 is kept")
	}
}

// A model assembles with one bool for each byte.
type model struct {
	next uint16
	have map[uint16][]bool
}

func (m *model) whole(seq uint16, length int) bool {
	count := 0
	for _, have := range m.have[seq] {
		if have {
			count++
		}
	}
	return m.have[seq] != nil && count == length
}

// add says what Add should answer. A fragment ahead of its turn may be dropped
// if the room for all that were begun exceeds limit.
func (m *model) add(t *testing.T, h Header, got Outcome, limit int) {
	t.Helper()
	want := Kept
	switch {
	case h.Seq < m.next:
		want = Old
	case int(h.Seq) >= int(m.next)+Ahead:
		want = TooFar
	case got == TooFar && h.Seq > m.next:
		room := 0
		for seq := m.next + 1; seq < m.next+Ahead; seq++ {
			if m.have[seq] != nil || seq == h.Seq {
				room += roundUp(lengthOf(seq))
			}
		}
		if room > limit {
			return
		}
	}
	if got != want {
		t.Fatalf("Add(%+v) = %v with next %d, want %v", h, got, m.next, want)
	}
	if got == Kept && (h.Size > 0 || h.Length == 0) {
		if m.have[h.Seq] == nil {
			m.have[h.Seq] = make([]bool, h.Length)
		}
		for i := range h.Size {
			m.have[h.Seq][h.Offset+i] = true
		}
	}
}

// overlaps reports whether any byte of the fragment h came before.
func (m *model) overlaps(h Header, i int) bool {
	return m.have[h.Seq] != nil && m.have[h.Seq][i]
}

func lengthOf(seq uint16) int { return []int{0, 1, 255, 256, 257, 700, 2000, 12}[seq%8] }

// check compares all that the Assembler shows with the model.
func (m *model) check(t *testing.T, a *Assembler) {
	t.Helper()
	if a.Next() != m.next {
		t.Fatalf("Next() = %d, want %d", a.Next(), m.next)
	}
	pending := false
	for _, have := range m.have {
		pending = pending || have != nil
	}
	if a.Pending() != pending {
		t.Fatalf("Pending() = %v, want %v", a.Pending(), pending)
	}
	h, body := content(m.next, lengthOf(m.next))
	got, gotBody, ok := a.Message()
	if ok != m.whole(m.next, h.Length) {
		t.Fatalf("message %d: whole is %v, want %v", m.next, ok, !ok)
	}
	if ok && (got != h || !bytes.Equal(gotBody, body)) {
		t.Fatalf("message %d: %+v with %d bytes, want %+v, or other bytes", m.next, got, len(gotBody), h)
	}
}

func (m *model) pop(a *Assembler) {
	if m.whole(m.next, lengthOf(m.next)) {
		delete(m.have, m.next)
		m.next++
	}
	a.Pop()
}

// Any cut, overlap, order and repetition gives the message (CVE-2014-0195,
// CVE-2019-14431).
//
// RFC 9147 5.5 [4]
func TestPitfallReassembly(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(1, seed))
		a, m := Assembler{}, model{have: map[uint16][]bool{}}
		for range 400 {
			seq := m.next + uint16(random.IntN(Ahead+2)) - min(m.next, 1)
			h, body := content(seq, lengthOf(seq))
			part, b := Split(h, body, random.IntN(len(body)+1), []int{0, 1, 30, 300, 2000}[random.IntN(5)])
			got, err := a.Add(part, b)
			if err != nil {
				t.Fatal(err)
			}
			m.add(t, part, got, DefaultLimit)
			m.check(t, &a)
			if random.IntN(3) == 0 {
				m.pop(&a)
				m.check(t, &a)
			}
		}
		if m.next == 0 {
			t.Errorf("seed %d: no message became whole", seed)
		}
	}
}

// FuzzAssembler reads operations of 5 bytes: what to do, message_seq from one
// below the next, offset (u16), size.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1})
	f.Add([]byte{0, 8, 0, 0, 0xff, 0, 7, 0, 0, 0xff, 2, 7, 0, 3, 9, 3, 7, 0, 0, 1, 4, 7, 0, 0, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		const limit = 2000
		a, m := Assembler{Limit: limit}, model{have: map[uint16][]bool{}}
		for ; len(ops) >= 5; ops = ops[5:] {
			seq := m.next + uint16(ops[1]%(Ahead+2)) - min(m.next, 1)
			h, body := content(seq, lengthOf(seq))
			part, b := Split(h, body, (int(ops[2])<<8|int(ops[3]))%(len(body)+1), 8*int(ops[4]))
			begun := m.have[seq] != nil
			refuse := false
			switch ops[0] % 6 {
			case 1:
				m.pop(&a)
			case 2: // a changed byte, where one came before
				if len(b) > 0 && m.overlaps(part, part.Offset) {
					b = bytes.Clone(b)
					b[0] ^= 0x80
					refuse = true
				}
			case 3:
				part.Type++
				refuse = true
			case 4:
				part.Length++
				refuse = true
			}
			inWindow := seq >= m.next && int(seq) < int(m.next)+Ahead
			if refuse && inWindow && !begun && part.Length <= limit {
				continue // it would be the first of its message, and wrong
			}
			got, err := a.Add(part, b)
			if (err != nil) != (refuse && inWindow) {
				t.Fatalf("Add(%+v): %v", part, err)
			}
			if err == nil {
				m.add(t, part, got, limit)
			}
			m.check(t, &a)
		}
	})
}

func BenchmarkAssembler(b *testing.B) {
	for _, size := range []int{2, 100, 1200, 30000} {
		b.Run(fmt.Sprintf("30000 bytes in random order by %d", size), func(b *testing.B) {
			h, body := content(0, 30000)
			order := rand.New(rand.NewPCG(1, 2)).Perm(len(body) / size)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var a Assembler
				for _, i := range order {
					if _, err := a.Add(Split(h, body, i*size, size)); err != nil {
						b.Fatal(err)
					}
				}
				if _, _, ok := a.Message(); !ok {
					b.Fatal("not whole")
				}
			}
		})
	}
}
