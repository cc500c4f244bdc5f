package dtls_test

import (
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A rebooter is a client at clientAddr, which forgets all that it had when it is
// started again. What was started before can still send, but hears nothing.
type rebooter struct {
	t        testing.TB
	lan      *lan
	listener *dtls.Listener
	config   *dtls.Config
}

// start begins a handshake, and returns where its end is told.
func (d *rebooter) start() (*dtls.Conn, chan error) {
	d.t.Helper()
	c, err := dtls.Client(dtls.FromPacketConn(d.lan.listen(clientAddr), d.listener.Addr()), d.config)
	if err != nil {
		d.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()
	d.t.Cleanup(func() { c.Close() })
	return c, done
}

// connect runs both handshakes.
func (d *rebooter) connect() (c, s *dtls.Conn) {
	d.t.Helper()
	c, done := d.start()
	s = d.accept()
	d.finish(s, done)
	return c, s
}

func (d *rebooter) accept() *dtls.Conn {
	d.t.Helper()
	s := accept(d.t, d.listener)
	d.t.Cleanup(func() { s.Close() })
	return s
}

func (d *rebooter) finish(s *dtls.Conn, done chan error) {
	d.t.Helper()
	if err := s.Handshake(); err != nil {
		d.t.Fatalf("server: %v", err)
	}
	if err := <-done; err != nil {
		d.t.Fatalf("client: %v", err)
	}
}

// connections checks how many there are.
func (d *rebooter) connections(want int) {
	d.t.Helper()
	synctest.Wait()
	if got := d.listener.Stats().Connections; got != want {
		d.t.Errorf("%d connections, want %d", got, want)
	}
}

// restarts are what a device may be before and after it is started again.
var restarts = []struct {
	name          string
	before, after func(client *dtls.Config)
	server        func(server *dtls.Config)
}{
	{name: "1.3", after: highest(dtls.VersionDTLS13)},
	{name: "1.2", before: highest(dtls.VersionDTLS12), after: highest(dtls.VersionDTLS12)},
	{name: "1.2 and then 1.3", before: highest(dtls.VersionDTLS12), after: highest(dtls.VersionDTLS13)},
	{name: "1.3 and then 1.2", before: highest(dtls.VersionDTLS13), after: highest(dtls.VersionDTLS12)},
	{name: "1.3 in one datagram", before: small, after: small},
	{name: "1.2 with CBC", before: cbc, after: cbc, server: cbc},
	{name: "1.3 with connection IDs", before: together(identified, known), after: together(identified, known), server: together(identified, known)},
	{name: "1.2 with connection IDs", before: together(identified, known, highest(dtls.VersionDTLS12)), after: together(identified, known, highest(dtls.VersionDTLS12)), server: together(identified, known)},
}

func highest(version uint16) func(*dtls.Config) {
	return func(c *dtls.Config) { c.MaxVersion = version }
}

func small(c *dtls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }

func identified(c *dtls.Config) { c.ConnectionIDs = dtls.RandomConnectionIDs(8) }

// known makes both sides authenticate with the same key.
func known(c *dtls.Config) {
	c.Credentials = []dtls.Credential{{PSK: &dtls.ExternalPSK{Identity: []byte("one"), Key: []byte("sixteen bytes or"), Use: dtls.PSKDirect}}}
}

func together(changes ...func(*dtls.Config)) func(*dtls.Config) {
	return func(c *dtls.Config) {
		for _, change := range changes {
			change(c)
		}
	}
}

func cbc(c *dtls.Config) {
	c.MaxVersion, c.CipherSuites = dtls.VersionDTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256}
}

// eachRestart runs f with a device that has a connection, and is changed for
// the next.
func eachRestart(t *testing.T, f func(t *testing.T, d *rebooter, c, s *dtls.Conn)) {
	for _, r := range restarts {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := configs(t, 0)
				client.MinVersion, server.MinVersion = 0, 0
				if r.server != nil {
					r.server(server)
				}
				d := newRebooter(t, client, server)
				if r.before != nil {
					r.before(client)
				}
				c, s := d.connect()
				send(t, c, s, "before")
				again := *client
				r.after(&again)
				d.config = &again
				f(t, d, c, s)
			})
		})
	}
}

func newRebooter(t testing.TB, client, server *dtls.Config) *rebooter {
	t.Helper()
	d := &rebooter{t: t, lan: newLAN(), config: client}
	l, err := dtls.NewListener(d.lan.listen(serverAddr), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		time.Sleep(time.Minute) // Conns that linger
	})
	d.listener = l
	return d
}

// fromServer tells a filter whose datagram it sees.
func fromServer(d datagram) bool { return d.from == netip.MustParseAddrPort(serverAddr) }

