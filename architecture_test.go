// Package godwit_test holds the architecture: what may import what, and that
// the core has neither a clock nor goroutines of its own.
package godwit_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/godwit-dtls/godwit/"

// A layer says what the packages of one line of the map may import of ours.
// The map itself is in docs/architecture.md.
var layers = []struct {
	pkg     string
	imports []string
}{
	{"replay", []string{"shared/wire"}},
	{"fragment", []string{"shared/wire"}},
	{"retransmit", []string{"shared/protocol", "shared/wire"}},
	{"shared/protocol", nil},
	{"shared/alert", nil},
	{"shared/wire", nil},
	{"shared/connectionid", []string{"shared/protocol"}},
	{"shared/message", []string{"shared/alert", "shared/protocol", "shared/wire"}},
	{"shared/ccm", nil},
	{"shared/suite", []string{"shared/alert", "shared/ccm", "shared/protocol"}},
	{"shared/keys", []string{"shared/alert", "shared/protocol", "shared/suite", "shared/wire"}},
	{"shared/record", []string{"shared/alert", "shared/keys", "shared/suite"}},
	{"shared/cert", []string{"shared/alert", "shared/protocol"}},
	{"shared/session", []string{"shared/protocol", "shared/suite", "shared/wire"}},
	{"shared/ech", []string{"shared/alert", "shared/message", "shared/protocol", "shared/wire"}},
	{"shared/handshake", []string{"shared/alert", "shared/cert", "shared/connectionid", "shared/ech", "shared/keys", "shared/message", "shared/protocol", "shared/session", "shared/suite", "shared/wire"}},
	{"shared/pathmtu", nil},
	{"shared/qlog", []string{"shared/handshake"}},
	{"shared/mealy", nil}, // for tests
	{"shared/rogue", []string{"shared/alert", "shared/handshake", "shared/protocol"}}, // for tests
	{"dtls", []string{"fragment", "replay", "retransmit", "shared/alert", "shared/cert", "shared/connectionid", "shared/handshake", "shared/keys", "shared/message", "shared/pathmtu", "shared/protocol", "shared/qlog", "shared/record", "shared/session", "shared/suite", "shared/wire"}},
	{"tls", []string{"shared/alert", "shared/cert", "shared/handshake", "shared/keys", "shared/message", "shared/protocol", "shared/qlog", "shared/record", "shared/session", "shared/suite", "shared/wire"}},
	{"docs/coverage", nil},
	{"docs/requirements", nil},
}

// outside is what the library may import from beyond the standard library.
var outside = []string{"github.com/pion/transport/v3", "github.com/pion/logging", "golang.org/x/crypto", "golang.org/x/net", "golang.org/x/sys"}

type listed struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]listed{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[strings.TrimPrefix(p.ImportPath, module)] = p
	}
}

func TestImports(t *testing.T) {
	packages := list(t)
	allowed := map[string][]string{}
	for _, l := range layers {
		if _, ok := packages[l.pkg]; !ok {
			t.Errorf("package %s is gone", l.pkg)
		}
		allowed[l.pkg] = l.imports
	}
	for name, p := range packages {
		imports, known := allowed[name]
		example := strings.HasPrefix(name, "examples/")
		if !known && !example && p.GoFiles != nil {
			t.Errorf("package %s is not on the map", name)
		}
		for _, i := range p.Imports {
			ours, is := strings.CutPrefix(i, module)
			switch {
			case is && !example && !slices.Contains(imports, ours):
				t.Errorf("%s imports %s", name, ours)
			case i == "net" && name != "dtls" && name != "tls" && !example:
				t.Errorf("%s imports net", name)
			case !is && strings.Contains(i, ".") && !slices.ContainsFunc(outside, func(o string) bool { return i == o || strings.HasPrefix(i, o+"/") }):
				t.Errorf("%s imports %s", name, i)
			}
		}
	}
}

// io are the files in which dtls and tls do I/O, or make what is valid from now on;
// everything else in the library is told the time and starts nothing.
var ioFiles = []string{"alarms.go", "conn.go", "conn_batch.go", "conn_early.go", "conn_export.go", "conn_write.go", "timer.go", "dial.go", "group.go", "listener.go", "link.go", "packetconn.go", "peer.go", "recover.go", "replies.go", "selfsigned.go", "serve.go", "socket.go"}

func TestNoClock(t *testing.T) {
	for name, p := range list(t) {
		if strings.HasPrefix(name, "examples/") {
			continue
		}
		for _, file := range p.GoFiles {
			if (name == "dtls" || name == "tls") && slices.Contains(ioFiles, file) {
				continue
			}
			checkNoClock(t, filepath.Join(p.Dir, file))
		}
	}
}

func checkNoClock(t *testing.T, file string) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%v starts a goroutine", files.Position(n.Pos()))
		case *ast.SelectorExpr:
			clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
				t.Errorf("%v uses time.%s", files.Position(n.Pos()), n.Sel.Name)
			}
		}
		return true
	})
}
