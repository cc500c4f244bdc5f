package mealy

import "slices"

// A Box answers a word from its beginning: with as many outputs, the same ones each time.
type Box func(Word) []string

// Learn finds the smallest Machine that answers as a box does, as far as differ can tell:
// it returns a word that the box answers differently than the Machine that it is given,
// or nil.
//
// This is L# (Vaandrager, Garhewal, Rot, Wissmann: A New Approach for Active Automata
// Learning Based on Apartness, 2022). All answers are kept in a tree. Two of its nodes
// are apart if some word from them was answered differently: they are two states. The
// basis are nodes that are apart from each other, the frontier their children; each of
// these is apart from all of the basis, and then joins it, or from all but one, and then
// is that one.
func Learn(inputs []string, box Box, differ func(*Machine) Word) *Machine {
	l := &learner{box: box, inputs: inputs, root: newNode(nil, nil, len(inputs))}
	l.basis = []*node{l.root}
	for {
		m := l.conjecture()
		word := l.contradicted(m)
		if word == nil {
			word = differ(m)
		}
		if word == nil {
			return m
		}
		l.refute(m, word)
	}
}

type learner struct {
	box    Box
	inputs []string
	root   *node
	basis  []*node
}

// A node is where a word leads to in the tree.
type node struct {
	word     Word
	parent   *node
	children []*node  // by input, nil if it wasn't asked
	outputs  []string // on the way to each
}

func newNode(w Word, parent *node, inputs int) *node {
	return &node{w, parent, make([]*node, inputs), make([]string, inputs)}
}

// ask asks the box a word, unless the tree has the answer, and returns where it leads to.
func (l *learner) ask(w Word) *node {
	var answer []string
	n := l.root
	for i, input := range w {
		if n.children[input] == nil {
			if answer == nil {
				answer = l.box(w)
			}
			n.children[input], n.outputs[input] = newNode(slices.Clone(w[:i+1]), n, len(l.inputs)), answer[i]
		}
		n = n.children[input]
	}
	return n
}

// apart returns a word that was answered differently after a and after b, or nil.
func apart(a, b *node) Word {
	for input, child := range a.children {
		other := b.children[input]
		if child == nil || other == nil {
			continue
		}
		if a.outputs[input] != b.outputs[input] {
			return Word{input}
		}
		if w := apart(child, other); w != nil {
			return append(Word{input}, w...)
		}
	}
	return nil
}

// candidates are the states that a node may be, by their numbers in the basis.
func (l *learner) candidates(n *node) (states []int) {
	for i, state := range l.basis {
		if state == n || apart(state, n) == nil {
			states = append(states, i)
		}
	}
	return states
}

// conjecture asks until each child of the basis can be one state only.
func (l *learner) conjecture() *Machine {
	for {
		m, size := &Machine{Inputs: l.inputs}, len(l.basis)
		for at := 0; at < len(l.basis); at++ {
			state, edges := l.basis[at], make([]Edge, len(l.inputs))
			for input := range l.inputs {
				child := l.ask(state.word.follow(input))
				edges[input] = Edge{state.outputs[input], l.identify(child)}
			}
			m.States = append(m.States, edges)
		}
		if len(l.basis) == size {
			return m
		}
	}
}

// identify asks until a node can be one state only, and returns that.
func (l *learner) identify(n *node) int {
	for {
		may := l.candidates(n)
		switch len(may) {
		case 0:
			l.basis = append(l.basis, n)
			return len(l.basis) - 1
		case 1:
			return may[0]
		}
		l.ask(n.word.follow(apart(l.basis[may[0]], l.basis[may[1]])...))
	}
}

// contradicted returns a word that is in the tree and is answered differently by m.
func (l *learner) contradicted(m *Machine) Word { return contradicts(m, 0, l.root) }

func contradicts(m *Machine, at int, n *node) Word {
	for input, child := range n.children {
		if child == nil {
			continue
		}
		e := m.States[at][input]
		if e.Output != n.outputs[input] {
			return child.word
		}
		if w := contradicts(m, e.To, child); w != nil {
			return w
		}
	}
	return nil
}

// refute asks until a node of the frontier is known not to be the state that m takes it
// for, because m answers a word wrongly: somewhere on its way m goes to a wrong state.
func (l *learner) refute(m *Machine, word Word) {
	l.ask(word)
	n := l.root
	for _, input := range word {
		if l.wrong(m, n) != nil {
			break
		}
		n = n.children[input]
	}
	for witness := l.wrong(m, n); !l.borders(n); witness = l.wrong(m, n) {
		border := n
		for !l.borders(border) {
			border = border.parent
		}
		half := (len(border.word) + len(n.word)) / 2
		first, second := n.word[:half], n.word[half:]
		_, state := m.Run(first)
		other := l.basis[state].word.follow(second...) // m says that it leads to the same state
		l.ask(other.follow(witness...))
		if n = l.ask(other); l.wrong(m, n) == nil {
			n = l.ask(first)
		}
	}
}

// wrong returns what shows that n is not the state that m takes it for, or nil.
func (l *learner) wrong(m *Machine, n *node) Word {
	_, state := m.Run(n.word)
	return apart(l.basis[state], n)
}

// borders reports whether n is part of the basis or of the frontier.
func (l *learner) borders(n *node) bool {
	return n.parent == nil || slices.Contains(l.basis, n) || slices.Contains(l.basis, n.parent)
}
