package tls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
)

// A secured is what our Conn and crypto/tls's have in common.
type secured interface {
	net.Conn
	Handshake() error
	CloseWrite() error
}

// goConfigs are configs in crypto/tls's form.
func goConfigs(version uint16) (client, server *tls.Config) {
	c, s := configs(version)
	client = &tls.Config{Time: c.Time, RootCAs: c.RootCAs, ServerName: c.ServerName, MinVersion: version, MaxVersion: version}
	server = &tls.Config{Time: s.Time, Certificates: s.Certificates, MinVersion: version, MaxVersion: version}
	return client, server
}

// An interop is one connection with crypto/tls, described for both libraries.
type interop struct {
	name        string
	protocols   []string      // of both sides: ALPN
	groups      []tls.CurveID // of the client
	serverGroup tls.CurveID   // of the server; zero: its default
	otherSuite  bool          // one of otherSuites
	auth        bool          // client authentication
}

var interops = []interop{
	{name: "plain"},
	{name: "ALPN", protocols: []string{"h2", "http/1.1"}},
	{name: "client certificate", auth: true},
	{name: "other group", groups: []tls.CurveID{tls.X25519, tls.CurveP384}, serverGroup: tls.CurveP384},
	{name: "hybrid group", groups: []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}},
	{name: "other suite", otherSuite: true},
}

// otherSuites are no defaults, by version.
var otherSuites = map[uint16]uint16{
	VersionTLS12: TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	VersionTLS13: TLS_CHACHA20_POLY1305_SHA256,
}

func (i interop) ours(client, server *Config, version uint16) {
	client.NextProtos, server.NextProtos = i.protocols, i.protocols
	if i.groups != nil {
		client.CurvePreferences = append(i.groups, tls.CurveP256)
	}
	if i.serverGroup != 0 {
		server.CurvePreferences = []tls.CurveID{i.serverGroup}
	}
	if i.otherSuite {
		client.CipherSuites = []uint16{otherSuites[version]}
		server.CipherSuites = client.CipherSuites // crypto/tls offers all of 1.3
	}
	if i.auth {
		client.Certificates = []tls.Certificate{pki().rsa}
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pki().roots
	}
}

func (i interop) theirs(client, server *tls.Config, version uint16) {
	var c, s Config
	i.ours(&c, &s, version)
	client.NextProtos, server.NextProtos = c.NextProtos, s.NextProtos
	client.CurvePreferences, server.CurvePreferences = c.CurvePreferences, s.CurvePreferences
	client.CipherSuites, server.CipherSuites = c.CipherSuites, s.CipherSuites
	client.Certificates = c.Certificates
	server.ClientAuth, server.ClientCAs = s.ClientAuth, s.ClientCAs
}

// RFC 9846 5 [4], 5.1 [6], 5.3 [1]
func TestInterop(t *testing.T) {
	checkLeaks(t)
	for _, i := range interops {
		for _, v := range versions {
			for name, certificate := range keyTypes() {
				if i.otherSuite && name != "ECDSA" {
					continue
				}
				ourClient, ourServer := configs(v.number)
				goClient, goServer := goConfigs(v.number)
				i.ours(ourClient, ourServer, v.number)
				i.theirs(goClient, goServer, v.number)
				ourServer.Certificates = []tls.Certificate{certificate}
				goServer.Certificates = []tls.Certificate{certificate}
				t.Run(fmt.Sprintf("%s/%s/%s/client", i.name, v.name, name), func(t *testing.T) {
					a, b := tcpPair(t)
					c, err := Client(a, ourClient)
					if err != nil {
						t.Fatal(err)
					}
					s := tls.Server(b, goServer)
					converse(t, c, s)
					compare(t, c.ConnectionState(), s.ConnectionState(), i)
				})
				t.Run(fmt.Sprintf("%s/%s/%s/server", i.name, v.name, name), func(t *testing.T) {
					a, b := tcpPair(t)
					s, err := Server(b, ourServer)
					if err != nil {
						t.Fatal(err)
					}
					c := tls.Client(a, goClient)
					converse(t, c, s)
					compare(t, s.ConnectionState(), c.ConnectionState(), i)
				})
			}
		}
	}
}

