package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/cert"
)

// patience bounds every wait: what hangs ends.
const patience = time.Minute

// A result is how a command ended.
type result struct {
	status         int
	stdout, stderr string
}

// godwit runs a command to its end.
func godwit(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr screen
	status := run(ctx, args, newConsole(stdin, &stdout, &stderr))
	if ctx.Err() != nil {
		t.Fatalf("godwit %s did not end\n%s%s", args, stdout.String(), stderr.String())
	}
	return result{status, stdout.String(), stderr.String()}
}

// expect checks an exit status, and parts of what was printed.
func (r result) expect(t *testing.T, status int, stderr ...string) result {
	t.Helper()
	if r.status != status {
		t.Errorf("exit status %d, want %d", r.status, status)
	}
	for _, part := range stderr {
		if !strings.Contains(r.stderr, part) {
			t.Errorf("standard error lacks %q", part)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	}
	return r
}

// reports are the lines of -json, which hold nothing else.
func (r result) reports(t *testing.T) (reports []map[string]any) {
	t.Helper()
	for line := range strings.Lines(r.stdout) {
		var report map[string]any
		if json.Unmarshal([]byte(line), &report) == nil {
			reports = append(reports, report)
		}
	}
	return reports
}

// report is the one of a single connection.
func (r result) report(t *testing.T) map[string]any {
	t.Helper()
	reports := r.reports(t)
	if len(reports) != 1 {
		t.Fatalf("%d reports in %q, want 1", len(reports), r.stdout)
	}
	return reports[0]
}

// A server is a serve command that runs.
type server struct {
	address     string
	fingerprint string // of its own certificate, if it made one
	interrupt   context.CancelFunc
	ended       chan result
}

// startServer runs serve on a free port, and returns when it listens.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	return startServerAt(t, "127.0.0.1:0", args...)
}

func startServerAt(t *testing.T, address string, args ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	stdout, stderr := &screen{}, &screen{changed: make(chan struct{}, 1)}
	s := &server{interrupt: cancel, ended: make(chan result, 1)}
	go func() {
		status := run(ctx, append(append([]string{"serve"}, args...), address), newConsole(nil, stdout, stderr))
		s.ended <- result{status, stdout.String(), stderr.String()}
	}()
	s.address = stderr.await(t, `listening on (\S+)`)
	if found := regexp.MustCompile(`certificate (\S+)`).FindStringSubmatch(stderr.String()); found != nil {
		s.fingerprint = found[1]
	}
	return s
}

// end waits for the end of the server.
func (s *server) end(t *testing.T) result {
	t.Helper()
	select {
	case r := <-s.ended:
		return r
	case <-time.After(patience):
		t.Fatal("the server did not end")
		return result{}
	}
}

// A screen is an output that can be looked at while it is written.
type screen struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the text matches, and returns the first group.
func (s *screen) await(t *testing.T, pattern string) string {
	t.Helper()
	late := time.After(patience)
	for {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(s.String()); found != nil {
			return found[1]
		}
		select {
		case <-s.changed:
		case <-late:
			t.Fatalf("%q never came:\n%s", pattern, s)
		}
	}
}

// A pair of files is a certificate for a name, which is its own root.
type pair struct{ cert, key string }

func newPair(t *testing.T, name string) pair {
	t.Helper()
	c, err := cert.SelfSigned(time.Now(), name)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	p := pair{filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")}
	writePEM(t, p.cert, "CERTIFICATE", c.Certificate[0])
	writePEM(t, p.key, "PRIVATE KEY", key)
	return p
}

// newAuthority makes the certificate of a root that has signed nothing.
func newAuthority(t *testing.T) (file string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "authority.pem")
	writePEM(t, file, "CERTIFICATE", der)
	return file
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUsage(t *testing.T) {
	pair := newPair(t, "localhost")
	address := "127.0.0.1:1"
	for _, args := range [][]string{
		{},
		{"fly"},
		{"demo", "-wings", "2"},
		{"demo", "south"},
		{"demo", "-loss", "91"},
		{"demo", "-loss", "some"},
		{"demo", "-seed", "-1"},
		{"demo", "-min", "1.3", "-max", "1.2"},
		{"demo", "-send", "x"},
		{"serve"},
		{"serve", address, "-tls"},
		{"serve", "-send", "x", address},
		{"serve", "-once", "0", address},
		{"serve", "-client-auth", "perhaps", address},
		{"serve", "-fingerprint", "md5:00", address},
		{"serve", "-fingerprint", "sha-256:00", address},
		{"serve", "-fingerprint", "sha-256:" + strings.Repeat("00", 32), "-client-auth", "none", address},
		{"serve", "-cert", pair.cert, address},
		{"serve", "-cert", pair.key, "-key", pair.cert, address},
		{"serve", "-keylog", t.TempDir(), address},
		{"serve", "-trace", t.TempDir(), address},
		{"connect", "-rpk", address},
		{"connect", "-rpk", "-insecure", "-ca", pair.cert, address},
		{"serve", "-rpk", "-client-auth", "require", address},
		{"connect"},
		{"connect", "nowhere"},
		{"connect", "-once", "1", address},
		{"connect", "-min", "1.1", address},
		{"connect", "-min", "1.3", "-max", "1.2", address},
		{"connect", "-mtu", "227", address},
		{"connect", "-cid", "256", address},
		{"connect", "-rrc", address},
		{"connect", "-tls", "-state", "state.json", address},
		{"connect", "-resume", "1", "-state", "state.json", address},
		{"connect", "-groups", "x25519,x25518", address},
		{"connect", "-ciphers", "TLS_NULL_WITH_NULL_NULL", address},
		{"connect", "-alpn", "a,,b", address},
		{"connect", "-export", "label", address},
		{"connect", "-export", ":32", address},
		{"connect", "-export", "label:0", address},
		{"connect", "-timeout", "0s", address},
		{"connect", "-timeout", "soon", address},
		{"connect", "-tls=perhaps", address},
		{"connect", "-ca", pair.key, address},
		{"connect", "-ca", "missing.pem", address},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			r := godwit(t, nil, args...).expect(t, 2, "Usage:")
			if r.stdout != "" {
				t.Errorf("standard output has %q", r.stdout)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}, {"demo", "-h"}, {"serve", "-help"}, {"connect", "--help"}} {
		r := godwit(t, nil, args...).expect(t, 0)
		if !strings.Contains(r.stdout, "Usage:") {
			t.Errorf("%s: standard output lacks the usage", args)
		}
	}
}
