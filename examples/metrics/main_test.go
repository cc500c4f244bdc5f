package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

func TestDemo(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"demo"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\ndtls_handshake_seconds_bucket{le=\"+Inf\"} 20\n",
		"\ndtls_handshake_seconds_count 20\n",
		"\ndtls_records_dropped_total{reason=\"header\"} 100\n", // noise
		"\n20 handshakes, ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// Each line of a page has the form that Prometheus reads, behind the line that says what
// it is, and buckets only grow.
func TestPage(t *testing.T) {
	var stats dtls.ListenerStats
	stats.Handshakes.Times[1] = dtls.HandshakeTimes{AtMost: 5 * time.Millisecond, Count: 2}
	stats.Handshakes.Times[2] = dtls.HandshakeTimes{AtMost: time.Second, Count: 3}
	stats.Handshakes.Sum = 1500 * time.Millisecond
	stats.Conns.Dropped.Replay = 7
	text := page(stats).String()
	sample, described := regexp.MustCompile(`^([a-z_]+?)(_bucket|_sum|_count)?(\{[a-z]+="[^"]+"\})? [0-9.]+$`), ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if kind, ok := strings.CutPrefix(line, "# TYPE "); ok {
			described, _, _ = strings.Cut(kind, " ")
		} else if m := sample.FindStringSubmatch(line); !strings.HasPrefix(line, "# HELP ") && (m == nil || m[1] != described) {
			t.Errorf("%q of %q", line, described)
		}
	}
	for _, want := range []string{`_bucket{le="0.005"} 2`, `_bucket{le="1"} 5`, "_seconds_sum 1.5", `{reason="replay"} 7`, `{reason="change_cipher_spec"} 0`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

// The server shows its figures as both, and ends with its context.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error)
	go func() { ended <- run(ctx, []string{"-listen", "127.0.0.1:0", "-http", "127.0.0.1:0"}, in) }()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`at (\S+); figures at (http://[0-9.:]+)`).FindStringSubmatch(string(line[:n]))
	if err := talk(ctx, found[1], dtls.VersionDTLS13); err != nil {
		t.Fatal(err)
	}
	get := func(path string) []byte {
		answer, err := http.Get(found[2] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatal(answer.Status, err)
		}
		return text
	}
	if text := string(get("/metrics")); !strings.Contains(text, "\ndtls_handshake_seconds_count 1\n") {
		t.Error(text)
	}
	var vars struct{ DTLS map[string]dtls.ListenerStats }
	if err := json.Unmarshal(get("/debug/vars"), &vars); err != nil || vars.DTLS[found[1]].Handshakes.Completed != 1 || vars.DTLS[found[1]].Conns.Dropped.Header != demoMessages {
		t.Errorf("%v: %+v", err, vars)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
