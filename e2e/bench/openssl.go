package main

import (
	"crypto/tls"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// openSSL is DTLS 1.2 of OpenSSL: a program in C, compiled when it is needed.
type openSSL struct {
	*process
	version string
}

//go:embed openssl/openssl.c
var openSSLProgram string

// startOpenSSL fails where there is no C compiler, or no libssl to compile with.
func startOpenSSL() (*openSSL, error) {
	directory, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(directory)
	program := filepath.Join(directory, "openssl")
	compile := exec.Command("cc", "-O2", "-o", program, "-x", "c", "-", "-lssl", "-lcrypto")
	compile.Stdin = strings.NewReader(openSSLProgram)
	if said, err := compile.CombinedOutput(); err != nil {
		first, _, _ := strings.Cut(string(said), "\n")
		return nil, fmt.Errorf("it needs cc and libssl-dev: %w %s", err, first)
	}
	p, err := start(program)
	if err != nil {
		return nil, err
	}
	version, err := p.line()
	return &openSSL{p, version}, err
}

func (o *openSSL) name() string { return "OpenSSL DTLS 1.2" }

// A commandTask is a line that the program is told, with %v for the
// milliseconds.
type commandTask struct {
	openSSL *openSSL
	command string
}

func (t commandTask) run(d time.Duration) (sample, error) {
	if _, err := fmt.Fprintf(t.openSSL.in, t.command+"\n", float64(d)/float64(time.Millisecond)); err != nil {
		return nil, err
	}
	return t.openSSL.sample()
}

func (commandTask) close() {}

func (o *openSSL) records(size int) (task, error) {
	return commandTask{o, fmt.Sprintf("records %d %%v", size)}, nil
}

func (o *openSSL) handshakes(h handshake) (task, error) {
	switch {
	case h.group != 0 && h.group != tls.X25519:
		return nil, errors.ErrUnsupported
	case h.resumes:
		return commandTask{o, "handshakes resumed %v"}, nil
	}
	return commandTask{o, "handshakes full %v"}, nil
}

func (o *openSSL) idle(pairs int) (task, error) {
	return commandTask{o, fmt.Sprintf("idle %d %%v", pairs)}, nil
}

func (o *openSSL) datagrams(size, batch int) (task, error) {
	if batch > 1 {
		return nil, errors.ErrUnsupported
	}
	return commandTask{o, fmt.Sprintf("datagrams %d %%v", size)}, nil
}

func (o *openSSL) listener(int) (task, error) { return nil, errors.ErrUnsupported }
