// Command coverage says what of the library its tests don't reach, and why that is so.
//
// explained.txt, beside this file, has a reason for each block of code that no test runs, with the file, the function and
// the line that the block begins with; where that says nothing but that there was an error, with the line before it. The
// command fails where a block has no reason, and where a package has less than nine statements in ten covered. A test of
// this package fails where a line that explained.txt names is gone. From the directory of the module:
//
//	go test -coverpkg=./... -coverprofile=cover.out ./...
//	go test -C e2e -coverpkg=github.com/godwit-dtls/godwit/... -coverprofile=../differ.out ./differ
//	go run ./docs/coverage cover.out differ.out
//
// What a test runs only now and then, as it takes an accident of the clock, may be explained and covered.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(".", os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// leastCovered is the share of the statements of each package that tests have to run.
const leastCovered = 0.9

func run(root string, arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("no profile is named: go run ./docs/coverage PROFILE")
	}
	blocks, err := readProfiles(root, arguments)
	if err != nil {
		return err
	}
	explanations, err := readExplanations(filepath.Join(root, "docs", "coverage", "explained.txt"))
	if err != nil {
		return err
	}
	fmt.Printf("%-24s %10s %8s\n", "", "statements", "covered")
	for _, p := range packages(blocks) {
		fmt.Printf("%-24s %10d %6.1f %%\n", p.name, p.statements, 100*p.share())
		if p.share() < leastCovered {
			err = errors.Join(err, fmt.Errorf("%s: less than %.0f %% of the statements are covered", p.name, 100*leastCovered))
		}
	}
	explained := 0
	for _, b := range blocks {
		switch {
		case b.runs:
		case explanations[b.where] != "":
			explained++
		default:
			err = errors.Join(err, fmt.Errorf("not covered, and not explained: %s", b.where))
		}
	}
	fmt.Printf("%d blocks are not covered, and explained\n", explained)
	return err
}
