package retransmit

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// newMessage returns a message with length bytes of body that differ.
func newMessage(kind byte, length int) []byte {
	msg := make([]byte, headerSize+length)
	for i := range msg {
		msg[i] = kind + byte(i)
	}
	return msg
}

func record(n int) protocol.RecordNumber {
	return protocol.RecordNumber{Epoch: uint64(n % 3), Sequence: uint64(n)}
}

func numbers(ns ...int) (records []protocol.RecordNumber) {
	for _, n := range ns {
		records = append(records, record(n))
	}
	return records
}

type extent struct{ index, from, to int }

// pass sends all that is left of the pass, each part in a record of its own
// counted from n on, and returns the parts.
func pass(f *Flight, n, most int) (sent []extent) {
	for {
		p, ok := f.Next(most)
		if !ok {
			return sent
		}
		f.Sent(record(n), p)
		n++
		sent = append(sent, extent{p.Index, p.From, p.To})
	}
}

func expectParts(t *testing.T, got []extent, want ...extent) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("parts %v, want %v", got, want)
	}
}

func TestFlightEmpty(t *testing.T) {
	var f Flight
	if !f.Empty() || !f.Done() {
		t.Errorf("empty %v, done %v", f.Empty(), f.Done())
	}
	if _, ok := f.Peek(); ok {
		t.Error("Peek found something")
	}
	if _, ok := f.Next(100); ok {
		t.Error("Next found something")
	}
	f.Rewind()
	if f.Acked(numbers(0)) {
		t.Error("an ACK made progress")
	}
}

// RFC 9147 5.5 [1]
func TestFlightPass(t *testing.T) {
	var f Flight
	hello, finished := newMessage(2, 250), newMessage(20, 32)
	f.Add(hello, 0)
	f.Add(finished, 2)
	if f.Empty() || f.Done() {
		t.Errorf("empty %v, done %v", f.Empty(), f.Done())
	}
	for _, want := range []Part{
		{0, hello, 0, 0, 100},
		{0, hello, 0, 100, 200},
		{0, hello, 0, 200, 250},
		{2, finished, 1, 0, 32},
	} {
		if epoch, ok := f.Peek(); !ok || epoch != want.Epoch {
			t.Errorf("Peek() = %d, %v before %+v", epoch, ok, want)
		}
		got, ok := f.Next(100)
		if !ok || got.Epoch != want.Epoch || got.Index != want.Index || got.From != want.From || got.To != want.To ||
			!bytes.Equal(got.Message, want.Message) {
			t.Errorf("Next gives %+v, want %+v", got, want)
		}
	}
	if _, ok := f.Peek(); ok {
		t.Error("the pass has no end")
	}
	expectParts(t, pass(&f, 0, 100))
	f.Rewind()
	expectParts(t, pass(&f, 0, math.MaxInt), extent{0, 0, 250}, extent{1, 0, 32})
}

func TestFlightRoom(t *testing.T) {
	var f Flight
	f.Add(newMessage(14, 0), 0)
	f.Add(newMessage(20, 5), 0)
	if _, ok := f.Next(-1); ok {
		t.Error("an empty message went into less than nothing")
	}
	p, ok := f.Next(0)
	if !ok || p.Index != 0 || p.From != 0 || p.To != 0 {
		t.Errorf("Next(0) = %+v, %v, want the empty message", p, ok)
	}
	if _, ok := f.Next(0); ok {
		t.Error("a message went into no room")
	}
	expectParts(t, pass(&f, 0, 4), extent{1, 0, 4}, extent{1, 4, 5}) // the refusals moved nothing
}

func TestFlightEmptyMessageIsAcknowledged(t *testing.T) {
	var f Flight
	f.Add(newMessage(14, 0), 0)
	f.Rewind()
	expectParts(t, pass(&f, 0, 10), extent{0, 0, 0})
	f.Rewind()
	expectParts(t, pass(&f, 1, 10), extent{0, 0, 0})
	if f.Done() {
		t.Error("done before the ACK")
	}
	if !f.Acked(numbers(1)) || !f.Done() {
		t.Error("not done after the ACK")
	}
	f.Rewind()
	expectParts(t, pass(&f, 2, 10))
}

