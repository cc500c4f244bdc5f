package tls

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// publicName is whom the outer ClientHellos ask for.
const publicName = "public.example"

// echKey makes a server's key, and the list that a client has of it.
func echKey(t testing.TB, id byte) (key tls.EncryptedClientHelloKey, list []byte) {
	t.Helper()
	private, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	var b wire.Builder
	b.Uint16(0xfe0d)
	b.Vector16(func() {
		b.Uint8(id)
		b.Uint16(0x20)
		b.Bytes16(private.PublicKey().Bytes())
		b.Bytes16([]byte{0, 1, 0, 1})
		b.Uint8(64)
		b.Bytes8([]byte(publicName))
		b.Bytes16(nil)
	})
	key.Config, _ = b.Bytes()
	key.PrivateKey, _ = private.Bytes()
	key.SendAsRetry = true
	return key, echList(key)
}

func echList(keys ...tls.EncryptedClientHelloKey) []byte {
	var b wire.Builder
	b.Vector16(func() {
		for _, k := range keys {
			b.Raw(k.Config)
		}
	})
	list, _ := b.Bytes()
	return list
}

// ECH with crypto/tls in both roles: full and resumed, and with HelloRetryRequest.
func TestInteropECH(t *testing.T) {
	checkLeaks(t)
	key, list := echKey(t, 1)
	for _, i := range []interop{
		{name: "plain"},
		{name: "ALPN", protocols: []string{"h2"}},
		{name: "client certificate", auth: true},
		{name: "HelloRetryRequest", groups: []tls.CurveID{tls.X25519, tls.CurveP384}, serverGroup: tls.CurveP384},
	} {
		ourClient, ourServer := configs(VersionTLS13)
		goClient, goServer := goConfigs(VersionTLS13)
		i.ours(ourClient, ourServer, VersionTLS13)
		i.theirs(goClient, goServer, VersionTLS13)
		ourClient.EncryptedClientHelloConfigList, goClient.EncryptedClientHelloConfigList = list, list
		ourServer.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{key}
		goServer.EncryptedClientHelloKeys = ourServer.EncryptedClientHelloKeys
		ourClient.ClientSessionCache = NewLRUClientSessionCache(0)
		goClient.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		for n := range 2 {
			t.Run(fmt.Sprintf("%s/client/%d", i.name, n), func(t *testing.T) {
				a, b := tcpPair(t)
				c, err := Client(a, ourClient)
				if err != nil {
					t.Fatal(err)
				}
				s := tls.Server(b, goServer)
				converse(t, c, s)
				compareECH(t, c.ConnectionState(), s.ConnectionState())
				compareResumed(t, c.ConnectionState(), s.ConnectionState(), n > 0)
			})
			t.Run(fmt.Sprintf("%s/server/%d", i.name, n), func(t *testing.T) {
				a, b := tcpPair(t)
				s, err := Server(b, ourServer)
				if err != nil {
					t.Fatal(err)
				}
				c := tls.Client(a, goClient)
				converse(t, c, s)
				compareECH(t, s.ConnectionState(), c.ConnectionState())
				compareResumed(t, s.ConnectionState(), c.ConnectionState(), n > 0)
			})
		}
	}
}

func compareECH(t *testing.T, ours ConnectionState, theirs tls.ConnectionState) {
	t.Helper()
	if !ours.ECHAccepted || !theirs.ECHAccepted || ours.ServerName != serverName || ours.HelloRetryRequest != theirs.HelloRetryRequest {
		t.Errorf("ours: %+v\ntheirs: %+v", ours, theirs)
	}
}

// The name that is asked for is nowhere to be seen.
func TestECHHidesName(t *testing.T) {
	key, list := echKey(t, 1)
	client, server := configs(VersionTLS13)
	client.EncryptedClientHelloConfigList, server.EncryptedClientHelloKeys = list, []tls.EncryptedClientHelloKey{key}
	p := connected(t, client, server)
	if bytes.Contains(p.fromClient, []byte(serverName)) || !bytes.Contains(p.fromClient, []byte(publicName)) {
		t.Error("the ClientHello does not hide the server's name")
	}
}

// A server that has other keys is verified by the public name, and offers them.
// The handshake ends, and the next one succeeds.
func TestECHRejected(t *testing.T) {
	_, oldList := echKey(t, 1)
	newKey, newList := echKey(t, 2)
	unsent, _ := echKey(t, 3)
	unsent.SendAsRetry = false
	for _, retry := range []bool{false, true} {
		client, server := configs(VersionTLS13)
		client.EncryptedClientHelloConfigList = oldList
		server.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{newKey, unsent}
		server.Certificates = []tls.Certificate{pki().public}
		client.Certificates, server.ClientAuth = []tls.Certificate{pki().rsa}, tls.RequestClientCert
		if retry {
			client.CurvePreferences, server.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384}, []tls.CurveID{tls.CurveP384}
		}
		p := newPair(t, client, server)
		err, serverErr := p.connect()
		var rejection *tls.ECHRejectionError
		if !errors.As(err, &rejection) || !errors.Is(err, alert.ECHRejected) || !bytes.Equal(rejection.RetryConfigList, newList) {
			t.Fatalf("the client has %v, %+v", err, rejection)
		}
		wantAlert(t, "server", serverErr, alert.ECHRequired, true)
		if state := p.server.State(); len(state.PeerCertificates) > 0 || state.ServerName != publicName {
			t.Errorf("the server got to know %d certificates and the name %q", len(state.PeerCertificates), state.ServerName)
		}
		client.EncryptedClientHelloConfigList = rejection.RetryConfigList
		server.Certificates = []tls.Certificate{pki().ecdsa}
		if p := connected(t, client, server); !p.client.State().ECHAccepted {
			t.Error("the second try is not accepted")
		}
	}
}

