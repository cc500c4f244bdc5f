package tls

import (
	"crypto/tls"
	"io"
	"testing"
	"time"
)

type failing struct{}

func (failing) Record([]byte, time.Time, time.Time, time.Time) (bool, error) {
	return true, io.ErrClosedPipe
}

func protocols(client, server *Config) {
	client.NextProtos, server.NextProtos = []string{"a", "b"}, []string{"a", "b"}
}

// TestEarlyDataRefused: each reason, as both sides see it; the connection goes
// on, and nothing of the early data arrives until it is written again.
//
// RFC 9846 4.3.10 [3, 4, 5, 8, 10], 4.6 [2]
func TestEarlyDataRefused(t *testing.T) {
	other := func(id uint16) func(client, server *Config) {
		return func(_, server *Config) { server.CipherSuites = []uint16{id} }
	}
	for _, c := range []struct {
		name    string
		before  func(client, server *Config) // for the first connection too
		then    func(client, server *Config)
		age     time.Duration // of the ticket, as the client has it, beyond that of the server
		client  EarlyDataReason
		server  EarlyDataReason
		resumes bool
	}{
		{name: "server disabled", then: func(_, server *Config) { server.EarlyData = false },
			client: EarlyDataPeerDeclined, server: EarlyDataDisabled, resumes: true},
		{name: "ALPN", before: protocols, then: func(_, server *Config) { server.NextProtos = []string{"b"} },
			client: EarlyDataPeerDeclined, server: EarlyDataALPNMismatch, resumes: true},
		{name: "ALPN is new", then: protocols,
			client: EarlyDataPeerDeclined, server: EarlyDataALPNMismatch, resumes: true},
		{name: "suite", then: other(TLS_CHACHA20_POLY1305_SHA256),
			client: EarlyDataNotResumed, server: EarlyDataNotResumed},
		{name: "hash", then: other(TLS_AES_256_GCM_SHA384),
			client: EarlyDataNotResumed, server: EarlyDataNotResumed},
		{name: "HelloRetryRequest", then: func(_, server *Config) { server.CurvePreferences = []tls.CurveID{tls.CurveP384} },
			client: EarlyDataHelloRetry, server: EarlyDataHelloRetry, resumes: true},
		{name: "HelloRetryRequest and hash", then: func(_, server *Config) {
			server.CurvePreferences = []tls.CurveID{tls.CurveP384}
			server.CipherSuites = []uint16{TLS_AES_256_GCM_SHA384}
		}, client: EarlyDataHelloRetry, server: EarlyDataNoSession},
		{name: "ticket too old", age: 61 * time.Second,
			client: EarlyDataPeerDeclined, server: EarlyDataTicketAge, resumes: true},
		{name: "ticket too young", age: -61 * time.Second,
			client: EarlyDataPeerDeclined, server: EarlyDataTicketAge, resumes: true},
		{name: "AntiReplay fails", then: func(_, server *Config) { server.AntiReplay = failing{} },
			client: EarlyDataPeerDeclined, server: EarlyDataAntiReplayFailed, resumes: true},
		{name: "AntiReplay is full", then: func(_, server *Config) {
			r := NewReplayRegister(1, time.Time{})
			r.Record([]byte("somebody else"), testTime, testTime, testTime.Add(time.Hour))
			server.AntiReplay = r
		}, client: EarlyDataPeerDeclined, server: EarlyDataAntiReplayFailed, resumes: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			register := func(_, server *Config) {
				server.TicketKeys, server.AntiReplay = [][32]byte{{1}}, NewReplayRegister(0, time.Time{})
			}
			changes := []func(client, server *Config){register}
			if c.before != nil {
				changes = append(changes, c.before)
			}
			client, server := earlyConfigs(t, changes...)
			if c.then != nil {
				c.then(client, server)
			}
			p := newPair(t, client, server)
			p.offerAt(t, c.age)
			if _, ok := p.server.ReadEarly(make([]byte, 10)); ok {
				t.Error("early data came through")
			}
			p.pump()
			if !p.client.Open() || !p.server.Open() || !p.server.EarlyOver() {
				t.Fatalf("client: %v; server: %v", p.client.Err(), p.server.Err())
			}
			ours, theirs := p.client.State(), p.server.State()
			if ours.EarlyDataReason != c.client || theirs.EarlyDataReason != c.server {
				t.Errorf("client: %s, server: %s", ours.EarlyDataReason, theirs.EarlyDataReason)
			}
			if ours.EarlyDataAccepted || theirs.EarlyDataAccepted || ours.DidResume != c.resumes || theirs.EarlyBytes != 0 {
				t.Errorf("client: %+v; server: %+v", ours, theirs)
			}
			if err := p.client.Write([]byte("early"), testTime); err != ErrEarlyDataRejected {
				t.Errorf("Write after early data got lost: %v", err)
			}
			p.client.ForgetEarlyData()
			p.exchange(t)
		})
	}
}

// TestTicketAge: a minute more or less is allowed, and the server says how much.
//
// RFC 9846 4.3.10 [3]
func TestTicketAge(t *testing.T) {
	for _, skew := range []time.Duration{-60 * time.Second, 0, time.Second, 60 * time.Second} {
		client, server := earlyConfigs(t)
		p := newPair(t, client, server)
		p.offerAt(t, skew)
		if s := p.server.State(); !s.EarlyDataAccepted || s.TicketAgeSkew != skew {
			t.Errorf("skew %v: %s, %v", skew, s.EarlyDataReason, s.TicketAgeSkew)
		}
	}
}

// TestEarlyDataNotOffered: what a client knows already.
//
// RFC 9846 4.3.10 [1], E.1 [2], F.5 [3]
func TestEarlyDataNotOffered(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(client, server *Config)
		then   func(client, server *Config)
		want   EarlyDataReason
	}{
		{"disabled", nil, func(client, _ *Config) { client.EarlyData = false }, EarlyDataDisabled},
		{"1.2", nil, func(client, server *Config) {
			client.MinVersion, client.MaxVersion, server.MinVersion = VersionTLS12, VersionTLS12, VersionTLS12
		}, EarlyDataProtocolVersion},
		{"no session", nil, func(client, _ *Config) { client.ClientSessionCache = nil }, EarlyDataNoSession},
		{"none with the ticket", func(_, server *Config) { server.EarlyData = false },
			func(_, server *Config) { server.EarlyData = true }, EarlyDataUnsupported},
		{"ALPN", protocols, func(client, _ *Config) { client.NextProtos = []string{"b"} }, EarlyDataALPNMismatch},
		{"suite", func(client, server *Config) { server.CipherSuites = []uint16{TLS_AES_128_GCM_SHA256} },
			func(client, server *Config) {
				client.CipherSuites, server.CipherSuites = []uint16{TLS_CHACHA20_POLY1305_SHA256}, nil
			}, EarlyDataSuiteMismatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before []func(client, server *Config)
			if c.before != nil {
				before = append(before, c.before)
			}
			client, server := earlyConfigs(t, before...)
			c.then(client, server)
			p := newPair(t, client, server)
			if n := p.begin(t, "early"); n != 0 {
				t.Errorf("%d bytes are sent", n)
			}
			p.pump()
			if s := p.client.State(); s.EarlyDataReason != c.want || p.server.State().EarlyDataAccepted {
				t.Errorf("%s", s.EarlyDataReason)
			}
			p.exchange(t)
		})
	}
}
