package dtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/cert"
)

// configs returns Configs of a client and a server that trust each other.
func configs(t testing.TB, version uint16) (client, server *dtls.Config) {
	t.Helper()
	c, err := cert.SelfSigned(time.Now(), "server.example", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	leaf, err := cert.Leaf(&c)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)
	server = &dtls.Config{Certificates: []tls.Certificate{c}, MinVersion: version, MaxVersion: version}
	client = &dtls.Config{RootCAs: roots, ServerName: "server.example", MinVersion: version, MaxVersion: version}
	return client, server
}

// echo serves every Conn of a Listener until it closes.
func echo(t testing.TB, l *dtls.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			b := make([]byte, 4096)
			for {
				n, err := c.Read(b)
				if err != nil {
					if err != io.EOF {
						t.Errorf("server: %v", err)
					}
					return
				}
				c.Write(b[:n])
			}
		}()
	}
}

func TestEchoOverLoopback(t *testing.T) {
	for _, v := range []uint16{dtls.VersionDTLS13, dtls.VersionDTLS12} {
		client, server := configs(t, v)
		l, err := dtls.Listen("udp", "127.0.0.1:0", server)
		if err != nil {
			t.Fatal(err)
		}
		go echo(t, l)
		c, err := dtls.Dial("udp", l.Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("godwit")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := c.Read(b)
		if err != nil || string(b[:n]) != "godwit" {
			t.Fatalf("read %q, %v", b[:n], err)
		}
		t.Logf("%+v %+v", c.ConnectionState().Version, l.Stats())
		c.Close()
		l.Close()
	}
}
