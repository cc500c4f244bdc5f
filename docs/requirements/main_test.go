package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// TestTable: every statement has an answer or an excuse, every answer a statement, and docs/requirements.md says so.
func TestTable(t *testing.T) {
	documents, err := answered(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(tablePath(root))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != table(documents) {
		t.Error("docs/requirements.md is stale: go run ./docs/requirements -update, and review what changed")
	}
}

func TestParseDocument(t *testing.T) {
	d, err := parseDocument("RFC 1: A Title\n\n4.1 [1]\nIt MUST be\nso.\n\n4.1 [2]\nIt SHOULD NOT be.\nby choice: it\nis.\n\nA [1]\nIt is REQUIRED.\nlike: 4.1 [1]\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []statement{
		{section: "4.1", number: 1, quote: "It MUST be so."},
		{section: "4.1", number: 2, quote: "It SHOULD NOT be.", why: excuse{byChoice, "it is."}},
		{section: "A", number: 1, quote: "It is REQUIRED.", like: "RFC 1 4.1 [1]"},
	}
	same := func(a, b statement) bool {
		return a.section == b.section && a.number == b.number && a.quote == b.quote && a.why == b.why && a.like == b.like
	}
	if d.name != "RFC 1" || d.title != "A Title" || !slices.EqualFunc(d.statements, want, same) {
		t.Errorf("%+v", d)
	}
	if level := d.statements[1].level(); level != "SHOULD NOT" {
		t.Error(level)
	}
	for _, bad := range []string{
		"RFC 1\n",
		"RFC 1: A Title\n\nIt MUST be so.\n",
		"RFC 1: A Title\n\n4.1 [1]\nIt MAY be so.\n",
		"RFC 1: A Title\n\n4.1 [1]\nIt MUST.\n\n4.1 [1]\nIt MUST.\n",
		"RFC 1: A Title\n\n4.1 [1]\nIt MUST.\nlike: 4.1 [2]\nand more\n",
	} {
		if _, err := parseDocument(bad); err == nil {
			t.Errorf("%q can be read", bad)
		}
	}
}

func TestKeys(t *testing.T) {
	for comment, want := range map[string]string{
		"Nothing (RFC 9147 4.5.1).":                             "",
		"It is so (RFC 9147 4.5.1 [2]).":                        "RFC 9147 4.5.1 [2]",
		"RFC 9147 4 [1, 2], 4.5.1 [3]; RFC 9846 A.1 [4]":        "RFC 9147 4 [1] RFC 9147 4 [2] RFC 9147 4.5.1 [3] RFC 9846 A.1 [4]",
		"As RFC 9147\n4.5.1 [1,\n2] and 7 [3] say, and b[4] is": "RFC 9147 4.5.1 [1] RFC 9147 4.5.1 [2] RFC 9147 7 [3]",
	} {
		if got := strings.Join(keys(comment), " "); got != want {
			t.Errorf("%q names %q, expected %q", comment, got, want)
		}
	}
}

// TestAnswersOf: an answer belongs to the declaration that its comment is at or in.
func TestAnswersOf(t *testing.T) {
	dir := t.TempDir()
	source := `package p

// T: RFC 1 1 [1]
type T[P any] struct {
	a int // RFC 1 1 [2]
}

// RFC 1 1 [3]
func (t *T[P]) method() {
	// RFC 1 1 [4]
}

func function() {} // RFC 1 1 [5]

// RFC 1 1 [6]
const (
	first = 1
	// RFC 1 1 [7]
	second = 2
	third  = 3 // RFC 1 1 [8]
)
`
	path := filepath.Join(dir, "p.go")
	if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	answers, err := readAnswers(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range answers {
		if a.file != "p.go" || a.test() {
			t.Errorf("%+v", a)
		}
		names = append(names, a.name)
	}
	if want := []string{"T", "T", "T.method", "T.method", "", "first", "second", "third"}; !slices.Equal(names, want) {
		t.Errorf("%q, expected %q", names, want)
	}
}

// TestFaults: what hasn't got what it needs, and what has more.
func TestFaults(t *testing.T) {
	code, test := answer{"RFC 1 1 [1]", "p.go", "f"}, answer{"RFC 1 1 [1]", "p_test.go", "TestF"}
	for _, c := range []struct {
		what    string
		end     string // of the statement
		answers []answer
		good    bool
	}{
		{"tested", "", []answer{code, test}, true},
		{"with a test alone", "", []answer{test}, true},
		{"with nothing", "", nil, false},
		{"with code alone", "", []answer{code}, false},
		{"by choice", "by choice: so\n", nil, true},
		{"by choice, shown", "by choice: so\n", []answer{code, test}, true},
		{"not applicable", "not applicable: so\n", nil, true},
		{"not applicable, and yet answered", "not applicable: so\n", []answer{code}, false},
		{"untested", "untested: so\n", []answer{code}, true},
		{"untested, and yet tested", "untested: so\n", []answer{code, test}, false},
		{"untested without code", "untested: so\n", nil, false},
		{"like another", "like: 1 [2]\n", nil, true},
		{"like another, and answered", "like: 1 [2]\n", []answer{test}, false},
		{"like one that isn't there", "like: 1 [4]\n", nil, false},
		{"like one that is like another", "like: 1 [3]\n", nil, false},
		{"answer to nothing", "", []answer{test, {"RFC 1 2 [1]", "p_test.go", "TestF"}}, false},
	} {
		d, err := parseDocument("RFC 1: A Title\n\n1 [1]\nIt MUST.\n" + c.end + "\n1 [2]\nIt MUST.\nby choice: so\n\n1 [3]\nIt MUST.\nlike: 1 [2]\n")
		if err != nil {
			t.Fatal(err)
		}
		if err := attach([]document{d}, c.answers); (err == nil) != c.good {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

const plainText = `
RFC 1                           A Title                       April 2022

Table of Contents

   1.  First ....................................................... 1

1.  First

   The key words "MUST" and "SHOULD" are to be interpreted.

   Something is here.  Peers MUST do
   this (see Section 2).  They MAY do that.

   *  They SHOULD
      NOT do it.

Author                       Standards Track                    [Page 1]

A.1.  More

   It is RECOMMENDED.
`

const kramdown = `--- middle

# First

The key words "MUST" and "SHOULD" are to be interpreted.

Something is here. Peers MUST do
this (see {{second}}). They MAY do that.

- They SHOULD
  NOT do it.

~~~
# of code
~~~

--- back

# Appendix

## More {#more}

It is RECOMMENDED.
`

// TestSections: the text of an RFC in either form has the same sections, and a draft of it can be read.
func TestSections(t *testing.T) {
	document := `RFC 1: A Title

1 [1]
Peers MUST do this (see ...).

1 [2]
They SHOULD NOT do it.

A.1 [1]
It is RECOMMENDED.
`
	d, err := parseDocument(document)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"rfc1.txt": plainText, "rfc1.md": kramdown} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		sections, err := readSections(path)
		if err != nil {
			t.Fatal(err)
		}
		if faults := compare(d, sections); len(faults) > 0 {
			t.Errorf("%s: %v", name, faults)
		}
		drafted, err := parseDocument("RFC 1: A Title\n" + draft(sections))
		if err != nil || len(drafted.statements) != len(d.statements) {
			t.Errorf("%s: %+v, %v", name, drafted, err)
		}
		less := d
		less.statements = d.statements[1:]
		if faults := compare(less, sections); len(faults) != 1 {
			t.Errorf("%s: without a quote: %v", name, faults)
		}
		other := d
		other.statements = slices.Clone(d.statements)
		other.statements[2].quote = "It is REQUIRED."
		if faults := compare(other, sections); len(faults) != 2 {
			t.Errorf("%s: with another quote: %v", name, faults)
		}
	}
}
