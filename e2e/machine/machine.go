// Package machine says what a program has measured on.
package machine

import (
	"bufio"
	"os"
	"runtime"
	"strings"
)

// Load is the load average of the last minute: what others do there disturbs.
func Load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _, found := strings.Cut(string(text), " ")
	if !found {
		return "unknown"
	}
	return load
}

// Processor is the name of the processor, as Linux tells it; elsewhere it is its kind.
func Processor() string {
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
