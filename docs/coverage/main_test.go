package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// What explained.txt names is there.
func TestExplanations(t *testing.T) {
	explanations, err := readExplanations("explained.txt")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]*source{}
	for w := range explanations {
		s := sources[w.file]
		if s == nil {
			if s, err = readSource(filepath.Join(root, filepath.FromSlash(w.file))); err != nil {
				t.Errorf("%s: %v", w, err)
				continue
			}
			sources[w.file] = s
		}
		if !s.has(w) {
			t.Errorf("it is gone, and its explanation is not: %s", w)
		}
	}
}

// has reports whether a function has that line.
func (s *source) has(w where) bool {
	for _, f := range s.functions {
		for line := f.first; line <= f.last && f.name == w.function; line++ {
			if s.text(line) == w.line {
				return true
			}
		}
	}
	return false
}

func TestReadProfiles(t *testing.T) {
	directory := t.TempDir()
	write(t, directory, "tls/x.go", "package tls\n\nfunc (c *Conn) F() error {\n\terr := g()\n\tif err != nil { // always\n\t\treturn err\n\t}\n\treturn nil\n}\n")
	profile := write(t, directory, "profile", strings.Join([]string{
		"mode: set",
		module + "tls/x.go:3.26,5.16 2 0", module + "tls/x.go:5.16,7.3 1 0", module + "tls/x.go:8.2,8.12 1 0",
		module + "tls/x.go:3.26,5.16 2 1", module + "tls/x.go:5.16,7.3 1 0", module + "tls/x.go:8.2,8.12 1 3",
		module + "examples/godwit/main.go:1.1,2.2 7 0", "",
	}, "\n"))
	blocks, err := readProfiles(directory, []string{profile})
	want := []block{
		{where{"tls/x.go", "Conn.F", "func (c *Conn) F() error {"}, 2, true},
		{where{"tls/x.go", "Conn.F", "err := g() if err != nil {"}, 1, false},
		{where{"tls/x.go", "Conn.F", "} return nil"}, 1, true},
	}
	if err != nil || !slices.Equal(blocks, want) {
		t.Errorf("%+v, %v", blocks, err)
	}
	if p := packages(blocks); len(p) != 1 || p[0] != (pack{"tls", 4, 3}) || p[0].share() != 0.75 {
		t.Errorf("%+v", p)
	}
}

func TestReadExplanations(t *testing.T) {
	directory := t.TempDir()
	file := write(t, directory, "explained.txt", "It can't\nhappen.\n    a/b.go T.f: if x: y {\n\nNor this.\n    c.go g: h()\n")
	got, err := readExplanations(file)
	if err != nil || len(got) != 2 || got[where{"a/b.go", "T.f", "if x: y {"}] != "It can't happen." || got[where{"c.go", "g", "h()"}] != "Nor this." {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"    a.go f: without a reason\n", "A reason.\n    without a file\n", "A reason.\n    a.go without a line\n"} {
		if _, err := readExplanations(write(t, directory, "bad", bad)); err == nil {
			t.Errorf("%q can be read", bad)
		}
	}
}

func write(t *testing.T, directory, name, text string) string {
	t.Helper()
	file := filepath.Join(directory, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
