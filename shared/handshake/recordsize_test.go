package handshake

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/session"
)

// limits are what a peer may send and receive, in the clear and under keys.
func (p *peer) limits() [4]int {
	open := LevelApplication
	if !p.m.version.Is13() {
		open = LevelEncrypted
	}
	return [4]int{p.m.SendLimit(LevelPlain), p.m.ReceiveLimit(LevelPlain), p.m.SendLimit(open), p.m.ReceiveLimit(open)}
}

// TestRecordSizes: each side heeds the other's limit, or both the one that the
// client asks for.
func TestRecordSizes(t *testing.T) {
	const all = MaxPlaintext
	for name, test := range map[string]struct {
		client, server Config
		want12, want13 [4]int // of the client: in the clear, then under keys
	}{
		"nothing":                    {Config{}, Config{}, [4]int{all, all, all, all}, [4]int{all, all, all, all}},
		"the server alone":           {Config{}, Config{RecordSizeLimit: 64, MaxFragmentLength: 99}, [4]int{all, all, all, all}, [4]int{all, all, all, all}},
		"fragment length":            {Config{MaxFragmentLength: 512}, Config{}, [4]int{512, 512, 512, 512}, [4]int{512, 512, 512, 512}},
		"the largest":                {Config{MaxFragmentLength: 4096}, Config{RecordSizeLimit: 64}, [4]int{4096, 4096, 4096, 4096}, [4]int{4096, 4096, 4096, 4096}},
		"the client's limit":         {Config{RecordSizeLimit: 64}, Config{}, [4]int{all, all, all, 64}, [4]int{all, all, all, 63}},
		"limits of both":             {Config{RecordSizeLimit: 100}, Config{RecordSizeLimit: 2000}, [4]int{2000, all, 2000, 100}, [4]int{all, all, 1999, 99}},
		"limits that say no more":    {Config{RecordSizeLimit: 1<<14 + 1}, Config{}, [4]int{all, all, all, all}, [4]int{all, all, all, all}},
		"2^14 is one less in 1.3":    {Config{RecordSizeLimit: 1 << 14}, Config{}, [4]int{all, all, all, all}, [4]int{all, all, all, all - 1}},
		"the limit takes precedence": {Config{RecordSizeLimit: 100, MaxFragmentLength: 512}, Config{}, [4]int{all, all, all, 100}, [4]int{all, all, all, 99}},
	} {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
				client, server := configs(v)
				client.MinVersion = 0 // the limit goes out before the version is known
				client.MaxVersion = 0
				client.RecordSizeLimit, client.MaxFragmentLength = test.client.RecordSizeLimit, test.client.MaxFragmentLength
				server.MinVersion = 0
				server.RecordSizeLimit, server.MaxFragmentLength = test.server.RecordSizeLimit, test.server.MaxFragmentLength
				p := begin(t, transport, client, server).run()
				if !p.client.m.Open() || !p.server.m.Open() {
					t.Fatal(p.client.err, p.server.err)
				}
				want := test.want12
				if v.Is13() {
					want = test.want13
				}
				if got := p.client.limits(); got != want {
					t.Errorf("client: %v, expected %v", got, want)
				}
				if got := p.client.m.State().MaxPlaintext; got != want[2] {
					t.Errorf("client: MaxPlaintext is %d", got)
				}
				theirs := [4]int{want[1], want[1], want[3], want[2]}
				if !v.Is13() { // which keeps to the limit in the clear, too
					theirs[0] = min(want[1], want[3])
				}
				if got := p.server.limits(); got != theirs {
					t.Errorf("server: %v, expected %v", got, theirs)
				}
			})
		})
	}
}

// TestRecordSizesOnTheWire: nothing is offered unless Config asks, and the limit
// is told as the highest version counts it, whatever comes of it.
func TestRecordSizesOnTheWire(t *testing.T) {
	for _, test := range []struct {
		highest protocol.Version
		change  func(*Config)
		offered [2]string // max_fragment_length, record_size_limit
	}{
		{0, func(*Config) {}, [2]string{}},
		{0, func(c *Config) { c.MaxFragmentLength = 2048 }, [2]string{"\x03", ""}},
		{0, func(c *Config) { c.RecordSizeLimit = 1<<14 + 1 }, [2]string{"", "\x40\x01"}},
		{0, func(c *Config) { c.RecordSizeLimit, c.MaxFragmentLength = 64, 512 }, [2]string{"\x01", "\x00\x40"}},
		{protocol.VersionTLS12, func(c *Config) { c.RecordSizeLimit = 1 << 14 }, [2]string{"", "\x40\x00"}},
	} {
		client, server := configs(0)
		client.MaxVersion = uint16(test.highest)
		test.change(client)
		hello := parseHello(t, begin(t, protocol.Datagram, client, server).server.inbox[0], protocol.Datagram)
		for i, kind := range []protocol.ExtensionType{protocol.ExtMaxFragmentLength, protocol.ExtRecordSizeLimit} {
			if body, _ := hello.Extensions.Find(kind); string(body) != test.offered[i] {
				t.Errorf("%v: % x, expected % x", kind, body, test.offered[i])
			}
		}
	}
}

