package tls

import (
	"bytes"
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// What the peers agree on bounds all records, or all protected ones, of the
// handshake and after it, padding included; and Write splits.
//
// RFC 9846 5.1 [12]
func TestRecordSizes(t *testing.T) {
	for name, test := range map[string]struct {
		client, server Config
		version        uint16
		plain          bool // records in the clear count too
		want           [2]int
	}{
		"length, 1.3":         {Config{MaxFragmentLength: 512}, Config{}, VersionTLS13, true, [2]int{512, 512}},
		"length, 1.2":         {Config{MaxFragmentLength: 512}, Config{}, VersionTLS12, true, [2]int{512, 512}},
		"limits, 1.3":         {Config{RecordSizeLimit: 64}, Config{RecordSizeLimit: 300}, VersionTLS13, false, [2]int{299, 63}},
		"limits, 1.2":         {Config{RecordSizeLimit: 64}, Config{RecordSizeLimit: 300}, VersionTLS12, false, [2]int{300, 64}},
		"padding":             {Config{RecordSizeLimit: 64, RecordPadding: 1000}, Config{RecordSizeLimit: 300, RecordPadding: 50}, VersionTLS13, false, [2]int{299, 63}},
		"smaller of our own":  {Config{RecordSizeLimit: 2000}, Config{MaxSendFragment: 600}, VersionTLS13, false, [2]int{1 << 14, 600}},
		"larger of our own":   {Config{RecordSizeLimit: 500}, Config{MaxSendFragment: 600}, VersionTLS13, false, [2]int{1 << 14, 499}},
		"hybrid, length, 1.3": {Config{MaxFragmentLength: 512, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}, Config{}, VersionTLS13, true, [2]int{512, 512}},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := configs(test.version)
			client.Certificates = []tls.Certificate{pki().rsa}
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, pki().roots
			client.CurvePreferences = test.client.CurvePreferences
			for mine, given := range map[*Config]*Config{client: &test.client, server: &test.server} {
				mine.RecordSizeLimit, mine.MaxFragmentLength = given.RecordSizeLimit, given.MaxFragmentLength
				mine.RecordPadding, mine.MaxSendFragment = given.RecordPadding, given.MaxSendFragment
			}
			const sealed12, sealed13 = headerSize + 8 + 16, headerSize + 1 + 16
			for i, c := range []*Config{client, server} {
				c.Trace = func(e Event) {
					if e.Kind != handshake.EventRecord || e.Direction != handshake.Sent || e.Number == (protocol.RecordNumber{}) && i == 0 {
						return // the ClientHello knows nothing yet
					}
					n := e.Size - headerSize
					switch {
					case e.Number.Epoch == 0 && !test.plain:
						return
					case e.Number.Epoch > 0 && test.version == VersionTLS13:
						n = e.Size - sealed13
					case e.Number.Epoch > 0:
						n = e.Size - sealed12
					}
					if n > test.want[i] {
						t.Errorf("side %d sends %d bytes of %v in record %v, more than %d", i, n, e.Content, e.Number, test.want[i])
					}
				}
			}
			p := connected(t, client, server)
			data := bytes.Repeat([]byte("egg"), 1000)
			for i, pair := range [][2]*Engine{{p.client, p.server}, {p.server, p.client}} {
				if err := pair[0].Write(data, testTime); err != nil {
					t.Fatal(err)
				}
				p.pump()
				if got := readAll(pair[1]); !bytes.Equal(got, data) {
					t.Errorf("side %d: %d of %d bytes came: %v", i, len(got), len(data), pair[1].Err())
				}
			}
		})
	}
}

