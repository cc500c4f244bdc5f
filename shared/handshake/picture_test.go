package handshake

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/graph anew")

const (
	pictureDir = "../../docs/graph"
	generated  = "Generated from shared/handshake/graph.go by `go generate ./shared/handshake`."
)

// TestPictures compares docs/graph with the graph. With -update it writes it.
func TestPictures(t *testing.T) {
	x, err := explore(worlds)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"handshakes.txt": handshakes(x)}
	for _, v := range views {
		files[v.file+".dot"] = v.dot(x)
		files[v.file+".md"] = v.mermaid(x)
	}
	if *update {
		if err := os.MkdirAll(pictureDir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range files {
		path := filepath.Join(pictureDir, name)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is stale: go generate ./shared/handshake, and review what changed", path)
		}
	}
	found, err := filepath.Glob(filepath.Join(pictureDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if _, ok := files[filepath.Base(path)]; !ok {
			t.Errorf("%s is of no graph", path)
		}
	}
}

// A view is the graph as one role sees it in one version, or all of it.
type view struct {
	file, title string
	role        Role
	versions    []int // indices of use.in
}

var views = []view{
	{"whole", "The handshake of DTLS and TLS, 1.2 and 1.3", Nobody, []int{0, 1}},
	{"client-1.2", "A client of DTLS or TLS 1.2", Client, []int{0}},
	{"server-1.2", "A server of DTLS or TLS 1.2", Server, []int{0}},
	{"client-1.3", "A client of DTLS or TLS 1.3", Client, []int{1}},
	{"server-1.3", "A server of DTLS or TLS 1.3", Server, []int{1}},
}

// edges are those that a handshake of the view's versions takes.
func (v view) edges(x *exploration) []Edge {
	return slices.DeleteFunc(slices.Clone(Graph), func(e Edge) bool {
		in := x.used[routeOf(e)].in
		return !slices.ContainsFunc(v.versions, func(version int) bool { return in[version] })
	})
}

// steps are those that the edges join, in the order of the Step constants.
func (v view) steps(edges []Edge) []Step {
	seen := map[Step]bool{}
	for _, e := range edges {
		seen[e.From], seen[e.To] = true, true
	}
	return slices.Sorted(maps.Keys(seen))
}

// label names a step as the view's role sees it.
func (v view) label(s Step) string {
	switch s.Writer() {
	case Nobody:
		return s.String()
	case v.role:
		return "write " + s.String()
	case v.role.Peer():
		return "read " + s.String()
	}
	return s.String()
}

// guard says when an edge is taken; the version is left out where the view has
// only one.
func (v view) guard(e Edge) string {
	ifs, not := e.If, e.Not
	if len(v.versions) == 1 {
		ifs, not = ifs&^V13, not&^V13
	}
	var words []string
	for f := Facts(1); f < 1<<numFacts; f <<= 1 {
		switch {
		case ifs&f != 0:
			words = append(words, f.String())
		case not&f != 0:
			words = append(words, "not "+f.String())
		}
	}
	return strings.Join(words, ", ")
}

// The colours of steps, by writer.
var colours = [...]string{Nobody: "#eeeeee", Client: "#cfe2f3", Server: "#fce5cd"}

func (v view) dot(x *exploration) string {
	var b strings.Builder
	edges := v.edges(x)
	fmt.Fprintf(&b, "// %s\ndigraph handshake {\n", generated)
	fmt.Fprintf(&b, "\tlabel=%q; labelloc=t; fontname=sans;\n", v.title+" (client blue, server orange)")
	b.WriteString("\tnode [shape=box style=\"rounded,filled\" fontname=sans];\n\tedge [fontname=sans fontsize=10];\n")
	for _, s := range v.steps(edges) {
		fmt.Fprintf(&b, "\t%v [label=%q fillcolor=%q];\n", s, v.label(s), colours[s.Writer()])
	}
	for _, e := range edges {
		fmt.Fprintf(&b, "\t%v -> %v [label=%q tooltip=%q];\n", e.From, e.To, v.guard(e), e.Ref)
	}
	b.WriteString("}\n")
	return b.String()
}

func (v view) mermaid(x *exploration) string {
	var b strings.Builder
	edges := v.edges(x)
	fmt.Fprintf(&b, "# %s\n\n%s\nThe client's steps are blue, the server's orange.\n\n```mermaid\nflowchart TD\n", v.title, generated)
	for r, colour := range colours {
		fmt.Fprintf(&b, "    classDef %v fill:%s,stroke:#666666,color:#000000\n", Role(r), colour)
	}
	for _, s := range v.steps(edges) {
		fmt.Fprintf(&b, "    %v[%q]:::%v\n", s, v.label(s), s.Writer())
	}
	for _, e := range edges {
		arrow := "-->"
		if guard := v.guard(e); guard != "" {
			arrow += fmt.Sprintf("|%q|", guard)
		}
		fmt.Fprintf(&b, "    %v %s %v\n", e.From, arrow, e.To)
	}
	b.WriteString("```\n")
	return b.String()
}

// handshakes lists every distinct handshake, by protocol, after the facts that
// lead to it.
func handshakes(x *exploration) string {
	var b strings.Builder
	b.WriteString(generated + `

Every handshake, one on a line: the facts that lead to it, then its steps, the
client's after > and the server's after <. A fact with a question mark makes no
difference to the steps. At most three HelloVerifyRequests are listed.
`)
	for _, protocol := range []struct {
		name  string
		facts Facts
	}{{"DTLS 1.3", V13 | Datagram}, {"DTLS 1.2", Datagram}, {"TLS 1.3", V13}, {"TLS 1.2", 0}} {
		leads := map[string]struct{ all, any Facts }{}
		for _, e := range x.ends {
			f := e.world.facts
			if f&(V13|Datagram) != protocol.facts {
				continue
			}
			steps := flights(e.path)
			l, seen := leads[steps]
			if !seen {
				l.all = f
			}
			l.all, l.any = l.all&f, l.any|f
			leads[steps] = l
		}
		var lines []string
		for steps, l := range leads {
			lines = append(lines, fmt.Sprintf("%s: %s\n", summary(l.all&^protocol.facts, l.any&^l.all), steps))
		}
		slices.Sort(lines)
		fmt.Fprintf(&b, "\n%s: %d handshakes\n\n%s", protocol.name, len(lines), strings.Join(lines, ""))
	}
	b.WriteString("\nAfter the handshake, whenever one is due\n\n")
	for _, e := range after[Open] {
		fmt.Fprintf(&b, "%v: %s\n", e.If&^Due, flights([]Step{e.To}))
	}
	return b.String()
}

func summary(certain, maybe Facts) string {
	var words []string
	for f := Facts(1); f < 1<<numFacts; f <<= 1 {
		switch {
		case certain&f != 0:
			words = append(words, f.String())
		case maybe&f != 0:
			words = append(words, f.String()+"?")
		}
	}
	if words == nil {
		return "none"
	}
	return strings.Join(words, " ")
}

// flights writes steps as "> ClientHello < ServerHello ServerHelloDone > ...".
func flights(steps []Step) string {
	var words []string
	writer := Nobody
	for _, s := range steps {
		if s.Writer() != writer {
			writer = s.Writer()
			words = append(words, [...]string{"", ">", "<"}[writer])
		}
		words = append(words, s.String())
	}
	return strings.Join(words, " ")
}
