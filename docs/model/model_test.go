package model

import (
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/mealy"
)

func TestModels(t *testing.T) {
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			predicted, _ := m.predict()
			predicted, _ = predicted.Minimal()
			box := m.box()
			asked := 0
			learned := mealy.Learn(predicted.Inputs, func(w mealy.Word) []string { asked++; return box(w) }, func(guess *mealy.Machine) mealy.Word {
				w := guess.Differ(predicted)
				if w == nil {
					return nil
				}
				asked++
				got, _ := guess.Run(w)
				if is := box(w); !slices.Equal(is, got) {
					return w
				}
				want, _ := predicted.Run(w)
				t.Fatalf("%q is answered by\n%q, want\n%q", guess.Spell(w), got, want)
				return nil
			})
			t.Logf("%d states (predicted %d), %d inputs, %d words", len(learned.States), len(predicted.States), len(predicted.Inputs), asked)
		})
	}
}
