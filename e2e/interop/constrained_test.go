package interop

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/e2e/peer"
	"github.com/godwit-dtls/godwit/e2e/pki"
)

// TestConstrained: a device with dtls.ConstrainedConfig and the suites that
// RFC 7925 4 has for it, in both roles.
func TestConstrained(t *testing.T) {
	for _, other := range []peer.Peer{peer.OpenSSL{}, peer.GnuTLS{}} {
		for _, c := range []struct {
			suite string
			id    uint16
			set   func(t *testing.T, config *dtls.Config, client, server *peer.Settings)
		}{
			{"TLS_PSK_WITH_AES_128_CCM_8", dtls.TLS_PSK_WITH_AES_128_CCM_8, constrainedKey},
			{"TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8, constrainedCertificate},
		} {
			for _, role := range []struct {
				name     string
				converse func(*testing.T, *dtls.Config, peer.Peer, peer.Settings) (dtls.ConnectionState, peer.Report)
			}{{"client", constrainedClient}, {"server", constrainedServer}} {
				t.Run(fmt.Sprintf("%s/%s/godwit is the %s", other.Name(), c.suite, role.name), func(t *testing.T) {
					t.Parallel()
					config := dtls.ConstrainedConfig()
					client := peer.Settings{Min: peer.DTLS12, Max: peer.DTLS12, Suites: []string{c.suite}}
					server := client
					c.set(t, config, &client, &server)
					theirs := server
					if role.name == "server" {
						theirs = client
					}
					state, report := role.converse(t, config, other, theirs)
					if state.CipherSuite != c.id || state.Version != dtls.VersionDTLS12 {
						t.Errorf("suite %04x of version %04x", state.CipherSuite, state.Version)
					}
					if !report.Established || !report.Echoed {
						t.Errorf("%s: established: %v, echoed: %v\n%s", other.Name(), report.Established, report.Echoed, report.Output)
					}
				})
			}
		}
	}
}

// constrainedKey is what both sides have of a pre-shared key.
func constrainedKey(t *testing.T, config *dtls.Config, client, server *peer.Settings) {
	shared := &peer.PSK{Identity: "curlew", Key: "000102030405060708090a0b0c0d0e0f"}
	client.PSK, server.PSK = shared, shared
	key, err := hex.DecodeString(shared.Key)
	if err != nil {
		t.Fatal(err)
	}
	config.Credentials = []dtls.Credential{{PSK: &dtls.ExternalPSK{Identity: []byte(shared.Identity), Key: key, Use: dtls.PSKDirect12}}}
}

// constrainedCertificate has both sides authenticate by a certificate.
func constrainedCertificate(t *testing.T, config *dtls.Config, client, server *peer.Settings) {
	server.Leaf, client.Leaf = credentials.server[pki.ECDSA], credentials.client[pki.ECDSA]
	server.Root, client.Root, server.Verify, client.Name = credentials.root, credentials.root, true, pki.Host
	root, err := os.ReadFile(credentials.root)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	config.Certificates, config.ServerName = certificates(t, server.Leaf), pki.Host // good for both roles
	config.RootCAs, config.ClientCAs, config.ClientAuth = roots, roots, tls.RequireAndVerifyClientCert
}

// constrainedClient sends peer.Text to the other side, and waits for its echo.
func constrainedClient(t *testing.T, config *dtls.Config, other peer.Peer, theirs peer.Settings) (dtls.ConnectionState, peer.Report) {
	server := other.Serve(t, theirs)
	conn, err := dtls.Dial("udp", server.Address(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, peer.Text); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, conn); got != peer.Text {
		t.Errorf("read %q", got)
	}
	state := conn.ConnectionState()
	conn.Close()
	return state, server.Report()
}

// constrainedServer returns what it gets.
func constrainedServer(t *testing.T, config *dtls.Config, other peer.Peer, theirs peer.Settings) (dtls.ConnectionState, peer.Report) {
	l, err := dtls.Listen("udp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := other.Connect(t, theirs, l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := hear(t, conn)
	if got != peer.Text {
		t.Errorf("read %q", got)
	}
	if _, err := io.WriteString(conn, got); err != nil {
		t.Fatal(err)
	}
	return conn.(*dtls.Conn).ConnectionState(), client.Report()
}

// hear returns what comes next.
func hear(t *testing.T, conn net.Conn) string {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(deadline))
	b := make([]byte, 100)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}
