package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A document is what one RFC demands.
type document struct {
	name       string // as comments cite it: RFC 9147
	title      string
	statements []statement
}

// A statement is one sentence that demands something, or the part of it that does.
type statement struct {
	section string
	number  int // within the section
	quote   string
	why     excuse
	like    string // the key of the statement whose answers answer this one
	answers []answer
}

// An excuse is why something is missing: the answer, or a test of it.
type excuse struct{ kind, reason string }

// The kinds of excuses. Whatever has none needs a test.
const (
	byChoice      = "by choice"      // we do something else
	notApplicable = "not applicable" // it is said to others, or of what we don't have
	untested      = "untested"       // it is so, and no test can show it
)

// key is the name of a statement: RFC 9147 4.5.1 [2].
func (d document) key(s statement) string {
	return fmt.Sprintf("%s %s [%d]", d.name, s.section, s.number)
}

func readDocuments(root string) ([]document, error) {
	paths, err := filepath.Glob(filepath.Join(root, "docs", "requirements", "rfc*.txt"))
	if err != nil {
		return nil, err
	}
	var documents []document
	for _, path := range paths {
		d, err := readDocument(path)
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
	return documents, nil
}

func readDocument(path string) (document, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return document{}, err
	}
	d, err := parseDocument(string(text))
	if err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

var (
	heading = regexp.MustCompile(`^([0-9A-Z][0-9.]*) \[(\d+)\]$`)
	excused = regexp.MustCompile(`^(by choice|not applicable|untested|like): (.+)$`)
)

// parseDocument reads paragraphs: the first is the name and title, each other one a statement. Its first line is section
// and number, then comes the quote, and last, if need be, an excuse or which other statement it is like. Both may take
// several lines.
func parseDocument(text string) (document, error) {
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	name, title, ok := strings.Cut(paragraphs[0], ": ")
	if !ok {
		return document{}, fmt.Errorf("no name and title in %q", paragraphs[0])
	}
	d := document{name: name, title: title}
	seen := map[string]bool{}
	for _, p := range paragraphs[1:] {
		s, err := parseStatement(p)
		if err != nil {
			return d, err
		}
		if s.like != "" && !strings.HasPrefix(s.like, "RFC ") {
			s.like = d.name + " " + s.like
		}
		if seen[d.key(s)] {
			return d, fmt.Errorf("a second %s", d.key(s))
		}
		seen[d.key(s)] = true
		d.statements = append(d.statements, s)
	}
	return d, nil
}

func parseStatement(paragraph string) (statement, error) {
	var s statement
	lines := strings.Split(paragraph, "\n")
	h := heading.FindStringSubmatch(lines[0])
	if h == nil {
		return s, fmt.Errorf("no section and number in %q", lines[0])
	}
	s.section = h[1]
	fmt.Sscan(h[2], &s.number)
	var quote, reason []string
	for _, line := range lines[1:] {
		switch e := excused.FindStringSubmatch(line); {
		case e != nil && s.why.kind+s.like == "" && e[1] == "like":
			s.like = e[2]
		case e != nil && s.why.kind+s.like == "":
			s.why.kind, reason = e[1], []string{e[2]}
		case s.why.kind+s.like == "":
			quote = append(quote, line)
		case s.like == "":
			reason = append(reason, line)
		default:
			return s, fmt.Errorf("%q after what %s is like", line, lines[0])
		}
	}
	s.quote, s.why.reason = strings.Join(quote, " "), strings.Join(reason, " ")
	if s.level() == "" {
		return s, fmt.Errorf("%s demands nothing: %q", lines[0], s.quote)
	}
	return s, nil
}

// demand finds the words of RFC 2119 that demand; MAY doesn't.
var demand = regexp.MustCompile(`\b(MUST|SHALL|SHOULD|REQUIRED|(?:NOT )?RECOMMENDED)( NOT)?\b`)

// level is how strongly a statement demands, by the first word of its quote that does.
func (s statement) level() string { return demand.FindString(s.quote) }
