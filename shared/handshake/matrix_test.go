package handshake

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// The matrix of messages: every fault at every message of every golden handshake,
// and the alert that answers it.

// A fault is what a peer may do wrong when it sends a message that is due.
type fault struct {
	name string
	// alert is what answers it, wherever answers says nothing else.
	alert alert.Alert
	// commit is each way to do it, to the first message of a queue that is on its way
	// to a victim.
	commit func(queue []Message, victim *peer) [][]Message
}

var faults = []fault{
	{"omitted", alert.UnexpectedMessage, func(q []Message, _ *peer) [][]Message { return [][]Message{q[1:]} }},
	{"doubled", alert.UnexpectedMessage, func(q []Message, _ *peer) [][]Message { return [][]Message{before(q, q[0])} }},
	{"swapped with the next", alert.UnexpectedMessage, func(q []Message, _ *peer) [][]Message {
		if len(q) < 2 {
			return nil
		}
		return [][]Message{before(q[2:], q[1], q[0])}
	}},
	{"of another type", alert.UnexpectedMessage, otherTypes},
	{"cut", alert.DecodeError, func(q []Message, _ *peer) (all [][]Message) {
		for n := range q[0].Body {
			if n%31 == 0 || n == len(q[0].Body)-1 {
				all = append(all, before(q[1:], q[0].of(q[0].Body[:n])))
			}
		}
		return all
	}},
	{"extended", alert.DecodeError, func(q []Message, _ *peer) [][]Message {
		return [][]Message{before(q[1:], q[0].of(append(slices.Clone(q[0].Body), 0)))}
	}},
	{"behind one of the victim's own", alert.UnexpectedMessage, func(q []Message, victim *peer) (all [][]Message) {
		for _, own := range victim.sent {
			if own.Content == protocol.Handshake { // a ChangeCipherSpec says nothing of who wrote it
				all = append(all, before(q, own))
			}
		}
		return all
	}},
}

// before puts messages before others.
func before(rest []Message, first ...Message) []Message { return append(first, rest...) }

