package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// A program is a stack that consists of two commands, both of DTLS 1.2.
type program struct {
	server []string
	host   netip.Addr // where the server is found
	client func(host, port string) []string
	done   string // what the client says when it is connected
}

// openSSL is openssl s_server, which always asks for a cookie, and s_client. Without
// -mtu their datagrams have 228 bytes at most.
func openSSL(l *pki.Leaf, both ...string) program {
	// Reading all of the system's roots would take longer than a handshake.
	both = append([]string{"-dtls1_2", "-no-CAfile", "-no-CApath", "-no-CAstore"}, both...)
	return program{
		append([]string{"openssl", "s_server", "-accept", netip.AddrPortFrom(loopback, 0).String(), "-cert", l.Chain, "-cert_chain", l.Intermediate, "-key", l.Key}, both...),
		loopback,
		func(host, port string) []string {
			return append([]string{"openssl", "s_client", "-connect", net.JoinHostPort(host, port), "-brief"}, both...)
		},
		"CONNECTION ESTABLISHED",
	}
}

// gnuTLS is gnutls-serv, which always asks for a cookie, and gnutls-cli.
func gnuTLS(l *pki.Leaf) program {
	const priority = "NORMAL:-VERS-ALL:+VERS-DTLS1.2"
	return program{
		[]string{"gnutls-serv", "--udp", "--port", "0", "--echo", "--disable-client-cert", "--priority", priority, "--x509certfile", l.Chain, "--x509keyfile", l.Key},
		netip.AddrFrom4([4]byte{127, 0, 0, 1}), // it listens everywhere, and that is what it answers from
		func(host, port string) []string {
			// stdbuf: into a pipe it would say nothing before its end.
			return []string{"stdbuf", "-oL", "gnutls-cli", "--udp", host, "--port", port, "--insecure", "--priority", priority}
		},
		"Handshake was completed",
	}
}

// serve starts the server. That its client is connected says that it is, too: in 1.2
// the client is the later one.
func (p program) serve(s *stage) (address string, connected <-chan struct{}, err error) {
	server, err := start(s, "", p.server)
	if err != nil {
		return "", nil, err
	}
	done := make(chan struct{})
	close(done)
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if port := peer.BoundPort(server.Process.Pid, "udp"); port != 0 {
			tick.Stop()
			return netip.AddrPortFrom(p.host, port).String(), done, nil
		}
		select {
		case <-tick.C:
		case <-server.ended: // at the latest when the stage ends
			return "", nil, fmt.Errorf("%s ended before it listened: %s", p.server[0], server.output.text())
		}
	}
}

func (p program) connect(s *stage, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	client, err := start(s, p.done, p.client(host, port))
	if err != nil {
		return setupError{err}
	}
	select {
	case <-client.output.found:
		return nil
	case <-client.ended:
	}
	return errors.Join(s.Err(), errors.New(client.output.text()))
}

// A process runs until its stage ends, with a standard input in which nothing comes.
type process struct {
	*exec.Cmd
	output *output
	ended  chan struct{}
}

// start starts a command, and watches what it says for a text.
func start(s *stage, awaited string, command []string) (*process, error) {
	p := &process{exec.CommandContext(s, command[0], command[1:]...), newOutput(awaited), make(chan struct{})}
	p.Stdout, p.Stderr = p.output, p.output
	in, err := p.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := p.Start(); err != nil {
		return nil, err
	}
	s.atEnd(func() { in.Close() })
	s.running.Go(func() {
		p.Wait()
		close(p.ended)
	})
	return p, nil
}

// An output is what a process has said.
type output struct {
	awaited string
	found   chan struct{} // closed when awaited was said

	mu   sync.Mutex
	said bytes.Buffer
}

func newOutput(awaited string) *output { return &output{awaited: awaited, found: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said.Write(b)
	if o.awaited != "" && strings.Contains(o.said.String(), o.awaited) {
		close(o.found)
		o.awaited = ""
	}
	return len(b), nil
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.String()
}
