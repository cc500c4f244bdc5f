package interop

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	pion "github.com/pion/dtls/v3"

	"github.com/godwit-dtls/godwit/dtls"
)

// pion/dtls is the one peer here that has connection IDs (RFC 9146), and besides
// OpenSSL and GnuTLS one more with CCM.

var pionKey = []byte("sixteen letters.")

// sockets returns two connected UDP sockets.
func sockets(t *testing.T) (a, b net.Conn) {
	t.Helper()
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	first, err := net.ListenUDP("udp4", local)
	if err != nil {
		t.Fatal(err)
	}
	second, err := net.DialUDP("udp4", local, first.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Close(); first.Close() })
	return dtls.FromPacketConn(first, second.LocalAddr()), second
}

// pionOptions are pion's half. Fewer than zero bytes of ID mean that it has none.
func pionOptions(suite uint16, idLen int) []pion.Option {
	options := []pion.Option{
		pion.WithPSK(func([]byte) ([]byte, error) { return pionKey, nil }),
		pion.WithPSKIdentityHint([]byte("curlew")),
		pion.WithCipherSuites(pion.CipherSuiteID(suite)),
	}
	switch {
	case idLen == 0:
		options = append(options, pion.WithConnectionIDGenerator(pion.OnlySendCIDGenerator()))
	case idLen > 0:
		options = append(options, pion.WithConnectionIDGenerator(pion.RandomCIDGenerator(idLen)))
	}
	return options
}

func godwitConfig(suite uint16, idLen int) *dtls.Config {
	key := &dtls.ExternalPSK{Identity: []byte("curlew"), Key: pionKey, Use: dtls.PSKDirect12}
	c := &dtls.Config{MaxVersion: dtls.VersionDTLS12, Credentials: []dtls.Credential{{PSK: key}}, CipherSuites: []uint16{suite}}
	if idLen >= 0 {
		c.ConnectionIDs = dtls.RandomConnectionIDs(idLen)
	}
	return c
}

// TestPion talks with connection IDs of several lengths, in both roles, and
// without any.
func TestPion(t *testing.T) {
	for _, suite := range []uint16{
		dtls.TLS_PSK_WITH_AES_128_CCM_8, dtls.TLS_PSK_WITH_AES_128_CCM, dtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
	} {
		for _, ids := range []struct{ ours, theirs int }{{-1, -1}, {8, 0}, {0, 8}, {8, 20}, {8, -1}, {-1, 8}} {
			for _, role := range []string{"client", "server"} {
				t.Run(fmt.Sprintf("%04x/%d and %d/godwit is the %s", suite, ids.ours, ids.theirs, role), func(t *testing.T) {
					t.Parallel()
					ours, theirs := shake(t, role, godwitConfig(suite, ids.ours), pionOptions(suite, ids.theirs))
					talk(t, ours, theirs)
					state := ours.ConnectionState()
					local, remote := ids.ours, ids.theirs
					if local < 0 || remote < 0 { // both or none
						local, remote = 0, 0
					}
					if len(state.LocalConnectionID) != local || len(state.RemoteConnectionID) != remote || state.CipherSuite != suite {
						t.Errorf("suite %04x, IDs % x and % x, expected %d and %d bytes", state.CipherSuite, state.LocalConnectionID, state.RemoteConnectionID, local, remote)
					}
				})
			}
		}
	}
}

// shake is a handshake of both sides, of which ours has the given role.
func shake(t *testing.T, role string, config *dtls.Config, options []pion.Option) (ours *dtls.Conn, theirs *pion.Conn) {
	t.Helper()
	ourLink, theirLink := sockets(t)
	var err, theirErr error
	if role == "client" {
		ours, err = dtls.Client(ourLink, config)
		theirs, theirErr = pion.ServerWithOptions(packetConn{theirLink}, theirLink.RemoteAddr(), as[pion.ServerOption](options)...)
	} else {
		ours, err = dtls.Server(ourLink, config)
		theirs, theirErr = pion.ClientWithOptions(packetConn{theirLink}, theirLink.RemoteAddr(), as[pion.ClientOption](options)...)
	}
	if err != nil || theirErr != nil {
		t.Fatal(err, theirErr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- theirs.HandshakeContext(ctx) }()
	if err := ours.HandshakeContext(ctx); err != nil {
		cancel()
		t.Fatalf("godwit: %v; pion: %v", err, <-done)
	}
	if err := <-done; err != nil {
		t.Fatalf("pion: %v", err)
	}
	return ours, theirs
}

// as makes options of one side out of those for both.
func as[T any](options []pion.Option) (of []T) {
	for _, o := range options {
		of = append(of, o.(T))
	}
	return of
}

// talk says something each way.
func talk(t *testing.T, ours *dtls.Conn, theirs *pion.Conn) {
	t.Helper()
	for _, way := range []struct {
		name     string
		from, to net.Conn
	}{{"to pion", ours, theirs}, {"from pion", theirs, ours}} {
		way.to.SetReadDeadline(time.Now().Add(deadline))
		if _, err := way.from.Write([]byte(way.name)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := way.to.Read(b)
		if err != nil || string(b[:n]) != way.name {
			t.Fatalf("read %q, %v, expected %q", b[:n], err, way.name)
		}
	}
	theirs.Close()
	ours.Close()
}

// A packetConn is a connected socket as pion asks for it.
type packetConn struct{ net.Conn }

func (p packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, p.RemoteAddr(), err
}

func (p packetConn) WriteTo(b []byte, _ net.Addr) (int, error) { return p.Write(b) }