// of is m with another body.
func (m Message) of(body []byte) Message {
	m.Body = body
	return m
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

// otherTypes sends the body as each type that it isn't.
func otherTypes(q []Message, _ *peer) (all [][]Message) {
	m := q[0]
	if m.Content == protocol.ChangeCipherSpec {
		m.Content = protocol.Handshake
	} else {
		m.Content = protocol.ChangeCipherSpec
		all = append(all, before(q[1:], m))
		m.Content = protocol.Handshake
	}
	for _, other := range allTypes() {
		if other != q[0].Type {
			m.Type = other
			all = append(all, before(q[1:], m))
		}
	}
	return all
}

// How a fault may end beside the victim's own alert.
const (
	waits   = alert.Alert(250) // for what was omitted
	refuses = alert.Alert(251) // the sender does: its lawful half knows of no fault, and the transcripts differ
)

// answers are those that differ, by fault and step.
var answers = map[string]map[Step][]alert.Alert{
	"omitted": {
		// The last of a flight.
		ClientHello: {waits}, HelloVerifyRequest: {waits}, HelloRetryRequest: {waits}, ClientHelloAgain: {waits},
		ServerHelloDone: {waits}, ClientFinished: {waits}, ServerFinished: {waits},
		// What a server need not send: then Finished, or the signature before it, is of
		// another handshake than the client's.
		CertificateStatus:  {refuses},
		ServerKeyExchange:  {alert.UnexpectedMessage, refuses},
		CertificateRequest: {refuses, alert.DecryptError},
	},
	"doubled": {
		HelloVerifyRequest: {refuses}, // it may come more than once, RFC 6347 4.2.1
	},
	"of another type": {
		// What may come there too, RFC 5246 7.3 and RFC 9846 2, but has another form.
		HelloVerifyRequest: {alert.UnexpectedMessage, alert.DecodeError},                        // ServerHello
		ServerHello:        {alert.UnexpectedMessage, alert.DecodeError, alert.ProtocolVersion}, // HelloVerifyRequest
		ServerCertificate:  {alert.UnexpectedMessage, alert.DecodeError, alert.ProtocolVersion}, // CertificateRequest
		CertificateStatus:  {alert.UnexpectedMessage, alert.DecodeError, alert.IllegalParameter},
		ServerKeyExchange:  {alert.UnexpectedMessage, alert.DecodeError},
		CertificateRequest: {alert.UnexpectedMessage, alert.DecodeError, alert.ProtocolVersion},
		ServerHelloDone:    {alert.UnexpectedMessage, alert.DecodeError},
		// HelloVerifyRequest to a client that has 1.3 alone: it learns so why.
		HelloRetryRequest:       {alert.UnexpectedMessage, alert.ProtocolVersion},
		EncryptedExtensions:     {alert.UnexpectedMessage, alert.ProtocolVersion},
		ServerCertificateVerify: {alert.UnexpectedMessage, alert.ProtocolVersion},
		ServerFinished:          {alert.UnexpectedMessage, alert.ProtocolVersion},
	},
	"cut": {
		ClientFinished: {alert.DecryptError}, ServerFinished: {alert.DecryptError}, // RFC 9846 4.5.3
	},
	"extended": {
		ClientFinished: {alert.DecryptError}, ServerFinished: {alert.DecryptError},
		ServerKeyExchange: {alert.DecodeError, alert.IllegalParameter}, // behind a hint there may be a share: of curve type 0
	},
	"behind one of the victim's own": {
		// What both sides write: it is what is due, but not the peer's.
		ClientFinished: {alert.UnexpectedMessage, alert.DecryptError}, ServerFinished: {alert.UnexpectedMessage, alert.DecryptError},
		ClientCertificateVerify: {alert.UnexpectedMessage, alert.IllegalParameter},
	},
}

func (f fault) answers(s Step) []alert.Alert {
	if other := answers[f.name][s]; other != nil {
		return other
	}
	return []alert.Alert{f.alert}
}

// TestMessageMatrix runs every handshake of docs/graph/handshakes.txt, and commits every
// fault at each of its messages: what it is answered by is in the table, and nobody who
// was wronged takes the handshake for complete.
//
// RFC 9846 4 [2], 4.5.2 [2]
func TestMessageMatrix(t *testing.T) {
	tried, met, tries := map[string]bool{}, map[string]bool{}, 0
	for i, g := range goldens() {
		if i%stride(3) != 0 {
			continue
		}
		g.eachMessage(t, func(p *pair, victim func(*pair) *peer) {
			v := victim(p)
			s := v.step(v.inbox[0])
			where := fmt.Sprint(v.m.role, v.m.place, s, len(v.inbox))
			if tried[where] { // another handshake that is the same so far
				return
			}
			tried[where] = true
			for _, f := range faults {
				for _, q := range f.commit(slices.Clone(v.inbox), v) {
					if tries++; tries%stride(7) != 0 {
						continue
					}
					got := suffer(p.fork(), victim, q)
					if met[fmt.Sprint(f.name, s, got)] = true; !slices.Contains(f.answers(s), got) {
						t.Errorf("%v: %v at %v, %v %s: %s", g, v.m.role, v.m.place.At, s, f.name, endings(got))
					}
				}
			}
		})
	}
	for name, row := range answers {
		for s, alerts := range row {
			for _, a := range alerts {
				if !met[fmt.Sprint(name, s, a)] && !testing.Short() {
					t.Errorf("%v %s: %s never happens", s, name, endings(a))
				}
			}
		}
	}
	t.Logf("%d messages", len(tried))
}

// endings names how something ended.
func endings(as ...alert.Alert) string {
	var names []string
	for _, a := range as {
		switch a {
		case waits:
			names = append(names, "the victim waits")
		case refuses:
			names = append(names, "the sender refuses")
		case alert.CloseNotify:
			names = append(names, "nothing")
		default:
			names = append(names, a.String())
		}
	}
	return strings.Join(names, ", ")
}

// suffer gives a victim a queue of messages, of which the first or second is wrong, and
// returns how that ends: by the victim's alert, or else by what follows. It is
// close_notify for a handshake that is complete.
func suffer(p *pair, victim func(*pair) *peer, queue []Message) alert.Alert {
	v := victim(p)
	v.inbox = queue
	p.onWay = func(_ *peer, m Message) []Message { return []Message{m} } // whatever its level
	for n := 0; len(v.inbox) > 0; n++ {
		p.next(v)
		switch {
		case v.err != nil && n < 2:
			return alertOf(v.err)
		case v.err != nil: // too late
			return alert.CloseNotify
		}
	}
	p.run()
	switch {
	case v.m.Open() || v.finished > 0:
		return alert.CloseNotify
	case v.other.err != nil:
		return refuses
	case v.err == nil:
		return waits
	}
	return alert.CloseNotify
}
