package peer

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a program: what hangs ends.
const patience = time.Minute

// Find returns the path of a program that Debian packages. Where it is missing
// the test is skipped, except in CI, where it fails.
func Find(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing: .ci/install installs it", program)
	default:
		t.Skipf("%s is not installed", program)
	}
	return path
}

// A process is a program whose output is read as it comes.
type process struct {
	t       testing.TB
	command *exec.Cmd
	stdin   io.WriteCloser

	mu      sync.Mutex
	changed chan struct{} // closed at the next output, and at the end
	stdout  bytes.Buffer
	stderr  bytes.Buffer
	ended   bool
}

// start runs a program in a process group of its own, which ends with the test.
func start(t testing.TB, environment []string, program string, arguments ...string) *process {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's /proc to find the ports of servers")
	}
	p := &process{t: t, command: exec.Command(program, arguments...), changed: make(chan struct{})}
	p.command.Env = append(os.Environ(), environment...)
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.command.Stdout = output{p, &p.stdout}
	p.command.Stderr = output{p, &p.stderr}
	var err error
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		p.command.Wait() // the exit status is read from ProcessState
		p.change(func() { p.ended = true })
	}()
	t.Cleanup(func() {
		p.kill()
		<-reaped
	})
	return p
}

// output is one of the two streams that a process writes.
type output struct {
	process *process
	buffer  *bytes.Buffer
}

func (o output) Write(b []byte) (int, error) {
	o.process.change(func() { o.buffer.Write(b) })
	return len(b), nil
}

func (p *process) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait returns when the condition holds for what was written so far, or when
// the process has ended. It says whether one of them came in time.
func (p *process) wait(condition func(stdout, stderr string) bool) bool {
	late := time.After(patience)
	for {
		p.mu.Lock()
		done := p.ended || condition(p.stdout.String(), p.stderr.String())
		changed := p.changed
		p.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-changed:
		case <-late:
			return false
		}
	}
}

// await is wait on the test's goroutine: too late is the end of the test.
func (p *process) await(what string, condition func(stdout, stderr string) bool) {
	p.t.Helper()
	if !p.wait(condition) {
		p.t.Fatalf("%s never came to %s\n%s", p.command.Path, what, p.log())
	}
}

// exit waits for the end and returns the exit status.
func (p *process) exit() int {
	p.t.Helper()
	p.await("its end", func(string, string) bool { return false })
	return p.command.ProcessState.ExitCode()
}

// stop ends a program that would go on, and waits for the rest of its output.
func (p *process) stop() {
	p.t.Helper()
	p.kill()
	p.exit()
}

func (p *process) kill() {
	syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL) // it may have ended by itself
}

func (p *process) output() (stdout, stderr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String(), p.stderr.String()
}

// log is the command and what it wrote, without GnuTLS's debug lines.
func (p *process) log() string {
	stdout, stderr := p.output()
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n", strings.Join(p.command.Args, " "))
	for line := range strings.Lines(stdout + stderr) {
		if !strings.HasPrefix(line, "|<") {
			text.WriteString(line)
		}
	}
	return text.String()
}

// A Daemon is a server that goes on until its test ends.
type Daemon struct {
	*process
	at string
}

// Address is where it listens.
func (d Daemon) Address() string { return d.at }

// Output is what it said, once it has said what is awaited.
func (d Daemon) Output(awaited string) string {
	d.t.Helper()
	d.await(awaited, func(stdout, stderr string) bool { return strings.Contains(stdout+stderr, awaited) })
	return d.log()
}

// address waits until the process has a socket of the network ("tcp", "udp")
// that receives, and returns where. The kernel tells, so that no program has to
// be trusted with a port that was free a moment ago.
func (p *process) address(network string) string {
	p.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); ; {
		if port := BoundPort(p.command.Process.Pid, network); port != 0 {
			return fmt.Sprintf("127.0.0.1:%d", port)
		}
		p.mu.Lock()
		ended := p.ended
		p.mu.Unlock()
		if ended {
			p.t.Fatalf("the server ended before it listened\n%s", p.log())
		}
		select {
		case <-tick.C:
		case <-late:
			p.t.Fatalf("the server never listened\n%s", p.log())
		}
	}
}

// BoundPort finds a process's first IPv4 socket in the kernel's tables (proc(5)),
// 0 if there is none yet.
func BoundPort(pid int, network string) uint16 {
	// States as in the kernel's tcp_states.h: TCP_LISTEN, and TCP_CLOSE for an unconnected UDP socket.
	state := map[string]string{"tcp": "0A", "udp": "07"}[network]
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	inodes := make(map[string]bool)
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, "socket:[") {
			inodes[strings.Trim(target, "socket:[]")] = true
		}
	}
	table, err := os.ReadFile("/proc/net/" + network)
	if err != nil || len(inodes) == 0 {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != state || !inodes[fields[9]] {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
			return uint16(port)
		}
	}
	return 0
}
