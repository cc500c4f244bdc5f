package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/godwit-dtls/godwit/e2e/page"
)

// markdown is the table, empty if nothing of it was measured.
func (t table) markdown(r results) string {
	if len(t.pairings)*len(t.faults) == 0 {
		return ""
	}
	var b strings.Builder
	head, line := []string{"client", "server"}, []string{"---", "---"}
	for _, f := range t.faults {
		head, line = append(head, f.name), append(line, "---:")
	}
	for _, cells := range [][]string{head, line} {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	for _, p := range t.pairings {
		cells := []string{p.client, p.server}
		for _, f := range t.faults {
			cells = append(cells, r[place{t.name, p.name(), f.name}].markdown())
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String()
}

// markdown is how many succeeded, if not all did, and how long half of the runs took
// and nine of ten.
func (c cell) markdown() string {
	if len(c) == 0 {
		return ""
	}
	times := seconds(c.quantile(50)) + " / " + seconds(c.quantile(90))
	switch done := c.done() * 100 / c.runs(); done {
	case 100:
		return times
	case 0:
		return "**0 %**"
	default:
		return fmt.Sprintf("**%d %%** %s", done, times)
	}
}

// check says which goals are missed.
func (t table) check(r results) error {
	var missed []error
	for _, g := range t.goals {
		if c := r[place{t.name, g.pairing, g.fault}]; len(c) > 0 {
			missed = append(missed, g.check(c, r[place{t.name, g.rival, g.fault}]))
		}
	}
	return errors.Join(missed...)
}

// section is where the table stands in the document.
func (t table) section() page.Section {
	return page.Section{Name: t.name, Command: "(cd e2e && go run ./faults -update ../docs/faults.md)"}
}

// update puts the table into a file, where the old one stands.
func (t table) update(file string, r results) error { return t.section().Replace(file, t.markdown(r)) }
