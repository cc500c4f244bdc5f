package main

import (
	"bufio"
	"fmt"
	"io"
	"runtime"

	"github.com/godwit-dtls/godwit/dtls"
)

// A dormitory is the process where connections sleep: this program, started with
// "dormitory". It says where it listens, sends back what it gets, and for each line
// that it reads says what it has come to.
type dormitory struct {
	*process
	address string
}

func startDormitory() (*dormitory, error) {
	p, err := startAgain("dormitory", godwitDTLS13.name(), "echo")
	if err != nil {
		return nil, err
	}
	address, err := p.line()
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the dormitory's address: %w", err)
	}
	return &dormitory{p, address}, nil
}

// state is its CPU time so far, and the heap that it holds.
func (d *dormitory) state() (sample, error) {
	if _, err := fmt.Fprintln(d.in); err != nil {
		return nil, err
	}
	return d.sample()
}

// beDormitory is what the process does.
func beDormitory(in io.Reader, out io.Writer) error {
	_, config := godwitDTLS13.stack.(godwit).configs(handshake{})
	config.ConnectionIDs = dtls.RandomConnectionIDs(8)
	l, err := dtls.Listen("udp4", loopback, config)
	if err != nil {
		return err
	}
	defer l.Close()
	go l.Serve(func(c *dtls.Conn, data []byte) {
		if len(data) > 0 {
			c.Write(data) // lost or not, the client asks again
		}
	})
	fmt.Fprintln(out, l.Addr())
	for lines := bufio.NewScanner(in); lines.Scan(); {
		used := cpuTime() // without what it takes to look
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // pools are emptied in two steps
		runtime.ReadMemStats(&m)
		s := sample{cost: float64(used), serverHeap: float64(m.HeapAlloc), serverStacks: float64(m.StackInuse), serverGoroutines: float64(runtime.NumGoroutine())}
		if _, err := fmt.Fprintln(out, s); err != nil {
			return err
		}
	}
	return nil
}
