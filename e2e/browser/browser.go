package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// chromium is what is started unless another command is given: without a display, on
// a page of loopback that may use loopback, whose addresses have no other names.
var chromium = []string{"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
	"--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns"}

// errNoBrowser says that the program isn't there.
var errNoBrowser = errors.New("no browser to start (.ci/install has Chromium; -- COMMAND starts another)")

// A browser is a process, with all that it starts.
type browser struct {
	command *exec.Cmd
	profile string // empty: the command has its own
	said    strings.Builder
	ended   chan struct{}
}

// startBrowser opens a page, with the command, or with Chromium and a fresh profile.
func startBrowser(command []string, url string) (*browser, error) {
	b := &browser{ended: make(chan struct{})}
	if len(command) == 0 {
		var err error
		if b.profile, err = os.MkdirTemp("", "godwit-browser-"); err != nil {
			return nil, err
		}
		command = append(chromium[:len(chromium):len(chromium)], "--user-data-dir="+b.profile)
	}
	b.command = exec.Command(command[0], append(command[1:len(command):len(command)], url)...)
	b.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(b.command.SysProcAttr)
	b.command.Stdout, b.command.Stderr = &b.said, &b.said
	b.command.WaitDelay = time.Second // a child that outlives it may hold its output open
	started := make(chan error)
	go b.run(started)
	if err := <-started; err != nil {
		os.RemoveAll(b.profile)
		return nil, fmt.Errorf("%w: %w", errNoBrowser, err)
	}
	return b, nil
}

// run keeps the thread that starts the process: for Linux that is the parent.
func (b *browser) run(started chan<- error) {
	runtime.LockOSThread()
	defer close(b.ended)
	err := b.command.Start()
	started <- err
	if err == nil {
		b.command.Wait() // killed, as a rule
	}
}

// stop ends the whole process group, and waits until nothing is left of it: for a second
// at most, since who has adopted a process may never bury it.
func (b *browser) stop() error {
	group := -b.command.Process.Pid
	syscall.Kill(group, syscall.SIGKILL) // it may have ended by itself
	<-b.ended
	for end := time.Now().Add(time.Second); syscall.Kill(group, 0) == nil && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if b.profile == "" {
		return nil
	}
	return os.RemoveAll(b.profile)
}

// errBrowserEnded says that the process has ended by itself.
var errBrowserEnded = errors.New("the browser has ended")

// err is the last that it said, once it has ended.
func (b *browser) err() error {
	said := b.said.String()
	return fmt.Errorf("%w: %v: %s", errBrowserEnded, b.command.ProcessState, said[max(0, len(said)-2000):])
}
