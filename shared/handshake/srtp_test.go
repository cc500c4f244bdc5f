package handshake

import (
	"bytes"
	"errors"
	"slices"
	"strings"
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

// TestSRTPMasterKeyIdentifier: a server uses the one that both have, and no other
// (RFC 5764 4.1.3).
func TestSRTPMasterKeyIdentifier(t *testing.T) {
	longest := strings.Repeat("x", 255)
	for name, test := range map[string]struct{ client, server, want string }{
		"the same":        {"one", "one", "one"},
		"another":         {"one", "two", ""},
		"a longer one":    {"one", "one1", ""},
		"the client's":    {"one", "", ""},
		"the server's":    {"", "one", ""},
		"none":            {"", "", ""},
		"of a single bit": {"\x00", "\x00", "\x00"},
		"of 255 bytes":    {longest, longest, longest},
	} {
		eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
			client, server := configs(v)
			client.SRTPProfiles, server.SRTPProfiles = []SRTPProfile{srtp80}, []SRTPProfile{srtp80}
			client.SRTPMasterKeyIdentifier, server.SRTPMasterKeyIdentifier = []byte(test.client), []byte(test.server)
			p := complete(t, transport, client, server) // which compares the identifiers
			want := test.want
			if transport == protocol.Stream {
				want = ""
			}
			if got := p.client.m.State().SRTPMasterKeyIdentifier; string(got) != want {
				t.Errorf("%s: got %q, expected %q", name, got, want)
			}
		})
	}
}

// TestSRTPIdentifierNeedsProfile: without a profile in common there is no identifier,
// and one that can't be offered is an error.
func TestSRTPIdentifierNeedsProfile(t *testing.T) {
	client, server := configs(protocol.VersionTLS13)
	client.SRTPProfiles, server.SRTPProfiles = []SRTPProfile{srtp80}, []SRTPProfile{srtp32}
	client.SRTPMasterKeyIdentifier, server.SRTPMasterKeyIdentifier = []byte("one"), []byte("one")
	if s := complete(t, protocol.Datagram, client, server).server.m.State(); s.SRTPProfile != 0 || len(s.SRTPMasterKeyIdentifier) > 0 {
		t.Errorf("%v with %q", s.SRTPProfile, s.SRTPMasterKeyIdentifier)
	}
	for name, change := range map[string]func(*Config){
		"without profiles": func(c *Config) { c.SRTPProfiles = nil },
		"too long":         func(c *Config) { c.SRTPMasterKeyIdentifier = make([]byte, 256) },
	} {
		for role, c := range map[Role]*Config{Client: new(*client), Server: new(*server)} {
			change(c)
			if bad, ok := errors.AsType[*ConfigError](c.Validate(role, protocol.Datagram)); !ok || bad.Field != "SRTPMasterKeyIdentifier" {
				t.Errorf("%s: %v", name, bad)
			}
		}
	}
}

// TestSRTPKeys: the lengths are the profile's, the order is RFC 5764 4.2's, and both
// sides have the same.
func TestSRTPKeys(t *testing.T) {
	for profile, lengths := range map[SRTPProfile]struct{ key, salt int }{
		srtp80: {16, 14}, srtp32: {16, 14}, srtpGCM: {16, 12}, protocol.SRTPAEADAES256GCM: {32, 12},
	} {
		for _, v := range []protocol.Version{protocol.VersionTLS12, protocol.VersionTLS13} {
			client, server := configs(v)
			client.SRTPProfiles, server.SRTPProfiles = []SRTPProfile{profile}, []SRTPProfile{profile}
			p := complete(t, protocol.Datagram, client, server)
			state := p.client.m.State()
			material, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(lengths.key+lengths.salt))
			if err != nil {
				t.Fatal(err)
			}
			for _, side := range []*peer{p.client, p.server} {
				state := side.m.State()
				keys, err := state.SRTPKeys()
				if err != nil || len(keys.ClientMasterKey) != lengths.key || len(keys.ServerMasterSalt) != lengths.salt {
					t.Errorf("%v: keys of %d bytes, salts of %d, %v", profile, len(keys.ClientMasterKey), len(keys.ServerMasterSalt), err)
				}
				got := slices.Concat(keys.ClientMasterKey, keys.ServerMasterKey, keys.ClientMasterSalt, keys.ServerMasterSalt)
				if !bytes.Equal(got, material) {
					t.Errorf("%v: %x, expected %x", profile, got, material)
				}
			}
		}
	}
}

// TestNoSRTPKeys: there are none without a profile that is known, before the handshake is
// complete, and where nothing can be exported.
func TestNoSRTPKeys(t *testing.T) {
	expectNone := func(what string, s ConnectionState, reason string) {
		t.Helper()
		if keys, err := s.SRTPKeys(); err == nil || !strings.Contains(err.Error(), reason) || keys.ClientMasterKey != nil {
			t.Errorf("%s: %+v, %v", what, keys, err)
		}
	}
	for _, v := range []protocol.Version{protocol.VersionTLS12, protocol.VersionTLS13} {
		client, server := configs(v)
		expectNone("no profile", complete(t, protocol.Datagram, client, server).client.m.State(), "no SRTP profile was agreed")

		client.SRTPProfiles, server.SRTPProfiles = []SRTPProfile{4711}, []SRTPProfile{4711}
		expectNone("an unknown profile", complete(t, protocol.Datagram, client, server).client.m.State(), "SRTP profile 4711")

		client.SRTPProfiles, server.SRTPProfiles = []SRTPProfile{srtp80}, []SRTPProfile{srtp80}
		p := begin(t, protocol.Datagram, client, server)
		for !p.client.m.Open() || !p.server.m.Open() {
			for _, side := range []*peer{p.client, p.server} {
				if !side.m.Open() {
					expectNone("before the end", side.m.State(), alert.HandshakeIncomplete.Error())
				}
				if len(side.inbox) > 0 {
					p.next(side)
				}
			}
		}
	}
	client, server := configs(protocol.VersionTLS12)
	client.SRTPProfiles, server.SRTPProfiles = []SRTPProfile{srtp80}, []SRTPProfile{srtp80}
	client.InsecureAllowMissingEMS, server.InsecureAllowMissingEMS = true, true
	p := begin(t, protocol.Datagram, client, server)
	p.server.take(editClientHello(t, protocol.Datagram, p.server.pop(), without(protocol.ExtExtendedMasterSecret)))
	state := p.server.m.State()
	state.HandshakeComplete, state.export = true, p.server.m.exporter()
	expectNone("without extended_master_secret", state, "extended_master_secret")
}

// TestSRTPHellos: a server overlooks a master key identifier that it doesn't have and
// what TLS clients say; both sides refuse what can't be read.
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
		for _, offered := range []string{"", "y", "xx"} {
			client, server := configs(protocol.VersionTLS12)
			client.SRTPProfiles, server.SRTPProfiles = []SRTPProfile{srtp80}, []SRTPProfile{srtp80}
			client.SRTPMasterKeyIdentifier = []byte(offered)
			p := begin(t, protocol.Datagram, client, server)
			p.next(p.server)
			p.client.take(editServerHello(t, p.client.pop(), func(_ *message.ServerHello, x *extensionList) { x.set(protocol.ExtUseSRTP, test.body) }))
			if p.client.expectRefused(t, test.want); t.Failed() {
				t.Fatal(name)
			}
		}
	}
}
