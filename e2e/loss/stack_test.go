package loss

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pion "github.com/pion/dtls/v3"

	"github.com/godwit-dtls/godwit/dtls"
)

// A stack makes both sides of an association as WebRTC has it: self-signed
// certificates on P-256, client authentication, SRTP, and no cookie. A timeout of zero
// is the stack's default.
type stack struct {
	name  string
	group string // of the key exchange
	open  func(client, server *end, timeout time.Duration) (c, s conn, err error)
}

// A conn is what is measured.
type conn interface {
	net.Conn
	HandshakeContext(context.Context) error
}

// The stacks, by what the tables call them.
var (
	godwit13         = stack{"godwit 1.3", "X25519MLKEM768", godwit()}
	godwit13X25519   = stack{"godwit 1.3", "X25519", godwit(x25519)}
	adaptive13       = stack{"godwit 1.3, `AdaptiveTimeout`", "X25519MLKEM768", godwit(adaptive)}
	adaptive13X25519 = stack{"godwit 1.3, `AdaptiveTimeout`", "X25519", godwit(x25519, adaptive)}
	godwit12         = stack{"godwit 1.2", "X25519", godwit(x25519, only12)}
	pion12           = stack{"pion/dtls 3.1.15, 1.2", "X25519", openPion}
)

func x25519(c *dtls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} }

func adaptive(c *dtls.Config) { c.AdaptiveTimeout = true }

func only12(c *dtls.Config) { c.MaxVersion = dtls.VersionDTLS12 }

// certificate is that of both sides.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func godwit(changes ...func(*dtls.Config)) func(client, server *end, timeout time.Duration) (c, s conn, err error) {
	return func(client, server *end, timeout time.Duration) (c, s conn, err error) {
		config := &dtls.Config{
			Certificates:           []tls.Certificate{certificate()},
			ClientAuth:             tls.RequireAnyClientCert,
			InsecureSkipVerify:     true, // who it is makes no difference here
			SRTPProfiles:           []dtls.SRTPProfile{dtls.SRTPAEADAES128GCM},
			SessionTicketsDisabled: true,
			HandshakeTimeout:       -1,
			InitialTimeout:         timeout,
		}
		for _, change := range changes {
			change(config)
		}
		if c, err = dtls.Client(client, config); err != nil {
			return nil, nil, err
		}
		s, err = dtls.Server(server, config)
		return c, s, err
	}
}

func openPion(client, server *end, timeout time.Duration) (c, s conn, err error) {
	options := []pion.Option{
		pion.WithCertificates(certificate()),
		pion.WithInsecureSkipVerify(true),
		pion.WithSRTPProtectionProfiles(pion.SRTP_AEAD_AES_128_GCM),
	}
	if timeout > 0 {
		options = append(options, pion.WithFlightInterval(timeout))
	}
	var ofClient []pion.ClientOption
	ofServer := []pion.ServerOption{pion.WithClientAuth(pion.RequireAnyClientCert), pion.WithInsecureSkipVerifyHello(true)}
	for _, o := range options {
		ofClient, ofServer = append(ofClient, o), append(ofServer, o)
	}
	if c, err = pion.ClientWithOptions(client, client.RemoteAddr(), ofClient...); err != nil {
		return nil, nil, err
	}
	s, err = pion.ServerWithOptions(server, server.RemoteAddr(), ofServer...)
	return c, s, err
}

// connect is how long it takes until both sides are connected: until the handshake has
// returned to the later one.
func (s stack) connect(t *testing.T, l link, timeout time.Duration) (took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		clientEnd, serverEnd := l.open()
		client, server, err := s.open(clientEnd, serverEnd, timeout)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var both sync.WaitGroup
		both.Add(2)
		for _, c := range []conn{server, client} {
			go func() {
				if err := c.HandshakeContext(context.Background()); err != nil {
					t.Errorf("%s, seed %d: %v", s.name, l.seed, err)
				}
				both.Done()
				c.Read(make([]byte, 100)) // as whoever is connected does
			}()
		}
		both.Wait()
		took = time.Since(began)
		client.Close()
		server.Close()
	})
	return took
}
