package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pion/datachannel"

	"github.com/godwit-dtls/godwit/examples/webrtc/peer"
)

// start runs the program until the test ends, and returns the URL that it prints.
func start(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	ended := make(chan error)
	go func() { ended <- run(ctx, nil, write) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line := make([]byte, 100)
	n, err := read.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(line[:n]))
}

// connect does what the page does.
func connect(t *testing.T, url, query string) *peer.Peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, offer, err := peer.Offer(ctx, peer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	code, answer := post(t, url+"offer?"+query, offer)
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, answer)
	}
	if err := p.Accept(answer); err != nil {
		t.Fatal(err)
	}
	if err := p.Connect(ctx); err != nil {
		t.Fatal(err)
	}
	return p
}

func post(t *testing.T, url, body string) (code int, answer string) {
	t.Helper()
	r, err := http.Post(url, "application/sdp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func read(t *testing.T, c *datachannel.DataChannel) string {
	t.Helper()
	b := make([]byte, peer.MaxMessage)
	n, text, err := c.ReadDataChannel(b)
	if err != nil || !text {
		t.Fatalf("%d bytes, text: %v, %v", n, text, err)
	}
	return string(b[:n])
}

// The program tells what it negotiated, and says again what it hears.
func TestConversation(t *testing.T) {
	url := start(t)
	for _, query := range []string{"role=server&version=1.3", "role=client&version=1.3", "role=server&version=1.2", "role=client&version=1.2"} {
		t.Run(query, func(t *testing.T) {
			p := connect(t, url, query)
			channel, err := p.OpenChannel("state")
			if err != nil {
				t.Fatal(err)
			}
			var told peer.State
			if err := json.Unmarshal([]byte(read(t, channel)), &told); err != nil {
				t.Fatal(err)
			}
			ours := p.State()
			if told.Version != ours.Version || told.Suite != ours.Suite || told.Group != ours.Group || told.SRTPProfile != ours.SRTPProfile {
				t.Errorf("it says %+v, and we have %+v", told, ours)
			}
			if !strings.HasSuffix(query, strings.TrimPrefix(told.Version, "DTLS ")) || strings.Contains(query, "client") != (told.Setup == peer.Active) {
				t.Errorf("it says %+v", told)
			}
		})
		t.Run(query+", echo", func(t *testing.T) {
			channel, err := connect(t, url, query).OpenChannel("echo")
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"hello", strings.Repeat("long ", 10000)} {
				if _, err := channel.WriteDataChannel([]byte(text), true); err != nil {
					t.Fatal(err)
				}
				if got := read(t, channel); got != text {
					t.Errorf("%d bytes came back of %d", len(got), len(text))
				}
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	url := start(t)
	for _, x := range []struct{ query, offer string }{
		{"role=server&version=1.1", "v=0"}, {"role=both&version=1.3", "v=0"},
		{"role=server&version=1.3", ""}, {"role=server&version=1.3", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"},
	} {
		if code, answer := post(t, url+"offer?"+x.query, x.offer); code != http.StatusBadRequest {
			t.Errorf("%s, %q: %d %s", x.query, x.offer, code, answer)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/offer?role=server&version=1.3", strings.NewReader("v=0"))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	newHost(t.Context()).handler().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("another site's page gets %d", w.Code)
	}
}

// As many pages as there may be are served, and each that ends makes room for another.
func TestPlaces(t *testing.T) {
	h := newHost(t.Context())
	for range maxPages {
		h.places <- struct{}{}
	}
	offers := func() int {
		w := httptest.NewRecorder()
		h.handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/offer?role=server&version=1.3", strings.NewReader("")))
		return w.Code
	}
	if code := offers(); code != http.StatusServiceUnavailable {
		t.Errorf("one page too many gets %d", code)
	}
	<-h.places
	for range 2 {
		if code := offers(); code != http.StatusBadRequest { // it gets as far as its offer, which is none
			t.Errorf("a page that has a place gets %d", code)
		}
	}
}

// A page that never connects is given up with the program.
func TestEndWhileConnecting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := newHost(ctx)
	silent, offer, err := peer.Offer(t.Context(), peer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p, _, err := peer.Answer(t.Context(), offer, peer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- h.serve(p) }()
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) { // rather than out of patience
		t.Error(err)
	}
}