// A record with more than what was agreed is a record_overflow, with padding, too;
// and one that claims to be longer than such a record can be, before it has come.
//
// RFC 9846 5.4 [5]
func TestRecordOverflow(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		for _, change := range []func(client, server *Config){
			func(client, _ *Config) { client.MaxFragmentLength = 512 },
			func(client, server *Config) { client.RecordSizeLimit, server.RecordSizeLimit = 600, 512 },
		} {
			client, server := configs(version)
			change(client, server)
			open := func() (*pair, misdeed, int) {
				p := connected(t, client, server)
				return p, misdeed{t, p.client}, p.client.State().MaxPlaintext
			}
			p, m, most := open()
			m.record(protocol.ApplicationData, strings.Repeat("x", most))
			p.pump()
			if got := readAll(p.server); len(got) != most || p.server.Err() != nil {
				t.Errorf("a record of %d bytes: %v", most, p.server.Err())
			}
			m.record(protocol.ApplicationData, strings.Repeat("x", most+1))
			p.pump()
			wantAlert(t, "server", p.server.Err(), alert.RecordOverflow, false)
			checkTold(t, p, alert.RecordOverflow)

			expansion := maxExpansion12
			if version == VersionTLS13 {
				p, m, most = open()
				m.outer(protocol.ApplicationData, "x\x17"+strings.Repeat("\x00", most))
				p.pump()
				wantAlert(t, "server, padding", p.server.Err(), alert.RecordOverflow, false)
				expansion = maxExpansion13
			}

			p, m, most = open()
			m.raw(string(header{protocol.ApplicationData, protocol.VersionTLS12, most + expansion + 1}.append(nil)))
			p.pump()
			wantAlert(t, "server, a claim", p.server.Err(), alert.RecordOverflow, false)
		}
	})
}

// max_fragment_length counts in the clear, too: from the ServerHello of 1.2 on.
func TestRecordOverflowInTheClear(t *testing.T) {
	client, server := configs(VersionTLS12)
	client.MaxFragmentLength = 512
	p := newPair(t, client, server)
	p.client.Start(testTime)
	p.server.Receive(drain(p.client), testTime)
	work(p.server)
	flight := drain(p.server)
	first := headerSize + parseHeader(flight).length
	if first != headerSize+512 {
		t.Fatalf("the first record has %d bytes", first)
	}
	p.client.Receive(flight[:first], testTime)
	work(p.client)
	p.client.Receive(header{protocol.Handshake, protocol.VersionTLS12, 513}.append(nil), testTime)
	wantAlert(t, "client", p.client.Err(), alert.RecordOverflow, false)
}

// Early data goes out in records as the session has them, and a server that now
// takes less skips them.
func TestEarlyRecordSizes(t *testing.T) {
	for name, test := range map[string]struct {
		now      int
		accepted bool
	}{"the same": {200, true}, "less": {100, false}} {
		client, server := earlyConfigs(t, func(client, server *Config) {
			client.RecordSizeLimit, server.RecordSizeLimit = 1000, 200
			server.TicketKeys, server.AntiReplay = [][32]byte{{1}}, NewReplayRegister(0, time.Time{})
		})
		later := *server
		later.RecordSizeLimit = test.now
		var sizes []int
		client.Trace = func(e Event) {
			if e.Kind == handshake.EventRecord && e.Direction == handshake.Sent && e.Number.Epoch == handshake.LevelEarly && e.Content == protocol.ApplicationData {
				sizes = append(sizes, e.Size-headerSize-1-16)
			}
		}
		p := newPair(t, client, &later)
		data := strings.Repeat("egg", 100)
		p.begin(t, data)
		p.pump()
		if !slices.Equal(sizes, []int{199, 101}) {
			t.Errorf("%s: early data in records of %v bytes", name, sizes)
		}
		if s := p.server.State(); !s.DidResume || s.EarlyDataAccepted != test.accepted {
			t.Errorf("%s: accepted: %v, %v, %v", name, s.EarlyDataAccepted, p.server.Err(), p.client.Err())
		}
		if got := string(readAll(p.server)); test.accepted != (got == data) {
			t.Errorf("%s: %d bytes came", name, len(got))
		}
	}
}
