package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

const (
	demoClients  = 20
	demoMessages = 5
	demoPatience = 20 * time.Second
)

// demo lets clients of both versions talk to the server one after the other, and prints
// the figures.
func demo(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	listener, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	go echo(listener)
	versions := [...]uint16{dtls.VersionDTLS12, dtls.VersionDTLS13}
	for n := range demoClients {
		if err := talk(ctx, listener.Addr().String(), versions[n%len(versions)]); err != nil {
			return err
		}
	}
	s := listener.Stats()
	if _, err := page(s).WriteTo(out); err != nil {
		return err
	}
	mean := s.Handshakes.Sum / time.Duration(max(1, s.Handshakes.Completed))
	_, err = fmt.Fprintf(out, "\n%d handshakes, in %v each, at most %v; %d datagrams came, %d went; %d records dropped\n",
		s.Handshakes.Completed, mean.Round(time.Microsecond), s.Handshakes.Max.Round(time.Microsecond),
		s.DatagramsReceived, s.DatagramsSent, s.Conns.Dropped.Total())
	return err
}

// talk is a client. Before each message it sends something that is none.
func talk(ctx context.Context, address string, version uint16) error {
	link, err := new(net.Dialer).DialContext(ctx, "udp", address)
	if err != nil {
		return err
	}
	conn, err := dtls.Client(link, &dtls.Config{InsecureSkipVerify: true, MaxVersion: version})
	if err != nil {
		link.Close()
		return err
	}
	defer conn.Close()
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	for range demoMessages {
		link.Write([]byte("noise"))
		if _, err := conn.Write([]byte("echo")); err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 100)); err != nil {
			return err
		}
	}
	return nil
}
