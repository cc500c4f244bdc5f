package dtls_test

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// While hellos and fragments under spoofed addresses pour in, an honest client
// still connects, and it alone has a Conn. Fragments under its own address delay
// it, no more.
func TestHonestClientInFlood(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, 0)
			client.MTU = 1200 // two datagrams for a hello, and no more
			server.MaxVersion = version
			lan := newLAN()
			l, link := serve(t, lan, server)
			defer l.Close()

			here, honest := lan.ports[netip.MustParseAddrPort(serverAddr)], netip.MustParseAddrPort(clientAddr)
			stranger := firstHello(t, &dtls.Config{ServerName: "another.example"})
			random := rand.New(rand.NewPCG(1, uint64(version)))
			rounds := 0
			flood := func(data []byte) {
				for range 10 {
					from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(random.Uint32()), byte(random.Uint32())}), 1)
					here.deliver(net.UDPAddrFromAddrPort(from), data)
				}
				if rounds++; rounds < 10 {
					here.deliver(net.UDPAddrFromAddrPort(honest), stranger[0])
				}
			}
			lan.filter(func(d datagram) error {
				if d.from == honest && isHello(d.data) {
					flood(d.data)
					here.deliver(net.UDPAddrFromAddrPort(honest), d.data)
					flood(stranger[0])
					return errLost // it has been delivered
				}
				return nil
			})
			c, s := join(t, l, link, client)
			send(t, c, s, "ping")
			send(t, s, c, "pong")
			stats := l.Stats()
			if stats.Connections != 1 || stats.DatagramsReceived < 100 {
				t.Errorf("%+v", stats)
			}
			if c.Stats().Retransmits == 0 {
				t.Error("the flood did nothing")
			}
			c.Close()
			s.Close()
		})
	})
}

// firstHello returns the datagrams of a client's first hello.
func firstHello(t testing.TB, client *dtls.Config) (all [][]byte) {
	t.Helper()
	e, err := dtls.NewClientEngine(client)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(time.Now()); err != nil {
		t.Fatal(err)
	}
	for {
		b := make([]byte, 2000)
		n := e.Transmit(b)
		if n == 0 {
			return all
		}
		all = append(all, b[:n])
	}
}

// isHello reports whether a datagram begins with a ClientHello in plaintext.
func isHello(b []byte) bool {
	const handshake, clientHello = 22, 1
	return b[0] == handshake && b[13] == clientHello
}