// A client that starts again has another Conn. The first works until the second
// is open, and then ends without a word.
//
// RFC 9147 5.11 [1, 2]
func TestClientStartsAgain(t *testing.T) {
	eachRestart(t, func(t *testing.T, d *rebooter, c, s *dtls.Conn) {
		again, done := d.start()
		next := d.accept()
		d.connections(2)
		send(t, c, s, "still here")
		go next.Handshake()
		if err := <-done; err != nil {
			t.Fatalf("client: %v", err)
		}
		send(t, again, next, "ping")
		send(t, next, again, "pong")
		d.connections(1)
		for range 2 {
			_, err := s.Read(make([]byte, 10))
			expectError(t, "Read", err, dtls.ErrReplaced)
			_, err = s.Write([]byte("anybody?"))
			expectError(t, "Write", err, dtls.ErrReplaced)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		c.Write([]byte("a late one")) // for nobody
		send(t, again, next, "and on")
		time.Sleep(time.Hour)
		send(t, next, again, "and on")
		if dropped := again.Stats().Dropped; dropped.Total() != 0 {
			t.Errorf("the client dropped %+v: the old Conn spoke", dropped)
		}
		d.connections(1)
	})
}

// What the first Conn had received is not lost with it.
func TestReplacedConnKeepsData(t *testing.T) {
	eachRestart(t, func(t *testing.T, d *rebooter, c, s *dtls.Conn) {
		for _, text := range []string{"one", "two", "three"} {
			c.Write([]byte(text))
		}
		d.connect()
		d.connections(1)
		for _, text := range []string{"one", "two", "three"} {
			expectRead(t, s, text)
		}
		_, err := s.Read(make([]byte, 10))
		expectError(t, "Read", err, dtls.ErrReplaced)
	})
}

// A Read that waits is told.
func TestReplacedConnEndsRead(t *testing.T) {
	eachRestart(t, func(t *testing.T, d *rebooter, c, s *dtls.Conn) {
		read := make(chan error)
		go func() {
			_, err := s.Read(make([]byte, 10))
			read <- err
		}()
		synctest.Wait()
		d.connect()
		expectError(t, "Read", <-read, dtls.ErrReplaced)
	})
}

// A handshake that doesn't come to its end changes nothing, and the next one may
// (mbed TLS before 2.7.15).
func TestPitfallHalfAHandshake(t *testing.T) {
	eachRestart(t, func(t *testing.T, d *rebooter, c, s *dtls.Conn) {
		d.config.HandshakeTimeout = time.Hour
		d.lan.filter(func(d datagram) error {
			if fromServer(d) {
				return errLost
			}
			return nil
		})
		d.start()
		synctest.Wait()
		d.connections(1) // no cookie came back
		d.lan.filter(func(d datagram) error {
			if fromServer(d) && !isChallenge(d.data) {
				return errLost
			}
			return nil
		})
		abandoned, done := d.start()
		half := d.accept()
		d.connections(2)
		failed := make(chan error)
		go func() { failed <- half.Handshake() }()
		for range 10 {
			time.Sleep(time.Second)
			send(t, c, s, "still here")
		}
		expectError(t, "Handshake", <-failed, dtls.ErrHandshakeTimeout)
		abandoned.Close()
		<-done
		d.connections(1)
		send(t, c, s, "for long")

		d.lan.filter(nil)
		again, next := d.connect()
		send(t, again, next, "ping")
		_, err := s.Read(make([]byte, 10))
		expectError(t, "Read", err, dtls.ErrReplaced)
	})
}

// isChallenge reports whether a datagram is a HelloVerifyRequest, or a
// HelloRetryRequest: a ServerHello that comes alone.
func isChallenge(b []byte) bool {
	const handshake, serverHello, helloVerifyRequest = 22, 2, 3
	return b[0] == handshake && (b[13] == helloVerifyRequest || b[13] == serverHello && int(b[11])<<8+int(b[12])+13 == len(b) && b[17] == 0 && b[18] == 0)
}

// A device that starts again in the middle of a handshake needn't wait for the
// end of the first, which the last one replaces; whether or not there was an
// association before them.
func TestNewestHandshakeCounts(t *testing.T) {
	eachRestart(t, func(t *testing.T, d *rebooter, c, s *dtls.Conn) {
		for _, before := range []string{"with an open Conn", "with none"} {
			d.lan.filter(func(d datagram) error {
				if fromServer(d) && !isChallenge(d.data) {
					return errLost
				}
				return nil
			})
			var halves []*dtls.Conn
			for range 3 {
				d.start()
				halves = append(halves, d.accept())
				go halves[len(halves)-1].Handshake()
				synctest.Wait()
			}
			for _, half := range halves[:2] {
				expectError(t, before, half.Handshake(), dtls.ErrReplaced)
			}
			send(t, c, s, "still here")
			d.connections(2)
			d.lan.filter(nil)
			again, next := d.connect()
			send(t, again, next, "ping")
			expectError(t, before, halves[2].Handshake(), dtls.ErrReplaced)
			d.connections(1)
			c, s = again, next
		}
	})
}

// If the first Conn ends meanwhile, the second has the address to itself.
func TestOldConnEndsFirst(t *testing.T) {
	eachRestart(t, func(t *testing.T, d *rebooter, c, s *dtls.Conn) {
		again, done := d.start()
		next := d.accept()
		s.Abort(dtls.Alert(40))
		d.connections(1)
		d.finish(next, done)
		send(t, again, next, "ping")
		d.connections(1)
		next.Close()
		time.Sleep(10 * time.Second) // it may linger
		d.connections(0)
	})
}

// Listeners that close, or lose their socket, let go of both.
func TestListenerEndsDuringRestart(t *testing.T) {
	for _, lost := range []bool{false, true} {
		eachRestart(t, func(t *testing.T, d *rebooter, c, s *dtls.Conn) {
			again, done := d.start()
			next := d.accept()
			if lost {
				d.lan.ports[netip.MustParseAddrPort(serverAddr)].Close()
				for _, conn := range []*dtls.Conn{s, next} {
					_, err := conn.Read(make([]byte, 10))
					expectError(t, "Read", err, net.ErrClosed)
				}
				return
			}
			d.listener.Close()
			d.finish(next, done)
			send(t, again, next, "ping")
			_, err := s.Read(make([]byte, 10))
			expectError(t, "Read", err, dtls.ErrReplaced)
			s.Close()
			if !d.lan.open(serverAddr) {
				t.Error("the socket is closed before the last Conn")
			}
			next.Close()
			time.Sleep(10 * time.Second) // it may linger
			if d.lan.open(serverAddr) {
				t.Error("the socket is still open")
			}
		})
	}
}

// Without cookies a hello proves nothing: the Conn that is there stays.
func TestNoRestartWithoutCookies(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			server.InsecureDisableCookies = true
			d := newRebooter(t, client, server)
			c, s := d.connect()
			again, done := d.start()
			time.Sleep(time.Second)
			d.connections(1)
			send(t, c, s, "still here")
			again.Close()
			<-done
		})
	})
}

