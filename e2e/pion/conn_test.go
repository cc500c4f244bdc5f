package dtls_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/elliptic"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"github.com/pion/transport/v3/dpipe"
	"github.com/pion/transport/v3/test"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// at is an option that limits the version.
func at(version uint16) dtls.Option {
	return dtls.WithGodwit(func(c *godwit.Config) { c.MaxVersion = version })
}

// bothVersions runs a test in 1.3, which nobody has to ask for, and in 1.2.
func bothVersions(t *testing.T, f func(t *testing.T, version uint16, limit dtls.Option)) {
	t.Run("1.3", func(t *testing.T) { f(t, godwit.VersionDTLS13, dtls.WithMTU(1200)) })
	t.Run("1.2", func(t *testing.T) { f(t, godwit.VersionDTLS12, at(godwit.VersionDTLS12)) })
}

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// link returns two ends of a link, each with the other as its only peer.
func link() (a, b net.PacketConn) {
	x, y := dpipe.Pipe()
	return dtlsnet.PacketConnFromConn(x), dtlsnet.PacketConnFromConn(y)
}

var address = &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5684}

// An either is an option for both sides; a side has more of its own.
type sides struct {
	both   []dtls.Option
	client []dtls.ClientOption
	server []dtls.ServerOption
}

// pair makes both sides over a link.
func (s sides) pair(t testing.TB) (client, server *dtls.Conn) {
	t.Helper()
	for _, o := range s.both {
		s.client, s.server = append(s.client, o), append(s.server, o)
	}
	a, b := link()
	client, err := dtls.ClientWithOptions(a, address, s.client...)
	if err != nil {
		t.Fatal(err)
	}
	server, err = dtls.ServerWithOptions(b, address, s.server...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// connected is a pair whose handshakes are complete.
func (s sides) connected(t testing.TB) (client, server *dtls.Conn) {
	t.Helper()
	client, server = s.pair(t)
	if c, s := shake(client, server); c != nil || s != nil {
		t.Fatal(c, s)
	}
	return client, server
}

// shake runs both handshakes.
func shake(client, server *dtls.Conn) (clientErr, serverErr error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(ctx) }()
	clientErr = client.HandshakeContext(ctx)
	return clientErr, <-done
}

// send writes from one to the other.
func send(t testing.TB, from, to net.Conn, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := to.Read(b); err != nil || string(b[:n]) != text {
		t.Fatalf("%q, %v, want %q", b[:n], err, text)
	}
}

func state(t testing.TB, c *dtls.Conn) dtls.State {
	t.Helper()
	s, ok := c.ConnectionState()
	if !ok {
		t.Fatal("no ConnectionState")
	}
	return s
}

// What two programs agree on that say what every WebRTC stack says.
func TestWebRTC(t *testing.T) {
	defer test.CheckRoutines(t)()
	bothVersions(t, func(t *testing.T, version uint16, limit dtls.Option) {
		certificates := [2]tls.Certificate{certificate(t), certificate(t)}
		var seen [2][]byte
		fingerprint := func(i int) dtls.Option {
			return dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
				seen[i] = raw[0]
				return nil
			})
		}
		client, server := sides{
			both:   []dtls.Option{limit, dtls.WithInsecureSkipVerify(true), dtls.WithSRTPMasterKeyIdentifier([]byte{7}), dtls.WithSupportedProtocols("webrtc", "c-webrtc")},
			client: []dtls.ClientOption{dtls.WithCertificates(certificates[0]), fingerprint(0), dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)},
			server: []dtls.ServerOption{dtls.WithCertificates(certificates[1]), fingerprint(1), dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80), dtls.WithClientAuth(dtls.RequireAnyClientCert)},
		}.connected(t)
		send(t, client, server, "there")
		send(t, server, client, "and back")
		c, s := state(t, client), state(t, server)
		group, suite := tls.X25519MLKEM768, dtls.TLS_AES_128_GCM_SHA256
		if version == godwit.VersionDTLS12 {
			group, suite = tls.X25519, dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
		}
		if got := c.Godwit(); got.Version != version || got.CurveID != group || c.CipherSuiteID != suite || s.CipherSuiteID != suite {
			t.Errorf("version %#x, %v, %v and %v", got.Version, got.CurveID, c.CipherSuiteID, s.CipherSuiteID)
		}
		if !bytes.Equal(seen[0], certificates[1].Certificate[0]) || !bytes.Equal(seen[1], certificates[0].Certificate[0]) {
			t.Error("VerifyPeerCertificate has not seen the peer's certificates")
		}
		if !bytes.Equal(c.PeerCertificates[0], seen[0]) || !bytes.Equal(s.PeerCertificates[0], seen[1]) || c.NegotiatedProtocol != "webrtc" {
			t.Error("the State has other certificates, or another protocol")
		}
		keys, err := c.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 60)
		same, err2 := s.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", []byte{}, 60)
		if err != nil || err2 != nil || !bytes.Equal(keys, same) {
			t.Error("the keys of SRTP differ", err, err2)
		}
		for _, side := range []*dtls.Conn{client, server} {
			profile, ok := side.SelectedSRTPProtectionProfile()
			mki, withProfile := side.RemoteSRTPMasterKeyIdentifier()
			if profile != dtls.SRTP_AES128_CM_HMAC_SHA1_80 || !ok || !bytes.Equal(mki, []byte{7}) || !withProfile {
				t.Errorf("profile %v, MKI % x", profile, mki)
			}
		}
	})
}

