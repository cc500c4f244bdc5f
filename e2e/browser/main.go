// Browser connects godwit and a real browser by WebRTC: it serves a page, starts the
// browser with it, and has the page connect to this program, again and again.
//
//	browser [flags] [-- COMMAND...]    Chromium, or the browser that COMMAND starts; the
//	                                   page's URL comes behind it
//
// One run, as the flags say, or -all of them. It fails unless every run comes out as it
// must: what the browser's own getStats says, the bytes that come back through the data
// channel, the RTP that the browser counts, and that nothing opens where a fingerprint is
// wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/godwit-dtls/godwit/examples/webrtc/peer"
)

func main() {
	// Whatever ends this program, the browser must not be left.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := execute(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
}

// An order is what the command line asks for.
type order struct {
	scenarios []scenario
	runs      int
	seed      int64
	json      bool
	update    string   // a file whose table is to be written
	command   []string // that starts a browser
}

func parse(args []string) (order, error) {
	flags := flag.NewFlagSet("browser", flag.ContinueOnError)
	var c scenario
	var o order
	flags.StringVar(&c.role, "role", "server", "godwit's part in the DTLS handshake: client or server")
	flags.StringVar(&c.version, "version", "1.3", "the highest version that godwit speaks: 1.2 or 1.3")
	flags.StringVar(&c.group, "group", "", "the only `group` of godwit's: X25519MLKEM768, X25519 or secp256r1; by default all")
	media := flags.String("media", "audio", "what godwit sends: audio, video, or nothing if it is empty")
	flags.IntVar(&c.bytes, "echo", 0, "`bytes` to be echoed; by default 1 MiB, or 4 KiB with -loss")
	flags.IntVar(&c.loss, "loss", 0, "`percent` of the datagrams that get lost, each way")
	flags.Int64Var(&o.seed, "seed", 1, "which of them get lost in the first run; each one after it has the next seed")
	flags.StringVar((*string)(&c.wrong), "wrong", "", "what is wrong: ours or theirs (the fingerprint of our certificate, or of the browser's), or keys (of media)")
	all := flags.Bool("all", false, "every scenario that the table has, instead of the one that flags describe")
	flags.IntVar(&o.runs, "runs", 1, "`how many` runs of each scenario")
	flags.BoolVar(&o.json, "json", false, "print each run as a JSON object on a line")
	flags.StringVar(&o.update, "update", "", "write the table of medians into this `file`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.runs < 1 {
		return o, fmt.Errorf("-runs %d: expected at least one", o.runs)
	}
	o.command = flags.Args()
	if o.scenarios = scenarios(); !*all {
		c.media = peer.Kind(*media)
		if c.bytes == 0 {
			c.bytes = echoBytes
			if c.loss > 0 {
				c.bytes = lossyBytes
			}
		}
		o.scenarios = []scenario{c}
	}
	for _, s := range o.scenarios {
		if err := s.validate(); err != nil {
			return o, err
		}
	}
	return o, nil
}

func execute(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	stage, err := openStage(o.command)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.close()) }()
	var table table
	for _, c := range o.scenarios {
		row, err := o.repeat(ctx, stage, c, out)
		if err != nil {
			return err
		}
		table = append(table, row)
		if !o.json {
			fmt.Fprintln(out, row)
		}
	}
	if n := table.failed(); n > 0 {
		return fmt.Errorf("%d runs failed", n)
	}
	if o.update != "" {
		return table.update(o.update)
	}
	return nil
}

// repeat does the runs of one scenario. Its error is what ends them all.
func (o order) repeat(ctx context.Context, stage *stage, c scenario, out io.Writer) (*row, error) {
	row := &row{scenario: c}
	for i := range o.runs {
		c.seed = o.seed + int64(i)
		r, err := stage.perform(ctx, c)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, errBrowserEnded):
			return nil, err
		case err != nil:
			fmt.Fprintf(os.Stderr, "%v, run %d, seed %d: %v\n", c, i+1, c.seed, err)
		}
		row.add(r, err)
		if o.json {
			json.NewEncoder(out).Encode(r)
		}
	}
	return row, nil
}
