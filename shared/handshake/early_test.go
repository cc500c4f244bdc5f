package handshake

import (
	"bytes"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// earlyConfigs are configs with 0-RTT whose client has a session.
func earlyConfigs(t testing.TB, transport protocol.Transport) (client, server *Config) {
	t.Helper()
	client, server, _ = resumingConfigs()
	client.EarlyData, server.EarlyData = true, true
	client.NextProtos, server.NextProtos = []string{"one", "two"}, []string{"one"}
	complete(t, transport, client, server)
	return client, server
}

func levelsOf(keys []TrafficKey) (levels []uint64) {
	for _, k := range keys {
		levels = append(levels, k.Level)
	}
	return levels
}

// TestEarlyLevels: which keys come in which order, and what ends 0-RTT.
//
// RFC 9846 4.6 [1, 2]
func TestEarlyLevels(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := earlyConfigs(t, transport)
		p := begin(t, transport, client, server)
		p.client.work() // the cache
		if room := p.client.m.EarlyRoom(); room != DefaultMaxEarlyData {
			t.Errorf("room for %d bytes", room)
		}
		p.run().expectAgreement(t)
		if !p.client.m.State().EarlyDataAccepted {
			t.Fatal(p.client.m.State().EarlyDataReason)
		}
		want := []uint64{LevelEarly, LevelHandshake, LevelApplication}
		if got := levelsOf(p.client.writes); !slices.Equal(got, want) {
			t.Errorf("the client writes under %v", got)
		}
		types := []protocol.HandshakeType{protocol.ClientHello, protocol.EndOfEarlyData, protocol.Finished}
		if transport == protocol.Datagram {
			types = slices.Delete(types, 1, 2) // RFC 9147 5.6
		}
		if got := typesOf(p.client.sent); !slices.Equal(got, types) {
			t.Errorf("the client sends %v", got)
		}
	})
}

// TestEarlyKeyLog: the log has the secrets of 0-RTT, the same on both sides.
func TestEarlyKeyLog(t *testing.T) {
	client, server := earlyConfigs(t, protocol.Stream)
	var logs [2]bytes.Buffer
	client.KeyLogWriter, server.KeyLogWriter = &logs[0], &logs[1]
	complete(t, protocol.Stream, client, server)
	var early [2][]string
	for i := range logs {
		for line := range strings.Lines(logs[i].String()) {
			if strings.Contains(line, "EARLY") {
				early[i] = append(early[i], line)
			}
		}
	}
	if len(early[0]) != 2 || !slices.Equal(early[0], early[1]) ||
		!strings.HasPrefix(early[0][0], "CLIENT_EARLY_TRAFFIC_SECRET ") || !strings.HasPrefix(early[0][1], "EARLY_EXPORTER_SECRET ") {
		t.Errorf("%q", early)
	}
}

// TestEarlyDataAnswers: what a server may not say about 0-RTT.
//
// RFC 9846 4.3.11 [13]
func TestEarlyDataAnswers(t *testing.T) {
	earlyData := []byte{0, byte(protocol.ExtEarlyData), 0, 0}
	encrypted := func(extensions ...[]byte) []byte {
		block := slices.Concat(extensions...)
		return append([]byte{0, byte(len(block))}, block...)
	}
	one := []byte{0, byte(protocol.ExtALPN), 0, 6, 0, 4, 3, 'o', 'n', 'e'}
	two := []byte{0, byte(protocol.ExtALPN), 0, 6, 0, 4, 3, 't', 'w', 'o'}
	for _, c := range []struct {
		name      string
		hello     func(*message.ServerHello, *extensionList)
		encrypted []byte
		alert     alert.Alert
		reason    alert.Reason
	}{
		{"another protocol", nil, encrypted(two, earlyData), alert.IllegalParameter, alert.EarlyDataProtocol},
		{"no protocol", nil, encrypted(earlyData), alert.IllegalParameter, alert.EarlyDataProtocol},
		{"another suite", func(m *message.ServerHello, _ *extensionList) { m.CipherSuite = suite.TLS_CHACHA20_POLY1305_SHA256 },
			encrypted(one, earlyData), alert.IllegalParameter, alert.EarlyDataSuite},
		{"without the session", drop(protocol.ExtPreSharedKey), encrypted(one, earlyData), alert.UnsupportedExtension, alert.UnexpectedExtension},
		{"with contents", nil, encrypted(one, []byte{0, byte(protocol.ExtEarlyData), 0, 1, 0}), alert.DecodeError, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := earlyConfigs(t, protocol.Stream)
			p := begin(t, protocol.Stream, client, server)
			p.client.work()
			p.onWay = func(_ *peer, m Message) []Message {
				switch {
				case m.Type == protocol.ServerHello && c.hello != nil:
					m = editServerHello(t, m, c.hello)
				case m.Type == protocol.EncryptedExtensions:
					m.Body = c.encrypted
				}
				return []Message{m}
			}
			p.run()
			p.client.expectRefused(t, c.alert)
			if c.reason != "" && !errors.Is(p.client.err, c.reason) {
				t.Errorf("%v, expected %q", p.client.err, c.reason)
			}
		})
	}
}

