package godwit_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMapIsTrue: the files, folders and identifiers that docs/architecture.md quotes are
// there, and so are the pages that it links to.
func TestMapIsTrue(t *testing.T) {
	b, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	page, files, words := string(b), map[string]bool{}, map[string]bool{}
	readTree(t, files, words)
	quotes := regexp.MustCompile("`([^`\\s]+)`").FindAllStringSubmatch(page, -1)
	for _, quote := range quotes {
		switch name := quote[1]; {
		case name == "ssl/statem": // OpenSSL's
		case strings.Contains(name, "/"):
			if found, err := filepath.Glob(name); err != nil || len(found) == 0 {
				t.Errorf("there is no %s", name)
			}
		case strings.HasSuffix(name, ".go"): // the text around it says where
			if !files[name] {
				t.Errorf("there is no %s", name)
			}
		default:
			for _, word := range goWord.FindAllString(name, -1) {
				if !words[word] {
					t.Errorf("%s: no code has %s", name, word)
				}
			}
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(page, -1) {
		if _, err := os.Stat(filepath.Join("docs", link[1])); err != nil {
			t.Error(err)
		}
	}
	if len(quotes) < 200 {
		t.Errorf("%d quotes", len(quotes))
	}
}

var goWord = regexp.MustCompile(`\w+`)

// readTree notes the names of all Go files, and the words that are in them.
func readTree(t *testing.T, files, words map[string]bool) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		source, err := os.ReadFile(path)
		files[filepath.Base(path)] = true
		for _, word := range goWord.FindAllString(string(source), -1) {
			words[word] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
