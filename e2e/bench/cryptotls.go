package main

import "crypto/tls"

// cryptoTLS is Go's crypto/tls.
type cryptoTLS struct{ version version }

func (c cryptoTLS) name() string         { return "crypto/tls " + string(c.version) }
func (c cryptoTLS) transport() transport { return stream }
func (c cryptoTLS) largest() int         { return 16384 }

func (c cryptoTLS) endpoints(h handshake) (endpoints, error) {
	client := &tls.Config{
		MinVersion:                  c.version.number(),
		MaxVersion:                  c.version.number(),
		CipherSuites:                []uint16{c.version.suite()},
		CurvePreferences:            h.curves(c.version),
		SessionTicketsDisabled:      !h.resumes,
		DynamicRecordSizingDisabled: true,
	}
	server := client.Clone()
	client.InsecureSkipVerify = true
	client.ServerName = serverName
	if h.resumes {
		client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	server.Certificates = []tls.Certificate{certificate}
	return endpoints{
		client:  func(l *link) (conn, error) { return tls.Client(l, client), nil },
		server:  func(l *link) (conn, error) { return tls.Server(l, server), nil },
		resumed: func(c conn) bool { return c.(*tls.Conn).ConnectionState().DidResume },
	}, nil
}
