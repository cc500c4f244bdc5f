package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
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
	parts := []string{fmt.Sprintf("%d cores of %s", runtime.NumCPU(), processor()), runtime.Version()}
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
		if key, name, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(name)
		}
	}
	return runtime.GOARCH
}

const (
	beginTables = "<!-- tables: written by (cd e2e && go run ./bench -update ../docs/performance.md) -->\n"
	endTables   = "<!-- end of tables -->\n"
)

// update puts the tables into a file, where the old ones stand, and the plot beside
// it.
func (d document) update(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), beginTables)
	_, after, ended := strings.Cut(rest, endTables)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the tables, which begins with %q", file, beginTables)
	}
	updated := before + beginTables + "\n" + d.tables() + "\n" + endTables + after
	if err := os.WriteFile(file, []byte(updated), 0o644); err != nil {
		return err
	}
	plot := strings.TrimSuffix(file, filepath.Ext(file)) + ".svg"
	return os.WriteFile(plot, []byte(d.plot()), 0o644)
}
