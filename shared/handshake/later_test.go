package handshake

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A signer counts, and may fail.
type signer struct {
	crypto.Signer
	sign func() error
}

func (s signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := s.sign(); err != nil {
		return nil, err
	}
	return s.Signer.Sign(rand, digest, opts)
}

// observed makes two Configs call note with the name of everything that the
// application and its keys are asked, and fail as note says.
func observed(client, server *Config, note func(string) error) {
	watch := func(c tls.Certificate, name string) tls.Certificate {
		c.PrivateKey = signer{c.PrivateKey.(crypto.Signer), func() error { return note(name) }}
		return c
	}
	serverLeaf, clientLeaf := watch(server.Certificates[0], "server's key"), watch(client.Certificates[0], "client's key")
	server.GetConfigForClient = func(*tls.ClientHelloInfo) (*Config, error) { return nil, note("GetConfigForClient") }
	server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &serverLeaf, note("GetCertificate") }
	client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &clientLeaf, note("GetClientCertificate")
	}
	for name, c := range map[string]*Config{"client's ": client, "server's ": server} {
		c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return note(name + "VerifyPeerCertificate") }
		c.VerifyConnection = func(ConnectionState) error { return note(name + "VerifyConnection") }
	}
}

// asked are all of them in the order of either version.
func asked(v protocol.Version) []string {
	order := []string{
		"GetConfigForClient", "GetCertificate", "server's key",
		"client's VerifyPeerCertificate", "client's VerifyConnection", "GetClientCertificate",
		"server's VerifyPeerCertificate", "server's VerifyConnection", "client's key",
	}
	if v.Is13() { // CertificateRequest comes before Certificate
		order[3], order[4], order[5] = order[5], order[3], order[4]
	}
	return order
}

// TestCallbacks: each runs once, in order, outside of the Machine.
func TestCallbacks(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, retry := range []bool{false, v.Is13()} {
			client, server := configs(v)
			if retry {
				retrying(client, server)
			}
			authenticated(client, server)
			var calls []string
			observed(client, server, func(name string) error {
				calls = append(calls, name)
				return nil
			})
			p := complete(t, transport, client, server)
			// The client writes its flight before the server reads it.
			sortClientKey := slices.Index(calls, "client's key")
			got := append(slices.Delete(slices.Clone(calls), sortClientKey, sortClientKey+1), "client's key")
			if !slices.Equal(got, asked(v)) {
				t.Errorf("asked in the order %q", calls)
			}
			// One task for each, but VerifyPeerCertificate and VerifyConnection
			// are one.
			if p.server.works != 4 || p.client.works != 3 {
				t.Errorf("%d tasks of the server, %d of the client", p.server.works, p.client.works)
			}
		}
	})
}

// TestCallbackErrors: which alert goes out when the application or a key fails.
func TestCallbackErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		role    Role
		want    alert.Alert
		carries bool // the alert of the application's own error goes out instead
	}{
		{"GetConfigForClient", Server, alert.InternalError, true},
		{"GetCertificate", Server, alert.InternalError, true},
		{"server's key", Server, alert.InternalError, false},
		{"client's VerifyPeerCertificate", Client, alert.BadCertificate, true},
		{"client's VerifyConnection", Client, alert.BadCertificate, true},
		{"GetClientCertificate", Client, alert.InternalError, true},
		{"client's key", Client, alert.InternalError, false},
		{"server's VerifyPeerCertificate", Server, alert.BadCertificate, true},
		{"server's VerifyConnection", Server, alert.BadCertificate, true},
	} {
		reasons := map[error]alert.Alert{errors.New("the reason"): c.want}
		if c.carries {
			reasons[fmt.Errorf("wrapped: %w", alert.Localf(alert.AccessDenied, "the reason"))] = alert.AccessDenied
		}
		for reason, want := range reasons {
			eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
				t.Run(fmt.Sprintf("%s/%v", c.name, want), func(t *testing.T) {
					client, server := configs(v)
					authenticated(client, server)
					observed(client, server, func(called string) error {
						if called == c.name {
							return reason
						}
						return nil
					})
					p := begin(t, transport, client, server).run()
					side := p.server
					if c.role == Client {
						side = p.client
					}
					if side.expectRefused(t, want); !errors.Is(side.err, reason) {
						t.Errorf("%v does not wrap the reason", side.err)
					}
				})
			})
		}
	}
}

// TestWaiting: while a step waits, the Machine takes nothing and stays as it is;
// afterwards it goes on, and writes each message once.
func TestWaiting(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		authenticated(client, server)
		observed(client, server, func(string) error { return nil })
		p := begin(t, transport, client, server)
		waits := 0
		for range 100 {
			for _, side := range []*peer{p.client, p.server} {
				if len(side.inbox) == 0 && side.m.Work() == nil {
					continue
				}
				if side.m.Work() == nil {
					m := side.pop()
					switch err := side.m.Receive(m, testTime); err {
					case nil:
					case ErrNotYet:
						side.inbox = append([]Message{m}, side.inbox...)
					default:
						t.Fatal(err)
					}
					continue
				}
				waits++
				before, sent := *side.m, len(side.sent)
				for _, m := range append(slices.Clone(side.inbox), p.client.sent...) {
					if err := side.m.Receive(m, testTime); err != ErrNotYet {
						t.Errorf("%v takes %v while it waits: %v", side.m.role, describe(m), err)
					}
				}
				if !reflect.DeepEqual(before.place, side.m.place) || len(side.sent) != sent || side.m.task != before.task || side.m.Open() {
					t.Error("it changes while it waits")
				}
				side.m.Work()()
				if err := side.m.Resume(testTime); err != nil && err != ErrNotYet {
					t.Fatal(err)
				}
				if err := side.m.Resume(testTime); side.m.Work() == nil && err != nil {
					t.Errorf("a second Resume: %v", err)
				}
			}
		}
		p.run().expectAgreement(t)
		if waits != 7 {
			t.Errorf("%d waits", waits)
		}
		if len(p.client.replies) != 2 || len(p.server.replies) != map[bool]int{false: 2, true: 1}[v.Is13()] {
			t.Errorf("flights: client %v, server %v", p.client.replies, p.server.replies)
		}
	})
}

// TestFailedMachine: an error is final, and its secrets are gone.
//
// RFC 9846 6 [3]
func TestFailedMachine(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		p := begin(t, transport, client, server)
		p.onWay = func(to *peer, m Message) []Message {
			if m.Type == protocol.Finished {
				m.Body[0] ^= 1
			}
			return []Message{m}
		}
		p.run()
		failed := p.client
		if !v.Is13() {
			failed = p.server
		}
		failed.expectRefused(t, alert.DecryptError)
		sent := len(failed.sent)
		for name, call := range map[string]func() error{
			"Start":   func() error { return failed.m.Start(testTime) },
			"Receive": func() error { return failed.m.Receive(p.server.sent[0], testTime) },
			"Resume":  func() error { return failed.m.Resume(testTime) },
			"Acked":   failed.m.Acked,
		} {
			if err := call(); err != failed.err {
				t.Errorf("%s: %v, want %v", name, err, failed.err)
			}
		}
		if err := failed.m.KeyUpdate(0); err == nil {
			t.Error("KeyUpdate of a failed connection")
		}
		state := failed.m.State()
		if _, err := state.ExportKeyingMaterial("EXPORTER-test", nil, 32); err == nil || len(failed.sent) != sent {
			t.Error("a failed connection exports or writes")
		}
		if failed.m.secrets13 != nil || failed.m.secrets12 != nil || failed.m.scaffold != nil {
			t.Error("it keeps its secrets")
		}
	})
}
