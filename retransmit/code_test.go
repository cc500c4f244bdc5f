package retransmit

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

type coder interface{ Code(*wire.Codec) }

func written(t testing.TB, what coder) []byte {
	t.Helper()
	c := wire.NewEncoder()
	what.Code(c)
	b, err := c.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// expectCopy writes want and reads it into got.
func expectCopy(t testing.TB, want, got coder) {
	t.Helper()
	b := written(t, want)
	c := wire.NewDecoder(b)
	got.Code(c)
	if _, err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, expected %+v", got, want)
	}
}

// A flight that was written and read goes on as it would have.
func TestFlightCode(t *testing.T) {
	expectCopy(t, &Flight{}, &Flight{})
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		var f Flight
		for i := range 1 + random.IntN(3) {
			f.Add(newMessage(byte(i), random.IntN(40)), uint64(i))
		}
		for n := range random.IntN(20) {
			if p, ok := f.Next(1 + random.IntN(20)); ok {
				f.Sent(record(n), p)
			} else {
				f.Rewind()
			}
			if random.IntN(3) == 0 {
				f.Acked(numbers(random.IntN(n + 1)))
			}
		}
		var got Flight
		c := wire.NewDecoder(written(t, &f))
		got.Code(c)
		if _, err := c.Finish(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, ack := range []int{3, 5, 7, 11} {
			if got.Acked(numbers(ack)) != f.Acked(numbers(ack)) || got.Done() != f.Done() {
				t.Fatalf("seed %d: the ACK of %d means something else", seed, ack)
			}
		}
		expectParts(t, pass(&got, 100, 9), pass(&f, 100, 9)...)
	}
}

func TestReceivedCode(t *testing.T) {
	var r Received
	expectCopy(t, &r, &Received{})
	for n := range MaxReceived + 3 {
		r.Add(record(n))
		expectCopy(t, &r, &Received{})
	}
}

// A timer that is written down goes on elsewhere, with all its patience.
func TestBackoffCode(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	fresh := func() *Backoff { return &Backoff{Initial: time.Second, Max: time.Minute, Limit: 3} }
	expectCopy(t, fresh(), fresh())
	tired, want := fresh(), fresh()
	tired.Arm(now)
	tired.Expired(now.Add(time.Second))
	tired.Arm(now.Add(time.Second))
	want.Arm(now.Add(time.Second))
	c, heir := wire.NewDecoder(written(t, tired)), fresh()
	heir.Code(c)
	if _, err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if tired.Expiries() != 1 || !reflect.DeepEqual(heir, want) {
		t.Errorf("%+v, expected %+v", heir, want)
	}
}

// TestFlightCodeRefuses what no flight is.
func TestFlightCodeRefuses(t *testing.T) {
	valid := func() *Flight {
		var f Flight
		f.Add(newMessage(1, 20), 1)
		p, _ := f.Next(10)
		f.Sent(record(1), p)
		return &f
	}
	for what, spoil := range map[string]func(*Flight){
		"a message without header": func(f *Flight) { f.messages[0].bytes = f.messages[0].bytes[:headerSize-1] },
		"a span beyond the end":    func(f *Flight) { f.messages[0].missing[0].to = 21 },
		"a span backwards":         func(f *Flight) { f.messages[0].missing[0].from = 21 },
		"spans out of order":       func(f *Flight) { f.messages[0].missing = []span{{10, 20}, {0, 5}} },
		"a span of nothing":        func(f *Flight) { f.messages[0].missing = []span{{19, 20}, {20, 20}} }, // no pass would end
		"a pass beyond the flight": func(f *Flight) { f.index = 2 },
		"a pass beyond a message":  func(f *Flight) { f.offset = 21 },
		"a part of no message":     func(f *Flight) { f.sent[0].index = 1 },
		"a part beyond the end":    func(f *Flight) { f.sent[0].to = 21 },
	} {
		f := valid()
		spoil(f)
		c := wire.NewEncoder()
		f.Code(c)
		if _, err := c.Finish(); !errors.Is(err, wire.ErrState) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCodeRefuses(t *testing.T) {
	for what, spoiled := range map[string]coder{
		"more record numbers than an ACK has": &Received{numbers: make([]protocol.RecordNumber, MaxReceived+1)},
	} {
		c := wire.NewEncoder()
		spoiled.Code(c)
		if _, err := c.Finish(); !errors.Is(err, wire.ErrState) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzCode(f *testing.F) {
	var flight Flight
	flight.Add(newMessage(1, 20), 1)
	f.Add(written(f, &flight))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, both := range [][2]coder{{&Flight{}, &Flight{}}, {&Received{}, &Received{}}, {&Backoff{}, &Backoff{}}, {&RoundTrip{}, &RoundTrip{}}} {
			c := wire.NewDecoder(b)
			both[0].Code(c)
			if _, err := c.Finish(); err != nil {
				continue
			}
			expectCopy(t, both[0], both[1])
			if trip, ok := both[0].(*RoundTrip); ok {
				trip.Sample(time.Second)
				if trip.Timeout() < floor {
					t.Fatalf("a timeout of %v", trip.Timeout())
				}
			}
			if flight, ok := both[0].(*Flight); ok {
				pass(flight, 0, 5)
				flight.Acked(numbers(1, 2, 3))
			}
		}
	})
}
