package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBoGo runs the suite, or what BOGO_TEST picks of it, without what BOGO_SKIP
// names. A test that asks for what the library doesn't have is skipped by the
// runner and counts as such.
func TestBoGo(t *testing.T) {
	runner, folder := os.Getenv("BOGO_RUNNER"), os.Getenv("BOGO_DIR")
	if runner == "" || folder == "" {
		t.Skip("BOGO_RUNNER and BOGO_DIR don't name BoringSSL's runner and its folder: see README.md")
	}
	shim := filepath.Join(t.TempDir(), "shim")
	if out, err := exec.Command("go", "build", "-o", shim, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the shim: %v\n%s", err, out)
	}
	config, err := filepath.Abs("config.json")
	if err != nil {
		t.Fatal(err)
	}
	results := os.Getenv("BOGO_RESULTS")
	if results == "" {
		results = filepath.Join(t.TempDir(), "results.json")
	}
	command := exec.CommandContext(t.Context(), runner, "-shim-path", shim, "-shim-config", config,
		"-json-output", results, "-allow-unimplemented", "-num-workers", "2", "-test", os.Getenv("BOGO_TEST"), "-skip", os.Getenv("BOGO_SKIP"))
	command.Dir = folder
	out, runErr := command.CombinedOutput() // fails with any test
	report(t, results, string(out))
	if runErr != nil && !t.Failed() {
		t.Errorf("the runner: %v\n%s", runErr, out[max(0, len(out)-1<<12):])
	}
}

// report fails once for each failed test, with what the runner says about it.
func report(t *testing.T, results, out string) {
	var parsed struct {
		Tests map[string]struct{ Actual string }
	}
	data, err := os.ReadFile(results)
	if err == nil {
		err = json.Unmarshal(data, &parsed)
	}
	if err != nil {
		t.Fatalf("the runner left no results: %v\n%s", err, out[max(0, len(out)-1<<12):])
	}
	count := map[string]int{}
	for name, test := range parsed.Tests {
		count[test.Actual]++
		if test.Actual != "PASS" && test.Actual != "SKIP" {
			t.Errorf("%s\n%s", name, explain(name, out))
		}
	}
	t.Logf("%d passed, %d skipped, of %d", count["PASS"], count["SKIP"], len(parsed.Tests))
}

// explain finds what the runner says about a failed test.
func explain(name, out string) string {
	_, rest, _ := strings.Cut(out, "FAILED ("+name+")\n")
	for _, next := range []string{"\nPASSED (", "\nFAILED (", "\nUNIMPLEMENTED ("} {
		rest, _, _ = strings.Cut(rest, next)
	}
	return strings.TrimSpace(rest)
}
