package pathmtu

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// headers are those of IP and UDP, in bytes.
var headers = map[string]int{"IPv4": 20 + 8, "IPv6": 40 + 8}

// configs are of 1.3 without connection IDs, for what is probed by KeyUpdates, and with
// return routability checks in either version.
func configs(t testing.TB) map[string][2]*dtls.Config {
	t.Helper()
	certificate, err := dtls.SelfSigned("server.example")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	all := map[string][2]*dtls.Config{}
	for name, version := range map[string]uint16{"1.3": dtls.VersionDTLS13, "1.3, KeyUpdate": dtls.VersionDTLS13, "1.2": dtls.VersionDTLS12} {
		client := &dtls.Config{RootCAs: roots, ServerName: "server.example", MinVersion: version, MaxVersion: version}
		server := &dtls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: version, MaxVersion: version}
		if version == dtls.VersionDTLS12 {
			client.ConnectionIDs, server.ConnectionIDs = dtls.RandomConnectionIDs(4), dtls.RandomConnectionIDs(4)
		}
		if client.MaxMTU = 65507; name != "1.3, KeyUpdate" {
			server.MaxMTU = 65507
		}
		all[name] = [2]*dtls.Config{client, server}
	}
	return all
}

// connect returns both ends of a connection, of which one is read.
func connect(t testing.TB, link net.Conn, socket net.PacketConn, c [2]*dtls.Config) (client, server *dtls.Conn) {
	t.Helper()
	l, err := dtls.NewListener(socket, c[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	accepted := make(chan *dtls.Conn, 1)
	go func() {
		conn, err := l.AcceptConn()
		if err != nil {
			close(accepted)
			return
		}
		accepted <- conn
		io.Copy(io.Discard, conn)
	}()
	if client, err = dtls.Client(link, c[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, client)
	if server = <-accepted; server == nil {
		t.Fatal("nobody was accepted")
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

// awaitMTU waits until the search has ended, and writes meanwhile: no Write may fail.
func awaitMTU(t testing.TB, c *dtls.Conn, done func(dtls.PathMTU) bool, patience time.Duration) dtls.PathMTU {
	t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		m := c.PathMTU()
		if done(m) || time.Now().After(limit) {
			return m
		}
		if _, err := c.Write([]byte("meanwhile")); err != nil {
			t.Fatalf("Write: %v", err)
		}
	}
}

func found(m dtls.PathMTU) bool { return m.State == dtls.MTUFound }

// A Conn finds what a path carries whose middle is narrower than its ends: behind a bridge
// that drops without a word, and behind a router that sends ICMP messages, of which none
// is believed, and fragments what it may. The Conn of a Listener does, too.
func TestNarrowPath(t *testing.T) {
	type end struct {
		*dtls.Conn
		name string
		want int
	}
	var ends []end
	for topology, build := range map[string]func(testing.TB) *network{"bridge": bridged, "router": routed} {
		n := build(t)
		for name, c := range configs(t) {
			for family, header := range headers {
				link, socket := n.sockets(family)
				client, server := connect(t, link, socket, between(c, narrow-header, narrow-header+beyond))
				name := topology + ", " + name + ", " + family
				if ends = append(ends, end{client, name, narrow - header}); c[1].MaxMTU != 0 {
					ends = append(ends, end{server, name + ", server", narrow - header})
				}
			}
		}
		if topology == "router" {
			// The don't-fragment bit is what makes it true: over a link that hides its socket,
			// what the router cuts in pieces counts as carried.
			link, socket := n.sockets("IPv4")
			client, _ := connect(t, hidden{link}, socket, between(configs(t)["1.3"], 1200, 1472))
			ends = append(ends, end{client, "fragments", 1472})
		}
	}
	for _, e := range ends {
		if m := awaitMTU(t, e.Conn, found, time.Minute); !found(m) || m.Datagram != e.want {
			t.Errorf("%s: %+v, want %d", e.name, m, e.want)
		}
	}
}

type hidden struct{ net.Conn }

// beyond is what is too large, and not worth a further probe: 4 bytes more get through
// a virtual link, where Ethernet may have a VLAN.
const beyond = 7

// between is c with another MTU and MaxMTU where it has one.
func between(c [2]*dtls.Config, first, most int) (changed [2]*dtls.Config) {
	for i := range c {
		made := *c[i]
		if made.MTU = first; made.MaxMTU != 0 {
			made.MaxMTU = most
		}
		changed[i] = &made
	}
	return changed
}

// A path that becomes narrower, without a word, and wider again: in eleven minutes, with
// GODWIT_FULL=1.
func TestBlackHole(t *testing.T) {
	if os.Getenv("GODWIT_FULL") == "" {
		t.Skip("takes eleven minutes: GODWIT_FULL=1")
	}
	for name, c := range configs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := bridged(t)
			link, socket := n.sockets("IPv4")
			client, _ := connect(t, link, socket, between(c, 1200, narrow-28))
			if m := awaitMTU(t, client, found, time.Minute); m.Datagram != narrow-28 {
				t.Fatalf("%+v", m)
			}
			n.narrowTo(1300)
			narrowed := func(m dtls.PathMTU) bool { return found(m) && m.Datagram <= 1300-28 }
			if m := awaitMTU(t, client, narrowed, time.Minute); !narrowed(m) || m.Datagram <= 1300-28-8 {
				t.Errorf("on a path of 1300 bytes: %+v", m)
			}
			n.narrowTo(narrow)
			widened := func(m dtls.PathMTU) bool { return m.Datagram == narrow-28 }
			if m := awaitMTU(t, client, widened, 11*time.Minute); !widened(m) {
				t.Errorf("on a path that is wide again: %+v", m)
			}
		})
	}
}