func TestFlightSendsAgainExactlyWhatIsMissing(t *testing.T) {
	var f Flight
	f.Add(newMessage(11, 500), 2)
	f.Add(newMessage(20, 32), 2)
	pass(&f, 0, 100) // records 0 to 4 and 5
	if !f.Acked(numbers(3, 1)) {
		t.Error("no progress")
	}
	f.Rewind()
	expectParts(t, pass(&f, 10, 70), extent{0, 0, 70}, extent{0, 70, 100},
		extent{0, 200, 270}, extent{0, 270, 300}, extent{0, 400, 470}, extent{0, 470, 500}, extent{1, 0, 32})

	// An ACK of the first transmission still counts, also for parts of other cuts.
	if !f.Acked(numbers(2, 4)) {
		t.Error("no progress by old records")
	}
	if f.Acked(numbers(2, 4)) || f.Acked(numbers(12)) {
		t.Error("progress by what was acknowledged before")
	}
	f.Rewind()
	expectParts(t, pass(&f, 20, 1000), extent{0, 0, 100}, extent{1, 0, 32})
	if !f.Acked(numbers(11, 10, 5)) || !f.Done() {
		t.Error("not done after all is acknowledged")
	}
	if f.Empty() {
		t.Error("done is not empty")
	}
}

func TestFlightPartsShareARecord(t *testing.T) {
	var f Flight
	f.Add(newMessage(8, 10), 2)
	f.Add(newMessage(11, 50), 2)
	for _, most := range []int{100, 20} {
		p, _ := f.Next(most)
		f.Sent(record(7), p)
	}
	if !f.Acked(numbers(7)) {
		t.Error("no progress")
	}
	expectParts(t, pass(&f, 8, 100), extent{1, 20, 50})
	f.Rewind()
	expectParts(t, pass(&f, 9, 100), extent{1, 20, 50})
}

func TestFlightIgnoresUnknownNumbers(t *testing.T) {
	var f Flight
	f.Add(newMessage(1, 10), 0)
	pass(&f, 0, 100)
	f.Clear()
	if !f.Empty() {
		t.Error("not empty after Clear")
	}
	f.Add(newMessage(1, 10), 0)
	pass(&f, 3, 100)
	for name, n := range map[string]protocol.RecordNumber{
		"previous flight":      record(0),
		"never sent":           record(4),
		"other epoch":          {Epoch: record(3).Epoch + 1, Sequence: record(3).Sequence},
		"epoch beyond 16 bits": {Epoch: record(3).Epoch + 1<<16, Sequence: record(3).Sequence},
		"epoch of 2^63":        {Epoch: record(3).Epoch + 1<<63, Sequence: record(3).Sequence},
	} {
		if f.Acked([]protocol.RecordNumber{n}) || f.Done() {
			t.Errorf("%s: the ACK counted", name)
		}
	}
}

func TestFlightForgetsOldRecords(t *testing.T) {
	var f Flight
	f.Add(newMessage(1, Remembered+1), 0)
	pass(&f, 0, 1) // a byte in each of one record too many
	if f.Acked(numbers(0)) {
		t.Error("the first record was not forgotten")
	}
	if !f.Acked(numbers(1)) {
		t.Error("the second record was forgotten")
	}
}

func TestFlightAddDuringPass(t *testing.T) {
	var f Flight
	f.Add(newMessage(2, 10), 0)
	expectParts(t, pass(&f, 0, 100), extent{0, 0, 10})
	f.Add(newMessage(8, 20), 2)
	if epoch, ok := f.Peek(); !ok || epoch != 2 {
		t.Errorf("Peek() = %d, %v", epoch, ok)
	}
	expectParts(t, pass(&f, 1, 100), extent{1, 0, 20})
}

func TestFlightRewindDuringPass(t *testing.T) {
	var f Flight
	f.Add(newMessage(2, 100), 0)
	f.Add(newMessage(11, 100), 2)
	for n, most := range []int{60, 40, 30} {
		p, _ := f.Next(most)
		f.Sent(record(n), p)
	}
	f.Acked(numbers(0))
	f.Rewind()
	expectParts(t, pass(&f, 10, 100), extent{0, 60, 100}, extent{1, 0, 100})
}

