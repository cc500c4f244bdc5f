package dtls_test

import (
	"crypto"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// A slowSigner signs when it is released.
type slowSigner struct {
	crypto.Signer
	called, release chan struct{}
}

func slow(c *tls.Certificate) *slowSigner {
	s := &slowSigner{c.PrivateKey.(crypto.Signer), make(chan struct{}), make(chan struct{})}
	c.PrivateKey = s
	return s
}

func (s *slowSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	close(s.called)
	<-s.release
	return s.Signer.Sign(random, digest, opts)
}

// While a side signs, its timers run, and what comes is acknowledged: even what
// the peer repeats because the first ACK was lost.
func TestSlowSigner(t *testing.T) {
	for _, slowSide := range []string{"client", "server"} {
		t.Run(slowSide, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				synctest.Test(t, func(t *testing.T) {
					client, server := authenticated(t, version)
					client.HandshakeTimeout, server.HandshakeTimeout = -1, -1
					certificate := &client.Certificates[0]
					if slowSide == "server" {
						certificate = &server.Certificates[0]
					}
					signer := slow(certificate)
					l := newLAN()
					c, s := ends(t, l, client, server)
					defer c.Close()
					defer s.Close()
					clientDone, serverDone := make(chan error, 1), make(chan error, 1)
					go func() { clientDone <- c.Handshake() }()
					go func() { serverDone <- s.Handshake() }()
					<-signer.called
					if slowSide == "client" && version == dtls.VersionDTLS13 {
						lost := 0
						l.filter(func(d datagram) error {
							if lost++; d.from.Port() == 1000 && lost <= 1 {
								return errLost // the first ACK
							}
							return nil
						})
					}
					time.Sleep(time.Minute)
					close(signer.release)
					if err := <-clientDone; err != nil {
						t.Errorf("client: %v", err)
					}
					if err := <-serverDone; err != nil {
						t.Errorf("server: %v", err)
					}
					send(t, c, s, "ping")
					send(t, s, c, "pong")
					// In 1.3 the ACK stops the server; nothing stops a client before
					// ServerHello, nor anybody in 1.2.
					if n := s.Stats().Retransmits; slowSide == "client" && version == dtls.VersionDTLS13 && (n < 1 || n > 2) {
						t.Errorf("the server sent its flight %d times again", n)
					}
					if c.Stats().Retransmits+s.Stats().Retransmits == 0 {
						t.Error("no timer ran")
					}
				})
			})
		})
	}
}

// The peer's alert is heard while the application works.
func TestAlertDuringWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := authenticated(t, dtls.VersionDTLS12)
		signer := slow(&client.Certificates[0])
		c, s := ends(t, newLAN(), client, server)
		clientDone, serverDone := make(chan error, 1), make(chan error, 1)
		go func() { clientDone <- c.Handshake() }()
		go func() { serverDone <- s.Handshake() }()
		<-signer.called
		s.Close()
		<-serverDone
		time.Sleep(time.Second)
		sent := c.Stats().DatagramsSent
		time.Sleep(time.Minute)
		if got := c.Stats().DatagramsSent; got != sent {
			t.Errorf("%d datagrams sent after the alert", got-sent)
		}
		close(signer.release)
		expectAlert(t, "client", <-clientDone, alert.CloseNotify, alert.Peer, true)
		expectUnusable(t, "client", c)
		c.Close()
	})
}

// Who gives a handshake up says so, under whatever keys it has, and the peer does
// not wait.
func TestCloseDuringWork(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := authenticated(t, version)
			signer := slow(&client.Certificates[0])
			c, s := ends(t, newLAN(), client, server)
			clientDone, serverDone := make(chan error, 1), make(chan error, 1)
			go func() { clientDone <- c.Handshake() }()
			go func() { serverDone <- s.Handshake() }()
			<-signer.called
			began := time.Now()
			c.Close()
			expectAlert(t, "server", <-serverDone, alert.CloseNotify, alert.Peer, true)
			if !time.Now().Equal(began) {
				t.Errorf("the server waited %v", time.Since(began))
			}
			close(signer.release)
			expectError(t, "client", <-clientDone, net.ErrClosed)
			s.Close()
		})
	})
}

// Callbacks may call the Conn's methods, and see the link.
func TestCallbacksMayUseTheConn(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		client, server := authenticated(t, version)
		var c, s *dtls.Conn
		var calls atomic.Int32
		use := func(conn *dtls.Conn) {
			calls.Add(1)
			conn.Stats()
			conn.LocalAddr()
			conn.SetDeadline(time.Time{})
			if conn.ConnectionState().HandshakeComplete {
				t.Error("complete in a callback")
			}
		}
		sees := func(info *tls.ClientHelloInfo) {
			use(s)
			if info.Conn != s.NetConn() {
				t.Errorf("ClientHelloInfo.Conn is %v", info.Conn)
			}
			if info.ServerName != "server.example" {
				t.Errorf("ServerName is %q", info.ServerName)
			}
		}
		client.VerifyConnection = func(dtls.ConnectionState) error { use(c); return nil }
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			use(c)
			return &client.Certificates[0], nil
		}
		certificate := server.Certificates[0]
		server.Certificates = nil
		server.VerifyConnection = func(dtls.ConnectionState) error { use(s); return nil }
		server.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
			sees(info)
			return &certificate, nil
		}
		server.GetConfigForClient = func(info *tls.ClientHelloInfo) (*dtls.Config, error) {
			sees(info)
			return server, nil
		}
		c, s = ends(t, newLAN(), client, server)
		defer c.Close()
		defer s.Close()
		if err1, err2 := handshakes(c, s); err1 != nil || err2 != nil {
			t.Fatalf("client: %v; server: %v", err1, err2)
		}
		if got := calls.Load(); got != 5 {
			t.Errorf("%d calls of 5 callbacks", got)
		}
	})
}

// A callback that panics does so on the goroutine that handshakes, and leaves no
// lock behind.
func TestCallbackPanics(t *testing.T) {
	client, server := configs(t, 0)
	client.VerifyConnection = func(dtls.ConnectionState) error { panic("callback") }
	c, s := ends(t, newLAN(), client, server)
	go s.Handshake()
	func() {
		defer func() {
			if r := recover(); r != "callback" {
				t.Errorf("recovered %v", r)
			}
		}()
		c.Handshake()
	}()
	c.Close()
	s.Close()
}

// A callback may close the Conn.
func TestCallbackCloses(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		synctest.Test(t, func(t *testing.T) {
			client, server := configs(t, version)
			var c *dtls.Conn
			client.VerifyConnection = func(dtls.ConnectionState) error { return c.Close() }
			c, s := ends(t, newLAN(), client, server)
			_, serverErr := handshakes(c, s)
			expectAlert(t, "server", serverErr, alert.CloseNotify, alert.Peer, true)
			expectUnusable(t, "client", c)
			s.Close()
		})
	})
}
