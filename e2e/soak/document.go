package main

import "github.com/godwit-dtls/godwit/e2e/page"

var section = page.Section{Name: "table", Command: "(cd e2e && go run ./soak -for 1h -update ../docs/soak.md)"}

// update puts the table into a file, where the old one stands.
func (r report) update(file string) error { return section.Replace(file, r.table()) }