// Who chooses groups has those, and none else.
func TestEllipticCurves(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P384, elliptic.SecP256r1MLKEM768} {
		client, _ := sides{
			both:   []dtls.Option{dtls.WithInsecureSkipVerify(true), dtls.WithEllipticCurves(curve)},
			server: []dtls.ServerOption{dtls.WithCertificates(certificate(t))},
		}.connected(t)
		if s := state(t, client); s.Godwit().CurveID != tls.CurveID(curve) {
			t.Errorf("%v, want %v", s.Godwit().CurveID, curve)
		}
	}
}

// A client that wants SRTP doesn't go on without.
func TestNoCommonSRTPProfile(t *testing.T) {
	client, server := sides{
		both:   []dtls.Option{dtls.WithInsecureSkipVerify(true)},
		client: []dtls.ClientOption{dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM)},
		server: []dtls.ServerOption{dtls.WithCertificates(certificate(t)), dtls.WithSRTPProtectionProfiles(dtls.SRTP_NULL_HMAC_SHA1_80)},
	}.pair(t)
	clientErr, serverErr := shake(client, server)
	if e := (*godwit.Error)(nil); !errors.As(clientErr, &e) || e.Alert.String() != "insufficient_security" {
		t.Error("client:", clientErr)
	}
	if e := (*godwit.Error)(nil); !errors.As(serverErr, &e) || !e.Received {
		t.Error("server:", serverErr)
	}
}

// closing tells when a link is closed.
type closing struct {
	net.Conn
	closed chan struct{}
}

func (c closing) Close() error {
	close(c.closed)
	return c.Conn.Close()
}

