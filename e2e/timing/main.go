// Command timing looks whether the time that godwit takes depends on a secret, as
// dudect does (Reparaz, Balasch, Verbauwhede 2017): it times one thing with inputs of
// two classes, which come in an order drawn by lot, and asks Welch's t-test whether
// the times have one mean.
//
//	go run ./timing                                # prints the table; five minutes
//	go run ./timing -only 'CBC|control' -samples 1000000
//	go run ./timing -update ../docs/timing.md      # writes the table there
//
// docs/timing.md says how to read it. Times are no tests: what go test runs of this is
// the statistics, over samples that it makes itself.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"time"

	"github.com/godwit-dtls/godwit/e2e/machine"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "timing:", err)
		os.Exit(1)
	}
}

func run(arguments []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("timing", flag.ContinueOnError)
	samples := flags.Int("samples", 400_000, "how many times of each subject to take; of those that need a handshake for each, a tenth")
	only := flags.String("only", "", "measure the subjects whose rows of the table match this")
	update := flags.String("update", "", "write the table into this file")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of the classes' order")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	r := report{load: machine.Load(), samples: *samples}
	lot := rand.New(rand.NewPCG(*seed, 0))
	for _, s := range subjects() {
		if !wanted.MatchString(s.row()) {
			continue
		}
		fmt.Fprintln(progress, s.name)
		times, err := s.measure(*samples, lot)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.add(s, times)
	}
	if *update != "" {
		return r.update(*update)
	}
	_, err = fmt.Fprint(out, r)
	return err
}
