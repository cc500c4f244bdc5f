// Webrtc serves a page that opens a data channel to this program, over godwit's DTLS,
// and shows what the two negotiated:
//
//	webrtc [-listen ADDR]
//
// It prints the page's URL. What is typed on the page comes back. Package peer is our
// side of WebRTC; this file has the little that is between it and the page.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/pion/datachannel"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/examples/webrtc/peer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "webrtc:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and leaves nothing behind.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("webrtc", flag.ContinueOnError)
	address := flags.String("listen", "127.0.0.1:0", "where to serve the page")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "http://%s/\n", listener.Addr())
	host := newHost(ctx)
	server := &http.Server{Handler: host.handler()}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	host.running.Wait()
	return nil
}

//go:embed page.html
var page []byte

// A host has a Peer for each page that is open.
type host struct {
	ctx     context.Context
	running sync.WaitGroup
	places  chan struct{} // for as many pages as there may be
}

const maxPages = 16

func newHost(ctx context.Context) *host {
	return &host{ctx: ctx, places: make(chan struct{}, maxPages)}
}

func (h *host) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("POST /offer", h.serveOffer)
	return http.NewCrossOriginProtection().Handler(mux) // other sites' pages get no answers
}

// serveOffer answers a page's offer. The query says what our part is.
func (h *host) serveOffer(w http.ResponseWriter, r *http.Request) {
	config, err := configure(r.FormValue("role"), r.FormValue("version"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	offer, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case h.places <- struct{}{}:
	default:
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	p, answer, err := peer.Answer(r.Context(), string(offer), config)
	if err != nil {
		<-h.places
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.running.Go(func() {
		defer func() { <-h.places }()
		if err := h.serve(p); err != nil {
			fmt.Fprintln(os.Stderr, "webrtc:", err)
		}
	})
	io.WriteString(w, answer)
}

// configure is our part: role is DTLS's, version the highest.
func configure(role, version string) (peer.Config, error) {
	setups := map[string]peer.Setup{"client": peer.Active, "server": peer.Passive}
	versions := map[string]uint16{"1.3": dtls.VersionDTLS13, "1.2": dtls.VersionDTLS12}
	if setups[role] == "" || versions[version] == 0 {
		return peer.Config{}, fmt.Errorf("role %q, version %q: expected client or server, 1.3 or 1.2", role, version)
	}
	return peer.Config{Setup: setups[role], DTLS: &dtls.Config{MaxVersion: versions[version]}}, nil
}

// patience bounds the time until a page is connected.
const patience = 20 * time.Second

// serve is one connection, until the page or this program ends it.
func (h *host) serve(p *peer.Peer) error {
	defer p.Close()
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	if err := p.Connect(ctx); err != nil {
		return err
	}
	stop := context.AfterFunc(h.ctx, func() { p.Close() })
	defer stop()
	for {
		channel, err := p.AcceptChannel()
		if err != nil {
			return nil // the page has gone
		}
		h.running.Go(func() { serveChannel(channel, p.State()) })
	}
}

// serveChannel does what a channel's label asks for: to tell what was negotiated, or
// to say everything again.
func serveChannel(c *datachannel.DataChannel, s peer.State) {
	if c.Label == "state" {
		text, err := json.Marshal(s)
		if err != nil {
			panic(err) // strings and numbers only
		}
		c.WriteDataChannel(text, true) // the page has gone, if that fails
	}
	b := make([]byte, peer.MaxMessage)
	for {
		n, text, err := c.ReadDataChannel(b)
		if err != nil {
			return
		}
		if c.Label != "echo" {
			continue
		}
		if _, err := c.WriteDataChannel(b[:n], text); err != nil {
			return
		}
	}
}
