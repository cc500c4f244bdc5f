package dtls_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"golang.org/x/crypto/chacha20poly1305"
)

// A full handshake over loopback UDP, both sides, with the cookie.
func BenchmarkHandshake(b *testing.B) {
	// In 1.2 the groups are the curves of certificates, too.
	x25519 := func(client, _ *dtls.Config) { client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }
	for _, bench := range []struct {
		name    string
		configs func(testing.TB, uint16) (client, server *dtls.Config)
		version uint16
		change  func(client, server *dtls.Config)
	}{
		{"1.3/X25519MLKEM768", configs, dtls.VersionDTLS13, func(_, _ *dtls.Config) {}},
		{"1.3/X25519", configs, dtls.VersionDTLS13, x25519},
		{"1.3/X25519, client certificate", authenticated, dtls.VersionDTLS13, x25519},
		{"1.2/X25519", configs, dtls.VersionDTLS12, x25519},
		{"1.2/X25519, client certificate", authenticated, dtls.VersionDTLS12, x25519},
	} {
		b.Run(bench.name, func(b *testing.B) {
			client, server := bench.configs(b, bench.version)
			bench.change(client, server)
			l, err := dtls.Listen("udp", "127.0.0.1:0", server)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go echo(b, l)
			b.ReportAllocs()
			for b.Loop() {
				c, err := dtls.Dial("udp", l.Addr().String(), client)
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}

// One Write and one Read over a fake link, beside sealing and opening with the
// bare AEAD: x-aead is how many times as long the Conns take.
func BenchmarkConn(b *testing.B) {
	for _, x := range suites {
		for _, size := range []int{64, 256, 1200, 8192} {
			b.Run(fmt.Sprintf("%s/%d", x.name, size), func(b *testing.B) {
				client, server := configs(b, x.version)
				client.CipherSuites = []uint16{x.suite}
				c, s := established(b, newLAN(), client, server)
				message, buf := make([]byte, size), make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Write(message); err != nil {
						b.Fatal(err)
					}
					if _, err := s.Read(buf); err != nil {
						b.Fatal(err)
					}
				}
				took := float64(b.Elapsed()) / float64(b.N)
				b.ReportMetric(took/bare(b, x.name, size), "x-aead")
			})
		}
	}
}

// bare returns how many nanoseconds the AEAD of a suite alone takes to seal and
// to open.
func bare(b *testing.B, suite string, size int) float64 {
	var aead cipher.AEAD
	var err error
	switch {
	case strings.Contains(suite, "ChaCha20"):
		aead, err = chacha20poly1305.New(make([]byte, 32))
	case strings.Contains(suite, "256"):
		aead, err = gcm(32)
	default:
		aead, err = gcm(16)
	}
	if err != nil {
		b.Fatal(err)
	}
	const rounds = 2000
	nonce, message, sealed := make([]byte, 12), make([]byte, size), make([]byte, 0, size+16)
	began := time.Now()
	for range rounds {
		sealed = aead.Seal(sealed[:0], nonce, message, nonce)
		if _, err := aead.Open(message[:0], nonce, sealed, nonce); err != nil {
			b.Fatal(err)
		}
	}
	return float64(time.Since(began)) / rounds
}

func gcm(keySize int) (cipher.AEAD, error) {
	block, err := aes.NewCipher(make([]byte, keySize))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// The heap that an established idle Conn holds, with what its link holds: the
// mean of a dialed and an accepted one.
func BenchmarkIdleConn(b *testing.B) {
	for _, version := range []uint16{dtls.VersionDTLS13, dtls.VersionDTLS12} {
		b.Run(fmt.Sprintf("%x", version), func(b *testing.B) {
			client, server := configs(b, version)
			client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
			l, err := dtls.Listen("udp", "127.0.0.1:0", server)
			if err != nil {
				b.Fatal(err)
			}
			const pairs = 100
			var total, conns uint64
			for b.Loop() {
				before := heap()
				open := make([]*dtls.Conn, 0, 2*pairs)
				for range pairs {
					c, s := dialAndAccept(b, l, l.Addr().String(), client)
					send(b, c, s, "ping")
					send(b, s, c, "pong")
					open = append(open, c, s)
				}
				total, conns = total+heap()-before, conns+2*pairs
				for _, c := range open {
					c.Close()
				}
			}
			b.ReportMetric(float64(total)/float64(conns), "B/conn")
		})
	}
}

// heap is what is in use, without pools.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools are emptied in two steps
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
