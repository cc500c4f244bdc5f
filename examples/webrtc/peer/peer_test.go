package peer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/alert"
)

// A pair is two Peers that talk to each other over loopback.
type pair struct {
	offerer, answerer *Peer
	errs              [2]error // of Connect
}

// connect has two Peers connect; change may edit the two descriptions on their way.
func connect(t *testing.T, offerer, answerer Config, change func(description string) string) *pair {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := &pair{}
	var offer, answer string
	var err error
	if p.offerer, offer, err = Offer(ctx, offerer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.offerer.Close() })
	if p.answerer, answer, err = Answer(ctx, offer, answerer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.answerer.Close() })
	if err := p.offerer.Accept(change(answer)); err != nil {
		t.Fatal(err)
	}
	first := make(chan error)
	go func() { first <- p.offerer.Connect(ctx) }()
	p.errs[1] = p.answerer.Connect(ctx)
	p.errs[0] = <-first
	return p
}

func unchanged(description string) string { return description }

func open(t *testing.T, offerer, answerer Config) *pair {
	t.Helper()
	p := connect(t, offerer, answerer, unchanged)
	for _, err := range p.errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

var variants = []struct {
	name                  string
	config                dtls.Config
	version, group        string
	clientTrips, srvTrips float64
}{
	{"1.3", dtls.Config{}, "DTLS 1.3", "X25519MLKEM768", 1, 1.5},
	{"1.3, X25519", dtls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, "DTLS 1.3", "X25519", 1, 1.5},
	{"1.2", dtls.Config{MaxVersion: dtls.VersionDTLS12}, "DTLS 1.2", "X25519", 2, 1.5},
}

func TestEcho(t *testing.T) {
	for _, v := range variants {
		for _, setup := range []Setup{Active, Passive} {
			t.Run(v.name+", "+string(setup), func(t *testing.T) {
				p := open(t, Config{DTLS: &v.config}, Config{DTLS: &v.config, Setup: setup})
				checkState(t, p.answerer.State(), v.version, v.group)
				checkState(t, p.offerer.State(), v.version, v.group)
				client, server := p.answerer.State(), p.offerer.State()
				if setup == Passive {
					client, server = server, client
				}
				if client.RoundTrips != v.clientTrips || server.RoundTrips != v.srvTrips {
					t.Errorf("%v and %v round trips, expected %v and %v", client.RoundTrips, server.RoundTrips, v.clientTrips, v.srvTrips)
				}
				echo(t, p)
			})
		}
	}
}

func checkState(t *testing.T, s State, version, group string) {
	t.Helper()
	if s.Version != version || s.Group != group || s.SRTPProfile != "SRTP_AEAD_AES_128_GCM" || s.Milliseconds <= 0 {
		t.Errorf("expected %s with %s, got %+v", version, group, s)
	}
}

// Each frame opens on the other side, with the keys of either version; and none does
// that was changed on its way.
func TestMedia(t *testing.T) {
	const frames = 50
	for _, v := range variants {
		for _, kind := range []Kind{Audio, Video} {
			for _, setup := range []Setup{Active, Passive} {
				t.Run(fmt.Sprint(v.name, ", ", kind, ", ", setup), func(t *testing.T) {
					forger := &forger{}
					p := open(t, Config{DTLS: &v.config, Media: []Kind{kind}}, Config{DTLS: &v.config, Setup: setup, Link: forger.wrap})
					if len(p.answerer.Tracks()) != 1 || p.answerer.Tracks()[0].Kind != kind || len(p.offerer.Tracks()) != 0 {
						t.Fatalf("%d and %d tracks", len(p.answerer.Tracks()), len(p.offerer.Tracks()))
					}
					for i := range 2 * frames {
						forger.forges.Store(i%2 == 1)
						if err := p.answerer.Tracks()[0].Send(); err != nil {
							t.Fatal(err)
						}
					}
					echo(t, p) // comes behind them
					if err := p.offerer.Close(); err != nil {
						t.Fatal(err)
					}
					if n := p.offerer.Received(); n != frames {
						t.Errorf("%d of %d packets opened", n, frames)
					}
				})
			}
		}
	}
}

// A forger is a path on which somebody changes what passes.
type forger struct {
	net.Conn
	forges atomic.Bool
}

func (f *forger) wrap(path net.Conn) net.Conn {
	f.Conn = path
	return f
}

func (f *forger) Write(p []byte) (int, error) {
	if f.forges.Load() && dtls.Classify(p) == dtls.RTPPacket {
		p = bytes.Clone(p)
		p[len(p)-1] ^= 1
	}
	return f.Conn.Write(p)
}

// Whoever is told another fingerprint than the other side's has no connection, and nor has
// the other side.
func TestWrongFingerprint(t *testing.T) {
	for _, v := range variants {
		for _, setup := range []Setup{Active, Passive} {
			t.Run(v.name+", "+string(setup), func(t *testing.T) {
				p := connect(t, Config{DTLS: &v.config}, Config{DTLS: &v.config, Setup: setup}, func(answer string) string {
					other, err := dtls.SelfSigned()
					if err != nil {
						t.Fatal(err)
					}
					fingerprint := regexp.MustCompile("sha-256 [0-9A-F:]+")
					return fingerprint.ReplaceAllString(answer, dtls.Fingerprint(crypto.SHA256, other.Certificate[0]))
				})
				if !errors.Is(p.errs[0], alert.WrongFingerprint) {
					t.Errorf("who was told another fingerprint has %v", p.errs[0])
				}
				if e, ok := errors.AsType[*dtls.Error](p.errs[1]); !ok || !e.Received || e.Alert != alert.BadCertificate {
					t.Errorf("the other side has %v", p.errs[1])
				}
			})
		}
	}
}

// echo sends through a data channel that the offerer opens.
func echo(t *testing.T, p *pair) {
	t.Helper()
	c, err := p.offerer.OpenChannel("echo")
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.answerer.AcceptChannel()
	if err != nil || d.Label != "echo" {
		t.Fatal(d, err)
	}
	message := bytes.Repeat([]byte("godwit"), MaxMessage/6)
	if _, err := c.Write(message); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, MaxMessage)
	n, err := d.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(buffer[:n]); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(buffer); err != nil || !bytes.Equal(buffer[:n], message) {
		t.Errorf("%d bytes came back of %d: %v", n, len(message), err)
	}
}
