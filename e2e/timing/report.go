package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/godwit-dtls/godwit/e2e/machine"
	"github.com/godwit-dtls/godwit/e2e/page"
)

// A report is what came of all subjects.
type report struct {
	load    string // of the machine, before
	samples int
	rows    []row
}

type row struct {
	subject   subject
	n         int
	typical   float64 // nanoseconds
	means     finding
	variances finding
}

func (r *report) add(s subject, t times) {
	all := t.sorted()
	r.rows = append(r.rows, row{s, len(all), all[len(all)/2], t.means(), t.variances()})
}

// String is the table in Markdown, below what it was measured with.
func (r report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d cores of %s, %s, load average %s before; `go run ./timing -samples %d`.\n\n", runtime.NumCPU(), machine.Processor(), runtime.Version(), r.load, r.samples)
	b.WriteString("| | first class | second class | samples | ns | difference, ns | seen from, ns | t | t of variances |\n|---|---|---|---:|---:|---:|---:|---:|---:|\n")
	for _, w := range r.rows {
		fmt.Fprintf(&b, "| %s | %d | %.0f | %.1f | %.1f | %s | %s |\n", w.subject.row(),
			w.n, w.typical, w.means.difference, w.means.least, w.means, w.variances)
	}
	return b.String()
}

// String is the t, in bold if the times differ.
func (f finding) String() string {
	if f.differs() {
		return fmt.Sprintf("**%.1f**", f.t)
	}
	return fmt.Sprintf("%.1f", f.t)
}

var section = page.Section{Name: "table", Command: "(cd e2e && go run ./timing -update ../docs/timing.md)"}

// update puts the table into a file, where the old one stands.
func (r report) update(file string) error { return section.Replace(file, r.String()) }
