package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/pool"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// patience bounds every wait: what hangs ends.
const patience = time.Minute

func TestDemo(t *testing.T) {
	for name, config := range map[string]*dtls.Config{
		"DTLS 1.3": {MinVersion: dtls.VersionDTLS13},
		"DTLS 1.2": {MaxVersion: dtls.VersionDTLS12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := demo(t.Context(), config, nil, &out); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			first, rest, _ := strings.Cut(out.String(), "\n")
			if !regexp.MustCompile(`^connected: ` + name + `, TLS_\w+, key "demo", connection ID [0-9a-f]{16}$`).MatchString(first) {
				t.Errorf("the demo agreed on %s", first)
			}
			want := `observe /light: 2.05 Content off
PUT /light on: 2.04 Changed 
observed: 2.05 Content on
GET /.well-known/core: 2.05 Content </light>;ct=0;obs
`
			if rest != want {
				t.Errorf("the demo printed\n%s\nexpected\n%s", rest, want)
			}
		})
	}
}

// The keys of two devices, as text, which libcoap wants.
const (
	nest = "sixteen letters."
	egg  = "another sixteen."
)

func key(identity, text string) string { return identity + ":" + hex.EncodeToString([]byte(text)) }

// startServer runs serve with both keys, and returns the URL of its light.
func startServer(t *testing.T) (light string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-psk", key("nest", nest), "-psk", key("egg", egg), "serve", "127.0.0.1:0"}, writer)
		writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	if !lines.Scan() {
		t.Fatal(<-ended)
	}
	light = lines.Text()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() { // who connects
		}
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		<-drained
	})
	return light
}

// coap runs a command of the client to its end.
func coap(t *testing.T, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out strings.Builder
	if err := run(ctx, arguments, &out); err != nil {
		t.Fatalf("%q: %v\n%s", arguments, err, &out)
	}
	return out.String()
}

func TestCommands(t *testing.T) {
	light := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	reader, writer := io.Pipe()
	observed := make(chan error, 1)
	go func() {
		observed <- run(ctx, []string{"-psk", key("egg", egg), "observe", light}, writer)
		writer.Close()
	}()
	observer := bufio.NewScanner(reader)
	expect := func(part string) {
		t.Helper()
		if !observer.Scan() || !strings.Contains(observer.Text(), part) {
			t.Errorf("the observer printed %q, expected %q", observer.Text(), part)
		}
	}
	expect(`key "egg"`)
	expect("2.05 Content off")
	if got := coap(t, "-psk", key("nest", nest), "put", light, "dimmed"); !strings.Contains(got, "2.04 Changed") {
		t.Errorf("put: %s", got)
	}
	expect("2.05 Content dimmed")
	if got := coap(t, "-psk", key("nest", nest), "get", light); !strings.Contains(got, "2.05 Content dimmed") || !strings.Contains(got, `key "nest"`) {
		t.Errorf("get: %s", got)
	}
	if got := coap(t, "-psk", key("nest", nest), "get", strings.TrimSuffix(light, "light")+"dark"); !strings.Contains(got, "4.04 NotFound") {
		t.Errorf("get of nothing: %s", got)
	}
	cancel()
	if err := <-observed; err != nil {
		t.Error(err)
	}
}

// The light stays on the line when its observer wakes up at another address.
func TestRebinding(t *testing.T) {
	for name, version := range map[string]uint16{"DTLS 1.3": dtls.VersionDTLS13, "DTLS 1.2": dtls.VersionDTLS12} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			light := startServer(t)
			config := &dtls.Config{MinVersion: version, MaxVersion: version}
			if err := addKey(config, key("egg", egg)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			nat := newNAT(t, strings.TrimSuffix(strings.TrimPrefix(light, "coaps://"), "/light"))
			conn, err := dial(ctx, nat.inside.LocalAddr().String(), config)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			changes := make(chan string, 10)
			if _, err := conn.Observe(ctx, "/light", func(change *pool.Message) {
				body, _ := change.ReadBody()
				changes <- string(body)
			}); err != nil {
				t.Fatal(err)
			}
			expect := func(want string) {
				t.Helper()
				select {
				case got := <-changes:
					if got != want {
						t.Errorf("observed %q, expected %q", got, want)
					}
				case <-ctx.Done():
					t.Fatalf("never observed %q", want)
				}
			}
			expect("off")
			nat.rebind(t)
			if _, err := conn.Put(ctx, "/light", message.TextPlain, strings.NewReader("blue")); err != nil {
				t.Fatal(err)
			}
			expect("blue")
		})
	}
}

