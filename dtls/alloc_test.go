package dtls_test

import (
	"net"
	"testing"

	"github.com/godwit-dtls/godwit/dtls"
)

// suites are the AEADs of each version.
var suites = []struct {
	name    string
	version uint16
	suite   uint16
}{
	{"1.3 AES-128-GCM", dtls.VersionDTLS13, dtls.TLS_AES_128_GCM_SHA256},
	{"1.3 AES-256-GCM", dtls.VersionDTLS13, dtls.TLS_AES_256_GCM_SHA384},
	{"1.3 ChaCha20-Poly1305", dtls.VersionDTLS13, dtls.TLS_CHACHA20_POLY1305_SHA256},
	{"1.2 AES-128-GCM", dtls.VersionDTLS12, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{"1.2 AES-256-GCM", dtls.VersionDTLS12, dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	{"1.2 ChaCha20-Poly1305", dtls.VersionDTLS12, dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
}

// overUDP returns a dialed Conn and the accepted one.
func overUDP(t testing.TB, network, listen string, client, server *dtls.Config) (c, s *dtls.Conn) {
	t.Helper()
	l, err := dtls.Listen(network, listen, server)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return dialAndAccept(t, l, net.JoinHostPort("127.0.0.1", port), client)
}

// dialAndAccept connects a client to a Listener, all of which the test's end
// closes.
func dialAndAccept(t testing.TB, l *dtls.Listener, address string, client *dtls.Config) (c, s *dtls.Conn) {
	t.Helper()
	accepted := make(chan *dtls.Conn)
	go func() {
		s := accept(t, l)
		if err := s.Handshake(); err != nil {
			t.Errorf("server: %v", err)
		}
		accepted <- s
	}()
	c, err := dtls.Dial("udp", address, client)
	if err != nil {
		t.Fatal(err)
	}
	s = <-accepted
	t.Cleanup(func() { c.Close(); s.Close(); l.Close() })
	return c, s
}

// Write and Read don't allocate.
func TestDataDoesNotAllocate(t *testing.T) {
	if !dtls.Alone(t) {
		return
	}
	links := map[string]func(t testing.TB, client, server *dtls.Config) (c, s *dtls.Conn){
		"a fake link": func(t testing.TB, client, server *dtls.Config) (c, s *dtls.Conn) {
			return established(t, newLAN(), client, server)
		},
		"UDP": func(t testing.TB, client, server *dtls.Config) (c, s *dtls.Conn) {
			return overUDP(t, "udp", "127.0.0.1:0", client, server)
		},
		"a fake link, with connection IDs": func(t testing.TB, client, server *dtls.Config) (c, s *dtls.Conn) {
			client.ConnectionIDs, server.ConnectionIDs = dtls.RandomConnectionIDs(8), dtls.RandomConnectionIDs(20)
			return established(t, newLAN(), client, server)
		},
		"UDP, with connection IDs": func(t testing.TB, client, server *dtls.Config) (c, s *dtls.Conn) {
			client.ConnectionIDs, server.ConnectionIDs = dtls.RandomConnectionIDs(0), dtls.RandomConnectionIDs(8)
			return overUDP(t, "udp", "127.0.0.1:0", client, server)
		},
		"a fake link, with short headers": func(t testing.TB, client, server *dtls.Config) (c, s *dtls.Conn) {
			client.ShortRecordHeaders, server.ShortRecordHeaders = true, true
			return established(t, newLAN(), client, server)
		},
		"UDP, on a wildcard address": func(t testing.TB, client, server *dtls.Config) (c, s *dtls.Conn) {
			return overUDP(t, "udp4", "0.0.0.0:0", client, server)
		},
	}
	for link, connect := range links {
		for _, x := range suites {
			t.Run(link+"/"+x.name, func(t *testing.T) {
				client, server := configs(t, x.version)
				client.CipherSuites = []uint16{x.suite}
				c, s := connect(t, client, server)
				if got := c.ConnectionState().CipherSuite; got != x.suite {
					t.Fatalf("cipher suite %04x", got)
				}
				buf := make([]byte, 2000)
				for _, size := range []int{64, 256, 1200} {
					message := make([]byte, size)
					n := testing.AllocsPerRun(50, func() {
						for _, way := range [...][2]*dtls.Conn{{c, s}, {s, c}} {
							if _, err := way[0].Write(message); err != nil {
								t.Fatal(err)
							}
							if n, err := way[1].Read(buf); n != size || err != nil {
								t.Fatalf("read %d bytes, %v", n, err)
							}
						}
					})
					if n != 0 && !dtls.RaceDetector {
						t.Errorf("%d bytes: %v allocations", size, n)
					}
				}
			})
		}
	}
}
