package tls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/rogue"
)

// The matrix of messages of shared/handshake, with records, and so with messages under
// other keys, too. Over a stream nothing is lost, so nothing is dropped: every fault is
// answered with its alert.

// A hoarder is a layer that keeps its keys: each message of a flight goes, once that is
// whole, under those that it names.
type hoarder struct {
	*layer
	keys   map[uint64]writeLevel
	newest uint64
	flight []handshake.Message
}

// layerFor is what carries the messages of a side that commits such a fault.
func layerFor(e *Engine, f rogue.Fault) handshake.Layer {
	if f.Moves {
		return &hoarder{layer: (*layer)(e), keys: map[uint64]writeLevel{}}
	}
	return (*layer)(e)
}

func (h *hoarder) Send(m handshake.Message) { h.flight = append(h.flight, m) }

func (h *hoarder) WriteKey(k handshake.TrafficKey) (err error) {
	h.newest = k.Level
	h.keys[k.Level], err = newWriteLevel(k)
	return err
}

func (h *hoarder) Flush(r handshake.Reply) {
	for _, m := range h.flight {
		h.use(m.Level)
		h.layer.Send(m)
	}
	h.flight = nil
	h.use(h.newest)
	h.layer.Flush(r)
}

// use goes on with the keys of a level.
func (h *hoarder) use(level uint64) {
	e := (*Engine)(h.layer)
	if level == e.write.number {
		return
	}
	e.failed(e.pack())
	h.keys[e.write.number] = e.write
	e.write = h.keys[level]
}

// betrayed returns a pair of which one side commits a fault at a message, after all has
// been said, and that side's layer.
func betrayed(t *testing.T, client, server *Config, by handshake.Role, f rogue.Fault, at int) (*pair, *rogue.Layer) {
	t.Helper()
	p := newPair(t, client, server)
	c, v := &rogue.Layer{Layer: layerFor(p.client, f)}, &rogue.Layer{Layer: layerFor(p.server, f)}
	c.Other, v.Other = v, c
	p.client.machine = handshake.NewClient(client, protocol.Stream, c)
	p.server.machine = handshake.NewServer(server, protocol.Stream, v)
	guilty := c
	if by == handshake.Server {
		guilty = v
	}
	guilty.Fault, guilty.At = f, at
	p.connect()
	return p, guilty
}

// matrixScenarios have every way to authenticate, and to begin.
var matrixScenarios = []struct {
	name    string
	version uint16
	change  func(client, server *Config)
}{
	{"1.3", VersionTLS13, func(*Config, *Config) {}},
	{"1.3, client certificate, HelloRetryRequest", VersionTLS13, func(client, server *Config) {
		server.CurvePreferences = client.CurvePreferences[1:]
		authenticateClient(client, server)
	}},
	{"1.3, client without the certificate that is asked for", VersionTLS13, askedInVain},
	{"1.3, resumed", VersionTLS13, resumes},
	{"1.3, resumed, 0-RTT", VersionTLS13, func(client, server *Config) {
		resumes(client, server)
		client.EarlyData, server.EarlyData, server.AntiReplay = true, true, forgetful{}
	}},
	{"1.3, external PSK", VersionTLS13, sharedKey},
	{"1.2", VersionTLS12, func(*Config, *Config) {}},
	{"1.2, client certificate", VersionTLS12, authenticateClient},
	{"1.2, client without the certificate that is asked for", VersionTLS12, askedInVain},
	{"1.2, staple", VersionTLS12, func(client, server *Config) {
		client.RequestOCSPStaple = true
		server.Certificates[0].OCSPStaple = []byte("good")
	}},
	{"1.2, ticket", VersionTLS12, func(client, _ *Config) { client.ClientSessionCache = sieve{} }},
	{"1.2, resumed", VersionTLS12, resumes},
	{"1.2, PSK suite", VersionTLS12, sharedKey},
}

// A kept session is given out again and again.
type kept struct{ session *SessionState }

func (k *kept) Get(string) (*SessionState, bool) { return k.session, k.session != nil }
func (k *kept) Put(_ string, s *SessionState) {
	if k.session == nil {
		k.session = s
	}
}

func resumes(client, _ *Config) { client.ClientSessionCache = new(kept) }

// A sieve takes sessions, and keeps none.
type sieve struct{}

func (sieve) Get(string) (*SessionState, bool) { return nil, false }
func (sieve) Put(string, *SessionState)        {}

// forgetful takes every hello for new: the handshake is tried again and again.
type forgetful struct{}

func (forgetful) Record([]byte, time.Time, time.Time, time.Time) (bool, error) { return true, nil }

// askedInVain has the server ask for a certificate that the client hasn't.
func askedInVain(_, server *Config) { server.ClientAuth = tls.VerifyClientCertIfGiven }

func sharedKey(client, server *Config) {
	key := &ExternalPSK{Identity: []byte("sensor"), Key: []byte("sixteen bytes or"), Use: PSKDirect}
	client.Credentials = []Credential{{PSK: key}}
	server.Credentials, server.Certificates = client.Credentials, nil
	server.SessionTicketsDisabled = true
}

// How a fault may end beside the victim's own alert.
const (
	waits   = alert.Alert(250) // for what was left out
	refused = alert.Alert(251) // by the lawful half of the side that left it out
)

