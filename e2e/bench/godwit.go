package main

import (
	"context"
	"net"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/tls"
)

// godwit is this library.
type godwit struct {
	carrier transport
	version version
}

func (g godwit) name() string {
	if g.carrier == stream {
		return "godwit TLS " + string(g.version)
	}
	return "godwit DTLS " + string(g.version)
}

func (g godwit) transport() transport { return g.carrier }
func (g godwit) largest() int         { return 16384 }

func (g godwit) endpoints(h handshake) (endpoints, error) {
	client, server := g.configs(h)
	if g.carrier == stream {
		return endpoints{
			client:  func(l *link) (conn, error) { return tls.Client(l, client) },
			server:  func(l *link) (conn, error) { return tls.Server(l, server) },
			resumed: func(c conn) bool { return c.(*tls.Conn).ConnectionState().DidResume },
		}, nil
	}
	return endpoints{
		client:  func(l *link) (conn, error) { return dtls.Client(l, client) },
		server:  func(l *link) (conn, error) { return dtls.Server(l, server) },
		resumed: func(c conn) bool { return c.(*dtls.Conn).ConnectionState().DidResume },
		listen:  func() (net.Listener, error) { return dtls.Listen("udp4", loopback, server) },
		dial: func(ctx context.Context, address string) (conn, error) {
			c, err := (&dtls.Dialer{Config: client}).DialContext(ctx, "udp4", address)
			if err != nil {
				return nil, err
			}
			return c.(*dtls.Conn), nil
		},
		counted: func(l net.Listener) (uint64, int) {
			s := l.(*dtls.Listener).Stats()
			return s.DatagramsReceived, s.Connections
		},

		writeBatch: godwitWriteBatch,
		serve:      godwitServe,
	}, nil
}

// configs are for either package, which share the type.
func (g godwit) configs(h handshake) (client, server *dtls.Config) {
	common := dtls.Config{
		MinVersion:             g.version.number(),
		MaxVersion:             g.version.number(),
		CipherSuites:           []uint16{g.version.suite()},
		CurvePreferences:       h.curves(g.version),
		SessionTicketsDisabled: !h.resumes,
	}
	forClient, forServer := common, common
	forClient.InsecureSkipVerify = true
	forClient.ServerName = serverName
	if h.resumes {
		forClient.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	forServer.Certificates = append(forServer.Certificates, certificate)
	forServer.SessionTickets = 1
	return &forClient, &forServer
}
