package mealy

import (
	"iter"
	"slices"
)

// Suite yields words that tell m from every machine of up to extra states more that does
// not answer as it does: any such machine answers one of them differently (the partial
// W-method: Fujiwara et al., Test Selection Based on Finite State Models, 1991). m has no
// two states that answer alike.
//
// Each state is reached, from there every word of up to extra inputs is tried, and then
// whatever tells any states apart; and every word of one input more, and then what tells the
// state that should be reached from all others.
func (m *Machine) Suite(extra int) iter.Seq[Word] {
	return func(yield func(Word) bool) {
		telling := m.telling()
		var all []Word
		for _, some := range telling {
			for _, w := range some {
				if !slices.ContainsFunc(all, func(known Word) bool { return slices.Equal(known, w) }) {
					all = append(all, w)
				}
			}
		}
		for _, access := range m.Access() {
			for middle := range words(len(m.Inputs), extra+1) {
				w, tell := access.follow(middle...), all
				if len(middle) > extra {
					_, to := m.Run(w)
					tell = telling[to]
				}
				for _, t := range tell {
					if !yield(w.follow(t...)) {
						return
					}
				}
			}
		}
	}
}

// telling are, for each state, words that tell it from all others.
func (m *Machine) telling() [][]Word {
	telling := make([][]Word, len(m.States))
	for a := range m.States {
		for b := range m.States {
			if a != b && !m.tells(telling[a], a, b) {
				telling[a] = append(telling[a], m.Separate(a, b))
			}
		}
	}
	if len(m.States) == 1 {
		telling[0] = []Word{nil} // there are no others
	}
	return telling
}

// tells reports whether one of these words is answered differently from a and from b.
func (m *Machine) tells(words []Word, a, b int) bool {
	return slices.ContainsFunc(words, func(w Word) bool {
		fromA, _ := m.runFrom(a, w)
		fromB, _ := m.runFrom(b, w)
		return !slices.Equal(fromA, fromB)
	})
}

// words yields all words of up to most inputs, the empty one first.
func words(inputs, most int) iter.Seq[Word] {
	return func(yield func(Word) bool) {
		var grow func(w Word, most int) bool
		grow = func(w Word, most int) bool {
			if !yield(w) {
				return false
			}
			for input := range inputs {
				if most > 0 && !grow(w.follow(input), most-1) {
					return false
				}
			}
			return true
		}
		grow(nil, most)
	}
}
