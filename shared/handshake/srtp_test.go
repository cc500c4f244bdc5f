package handshake

import (
	"bytes"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

const (
	srtp80  = protocol.SRTPAES128CMHMACSHA1_80
	srtp32  = protocol.SRTPAES128CMHMACSHA1_32
	srtpGCM = protocol.SRTPAEADAES128GCM
)

// TestSRTP: the server's order counts, and without a profile in common there is
// none. TLS has no such thing.
func TestSRTP(t *testing.T) {
	for name, test := range map[string]struct {
		client, server []SRTPProfile
		want           SRTPProfile
	}{
		"the server's first":    {[]SRTPProfile{srtp80, srtpGCM, 42}, []SRTPProfile{srtp32, srtpGCM, srtp80}, srtpGCM},
		"none in common":        {[]SRTPProfile{srtp80}, []SRTPProfile{srtp32}, 0},
		"a client without":      {nil, []SRTPProfile{srtp32}, 0},
		"a server without":      {[]SRTPProfile{srtp80}, nil, 0},
		"one and the same":      {[]SRTPProfile{srtp80}, []SRTPProfile{srtp80}, srtp80},
		"one that has no name":  {[]SRTPProfile{4711}, []SRTPProfile{4711}, 4711},
		"more than one of each": {[]SRTPProfile{srtp32, srtp80}, []SRTPProfile{srtp80, srtp32}, srtp80},
	} {
		eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
			client, server := configs(v)
			client.SRTPProfiles, server.SRTPProfiles = test.client, test.server
			p := begin(t, transport, client, server)
			if _, offered := parseHello(t, p.server.inbox[0], transport).Extensions.Find(protocol.ExtUseSRTP); offered != (transport == protocol.Datagram && test.client != nil) {
				t.Errorf("%s: offered: %v", name, offered)
			}
			p.run().expectAgreement(t) // which compares the profiles
			want := test.want
			if transport == protocol.Stream {
				want = 0
			}
			if got := p.client.m.State().SRTPProfile; got != want {
				t.Errorf("%s: got %v, expected %v", name, got, want)
			}
		})
	}
}

// TestSRTPResumed: each handshake negotiates it anew.
func TestSRTPResumed(t *testing.T) {
	client, server, _ := resumingConfigs()
	client.SRTPProfiles, server.SRTPProfiles = []SRTPProfile{srtp80}, []SRTPProfile{srtp80}
	complete(t, protocol.Datagram, client, server)
	if s := complete(t, protocol.Datagram, client, server).client.m.State(); !s.DidResume || s.SRTPProfile != srtp80 {
		t.Errorf("resumed: %v, profile %v", s.DidResume, s.SRTPProfile)
	}
}

// TestSRTPHellos: a server overlooks a master key identifier and what TLS
// clients say; both sides refuse what can't be read.
func TestSRTPHellos(t *testing.T) {
	srtp := func(mki string, profiles ...SRTPProfile) []byte {
		return appended(func(b *wire.Builder) { message.AppendUseSRTP(b, message.MakeUint16s(profiles), []byte(mki)) })
	}
	offer := func(transport protocol.Transport, body []byte) *peer {
		client, server := configs(protocol.VersionTLS12)
		server.SRTPProfiles = []SRTPProfile{srtp80}
		p := begin(t, transport, client, server)
		p.server.take(editClientHello(t, transport, p.server.pop(), with(protocol.ExtUseSRTP, body...)))
		return p.server
	}
	if s := offer(protocol.Datagram, srtp("bogus", srtp80)); s.err != nil || s.m.State().SRTPProfile != srtp80 {
		t.Errorf("with an identifier: %v", s.err)
	}
	if s := offer(protocol.Stream, srtp("", srtp80)); s.err != nil || s.m.State().SRTPProfile != 0 || bytes.Contains(s.sent[0].Body, srtp("", srtp80)) {
		t.Errorf("TLS: %v", s.err)
	}
	offer(protocol.Datagram, []byte{0, 1, 1, 0}).expectRefused(t, alert.DecodeError)

	for name, test := range map[string]struct {
		body []byte
		want alert.Alert
	}{
		"another profile": {srtp("", srtp32), alert.IllegalParameter},
		"two profiles":    {srtp("", srtp80, srtp80), alert.IllegalParameter},
		"an identifier":   {srtp("x", srtp80), alert.IllegalParameter},
		"no profile":      {[]byte{0, 0, 0}, alert.DecodeError},
	} {
		client, server := configs(protocol.VersionTLS12)
		client.SRTPProfiles, server.SRTPProfiles = []SRTPProfile{srtp80}, []SRTPProfile{srtp80}
		p := begin(t, protocol.Datagram, client, server)
		p.next(p.server)
		p.client.take(editServerHello(t, p.client.pop(), func(_ *message.ServerHello, x *extensionList) { x.set(protocol.ExtUseSRTP, test.body) }))
		if p.client.expectRefused(t, test.want); t.Failed() {
			t.Fatal(name)
		}
	}
}
