package dtls_test

import (
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A Conn finds what its link carries, be it that larger datagrams are lost or refused, and
// its Write knows. What the system says of a datagram that isn't too large, as forged ICMP
// messages would have it, changes nothing.
func TestConnPathMTU(t *testing.T) {
	for name, refusal := range map[string]error{"lost": errLost, "refused": syscall.EMSGSIZE} {
		bothVersions(t, func(t *testing.T, version uint16) {
			synctest.Test(t, func(t *testing.T) {
				const path = 1400
				client, server := configs(t, version)
				client.MaxMTU, server.MaxMTU = 1472, 1472
				client.ConnectionIDs, server.ConnectionIDs = dtls.RandomConnectionIDs(4), dtls.RandomConnectionIDs(4)
				l := newLAN()
				forged := time.Now()
				l.filter(func(d datagram) error {
					switch {
					case len(d.data) > path:
						return refusal
					case time.Since(forged) > 5*time.Second: // of the three probes of a size one, at most
						forged = time.Now()
						return syscall.EMSGSIZE
					}
					return nil
				})
				c, s := established(t, l, client, server)
				go io.Copy(io.Discard, c)
				go io.Copy(io.Discard, s)
				best := map[*dtls.Conn]int{}
				for range 100 {
					for _, conn := range []*dtls.Conn{c, s} {
						synctest.Wait() // what comes for it may raise or lower its PathMTU
						if _, err := conn.Write(make([]byte, conn.PathMTU().Data)); err != nil {
							t.Fatalf("%s: %v", name, err)
						}
						synctest.Wait()
						if _, err := conn.Write(make([]byte, conn.PathMTU().Data+1)); err != dtls.ErrTooLong {
							t.Fatalf("%s: a byte more: %v", name, err)
						}
						if m := conn.PathMTU(); m.Datagram < best[conn] {
							t.Fatalf("%s: %+v, was %d", name, m, best[conn])
						}
						best[conn] = conn.PathMTU().Datagram
						time.Sleep(time.Second) // virtual
					}
				}
				for _, conn := range []*dtls.Conn{c, s} {
					if m := conn.PathMTU(); m.State != dtls.MTUFound || m.Datagram > path || m.Datagram <= path-8 {
						t.Errorf("%s: %+v", name, m)
					}
				}
			})
		})
	}
}

// A Conn that nobody reads or writes has found it too, once the handshake is over, and
// rests then.
func TestConnPathMTUUnattended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, dtls.VersionDTLS13)
		client.MaxMTU = 1472
		c, s := established(t, newLAN(), client, server)
		go io.Copy(io.Discard, s)
		time.Sleep(time.Minute)
		if m := c.PathMTU(); m.State != dtls.MTUFound || m.Datagram != 1472 {
			t.Errorf("%+v", m)
		}
		sent := c.Stats().DatagramsSent
		time.Sleep(time.Hour)
		if n := c.Stats().DatagramsSent - sent; n != 0 {
			t.Errorf("%d datagrams in an hour of silence", n)
		}
	})
}

// A Conn that is served searches on the goroutine that reads for all.
func TestServePathMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const path = 4000
		client, server := configs(t, dtls.VersionDTLS13)
		client.MaxMTU, server.MaxMTU = 8972, 8972
		l := newLAN()
		l.filter(func(d datagram) error {
			if len(d.data) > path {
				return errLost
			}
			return nil
		})
		s := serving(listenLAN(t, l, server))
		c := dialLAN(t, l, clientAddr, s.Addr(), client)
		for range 60 {
			send(t, c, c, "an echo")
			time.Sleep(time.Second) // virtual
		}
		synctest.Wait()
		for served := range s.conns {
			for _, conn := range []*dtls.Conn{c, served} {
				if m := conn.PathMTU(); m.State != dtls.MTUFound || m.Datagram > path || m.Datagram <= path-8 {
					t.Errorf("%+v", m)
				}
			}
		}
		c.Close()
		s.stop(t)
	})
}
