package main

import (
	"cmp"
	"fmt"
	"strings"
)

const preface = `# Requirements

Written by ` + "`go run ./docs/requirements -update`" + ` from the documents beside that program and from comments in code and tests, which
go together as it says. Each row is a sentence of an RFC that demands something, or the part that does; the code that
answers it, and what would fail if it didn't. What is done otherwise by choice, what is said to others or of what godwit
doesn't have, and what no test can show, has its reason.

`

// table is docs/requirements.md.
func table(documents []document) string {
	var b strings.Builder
	b.WriteString(preface)
	b.WriteString("| | demands | tested | by choice otherwise | not applicable | untested |\n|---|---:|---:|---:|---:|---:|\n")
	kinds := map[string]string{}
	for _, d := range documents {
		for _, s := range d.statements {
			kinds[d.key(s)] = s.why.kind
		}
	}
	for _, d := range documents {
		d.count(&b, kinds)
	}
	for _, d := range documents {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| | requirement | code | test |\n|---|---|---|---|\n", d.name, d.title)
		for _, s := range d.statements {
			d.row(&b, s)
		}
	}
	return b.String()
}

// count writes the summary of a document. What is like another statement counts as that does.
func (d document) count(b *strings.Builder, kinds map[string]string) {
	n := map[string]int{}
	for _, s := range d.statements {
		n[kinds[cmp.Or(s.like, d.key(s))]]++
	}
	fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d |\n", d.name, len(d.statements), n[""], n[byChoice], n[notApplicable], n[untested])
}

// row writes one statement.
func (d document) row(b *strings.Builder, s statement) {
	fmt.Fprintf(b, "| %s [%d] | %s", s.section, s.number, s.quote)
	if s.why.kind != "" {
		fmt.Fprintf(b, "<br>**%s:** %s", s.why.kind, s.why.reason)
	}
	if s.like != "" {
		fmt.Fprintf(b, "<br>as %s", strings.TrimPrefix(s.like, d.name+" "))
	}
	var code, tests []string
	for _, a := range s.answers {
		if a.test() {
			tests = append(tests, a.place())
		} else {
			code = append(code, a.place())
		}
	}
	fmt.Fprintf(b, " | %s | %s |\n", strings.Join(code, "<br>"), strings.Join(tests, "<br>"))
}

// place is where an answer stands.
func (a answer) place() string {
	if a.name == "" {
		return a.file
	}
	return a.file + " `" + a.name + "`"
}
