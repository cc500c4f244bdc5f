package compress

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	godwit "github.com/godwit-dtls/godwit/tls"
	"github.com/pion/transport/v3/dpipe"
)

var compressors = map[string]dtls.CertificateCompressor{
	"zlib":   dtls.ZlibCompressor{},
	"brotli": Brotli{},
	"zstd":   Zstd{},
}

func TestRoundTrip(t *testing.T) {
	noise := make([]byte, 1000)
	rand.Read(noise)
	for name, c := range compressors {
		for _, message := range [][]byte{{}, {0}, bytes.Repeat([]byte("certificate"), 2000), noise} {
			compressed, err := c.Compress(message)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := c.Decompress(compressed, len(message))
			if err != nil || !bytes.Equal(got, message) {
				t.Errorf("%s: %d bytes come back as %d, %v", name, len(message), len(got), err)
			}
			for _, length := range []int{len(message) - 1, len(message) + 1} {
				if _, err := c.Decompress(compressed, max(length, 0)); err == nil && length >= 0 {
					t.Errorf("%s: %d bytes are decompressed to %d", name, len(message), length)
				}
			}
			for n := range min(len(compressed), 100) {
				if _, err := c.Decompress(compressed[:n], len(message)); err == nil && len(message) > 0 {
					t.Errorf("%s: %d of %d bytes are enough", name, n, len(compressed))
				}
			}
			if _, err := c.Decompress(append(slices.Clone(compressed), 0), len(message)); err == nil {
				t.Errorf("%s: a byte behind the compressed ones is accepted", name)
			}
		}
	}
}

// A bomb costs what it announces and what the algorithm needs, not what it holds.
func TestBomb(t *testing.T) {
	for name, c := range compressors {
		bomb, err := c.Compress(make([]byte, 1<<24))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := c.Decompress(bomb, 1<<10); err == nil {
			t.Errorf("%s: it is decompressed", name)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<24 {
			t.Errorf("%s: %d bytes are allocated for 1024", name, allocated)
		}
	}
}

// Each of them carries the certificates of both sides, over both transports.
func TestHandshake(t *testing.T) {
	certificate, roots := identity(t)
	for name, c := range compressors {
		for _, transport := range []string{"TLS", "DTLS"} {
			t.Run(name+" over "+transport, func(t *testing.T) {
				compressed := 0
				both := dtls.Config{
					Certificates: []tls.Certificate{certificate}, RootCAs: roots, ClientCAs: roots,
					ServerName: "godwit.example", ClientAuth: tls.RequireAndVerifyClientCert,
					MinVersion: dtls.VersionDTLS13, CertificateCompression: []dtls.CertificateCompressor{c},
				}
				client := both
				client.Trace = func(e dtls.Event) {
					if e.Kind == handshake.EventMessage && e.Message == protocol.CompressedCertificate && e.Offset == 0 {
						compressed++
					}
				}
				if err := shakeHands(transport, &client, &both); err != nil {
					t.Fatal(err)
				}
				if compressed != 2 {
					t.Errorf("%d certificates were compressed", compressed)
				}
			})
		}
	}
}

func identity(t *testing.T) (tls.Certificate, *x509.CertPool) {
	c, err := cert.SelfSigned(time.Now(), "godwit.example")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return c, roots
}

// shakeHands runs one handshake over a pipe.
func shakeHands(transport string, client, server *dtls.Config) error {
	a, b := dpipe.Pipe()
	type handshaker interface {
		Handshake() error
		Close() error
	}
	var c, s handshaker
	var clientErr, serverErr error
	if transport == "TLS" {
		a, b = net.Pipe()
		c, clientErr = godwit.Client(a, client)
		s, serverErr = godwit.Server(b, server)
	} else {
		c, clientErr = dtls.Client(a, client)
		s, serverErr = dtls.Server(b, server)
	}
	if err := errors.Join(clientErr, serverErr); err != nil {
		return err
	}
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	return errors.Join(c.Handshake(), <-done)
}
