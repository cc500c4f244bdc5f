package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// A stack is an implementation in Go with one version of its protocol.
type stack interface {
	name() string
	transport() transport
	// largest is the most data that fits into one record, in bytes.
	largest() int
	// endpoints configures clients and servers. All stacks do it alike: a server
	// with an ECDSA P-256 certificate, whose chain nobody verifies; no client
	// certificate; one group; AES-128-GCM; and no tickets but to resume by.
	endpoints(h handshake) (endpoints, error)
}

// endpoints make connections with one Config each.
type endpoints struct {
	client, server func(l *link) (conn, error)
	resumed        func(client conn) bool
	// Over UDP; nil where the stack has no datagrams. Accept may return before the
	// handshake, and dial after it.
	listen func() (net.Listener, error)
	dial   func(ctx context.Context, address string) (conn, error)
	// What a listener counts: datagrams that it has read, and connections that there
	// are. Nil where the stack doesn't tell.
	counted func(l net.Listener) (datagrams uint64, connections int)
	// Many datagrams at once; nil where the stack has no such calls.
	writeBatch func(c conn, data [][]byte) error
	serve      func(l net.Listener, handle func(data []byte)) error
}

// A conn is what all stacks call a Conn.
type conn interface {
	net.Conn
	HandshakeContext(ctx context.Context) error
}

// inProcess makes a peer of a stack.
type inProcess struct{ stack }

// A pair is a connection in memory.
type pair struct {
	client, server conn
	clientLink     *link
}

// connect makes a connection over a pair of links, whose client hears its own
// word: so both sides know that the other has their last flight.
func (e endpoints) connect(client, server *link) (p pair, err error) {
	if p.client, err = e.client(client); err != nil {
		return p, err
	}
	if p.server, err = e.server(server); err != nil {
		return p, err
	}
	p.clientLink = client
	served := make(chan error, 1)
	go func() { served <- p.server.HandshakeContext(context.Background()) }()
	if err := errors.Join(p.client.HandshakeContext(context.Background()), <-served); err != nil {
		return p, err
	}
	return p, p.echo()
}

func (p pair) echo() error {
	buf := make([]byte, 1)
	for _, way := range [...][2]conn{{p.client, p.server}, {p.server, p.client}} {
		if _, err := way[0].Write(buf); err != nil {
			return err
		}
		if _, err := io.ReadFull(way[1], buf); err != nil {
			return err
		}
	}
	return nil
}

// close lets the client say goodbye, and the server hear it.
func (p pair) close() error {
	if err := p.client.Close(); err != nil {
		return err
	}
	if n, err := p.server.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("after the client's goodbye: %d bytes, %v", n, err)
	}
	return p.server.Close()
}

// certificate is that of all servers here.
var certificate = selfSigned()

// serverName is what it is for.
const serverName = "bench.example"

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: serverName},
		DNSNames:              []string{serverName},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(240 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
