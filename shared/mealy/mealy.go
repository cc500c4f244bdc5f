// Package mealy has Mealy machines: how to learn one from a black box (learn.go), and
// which words show that a box behaves as a machine says (suite.go). It is for tests.
//
// Packages below shared carry no compatibility promise of their own.
package mealy

import "slices"

// A Machine answers each input with an output, and goes on to another state. Inputs
// and states are counted from 0; a Machine begins in state 0 and has an edge for each
// input everywhere.
type Machine struct {
	Inputs []string
	States [][]Edge // by state and input
}

// An Edge is what an input does.
type Edge struct {
	Output string
	To     int
}

// A Word is a sequence of inputs.
type Word []int

// follow returns w, and n after it.
func (w Word) follow(n ...int) Word { return append(slices.Clone(w), n...) }

// Run returns the outputs that answer a word, and the state that it leads to.
func (m *Machine) Run(w Word) (outputs []string, to int) { return m.runFrom(0, w) }

func (m *Machine) runFrom(state int, w Word) (outputs []string, to int) {
	for _, input := range w {
		e := m.States[state][input]
		outputs, state = append(outputs, e.Output), e.To
	}
	return outputs, state
}

// Spell names the inputs of a word.
func (m *Machine) Spell(w Word) []string {
	var names []string
	for _, input := range w {
		names = append(names, m.Inputs[input])
	}
	return names
}

// Differ returns a shortest word that m and other answer differently, nil if there is
// none. They have the same inputs.
func (m *Machine) Differ(other *Machine) Word { return differ(m, 0, other, 0) }

// Separate is Differ for two states of m.
func (m *Machine) Separate(a, b int) Word { return differ(m, a, m, b) }

func differ(m *Machine, a int, other *Machine, b int) Word {
	type pair struct{ a, b int }
	type way struct {
		pair
		word Word
	}
	seen := map[pair]bool{{a, b}: true}
	for queue := []way{{pair: pair{a, b}}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for input := range m.Inputs {
			x, y := m.States[at.a][input], other.States[at.b][input]
			if x.Output != y.Output {
				return at.word.follow(input)
			}
			if next := (pair{x.To, y.To}); !seen[next] {
				seen[next] = true
				queue = append(queue, way{next, at.word.follow(input)})
			}
		}
	}
	return nil
}

// Access returns a shortest word to each state; nil for state 0, and for those that no
// word leads to.
func (m *Machine) Access() []Word {
	words, seen := make([]Word, len(m.States)), map[int]bool{0: true}
	for queue := []int{0}; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		for input, e := range m.States[from] {
			if !seen[e.To] {
				seen[e.To], words[e.To] = true, words[from].follow(input)
				queue = append(queue, e.To)
			}
		}
	}
	return words
}

// Minimal returns the machine with the fewest states that answers as m does. Its states
// are numbered as a search in breadth finds them, so that it is the same for all m that
// answer alike. of says which of m's states stands for each.
func (m *Machine) Minimal() (minimal *Machine, of []int) {
	minimal = &Machine{Inputs: m.Inputs}
	number := func(s int) int {
		for n, known := range of {
			if known == s || m.Separate(known, s) == nil {
				return n
			}
		}
		of = append(of, s)
		return len(of) - 1
	}
	number(0)
	for n := 0; n < len(of); n++ {
		edges := slices.Clone(m.States[of[n]])
		for i := range edges {
			edges[i].To = number(edges[i].To)
		}
		minimal.States = append(minimal.States, edges)
	}
	return minimal, of
}
