package differ

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the explanations into docs/differential.md")

const (
	document = "../../docs/differential.md"
	begin    = "<!-- written by (cd e2e && go test ./differ -run Document -update) -->\n"
	end      = "<!-- end -->\n"
)

// The document has all explanations.
func TestDocument(t *testing.T) {
	text := string(must(os.ReadFile(document))(t))
	before, rest, found := strings.Cut(text, begin)
	_, after, ends := strings.Cut(rest, end)
	if !found || !ends {
		t.Fatal("no place for them in", document)
	}
	want := before + begin + tables() + end + after
	switch {
	case text == want:
	case *update:
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is stale: go test ./differ -run Document -update", document)
	}
}

func tables() string {
	var b strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&b, "\n### %s%s\n\n| what | who is right |\n|---|---|\n", strings.ToUpper(string(k[:1])), k[1:])
		for _, e := range explanations {
			if e.kind == k {
				fmt.Fprintf(&b, "| %s | %s |\n", e.why, e.right)
			}
		}
	}
	b.WriteString("\n")
	return b.String()
}