// A client that resumes with 0-RTT from the address that it has had is welcome
// without a cookie, but replaces nothing before its Finished either.
func TestRestartWithEarlyData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := configs(t, dtls.VersionDTLS13)
		client.EarlyData, server.EarlyData = true, true
		client.ClientSessionCache = dtls.NewLRUClientSessionCache(1)
		d := newRebooter(t, client, server)
		c, s := d.connect()
		send(t, s, c, "with the ticket")
		synctest.Wait()
		again, err := dtls.Client(dtls.FromPacketConn(d.lan.listen(clientAddr), d.listener.Addr()), client)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if _, err := again.WriteEarly([]byte("early")); err != nil {
			t.Fatal(err)
		}
		next := d.accept()
		b := make([]byte, 10)
		if n, err := next.ReadEarly(b); string(b[:n]) != "early" {
			t.Fatalf("%q, %v", b[:n], err)
		}
		if d.listener.Stats().Challenges != 1 {
			t.Errorf("%+v, want one challenge", d.listener.Stats())
		}
		d.connections(2)
		send(t, c, s, "still here")
		done := make(chan error, 1)
		go func() { done <- again.Handshake() }()
		d.finish(next, done)
		send(t, again, next, "ping")
		_, err = s.Read(b)
		expectError(t, "Read", err, dtls.ErrReplaced)
	})
}

// An address may have become another device's. The one that was there is found by
// its connection ID, and stays; unless the newcomer is the same device.
//
// RFC 9147 5.11 [2]
func TestAddressOfAnotherDevice(t *testing.T) {
	key := func(name string) []dtls.Credential {
		return []dtls.Credential{{PSK: &dtls.ExternalPSK{Identity: []byte(name), Key: []byte("sixteen bytes or"), Use: dtls.PSKDirect}}}
	}
	for _, c := range []struct {
		name     string
		version  uint16
		ids      bool
		identity string
		stays    bool
	}{
		{"1.3, another", dtls.VersionDTLS13, true, "two", true},
		{"1.3, the same", dtls.VersionDTLS13, true, "one", false},
		{"1.3, another, without IDs", dtls.VersionDTLS13, false, "two", false},
		{"1.2, another", dtls.VersionDTLS12, true, "two", true},
		{"1.2, the same", dtls.VersionDTLS12, true, "one", false},
		{"1.3, who knows", dtls.VersionDTLS13, true, "", true},
		{"1.3, who knows, without IDs", dtls.VersionDTLS13, false, "", false},
		{"1.2, who knows", dtls.VersionDTLS12, true, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &dtls.Config{MinVersion: c.version, MaxVersion: c.version, Credentials: key("one")}
				server := &dtls.Config{MinVersion: c.version, MaxVersion: c.version, Credentials: append(key("one"), key("two")...)}
				other := *client
				if other.Credentials = key(c.identity); c.identity == "" { // neither authenticates
					client, server = configs(t, c.version)
					other = *client
				}
				if c.ids {
					identified(client)
					identified(&other)
					identified(server)
				}
				d := newRebooter(t, client, server)
				first, s := d.connect()
				d.config = &other
				second, next := d.connect()
				synctest.Wait()
				send(t, second, next, "ping")
				send(t, next, second, "pong")
				if !c.stays {
					_, err := s.Read(make([]byte, 10))
					expectError(t, "Read", err, dtls.ErrReplaced)
					d.connections(1)
					return
				}
				send(t, first, s, "still here")
				d.connections(2)
				s.Close()
				time.Sleep(10 * time.Second) // it may linger
				send(t, second, next, "alone")
				d.connections(1)
			})
		})
	}
}
