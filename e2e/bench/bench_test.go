package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The processes that a bench starts are this program again.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && slices.Contains([]string{"receive", "idle", "target", "dormitory"}, os.Args[1]) {
		main()
		return
	}
	os.Exit(m.Run())
}

// hurry is what a run needs to be over soon. Its figures are worth nothing, but
// they are all there.
var hurry = []string{"-rounds", "1", "-turn", "5ms", "-crowd", "20"}

func runHurriedly(t *testing.T, arguments ...string) string {
	t.Helper()
	var out, progress bytes.Buffer
	if err := run(append(arguments, hurry...), &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	if left := "OpenSSL is left out"; strings.Contains(progress.String(), left) {
		if os.Getenv("CI") == "true" {
			t.Error(&progress)
		}
		t.Log(&progress)
	}
	return out.String()
}

// The last line of a quick run is an object with all figures, and no figure is
// absurd.
func TestQuick(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(runHurriedly(t, "-quick", "-json"), "\n"), "\n")
	var got map[string]float64
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		t.Fatalf("the last line: %v", err)
	}
	for _, f := range figures() {
		v, ok := got[f.key]
		switch {
		case !ok:
			t.Errorf("%s is missing", f.key)
		case strings.HasSuffix(f.key, "_allocs") || strings.HasSuffix(f.key, "_failures") || strings.HasSuffix(f.key, "_goroutines") || strings.HasSuffix(f.key, "_growth_kib"):
			if v < 0 || v > 10_000 {
				t.Errorf("%s is %v", f.key, v)
			}
		case v < 0.01 || v > 10_000: // a hurried turn may have one datagram for all that its process does
			t.Errorf("%s is %v", f.key, v)
		}
	}
	if len(got) != len(figures()) {
		t.Errorf("%d figures of %d: %v", len(got), len(figures()), got)
	}
}

// Every peer has its column, and the document its tables and its plot.
func TestUpdate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "performance.md")
	text := "before\n" + section.Begin() + "old\n" + section.End() + "after\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	contests := "records|handshakes|idle|UDP"
	printed := runHurriedly(t, "-contest", contests, "-update", file)
	updated, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + section.Begin() + "\n" + printed + "\n" + section.End() + "after\n"; string(updated) != want {
		t.Errorf("the document is\n%s\nand not\n%s", updated, want)
	}
	for _, p := range goPeers() {
		if !strings.Contains(printed, "| "+p.name()+" |") {
			t.Errorf("%s has no column", p.name())
		}
	}
	plot, err := os.ReadFile(strings.TrimSuffix(file, ".md") + ".svg")
	if err != nil {
		t.Fatal(err)
	}
	if curves := strings.Count(string(plot), "<polyline"); curves < len(goPeers()) || strings.Contains(string(plot), "NaN") {
		t.Errorf("%d curves in %s", curves, plot)
	}
}

func TestUpdateWithoutPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "other.md")
	if err := os.WriteFile(file, []byte("no place\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := (document{}).update(file); err == nil {
		t.Error("a document without a place was updated")
	}
}

// A ratio is the median of the rounds' ratios, and not the ratio of medians.
func TestRatio(t *testing.T) {
	r := results{"c": {
		"a": {{cost: 10}, {cost: 40}, {cost: 90}},
		"b": {{cost: 10}, {cost: 20}, {cost: 10}},
	}}
	a, b := subject{"c", "a", cost}, subject{"c", "b", cost}
	if got := r.ratio(a, b); got != 2 {
		t.Errorf("ratio %v, expected 2", got)
	}
	if got := r.median(a); got != 40 {
		t.Errorf("median %v, expected 40", got)
	}
	if got := median([]float64{4, 1, math.NaN(), 3, 2}); got != 2.5 {
		t.Errorf("median %v, expected 2.5", got)
	}
	if got := r.ratio(a, subject{"c", "nobody", cost}); !math.IsNaN(got) {
		t.Errorf("ratio to nobody: %v", got)
	}
}

func TestSample(t *testing.T) {
	s := sample{cost: 1204.5, floorCost: 623}
	got, err := parseSample(s.String())
	if err != nil || len(got) != 2 || got[cost] != 1204.5 || got[floorCost] != 623 {
		t.Errorf("%v, %v", got, err)
	}
	for _, line := range []string{"", "cost", "cost x", "cost 1 floor", "bench: failed"} {
		if s, err := parseSample(line); err == nil {
			t.Errorf("%q is %v", line, s)
		}
	}
}

// A link keeps the boundaries of datagrams, and none of a stream.
func TestLink(t *testing.T) {
	for kind, want := range map[transport][]string{datagrams: {"one", "two", "th"}, stream: {"onet", "woth", "ree"}} {
		a, b := newLinks(kind)
		for _, s := range []string{"one", "two", "three"} {
			if _, err := a.Write([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range want {
			buf := make([]byte, 4)
			if kind == datagrams {
				buf = buf[:len(s)]
			}
			n, err := b.Read(buf)
			if err != nil || string(buf[:n]) != s {
				t.Errorf("read %q, %v, expected %q", buf[:n], err, s)
			}
		}
		b.SetReadDeadline(time.Unix(1, 0))
		if _, err := b.Read(make([]byte, 1)); err != os.ErrDeadlineExceeded {
			t.Errorf("past the deadline: %v", err)
		}
	}
}

// Sleepers are connected, left alone and woken, and each row has figures that can be.
func TestSleepers(t *testing.T) {
	var out, progress bytes.Buffer
	if err := run([]string{"-sleepers", "20", "-rest", "10ms"}, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	rows := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(rows) != 3 || !strings.HasPrefix(rows[2], "| 20 |") {
		t.Errorf("the table is\n%s", &out)
	}
}