func TestFlightACKAheadOfThePass(t *testing.T) {
	var f Flight
	f.Add(newMessage(2, 100), 0)
	pass(&f, 0, 20) // records 0 to 4
	f.Rewind()
	p, _ := f.Next(10)
	f.Sent(record(10), p)
	f.Acked(numbers(2, 0))
	expectParts(t, pass(&f, 11, 100), extent{0, 20, 40}, extent{0, 60, 100})
}

// A model keeps a bool for each byte, and one more for a message without any.
type model struct {
	messages      [][]bool // acknowledged
	index, offset int
	sent          []sent
}

type sent struct {
	number protocol.RecordNumber
	extent
}

func (m *model) add(length int) { m.messages = append(m.messages, make([]bool, max(length, 1))) }

func (m *model) next(lengths []int, most int) (extent, bool) {
	for ; m.index < len(m.messages); m.index, m.offset = m.index+1, 0 {
		acked := m.messages[m.index]
		for m.offset < len(acked) && acked[m.offset] {
			m.offset++
		}
		if m.offset == len(acked) {
			continue
		}
		from := m.offset
		if lengths[m.index] == 0 {
			if most < 0 {
				return extent{}, false
			}
			m.offset++
			return extent{m.index, 0, 0}, true
		}
		for m.offset < len(acked) && !acked[m.offset] && m.offset-from < most {
			m.offset++
		}
		return extent{m.index, from, m.offset}, m.offset > from
	}
	return extent{}, false
}

func (m *model) acked(ns []protocol.RecordNumber) (progress bool) {
	for _, s := range m.sent {
		if slices.Contains(ns, s.number) {
			for i := s.from; i < max(s.to, s.from+1); i++ {
				progress = progress || !m.messages[s.index][i]
				m.messages[s.index][i] = true
			}
		}
	}
	return progress
}

func (m *model) done() bool {
	return !slices.ContainsFunc(m.messages, func(acked []bool) bool { return slices.Contains(acked, false) })
}

// run carries out operations of 3 bytes on a Flight and on the model.
func run(t *testing.T, ops []byte) {
	var f Flight
	var m model
	var lengths []int
	number := 0
	for ; len(ops) >= 3; ops = ops[3:] {
		switch ops[0] % 8 {
		case 0:
			if len(lengths) == 8 {
				continue
			}
			length := int(ops[1]) * int(ops[2]%4)
			lengths = append(lengths, length)
			m.add(length)
			f.Add(newMessage(ops[1], length), uint64(len(lengths)))
		case 1:
			f.Rewind()
			m.index, m.offset = 0, 0
		case 2: // an ACK of every n-th of the latest records
			var ns []protocol.RecordNumber
			for n := number; n >= max(0, number-int(ops[1])); n -= 1 + int(ops[2]%16) {
				ns = append(ns, record(n))
			}
			if got, want := f.Acked(ns), m.acked(ns); got != want {
				t.Fatalf("Acked(%v) = %v, want %v", ns, got, want)
			}
			m.sent = slices.DeleteFunc(m.sent, func(s sent) bool { return slices.Contains(ns, s.number) })
		case 3:
			if ops[1] == 0 {
				f.Clear()
				m, lengths = model{}, nil
			}
		default:
			number += int(ops[1] % 2) // or share the record before
			want, wantOK := m.next(lengths, int(ops[2])-1)
			p, ok := f.Next(int(ops[2]) - 1)
			if ok != wantOK || ok && want != (extent{p.Index, p.From, p.To}) {
				t.Fatalf("Next(%d) = %+v, %v, want %+v, %v", int(ops[2])-1, p, ok, want, wantOK)
			}
			if ok {
				if int(p.Epoch) != p.Index+1 || len(p.Message) != headerSize+lengths[p.Index] {
					t.Fatalf("part %d of epoch %d with %d bytes", p.Index, p.Epoch, len(p.Message))
				}
				f.Sent(record(number), p)
				m.sent = append(m.sent, sent{record(number), want})
				m.sent = m.sent[max(0, len(m.sent)-Remembered):]
			}
		}
		if f.Done() != m.done() || f.Empty() != (len(lengths) == 0) {
			t.Fatalf("done %v, empty %v, want %v, %v", f.Done(), f.Empty(), m.done(), len(lengths) == 0)
		}
	}
}

