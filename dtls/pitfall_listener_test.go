package dtls_test

import (
	"bytes"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// What whole servers suffered. docs/pitfalls.md has it all.

// oneDatagram lets a hello have room in one.
func oneDatagram(c *dtls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }

// Hellos that end early under the address of an open connection are nothing to it:
// not the first, nor the one with a good cookie (CVE-2022-35409).
func TestPitfallTruncatedHelloOfClient(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := configs(t, 0)
				client.MinVersion, server.MinVersion = 0, 0
				kind.change(client)
				kind.change(server)
				oneDatagram(client)
				d := newRebooter(t, client, server)
				a := newAttacker(t, d.lan)
				c, s := d.connect()
				first := a.intruder(client).flight()[0]
				second := a.intruder(client).call(victim)[0]
				for _, hello := range [][]byte{first, second} {
					for n := range hello {
						cut := bytes.Clone(hello[:n])
						if n >= 13 {
							cut[11], cut[12] = byte((n-13)>>8), byte(n-13)
						}
						a.send(victim, cut)
					}
				}
				drain(t, c)
				d.connections(1)
				send(t, c, s, "still here")
				send(t, s, c, "here too")
			})
		})
	}
}

// Handshakes that fail, one after the other and each in its own way, leave neither
// a connection that is counted nor a server that has learned something wrong: the
// next one is as the first would have been (CVE-2020-27222, CVE-2022-39368).
func TestPitfallFailedHandshakes(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			mine, roots := identity(t, "client.example")
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, roots
			client.Certificates = []tls.Certificate{mine}
			client.ClientSessionCache = dtls.NewLRUClientSessionCache(4)
			d := newRebooter(t, client, server)
			stranger, _ := identity(t, "client.example")
			_, strangers := identity(t, "server.example")
			for range 3 {
				for name, change := range map[string]func(*dtls.Config){
					"no certificate":        func(c *dtls.Config) { c.Certificates, c.ClientSessionCache = nil, nil },
					"a stranger's":          func(c *dtls.Config) { c.Certificates, c.ClientSessionCache = []tls.Certificate{stranger}, nil },
					"the server is refused": func(c *dtls.Config) { c.RootCAs = strangers },
					"the client gives up":   func(c *dtls.Config) { c.VerifyConnection = func(dtls.ConnectionState) error { return errRefused } },
				} {
					odd := *client
					change(&odd)
					d.config = &odd
					c, done := d.start()
					s := d.accept()
					if err := s.Handshake(); err == nil {
						if _, err = s.Read(make([]byte, 10)); err == nil {
							t.Errorf("%s: the server reads", name)
						}
					}
					<-done
					s.Close()
					c.Close()
					time.Sleep(5 * time.Minute)
					d.connections(0)
				}
				d.config = client
				c, s := d.connect()
				if s.ConnectionState().DidResume && len(s.ConnectionState().PeerCertificates) == 0 {
					t.Error("resumed without knowing whom")
				}
				send(t, c, s, "ping")
				send(t, s, c, "pong")
				c.Close()
				s.Close()
				time.Sleep(5 * time.Minute)
			}
		})
	})
}

// A session that a client would resume, but that doesn't fit, is no way around the
// cookie: its hello gets a challenge like any other (CVE-2022-2576).
func TestPitfallResumptionNeedsCookie(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			client.ClientSessionCache = dtls.NewLRUClientSessionCache(4)
			oneDatagram(client)
			d := newRebooter(t, client, server)
			c, s := d.connect()
			send(t, s, c, "with the ticket")
			for _, conn := range []*dtls.Conn{c, s} {
				conn.Close()
			}
			time.Sleep(5 * time.Minute)
			odd := *client
			odd.NextProtos = []string{"none that the server has"}
			a := newAttacker(t, d.lan)
			challenges := d.listener.Stats().Challenges
			for range 10 {
				i := a.intruder(&odd)
				if work := i.Work(); work != nil { // it looks for a session
					work()
					i.Resume(time.Now())
				}
				for _, hello := range i.flight() {
					a.send(stranger, hello)
				}
			}
			a.bounded(stranger)
			d.connections(0)
			if got := d.listener.Stats().Challenges - challenges; got != 10 {
				t.Errorf("%d challenges for 10 hellos", got)
			}
		})
	})
}

// What waits to be read when a connection ends doesn't stay (CVE-2014-3507).
func TestPitfallUnreadData(t *testing.T) {
	if !dtls.Alone(t) {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, dtls.VersionDTLS12)
		lan := newLAN()
		l, link := serve(t, lan, server)
		defer l.Close()
		link.Close()
		const datagrams, size = 60, 1000
		round := func() {
			c, s := join(t, l, dtls.FromPacketConn(lan.listen(clientAddr), l.Addr()), client)
			for range datagrams {
				c.Write(make([]byte, size))
			}
			synctest.Wait()
			s.Close()
			c.Close()
			time.Sleep(5 * time.Minute)
		}
		round()
		const rounds = 10
		before := heap()
		for range rounds {
			round()
		}
		if grown := int64(heap()) - int64(before); grown > rounds*datagrams*size/4 {
			t.Errorf("the heap grew by %d bytes in %d rounds of %d", grown, rounds, datagrams*size)
		}
	})
}
