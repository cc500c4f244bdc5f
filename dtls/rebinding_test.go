package dtls_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A roamer is a client's link whose address changes under it, as behind a NAT
// that has forgotten it.
type roamer struct {
	open func() net.Conn // a socket with another address

	mu       sync.Mutex
	conn     net.Conn
	deadline time.Time
	closed   bool
}

func roam(open func() net.Conn) *roamer { return &roamer{open: open, conn: open()} }

// rebind changes the address.
func (r *roamer) rebind() {
	fresh := r.open()
	r.mu.Lock()
	defer r.mu.Unlock()
	fresh.SetReadDeadline(r.deadline)
	r.conn.Close()
	r.conn = fresh
}

func (r *roamer) current() (c net.Conn, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn, r.closed
}

func (r *roamer) Read(b []byte) (int, error) {
	for {
		c, _ := r.current()
		n, err := c.Read(b)
		if now, closed := r.current(); err == nil || closed || now == c {
			return n, err
		}
	}
}

func (r *roamer) Write(b []byte) (int, error) {
	c, _ := r.current()
	return c.Write(b)
}

func (r *roamer) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	return r.conn.SetReadDeadline(t)
}

func (r *roamer) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.conn.Close()
}

func (r *roamer) LocalAddr() net.Addr {
	c, _ := r.current()
	return c.LocalAddr()
}

func (r *roamer) RemoteAddr() net.Addr {
	c, _ := r.current()
	return c.RemoteAddr()
}

func (r *roamer) SetDeadline(t time.Time) error      { return r.SetReadDeadline(t) }
func (r *roamer) SetWriteDeadline(t time.Time) error { return nil }

// keyed returns Configs of peers with a key in common: cheap handshakes.
func keyed(version uint16) (client, server *dtls.Config) {
	key := &dtls.ExternalPSK{Identity: []byte("sensor"), Key: bytes.Repeat([]byte("k"), 32), Use: dtls.PSKDirect}
	config := dtls.Config{
		MinVersion: version, MaxVersion: version, Credentials: []dtls.Credential{{PSK: key}}, SessionTicketsDisabled: true,
	}
	other := config
	return &config, &other
}

// A device is a client and its server's side.
type device struct {
	link   *roamer
	client *dtls.Conn
	server *dtls.Conn
	texts  int
}

// echoed sends a text that the server sends back.
func (d *device) echoed(t testing.TB, text string) {
	t.Helper()
	d.said(t, d.client, text)
}

// said lets from say something until the client has heard it: what all devices say
// together may be more than a socket holds.
func (d *device) said(t testing.TB, from *dtls.Conn, text string) {
	t.Helper()
	d.texts++
	marked := fmt.Sprintf("%s, %d", text, d.texts)
	b := make([]byte, 2000)
	for range 60 {
		if _, err := from.Write([]byte(marked)); err != nil {
			t.Fatal(err)
		}
		d.client.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, err := d.client.Read(b)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatalf("%q: %v", marked, err)
			}
			if string(b[:n]) == marked { // else it answers one of before
				return
			}
		}
	}
	t.Fatalf("%q has no answer\nclient: %+v\nserver: %+v", text, d.client.Stats(), d.server.Stats())
}

// awaitNewIDs talks until both IDs are others: messages about them wait for the
// ACKs of those before.
func (d *device) awaitNewIDs(t testing.TB, before dtls.ConnectionState) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; d.echoed(t, "and now?") {
		after := d.client.ConnectionState()
		if !bytes.Equal(before.LocalConnectionID, after.LocalConnectionID) && !bytes.Equal(before.RemoteConnectionID, after.RemoteConnectionID) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the IDs were % x, % x and are % x, % x",
				before.LocalConnectionID, before.RemoteConnectionID, after.LocalConnectionID, after.RemoteConnectionID)
		}
	}
}

