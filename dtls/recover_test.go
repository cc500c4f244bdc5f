package dtls_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// A cluster is an address at which one Listener after another listens, as behind a
// balancer. What the one before has is not closed: it may be dead, or only think that
// it lives.
type cluster struct {
	network *lan
	config  *dtls.Config
	store   *slowStore
}

var clusterAddress = netip.MustParseAddrPort("192.0.2.2:4433")

func newCluster(t testing.TB, version uint16) (c *cluster, client *dtls.Config) {
	client, server := keyed(version)
	client.ConnectionIDs, server.ConnectionIDs = dtls.RandomConnectionIDs(0), dtls.RandomConnectionIDs(8)
	c = &cluster{network: newLAN(), config: server, store: newSlowStore(time.Millisecond)}
	server.Store, server.StoreKey, server.StoreBlock = c.store, blobKey, 16
	return c, client
}

// node makes another Listener, which echoes, and from now on is the one that gets
// what devices send.
func (c *cluster) node(t testing.TB) *dtls.Listener {
	t.Helper()
	l, _ := c.nodeWithDoor(t)
	return l
}

// nodeWithDoor is node with its port, to which the network may go back.
func (c *cluster) nodeWithDoor(t testing.TB) (*dtls.Listener, *port) {
	t.Helper()
	door := c.network.listen(clusterAddress.String())
	l, err := dtls.NewListener(door, c.config)
	if err != nil {
		t.Fatal(err)
	}
	return l, door
}

// dial makes a device with an address of its own.
func (c *cluster) dial(t testing.TB, config *dtls.Config, from string) *dtls.Conn {
	t.Helper()
	d, err := dtls.Client(dtls.FromPacketConn(c.network.listen(from), net.UDPAddrFromAddrPort(clusterAddress)), config)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// end ends one after the other, with a minute between, and wants the Store to be empty then.
func (c *cluster) end(t testing.TB, ends ...func() error) {
	t.Helper()
	for _, end := range ends {
		end()
		time.Sleep(time.Minute)
	}
	if left := len(c.store.values); left != 0 {
		t.Errorf("%d values are left in the Store", left)
	}
}

// firstWords lets a device speak to a Listener that doesn't have it yet, until it is
// heard. After a crash that takes some tries: with numbers that the process before may
// have received nothing is taken.
func firstWords(t testing.TB, device *dtls.Conn, l *dtls.Listener, text string) *dtls.Conn {
	t.Helper()
	heard := make(chan struct{})
	tries := make(chan int, 1)
	go func() {
		for n := 1; ; n++ {
			if _, err := device.Write([]byte(text)); err != nil {
				t.Error(err)
			}
			select {
			case <-heard:
				tries <- n
				return
			case <-time.After(time.Second):
			}
		}
	}()
	s := accept(t, l)
	expectRead(t, s, text)
	close(heard)
	if n := <-tries; n > 20 { // a block and a few
		t.Errorf("the device had to say %q %d times", text, n)
	}
	return s
}

// A Listener goes on with the connections of one that is gone, again and again.
func TestListenerRecovers(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, config := newCluster(t, version)
			device := c.dial(t, config, "198.51.100.1:1000")
			var dead []*dtls.Listener
			var conns []*dtls.Conn
			for n := range 4 {
				l := c.node(t)
				s := firstWords(t, device, l, fmt.Sprint("hello, node ", n))
				for i := range 20 {
					send(t, s, device, fmt.Sprint("answer ", i))
					send(t, device, s, fmt.Sprint("message ", i))
				}
				conns = append(conns, s)
				if got := l.Stats().Recovered; got != min(1, uint64(n)) {
					t.Errorf("node %d: %d recovered", n, got)
				}
				time.Sleep(time.Minute) // all is stored
				dead = append(dead, l)
			}
			// Those that thought that they lived learn that they don't.
			for n, s := range conns[:3] {
				var err error
				for i := 0; i < 100 && err == nil; i++ {
					_, err = s.Write([]byte("still me"))
					time.Sleep(time.Second)
				}
				if !errors.Is(err, dtls.ErrReplayed) {
					t.Errorf("node %d: %v", n, err)
				}
			}
			device.Close()
			var ends []func() error
			for n, l := range dead {
				ends = append(ends, conns[n].Close, l.Close)
			}
			c.end(t, ends...)
		})
	})
}

