// Command soak keeps godwit busy with all that it can do, and looks whether anything
// sticks: memory, goroutines, open files, or a client.
//
//	go run ./soak -for 10m                             # a table of what there was each minute
//	go run ./soak -for 40s -json                       # one JSON object, on the last line
//	go run ./soak -for 1h -update ../docs/soak.md      # writes the table there
//	go run ./soak -for 1m -faults                      # other things go wrong: sockets, callbacks, Stores
//	go run ./soak -for 10m -memprofile heap            # heap.first and heap.last, for go tool pprof -base
//
// docs/soak.md says who comes, and what the figures mean. It exits with 1 if an honest
// client failed, or anything is left.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"time"
)

func main() {
	if err := command(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// command is the command with its arguments.
func command(arguments []string, out, progress io.Writer) error {
	o, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "seed %d\n", o.seed)
	load := o.soak
	if o.faults {
		load = o.suffer
	}
	result, err := load(progress)
	if err != nil {
		return err
	}
	if err := o.show(result, out); err != nil {
		return err
	}
	return result.verdict()
}

// options are what the flags say.
type options struct {
	length   time.Duration
	rate     int
	seed     uint64
	faults   bool
	only     *regexp.Regexp // kinds of visitors, or faults
	json     bool
	update   string
	profile  string
	patience patience
}

func parseOptions(arguments []string) (options, error) {
	o := options{patience: usualPatience}
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.DurationVar(&o.length, "for", 10*time.Minute, "how long visitors come")
	f.IntVar(&o.rate, "rate", 60, "how many visitors come each second")
	f.Uint64Var(&o.seed, "seed", rand.Uint64N(1e6), "what chance comes from")
	f.BoolVar(&o.faults, "faults", false, "let something go wrong around the library instead, again and again")
	only := f.String("only", "", "let only visitors come, or faults happen, whose name matches this `expression`")
	f.BoolVar(&o.json, "json", false, "print one JSON object on one line")
	f.StringVar(&o.update, "update", "", "write the table into this `file`")
	f.StringVar(&o.profile, "memprofile", "", "write profiles of the heap into this `file`.first and .last")
	if err := f.Parse(arguments); err != nil {
		return o, err
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, err
	}
	if o.length < time.Second || o.rate < 1 {
		return o, errors.New("-for must be a second at least, and -rate 1")
	}
	return o, nil
}

const (
	// firstRound is after what load the heap is what others are compared with.
	firstRound = 5 * time.Second
	// mostRounds is how many there are behind it, at most; none is shorter than a minute.
	mostRounds = 12
)

// rounds are how long visitors come until the process is measured.
func (o options) rounds() []time.Duration {
	first := min(firstRound, o.length/4)
	rest := o.length - first
	n := min(max(1, int(rest/(59*time.Second))), mostRounds)
	all := []time.Duration{first}
	for range n {
		all = append(all, rest/time.Duration(n))
	}
	return all
}

// lingering is how long the last ones may take to go, on a machine that has no time.
func (o options) lingering() time.Duration { return o.patience.handshake + 10*o.patience.idle }

func (o options) show(r report, out io.Writer) error {
	if o.update != "" {
		if err := r.update(o.update); err != nil {
			return err
		}
	}
	if o.json {
		return r.json(out)
	}
	_, err := fmt.Fprint(out, r.table())
	return err
}
