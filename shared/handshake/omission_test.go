package handshake

import (
	"crypto/tls"
	"fmt"
	"slices"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A misdeed changes what is on its way to a victim, beginning with the first
// message. It returns false if it changes nothing.
type misdeed struct {
	name   string
	commit func(queue []Message) ([]Message, bool)
	// alerts are what the victim may answer at once, if it doesn't fail later.
	alerts []alert.Alert
}

// The alerts of a message that is what it should be, but says something wrong.
var forWrongContent = []alert.Alert{
	alert.UnexpectedMessage, alert.DecodeError, alert.DecryptError, alert.IllegalParameter, alert.HandshakeFailure,
	alert.ProtocolVersion, alert.MissingExtension, alert.UnsupportedExtension, alert.BadCertificate,
	alert.UnsupportedCertificate, alert.UnknownCA, alert.CertificateExpired, alert.CertificateRequired, alert.NoApplicationProtocol,
}

// allTypes are the types of all messages, and two that are none.
func allTypes() []protocol.HandshakeType {
	types := []protocol.HandshakeType{protocol.HelloRequest, protocol.MessageHash, 99}
	for s := range numSteps {
		if !slices.Contains(types, s.Type()) {
			types = append(types, s.Type())
		}
	}
	return types
}

// misdeeds are what is tried at every message m of a lawful handshake.
func misdeeds(m Message, written []Message) []misdeed {
	changed := func(body []byte) func([]Message) ([]Message, bool) {
		return func(q []Message) ([]Message, bool) {
			q[0].Body = body
			return q, true
		}
	}
	forLength := alert.DecodeError
	if m.Type == protocol.Finished {
		forLength = alert.DecryptError
	}
	list := []misdeed{
		{"omitted", func(q []Message) ([]Message, bool) { return q[1:], true }, []alert.Alert{alert.UnexpectedMessage, alert.DecryptError}},
		{"swapped", func(q []Message) ([]Message, bool) {
			if len(q) > 1 {
				q[0], q[1] = q[1], q[0]
			}
			return q, len(q) > 1
		}, []alert.Alert{alert.UnexpectedMessage, alert.DecryptError}},
		{"extended", changed(append(slices.Clone(m.Body), 0)), []alert.Alert{forLength}},
	}
	for n := range m.Body {
		list = append(list, misdeed{fmt.Sprint("cut at ", n), changed(m.Body[:n]), forWrongContent})
		flipped := slices.Clone(m.Body)
		flipped[n] ^= 1 << (n % 8)
		list = append(list, misdeed{fmt.Sprintf("bit flipped in byte %d of %d", n, len(m.Body)), changed(flipped), forWrongContent})
	}
	for _, other := range allTypes() {
		if m.Content == protocol.Handshake && other != m.Type {
			list = append(list, misdeed{fmt.Sprint("as ", other), func(q []Message) ([]Message, bool) {
				q[0].Type = other
				return q, true
			}, forWrongContent})
		}
	}
	for _, own := range written {
		if own.Content == protocol.ChangeCipherSpec {
			continue // says nothing of who wrote it
		}
		list = append(list, misdeed{fmt.Sprint("preceded by the victim's own ", describe(own)), func(q []Message) ([]Message, bool) {
			return append([]Message{own}, q...), true
		}, []alert.Alert{alert.UnexpectedMessage, alert.DecryptError, alert.IllegalParameter}})
	}
	return list
}

// TestMisdeeds commits every misdeed at every message of a handshake, in every
// protocol: the victim never takes the handshake for complete.
//
// RFC 9846 4 [2], 4.5.2 [2]
func TestMisdeeds(t *testing.T) {
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
					tryAll(t, p, victim)
					p.next(victim(p))
				}
				p.run().expectAgreement(t)
			})
		}
	})
}

// TestResumedMisdeeds is TestMisdeeds for a handshake that resumes a session.
func TestResumedMisdeeds(t *testing.T) {
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
			tryAll(t, p, victim)
			p.next(victim(p))
		}
		p.run().expectAgreement(t)
		if !p.client.m.State().DidResume {
			t.Error("not resumed")
		}
	})
}

func tryAll(t *testing.T, p *pair, victim func(*pair) *peer) {
	m := victim(p).inbox[0]
	for _, crime := range misdeeds(m, victim(p).sent) {
		f := p.fork()
		v := victim(f)
		queue, ok := crime.commit(slices.Clone(v.inbox))
		if !ok {
			continue
		}
		v.inbox = queue
		f.onWay = func(_ *peer, m Message) []Message { return []Message{m} } // whatever its level
		before := v.m.place.At
		report := func(format string, args ...any) {
			t.Errorf("%v, at %v, gets %v %s: %s", v.m.role, before, describe(m), crime.name, fmt.Sprintf(format, args...))
		}
		if len(queue) > 0 {
			f.next(v)
			if v.err != nil {
				if a := alertOf(v.err); !slices.Contains(crime.alerts, a) {
					report("%v", v.err)
				}
				if v.m.place.At != before {
					report("it moved to %v", v.m.place.At)
				}
			}
		}
		f.run()
		if v.m.Open() || v.finished > 0 {
			report("the handshake is complete")
		}
		if crime.name != "omitted" && v.err == nil && v.other.err == nil {
			report("nobody notices")
		}
		if again := v.m.Receive(m, testTime); v.err != nil && again != v.err {
			report("after %v it goes on: %v", v.err, again)
		}
	}
}

func TestDoubled(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		authenticated(client, server)
		messages := 0
		for i := range 30 {
			p := begin(t, transport, client, server)
			n := 0
			var victim *peer
			p.onWay = func(to *peer, m Message) []Message {
				if n++; n-1 == i {
					victim = to
					return []Message{m, m}
				}
				return []Message{m}
			}
			p.run()
			if victim == nil {
				break
			}
			messages++
			expectAlert(t, victim.err, alert.UnexpectedMessage)
		}
		if messages < 9 {
			t.Errorf("only %d messages", messages)
		}
	})
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
	p.server.take(Message{Content: protocol.Handshake, Type: protocol.ClientHello, Body: make([]byte, maxHello+1)})
	p.server.expectRefused(t, alert.IllegalParameter)
}
