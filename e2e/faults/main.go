// Command faults measures how often, and how soon, handshakes succeed over real
// sockets, on paths that lose, delay, reorder, repeat, garble or swallow datagrams:
// godwit with itself, with OpenSSL and with GnuTLS in both roles, and those with
// themselves.
//
//	go run ./faults                              # prints the tables; a quarter of an hour
//	go run ./faults -update ../docs/faults.md    # and writes them there
//	go run ./faults -runs 10 -pairing OpenSSL    # less of it
//
// It fails if a goal is missed. OpenSSL's and GnuTLS's commands must be installed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"
)

func main() {
	if err := command(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	update         string
	qlogs          string
	runs           int
	verbose        bool
	pairing, fault *regexp.Regexp
	pace           pace
}

func command(arguments []string, out, progress io.Writer) error {
	o, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	directory, err := os.MkdirTemp("", "faults")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	tables, err := plan(directory)
	if err != nil {
		return err
	}
	for i := range tables {
		o.restrict(&tables[i])
	}
	details := io.Discard
	if o.verbose {
		details = progress
	}
	r, err := o.pace.measure(jobs(tables, o.qlogs), progress, details)
	if err != nil {
		return err
	}
	var failures []error
	for _, t := range tables {
		if o.update != "" {
			failures = append(failures, t.update(o.update, r))
		}
		fmt.Fprintf(out, "%s\n", t.markdown(r))
		failures = append(failures, t.check(r))
	}
	return errors.Join(failures...)
}

func parseOptions(arguments []string) (o options, err error) {
	f := flag.NewFlagSet("faults", flag.ContinueOnError)
	f.StringVar(&o.update, "update", "", "write the tables into this `file`")
	f.IntVar(&o.runs, "runs", 0, "no more runs for each cell than so many; 0: as planned")
	f.StringVar(&o.qlogs, "qlog", "", "write what godwit does in each handshake into this `directory`")
	f.BoolVar(&o.verbose, "v", false, "say of each handshake how it ended")
	f.IntVar(&o.pace.together, "together", 128, "so many handshakes go on side by side")
	f.DurationVar(&o.pace.apart, "apart", 80*time.Millisecond, "their beginnings are so far apart")
	pairing := f.String("pairing", "", "run only pairings that match this `expression`")
	fault := f.String("fault", "", "run only faults that match this `expression`")
	if err := f.Parse(arguments); err != nil {
		return o, err
	}
	if o.pairing, err = regexp.Compile(*pairing); err != nil {
		return o, err
	}
	o.fault, err = regexp.Compile(*fault)
	return o, err
}

// restrict leaves of a table what the options want.
func (o options) restrict(t *table) {
	t.pairings = slices.DeleteFunc(t.pairings, func(p pairing) bool { return !o.pairing.MatchString(p.name()) })
	t.faults = slices.DeleteFunc(slices.Clone(t.faults), func(f fault) bool { return !o.fault.MatchString(f.name) })
	if o.runs > 0 {
		t.runs = min(t.runs, o.runs)
	}
}
