package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// A console is the three standard streams.
type console struct {
	in       io.Reader
	out, err *output
}

func newConsole(in io.Reader, out, err io.Writer) *console {
	return &console{in, &output{w: out}, &output{w: err}}
}

// An output is a stream that several conversations write to.
type output struct {
	mu      sync.Mutex
	w       io.Writer
	midline bool // the last byte was no newline
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(p) > 0 {
		o.midline = p[len(p)-1] != '\n'
	}
	return o.w.Write(p)
}

// line writes a line that holds nothing else.
func (o *output) line(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.midline {
		io.WriteString(o.w, "\n")
		o.midline = false
	}
	fmt.Fprintf(o.w, format+"\n", args...)
}

// complain writes an error as one line.
func (o *output) complain(err error) {
	o.line("godwit: %s", strings.Join(strings.Fields(err.Error()), " "))
}
