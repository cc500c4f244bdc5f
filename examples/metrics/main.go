// Metrics is an echo server over DTLS that publishes what its Listener counts, as JSON
// (package expvar) at /debug/vars and for Prometheus at /metrics:
//
//	metrics [-listen ADDR] [-http ADDR]   serve until interrupted
//	metrics demo                          serve some clients, print the figures, end
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"

	"github.com/godwit-dtls/godwit/dtls"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "metrics:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("metrics", flag.ContinueOnError)
	address := flags.String("listen", "127.0.0.1:4444", "`ADDR` of the echo server, UDP")
	web := flags.String("http", "127.0.0.1:8080", "`ADDR` of the figures, TCP")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() == 0:
		return serve(ctx, *address, *web, out)
	case flags.NArg() == 1 && flags.Arg(0) == "demo":
		return demo(ctx, out)
	}
	return errors.New("usage: metrics [-listen ADDR] [-http ADDR] [demo]")
}

// published is what expvar has: the Stats of Listeners, by their address.
var published = expvar.NewMap("dtls")

// serve serves until ctx ends.
func serve(ctx context.Context, address, web string, out io.Writer) error {
	listener, err := listen(address)
	if err != nil {
		return err
	}
	defer listener.Close()
	name := listener.Addr().String()
	published.Set(name, expvar.Func(func() any { return listener.Stats() }))
	defer published.Delete(name)
	pages := http.NewServeMux()
	pages.Handle("/debug/vars", expvar.Handler())
	pages.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		page(listener.Stats()).WriteTo(w)
	})
	figures, err := net.Listen("tcp", web)
	if err != nil {
		return err
	}
	server := http.Server{Handler: pages}
	defer context.AfterFunc(ctx, func() {
		listener.Close()
		server.Close()
	})()
	go echo(listener)
	fmt.Fprintf(out, "echoing at %v; figures at http://%v/metrics and /debug/vars\n", listener.Addr(), figures.Addr())
	if err := server.Serve(figures); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// listen opens the echo server with a certificate that nobody else knows.
func listen(address string) (*dtls.Listener, error) {
	certificate, err := dtls.SelfSigned("metrics.example")
	if err != nil {
		return nil, err
	}
	return dtls.Listen("udp", address, &dtls.Config{Certificates: []tls.Certificate{certificate}})
}

// echo answers each record with itself, until the Listener closes.
func echo(listener *dtls.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			record := make([]byte, 1<<14)
			for {
				n, err := conn.Read(record)
				if err != nil {
					return
				}
				conn.Write(record[:n])
			}
		}()
	}
}