// A nat carries datagrams of one client to a server, from an address of its own.
type nat struct {
	inside  *net.UDPConn
	server  string
	client  atomic.Pointer[net.UDPAddr]
	outside atomic.Pointer[net.UDPConn]
	running sync.WaitGroup
}

func newNAT(t *testing.T, server string) *nat {
	t.Helper()
	inside, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &nat{inside: inside, server: server}
	n.rebind(t)
	n.running.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, from, err := inside.ReadFromUDP(buf)
			if err != nil {
				return
			}
			n.client.Store(from)
			n.outside.Load().Write(buf[:size])
		}
	})
	t.Cleanup(func() {
		inside.Close()
		n.outside.Load().Close()
		n.running.Wait()
	})
	return n
}

// rebind takes a new address. What goes to the old one is lost.
func (n *nat) rebind(t *testing.T) {
	t.Helper()
	link, err := net.Dial("udp", n.server)
	if err != nil {
		t.Fatal(err)
	}
	outside := link.(*net.UDPConn)
	if old := n.outside.Swap(outside); old != nil {
		old.Close()
	}
	n.running.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, err := outside.Read(buf)
			if err != nil {
				return
			}
			n.inside.WriteToUDP(buf[:size], n.client.Load())
		}
	})
}

// What is larger than a datagram goes in blocks, both ways.
func TestLargeValue(t *testing.T) {
	light := startServer(t)
	value := strings.Repeat("a colour, ", 500)
	coap(t, "-psk", key("nest", nest), "put", light, value)
	if got := coap(t, "-psk", key("nest", nest), "get", light); !strings.Contains(got, "2.05 Content "+value) {
		t.Errorf("%d bytes came back of %d", len(got), len(value))
	}
}

func TestWrongKey(t *testing.T) {
	light := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := run(ctx, []string{"-psk", key("nest", egg), "get", light}, io.Discard)
	if e, ok := errors.AsType[*dtls.Error](err); !ok || !e.Received || e.Alert != alert.DecryptError {
		t.Errorf("a stranger has %v, want the light's decrypt_error", err)
	}
}

// TestLibCoAP switches the light with the tools of libcoap, in DTLS 1.2.
func TestLibCoAP(t *testing.T) {
	for _, tool := range []string{"coap-client-openssl", "coap-client-gnutls"} {
		t.Run(tool, func(t *testing.T) {
			path, err := exec.LookPath(tool)
			switch {
			case err == nil:
			case os.Getenv("CI") == "true":
				t.Fatalf("%s is missing: .ci/install installs it", tool)
			default:
				t.Skipf("%s is not installed", tool)
			}
			light := startServer(t)
			file := filepath.Join(t.TempDir(), "response")
			for _, arguments := range [][]string{
				{"-m", "put", "-e", url.PathEscape("green, mostly")},
				{"-m", "get", "-o", file},
			} {
				arguments = append(arguments, "-u", "nest", "-k", nest, "-B", "5", light)
				if said, err := exec.CommandContext(t.Context(), path, arguments...).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, said)
				}
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != "green, mostly" {
				t.Errorf("%s got %q, %v", tool, got, err)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, arguments := range [][]string{
		{}, {"fly"}, {"serve"}, {"put", "coaps://localhost/light"}, {"get", "coap://localhost/light"}, {"get", "coaps://"},
		{"-psk", "nest", "demo"}, {"-psk", "nest:xyz", "demo"}, {"serve", "127.0.0.1:0"},
	} {
		if err := run(t.Context(), arguments, io.Discard); err == nil {
			t.Errorf("%q is taken", arguments)
		}
	}
}
