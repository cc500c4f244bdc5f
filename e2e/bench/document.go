package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/godwit-dtls/godwit/e2e/machine"
	"github.com/godwit-dtls/godwit/e2e/page"
)

// A document is what the results look like on paper.
type document struct {
	results results
	peers   []peer
	load    string // of the machine, before
}

// tables are both of them in Markdown, below what they were measured with.
func (d document) tables() string {
	return d.machine() + "\n" + d.table() + "\n" + d.goals()
}

// machine is one sentence about machine and versions.
func (d document) machine() string {
	parts := []string{fmt.Sprintf("%d cores of %s", runtime.NumCPU(), machine.Processor()), runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/pion/dtls/v3" {
				parts = append(parts, "pion/dtls "+m.Version)
			}
		}
	}
	for _, p := range d.peers {
		if o, ok := p.(*openSSL); ok {
			parts = append(parts, o.version)
		}
	}
	return fmt.Sprintf("Measured on %s; the load average before was %s.\n", strings.Join(parts, ", "), d.load)
}

var section = page.Section{Name: "tables", Command: "(cd e2e && go run ./bench -update ../docs/performance.md)"}

// update puts the tables into a file, where the old ones stand, and the plot beside
// it.
func (d document) update(file string) error {
	if err := section.Replace(file, d.tables()); err != nil {
		return err
	}
	plot := strings.TrimSuffix(file, filepath.Ext(file)) + ".svg"
	return os.WriteFile(plot, []byte(d.plot()), 0o644)
}
