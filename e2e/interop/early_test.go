package interop

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
	"github.com/godwit-dtls/godwit/tls"
)

var earlyPeers = []peer.EarlyPeer{peer.OpenSSL{}, peer.GnuTLS{}}

func earlySettings() peer.Settings {
	return peer.Settings{Min: peer.TLS13, Max: peer.TLS13, ALPN: []string{"echo"}}
}

// deadline bounds a conversation that would hang.
const deadline = time.Minute

// TestEarlyDataToServers sends 0-RTT data to the other implementations, and again
// on every connection, as each gives new tickets.
func TestEarlyDataToServers(t *testing.T) {
	for _, other := range earlyPeers {
		t.Run(other.Name(), func(t *testing.T) {
			t.Parallel()
			settings := earlySettings()
			settings.Leaf = credentials.server[pki.ECDSA]
			server := other.ServeEarly(t, settings)
			config := &tls.Config{
				RootCAs: roots(t), ServerName: pki.Host, NextProtos: settings.ALPN,
				ClientSessionCache: tls.NewLRUClientSessionCache(0), EarlyData: true,
			}
			for n := range 3 {
				state, echo := sendEarly(t, config, server.Address())
				if echo != peer.Text || state.DidResume != (n > 0) || state.EarlyDataAccepted != (n > 0) {
					t.Errorf("connection %d: echo %q, resumed %t, early data: %s\n%s",
						n, echo, state.DidResume, state.EarlyDataReason, server.Output(""))
				}
			}
			if _, ok := other.(peer.OpenSSL); ok { // which tells what came early
				server.Output("Early data received")
			}
		})
	}
}

// sendEarly sends Text as early as it can and once more (GnuTLS doesn't echo early
// data), and returns an echo.
func sendEarly(t *testing.T, config *tls.Config, address string) (tls.ConnectionState, string) {
	t.Helper()
	socket, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close() // after link.Close, whose goodbye keeps the session good at OpenSSL
	link, err := tls.Client(socket, config)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	link.SetDeadline(time.Now().Add(deadline))
	if _, err := link.WriteEarly([]byte(peer.Text)); err != nil && !errors.Is(err, tls.ErrNoEarlyData) {
		t.Fatal(err)
	}
	if _, err := link.Write([]byte(peer.Text)); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, len(peer.Text))
	if _, err := io.ReadFull(link, echo); err != nil {
		t.Errorf("%v; early data: %s", err, link.ConnectionState().EarlyDataReason)
	}
	return link.ConnectionState(), string(echo)
}

func roots(t *testing.T) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(credentials.root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

// TestEarlyDataFromClients takes 0-RTT data of the other implementations.
func TestEarlyDataFromClients(t *testing.T) {
	for _, other := range earlyPeers {
		t.Run(other.Name(), func(t *testing.T) {
			t.Parallel()
			settings := earlySettings()
			listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
				Certificates: certificates(t, credentials.server[pki.ECDSA]), NextProtos: settings.ALPN, EarlyData: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			early := make(chan string, 2)
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go echoEarly(conn.(*tls.Conn), early)
				}
			}()
			settings.Root, settings.Name = credentials.root, pki.Host
			said := other.ConnectEarly(t, settings, listener.Addr().String())
			if first, second := <-early, <-early; first != "" || second != peer.Text {
				t.Errorf("early data: %q, then %q\n%s", first, second, said)
			}
		})
	}
}

// echoEarly returns all that comes, and tells what of it came early.
func echoEarly(conn *tls.Conn, early chan<- string) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(deadline))
	var got strings.Builder
	buf := make([]byte, 1000)
	for {
		n, err := conn.ReadEarly(buf)
		if err != nil {
			break
		}
		got.Write(buf[:n])
		conn.WriteEarly(buf[:n])
	}
	early <- got.String()
	io.Copy(conn, conn)
}
