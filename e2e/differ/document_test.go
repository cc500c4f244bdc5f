package differ

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/e2e/page"
)

var update = flag.Bool("update", false, "write the explanations into docs/differential.md")

const document = "../../docs/differential.md"

var section = page.Section{Name: "explanations", Command: "(cd e2e && go test ./differ -run Document -update)"}

// The document has all explanations.
func TestDocument(t *testing.T) {
	if *update {
		if err := section.Replace(document, tables()); err != nil {
			t.Fatal(err)
		}
	}
	if text := must(section.Read(document))(t); text != "\n"+tables()+"\n" {
		t.Errorf("%s is stale: go test ./differ -run Document -update", document)
	}
}

func tables() string {
	var b strings.Builder
	for i, k := range kinds {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "### %s%s\n\n| what | who is right |\n|---|---|\n", strings.ToUpper(string(k[:1])), k[1:])
		for _, e := range explanations {
			if e.kind == k {
				fmt.Fprintf(&b, "| %s | %s |\n", e.why, e.right)
			}
		}
	}
	return b.String()
}