// A Conn hears the peer's goodbye though nobody reads, and closes its link.
func TestClose(t *testing.T) {
	defer test.CheckRoutines(t)()
	bothVersions(t, func(t *testing.T, _ uint16, limit dtls.Option) {
		x, y := dpipe.Pipe()
		a, b := closing{x, make(chan struct{})}, closing{y, make(chan struct{})}
		client, err := dtls.ClientWithOptions(dtlsnet.PacketConnFromConn(a), address, dtls.WithInsecureSkipVerify(true), limit)
		if err != nil {
			t.Fatal(err)
		}
		server, err := dtls.ServerWithOptions(dtlsnet.PacketConnFromConn(b), address, dtls.WithCertificates(certificate(t)), limit)
		if err != nil {
			t.Fatal(err)
		}
		if c, s := shake(client, server); c != nil || s != nil {
			t.Fatal(c, s)
		}
		waiting := make(chan error)
		go func() {
			_, err := client.Read(make([]byte, 10))
			waiting <- err
		}()
		if _, err := client.Write([]byte("last words")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := client.Close(); err != nil {
				t.Error("Close:", err)
			}
		}
		if err := <-waiting; err != io.EOF {
			t.Error("the Read that waited:", err)
		}
		if _, err := client.Write([]byte("more")); !errors.Is(err, dtls.ErrConnClosed) || !errors.Is(err, net.ErrClosed) {
			t.Error("Write:", err)
		}
		<-a.closed
		select {
		case <-b.closed:
		case <-time.After(time.Minute):
			t.Fatal("the server's link stays open")
		}
		buff := make([]byte, 10)
		if n, err := server.Read(buff); err != nil || string(buff[:n]) != "last words" {
			t.Errorf("the server's Read: %q, %v", buff[:n], err)
		}
		if _, err := server.Read(buff); err != io.EOF {
			t.Error("the server's Read, after the goodbye:", err)
		}
	})
}

// A handshake that fails closes the link of either side, and says why.
func TestHandshakeFails(t *testing.T) {
	defer test.CheckRoutines(t)()
	bothVersions(t, func(t *testing.T, _ uint16, limit dtls.Option) {
		x, y := dpipe.Pipe()
		a, b := closing{x, make(chan struct{})}, closing{y, make(chan struct{})}
		no := errors.New("not this one")
		client, err := dtls.ClientWithOptions(dtlsnet.PacketConnFromConn(a), address, limit, dtls.WithInsecureSkipVerify(true),
			dtls.WithVerifyConnection(func(s *dtls.State) error {
				if len(s.PeerCertificates) != 1 {
					t.Error("VerifyConnection sees no certificate")
				}
				return no
			}))
		if err != nil {
			t.Fatal(err)
		}
		server, err := dtls.ServerWithOptions(dtlsnet.PacketConnFromConn(b), address, limit, dtls.WithCertificates(certificate(t)))
		if err != nil {
			t.Fatal(err)
		}
		clientErr, serverErr := shake(client, server)
		var failed *dtls.HandshakeError
		if !errors.As(clientErr, &failed) || !errors.Is(clientErr, no) || failed.Timeout() {
			t.Error("client:", clientErr)
		}
		if !errors.As(serverErr, &failed) {
			t.Error("server:", serverErr)
		}
		<-a.closed
		<-b.closed
		if _, err := client.Write([]byte("still")); !errors.Is(err, dtls.ErrConnClosed) {
			t.Error("Write:", err)
		}
	})
}

// Whoever gives a handshake up has its context's error.
func TestHandshakeContext(t *testing.T) {
	a, _ := link()
	client, err := dtls.ClientWithOptions(a, address, dtls.WithInsecureSkipVerify(true))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = client.HandshakeContext(ctx)
	if e := (*dtls.HandshakeError)(nil); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || !e.Timeout() {
		t.Error(err)
	}
	if _, ok := client.ConnectionState(); ok {
		t.Error("a ConnectionState of nothing")
	}
}

func TestDeadlines(t *testing.T) {
	client, server := sides{
		both:   []dtls.Option{dtls.WithInsecureSkipVerify(true)},
		server: []dtls.ServerOption{dtls.WithCertificates(certificate(t))},
	}.connected(t)
	if err := client.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	_, readErr := client.Read(make([]byte, 10))
	_, writeErr := client.Write([]byte("late"))
	for _, err := range []error{readErr, writeErr} {
		if e := net.Error(nil); !errors.As(err, &e) || !e.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	}
	client.SetDeadline(time.Time{})
	send(t, server, client, "in time")
	server.Write([]byte("long"))
	if _, err := client.Read(make([]byte, 3)); !errors.Is(err, io.ErrShortBuffer) {
		t.Error("a short buffer:", err)
	}
	send(t, server, client, "the next one")
}
