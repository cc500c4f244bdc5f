// Command requirements writes docs/requirements.md: what the RFCs demand, and which code and which test answers it.
//
// A document of requirements (rfc9147.txt and its like, beside this file) has each sentence of an RFC that says MUST, SHOULD
// or the like, in short, under its section and a number within it. Whatever answers one names it in a comment, with
// the number behind the section that comments cite anyway:
//
//	// RFC 9147 4.5.1 [2], 5.8.1 [1, 3]
//
// What nothing answers has its reason in the document. A test of this package fails where there is neither, where a
// comment names what isn't there, and where docs/requirements.md is stale. From the directory of the module:
//
//	go run ./docs/requirements -update
//	go run ./docs/requirements -check rfc9147 FILE
//	go run ./docs/requirements -draft FILE
//
// The last two are for whoever has the text of the RFC: whether every quote stands there and no demand is left out;
// and what a new document begins with.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	update := flag.Bool("update", false, "write docs/requirements.md anew")
	check := flag.String("check", "", "the `document` to compare with the text of its RFC, such as rfc9147")
	draft := flag.Bool("draft", false, "print what the text of an RFC demands, as a document")
	flag.Parse()
	var err error
	switch {
	case *update:
		err = writeTable(".")
	case *check != "":
		err = checkDocument(".", *check, flag.Arg(0))
	case *draft:
		err = printDraft(flag.Arg(0))
	default:
		flag.Usage()
		err = errors.New("one of -update, -check and -draft is needed")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// writeTable brings docs/requirements.md up to date. root is the directory of the module.
func writeTable(root string) error {
	documents, err := answered(root)
	if err != nil {
		return err
	}
	return os.WriteFile(tablePath(root), []byte(table(documents)), 0o644)
}

// tablePath is where the table stands.
func tablePath(root string) string { return filepath.Join(root, "docs", "requirements.md") }

// answered is every document, with what answers its statements.
func answered(root string) ([]document, error) {
	documents, err := readDocuments(root)
	if err != nil {
		return nil, err
	}
	answers, err := readAnswers(root)
	if err != nil {
		return nil, err
	}
	return documents, attach(documents, answers)
}

func checkDocument(root, name, text string) error {
	d, err := readDocument(filepath.Join(root, "docs", "requirements", name+".txt"))
	if err != nil {
		return err
	}
	sections, err := readSections(text)
	if err != nil {
		return err
	}
	return errors.Join(compare(d, sections)...)
}

func printDraft(text string) error {
	sections, err := readSections(text)
	if err != nil {
		return err
	}
	fmt.Print(draft(sections))
	return nil
}
