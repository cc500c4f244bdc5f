package differ

import "slices"

// A mutation is what may become of one part of a message. It reports whether there was
// something to do.
type mutation struct {
	name   string
	mutate func(p place) bool
}

var mutations = []mutation{
	{"left out", func(p place) bool {
		p.parent.parts = slices.Delete(p.parent.parts, p.index, p.index+1)
		return true
	}},
	{"doubled", func(p place) bool {
		p.parent.parts = slices.Insert(p.parent.parts, p.index, p.node().clone())
		return true
	}},
	{"swapped with the next", func(p place) bool {
		if p.index+1 == len(p.parent.parts) {
			return false
		}
		s := p.parent.parts
		s[p.index], s[p.index+1] = s[p.index+1], s[p.index]
		return true
	}},
	{"behind one that nobody knows", func(p place) bool {
		unknown := p.node().clone()
		first := unknown.firstLeaf()
		if len(first.leaf) == 0 {
			return false
		}
		for i := range first.leaf {
			first.leaf[i] = 0x7a
		}
		p.parent.parts = slices.Insert(p.parent.parts, p.index, unknown)
		return true
	}},
	{"zero", leaf(func(b []byte) []byte { clear(b); return b })},
	{"ones", leaf(func(b []byte) []byte {
		for i := range b {
			b[i] = 0xff
		}
		return b
	})},
	{"with another last bit", leaf(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
	{"with another first bit", leaf(func(b []byte) []byte { b[0] ^= 0x80; return b })},
	{"shorter", leaf(func(b []byte) []byte { return b[:len(b)-1] })},
	{"longer", func(p place) bool {
		n := p.node()
		if n.parts != nil {
			n.parts = append(n.parts, &node{name: "surplus", leaf: []byte{0}})
		} else {
			n.leaf = append(slices.Clone(n.leaf), 0)
		}
		return true
	}},
	{"empty", func(p place) bool {
		n := p.node()
		full := len(n.leaf)+len(n.parts) > 0
		n.leaf, n.parts = nil, nil
		return full
	}},
	{"with a length that is one too small", lie(func(length, most int) int { return -min(1, length) })},
	{"with a length that is one too large", lie(func(length, most int) int { return min(1, most-length) })},
	{"with the largest length", lie(func(length, most int) int { return most - length })},
}

// leaf is a mutation of bytes that are no vector of others.
func leaf(change func(b []byte) []byte) func(p place) bool {
	return func(p place) bool {
		n := p.node()
		if len(n.leaf) == 0 {
			return false
		}
		before := n.leaf
		n.leaf = change(slices.Clone(before))
		return !slices.Equal(before, n.leaf)
	}
}

// lie is a mutation of the length in front of a vector.
func lie(by func(length, most int) int) func(p place) bool {
	return func(p place) bool {
		n := p.node()
		if n.prefix == 0 {
			return false
		}
		n.lie = by(len(n.append(nil))-n.prefix, 1<<(8*n.prefix)-1)
		return n.lie != 0
	}
}

func (n *node) clone() *node {
	c := *n
	c.leaf = slices.Clone(n.leaf)
	c.parts = nil
	for _, part := range n.parts {
		c.parts = append(c.parts, part.clone())
	}
	return &c
}

func (n *node) firstLeaf() *node {
	for len(n.parts) > 0 {
		n = n.parts[0]
	}
	return n
}

// An edit is one mutation of one part of a message, by their numbers.
type edit struct{ place, mutation int }

// carryOut makes one edit after the other, as far as there is something to do, and says
// what it did. A place is one of those that there still are.
func carryOut(edits []edit, whole *node) (changes []string) {
	for _, e := range edits {
		places := whole.places()
		if len(places) == 0 {
			return changes
		}
		p, m := places[e.place%len(places)], mutations[e.mutation%len(mutations)]
		if path := p.path; m.mutate(p) {
			changes = append(changes, path+" "+m.name)
		}
	}
	return changes
}
