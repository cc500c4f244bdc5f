package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godwit-dtls/godwit/e2e/page"
)

// A row is what came of the runs of one scenario.
type row struct {
	scenario scenario
	runs, ok int
	browser  string    // as it calls itself
	times    []float64 // ms from the start of DTLS to its end, of each run that opened a channel
}

func (r *row) add(got result, err error) {
	r.runs++
	r.browser = got.Browser
	if err == nil {
		r.ok++
	}
	if got.Opened {
		r.times = append(r.times, got.Milliseconds)
	}
}

// quantile is the time that a share of the runs doesn't exceed; there must be some.
func (r *row) quantile(share float64) float64 {
	sorted := slices.Sorted(slices.Values(r.times))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func (r *row) String() string {
	line := fmt.Sprintf("%v: %d of %d", r.scenario, r.ok, r.runs)
	if len(r.times) > 0 {
		line += fmt.Sprintf(", median %.1f ms, slowest %.1f ms", r.quantile(0.5), r.quantile(1))
	}
	return line
}

// cells are a line of the table.
func (r *row) cells() string {
	c := r.scenario
	line := fmt.Sprintf("| %s | %s | %s | %s | %d of %d |", c.role, c.version, c.group, c.what(), r.ok, r.runs)
	if len(r.times) == 0 {
		return line + " | | |\n"
	}
	return line + fmt.Sprintf(" %.1f | %.1f | %.1f |\n", r.quantile(0.5), r.quantile(0.9), r.quantile(1))
}

// what is the scenario apart from role, version and group.
func (c scenario) what() string {
	switch {
	case c.loss > 0:
		return fmt.Sprintf("%s, %d %% lost", c.media, c.loss)
	case c.wrong != nothing:
		return wrongs[c.wrong]
	}
	return string(c.media)
}

// A table is one of Markdown.
type table []*row

// failed is how many runs came out wrong.
func (t table) failed() int {
	n := 0
	for _, r := range t {
		n += r.runs - r.ok
	}
	return n
}

var section = page.Section{Name: "runs", Command: "go run ./browser -all -update"}

func (t table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "The browser was `%s`.\n\n", t[0].browser)
	b.WriteString("| godwit is | DTLS | group | what | as it must | median, ms | 90 %, ms | slowest, ms |\n")
	b.WriteString("|---|---|---|---|---:|---:|---:|---:|\n")
	for _, r := range t {
		b.WriteString(r.cells())
	}
	return b.String()
}

// update replaces the table in a file.
func (t table) update(file string) error { return section.Replace(file, t.String()) }