// converse runs the handshake, sends much both ways at once, and says goodbye.
func converse(t *testing.T, c, s secured) {
	t.Helper()
	text := bytes.Repeat([]byte("much text "), 20000)
	talk := func(conn secured) error {
		if err := conn.Handshake(); err != nil {
			return err
		}
		sent := make(chan error, 1)
		go func() {
			_, err := conn.Write(text)
			sent <- errors.Join(err, conn.CloseWrite())
		}()
		got, err := io.ReadAll(conn)
		if !bytes.Equal(got, text) {
			err = errors.Join(err, fmt.Errorf("read %d of %d bytes", len(got), len(text)))
		}
		return errors.Join(err, <-sent)
	}
	done := make(chan error, 1)
	go func() { done <- talk(s) }()
	clientErr := talk(c)
	if clientErr != nil {
		s.Close()
	}
	if serverErr := <-done; clientErr != nil || serverErr != nil {
		t.Fatalf("client: %v; server: %v", clientErr, serverErr)
	}
	c.Close()
	s.Close()
}

// compare compares what both libraries say.
func compare(t *testing.T, ours ConnectionState, theirs tls.ConnectionState, i interop) {
	t.Helper()
	if ours.Version != theirs.Version || ours.CipherSuite != theirs.CipherSuite || ours.CurveID != theirs.CurveID ||
		ours.ServerName != theirs.ServerName || ours.NegotiatedProtocol != theirs.NegotiatedProtocol ||
		ours.HelloRetryRequest != theirs.HelloRetryRequest || !bytes.Equal(ours.TLSUnique, theirs.TLSUnique) {
		t.Errorf("ours: %+v\ntheirs: %+v", ours, theirs)
	}
	is13 := ours.Version == VersionTLS13
	if wanted := i.serverGroup != 0 && is13; ours.HelloRetryRequest != wanted {
		t.Error("HelloRetryRequest", ours.HelloRetryRequest)
	}
	if i.protocols != nil && ours.NegotiatedProtocol != i.protocols[0] {
		t.Error("ALPN", ours.NegotiatedProtocol)
	}
	if i.otherSuite && ours.CipherSuite != otherSuites[ours.Version] {
		t.Error("suite", ours.CipherSuite)
	}
	for _, context := range [][]byte{nil, []byte("context")} {
		a, err := ours.ExportKeyingMaterial("EXPORTER-interop", context, 50)
		b, err2 := theirs.ExportKeyingMaterial("EXPORTER-interop", context, 50)
		if err != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Error("exporters differ", err, err2)
		}
	}
}

// Each side refuses the other's certificate, and the other learns why.
func TestInteropRefusals(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		_, ourServer := configs(version)
		goClient, goServer := goConfigs(version)
		goClient.RootCAs = pki().strangers
		a, b := tcpPair(t)
		s, _ := Server(b, ourServer)
		done := make(chan error, 1)
		go func() {
			_, err := s.Read(make([]byte, 1))
			done <- err
		}()
		if err := tls.Client(a, goClient).Handshake(); err == nil {
			t.Error("crypto/tls accepts a stranger")
		}
		// crypto/tls calls it bad_certificate.
		var e *Error
		if err := <-done; !errors.As(err, &e) || !e.Received {
			t.Error("our server:", err)
		}

		ourClient, _ := configs(version)
		ourClient.RootCAs = pki().strangers
		a, b = tcpPair(t)
		c, _ := Client(a, ourClient)
		go func() {
			conn := tls.Server(b, goServer)
			_, err := conn.Read(make([]byte, 1))
			done <- err
		}()
		if err := c.Handshake(); err == nil {
			t.Error("our client accepts a stranger")
		}
		var remote *net.OpError
		if err := <-done; !errors.As(err, &remote) || remote.Op != "remote error" {
			t.Error("crypto/tls's server:", err)
		}
	})
}

// Keys change as we ask, while data flows.
//
// RFC 9846 4.7.3 [2]
func TestInteropKeyUpdate(t *testing.T) {
	ourClient, _ := configs(VersionTLS13)
	_, goServer := goConfigs(VersionTLS13)
	a, b := tcpPair(t)
	c, err := Client(a, ourClient)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		s := tls.Server(b, goServer)
		io.Copy(s, s)
		s.Close()
	}()
	for i, request := range slices.Repeat([]KeyUpdateRequest{UpdateRequested, UpdateNotRequested}, 5) {
		if err := c.KeyUpdate(request); err != nil {
			t.Fatal(err)
		}
		text := []byte(fmt.Sprint("number ", i))
		c.Write(text)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if wrote, read := c.engine.write.number, c.engine.read.number; wrote != 13 || read != 8 {
		t.Error("keys", wrote, read)
	}
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}
