package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// godwit is this library, with certificates for its server.
type godwit struct {
	certificate tls.Certificate
	changes     []func(*dtls.Config)
}

// config is the zero one but for what keeps the runs of all stacks alike: the time that
// they have, and that nobody verifies who the server is.
func (g godwit) config(s *stage, role string) (*dtls.Config, error) {
	c := &dtls.Config{Certificates: []tls.Certificate{g.certificate}, InsecureSkipVerify: true, HandshakeTimeout: limit}
	for _, change := range g.changes {
		change(c)
	}
	if s.qlogs == "" {
		return c, nil
	}
	f, err := os.Create(s.qlogs + ", " + role + ".sqlog")
	if err != nil {
		return nil, err
	}
	s.atEnd(func() { f.Close() })
	c.Trace = dtls.NewQlog(f)
	return c, nil
}

func only12(c *dtls.Config) { c.MaxVersion = dtls.VersionDTLS12 }

// asBrowsers is what WebRTC has: the first timeout of its stacks, and ICE in place of
// a cookie.
func asBrowsers(c *dtls.Config) {
	c.InitialTimeout, c.InsecureDisableCookies = 50*time.Millisecond, true
}

func x25519(c *dtls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }

func (g godwit) serve(s *stage) (address string, connected <-chan struct{}, err error) {
	config, err := g.config(s, "server")
	if err != nil {
		return "", nil, err
	}
	l, err := dtls.Listen("udp4", netip.AddrPortFrom(loopback, 0).String(), config)
	if err != nil {
		return "", nil, err
	}
	s.atEnd(func() { l.Close() })
	first := make(chan struct{}, 1)
	s.running.Go(func() {
		for {
			c, err := l.AcceptConn()
			if err != nil {
				return
			}
			s.running.Go(func() {
				if c.HandshakeContext(s) == nil {
					select {
					case first <- struct{}{}:
					default: // one client began twice
					}
				}
				attend(s, c)
			})
		}
	})
	return l.Addr().String(), first, nil
}

func (g godwit) connect(s *stage, address string) error {
	config, err := g.config(s, "client")
	if err != nil {
		return setupError{err}
	}
	c, err := (&dtls.Dialer{Config: config}).DialContext(s, "udp4", address)
	if err == nil {
		s.running.Go(func() { attend(s, c) })
	}
	return err
}

// attend reads what comes, as whoever is connected does: the peer may not be yet.
func attend(s *stage, c net.Conn) {
	defer c.Close()
	context.AfterFunc(s, func() { c.SetReadDeadline(time.Now()) })
	c.Read(make([]byte, 1))
}
