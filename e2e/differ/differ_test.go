package differ

import (
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
)

// compare commits a fault twice, and says whether there is one, and whether the two
// subjects disagree about it.
func compare(t testing.TB, s setting, planned fault) (d disagreement, committed, agree bool) {
	var outcomes []outcome
	for _, subject := range []func() subject{func() subject { return s.ours(t) }, func() subject { return s.oracle(s) }} {
		f := planned
		r := s.rogue(t, &f)
		outcomes = append(outcomes, meet(s, subject(), r))
		if d.changes = f.changes; d.changes == nil {
			return d, false, true
		}
	}
	d.setting, d.ours, d.theirs = s.name, outcomes[0], outcomes[1]
	return d, true, d.ours.String() == d.theirs.String() && sameHello(d.ours.hello, d.theirs.hello)
}

// sameHello reports whether two have read the same. Who was never asked says nothing.
func sameHello(ours, theirs string) bool { return ours == "" || theirs == "" || ours == theirs }

// differ returns a disagreement that nothing explains, or else what explains it. It must
// be there three times: now and then a random byte is what decides.
func differ(t testing.TB, s setting, planned fault) (d disagreement, e *explanation, committed, agree bool) {
	for range 3 {
		if d, committed, agree = compare(t, s, planned); agree {
			break
		}
		if e = explain(d); e != nil {
			break
		}
	}
	return d, e, committed, agree
}

// faults are all faults of one mutation, and all of one record.
func faults(t testing.TB, s setting) (all []fault) {
	f := lawful
	r := s.rogue(t, &f)
	meet(s, s.ours(t), r)
	for at, m := range r.said {
		for place := range parse(m.Type, s.version.Over(s.transport), m.Body).places() {
			for mutation := range mutations {
				all = append(all, fault{at: at, edits: []edit{{place, mutation}}})
			}
		}
	}
	for at := range r.records {
		for i := range recordFaults {
			all = append(all, fault{at: at, record: &recordFaults[i]})
		}
	}
	return all
}

// What the two make of a fault is the same, or is explained: of every mutation of every
// part of every message, and every fault of every record, alone; and of several mutations
// at once, by chance.
func TestFaults(t *testing.T) {
	stride, several := 20, 200
	full := os.Getenv("GODWIT_FULL") == "1"
	if full {
		stride, several = 1, 20_000
	}
	settings := append(withGo(), withOpenSSL(startOpenSSL(t))...)
	used := map[*explanation]int{}
	tries, disagreements := 0, 0
	try := func(t *testing.T, s setting, planned fault) {
		d, e, committed, agree := differ(t, s, planned)
		if committed {
			tries++
		}
		if !agree {
			disagreements++
			used[e]++
			if e == nil {
				t.Error(d)
			}
		}
	}
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			all := faults(t, s)
			for i := tries % stride; i < len(all); i += stride {
				try(t, s, all[i])
			}
		})
	}
	t.Run("several", func(t *testing.T) {
		for i := range several {
			random := rand.New(rand.NewPCG(7, uint64(i)))
			planned := fault{at: random.IntN(8)}
			for range 2 + random.IntN(3) {
				planned.edits = append(planned.edits, edit{random.IntN(1 << 16), random.IntN(1 << 8)})
			}
			try(t, settings[i%len(settings)], planned)
		}
	})
	t.Logf("%d faults, %d disagreements", tries, disagreements)
	for i, e := range explanations {
		if full && used[&explanations[i]] == 0 {
			t.Errorf("explains nothing: %s", e.why)
		}
	}
}

// The rogue without a fault has no other effect on one than on the other.
func TestLawful(t *testing.T) {
	o := startOpenSSL(t)
	t.Log(runtime.Version(), o.version())
	for _, s := range append(withGo(), withOpenSSL(o)...) {
		t.Run(s.name, func(t *testing.T) {
			var outcomes []string
			for _, sub := range []subject{s.ours(t), s.oracle(s)} {
				f := lawful
				r := s.rogue(t, &f)
				o := meet(s, sub, r)
				if !o.open || !r.machine.Open() || o.alert != "" {
					t.Errorf("%T: %v; the rogue: %v, the subject: %v", sub, o, r.err, o.err)
				}
				outcomes = append(outcomes, o.String())
			}
			if outcomes[0] != outcomes[1] {
				t.Errorf("godwit: %s; the other: %s", outcomes[0], outcomes[1])
			}
		})
	}
}

// Several mutations of one message, as the fuzzer likes.
func FuzzTLS(f *testing.F) { fuzz(f, withGo()) }

// The same with OpenSSL, over datagrams and streams.
func FuzzOpenSSL(f *testing.F) { fuzz(f, withOpenSSL(startOpenSSL(f))) }

// fuzz takes a script: every three bytes are a mutation, and a part of the message.
func fuzz(f *testing.F, settings []setting) {
	for i := range settings {
		for at := range 5 {
			f.Add(uint8(i), uint8(at), []byte{byte(i), 0, byte(at), 4, 0, 20, 7, 0, 9})
		}
	}
	f.Fuzz(func(t *testing.T, which, at uint8, script []byte) {
		s := settings[int(which)%len(settings)]
		planned := fault{at: int(at) % 8}
		for ; len(script) >= 3 && len(planned.edits) < 6; script = script[3:] {
			planned.edits = append(planned.edits, edit{int(script[1])<<8 | int(script[2]), int(script[0])})
		}
		if d, e, _, agree := differ(t, s, planned); !agree && e == nil {
			t.Error(d)
		}
	})
}
