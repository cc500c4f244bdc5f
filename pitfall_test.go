package godwit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestListOfPitfalls: docs/pitfalls.md names every test of a pitfall, and none that isn't
// there; and the comment of each has the numbers of its row.
func TestListOfPitfalls(t *testing.T) {
	page, err := os.ReadFile("docs/pitfalls.md")
	if err != nil {
		t.Fatal(err)
	}
	number := regexp.MustCompile(`CVE-\d+-\d+|GHSA-[\w-]+|#\d+`)
	there, listed := tests(t), map[string]bool{}
	for _, row := range regexp.MustCompile(`\|([^|]*)\| ([a-z/]*\.?TestPitfall\w+) \|\n`).FindAllStringSubmatch(string(page), -1) {
		where, test := row[1], row[2]
		f := there[test]
		if listed[test] = true; f == nil {
			t.Errorf("docs/pitfalls.md names %s, which is not there", test)
			continue
		}
		for _, n := range number.FindAllString(where, -1) {
			if !strings.Contains(f.Doc.Text(), n) {
				t.Errorf("%s says nothing of %s", test, n)
			}
		}
	}
	for test := range there {
		if strings.Contains(test, "TestPitfall") && !listed[test] {
			t.Errorf("%s is not in docs/pitfalls.md", test)
		}
	}
	if len(listed) < 50 {
		t.Errorf("%d tests", len(listed))
	}
}

// TestPromises: docs/security.md names tests that are there.
func TestPromises(t *testing.T) {
	page, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	there, named := tests(t), regexp.MustCompile(`[a-z0-9/]*\.?Test[A-Z]\w+`).FindAllString(string(page), -1)
	for _, test := range named {
		if there[test] == nil {
			t.Errorf("docs/security.md names %s, which is not there", test)
		}
	}
	if len(named) < 50 {
		t.Errorf("%d tests", len(named))
	}
}

// tests are all of this module, each behind its package but for those of this one.
func tests(t *testing.T) map[string]*ast.FuncDecl {
	t.Helper()
	there := map[string]*ast.FuncDecl{}
	for name, p := range list(t) {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if name+"/" == module {
			name = ""
		}
		for _, file := range files {
			for _, f := range functions(t, file) {
				if strings.HasPrefix(f.Name.Name, "Test") && f.Recv == nil {
					there[strings.TrimPrefix(name+"."+f.Name.Name, ".")] = f
				}
			}
		}
	}
	return there
}

// functions are those of a file.
func functions(t *testing.T, file string) (all []*ast.FuncDecl) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			all = append(all, f)
		}
	}
	return all
}

// eachFile calls f for the files of the library.
func eachFile(t *testing.T, f func(pkg, file string)) {
	t.Helper()
	for name, p := range list(t) {
		if strings.HasPrefix(name, "examples/") || strings.HasPrefix(name, "docs/") {
			continue
		}
		for _, file := range p.GoFiles {
			f(name, filepath.Join(p.Dir, file))
		}
	}
}

// panics are the functions that may panic, since only their caller in this library can
// be wrong: no input reaches them.
var panics = []string{"shared/ccm.Seal", "shared/ccm.checkNonce", "shared/session.makeKey", "shared/record.wake", "shared/keys.expandLabel"}

// TestPitfallNoRecover: no check of a length or of anything else is left to a panic, and
// none is caught (tinydtls#272, whose check was an assertion and went with it).
func TestPitfallNoRecover(t *testing.T) {
	found := map[string]bool{}
	eachFile(t, func(pkg, file string) {
		for _, f := range functions(t, file) {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				name := pkg + "." + f.Name.Name
				switch fun, _ := call.Fun.(*ast.Ident); {
				case fun == nil:
				case fun.Name == "recover":
					t.Errorf("%s recovers", name)
				case fun.Name == "panic":
					if found[name] = true; !slices.Contains(panics, name) {
						t.Errorf("%s panics", name)
					}
				}
				return true
			})
		}
	})
	for _, name := range panics {
		if !found[name] {
			t.Errorf("%s doesn't panic any more", name)
		}
	}
}

// TestPitfallParsersAreFuzzed: a package that parses what a peer sends has fuzz targets,
// in which a panic would be found (GHSA-4xgv-j62q-h3rj, GHSA-hxp2-xqf3-v83h).
func TestPitfallParsersAreFuzzed(t *testing.T) {
	parses := map[string]string{}
	eachFile(t, func(pkg, file string) {
		for _, f := range functions(t, file) {
			if strings.HasPrefix(f.Name.Name, "Parse") || strings.HasPrefix(f.Name.Name, "parse") {
				parses[pkg] = f.Name.Name
			}
		}
	})
	delete(parses, "shared/handshake") // its parse hands on to shared/message
	for pkg, name := range parses {
		files, err := filepath.Glob(filepath.Join(filepath.FromSlash(pkg), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			return slices.ContainsFunc(functions(t, file), func(f *ast.FuncDecl) bool { return strings.HasPrefix(f.Name.Name, "Fuzz") })
		}) {
			t.Errorf("%s has %s, and no fuzz target", pkg, name)
		}
	}
	if len(parses) < 8 {
		t.Errorf("%d packages parse something", len(parses))
	}
}