// editAnswers changes what the server answers on its way: ServerHello in 1.2,
// EncryptedExtensions in 1.3.
func editAnswers(t *testing.T, v protocol.Version, edit func(*extensionList)) func(*peer, Message) []Message {
	return func(_ *peer, m Message) []Message {
		switch {
		case m.Type == protocol.ServerHello && !v.Is13():
			m = editServerHello(t, m, func(_ *message.ServerHello, x *extensionList) { edit(x) })
		case m.Type == protocol.EncryptedExtensions:
			var in message.EncryptedExtensions
			if err := in.Parse(m.Body); err != nil {
				t.Fatal(err)
			}
			x := listOf(in.Extensions)
			edit(&x)
			in.Extensions = x.block()
			m.Body = appended(in.Append)
		}
		return []Message{m}
	}
}

// TestRecordSizeFaults: values that can't be, an answer that differs from what was
// asked for, and two answers at once, are illegal.
func TestRecordSizeFaults(t *testing.T) {
	const fragment, limit = protocol.ExtMaxFragmentLength, protocol.ExtRecordSizeLimit
	for _, offer := range []struct {
		t    protocol.ExtensionType
		body string
		want alert.Alert
	}{
		{fragment, "\x00", alert.IllegalParameter},
		{fragment, "\x05", alert.IllegalParameter},
		{fragment, "", alert.DecodeError},
		{limit, "\x00\x3f", alert.IllegalParameter},
		{limit, "\x00", alert.DecodeError},
	} {
		client, server := configs(0)
		p := begin(t, protocol.Datagram, client, server)
		p.server.take(editClientHello(t, protocol.Datagram, p.server.pop(), with(offer.t, []byte(offer.body)...)))
		p.server.expectRefused(t, offer.want)
	}
	asked := Config{MaxFragmentLength: 1024, RecordSizeLimit: 100}
	for name, test := range map[string]struct {
		asked Config
		edit  func(*extensionList)
		want  alert.Alert
	}{
		"not asked for, length":  {Config{}, func(x *extensionList) { x.set(fragment, []byte{1}) }, alert.UnsupportedExtension},
		"not asked for, limit":   {Config{}, func(x *extensionList) { x.set(limit, []byte{1, 0}) }, alert.UnsupportedExtension},
		"less than asked for":    {Config{MaxFragmentLength: 1024}, func(x *extensionList) { x.set(fragment, []byte{1}) }, alert.IllegalParameter},
		"no length":              {Config{MaxFragmentLength: 1024}, func(x *extensionList) { x.set(fragment, []byte{9}) }, alert.IllegalParameter},
		"too small a limit":      {asked, func(x *extensionList) { x.set(limit, []byte{0, 63}) }, alert.IllegalParameter},
		"both, length behind":    {asked, func(x *extensionList) { x.set(fragment, []byte{2}) }, alert.IllegalParameter},
		"both, limit behind":     {asked, func(x *extensionList) { x.drop(limit); x.set(fragment, []byte{2}); x.set(limit, []byte{1, 0}) }, alert.IllegalParameter},
		"the largest of numbers": {asked, func(x *extensionList) { x.set(limit, []byte{255, 255}) }, alert.CloseNotify},
	} {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
				client, server := configs(v)
				client.MaxFragmentLength, client.RecordSizeLimit = test.asked.MaxFragmentLength, test.asked.RecordSizeLimit
				p := begin(t, transport, client, server)
				p.onWay = editAnswers(t, v, test.edit)
				p.next(p.server)
				if p.next(p.client); v.Is13() {
					p.next(p.client)
				}
				if test.want != alert.CloseNotify {
					p.client.expectRefused(t, test.want)
				} else if got := p.client.limits(); p.client.err != nil || got[2] != MaxPlaintext {
					t.Errorf("%v, %v", got, p.client.err)
				}
			})
		})
	}
}

// TestResumedFragmentLength: what was agreed holds for all connections of the
// session: another wish makes another session, and a server that doesn't repeat
// it means it. A record_size_limit is agreed anew.
func TestResumedFragmentLength(t *testing.T) {
	for name, test := range map[string]struct {
		first, second Config // of the client
		resumed       bool
		want          int // SendLimit of the server afterwards
	}{
		"the same":           {Config{MaxFragmentLength: 512}, Config{MaxFragmentLength: 512}, true, 512},
		"another":            {Config{MaxFragmentLength: 512}, Config{MaxFragmentLength: 1024}, false, 1024},
		"none any more":      {Config{MaxFragmentLength: 512}, Config{}, false, MaxPlaintext},
		"one for the first":  {Config{}, Config{MaxFragmentLength: 512}, true, 512},
		"a limit instead":    {Config{MaxFragmentLength: 512}, Config{MaxFragmentLength: 512, RecordSizeLimit: 300}, true, 300},
		"another limit":      {Config{RecordSizeLimit: 300}, Config{RecordSizeLimit: 400}, true, 400},
		"no limit any more":  {Config{RecordSizeLimit: 300}, Config{}, true, MaxPlaintext},
		"length after limit": {Config{RecordSizeLimit: 300, MaxFragmentLength: 512}, Config{MaxFragmentLength: 512}, true, 512},
	} {
		t.Run(name, func(t *testing.T) {
			eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
				client, server := configs(v)
				client.ClientSessionCache = new(shelf)
				client.MaxFragmentLength, client.RecordSizeLimit = test.first.MaxFragmentLength, test.first.RecordSizeLimit
				if p := begin(t, transport, client, server).run(); !p.client.m.Open() {
					t.Fatal(p.client.err, p.server.err)
				}
				again := *client
				again.MaxFragmentLength, again.RecordSizeLimit = test.second.MaxFragmentLength, test.second.RecordSizeLimit
				p := begin(t, transport, &again, server).run()
				if !p.client.m.Open() || p.client.m.State().DidResume != test.resumed {
					t.Fatal(p.client.m.State().DidResume, p.client.err, p.server.err)
				}
				want := test.want
				if v.Is13() && test.second.RecordSizeLimit != 0 {
					want--
				}
				if got := p.server.limits()[2]; got != want || p.client.limits()[3] != want {
					t.Errorf("%d and %d, expected %d", got, p.client.limits()[3], want)
				}
			})
		})
	}
}

