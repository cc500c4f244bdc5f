// Package model learns which machine each Engine is, as one sees it who can only talk to
// it, and compares that with the machine that follows from the graph of the handshake.
// README.md says how; the pictures beside it show the machines.
package model

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/mealy"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// full asks for all that takes minutes.
var full = os.Getenv("GODWIT_FULL") == "1"

// quick are those that are learned each time: of every protocol, and in a second.
var quick = []mode{
	{protocol.VersionDTLS13, handshake.Server, mutual},
	{protocol.VersionDTLS12, handshake.Server, resumed},
	{protocol.VersionTLS13, handshake.Client, sharedKey},
	{protocol.VersionTLS13, handshake.Server, mutual},
	{protocol.VersionTLS12, handshake.Client, sharedKey},
}

// TestLearned learns every mode's Engine. What it learns is the machine that the graph
// predicts, and opens to nobody who has not authenticated.
func TestLearned(t *testing.T) {
	for _, m := range modes {
		if !full && !slices.Contains(quick, m) {
			continue
		}
		agrees := t.Run(m.String(), func(t *testing.T) {
			predicted, _ := m.predict()
			if fault := m.opensTooEarly(learn(t, predicted, m.box())); fault != "" {
				t.Error(fault)
			}
		})
		if !agrees {
			break // one is enough to look at
		}
	}
}

// learn learns what a box is, and fails where that is not what was predicted.
func learn(t *testing.T, predicted *mealy.Machine, box mealy.Box) *mealy.Machine {
	t.Helper()
	asked := 0
	ask := func(w mealy.Word) []string { asked++; return box(w) }
	learned := mealy.Learn(predicted.Inputs, ask, func(guess *mealy.Machine) mealy.Word {
		w := guess.Differ(predicted)
		if w == nil {
			return nil
		}
		guessed, _ := guess.Run(w)
		answer := ask(w)
		if slices.Equal(guessed, answer) { // so it is the prediction that is wrong
			want, _ := predicted.Run(w)
			t.Fatalf("%q is answered by\n%q, want\n%q", guess.Spell(w), answer, want)
		}
		return w
	})
	t.Logf("%d states, %d inputs, %d words", len(learned.States), len(learned.Inputs), asked)
	return learned
}

// TestConforms asks every mode's Engine words that its machine must answer as it does: in
// full those of the partial W-method, by which any Engine that differs and has no more
// than one state more would be found out, and long walks beyond that.
func TestConforms(t *testing.T) {
	extra, stride, walks := 0, 53, 1
	if full {
		extra, stride, walks = 1, 1, 1000
	}
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			predicted, _ := m.predict()
			predicted, _ = predicted.Minimal()
			box, asked := m.box(), 0
			expect := func(w mealy.Word) {
				asked++
				answer := box(w)
				if want, _ := predicted.Run(w); !slices.Equal(answer, want) {
					t.Fatalf("%q is answered by\n%q, want\n%q", predicted.Spell(w), answer, want)
				}
			}
			n := 0
			for w := range predicted.Suite(extra) {
				if n++; n%stride == 0 {
					expect(w)
				}
			}
			random := rand.New(rand.NewPCG(1, 2))
			for range walks {
				expect(walk(predicted, random))
			}
			t.Logf("%d states, %d inputs, %d words", len(predicted.States), len(predicted.Inputs), asked)
		})
	}
}

// walk is a long word that seldom ends the Engine.
func walk(m *mealy.Machine, random *rand.Rand) (w mealy.Word) {
	const length, end = 40, 20
	state := 0
	for len(w) < length {
		input := random.IntN(len(m.Inputs))
		e := m.States[state][input]
		if endsAll(m, e.To) && random.IntN(end) > 0 {
			continue
		}
		w, state = append(w, input), e.To
	}
	return w
}

// endsAll reports whether nothing is answered any more from a state on.
func endsAll(m *mealy.Machine, state int) bool {
	return !slices.ContainsFunc(m.States[state], func(e mealy.Edge) bool { return e.To != state || e.Output != silence })
}
