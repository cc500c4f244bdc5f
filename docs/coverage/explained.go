package main

import (
	"fmt"
	"os"
	"strings"
)

// readExplanations reads explained.txt: paragraphs of a reason, and indented below it the
// places that it holds for.
//
//	crypto/rand does not fail: it would end the program.
//	    shared/suite/groups.go Group.generate: key, err := g.curve.GenerateKey(rand.Reader) if err != nil {
func readExplanations(file string) (map[where]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	explanations, reason := map[where]string{}, ""
	for i, line := range strings.Split(string(text), "\n") {
		place, indented := strings.CutPrefix(line, "    ")
		switch {
		case line == "":
			reason = ""
		case !indented:
			reason = strings.TrimSpace(reason + " " + line)
		default:
			name, rest, inFile := strings.Cut(place, " ")
			function, line, inFunction := strings.Cut(rest, ": ")
			if !inFile || !inFunction || reason == "" {
				return nil, fmt.Errorf("%s:%d: not a reason, nor a place: %q", file, i+1, place)
			}
			explanations[where{name, function, line}] = reason
		}
	}
	return explanations, nil
}
