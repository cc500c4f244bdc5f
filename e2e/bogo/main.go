// Command bogo is the shim between this library and BoGo, the protocol suite of
// BoringSSL: for every test the suite's runner starts it with flags, lets it
// dial back, and then misbehaves in one particular way. It is written against
// the public API alone.
//
// README.md says how to run the suite.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/godwit-dtls/godwit/tls"
)

// What the runner understands of an exit code.
const (
	exitFailure       = 1
	exitUnimplemented = 89 // the test is skipped
)

// errUnimplemented wraps what a test asks of the library that it can't do.
var errUnimplemented = errors.New("not implemented")

func main() {
	err := run(os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, errUnimplemented):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitUnimplemented)
	default:
		fmt.Fprintf(os.Stderr, ":%s:\n%v\n", reason(err), err)
		os.Exit(exitFailure)
	}
}

func run(arguments []string) error {
	p, err := parseFlags(arguments)
	if err != nil {
		return err
	}
	if p.initial.askedForHandshaker {
		fmt.Println("No") // the handshake can't be split over two processes
		return nil
	}
	f := newFamily()
	for i := range 1 + p.initial.resumptions {
		if err := f.converse(p, i); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return nil
}

// converse is connection i of a family, from its first byte to its last. A client
// whose early data is rejected, as expected, tries again on the same connection.
func (f *family) converse(p *plan, i int) error {
	s, again := p.settings(i), i > 0
	socket, err := dial(s)
	if err != nil {
		return err
	}
	defer drain(socket)
	c, err := f.connect(s, again, socket)
	if err != nil {
		return err
	}
	err = c.converse()
	if retries := again && !s.server && s.expect.rejectsEarlyData; retries && (err == nil || errors.Is(err, tls.ErrEarlyDataRejected)) {
		if err == nil {
			return errors.New("expected the early data to be rejected, and it was not")
		}
		c.early.ForgetEarlyData()
		c.settings, c.observer.settings, c.sessions.settings = p.retried, p.retried, p.retried
		err = c.converse()
	}
	if err != nil {
		return c.settings.expect.checkRejection(err)
	}
	f.end(c)
	return nil
}

// dial connects to the runner and says which test this is.
func dial(s *settings) (*net.TCPConn, error) {
	host := "127.0.0.1"
	if s.ipv6 {
		host = "::1"
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(s.port)))
	if err != nil {
		return nil, err
	}
	_, err = conn.Write(binary.LittleEndian.AppendUint64(nil, s.shimID))
	return conn.(*net.TCPConn), err
}

// drain ends our half of a connection and waits for the runner's. Closed with
// unread bytes, the socket would throw away the alert that the runner waits for.
func drain(socket *net.TCPConn) {
	socket.CloseWrite()
	io.Copy(io.Discard, socket)
	socket.Close()
}
