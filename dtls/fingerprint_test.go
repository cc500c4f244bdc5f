package dtls_test

import (
	"crypto"
	"crypto/tls"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// fingerprinted returns Configs of peers that know each other by fingerprints alone,
// and agree on SRTP.
func fingerprinted(t testing.TB, version uint16) (client, server *dtls.Config) {
	t.Helper()
	make := func() (*dtls.Config, string) {
		c, err := dtls.SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		return &dtls.Config{
			Certificates: []tls.Certificate{c},
			MinVersion:   version, MaxVersion: version,
			SRTPProfiles: []dtls.SRTPProfile{dtls.SRTPAEADAES256GCM},
		}, dtls.Fingerprint(crypto.SHA256, c.Certificate[0])
	}
	client, clientPrint := make()
	server, serverPrint := make()
	client.PeerFingerprints, server.PeerFingerprints = []string{serverPrint}, []string{clientPrint}
	return client, server
}

// unknown is the fingerprint of nobody.
var unknown = dtls.Fingerprint(crypto.SHA256, nil)

func TestPeerFingerprints(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		client, server := fingerprinted(t, version)
		c, s := ends(t, newLAN(), client, server)
		if keys, err := c.SRTPKeys(); !errors.Is(err, alert.HandshakeIncomplete) || c.SRTPProfile() != 0 {
			t.Errorf("before the handshake: %v, %+v, %v", c.SRTPProfile(), keys, err)
		}
		defer c.Close()
		defer s.Close()
		if err1, err2 := handshakes(c, s); err1 != nil || err2 != nil {
			t.Fatalf("client: %v; server: %v", err1, err2)
		}
		send(t, c, s, "ping")
		send(t, s, c, "pong")
		if c.SRTPProfile() != dtls.SRTPAEADAES256GCM || s.SRTPProfile() != dtls.SRTPAEADAES256GCM {
			t.Errorf("client %v, server %v", c.SRTPProfile(), s.SRTPProfile())
		}
		if keys, err := c.SRTPKeys(); err != nil || len(keys.ServerMasterKey) != 32 {
			t.Errorf("%+v, %v", keys, err)
		}
	})
}

// A peer with another fingerprint gets nothing out of a Conn, and nothing in, though
// in 1.3 a client is done, and writes, before the server has seen its certificate.
func TestWrongFingerprint(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		for _, victim := range []string{"client", "server"} {
			t.Run(victim, func(t *testing.T) {
				client, server := fingerprinted(t, version)
				if victim == "client" {
					client.PeerFingerprints = []string{unknown}
				} else {
					server.PeerFingerprints = []string{unknown}
				}
				c, s := ends(t, newLAN(), client, server)
				defer c.Close()
				defer s.Close()
				other := make(chan error)
				go func() {
					_, err := s.Read(make([]byte, 10))
					other <- err
				}()
				_, clientErr := c.Write([]byte("early")) // with the client's Finished
				if clientErr == nil {
					_, clientErr = c.Read(make([]byte, 10))
				}
				serverErr := <-other
				ours, refused, hears := c, clientErr, serverErr
				if victim == "server" {
					ours, refused, hears = s, hears, refused
				}
				expectAlert(t, victim, refused, alert.BadCertificate, alert.Peer, false)
				expectError(t, victim, refused, alert.WrongFingerprint)
				expectAlert(t, "the other", hears, alert.BadCertificate, alert.Peer, true)
				expectUnusable(t, victim, ours)
			})
		}
	})
}

// While a callback waits for the fingerprint, as where the remote description is late,
// nothing gets out or in; when it turns out to be another one, nothing ever does.
func TestLateFingerprint(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16) {
		for _, victim := range []string{"client", "server"} {
			for name, right := range map[string]bool{"right": true, "wrong": false} {
				t.Run(victim+", "+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { testLateFingerprint(t, version, victim, right) })
				})
			}
		}
	})
}

func testLateFingerprint(t *testing.T, version uint16, victim string, right bool) {
	client, server := fingerprinted(t, version)
	late := client
	if victim == "server" {
		late = server
	}
	fingerprint := late.PeerFingerprints[0]
	if !right {
		fingerprint = unknown
	}
	asked, described := make(chan struct{}), make(chan string)
	late.PeerFingerprints, late.InsecureSkipVerify, late.ClientAuth = nil, true, tls.RequireAnyClientCert
	late.VerifyConnection = func(s dtls.ConnectionState) error {
		close(asked)
		return dtls.VerifyFingerprint(s.PeerCertificates[0].Raw, <-described)
	}
	c, s := ends(t, newLAN(), client, server)
	defer c.Close()
	defer s.Close()
	ours, theirs := c, s
	if victim == "server" {
		ours, theirs = s, c
	}

	type result struct {
		data string
		err  error
	}
	call := func(f func([]byte) (int, error), text string) chan result {
		done := make(chan result, 1)
		go func() {
			b := []byte(text)
			n, err := f(b)
			done <- result{string(b[:n]), err}
		}()
		return done
	}
	written := call(theirs.Write, "early")
	reading, writing := call(ours.Read, "....."), call(ours.Write, "secret")
	<-asked
	synctest.Wait() // all has been sent, and waits
	if ours.ConnectionState().HandshakeComplete || ours.SRTPProfile() != 0 {
		t.Error("complete while the callback waits")
	}
	if _, err := ours.SRTPKeys(); err == nil {
		t.Error("keys for SRTP while the callback waits")
	}
	if _, err := ours.Export(make([]byte, 32)); err == nil {
		t.Error("the connection was written down while the callback waits")
	}
	select {
	case r := <-reading:
		t.Errorf("read %q, %v while the callback waits", r.data, r.err)
	case r := <-writing:
		t.Errorf("wrote %q, %v while the callback waits", r.data, r.err)
	default:
	}

	described <- fingerprint
	read, wrote := <-reading, <-writing
	if right {
		if read.data != "early" || read.err != nil || wrote.err != nil {
			t.Errorf("read %q, %v; wrote %v", read.data, read.err, wrote.err)
		}
		expectRead(t, theirs, "secret")
		return
	}
	expectError(t, "Read", read.err, alert.WrongFingerprint)
	expectError(t, "Write", wrote.err, alert.WrongFingerprint)
	if read.data != "" {
		t.Errorf("read %q", read.data)
	}
	<-written
	if n, err := theirs.Read(make([]byte, 10)); err == nil {
		t.Errorf("the peer reads %d bytes", n)
	}
	expectUnusable(t, victim, ours)
}
