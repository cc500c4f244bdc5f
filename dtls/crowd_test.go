package dtls_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// Many clients connect at once, a few times each. If the network loses nothing, then
// nothing gets lost in the Listener either: nobody waits for a timer.
func TestCrowd(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			clients := 30
			if os.Getenv("GODWIT_FULL") == "1" {
				clients = 5000
			}
			client, server := configs(t, version)
			client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} // whose hello is one datagram
			lan := newLAN()
			l, err := dtls.NewListener(lan.listenWithRoom(serverAddr, 4*clients), server)
			if err != nil {
				t.Fatal(err)
			}
			go echoAll(l)
			began := time.Now()
			var crowd sync.WaitGroup
			for i := range clients {
				crowd.Go(func() {
					host := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
					for visits := range 3 {
						address := netip.AddrPortFrom(host, uint16(1000+visits)).String()
						visit(t, dtls.FromPacketConn(lan.listenWithRoom(address, 8), l.Addr()), client)
					}
				})
			}
			crowd.Wait()
			if took := time.Since(began); took > 0 {
				t.Errorf("somebody had to wait: %v", took)
			}
			if s := l.Stats(); s.Dropped > 0 {
				t.Errorf("%+v", s)
			}
			l.Close()
		})
	})
}

// visit is call, where nothing has to be said twice.
func visit(t *testing.T, link net.Conn, client *dtls.Config) {
	if s := call(t, link, client); s.Retransmits > 0 {
		t.Errorf("%+v", s)
	}
}

// call connects over a link, gets an echo, and goes.
func call(t *testing.T, link net.Conn, client *dtls.Config) (s dtls.Stats) {
	c, err := dtls.Client(link, client)
	if err != nil {
		t.Error(err)
		return s
	}
	defer c.Close()
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Error(err)
		return s
	}
	if n, err := c.Read(make([]byte, 8)); n != 4 || err != nil {
		t.Error(n, err)
	}
	return c.Stats()
}

// echoAll serves all clients of a Listener until they go.
func echoAll(l *dtls.Listener) {
	for {
		c, err := l.AcceptConn()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 100)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				c.Write(buf[:n])
			}
		}()
	}
}
