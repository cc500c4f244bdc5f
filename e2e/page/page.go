// Package page writes what a program has measured into the page that explains it.
package page

import (
	"fmt"
	"os"
	"strings"
)

// A Section is the part of a page that a program writes. It stands between two comments,
// of which the first says by which command, from the directory of the module.
type Section struct{ Name, Command string }

// Begin is the line above it.
func (s Section) Begin() string {
	return fmt.Sprintf("<!-- %s: written by %s -->\n", s.Name, s.Command)
}

// End is the line below it.
func (s Section) End() string { return fmt.Sprintf("<!-- end of %s -->\n", s.Name) }

// Read returns what the section of a file has. It fails if there is none.
func (s Section) Read(file string) (string, error) {
	_, text, _, err := s.cut(file)
	return text, err
}

// Replace gives the section of a file another text, with an empty line around it. It
// fails, and changes nothing, if there is none.
func (s Section) Replace(file, text string) error {
	before, _, after, err := s.cut(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(before+s.Begin()+"\n"+text+"\n"+s.End()+after), 0o644)
}

func (s Section) cut(file string) (before, text, after string, err error) {
	whole, err := os.ReadFile(file)
	if err != nil {
		return "", "", "", err
	}
	before, rest, begun := strings.Cut(string(whole), s.Begin())
	text, after, ended := strings.Cut(rest, s.End())
	if !begun || !ended {
		return "", "", "", fmt.Errorf("%s has no section between %q and %q", file, s.Begin(), s.End())
	}
	return before, text, after, nil
}