// TestEarlyDataAfterRetry: whoever asked for another ClientHello can't take
// 0-RTT.
func TestEarlyDataAfterRetry(t *testing.T) {
	client, server := earlyConfigs(t, protocol.Datagram) // whose Layer knows the way back
	retrying(client, server)
	p := begin(t, protocol.Datagram, client, server)
	p.client.work()
	if p.client.m.EarlyRoom() == 0 {
		t.Fatal("no early data is offered")
	}
	p.client.writes = nil // refused with the HelloRetryRequest
	p.onWay = func(_ *peer, m Message) []Message {
		if m.Type == protocol.EncryptedExtensions {
			m.Body = []byte{0, 4, 0, byte(protocol.ExtEarlyData), 0, 0}
		}
		return []Message{m}
	}
	p.run()
	p.client.expectRefused(t, alert.UnsupportedExtension)
	if p.client.m.EarlyRoom() != 0 || p.server.m.State().EarlyDataReason != EarlyDataHelloRetry {
		t.Error(p.client.m.EarlyRoom(), p.server.m.State().EarlyDataReason)
	}
}

// TestEarlyDataAndExternalKey: a server that knows an external key of the client's
// and not its session takes no early data, and the client may ask for its state
// at any time.
//
// RFC 9846 4.3.10 [2, 7]
func TestEarlyDataAndExternalKey(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := earlyConfigs(t, transport)
		key := Credential{PSK: &ExternalPSK{Identity: []byte("key"), Key: make([]byte, 32)}}
		client.Credentials = []Credential{key}
		client.PSKOrCertificate = true
		stranger := *server // with other ticket keys
		stranger.Certificates, stranger.Credentials = nil, []Credential{key}
		p := begin(t, transport, client, &stranger)
		p.client.work()
		p.onWay = func(to *peer, m Message) []Message {
			to.m.State()
			return []Message{m}
		}
		for p.client.err == nil && p.server.err == nil && !(p.client.m.Open() && p.server.m.Open()) {
			for _, to := range []*peer{p.client, p.server} {
				if len(to.inbox) > 0 {
					p.next(to)
				}
				to.m.State()
			}
		}
		if p.client.err != nil || p.server.err != nil {
			t.Fatal(p.client.err, p.server.err)
		}
		ours, theirs := p.client.m.State(), p.server.m.State()
		if ours.EarlyDataReason != EarlyDataNotResumed || theirs.EarlyDataReason != EarlyDataNotResumed || ours.DidResume || string(ours.PSKIdentity) != "key" {
			t.Errorf("client: %s, server: %s, resumed %t, %q", ours.EarlyDataReason, theirs.EarlyDataReason, ours.DidResume, ours.PSKIdentity)
		}
	})
}

// TestEarlyDataOfExternalKey: a server that selects another identity than the
// session's, which is the first, can't take its early data.
//
// RFC 9846 4.3.11 [14]
func TestEarlyDataOfExternalKey(t *testing.T) {
	client, server := earlyConfigs(t, protocol.Stream)
	key := Credential{PSK: &ExternalPSK{Identity: []byte("key"), Key: make([]byte, 32)}}
	client.Credentials, client.PSKOrCertificate = []Credential{key}, true
	stranger := *server // with other ticket keys
	stranger.Certificates, stranger.Credentials = nil, []Credential{key}
	p := begin(t, protocol.Stream, client, &stranger)
	p.client.work()
	p.onWay = func(_ *peer, m Message) []Message {
		if m.Type == protocol.EncryptedExtensions {
			m.Body = append([]byte{m.Body[0], m.Body[1] + 4}, append(slices.Clone(m.Body[2:]), 0, byte(protocol.ExtEarlyData), 0, 0)...)
		}
		return []Message{m}
	}
	p.run()
	p.client.expectRefused(t, alert.IllegalParameter)
}