// IDs that the client has left behind by the time its connection is found don't stay in
// the Store.
func TestRecoveryForgetsIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, config := newCluster(t, dtls.VersionDTLS13)
		device := c.dial(t, config, "198.51.100.1:1000")
		first := c.node(t)
		served := firstWords(t, device, first, "hello")
		if err := device.RotateConnectionIDs(); err != nil { // it gets more than it uses
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		second := c.node(t)
		if err := device.RotateConnectionIDs(); err != nil {
			t.Fatal(err)
		}
		heir := firstWords(t, device, second, "hello again")
		time.Sleep(time.Minute)
		device.Close()
		c.end(t, heir.Close, second.Close, served.Close, first.Close)
	})
}

// A connection that was exported before its IDs were in the Store is found by them all the
// same, once somebody has imported it.
func TestRecoveryAfterImport(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, config := newCluster(t, version)
			device := c.dial(t, config, "198.51.100.1:1000")
			first := c.node(t)
			go device.Handshake()
			served := accept(t, first)
			if err := served.Handshake(); err != nil {
				t.Fatal(err)
			}
			blob, err := served.Export(blobKey)
			if err != nil {
				t.Fatal(err)
			}
			heir, err := first.Import(nil, blob, blobKey)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			second := c.node(t)
			recovered := firstWords(t, device, second, "hello")
			device.Close()
			c.end(t, recovered.Close, second.Close, heir.Close, served.Close, first.Close)
		})
	})
}

// A client that comes back to a Listener which still has the connection as it was is found
// in the Store, too: what is outdated ends, and doesn't stand in the way.
func TestRecoveryEndsWhatIsOutdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, config := newCluster(t, dtls.VersionDTLS13)
		device := c.dial(t, config, "198.51.100.1:1000")
		first, door := c.nodeWithDoor(t)
		outdated := firstWords(t, device, first, "hello")
		time.Sleep(time.Minute)
		second := c.node(t)
		served := firstWords(t, device, second, "hello")
		time.Sleep(time.Minute)

		c.network.direct(door)
		for range 30 {
			device.Write([]byte("back again"))
			time.Sleep(time.Second)
		}
		if n := first.Stats(); n.Recovered != 1 || n.Connections != 1 {
			t.Fatalf("%d recovered, of %d connections", n.Recovered, n.Connections)
		}
		heir := accept(t, first)
		expectRead(t, heir, "back again")
		send(t, heir, device, "here")
		_, err := outdated.Read(nil)
		expectError(t, "what is outdated", err, dtls.ErrReplayed)
		device.Close()
		c.end(t, heir.Close, outdated.Close, first.Close, served.Close, second.Close)
	})
}

// Who has a connection as it was before it went on elsewhere doesn't end it there, whether he
// closes or aborts it; and who can't ask the Store doesn't know.
func TestOutdatedSaysNoGoodbye(t *testing.T) {
	ends := map[string]func(*dtls.Conn) error{"Close": (*dtls.Conn).Close, "Abort": func(s *dtls.Conn) error { return s.Abort(alert.UserCanceled) }}
	for name, end := range ends {
		bothVersions(t, func(t *testing.T, version uint16) {
			synctest.Test(t, func(t *testing.T) {
				c, config := newCluster(t, version)
				device := c.dial(t, config, "198.51.100.1:1000")
				first := c.node(t)
				outdated := firstWords(t, device, first, "hello")
				time.Sleep(time.Minute)
				second := c.node(t)
				served := firstWords(t, device, second, "hello again")

				var said atomic.Int32
				c.network.filter(func(d datagram) error {
					if d.from == clusterAddress {
						said.Add(1)
					}
					return nil
				})
				if err := end(outdated); said.Load() != 0 {
					t.Errorf("%s of what is outdated: %d datagrams, %v", name, said.Load(), err)
				}
				send(t, served, device, "still here")
				go device.Read(nil) // acknowledges the new ID
				time.Sleep(time.Minute)
				c.store.fail(errors.New("down"))
				said.Store(0)
				if err := served.Close(); err == nil || said.Load() != 0 {
					t.Errorf("Close without the Store: %d datagrams, %v", said.Load(), err)
				}
				c.store.fail(nil)
				heir := firstWords(t, device, second, "and on")
				time.Sleep(time.Minute)
				said.Store(0)
				if err := heir.Close(); err != nil || said.Load() != 1 {
					t.Errorf("Close: %d datagrams, %v", said.Load(), err)
				}
				if _, err := device.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("the device: %v", err)
				}
				device.Close()
				c.end(t, first.Close, second.Close)
			})
		})
	}
}