// connectDevices makes n devices at one Listener, which echoes.
func connectDevices(t testing.TB, n int, l *dtls.Listener, config *dtls.Config, open func() net.Conn) (all []*device, stop func()) {
	t.Helper()
	var running sync.WaitGroup
	for i := range n {
		d := &device{link: roam(open)}
		var err error
		if d.client, err = dtls.Client(d.link, config); err != nil {
			t.Fatal(err)
		}
		accepted := make(chan *dtls.Conn, 1)
		running.Go(func() {
			s := accept(t, l)
			accepted <- s
			b := make([]byte, 2000)
			for {
				n, err := s.Read(b)
				if err != nil {
					return // closed
				}
				s.Write(b[:n])
			}
		})
		d.echoed(t, fmt.Sprint("device ", i))
		d.server = <-accepted
		all = append(all, d)
	}
	return all, func() {
		for _, d := range all {
			d.client.Close()
			d.server.Close()
		}
		running.Wait()
		l.Close()
	}
}

// checkRebinding lets the addresses of all devices change under them, twice, and
// checks that nobody is lost: what they send is answered, at once, and later the
// server reaches them by itself.
func checkRebinding(t *testing.T, all []*device, settle func(d *device)) {
	t.Helper()
	for round := range 2 {
		before := make([]dtls.ConnectionState, len(all))
		for i, d := range all {
			before[i] = d.client.ConnectionState()
			d.link.rebind()
			d.echoed(t, fmt.Sprintf("device %d at its new address", i))
		}
		for i, d := range all {
			settle(d)
			if got, want := d.server.RemoteAddr().String(), d.link.LocalAddr().String(); got != want {
				t.Fatalf("device %d, round %d: the server writes to %s, it is at %s", i, round, got, want)
			}
			d.said(t, d.server, "by itself")
			d.echoed(t, "to the end")
			if before[i].Version == dtls.VersionDTLS13 {
				d.awaitNewIDs(t, before[i])
			}
		}
	}
}

func devicesOfTest(t testing.TB) int {
	if testing.Short() {
		return 100
	}
	return 1000
}

// On a virtual network, with the enhanced check.
func TestRebindingOfManyDevices(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := keyed(version)
			client.ConnectionIDs, server.ConnectionIDs = dtls.RandomConnectionIDs(4), dtls.RandomConnectionIDs(8)
			all, stop := devicesOnLAN(t, devicesOfTest(t), client, server)
			defer stop()
			checkRebinding(t, all, func(d *device) {
				for range 3 { // the old path is asked for a second
					time.Sleep(time.Second)
					d.echoed(t, "still here")
				}
			})
		})
	})
}

func devicesOnLAN(t testing.TB, n int, client, server *dtls.Config) (all []*device, stop func()) {
	t.Helper()
	network := newLAN()
	at := netip.MustParseAddrPort("192.0.2.2:4433")
	l, err := dtls.NewListener(network.listen(at.String()), server)
	if err != nil {
		t.Fatal(err)
	}
	ports := 0
	return connectDevices(t, n, l, client, func() net.Conn {
		ports++
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + ports>>14)}), uint16(1024+ports&(1<<14-1)))
		return dtls.FromPacketConn(network.listen(from.String()), net.UDPAddrFromAddrPort(at))
	})
}

// Without connection IDs the same devices are lost.
func TestRebindingWithoutIDsLosesDevices(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := keyed(version)
			all, stop := devicesOnLAN(t, 10, client, server)
			defer stop()
			for i, d := range all {
				d.link.rebind()
				if _, err := d.client.Write([]byte("at its new address")); err != nil {
					t.Fatal(err)
				}
				d.client.SetReadDeadline(time.Now().Add(time.Minute))
				if n, err := d.client.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("device %d: got an answer of %d bytes, %v", i, n, err)
				}
			}
		})
	})
}

// On real sockets, with the basic check.
func TestRebindingOfSockets(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		client, server := keyed(version)
		client.ConnectionIDs, server.ConnectionIDs = dtls.RandomConnectionIDs(4), dtls.RandomConnectionIDs(8)
		server.PathCheck = dtls.BasicPathCheck
		l, err := dtls.Listen("udp", "127.0.0.1:0", server)
		if err != nil {
			t.Fatal(err)
		}
		all, stop := connectDevices(t, devicesOfTest(t), l, client, func() net.Conn {
			c, err := net.Dial("udp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			return c
		})
		defer stop()
		checkRebinding(t, all, func(d *device) {
			for range 3 { // messages about IDs and their ACKs
				d.echoed(t, "still here")
			}
		})
		if stats := l.Stats(); stats.Connections != len(all) {
			t.Errorf("%d connections of %d", stats.Connections, len(all))
		}
	})
}
