package dtls_test

import (
	"testing"

	"github.com/pion/dtls/v3"
)

// BenchmarkEcho writes a record, and reads it back from a peer that echoes, over UDP.
// It says nothing that pion/dtls doesn't have, so that it runs there too.
func BenchmarkEcho(b *testing.B) {
	x, y := sockets(b)
	client, err := dtls.ClientWithOptions(x, y.LocalAddr(), dtls.WithInsecureSkipVerify(true))
	if err != nil {
		b.Fatal(err)
	}
	server, err := dtls.ServerWithOptions(y, x.LocalAddr(), dtls.WithCertificates(certificate(b)))
	if err != nil {
		b.Fatal(err)
	}
	if c, s := shake(client, server); c != nil || s != nil {
		b.Fatal(c, s)
	}
	defer client.Close()
	defer server.Close()
	go func() {
		p := make([]byte, 1200)
		for {
			n, err := server.Read(p)
			if err != nil {
				return
			}
			server.Write(p[:n])
		}
	}()
	p := make([]byte, 1200)
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := client.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Read(p); err != nil {
			b.Fatal(err)
		}
	}
}
