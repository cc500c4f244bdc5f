package model

import (
	"fmt"
	"testing"

	"github.com/godwit-dtls/godwit/shared/mealy"
)

func TestTry(t *testing.T) {
	for _, m := range modes {
		t.Run(m.String(), func(t *testing.T) {
			alphabet := m.alphabet()
			asked := 0
			box := m.box()
			learned := mealy.Learn(names(alphabet), func(w mealy.Word) []string { asked++; return box(w) }, func(*mealy.Machine) mealy.Word { return nil })
			learned, _ = learned.Minimal()
			t.Logf("%d states, %d inputs, %d words", len(learned.States), len(alphabet), asked)
			for s, edges := range learned.States {
				other := map[string]string{}
				for i, e := range edges {
					key := fmt.Sprint(e.Output, " -> ", e.To)
					other[key] += alphabet[i].name + ", "
				}
				for k, v := range other {
					t.Logf("%d: %s: %s", s, v, k)
				}
			}
		})
	}
}
