package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/elliptic"
)

// pion is github.com/pion/dtls, whose releases have DTLS 1.2 alone, and no group
// with ML-KEM.
type pion struct{}

func (pion) name() string         { return "pion/dtls 1.2" }
func (pion) transport() transport { return datagrams }
func (pion) largest() int         { return 8192 - 64 } // it reads into 8192 bytes

func (pion) endpoints(h handshake) (endpoints, error) {
	if h.group != 0 && h.group != tls.X25519 {
		return endpoints{}, errors.ErrUnsupported
	}
	var client []dtls.ClientOption
	var server []dtls.ServerOption
	for _, common := range []dtls.Option{
		dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
		dtls.WithEllipticCurves(elliptic.X25519),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
	} {
		client, server = append(client, common), append(server, common)
	}
	client = append(client, dtls.WithInsecureSkipVerify(true), dtls.WithServerName(serverName))
	server = append(server, dtls.WithCertificates(certificate))
	var sessions pionSessions // the client's
	if h.resumes {
		client = append(client, dtls.WithSessionStore(&sessions))
		server = append(server, dtls.WithSessionStore(&pionSessions{}))
	}
	// In memory nobody proves an address, as with the other stacks.
	trusting := append(slices.Clone(server), dtls.WithInsecureSkipVerifyHello(true))
	return endpoints{
		client:  func(l *link) (conn, error) { return dtls.ClientWithOptions(l, l.remote, client...) },
		server:  func(l *link) (conn, error) { return dtls.ServerWithOptions(l, l.remote, trusting...) },
		resumed: func(conn) bool { return h.resumes && !sessions.changed.Swap(false) },
		listen: func() (net.Listener, error) {
			return dtls.ListenWithOptions("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, server...)
		},
		dial: func(ctx context.Context, address string) (conn, error) {
			return dialPion(ctx, address, client)
		},
	}, nil
}

func dialPion(ctx context.Context, address string, options []dtls.ClientOption) (conn, error) {
	to, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return nil, err
	}
	c, err := dtls.DialWithOptions("udp4", to, options...)
	if err != nil {
		return nil, err
	}
	if err := c.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// pionSessions is a dtls.SessionStore. Full handshakes alone change it.
type pionSessions struct {
	sessions sync.Map
	changed  atomic.Bool
}

func (p *pionSessions) Set(key []byte, s dtls.Session) error {
	s.ID, s.Secret = slices.Clone(s.ID), slices.Clone(s.Secret)
	p.sessions.Store(string(key), s)
	p.changed.Store(true)
	return nil
}

func (p *pionSessions) Get(key []byte) (dtls.Session, error) {
	s, ok := p.sessions.Load(string(key))
	if !ok {
		return dtls.Session{}, nil
	}
	return s.(dtls.Session), nil
}

func (p *pionSessions) Del(key []byte) error {
	p.sessions.Delete(string(key))
	return nil
}