// Forged records make a connection ask the Store, which may know better, but not more often
// than once a second.
func TestForgeriesAskTheStoreSeldom(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, config := newCluster(t, version)
			device := c.dial(t, config, "198.51.100.1:1000")
			node := c.node(t)
			served := firstWords(t, device, node, "hello")
			time.Sleep(time.Minute)
			var forged []byte
			c.network.filter(func(d datagram) error {
				forged = bytes.Clone(d.data)
				return nil
			})
			send(t, device, served, "to be altered")
			time.Sleep(time.Minute)
			forged[10] += 5 // of the number
			forged[len(forged)-1] ^= 1
			before := c.store.snapshot()[served.StoreName()]
			for range 1000 {
				c.network.listen("203.0.113.9:9").WriteTo(forged, net.UDPAddrFromAddrPort(clusterAddress))
				time.Sleep(10 * time.Millisecond)
			}
			if asked := c.store.snapshot()[served.StoreName()] - before; asked < 9 || asked > 11 {
				t.Errorf("the Store was asked %d times in ten seconds", asked)
			}
			send(t, device, served, "the real one")
			for _, end := range []func() error{device.Close, served.Close, node.Close} {
				end()
			}
		})
	})
}

// A Listener that closes while it looks for a connection leaves that to others.
func TestCloseDuringRecovery(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, config := newCluster(t, version)
			device := c.dial(t, config, "198.51.100.1:1000")
			first := c.node(t)
			outdated := firstWords(t, device, first, "hello")
			time.Sleep(time.Minute)
			second := c.node(t)
			c.store.slow(time.Second)
			for range 3 { // two are lost with what the first may have received
				device.Write([]byte("is anybody there?"))
				time.Sleep(2500 * time.Millisecond)
			}
			second.Close() // which has read it, and asks for the state or claims it
			time.Sleep(time.Minute)
			third := c.node(t)
			heir := firstWords(t, device, third, "hello again")
			send(t, heir, device, "here")
			device.Close()
			c.end(t, heir.Close, third.Close, outdated.Close, first.Close)
		})
	})
}

// Whoever knows an ID but no key takes nothing from anybody: neither by garbage nor
// by what the device has sent before.
func TestNobodyElseRecovers(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, config := newCluster(t, version)
			var sent [][]byte
			c.network.filter(func(d datagram) error {
				if d.to == clusterAddress {
					sent = append(sent, append([]byte(nil), d.data...))
				}
				return nil
			})
			l := c.node(t)
			device := c.dial(t, config, "198.51.100.1:1000")
			s := firstWords(t, device, l, "hello")
			for i := range 10 {
				send(t, device, s, fmt.Sprint("message ", i))
			}
			time.Sleep(time.Minute)
			c.network.filter(nil)

			other, err := dtls.NewListener(c.network.listen("192.0.2.3:4433"), c.config)
			if err != nil {
				t.Fatal(err)
			}
			before := c.store.snapshot()
			attacker := c.network.listen("203.0.113.6:666")
			for _, d := range sent {
				forged := append([]byte(nil), d...)
				forged[len(forged)-1] ^= 1
				for _, b := range [][]byte{d, forged} {
					attacker.WriteTo(b, other.Addr())
					time.Sleep(time.Second)
				}
			}
			if got := other.Stats(); got.Recovered != 0 || got.Connections != 0 {
				t.Errorf("another node has recovered %d, and has %d connections", got.Recovered, got.Connections)
			}
			if after := c.store.snapshot(); fmt.Sprint(before) != fmt.Sprint(after) {
				t.Error("the Store has changed")
			}
			send(t, device, s, "still here")
			send(t, s, device, "me too")
			device.Close()
			s.Close()
			l.Close()
			other.Close()
			attacker.Close()
		})
	})
}