// RFC 9147 7.2 [4]
func TestFlightAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(2, seed))
		ops := []byte{0, 200, 3, 0, 0, 0, 0, 99, 1}
		for range 1500 {
			ops = append(ops, byte(random.Uint32()))
		}
		run(t, ops)
	}
}

func FuzzFlight(f *testing.F) {
	f.Add([]byte{0, 200, 3, 0, 0, 1, 4, 1, 100, 4, 1, 100, 4, 0, 100, 2, 2, 0, 1, 0, 0, 5, 1, 255, 2, 9, 1})
	f.Fuzz(run)
}

// Whatever is lost, and however the MTU changes, the peer has it all in the end.
//
// RFC 9147 5.5 [5]
func TestFlightReachesThePeer(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(3, seed))
		var f Flight
		var have [][]byte
		messages := [][]byte{newMessage(2, 1200), newMessage(8, 0), newMessage(11, 3000), newMessage(20, 48)}
		for i, msg := range messages {
			f.Add(msg, uint64(min(i, 1)*2))
			have = append(have, make([]byte, len(msg)-headerSize))
		}
		number, passes := 0, 0
		for ; !f.Done() && passes < 100; passes++ {
			most := 100 + random.IntN(1200)
			var arrived []protocol.RecordNumber
			for f.Rewind(); ; number++ {
				p, ok := f.Next(most)
				if !ok {
					break
				}
				f.Sent(record(number), p)
				if random.IntN(10) < 7 {
					arrived = append(arrived, record(number))
					copy(have[p.Index][p.From:], p.Message[headerSize:][p.From:p.To])
				}
			}
			if random.IntN(10) < 7 {
				f.Acked(arrived)
			}
		}
		if !f.Done() {
			t.Fatalf("seed %d: not done after %d passes", seed, passes)
		}
		for i, msg := range messages {
			if !bytes.Equal(have[i], msg[headerSize:]) {
				t.Fatalf("seed %d: message %d did not arrive", seed, i)
			}
		}
	}
}

func TestFlightPassDoesNotAllocate(t *testing.T) {
	var f Flight
	f.Add(newMessage(11, 5000), 2)
	for range 3 { // until the table of records is full
		f.Rewind()
		pass(&f, 0, 50)
	}
	if n := testing.AllocsPerRun(100, func() {
		f.Rewind()
		for {
			p, ok := f.Next(1000)
			if !ok {
				break
			}
			f.Sent(record(1), p)
		}
		f.Acked(nil)
	}); n != 0 {
		t.Errorf("%v allocations a pass, want 0", n)
	}
}

func BenchmarkFlight(b *testing.B) {
	messages := [][]byte{newMessage(2, 1200), newMessage(8, 20), newMessage(11, 3000), newMessage(15, 264), newMessage(20, 48)}
	ns := make([]protocol.RecordNumber, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		var f Flight
		for _, msg := range messages {
			f.Add(msg, 2)
		}
		ns = ns[:0]
		for n := 0; ; n++ {
			p, ok := f.Next(1100)
			if !ok {
				break
			}
			f.Sent(record(n), p)
			ns = append(ns, record(n))
		}
		if f.Acked(ns); !f.Done() {
			b.Fatal("not done")
		}
	}
}

func TestFlightLevel(t *testing.T) {
	var f Flight
	if f.Level() != 0 {
		t.Errorf("an empty flight is at level %d", f.Level())
	}
	f.Add(newMessage(1, 20), 2)
	f.Add(newMessage(1, 20), 3)
	if f.Level() != 2 {
		t.Errorf("level %d, want the first message's, 2", f.Level())
	}
}

func TestFlightBegun(t *testing.T) {
	var f Flight
	f.Add(newMessage(1, 20), 0)
	f.Peek()
	if _, ok := f.Next(0); ok || f.Begun() {
		t.Error("a pass that has given nothing out has begun")
	}
	if f.Next(10); !f.Begun() {
		t.Error("a pass that has given something out hasn't begun")
	}
	if f.Rewind(); f.Begun() {
		t.Error("another pass has begun")
	}
}
