package handshake

import (
	"crypto/tls"
	"fmt"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// The alerts of a message that is what it should be, but says something wrong.
var forWrongContent = []alert.Alert{
	alert.UnexpectedMessage, alert.DecodeError, alert.DecryptError, alert.IllegalParameter, alert.HandshakeFailure,
	alert.ProtocolVersion, alert.MissingExtension, alert.UnsupportedExtension, alert.BadCertificate,
	alert.UnsupportedCertificate, alert.UnknownCA, alert.CertificateExpired, alert.CertificateRequired, alert.NoApplicationProtocol,
}

// A damage is another body for a message.
type damage struct {
	name string
	body []byte
}

// damages are every cut of a message, and a bit that is flipped in each byte.
func damages(m Message) (all []damage) {
	for n := range m.Body {
		flipped := slices.Clone(m.Body)
		flipped[n] ^= 1 << (n % 8)
		all = append(all, damage{fmt.Sprint("cut at ", n), m.Body[:n]},
			damage{fmt.Sprintf("with a bit flipped in byte %d of %d", n, len(m.Body)), flipped})
	}
	return all
}

// TestDamage damages every message of a handshake, in every protocol: the victim
// never takes the handshake for complete.
func TestDamage(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		for _, auth := range []clientAuth{unasked, shown} {
			t.Run("client certificate "+string(auth), func(t *testing.T) {
				client, server := configs(v)
				if auth == shown {
					authenticated(client, server)
				}
				if v.Is13() && auth == unasked {
					client.CurvePreferences = []tls.CurveID{tls.CurveP256, tls.X25519} // with a HelloRetryRequest
				}
				p := begin(t, transport, client, server)
				for len(p.server.inbox)+len(p.client.inbox) > 0 {
					victim := func(p *pair) *peer { return p.server }
					if len(p.client.inbox) > 0 {
						victim = func(p *pair) *peer { return p.client }
					}
					damageAll(t, p, victim)
					p.next(victim(p))
				}
				p.run().expectAgreement(t)
			})
		}
	})
}

// TestResumedDamage is TestDamage for a handshake that resumes a session.
func TestResumedDamage(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server, _ := resumingConfigs()
		client.MinVersion, client.MaxVersion, server.MinVersion, server.MaxVersion = uint16(v), uint16(v), uint16(v), uint16(v)
		complete(t, transport, client, server)
		p := begin(t, transport, client, server)
		p.client.work() // the cache
		for !p.server.m.Open() {
			victim := func(p *pair) *peer { return p.server }
			if len(p.client.inbox) > 0 {
				victim = func(p *pair) *peer { return p.client }
			}
			damageAll(t, p, victim)
			p.next(victim(p))
		}
		p.run().expectAgreement(t)
		if !p.client.m.State().DidResume {
			t.Error("not resumed")
		}
	})
}

func damageAll(t *testing.T, p *pair, victim func(*pair) *peer) {
	m := victim(p).inbox[0]
	for _, d := range damages(m) {
		f := p.fork()
		v := victim(f)
		v.inbox[0].Body = d.body
		f.onWay = func(_ *peer, m Message) []Message { return []Message{m} } // whatever its level
		before := v.m.place.At
		report := func(format string, args ...any) {
			t.Errorf("%v, at %v, gets %v %s: %s", v.m.role, before, describe(m), d.name, fmt.Sprintf(format, args...))
		}
		f.next(v)
		if v.err != nil {
			if a := alertOf(v.err); !slices.Contains(forWrongContent, a) {
				report("%v", v.err)
			}
			if v.m.place.At != before {
				report("it moved to %v", v.m.place.At)
			}
		}
		f.run()
		if v.m.Open() || v.finished > 0 {
			report("the handshake is complete")
		}
		if v.err == nil && v.other.err == nil {
			report("nobody notices")
		}
		if again := v.m.Receive(m, testTime); v.err != nil && again != v.err {
			report("after %v it goes on: %v", v.err, again)
		}
	}
}

// TestLengthBound: what is too long is refused before it is parsed.
func TestLengthBound(t *testing.T) {
	m := &Machine{config: &Config{}}
	for s := range numSteps {
		if s.Writer() == Nobody {
			continue
		}
		if err := m.CheckLength(s, s.MaxBody()); err != nil {
			t.Errorf("%v: %v", s, err)
		}
		expectAlert(t, m.CheckLength(s, max(s.MaxBody(), maxFinished)+1), alert.IllegalParameter)
	}
	client, server := configs(0)
	p := newPair(t, protocol.Stream, client, server)
	p.server.take(Message{Content: protocol.Handshake, Type: protocol.ClientHello, Body: make([]byte, maxMessage+1)})
	p.server.expectRefused(t, alert.IllegalParameter)
}
