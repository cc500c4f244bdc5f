package dtls_test

import (
	"crypto/tls"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A Listener counts what was on the link, and keeps what its Conns counted when they
// are gone.
func TestListenerStats(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			var want dtls.ListenerStats // of the link
			lan := newLAN()
			l, link := serve(t, lan, server)
			lan.filter(func(d datagram) error {
				if d.from.String() == serverAddr {
					want.DatagramsSent++
					want.BytesSent += uint64(len(d.data))
				} else {
					want.DatagramsReceived++
					want.BytesReceived += uint64(len(d.data))
				}
				return nil
			})
			c, err := dtls.Client(link, client)
			if err != nil {
				t.Fatal(err)
			}
			go c.Write([]byte("ping")) // in one datagram with Finished
			s := accept(t, l)
			expectRead(t, s, "ping")
			send(t, s, c, "pong")
			link.Write([]byte("noise"))
			link.Write(make([]byte, 100))
			send(t, c, s, "behind the noise")
			took := s.Stats().HandshakeTime
			if got := c.Stats().DatagramsSent + 2; got != want.DatagramsReceived {
				t.Errorf("the client says %d datagrams, the link %d", got, want.DatagramsReceived)
			}
			c.Close()
			s.Close()
			synctest.Wait()

			got := l.Stats()
			want.Challenges, want.Handshakes, want.Conns = 1, got.Handshakes, got.Conns
			want.Dropped = got.Dropped // what comes after s has gone
			if got != want {
				t.Errorf("%+v\n%+v, want", got, want)
			}
			if got.Handshakes.Completed != 1 || got.Handshakes.Failed != 0 || got.Handshakes.Sum != took {
				t.Errorf("%+v", got.Handshakes)
			}
			if dropped := got.Conns.Dropped; dropped.Total() != 2 || dropped != s.Stats().Dropped {
				t.Errorf("dropped %+v, want two", dropped)
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var again dtls.ListenerStats
			if err := json.Unmarshal(text, &again); err != nil || again != got {
				t.Errorf("%v: %s", err, text)
			}
			l.Close()
		})
	})
}

// A handshake that nobody finishes has failed, and a cookie that comes too late is
// refused.
func TestListenerStatsOfFailures(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			server.HandshakeTimeout = time.Second
			client.CurvePreferences = []tls.CurveID{tls.X25519} // a hello in one datagram
			lan := newLAN()
			l, link := serve(t, lan, server)
			c, err := dtls.Client(link, client)
			if err != nil {
				t.Fatal(err)
			}
			answered, second := false, []byte(nil)
			lan.filter(func(d datagram) error {
				if d.from.String() == serverAddr {
					answered = true
				} else if answered && second == nil {
					second = append(second, d.data...)
				}
				return nil
			})
			go c.Handshake()
			s := accept(t, l)
			c.Close()
			time.Sleep(time.Minute + 2*time.Second) // s was not driven, and the cookie is too old
			if got := l.Stats(); got.Handshakes.Failed != 1 || got.Handshakes.Completed != 0 || got.Connections != 0 || got.CookiesRefused != 0 {
				t.Errorf("%+v", got)
			}
			again := dtls.FromPacketConn(lan.listen(clientAddr), l.Addr())
			again.Write(second)
			synctest.Wait()
			if got := l.Stats(); got.CookiesRefused != 1 {
				t.Errorf("%+v, want one cookie refused", got)
			}
			again.Close()
			s.Close()
			l.Close()
		})
	})
}