// TestFragmentLengthOfSession: a server refuses to resume by less than was agreed,
// even if the client would have it so (here one that forgets), and a client takes
// a server by what was agreed that doesn't say it again.
func TestFragmentLengthOfSession(t *testing.T) {
	eachProtocol(t, func(t *testing.T, transport protocol.Transport, v protocol.Version) {
		client, server := configs(v)
		kept := new(shelf)
		client.ClientSessionCache, client.MaxFragmentLength = kept, 512
		complete(t, transport, client, server)
		forgotten := *kept.sessions[0]
		forgotten.FragmentLength = 0
		forgetful := *client
		forgetful.ClientSessionCache, forgetful.MaxFragmentLength = &shelf{sessions: []*SessionState{&forgotten}}, 1024
		if p := complete(t, transport, &forgetful, server); p.client.m.State().DidResume || p.server.limits()[2] != 1024 {
			t.Error("resumed under another length")
		}

		p := begin(t, transport, client, server)
		p.onWay = editAnswers(t, v, func(x *extensionList) { x.drop(protocol.ExtMaxFragmentLength) })
		p.client.work() // it looks for its session
		p.next(p.server)
		if p.next(p.client); v.Is13() {
			p.next(p.client)
		}
		if got := p.client.limits(); !p.client.m.State().DidResume || got[2] != 512 || got[3] != 512 {
			t.Errorf("%v, %v", got, p.client.err)
		}
	})
}

// TestEarlyRecordSize: records of 0-RTT are as large as was agreed when the ticket
// came; a server that takes less by now doesn't take them.
func TestEarlyRecordSize(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport protocol.Transport) {
		for name, test := range map[string]struct {
			agreed, now int // the server's limit
			accepted    bool
		}{
			"the same": {200, 200, true},
			"more":     {200, 300, true},
			"less":     {200, 199, false},
		} {
			client, server, _ := resumingConfigs()
			client.EarlyData, server.EarlyData = true, true
			client.RecordSizeLimit, server.RecordSizeLimit = 1000, test.agreed
			server.TicketKeys, server.AntiReplay = [][32]byte{{1}}, session.NewReplayRegister(0, time.Time{})
			if p := begin(t, transport, client, server).run(); !p.client.m.Open() {
				t.Fatal(p.client.err, p.server.err)
			}
			later := *server
			later.RecordSizeLimit = test.now
			p := begin(t, transport, client, &later)
			p.client.work() // it looks for its session
			if got := p.client.m.State().MaxPlaintext; got != test.agreed-1 {
				t.Errorf("%s: the client thinks of %d bytes", name, got)
			}
			p.next(p.server)
			if s := p.server.m.State(); s.EarlyDataAccepted != test.accepted || test.accepted && p.server.m.ReceiveLimit(LevelEarly) != test.agreed-1 {
				t.Errorf("%s: accepted: %v, %v", name, s.EarlyDataAccepted, p.server.err)
			}
		}
	})
}

// TestSecondHelloKeepsSizes: they don't change between two ClientHellos.
func TestSecondHelloKeepsSizes(t *testing.T) {
	for kind, body := range map[protocol.ExtensionType][]byte{
		protocol.ExtMaxFragmentLength: {2},
		protocol.ExtRecordSizeLimit:   binary.BigEndian.AppendUint16(nil, 99),
	} {
		client, server := configs(protocol.VersionTLS13)
		client.MaxFragmentLength, client.RecordSizeLimit = 512, 100
		server.CurvePreferences = client.CurvePreferences[1:]
		p := begin(t, protocol.Datagram, client, server)
		p.next(p.server)
		p.next(p.client)
		if got := p.server.limits(); got[1] != MaxPlaintext {
			t.Errorf("before the second hello: %v", got)
		}
		p.server.take(editClientHello(t, protocol.Datagram, p.server.pop(), with(kind, body...)))
		p.server.expectRefused(t, alert.IllegalParameter)
	}
}
