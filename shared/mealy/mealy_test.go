package mealy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// random is a machine of n states, or of fewer that matter.
func random(r *rand.Rand, n, inputs, outputs int) *Machine {
	m := &Machine{}
	for i := range inputs {
		m.Inputs = append(m.Inputs, fmt.Sprint("input ", i))
	}
	for range n {
		var edges []Edge
		for range inputs {
			edges = append(edges, Edge{fmt.Sprint(r.IntN(outputs)), r.IntN(n)})
		}
		m.States = append(m.States, edges)
	}
	return m
}

func (m *Machine) box(asked *int) Box {
	return func(w Word) []string {
		*asked++
		outputs, _ := m.Run(w)
		return outputs
	}
}

// TestLearn learns random machines, whose every difference is told.
func TestLearn(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		m := random(r, 1+r.IntN(12), 1+r.IntN(4), 1+r.IntN(3))
		asked := 0
		learned := Learn(m.Inputs, m.box(&asked), m.Differ)
		if w := m.Differ(learned); w != nil {
			t.Fatalf("learned %v, want %v: they differ in %v", learned, m, w)
		}
		if minimal, _ := m.Minimal(); len(learned.States) != len(minimal.States) {
			t.Fatalf("learned %d states, want %d", len(learned.States), len(minimal.States))
		}
	}
}

// TestLearnFromSuite learns machines from nothing but what they answer.
func TestLearnFromSuite(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		m, _ := random(r, 1+r.IntN(6), 3, 2).Minimal()
		asked := 0
		box := m.box(&asked)
		learned := Learn(m.Inputs, box, func(guess *Machine) Word {
			for w := range guess.Suite(len(m.States) - len(guess.States)) {
				if outputs, _ := guess.Run(w); !slices.Equal(outputs, box(w)) {
					return w
				}
			}
			return nil
		})
		if w := m.Differ(learned); w != nil {
			t.Fatalf("learned %v, want %v: they differ in %v", learned, m, m.Spell(w))
		}
	}
}

// TestSuite changes a machine in every small way, and then gives it a state more that
// behaves like another but for a thing or two: its suite notices.
func TestSuite(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 60 {
		m, _ := random(r, 7, 2, 2).Minimal()
		notices := func(extra int) func(mutant *Machine) {
			suite := slices.Collect(m.Suite(extra))
			return func(mutant *Machine) {
				seen := slices.ContainsFunc(suite, func(w Word) bool {
					a, _ := m.Run(w)
					b, _ := mutant.Run(w)
					return !slices.Equal(a, b)
				})
				if w := m.Differ(mutant); w != nil && !seen {
					t.Fatalf("%v and %v differ in %v, and nothing notices", m, mutant, w)
				}
			}
		}
		few, many := notices(0), notices(1)
		for from := range m.States {
			for input := range m.Inputs {
				for to := range m.States {
					mutant := m.clone()
					mutant.States[from][input].To = to
					few(mutant)
					mutant = m.clone()
					mutant.States = append(mutant.States, slices.Clone(m.States[m.States[from][input].To]))
					mutant.States[from][input].To = len(m.States)
					mutant.States[len(m.States)][r.IntN(len(m.Inputs))].To = to
					mutant.States[len(m.States)][r.IntN(len(m.Inputs))].To = r.IntN(len(m.States) + 1)
					many(mutant)
				}
			}
		}
	}
}

func (m *Machine) clone() *Machine {
	c := &Machine{Inputs: m.Inputs}
	for _, edges := range m.States {
		c.States = append(c.States, slices.Clone(edges))
	}
	return c
}

// TestMinimal compares machines that answer alike.
func TestMinimal(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 100 {
		m := random(r, 8, 2, 2)
		twice := &Machine{Inputs: m.Inputs} // each state there twice
		for s, edges := range slices.Concat(m.States, m.States) {
			edges = slices.Clone(edges)
			for i := range edges {
				edges[i].To += (s + i) % 2 * len(m.States)
			}
			twice.States = append(twice.States, edges)
		}
		a, of := m.Minimal()
		b, _ := twice.Minimal()
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("%v and %v", a, b)
		}
		for n, w := range a.Access() {
			if _, to := m.Run(w); m.Separate(of[n], to) != nil {
				t.Fatalf("state %d of %v stands for %d", n, m, of[n])
			}
		}
	}
}
