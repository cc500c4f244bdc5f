package dtls_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/clientcertificate"
	"github.com/pion/dtls/v3/pkg/crypto/hash"
	"github.com/pion/dtls/v3/pkg/crypto/signature"
	"github.com/pion/dtls/v3/pkg/crypto/signaturehash"
	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"

	godwit "github.com/godwit-dtls/godwit/dtls"
)

// Hellos go out as the hooks return them, and the handshake goes on.
func TestHooks(t *testing.T) {
	bothVersions(t, func(t *testing.T, version uint16, limit dtls.Option) {
		var hellos []handshake.MessageClientHello
		var answers []handshake.MessageServerHello
		var requests int
		random := [handshake.RandomBytesLength]byte{1, 2, 3}
		randoms := 0
		l, to := listen(t, limit, dtls.WithClientAuth(dtls.RequireAnyClientCert),
			dtls.WithServerHelloMessageHook(func(m handshake.MessageServerHello) handshake.Message {
				slices.Reverse(m.Extensions)
				answers = append(answers, m)
				return &m
			}),
			dtls.WithCertificateRequestMessageHook(func(m handshake.MessageCertificateRequest) handshake.Message {
				requests++
				if !slices.Contains(m.CertificateTypes, clientcertificate.ECDSASign) || !slices.Contains(m.SignatureHashAlgorithms, signaturehash.Algorithm{Hash: hash.SHA256, Signature: signature.ECDSA}) {
					t.Errorf("%+v", m)
				}
				return &m
			}))
		client := dial(t, to, limit, dtls.WithCertificates(certificate(t)), dtls.WithServerName("marsh.example"),
			dtls.WithHelloRandomBytesGenerator(func() [handshake.RandomBytesLength]byte {
				randoms++
				return random
			}),
			dtls.WithClientHelloMessageHook(func(m handshake.MessageClientHello) handshake.Message {
				m.CipherSuiteIDs = append([]uint16{0x2a2a}, m.CipherSuiteIDs...)
				slices.Reverse(m.Extensions)
				m.Extensions = append(m.Extensions, &extension.Raw{Type: 0xfafa, Body: []byte("nothing")})
				hellos = append(hellos, m)
				return &m
			}))
		began := make(chan error)
		go func() { began <- client.Handshake() }()
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		server := accepted.(*dtls.Conn)
		if err := errors.Join(server.Handshake(), <-began); err != nil {
			t.Fatal(err)
		}
		send(t, client, server, "there")
		if s := state(t, client); s.Godwit().Version != version {
			t.Errorf("version %#x", s.Godwit().Version)
		}
		if len(hellos) != 2 || randoms != 1 || hellos[0].Random != hellos[1].Random || hellos[1].Random.RandomBytes != random {
			t.Errorf("%d hellos, %d randoms", len(hellos), randoms)
		}
		if len(answers) != 1 || *answers[0].CipherSuiteID != uint16(state(t, client).CipherSuiteID) || answers[0].Version != protocol.Version1_2 {
			t.Errorf("%d ServerHellos", len(answers))
		}
		if want := map[uint16]int{godwit.VersionDTLS12: 1}[version]; requests != want {
			t.Errorf("%d CertificateRequests, want %d", requests, want)
		}
	})
}

// A hook that leaves everything as it is changes no byte.
func TestHooksRoundTrip(t *testing.T) {
	bothVersions(t, func(t *testing.T, _ uint16, limit dtls.Option) {
		var before, after [][]byte
		compare := func(g *godwit.Config) {
			rewrite := g.RewriteMessage
			g.RewriteMessage = func(kind godwit.HandshakeType, body []byte) []byte {
				before = append(before, slices.Clone(body))
				body = rewrite(kind, body)
				after = append(after, slices.Clone(body))
				return body
			}
		}
		sides{
			both:   []dtls.Option{limit, dtls.WithGodwit(compare)},
			client: []dtls.ClientOption{dtls.WithInsecureSkipVerify(true), dtls.WithClientHelloMessageHook(func(m handshake.MessageClientHello) handshake.Message { return &m })},
			server: []dtls.ServerOption{
				dtls.WithCertificates(certificate(t)), dtls.WithClientAuth(dtls.RequestClientCert),
				dtls.WithServerHelloMessageHook(func(m handshake.MessageServerHello) handshake.Message { return &m }),
				dtls.WithCertificateRequestMessageHook(func(m handshake.MessageCertificateRequest) handshake.Message { return &m }),
			},
		}.connected(t)
		if len(before) < 2 || !slices.EqualFunc(before, after, slices.Equal) {
			t.Errorf("%d messages\nbefore %x\nafter  %x", len(before), before, after)
		}
	})
}

// broken is a message that can't be written.
type broken struct{ handshake.MessageClientHello }

func (broken) Marshal() ([]byte, error) { return nil, errors.New("broken") }

// A message that can't be written, or read, is not sent.
func TestHookFails(t *testing.T) {
	for name, m := range map[string]handshake.Message{"unwritten": &broken{}, "unreadable": &handshake.MessageClientHello{}} {
		client, _ := sides{
			client: []dtls.ClientOption{dtls.WithInsecureSkipVerify(true), dtls.WithClientHelloMessageHook(func(handshake.MessageClientHello) handshake.Message { return m })},
			server: []dtls.ServerOption{dtls.WithCertificates(certificate(t))},
		}.pair(t)
		if e := (*godwit.Error)(nil); !errors.As(client.Handshake(), &e) || e.Alert.String() != "internal_error" {
			t.Errorf("%s: %v", name, e)
		}
	}
}
