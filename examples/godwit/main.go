// Godwit holds secure datagram conversations from the command line, and TLS
// ones too, in the spirit of OpenSSL's s_client and s_server:
//
//	godwit demo [flags]          a server and a client in one process, drawn as a ladder
//	godwit serve [flags] ADDR    a server that echoes
//	godwit connect [flags] ADDR  a client for one message, or for standard input
//
// The exit status is 0 if all went well, 1 if a connection failed (one line on
// standard error says with which alert, by whose fault, and what was expected),
// and 2 if the command line can't be used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], newConsole(os.Stdin, os.Stdout, os.Stderr))
	stop()
	os.Exit(status)
}

// A command is one of the three things that the program does.
type command struct {
	kind      commands
	name      string
	arguments string
	summary   string
	run       func(context.Context, *options, *console) error
}

var commandTable = []command{
	{demos, "demo", "[flags]", "let a client and a server talk over loopback UDP, and draw what they say", demo},
	{serves, "serve", "[flags] ADDR", "echo each record", serve},
	{connects, "connect", "[flags] ADDR", "send a text, or copy standard input", connect},
}

// The exit statuses.
const (
	statusClean  = 0
	statusFailed = 1
	statusUsage  = 2
)

// run is main without the process around it.
func run(ctx context.Context, args []string, con *console) int {
	if len(args) == 0 {
		printCommands(con.err)
		return statusUsage
	}
	for _, c := range commandTable {
		if c.name == args[0] {
			return c.status(c.execute(ctx, args[1:], con), con)
		}
	}
	if strings.TrimLeft(args[0], "-") == "help" || args[0] == "-h" {
		printCommands(con.out)
		return statusClean
	}
	con.err.line("godwit: there is no command %q", args[0])
	printCommands(con.err)
	return statusUsage
}

func (c command) execute(ctx context.Context, args []string, con *console) error {
	o, err := c.parse(args)
	if err != nil {
		return err
	}
	return c.run(ctx, o, con)
}

// A usageError is a command line that can't be used.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported is a failure that standard error already tells.
var errReported = errors.New("already reported")

// status says what there is to say about an error, and how the process ends.
func (c command) status(err error, con *console) int {
	var usage usageError
	switch {
	case err == nil:
		return statusClean
	case errors.Is(err, flag.ErrHelp):
		c.printUsage(con.out)
		return statusClean
	case errors.As(err, &usage):
		con.err.line("godwit %s: %v", c.name, err)
		c.printUsage(con.err)
		return statusUsage
	case !errors.Is(err, errReported):
		con.err.complain(err)
	}
	return statusFailed
}

func printCommands(w io.Writer) {
	var text strings.Builder
	text.WriteString("Usage:\n")
	for _, c := range commandTable {
		fmt.Fprintf(&text, "  godwit %-7s %-13s %s\n", c.name, c.arguments, c.summary)
	}
	text.WriteString("\"godwit COMMAND -h\" lists the flags of a command.\n")
	io.WriteString(w, text.String())
}
