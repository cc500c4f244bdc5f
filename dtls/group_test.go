package dtls_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/godwit-dtls/godwit/dtls"
)

// listenGroup opens a group of four, or skips where there is none.
func listenGroup(t *testing.T, config *dtls.Config) []*dtls.Listener {
	t.Helper()
	group, err := dtls.ListenGroup("udp4", "127.0.0.1:0", 4, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, l := range group {
			l.Close()
		}
	})
	if len(group) == 1 {
		t.Skip("sockets can't share an address here")
	}
	return group
}

// All of a group take clients, and a client may bring a ticket to another one.
func TestListenGroup(t *testing.T) {
	client, server := configs(t, 0)
	client.ClientSessionCache = dtls.NewLRUClientSessionCache(0)
	group := listenGroup(t, server)
	for _, l := range group {
		if l.Addr().String() != group[0].Addr().String() {
			t.Errorf("%v beside %v", l.Addr(), group[0].Addr())
		}
		echo(t, l)
	}
	busy := func() (n int) {
		for _, l := range group {
			if l.Stats().DatagramsReceived > 0 {
				n++
			}
		}
		return n
	}
	for i := 0; i < 20 || busy() < len(group); i++ { // one in 10^5 needs more than 60
		if i == 100 {
			t.Fatalf("%d clients came to %d sockets", i, busy())
		}
		c, err := dtls.Dial("udp4", group[0].Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		send(t, c, c, "echo")
		if resumed := c.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("client %d: resumed %v", i, resumed)
		}
		c.Close()
	}
}

// A client with a connection ID that has moved comes to another socket, and its Conn has
// what it sends, whether it is read or served.
func TestGroupHandsOver(t *testing.T) {
	for _, way := range []string{"read", "served"} {
		t.Run(way, func(t *testing.T) {
			client, server := configs(t, 0)
			client.ConnectionIDs, server.ConnectionIDs = dtls.RandomConnectionIDs(0), dtls.RandomConnectionIDs(8)
			client.PathCheck, server.PathCheck = dtls.NoPathCheck, dtls.NoPathCheck
			server.AcceptMove = func(_, _ netip.AddrPort) bool { return true }
			group := listenGroup(t, server)
			ended := make(chan error, len(group))
			for _, l := range group {
				if way == "read" {
					echo(t, l)
					continue
				}
				go func() {
					ended <- l.Serve(func(c *dtls.Conn, data []byte) {
						if data != nil {
							c.Write(data)
						}
					})
				}()
			}
			link := roam(func() net.Conn {
				c, err := net.Dial("udp4", group[0].Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				return c
			})
			c, err := dtls.Client(link, client)
			if err != nil {
				t.Fatal(err)
			}
			for range 30 { // all go to one socket with a chance of 4^-29
				send(t, c, c, "echo")
				link.rebind()
			}
			reached := 0
			for _, l := range group {
				if l.Stats().DatagramsReceived > 0 {
					reached++
				}
			}
			if reached < 2 {
				t.Errorf("%d sockets were reached", reached)
			}
			c.Close()
			for _, l := range group {
				l.Close()
				if way == "served" {
					expectError(t, "Serve", <-ended, net.ErrClosed)
				}
			}
		})
	}
}

// A Config that can't work is refused, and so is an address that somebody else has.
func TestListenGroupErrors(t *testing.T) {
	_, err := dtls.ListenGroup("udp4", "127.0.0.1:0", 2, nil)
	if _, ok := errors.AsType[*dtls.ConfigError](err); !ok {
		t.Errorf("without a certificate: %v", err)
	}
	_, server := configs(t, 0)
	alone, err := dtls.Listen("udp4", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	if _, err := dtls.ListenGroup("udp4", alone.Addr().String(), 2, server); err == nil {
		t.Error("a group on an address that is taken")
	}
}
