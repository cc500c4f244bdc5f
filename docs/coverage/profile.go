package main

import (
	"bufio"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const module = "github.com/godwit-dtls/godwit/"

// measured are the trees that count: what an application gets.
var measured = []string{"shared/", "fragment/", "retransmit/", "replay/", "dtls/", "tls/"}

// A block is code without branches.
type block struct {
	where
	statements int
	runs       bool
}

// A where is a place in the source, in words that outlive changes around it.
type where struct{ file, function, line string }

func (w where) String() string { return w.file + " " + w.function + ": " + w.line }

// A position is where a block begins, and the rest of what a profile says of that.
type position struct {
	file string
	line int
	rest string
}

// readProfiles reads what go test -coverprofile wrote, in which each test has its count of
// each block.
func readProfiles(root string, files []string) ([]block, error) {
	found, sources := map[position]*block{}, map[string]*source{}
	for _, file := range files {
		if err := readProfile(root, file, sources, found); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	var blocks []block
	for _, at := range slices.SortedFunc(maps.Keys(found), func(a, b position) int {
		return cmp.Or(strings.Compare(a.file, b.file), a.line-b.line, strings.Compare(a.rest, b.rest))
	}) {
		blocks = append(blocks, *found[at])
	}
	return blocks, nil
}

func readProfile(root, file string, sources map[string]*source, found map[position]*block) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// module/file.go:line.column,line.column statements count
		name, numbers, ok := strings.Cut(lines.Text(), ":")
		name = strings.TrimPrefix(name, module)
		if !ok || !slices.ContainsFunc(measured, func(tree string) bool { return strings.HasPrefix(name, tree) }) {
			continue
		}
		var column, statements, count int
		at := position{file: name}
		if _, err := fmt.Sscanf(numbers, "%d.%d,%s %d %d", &at.line, &column, &at.rest, &statements, &count); err != nil {
			return fmt.Errorf("%q: %w", lines.Text(), err)
		}
		at.rest = fmt.Sprint(column, at.rest)
		if sources[name] == nil {
			if sources[name], err = readSource(filepath.Join(root, filepath.FromSlash(name))); err != nil {
				return err
			}
		}
		if at.line > len(sources[name].lines) {
			return fmt.Errorf("it is older than %s", name)
		}
		if found[at] == nil {
			function, line := sources[name].at(at.line)
			found[at] = &block{where: where{name, function, line}, statements: statements}
		}
		found[at].runs = found[at].runs || count > 0
	}
	return lines.Err()
}

// A source is a file of Go.
type source struct {
	lines     []string
	functions []function
}

type function struct {
	name        string
	first, last int // lines
}

func readSource(file string) (*source, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &source{lines: strings.Split(string(text), "\n")}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			s.functions = append(s.functions, function{nameOf(f), files.Position(f.Pos()).Line, files.Position(f.End()).Line})
		}
	}
	return s, nil
}

// nameOf is a function's name, behind that of its receiver's type.
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	if pointer, ok := t.(*ast.StarExpr); ok {
		t = pointer.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	if name, ok := t.(*ast.Ident); ok {
		return name.Name + "." + f.Name.Name
	}
	return f.Name.Name
}

// at says in which function a block is that begins in a line, and what stands there.
func (s *source) at(line int) (inFunction, text string) {
	for _, f := range s.functions {
		if f.first <= line && line <= f.last {
			inFunction = f.name
		}
	}
	return inFunction, s.text(line)
}

// text is a line, behind the one before it where it only asks whether that failed.
func (s *source) text(line int) string {
	text := s.trimmed(line)
	if strings.HasPrefix(text, "if err != nil") || strings.HasPrefix(text, "return") || text == "default:" {
		return s.trimmed(line-1) + " " + text
	}
	return text
}

// trimmed is a line without what surrounds it, and without a comment behind it.
func (s *source) trimmed(line int) string {
	text, _, _ := strings.Cut(s.lines[line-1], " // ")
	return strings.TrimSpace(text)
}

// A pack is a package, and how much of it tests run.
type pack struct {
	name                string
	statements, covered int
}

func (p pack) share() float64 { return float64(p.covered) / float64(p.statements) }

func packages(blocks []block) (all []pack) {
	for _, b := range blocks {
		name := path.Dir(b.file)
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, pack{name: name})
		}
		p := &all[len(all)-1]
		p.statements += b.statements
		if b.runs {
			p.covered += b.statements
		}
	}
	return all
}
