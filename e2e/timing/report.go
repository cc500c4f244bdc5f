package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
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
	fmt.Fprintf(&b, "%d cores of %s, %s, load average %s before; `go run ./timing -samples %d`.\n\n", runtime.NumCPU(), processor(), runtime.Version(), r.load, r.samples)
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

// The table stands between these in the document.
const (
	begin = "<!-- written by go run ./timing -update -->\n"
	end   = "<!-- end -->\n"
)

// replace writes the table into a document.
func (r report) replace(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table", path)
	}
	return os.WriteFile(path, []byte(before+begin+"\n"+r.String()+"\n"+end+after), 0o644)
}

// loadAverage is the machine's of the last minute: what others do there disturbs.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _, found := strings.Cut(string(text), " ")
	if !found {
		return "unknown"
	}
	return load
}

// processor is the name of this machine's, as Linux tells it.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