// TestEndOfEarlyData: it is empty, and nothing comes instead of it.
//
// RFC 9846 4.6 [1]
func TestEndOfEarlyData(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m Message) []Message
		want   alert.Alert
	}{
		{"with contents", func(m Message) []Message { m.Body = []byte{0}; return []Message{m} }, alert.DecodeError},
		{"left out", func(Message) []Message { return nil }, alert.UnexpectedMessage},
		{"twice", func(m Message) []Message { return []Message{m, m} }, alert.UnexpectedMessage},
		{"something else", func(m Message) []Message { m.Type = protocol.HelloRequest; return []Message{m} }, alert.UnexpectedMessage},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := earlyConfigs(t, protocol.Stream)
			p := begin(t, protocol.Stream, client, server)
			p.client.work()
			p.onWay = func(_ *peer, m Message) []Message {
				if m.Type == protocol.EndOfEarlyData {
					return c.change(m)
				}
				return []Message{m}
			}
			p.run()
			p.server.expectRefused(t, c.want)
		})
	}
}

// TestEarlyDamage is TestResumedDamage for a handshake with 0-RTT.
func TestEarlyDamage(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		client, server := earlyConfigs(t, transport)
		server.AntiReplay = forgetful{} // the handshake is tried again and again
		p := begin(t, transport, client, server)
		p.client.work()
		for !p.server.m.Open() {
			victim := func(p *pair) *peer { return p.server }
			if len(p.client.inbox) > 0 {
				victim = func(p *pair) *peer { return p.client }
			}
			damageAll(t, p, victim)
			p.next(victim(p))
		}
		p.run().expectAgreement(t)
		if !p.server.m.State().EarlyDataAccepted {
			t.Error(p.server.m.State().EarlyDataReason)
		}
	})
}

// forgetful is an AntiReplay that knows nothing.
type forgetful struct{}

func (forgetful) Record([]byte, time.Time, time.Time, time.Time) (bool, error) { return true, nil }

// TestAntiReplayOfFirstConfig: a Config by GetConfigForClient that has no ticket
// keys of its own uses those of the first, and so its AntiReplay.
func TestAntiReplayOfFirstConfig(t *testing.T) {
	client, server, _ := resumingConfigs()
	client.EarlyData, server.EarlyData = true, true
	server.TicketKeys, server.AntiReplay = [][32]byte{{1}}, stale{}
	server.GetConfigForClient = func(*tls.ClientHelloInfo) (*Config, error) {
		_, own := configs(protocol.VersionTLS13)
		own.EarlyData = true
		return own, nil
	}
	complete(t, protocol.Stream, client, server)
	state := begin(t, protocol.Stream, client, server).run().server.m.State()
	if !state.HandshakeComplete || !state.DidResume || state.EarlyDataAccepted || state.EarlyDataReason != EarlyDataReplayed {
		t.Errorf("resumed %v, 0-RTT: %q", state.DidResume, state.EarlyDataReason)
	}
}

// stale has seen everything.
type stale struct{}

func (stale) Record([]byte, time.Time, time.Time, time.Time) (bool, error) { return false, nil }

// TestVerifyBeforeEarlyData: whoever takes or sends 0-RTT asks VerifyConnection
// before, about the peer that the session is with. Another Config may have made it.
func TestVerifyBeforeEarlyData(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for _, role := range []Role{Client, Server} {
			client, server := earlyConfigs(t, transport)
			verify := func(s ConnectionState) error {
				if !s.DidResume || s.NegotiatedProtocol != "one" || role == Client && (len(s.PeerCertificates) == 0 || s.ServerName == "") {
					t.Errorf("%v sees %+v", role, s)
				}
				s.ExportEarlyKeyingMaterial("EXPORTER-test", nil, 32) // before there are keys
				return errors.New("not this one")
			}
			p := begin(t, transport, client, server)
			if role == Client {
				client.VerifyConnection = verify
			} else {
				server.VerifyConnection = verify
			}
			p.run()
			refused, keys := p.client, p.client.writes
			if role == Server {
				refused, keys = p.server, p.server.reads
			}
			expectAlert(t, refused.err, alert.BadCertificate)
			if len(keys) != 0 {
				t.Errorf("%v has keys of levels %v", role, levelsOf(keys))
			}
		}
	})
}

// TestEarlyExporterIsForgotten: a handshake that failed exports nothing.
func TestEarlyExporterIsForgotten(t *testing.T) {
	client, server := earlyConfigs(t, protocol.Stream)
	p := begin(t, protocol.Stream, client, server)
	p.client.work()
	p.server.take(p.server.pop())
	p.server.m.latch(alert.Peerf(alert.DecodeError, "%w", alert.MalformedMessage))
	if s := p.server.m.State(); s.exportEarly != nil || s.export != nil {
		t.Error("it still exports")
	}
}
