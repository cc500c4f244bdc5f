package handshake

import (
	"fmt"
	"slices"
	"testing"
)

// TestMutants breaks the graph and what stands beside it in every small way,
// and asks whether explore notices. A guard whose loss nothing notices does
// not belong into the graph.
func TestMutants(t *testing.T) {
	sound, err := explore(worlds)
	if err != nil {
		t.Fatal(err)
	}
	// Worlds that use an edge in a new way find most faults: they go first.
	var order []world
	for _, e := range sound.ends {
		if e.news {
			order = append(order, e.world)
		}
	}
	t.Logf("%d of %d worlds use each edge in each way", len(order), len(worlds))
	order = append(order, worlds...)
	caught, turn := map[string]int{}, 0
	try := func(kind string, what ...any) {
		if turn++; turn%stride(7) != 0 {
			return
		}
		if _, err := explore(order); err == nil {
			t.Errorf("nothing notices that %s %s", fmt.Sprint(what...), kind)
		}
		caught[kind]++
	}
	edges := func(kind string, mutant []Edge, what ...any) {
		defer func(whole [numSteps][]Edge) { after = whole }(after)
		after = indexEdges(mutant)
		try(kind, what...)
	}
	// changed is Graph with another edge in the place of its ith.
	changed := func(i int, e Edge) []Edge {
		mutant := slices.Clone(Graph)
		mutant[i] = e
		return mutant
	}

	for i, e := range Graph {
		name := fmt.Sprintf("%v -> %v (%v, not %v)", e.From, e.To, e.If, e.Not)
		edges("is dropped", slices.Delete(slices.Clone(Graph), i, i+1), name)
		for s := range numSteps {
			if m := e; s != e.To {
				m.To = s
				edges("is redirected", changed(i, m), name, " to ", s)
			}
			if m := e; s != e.From {
				m.From = s
				edges("starts elsewhere", changed(i, m), name, " from ", s)
			}
		}
		use := sound.used[routeOf(e)]
		for f := Facts(1); f < 1<<numFacts; f <<= 1 {
			m, n := e, e
			m.If &^= f
			n.Not &^= f
			switch {
			case e.If&f != 0:
				edges("loses a guard", changed(i, m), name, " if ", f)
				m.Not |= f
				edges("has a guard inverted", changed(i, m), name, " if ", f)
			case e.Not&f != 0:
				edges("loses a guard", changed(i, n), name, " if not ", f)
				n.If |= f
				edges("has a guard inverted", changed(i, n), name, " if not ", f)
			default:
				// A guard that always holds is no fault, only superfluous.
				if m.If |= f; use.yes&f == 0 {
					edges("has one guard more", changed(i, m), name, " if ", f)
				}
				if n.Not |= f; use.no&f == 0 {
					edges("has one guard more", changed(i, n), name, " if not ", f)
				}
			}
		}
	}
	for from := range numSteps {
		for to := range numSteps {
			if !slices.ContainsFunc(Graph, func(e Edge) bool { return e.From == from && e.To == to }) {
				edges("is added", append(slices.Clone(Graph), Edge{From: from, To: to}), from, " -> ", to)
			}
		}
	}

	for i := range needs {
		whole := needs[i]
		for f := Facts(1); f < 1<<numFacts; f <<= 1 {
			if needs[i].If &^= f; needs[i] != whole {
				try("is not needed", f, " by ", whole.Fact)
			}
			needs[i] = whole
			if needs[i].Not &^= f; needs[i] != whole {
				try("does no harm", f, " to ", whole.Fact)
			}
			needs[i] = whole
		}
	}
	for s := range numSteps {
		whole := steps[s]
		for f := Facts(1); f < 1<<numFacts; f <<= 1 {
			if steps[s].Says &^= f; steps[s] != whole {
				try("goes unsaid", f, " in ", s)
			}
			steps[s] = whole
			if steps[s].Decides &^= f; steps[s] != whole {
				try("goes undecided", f, " at ", s)
			}
			steps[s] = whole
			if steps[s].Reopens &^= f; steps[s] != whole {
				try("stays closed", f, " at ", s)
			}
			steps[s] = whole
		}
	}
	t.Log(caught)
}

// TestArrivalTeaches: each fact of byArrival has to be there, and none of them
// decides who is authenticated.
func TestArrivalTeaches(t *testing.T) {
	if byArrival&(Resumed|ServerCert|ClientCert|Ticket|EarlyData) != 0 {
		t.Errorf("mere arrivals teach %v", byArrival)
	}
	var taught Facts
	x, err := explore(worlds)
	if err != nil {
		t.Fatal(err)
	}
	for a := range x.lawful {
		e, _ := a.place.Read(a.step)
		taught |= (e.If | e.Not) &^ a.place.Known
	}
	if taught != byArrival {
		t.Errorf("arrivals teach %v, byArrival is %v", taught, byArrival)
	}
}
