package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A process is another one that answers in lines. What it complains of goes where
// our own complaints go.
type process struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func start(program string, arguments ...string) (*process, error) {
	command := exec.Command(program, arguments...)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return &process{command, in, bufio.NewReader(out)}, nil
}

// startAgain starts this program with other arguments.
func startAgain(arguments ...string) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(program, arguments...)
}

// line is the next that it says.
func (p *process) line() (string, error) {
	line, err := p.out.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// sample is the next line, if it is one.
func (p *process) sample() (sample, error) {
	line, err := p.line()
	if err != nil {
		return nil, err
	}
	return parseSample(line)
}

// stop ends it, if it hasn't ended.
func (p *process) stop() {
	p.command.Process.Kill()
	p.command.Wait()
}