// Who is not the public name says nothing about keys.
func TestECHRejectedByStranger(t *testing.T) {
	_, list := echKey(t, 1)
	for _, version := range []uint16{VersionTLS13, VersionTLS12} {
		client, server := configs(version)
		client.MinVersion, client.MaxVersion = VersionTLS12, VersionTLS13
		client.EncryptedClientHelloConfigList = list
		err, _ := newPair(t, client, server).connect()
		var rejection *tls.ECHRejectionError
		if err == nil || errors.As(err, &rejection) {
			t.Errorf("a server with the certificate of %s: %v", serverName, err)
		}
		client.EncryptedClientHelloRejectionVerify = func(state ConnectionState) error {
			if state.ServerName != publicName || len(state.PeerCertificates) == 0 {
				t.Errorf("asked to judge %q with %d certificates", state.ServerName, len(state.PeerCertificates))
			}
			return nil
		}
		if err, _ = newPair(t, client, server).connect(); !errors.As(err, &rejection) {
			t.Errorf("a server that the application takes for the public name: %v", err)
		}
	}
}

// Fingerprints are the hidden server's: they say nothing of who speaks for the public
// name, which roots or the application must know.
func TestECHAndFingerprints(t *testing.T) {
	key, list := echKey(t, 1)
	client, server := configs(VersionTLS13)
	client.RootCAs, client.EncryptedClientHelloConfigList = nil, list
	client.PeerFingerprints = []string{cert.Fingerprint(crypto.SHA256, pki().ecdsa.Certificate[0])}
	var rejection *tls.ECHRejectionError
	if err, _ := newPair(t, client, server).connect(); err == nil || errors.As(err, &rejection) {
		t.Errorf("a server that rejects, with the fingerprint of the other: %v", err)
	}
	client.EncryptedClientHelloRejectionVerify = func(ConnectionState) error { return nil }
	server.Certificates = []tls.Certificate{pki().public}
	if err, _ := newPair(t, client, server).connect(); !errors.As(err, &rejection) {
		t.Errorf("a server that the application takes for the public name: %v", err)
	}
	server.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{key}
	if err, _ := newPair(t, client, server).connect(); !errors.Is(err, alert.WrongFingerprint) {
		t.Errorf("a hidden server with another certificate: %v", err)
	}
	server.Certificates = []tls.Certificate{pki().ecdsa}
	if p := connected(t, client, server); !p.client.State().ECHAccepted {
		t.Error("the hidden server with the fingerprint is not accepted")
	}
}

// A client without ECH looks as if it had it, and nothing else changes.
func TestECHGrease(t *testing.T) {
	key, _ := echKey(t, 1)
	for _, groups := range [][]tls.CurveID{nil, {tls.CurveP384}} {
		client, server := configs(VersionTLS13)
		client.EncryptedClientHelloGREASE = true
		server.CurvePreferences, server.EncryptedClientHelloKeys = groups, []tls.EncryptedClientHelloKey{key}
		p := connected(t, client, server)
		if p.client.State().ECHAccepted || p.server.State().ECHAccepted {
			t.Error("GREASE is accepted")
		}
	}
}

func TestECHConfig(t *testing.T) {
	key, list := echKey(t, 1)
	other, _ := echKey(t, 1)
	client, server := configs(VersionTLS13)
	check := func(name, field string, err error) {
		t.Helper()
		var config *ConfigError
		if !errors.As(err, &config) || config.Field != field {
			t.Errorf("%s: %v, expected an error of %s", name, err, field)
		}
	}
	const listField = "EncryptedClientHelloConfigList"
	client.EncryptedClientHelloConfigList = list[1:]
	_, err := NewClientEngine(client)
	check("malformed", listField, err)
	client.EncryptedClientHelloConfigList = []byte{}
	_, err = NewClientEngine(client)
	check("empty", listField, err)
	client.EncryptedClientHelloConfigList, client.MinVersion, client.MaxVersion = list, VersionTLS12, VersionTLS12
	_, err = NewClientEngine(client)
	check("1.2", listField, err)
	client.InsecureAllowMissingECH = true
	if _, err := NewClientEngine(client); err != nil {
		t.Errorf("without need: %v", err)
	}
	key.PrivateKey = other.PrivateKey
	server.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{key}
	_, err = NewServerEngine(server)
	check("another private key", "EncryptedClientHelloKeys", err)
}
