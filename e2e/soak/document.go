package main

import (
	"fmt"
	"os"
	"strings"
)

const (
	beginTable = "<!-- table: written by (cd e2e && go run ./soak -for 10m -update ../docs/soak.md) -->\n"
	endTable   = "<!-- end of table -->\n"
)

// update puts the table into a file, where the old one stands.
func (r report) update(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), beginTable)
	_, after, ended := strings.Cut(rest, endTable)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table, which begins with %q", file, beginTable)
	}
	return os.WriteFile(file, []byte(before+beginTable+"\n"+r.table()+"\n"+endTable+after), 0o644)
}
