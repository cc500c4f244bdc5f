// Command bench measures godwit beside others: records, handshakes, idle
// connections, sockets and listeners.
//
//	go run ./bench                                 # prints the tables; some minutes
//	go run ./bench -update ../docs/performance.md  # and writes them there, with a plot
//	go run ./bench -quick -json                    # the figures that have goals, on the last line
//	go run ./bench -sleepers 100000                # what connections cost that say little; ten minutes
//
// With -contest and -peer it measures a part, and with -cpuprofile and -memprofile
// it says where the time of that goes:
//
//	go run ./bench -contest 'records of 64' -peer 'godwit DTLS 1.3' -cpuprofile cpu.prof
//
// All peers follow the same rules; they stand in docs/performance.md.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/godwit-dtls/godwit/e2e/machine"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the command with its arguments, or what it starts itself for.
func run(arguments []string, out, progress io.Writer) error {
	if len(arguments) == 3 {
		switch arguments[0] {
		case "receive":
			return receive(out, arguments[1], arguments[2])
		case "idle":
			return rest(out, arguments[1], arguments[2])
		case "dormitory":
			return beDormitory(os.Stdin, out)
		case "target":
			return beTarget(os.Stdin, out, arguments[1], arguments[2])
		}
	}
	o, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	if o.sleepers > 0 {
		return measureSleepers(o.sleepers, o.rest, out, progress)
	}
	peers := goPeers()
	if !o.quick {
		openSSL, err := startOpenSSL()
		if err != nil {
			fmt.Fprintln(progress, "OpenSSL is left out:", err)
		} else {
			defer openSSL.stop()
			peers = append(peers, openSSL)
		}
	}
	load := machine.Load()
	stop, err := o.profile.start()
	if err != nil {
		return err
	}
	r, err := measureAll(o.plan(peers), progress)
	if err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	return o.report(document{r, peers, load}, out)
}

// measureAll runs the contests of a plan.
func measureAll(plan []contest, progress io.Writer) (results, error) {
	r := results{}
	for _, c := range plan {
		began := time.Now()
		if err := c.run(r); err != nil {
			return nil, err
		}
		fmt.Fprintf(progress, "%-32s %5.1f s\n", c.name, time.Since(began).Seconds())
	}
	return r, nil
}

// options are what the flags say.
type options struct {
	quick         bool
	json          bool
	update        string
	rounds        int
	crowd         int
	sleepers      int
	rest          time.Duration
	turn          time.Duration
	contest, peer *regexp.Regexp
	profile       profile
}

func parseOptions(arguments []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "measure only what the figures need, within 50 s")
	f.BoolVar(&o.json, "json", false, "print the figures as one JSON object on one line")
	f.StringVar(&o.update, "update", "", "write the tables into this `file`, and the plot beside it")
	f.IntVar(&o.rounds, "rounds", 0, "no more rounds than so many; 0: as planned")
	f.IntVar(&o.crowd, "crowd", 0, "no more idle connections, or clients at once, than so many; 0: as planned")
	f.DurationVar(&o.turn, "turn", 0, "how long a peer's turn takes; 0: as planned")
	f.IntVar(&o.sleepers, "sleepers", 0, "measure up to so many connections that say a word each minute, and nothing else")
	f.DurationVar(&o.rest, "rest", restTime, "how long sleepers are left alone before they are measured")
	contest := f.String("contest", "", "run only contests that match this `expression`")
	peer := f.String("peer", "", "run only peers that match this `expression`")
	f.StringVar(&o.profile.cpu, "cpuprofile", "", "write a CPU profile to this `file`")
	f.StringVar(&o.profile.memory, "memprofile", "", "write a profile of allocations to this `file`")
	if err := f.Parse(arguments); err != nil {
		return o, err
	}
	if o.contest, err = regexp.Compile(*contest); err != nil {
		return o, err
	}
	o.peer, err = regexp.Compile(*peer)
	return o, err
}

// plan is what the options want of the plan.
func (o options) plan(peers []peer) (chosen []contest) {
	plan := fullPlan(peers)
	if o.quick {
		plan = quickPlan()
	}
	for _, c := range plan {
		if !o.contest.MatchString(c.name) {
			continue
		}
		if o.rounds > 0 {
			c.rounds = min(c.rounds, o.rounds)
		}
		if o.turn > 0 {
			c.turn = o.turn
		}
		if o.crowd > 0 {
			c.crowd = min(c.crowd, o.crowd)
		}
		var asked []peer
		for _, p := range c.peers {
			if o.peer.MatchString(p.name()) {
				asked = append(asked, p)
			}
		}
		c.peers = asked
		chosen = append(chosen, c)
	}
	return chosen
}

// report prints what was measured, the JSON object last.
func (o options) report(d document, out io.Writer) error {
	if o.update != "" {
		if err := d.update(o.update); err != nil {
			return err
		}
	}
	if !o.json {
		_, err := fmt.Fprint(out, d.tables())
		return err
	}
	return writeJSON(out, d.results)
}
