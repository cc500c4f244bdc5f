package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// testRestart kills a server's process again and again; its client goes on talking, in
// one connection, and never hears a word twice.
func testRestart(t *testing.T, s dtls.Store, environment string) {
	for _, version := range []uint16{dtls.VersionDTLS13, dtls.VersionDTLS12} {
		server := startServer(t, environment, "127.0.0.1:0", "", "")
		conn, err := dtls.Dial("udp", server.address, clientConfig(version))
		if err != nil {
			t.Fatal(err)
		}
		echo(t, conn, "first")
		name := server.line(t, "name ")
		for round := range 3 {
			for i := range 10 {
				echo(t, conn, fmt.Sprintf("%d.%d", round, i))
			}
			server.kill()
			server = startServer(t, environment, server.address, conn.LocalAddr().String(), name)
		}
		echo(t, conn, "last")
		id, _ := hex.DecodeString(name)
		if value, _, err := s.Load(context.Background(), string(id)); err != nil || value == nil {
			t.Errorf("%d bytes are stored, %v", len(value), err)
		}
		conn.Close()
		server.line(t, "closed")
		if value, _, err := s.Load(context.Background(), string(id)); err != nil || value != nil {
			t.Errorf("%d bytes are stored after Close, %v", len(value), err)
		}
		server.kill()
	}
}

// echo says something until it comes back: what was in a block that died is lost.
func echo(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	b := make([]byte, 100)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
		n, err := conn.Read(b)
		for err == nil && string(b[:n]) != text { // an earlier one, again
			n, err = conn.Read(b)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	t.Fatalf("%q does not come back", text)
}

var secret = bytes.Repeat([]byte{3}, 32)

func clientConfig(version uint16) *dtls.Config {
	key := &dtls.ExternalPSK{Identity: []byte("device"), Key: secret, Use: dtls.PSKDirect}
	return &dtls.Config{Credentials: []dtls.Credential{{PSK: key}}, MinVersion: version, MaxVersion: version}
}

// --- The server's process

type serverProcess struct {
	*exec.Cmd
	lines   *bufio.Scanner
	address string
}

func startServer(t *testing.T, environment, address, client, name string) *serverProcess {
	t.Helper()
	p := exec.Command(os.Args[0], "-test.run=^TestServer$")
	p.Env = append(os.Environ(), environment, "GODWIT_LISTEN="+address, "GODWIT_CLIENT="+client, "GODWIT_NAME="+name)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	s := &serverProcess{Cmd: p, lines: bufio.NewScanner(out)}
	t.Cleanup(s.kill)
	s.address = s.line(t, "listens ")
	return s
}

// line waits for a line that begins so, and returns the rest of it.
func (s *serverProcess) line(t *testing.T, prefix string) string {
	t.Helper()
	for s.lines.Scan() {
		if rest, ok := strings.CutPrefix(s.lines.Text(), prefix); ok {
			return rest
		}
	}
	t.Fatalf("the server doesn't say %q", prefix)
	return ""
}

// kill is SIGKILL.
func (s *serverProcess) kill() {
	s.Process.Kill()
	s.Wait()
}

// TestServer is what the processes of testRestart run: it goes on with the connection
// that it is told of, or accepts one, and echoes.
func TestServer(t *testing.T) {
	address := os.Getenv("GODWIT_LISTEN")
	if address == "" {
		return // it is nobody's process
	}
	config := clientConfig(0)
	config.Store, config.StoreKey = open(), secret
	l, err := dtls.Listen("udp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listens", l.Addr())
	conn, err := serve(l, config)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	for n := 0; err == nil; n, err = conn.Read(b) {
		if n == 0 {
			continue
		}
		if _, err := conn.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("name %x\n", conn.StoreName())
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Println("closed")
	time.Sleep(time.Minute) // until it is killed
}

func serve(l *dtls.Listener, config *dtls.Config) (*dtls.Conn, error) {
	client := os.Getenv("GODWIT_CLIENT")
	if client == "" {
		return l.AcceptConn()
	}
	peer, err := net.ResolveUDPAddr("udp", client)
	if err != nil {
		return nil, err
	}
	name, err := hex.DecodeString(os.Getenv("GODWIT_NAME"))
	if err != nil {
		return nil, err
	}
	value, _, err := config.Store.Load(context.Background(), string(name))
	if err != nil {
		return nil, err
	}
	return l.Import(peer, value, config.StoreKey)
}
