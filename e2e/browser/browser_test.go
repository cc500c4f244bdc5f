package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/e2e/peer"
)

// Each scenario of the table, once, in one browser.
func TestScenarios(t *testing.T) {
	peer.Find(t, chromium[0])
	stage, err := openStage(nil)
	if err != nil {
		t.Fatal(err)
	}
	group, profile := stage.browser.command.Process.Pid, stage.browser.profile
	defer func() {
		if err := stage.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(profile); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the profile is left: %v", err)
		}
		if left := living(group); len(left) > 0 {
			t.Errorf("of the browser there are left: %q", left)
		}
	}()
	for _, c := range scenarios() {
		t.Run(c.String(), func(t *testing.T) {
			c.seed = 9 // with which SCTP doesn't wait for long
			began := time.Now()
			got, err := stage.perform(t.Context(), c)
			if err != nil {
				t.Error(err)
			}
			t.Logf("%+v in %v", got, time.Since(began).Round(time.Millisecond))
		})
	}
}

// living are the processes of a group that are no zombies, as Linux tells (proc(5)).
func living(group int) (processes []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid pgrp ...: the name may have anything in it
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 2 && fields[0] != "Z" && fields[2] == strconv.Itoa(group) {
			processes = append(processes, string(text))
		}
	}
	return processes
}

// --- Without a browser

func TestNoBrowser(t *testing.T) {
	if _, err := openStage([]string{filepath.Join(t.TempDir(), "chromium")}); !errors.Is(err, errNoBrowser) {
		t.Errorf("a browser that isn't there: %v", err)
	}
	err := execute(t.Context(), []string{"--", "sh", "-c", "echo no display >&2; exit 1"}, t.Output())
	if !errors.Is(err, errBrowserEnded) || !strings.Contains(err.Error(), "no display") {
		t.Errorf("a browser that ends at once: %v", err)
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-role", "client", "-version", "1.2", "-loss", "20", "-seed", "7", "-json", "--", "firefox-esr", "--headless"})
	want := scenario{role: "client", version: "1.2", media: "audio", bytes: lossyBytes, loss: 20}
	if err != nil || len(o.scenarios) != 1 || o.scenarios[0] != want || o.seed != 7 || !o.json || !slices.Equal(o.command, []string{"firefox-esr", "--headless"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse([]string{"-all"}); err != nil || len(o.scenarios) != len(scenarios()) || len(o.command) != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{{"-role", "both"}, {"-version", "1.1"}, {"-group", "P-999"}, {"-media", "smell"}, {"-loss", "101"}, {"-echo", "-1"}, {"-wrong", "both"}, {"-runs", "0"}, {"-version", "1.2", "-group", "X25519MLKEM768"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

// What is right for one scenario is wrong for the others.
func TestJudge(t *testing.T) {
	good := report{Opened: true, Echoed: echoBytes, Packets: frames, TLSVersion: "FEFC", DTLSRole: "client"}
	c := scenario{role: "server", version: "1.3", group: "X25519", media: "audio", bytes: echoBytes}
	judge := func(c scenario, p report) error {
		r := newRun(t.Context(), 1, c)
		r.opened, r.state.Group = true, "X25519"
		_, err := r.judge(p)
		return err
	}
	if err := judge(c, good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*scenario, *report){
		"version":  func(_ *scenario, p *report) { p.TLSVersion = "FEFD" },
		"role":     func(c *scenario, _ *report) { c.role = "client" },
		"group":    func(c *scenario, _ *report) { c.group = "X25519MLKEM768" },
		"bytes":    func(_ *scenario, p *report) { p.Echoed-- },
		"packets":  func(_ *scenario, p *report) { p.Packets-- },
		"keys":     func(c *scenario, _ *report) { c.wrong = mediaKeys },
		"closed":   func(_ *scenario, p *report) { p.Opened = false },
		"error":    func(_ *scenario, p *report) { p.Error = "no" },
		"ours":     func(c *scenario, _ *report) { c.wrong = ourPrint },
		"browsers": func(c *scenario, p *report) { c.wrong, p.Opened, p.DTLSState = browsersPrint, false, "failed" },
	} {
		c, p := c, good
		change(&c, &p)
		if judge(c, p) == nil {
			t.Errorf("%s: %+v is right for %v", name, p, c)
		}
	}
}

func TestSpoilFingerprints(t *testing.T) {
	const description = "v=0\r\na=fingerprint:sha-256 AB:CD\r\na=setup:active\r\na=fingerprint:sha-256 00:CD\r\n"
	const want = "v=0\r\na=fingerprint:sha-256 00:CD\r\na=setup:active\r\na=fingerprint:sha-256 01:CD\r\n"
	if got := spoilFingerprints(description); got != want {
		t.Errorf("%q", got)
	}
}

// A sink is a path that counts what is written.
type sink struct {
	net.Conn
	written []byte
}

func (s *sink) Write(p []byte) (int, error) {
	s.written = append(s.written, p[0])
	return len(p), nil
}

// The same seed loses the same datagrams of a direction, about as many as it shall.
func TestLossy(t *testing.T) {
	pass := func(seed int64) []byte {
		s := &sink{}
		link := newRun(t.Context(), 1, scenario{loss: 20, seed: seed}).link(s)
		for i := range 1000 {
			link.Write([]byte{byte(i)})
		}
		return s.written
	}
	first := pass(1)
	if n := len(first); n < 750 || n > 850 {
		t.Errorf("%d of 1000 get through", n)
	}
	if string(pass(1)) != string(first) {
		t.Error("the same seed loses others")
	}
	if string(pass(2)) == string(first) {
		t.Error("another seed loses the same")
	}
	if s := (&sink{}); newRun(t.Context(), 1, scenario{}).link(s) != net.Conn(s) {
		t.Error("a path without disturbance is another one")
	}
}

func TestTable(t *testing.T) {
	r := &row{scenario: scenario{role: "server", version: "1.3", group: "X25519", media: "audio"}}
	for i := range 10 {
		r.add(result{Opened: true, Milliseconds: float64(10 - i), Browser: "Godzilla/1.0"}, nil)
	}
	r.add(result{}, errors.New("failed"))
	name := filepath.Join(t.TempDir(), "page.md")
	before, after := "before\n"+section.Begin(), section.End()+"after\n"
	if err := os.WriteFile(name, []byte(before+"old\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	table := table{r}
	if err := table.update(name); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	const line = "| server | 1.3 | X25519 | audio | 10 of 11 | 6.0 | 10.0 | 10.0 |\n"
	if s := string(text); !strings.HasPrefix(s, before) || !strings.HasSuffix(s, after) || !strings.Contains(s, line) || strings.Contains(s, "old") {
		t.Errorf("%s", text)
	}
	if table.failed() != 1 {
		t.Errorf("%d failed", table.failed())
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if table.update(name) == nil {
		t.Error("a file without a table is updated")
	}
}
