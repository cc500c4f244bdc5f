package main

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/record"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A model makes times as they come on a machine where others work too: most are close
// to each other, and one of twenty is interrupted for much longer.
type model struct {
	*rand.Rand
}

func newModel(seed uint64) model { return model{rand.New(rand.NewPCG(seed, 1))} }

func (m model) time(work, deviation float64) float64 {
	took := 1000 + work + deviation*m.NormFloat64()
	if m.IntN(20) == 0 {
		took += 50_000 * m.ExpFloat64()
	}
	return math.Round(took)
}

// sample is times of work that is told for each class.
func (m model) sample(n int, work func(class int) (steps, deviation float64)) (t times) {
	for range n {
		class := m.IntN(2)
		t[class] = append(t[class], m.time(work(class)))
	}
	return t
}

// steps is how many bytes a comparison looks at until it knows.
func steps(class int) float64 { return float64(place(class, secretLen) + 1) }

// TestFindsLeak: a comparison that ends where the first byte differs is found, though
// each byte takes no more than a hundredth of what the times deviate, and one that
// always looks at all is not.
func TestFindsLeak(t *testing.T) {
	const perByte, deviation = 0.2, 20
	for seed := range uint64(8) {
		m := newModel(seed)
		leaky := m.sample(50_000, func(class int) (float64, float64) { return perByte * steps(class), deviation })
		if found := leaky.means(); !found.differs() || found.difference < perByte*secretLen/4 || found.difference > perByte*secretLen*2 {
			t.Errorf("seed %d: leaky: t %.1f, %.1f ns", seed, found.t, found.difference)
		}
		constant := m.sample(50_000, func(int) (float64, float64) { return perByte * secretLen, deviation })
		if means, variances := constant.means(), constant.variances(); means.differs() || variances.differs() {
			t.Errorf("seed %d: constant: %+v, %+v", seed, means, variances)
		}
	}
}

// TestFindsLeakOfSecondOrder: times that have one mean, and don't deviate alike.
func TestFindsLeakOfSecondOrder(t *testing.T) {
	for seed := range uint64(8) {
		masked := newModel(seed).sample(50_000, func(class int) (float64, float64) { return 0, float64(20 + 2*class) })
		if found := masked.variances(); !found.differs() {
			t.Errorf("seed %d: %+v", seed, found)
		}
	}
}

// TestWelch has the example of two samples whose t and deviation are known.
func TestWelch(t *testing.T) {
	a, b := momentsOf([]float64{1, 2, 3, 4, 100}, 50), momentsOf([]float64{2, 4, 6, 8}, 50)
	if a != (moments{4, 2.5, 5.0 / 3}) || b != (moments{4, 5, 20.0 / 3}) {
		t.Fatal(a, b)
	}
	if found, want := welch(a, b), 2.5/math.Sqrt(25.0/12); math.Abs(found.t-want) > 1e-12 || found.difference != 2.5 {
		t.Errorf("%+v, want %v", found, want)
	}
	if found := welch(moments{10, 5, 0}, moments{10, 5, 0}); found.t != 0 || found.differs() {
		t.Errorf("constants: %+v", found)
	}
}

// TestRun: each subject can be measured, and the document takes what came of it. The
// times themselves are worth nothing here.
func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "timing.md")
	if err := os.WriteFile(path, []byte("before\n"+section.Begin()+"old\n"+section.End()+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, progress bytes.Buffer
	if err := run([]string{"-samples", "1", "-seed", "1", "-update", path}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects() {
		if row := "| " + s.row() + " | 128 |"; !strings.Contains(string(text), row) {
			t.Errorf("the table lacks %q", row)
		}
	}
	if s := string(text); !strings.HasPrefix(s, "before\n"+section.Begin()) || !strings.HasSuffix(s, section.End()+"after\n") || strings.Contains(s, "old") {
		t.Errorf("%s", text)
	}
}

// TestFaults: a record opens if nothing is wrong with it, and with each fault it
// doesn't.
func TestFaults(t *testing.T) {
	s := suite.ByID(suite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA)
	k := randomKey(s)
	opener, err := record.NewOpener(s, k)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		for class, name := range f.classes {
			if _, err := opener.Open(f.record(class, s, k), header(0), 0); err == nil {
				t.Errorf("%s: it opens", name)
			}
			lawful := f
			lawful.damage = func(int, []byte, []byte) {}
			if _, err := opener.Open(lawful.record(class, s, k), header(0), 0); err != nil {
				t.Errorf("%s, without the fault: %v", name, err)
			}
		}
	}
}