// expected is what answers a fault that is committed at a message of a handshake which
// was lawful before.
func expected(f rogue.Fault, lawful *rogue.Layer, at int, is13 bool) []alert.Alert {
	m := lawful.Sent[at]
	finished, change := m.Type == protocol.Finished, m.Content == protocol.ChangeCipherSpec
	early := slices.ContainsFunc(lawful.Sent, func(m handshake.Message) bool { return m.Type == protocol.EndOfEarlyData })
	newKeys := change || is13 && m.Type == protocol.ServerHello && !lawful.EndsFlight(at) // behind it
	switch {
	case f.Moves && m.Level > handshake.LevelPlain:
		return []alert.Alert{alert.BadRecordMAC, f.Alert} // or it is in the record of the message before it
	case f.Moves && change:
		return []alert.Alert{alert.DecodeError} // what is encrypted is longer
	case f.Name == rogue.Omitted && early && m.Type == protocol.ClientHello:
		return []alert.Alert{f.Alert} // a ChangeCipherSpec comes first
	case f.Name == rogue.Omitted && lawful.EndsFlight(at):
		return []alert.Alert{waits}
	case m.Type == protocol.EndOfEarlyData && (f.Name == rogue.Omitted || f.Name == rogue.Swapped):
		return []alert.Alert{alert.BadRecordMAC} // Finished comes under the keys behind it
	case f.Name == rogue.Omitted && m.Type == protocol.CertificateStatus:
		return []alert.Alert{refused} // the keys differ, as the handshakes do (RFC 7627): Finished doesn't open
	case f.Name == "doubled" && newKeys:
		return []alert.Alert{f.Alert, alert.BadRecordMAC} // in the same record, or in one without protection
	case f.Name == "doubled" && m.Type == protocol.ClientHello:
		return []alert.Alert{f.Alert, alert.ProtocolVersion} // its record says 1.0, as no second does
	case f.Name == "cut" && change:
		return []alert.Alert{alert.UnexpectedMessage} // an empty record
	case f.Name == "as Finished":
		return []alert.Alert{f.Alert, alert.IllegalParameter} // too long for one, which is seen first
	case f.Name == rogue.Omitted && m.Type == protocol.CertificateRequest && is13:
		return []alert.Alert{alert.DecryptError} // of CertificateVerify
	case f.Name == rogue.Omitted && m.Type == protocol.CertificateRequest:
		return []alert.Alert{refused}
	case m.Type == protocol.CertificateRequest:
		return []alert.Alert{f.Alert, alert.DecodeError} // what may come there instead has another form
	case f.Alert == alert.DecodeError && finished:
		return []alert.Alert{alert.DecryptError} // RFC 9846 4.5.3
	case finished && f.Name == "behind the last of the other side":
		return []alert.Alert{f.Alert, alert.DecryptError} // theirs is due, but from us
	}
	return []alert.Alert{f.Alert}
}

func TestMessageMatrix(t *testing.T) {
	tries, stride := 0, 1
	if testing.Short() {
		stride = 7
	}
	for _, c := range matrixScenarios {
		t.Run(c.name, func(t *testing.T) {
			client, server := configs(c.version)
			client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
			c.change(client, server)
			resumes := strings.Contains(c.name, "resumed")
			if resumes {
				connected(t, client, server)
			}
			is13 := c.version == VersionTLS13
			for _, by := range []handshake.Role{handshake.Client, handshake.Server} {
				p, lawful := betrayed(t, client, server, by, rogue.Lawful, 0)
				if resumed := p.client.State().DidResume; !p.server.Open() || resumed != resumes {
					t.Fatalf("resumed %v", resumed)
				}
				for at, faults := range lawful.Faults(protocol.Stream) {
					if is13 && lawful.Sent[at].Level >= handshake.LevelApplication {
						break // the handshake is over
					}
					for _, f := range faults {
						if tries++; tries%stride != 0 {
							continue
						}
						p, l := betrayed(t, client, server, by, f, at)
						victim, other := p.client, p.server
						if by == handshake.Client {
							victim, other = other, victim
						}
						if l.Committed {
							m := lawful.Sent[at]
							checkEnding(t, fmt.Sprintf("%v %v of the %v %s", m.Content, m.Type, by, f.Name), victim, other, expected(f, lawful, at, is13))
						}
					}
				}
			}
		})
	}
}

// checkEnding checks that one side has ended as it should, that the other has heard of
// its alert, and that nothing can be written.
func checkEnding(t *testing.T, what string, victim, other *Engine, want []alert.Alert) {
	t.Helper()
	got, heard := alertOf(victim), alertOf(other)
	if !slices.Contains(want, got) {
		t.Errorf("%s: %v, %v, want %v", what, victim.Err(), other.Err(), want)
	}
	if got < waits && heard != refused {
		t.Errorf("%s: the other side hears %v", what, other.Err())
	}
	if victim.Open() && victim.Err() == nil {
		t.Errorf("%s: the handshake is complete", what)
	}
	if err := victim.Write([]byte("secret"), testTime); err == nil {
		t.Errorf("%s: written", what)
	}
}

// alertOf is the alert that an Engine has ended with.
func alertOf(e *Engine) alert.Alert {
	ended, ok := errors.AsType[*Error](e.Err())
	switch {
	case !ok:
		return waits
	case ended.Received:
		return refused
	}
	return ended.Alert
}