// Who knows an ID and always comes first with garbage keeps nobody from being found.
func TestGarbageBeforeRecovery(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, config := newCluster(t, version)
			var last []byte
			c.network.filter(func(d datagram) error {
				if d.to == clusterAddress {
					last = append([]byte(nil), d.data...)
				}
				return nil
			})
			before := c.node(t)
			device := c.dial(t, config, "198.51.100.1:1000")
			s := firstWords(t, device, before, "hello")
			send(t, device, s, "something with an ID")
			time.Sleep(time.Minute)
			c.network.filter(nil)
			last[len(last)-1] ^= 1

			l := c.node(t)
			attacker := c.network.listen("203.0.113.6:666")
			tries := 0
			for ; tries < 20 && l.Stats().Recovered == 0; tries++ {
				attacker.WriteTo(last, net.UDPAddrFromAddrPort(clusterAddress))
				device.Write([]byte("it is me"))
				time.Sleep(time.Second)
			}
			if l.Stats().Recovered == 0 {
				t.Errorf("nothing is recovered in %d tries", tries)
			} else {
				s := accept(t, l)
				expectRead(t, s, "it is me")
				s.Close()
			}
			device.Close()
			s.Close()
			before.Close()
			l.Close()
			attacker.Close()
			time.Sleep(time.Minute)
		})
	})
}

// A process that thinks that it lives and closes a connection which goes on elsewhere
// leaves in the Store what that is found by.
func TestCloseAfterRecovery(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, config := newCluster(t, version)
			before := c.node(t)
			device := c.dial(t, config, "198.51.100.1:1000")
			stale := firstWords(t, device, before, "hello")
			time.Sleep(time.Minute)
			l := c.node(t)
			s := firstWords(t, device, l, "hello again")
			time.Sleep(time.Minute)
			want := c.store.snapshot()
			c.network.filter(func(datagram) error { return net.ErrClosed }) // it is cut off
			expectError(t, "Close of the process before", stale.Close(), dtls.ErrReplayed)
			c.network.filter(nil)
			time.Sleep(time.Minute)
			got := c.store.snapshot()
			for name := range want {
				if _, ok := got[name]; !ok {
					t.Errorf("%q is not in the Store any more", name)
				}
			}
			device.Close()
			s.Close()
			before.Close()
			l.Close()
			time.Sleep(time.Minute)
		})
	})
}

// Whoever makes up IDs, of which each is looked for in the Store, keeps no client out that
// has none yet, however few may wait for Accept.
func TestMadeUpIDsBlockNobody(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			c, config := newCluster(t, version)
			c.config.MaxHandshakes = 1
			var last []byte
			c.network.filter(func(d datagram) error {
				if d.to == clusterAddress {
					last = bytes.Clone(d.data)
				}
				return nil
			})
			l := c.node(t)
			device := c.dial(t, config, "198.51.100.1:1000")
			s := firstWords(t, device, l, "hello")
			send(t, device, s, "something with an ID")
			c.network.filter(nil)
			c.store.slow(5 * time.Second)
			attacker := c.network.listen("203.0.113.6:666")
			for i := range 100 {
				at := 11 // of 1.2, and of 1.3
				if version == dtls.VersionDTLS13 {
					at = 1
				}
				last[at] = byte(i)
				attacker.WriteTo(last, net.UDPAddrFromAddrPort(clusterAddress))
			}
			synctest.Wait()
			c.store.slow(0)
			began := time.Now()
			other := firstWords(t, c.dial(t, config, "198.51.100.2:1000"), l, "me too")
			if took := time.Since(began); took > 0 {
				t.Errorf("it took %v", took)
			}
			other.Close()
			s.Close()
			device.Close()
			l.Close()
			attacker.Close()
			time.Sleep(time.Minute)
		})
	})
}

// A connection that is imported to a Listener which still has it as it was before it went on
// elsewhere takes the place of that.
func TestImportEndsWhatIsOutdated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, config := newCluster(t, dtls.VersionDTLS13)
		device := c.dial(t, config, "198.51.100.1:1000")
		first, door := c.nodeWithDoor(t)
		outdated := firstWords(t, device, first, "hello")
		time.Sleep(time.Minute)
		second := c.node(t)
		served := firstWords(t, device, second, "hello")
		time.Sleep(time.Minute)

		blob, err := served.Export(blobKey)
		if err != nil {
			t.Fatal(err)
		}
		c.network.direct(door)
		heir, err := first.Import(nil, blob, blobKey)
		if err != nil {
			t.Fatal(err)
		}
		send(t, heir, device, "here")
		send(t, device, heir, "here, too")
		_, err = outdated.Read(nil)
		expectError(t, "what is outdated", err, dtls.ErrReplayed)
		device.Close()
		for _, end := range []func() error{heir.Close, outdated.Close, first.Close, served.Close, second.Close} {
			end()
			time.Sleep(time.Minute)
		}
	})
}
