package dtls_test

import (
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/pion/logging"
	"github.com/pion/transport/v3/vnet"
)

// virtual returns two hosts on a virtual network that drops what lost says.
func virtual(t *testing.T, lost func(vnet.Chunk) bool) (client, server *vnet.Net) {
	t.Helper()
	router, err := vnet.NewRouter(&vnet.RouterConfig{CIDR: "192.0.2.0/24", LoggerFactory: logging.NewDefaultLoggerFactory()})
	if err != nil {
		t.Fatal(err)
	}
	router.AddChunkFilter(func(c vnet.Chunk) bool { return !lost(c) })
	host := func(address string) *vnet.Net {
		n, err := vnet.NewNet(&vnet.NetConfig{StaticIPs: []string{address}})
		if err != nil {
			t.Fatal(err)
		}
		if err := router.AddNet(n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	client, server = host("192.0.2.1"), host("192.0.2.2")
	if err := router.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { router.Stop() })
	return client, server
}

// Dial and Listen work on pion's virtual network, and through its losses.
func TestVirtualNetwork(t *testing.T) {
	for name, loss := range map[string]int{"perfect": 0, "30 % lost": 30} {
		t.Run(name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				client, server := authenticated(t, version)
				// Only so many datagrams may be lost: in real time, with a limit, bad luck
				// would now and then lose all tries of one flight.
				var passed atomic.Int32
				client.Net, server.Net = virtual(t, func(vnet.Chunk) bool {
					return passed.Add(1) <= 20 && rand.IntN(100) < loss
				})
				client.InitialTimeout, server.InitialTimeout = 20*time.Millisecond, 20*time.Millisecond
				l, err := dtls.Listen("udp4", "192.0.2.2:4433", server)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				accepted := make(chan *dtls.Conn, 1)
				go func() {
					s := accept(t, l)
					if err := s.Handshake(); err != nil {
						t.Errorf("server: %v", err)
					}
					accepted <- s
				}()
				c, err := dtls.Dial("udp4", "192.0.2.2:4433", client)
				if err != nil {
					t.Fatal(err)
				}
				s := <-accepted
				passed.Store(20)
				send(t, c, s, "ping")
				send(t, s, c, "pong")
				if got := s.RemoteAddr().(*net.UDPAddr).IP.String(); got != "192.0.2.1" {
					t.Errorf("the client's address is %s", got)
				}
				c.Close()
				_, err = s.Read(make([]byte, 10))
				expectError(t, "Read", err, io.EOF)
				s.Close()
			})
		})
	}
}
