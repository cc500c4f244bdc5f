package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// An answer is where a comment says that it answers a statement.
type answer struct {
	key  string // of the statement
	file string
	name string // of the declaration that the comment belongs to, if any
}

func (a answer) test() bool { return strings.HasSuffix(a.file, "_test.go") }

// readAnswers finds the answers in every Go file below root, in order of their files.
func readAnswers(root string) ([]answer, error) {
	var answers []answer
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || path == filepath.Join(root, "docs")):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		found, err := answersOf(root, path)
		answers = append(answers, found...)
		return err
	})
	return answers, err
}

func answersOf(root, path string) ([]answer, error) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	file, err := filepath.Rel(root, path)
	if err != nil {
		return nil, err
	}
	var answers []answer
	for _, group := range f.Comments {
		for _, key := range keys(group.Text()) {
			answers = append(answers, answer{key, filepath.ToSlash(file), declarationOf(f, group)})
		}
	}
	return answers, nil
}

var (
	citation = regexp.MustCompile(`RFC \d+ ` + cited + `(?:(?:,|;| and) ` + cited + `)*`)
	part     = regexp.MustCompile(`([0-9A-Z][0-9.]*) \[([0-9, ]+)\]`)
)

// cited is one section with the numbers of statements in it.
const cited = `[0-9A-Z][0-9.]* \[\d+(?:, \d+)*\]`

// keys are the statements that a comment names.
func keys(comment string) []string {
	var keys []string
	for _, c := range citation.FindAllString(strings.Join(strings.Fields(comment), " "), -1) {
		name := strings.Join(strings.Fields(c)[:2], " ")
		for _, p := range part.FindAllStringSubmatch(strings.TrimPrefix(c, name), -1) {
			for _, number := range strings.Split(p[2], ", ") {
				keys = append(keys, fmt.Sprintf("%s %s [%s]", name, p[1], number))
			}
		}
	}
	return keys
}

// declarationOf is the name of the declaration that a comment stands above or in.
func declarationOf(f *ast.File, comment *ast.CommentGroup) string {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc == comment || within(d, comment) {
				return functionName(d)
			}
		case *ast.GenDecl:
			if d.Doc == comment || within(d, comment) {
				return specName(d, comment)
			}
		}
	}
	return ""
}

func within(n ast.Node, comment *ast.CommentGroup) bool {
	return n.Pos() <= comment.Pos() && comment.End() <= n.End()
}

// functionName is as in Engine.Receive.
func functionName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "." + d.Name.Name
	}
	return d.Name.Name
}

// specName is the name of what the comment belongs to in a group of constants, variables or types: the first, if it is
// above the group.
func specName(d *ast.GenDecl, comment *ast.CommentGroup) string {
	for _, spec := range d.Specs {
		if name, comments := describe(spec); within(spec, comment) || slices.Contains(comments, comment) {
			return name
		}
	}
	name, _ := describe(d.Specs[0])
	return name
}

// describe returns the name that a spec declares, the first if it declares several, and the comments above and behind it.
func describe(spec ast.Spec) (name string, comments []*ast.CommentGroup) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return s.Name.Name, []*ast.CommentGroup{s.Doc, s.Comment}
	case *ast.ValueSpec:
		return s.Names[0].Name, []*ast.CommentGroup{s.Doc, s.Comment}
	}
	return "", nil
}

// attach gives each statement its answers. It fails, after doing so, for what hasn't any and should, and for answers to nothing.
func attach(documents []document, answers []answer) error {
	byKey := map[string][]answer{}
	for _, a := range answers {
		if !slices.Contains(byKey[a.key], a) {
			byKey[a.key] = append(byKey[a.key], a)
		}
	}
	known, faults := map[string]*statement{}, []error(nil)
	for _, d := range documents {
		for i := range d.statements {
			s := &d.statements[i]
			known[d.key(*s)] = s
			s.answers = byKey[d.key(*s)]
		}
	}
	for _, d := range documents {
		for _, s := range d.statements {
			faults = append(faults, d.fault(s, known))
		}
	}
	for _, a := range answers {
		if known[a.key] == nil {
			faults = append(faults, fmt.Errorf("%s, %s: %s isn't in docs/requirements", a.file, a.name, a.key))
		}
	}
	return errors.Join(faults...)
}

// fault is what is wrong with the answers of a statement.
func (d document) fault(s statement, known map[string]*statement) error {
	tested := slices.ContainsFunc(s.answers, answer.test)
	switch {
	case s.like != "" && (known[s.like] == nil || known[s.like].like != ""):
		return fmt.Errorf("%s is like %s, which isn't in docs/requirements or is like another", d.key(s), s.like)
	case s.like != "" && len(s.answers) > 0:
		return fmt.Errorf("%s is like %s, and has an answer of its own", d.key(s), s.like)
	case s.why.kind == untested && (tested || len(s.answers) == 0):
		return fmt.Errorf("%s has a test, or no code, and is excused as untested", d.key(s))
	case s.why.kind == notApplicable && len(s.answers) > 0:
		return fmt.Errorf("%s has an answer, and is excused as not applicable", d.key(s))
	case s.why.kind == "" && s.like == "" && !tested:
		return fmt.Errorf("%s has neither test nor excuse: %s", d.key(s), s.quote)
	}
	return nil
}
