package tls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// A misdeed is what a client does to a server, on an open connection unless
// said otherwise. It goes around the client's rules.
type misdeed struct {
	t *testing.T
	*Engine
}

func (m misdeed) record(content protocol.ContentType, fragment string) {
	if err := m.append(content, []byte(fragment)); err != nil {
		m.t.Fatal(err)
	}
}

func (m misdeed) records(n int, content protocol.ContentType, fragment string) {
	for range n {
		m.record(content, fragment)
	}
}

// outer sends a protected record whose header has a content type, and whose
// plaintext ends with another.
func (m misdeed) outer(content protocol.ContentType, plaintext string) {
	w := &m.write
	out := header{content, protocol.VersionTLS12, w.sealer.SealedLen(len(plaintext))}.append(nil)
	m.out = append(m.out, w.sealer.Seal(out, []byte(plaintext), out, w.sequence)...)
	w.sequence++
}

// raw sends bytes that are no proper record.
func (m misdeed) raw(b string) { m.out = append(m.out, b...) }

// flip changes one bit of the last record.
func (m misdeed) flip(fromEnd int) { m.out[len(m.out)-fromEnd] ^= 1 }

const (
	ccs  = protocol.ChangeCipherSpec
	alrt = protocol.Alert
	hs   = protocol.Handshake
	data = protocol.ApplicationData
)

// none means that the server goes on.
const none = alert.Alert(255)

// RFC 9846 4.7.3 [7, 8], 5 [2, 3, 5], 5.1 [2, 4, 8, 11, 13], 5.2 [2, 3], 5.4 [2, 3, 4, 5], 6 [4],
// 6.1 [4], 6.2 [2]
func TestMisdeeds(t *testing.T) {
	keyUpdate := "\x18\x00\x00\x01\x00"
	both := []uint16{VersionTLS12, VersionTLS13}
	only12, only13 := both[:1], both[1:]
	for _, c := range []struct {
		name     string
		versions []uint16
		do       func(m misdeed)
		want     alert.Alert
	}{
		// Headers.
		{"another protocol", both, func(m misdeed) { m.raw("GET / HTTP/1.1\r\n") }, alert.ProtocolVersion},
		{"unknown content type", both, func(m misdeed) { m.raw("\x18\x03\x03\x00\x01") }, alert.UnexpectedMessage},
		{"record version", both, func(m misdeed) { m.raw("\x17\x03\x01\x00\x01") }, alert.ProtocolVersion},
		{"ciphertext too long", only13, func(m misdeed) { m.raw("\x17\x03\x03\x41\x01") }, alert.RecordOverflow},
		{"ciphertext too long", only12, func(m misdeed) { m.raw("\x17\x03\x03\x48\x01") }, alert.RecordOverflow},
		{"plaintext too long", both, func(m misdeed) { m.record(data, strings.Repeat("x", maxPlaintext+1)) }, alert.RecordOverflow},
		{"plaintext of full length", both, func(m misdeed) { m.record(data, strings.Repeat("x", maxPlaintext)) }, none},

		// Protection.
		{"tag", both, func(m misdeed) { m.record(data, "x"); m.flip(1) }, alert.BadRecordMAC},
		{"ciphertext", both, func(m misdeed) { m.record(data, "x"); m.flip(17) }, alert.BadRecordMAC},
		{"shorter than a tag", both, func(m misdeed) { m.raw("\x17\x03\x03\x00\x0f" + strings.Repeat("x", 15)) }, alert.BadRecordMAC},
		{"nothing at all", both, func(m misdeed) { m.raw("\x17\x03\x03\x00\x00") }, alert.BadRecordMAC},
		{"a record twice", both, func(m misdeed) { m.record(data, "x"); m.out = append(m.out, m.out...) }, alert.BadRecordMAC},
		{"handshake in the clear", only13, func(m misdeed) { m.raw("\x16\x03\x03\x00\x05" + keyUpdate) }, alert.BadRecordMAC},
		{"outer type", only13, func(m misdeed) { m.outer(hs, "x\x17") }, alert.UnexpectedMessage},
		{"data in the clear", both, func(m misdeed) { m.raw("\x17\x03\x03\x00\x01x") }, alert.BadRecordMAC},
		{"alert in the clear", only13, func(m misdeed) { m.raw("\x15\x03\x03\x00\x02\x02\x28") }, alert.BadRecordMAC},
		{"no content type", only13, func(m misdeed) { m.record(0, "\x00\x00") }, alert.UnexpectedMessage},
		{"padding", only13, func(m misdeed) { m.record(0, "x\x17\x00\x00\x00") }, none},
		{"padding too long", only13, func(m misdeed) { m.record(0, "x\x17"+strings.Repeat("\x00", maxPlaintext)) }, alert.RecordOverflow},
		{"heartbeat", only13, func(m misdeed) { m.record(24, "x") }, alert.UnexpectedMessage},

		// Records without use.
		{"32 empty records", both, func(m misdeed) { m.records(32, data, "") }, none},
		{"33 empty records", both, func(m misdeed) { m.records(33, data, "") }, alert.UnexpectedMessage},
		{"64 empty records and data between", both, func(m misdeed) {
			m.records(32, data, "")
			m.record(data, "x")
			m.records(32, data, "")
		}, none},
		{"32 empty records and 4 warnings", only12, func(m misdeed) { alternate(m, 32, 4) }, none},
		{"33 empty records and 4 warnings", only12, func(m misdeed) { alternate(m, 33, 4) }, alert.UnexpectedMessage},
		{"32 empty records and 5 warnings", only12, func(m misdeed) { alternate(m, 32, 5) }, alert.UnexpectedMessage},
		{"empty handshake record", both, func(m misdeed) { m.record(hs, "") }, alert.UnexpectedMessage},
		{"empty alert record", both, func(m misdeed) { m.record(alrt, "") }, alert.UnexpectedMessage},

		// ChangeCipherSpec.
		{"late ChangeCipherSpec", only13, func(m misdeed) { m.raw("\x14\x03\x03\x00\x01\x01") }, alert.UnexpectedMessage},
		{"protected ChangeCipherSpec", both, func(m misdeed) { m.record(ccs, "\x01") }, alert.UnexpectedMessage},

		// Alerts.
		{"alert of 1 byte", both, func(m misdeed) { m.record(alrt, "\x01") }, alert.DecodeError},
		{"two alerts in a record", both, func(m misdeed) { m.record(alrt, "\x01\x00\x01\x00") }, alert.DecodeError},
		{"alert level", both, func(m misdeed) { m.record(alrt, "\x03\x28") }, alert.IllegalParameter},
		{"4 warnings", only12, func(m misdeed) { m.records(4, alrt, "\x01\x70") }, none},
		{"5 warnings", only12, func(m misdeed) { m.records(5, alrt, "\x01\x70") }, alert.UnexpectedMessage},
		{"8 warnings and data between", only12, func(m misdeed) {
			m.records(4, alrt, "\x01\x70")
			m.record(data, "x")
			m.records(4, alrt, "\x01\x70")
		}, none},
		{"warning", only13, func(m misdeed) { m.record(alrt, "\x01\x70") }, alert.DecodeError},
		{"4 times user_canceled", only13, func(m misdeed) { m.records(4, alrt, "\x01\x5a") }, none},
		{"5 times user_canceled", only13, func(m misdeed) { m.records(5, alrt, "\x01\x5a") }, alert.UnexpectedMessage},

		// Handshake messages.
		{"a message that is not due", both, func(m misdeed) { m.record(hs, "\x14\x00\x00\x00") }, alert.UnexpectedMessage},
		{"unknown message", both, func(m misdeed) { m.record(hs, "\x63\x7f\xff\xff") }, alert.UnexpectedMessage},
		{"HelloRequest from a client", both, func(m misdeed) { m.record(hs, "\x00\x00\x00\x00") }, alert.UnexpectedMessage},
		{"renegotiation", only12, func(m misdeed) { m.record(hs, "\x01\x00\x00\x00") }, alert.NoRenegotiation},
		{"renegotiation", only13, func(m misdeed) { m.record(hs, "\x01\x00\x00\x00") }, alert.UnexpectedMessage},
		{"claimed length", only13, func(m misdeed) { m.record(hs, "\x18\xff\xff\xff") }, alert.IllegalParameter},
		{"data inside of a message", both, func(m misdeed) { m.record(hs, "\x18\x00"); m.record(data, "x") }, alert.UnexpectedMessage},
		{"KeyUpdate", only12, func(m misdeed) { m.record(hs, keyUpdate) }, alert.UnexpectedMessage},
		{"KeyUpdate that goes on", only13, func(m misdeed) { m.record(hs, keyUpdate+"\x18") }, alert.UnexpectedMessage},
		{"KeyUpdate of a kind unknown", only13, func(m misdeed) { m.record(hs, "\x18\x00\x00\x01\x02") }, alert.IllegalParameter},
		{"KeyUpdate in pieces", only13, func(m misdeed) {
			m.record(hs, keyUpdate[:1])
			m.record(hs, keyUpdate[1:])
			nextKey(m)
		}, none},
		{"old keys after KeyUpdate", only13, func(m misdeed) { m.record(hs, keyUpdate); m.record(data, "x") }, alert.BadRecordMAC},
		{"32 KeyUpdates", only13, func(m misdeed) { keyUpdates(m, 32) }, none},
		{"33 KeyUpdates", only13, func(m misdeed) { keyUpdates(m, 33) }, alert.UnexpectedMessage},
		{"64 KeyUpdates and data between", only13, func(m misdeed) {
			keyUpdates(m, 32)
			m.record(data, "x")
			keyUpdates(m, 32)
		}, none},
	} {
		for _, v := range c.versions {
			t.Run(fmt.Sprintf("%s/%v", c.name, protocol.Version(v)), func(t *testing.T) {
				p := connectedVersion(t, v)
				c.do(misdeed{t, p.client})
				p.server.Receive(drain(p.client), testTime)
				readAll(p.server)
				if c.want == none {
					p.exchange(t)
					return
				}
				wantAlert(t, "server", p.server.Err(), c.want, false)
				checkTold(t, p, c.want)
			})
		}
	}
}

// checkTold checks that the server's alert reaches the client.
func checkTold(t *testing.T, p *pair, a alert.Alert) {
	t.Helper()
	if p.client.Receive(drain(p.server), testTime); a != none {
		wantAlert(t, "client", p.client.Err(), a, true)
	}
	if p.client.Pending() {
		t.Error("an alert is answered")
	}
}

// alternate sends empty records with warnings between them: neither gets
// anywhere, so neither counts as a break of the other.
func alternate(m misdeed, empty, warnings int) {
	for i := range max(empty, warnings) {
		m.records(min(1, max(0, empty-i)), data, "")
		m.records(min(1, max(0, warnings-i)), alrt, "\x01\x70")
	}
}

func keyUpdates(m misdeed, n int) {
	for range n {
		if err := m.KeyUpdate(UpdateNotRequested, testTime); err != nil {
			m.t.Fatal(err)
		}
	}
}

// nextKey changes the client's write key without a message.
func nextKey(m misdeed) {
	out := slices.Clone(m.out)
	keyUpdates(m, 1)
	m.out = out
}

// What comes before the handshake's end.
//
// RFC 9846 5 [1, 2, 3], 5.1 [13], E.5 [6, 11]
func TestEarlyMisdeeds(t *testing.T) {
	for _, c := range []struct {
		name    string
		version uint16
		in      string // what a server gets after the ClientHello
		want    alert.Alert
	}{
		{"data", VersionTLS13, "\x17\x03\x03\x00\x01x", alert.BadRecordMAC},
		{"data", VersionTLS12, "\x17\x03\x03\x00\x01x", alert.UnexpectedMessage},
		{"ChangeCipherSpec", VersionTLS12, "\x14\x03\x03\x00\x01\x01", alert.UnexpectedMessage},
		{"ChangeCipherSpec of 2", VersionTLS13, "\x14\x03\x03\x00\x01\x02", alert.UnexpectedMessage},
		{"ChangeCipherSpec twice", VersionTLS13, "\x14\x03\x03\x00\x01\x01\x14\x03\x03\x00\x01\x01", none},
		{"33 ChangeCipherSpecs", VersionTLS13, strings.Repeat("\x14\x03\x03\x00\x01\x01", 33), alert.UnexpectedMessage},
		{"plaintext too long", VersionTLS12, "\x16\x03\x03\x40\x01", alert.RecordOverflow},
		{"claimed length", VersionTLS12, "\x16\x03\x03\x00\x04\x10\x01\x00\x00", alert.IllegalParameter},
	} {
		t.Run(fmt.Sprintf("%s/%v", c.name, protocol.Version(c.version)), func(t *testing.T) {
			client, server := configs(c.version)
			p := newPair(t, client, server)
			p.client.Start(testTime)
			p.server.Receive(append(drain(p.client), c.in...), testTime)
			work(p.server)
			if c.want == none {
				p.connect()
				p.exchange(t)
				return
			}
			wantAlert(t, "server", p.server.Err(), c.want, false)
		})
	}
	for _, c := range []struct {
		name string
		in   string // what a fresh server gets
		want alert.Alert
	}{
		{"HTTP", "GET / HTTP/1.1\r\n", alert.UnexpectedMessage},
		{"HTTP proxy", "CONNECT example.com", alert.UnexpectedMessage},
		{"SSL 2", "\x80\x2e\x01\x03\x01", alert.ProtocolVersion},
		{"unknown content type", "\x63\x03\x01\x00\x01", alert.UnexpectedMessage},
		{"version", "\x16\xff\xff\x00\x01", alert.ProtocolVersion},
		{"ChangeCipherSpec", "\x14\x03\x01\x00\x01\x01", alert.UnexpectedMessage},
		{"data", "\x17\x03\x01\x00\x01x", alert.UnexpectedMessage},
		{"ServerHello", "\x16\x03\x01\x00\x04\x02\x00\x00\x00", alert.UnexpectedMessage},
		{"claimed length", "\x16\x03\x01\x00\x04\x01\x01\x00\x01", alert.IllegalParameter},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, server := configs(0)
			e, err := NewServerEngine(server)
			if err != nil {
				t.Fatal(err)
			}
			wantAlert(t, "server", e.Receive([]byte(c.in), testTime), c.want, false)
			h := parseHeader(drain(e))
			if h != (header{protocol.Alert, protocol.VersionTLS10, alertSize}) {
				t.Errorf("answered with %v", h)
			}
		})
	}
}

// Handshake bytes behind a message that the keys change with, or that has to be
// answered first (CVE-2023-6937).
//
// RFC 9846 5.1 [4]
func TestPitfallMessageAcrossKeyChange(t *testing.T) {
	for i := range scenarios {
		t.Run(scenarios[i].name, func(t *testing.T) {
			client, server := scenario(i)
			p := newPair(t, client, server)
			p.client.Start(testTime)
			hello := drain(p.client)
			hello = append(hello, "\x14\x00"...)
			hello[4] += 2 // of some hundred bytes
			p.server.Receive(hello, testTime)
			work(p.server)
			wantAlert(t, "server", p.server.Err(), alert.UnexpectedMessage, false)
		})
	}
}

// There is no renegotiation: a server that asks for it loses the connection, and
// one that asks during the handshake, too.
func TestHelloRequest(t *testing.T) {
	p := connectedVersion(t, VersionTLS12)
	misdeed{t, p.server}.record(hs, "\x00\x00\x00\x00")
	p.client.Receive(drain(p.server), testTime)
	wantAlert(t, "client", p.client.Err(), alert.NoRenegotiation, false)
	if !errors.Is(p.client.Err(), alert.Renegotiation) {
		t.Errorf("%v has another reason", p.client.Err())
	}
	p.pump()
	wantAlert(t, "server", p.server.Err(), alert.NoRenegotiation, true)

	for _, version := range []uint16{VersionTLS12, 0} {
		client, server := configs(version)
		p = newPair(t, client, server)
		p.client.Start(testTime)
		p.client.Receive([]byte("\x16\x03\x01\x00\x04\x00\x00\x00\x00"), testTime)
		wantAlert(t, "client before ServerHello", p.client.Err(), alert.UnexpectedMessage, false)
	}

	client, server := configs(VersionTLS12)
	p = newPair(t, client, server)
	p.cut = func(b []byte) [][]byte {
		if len(b) > 0 && protocol.ContentType(b[0]) == hs && b[headerSize] == byte(protocol.ServerHello) {
			b = append(b, "\x16\x03\x03\x00\x04\x00\x00\x00\x00"...)
		}
		return [][]byte{b}
	}
	p.connect()
	wantAlert(t, "client behind ServerHelloDone", p.client.Err(), alert.UnexpectedMessage, false)
}

// In 1.2 the handshake's last message is the end of handshake data, in 1.3 the
// keys change there.
func TestDataBehindFinished(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client, server := configs(version)
		var p *pair
		server.Trace = func(e Event) {
			if e.Kind == handshake.EventMessage && e.Direction == handshake.Sent && e.Message == protocol.Finished {
				p.server.unpacked = append(p.server.unpacked, 0)
			}
		}
		p = newPair(t, client, server)
		p.connect()
		wantAlert(t, "client", p.client.Err(), alert.UnexpectedMessage, false)
		if !errors.Is(p.client.Err(), alert.ExcessHandshakeData) {
			t.Errorf("%v has another reason", p.client.Err())
		}
	})
}

// What a side writes under one key fills its records.
//
// RFC 9846 5.1 [2, 7]
func TestHandshakeRecordsAreFull(t *testing.T) {
	client, server := configs(VersionTLS13)
	server.Certificates = []tls.Certificate{longChain(t, 3*maxPlaintext)}
	client.InsecureSkipVerify = true
	var sizes []int
	client.Trace = func(e Event) {
		if e.Kind == handshake.EventRecord && e.Direction == handshake.Received && e.Content == hs && e.Number.Epoch == handshake.LevelHandshake {
			sizes = append(sizes, e.Size)
		}
	}
	connected(t, client, server)
	for i, size := range sizes {
		if full := headerSize + maxPlaintext + 1 + 16; len(sizes) < 4 || i < len(sizes)-1 && size != full {
			t.Errorf("records of %d bytes, a full one has %d", sizes, full)
			break
		}
	}
}

// longChain is a certificate with so many bytes behind it.
func longChain(t *testing.T, size int) tls.Certificate {
	c := pki().ecdsa
	for n := 0; n < size; n += len(c.Certificate[0]) {
		c.Certificate = append(slices.Clip(c.Certificate), c.Certificate[0])
	}
	return c
}

// A client of 1.3 that can't take the ServerHello has no keys for its alert.
func TestAlertInTheClear(t *testing.T) {
	client, server := configs(VersionTLS13)
	p := newPair(t, client, server)
	p.client.Start(testTime)
	p.server.Receive(drain(p.client), testTime)
	work(p.server)
	p.server.Receive([]byte("\x15\x03\x01\x00\x02\x02\x2f"), testTime)
	wantAlert(t, "server", p.server.Err(), alert.IllegalParameter, true)
}

// Refused 0-RTT is passed over, up to a limit and until something else comes.
//
// RFC 9846 4.3.10 [5]
func TestSkipEarly(t *testing.T) {
	early := "\x17\x03\x03\x00\x20" + strings.Repeat("?", 32)
	clear := "\x16\x03\x03\x00\x01\x01"
	for _, c := range []struct {
		name   string
		limit  int
		before string
		want   alert.Alert
	}{
		{"enough", 3 * len(early), strings.Repeat(early, 3), none},
		{"too much", 3*len(early) - 1, strings.Repeat(early, 3), alert.UnexpectedMessage},
		{"handshake in the clear", 3 * len(early), early + clear, alert.BadRecordMAC},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := configs(VersionTLS13)
			p := newPair(t, client, server)
			p.client.Start(testTime)
			p.server.Receive(drain(p.client), testTime)
			(*layer)(p.server).SkipEarly(c.limit)
			work(p.server)
			p.server.Receive([]byte(c.before), testTime)
			if c.want != none {
				wantAlert(t, "server", p.server.Err(), c.want, false)
				return
			}
			p.pump()
			p.exchange(t)
			m := misdeed{t, p.client}
			m.raw(early)
			p.server.Receive(drain(p.client), testTime)
			wantAlert(t, "server", p.server.Err(), alert.BadRecordMAC, false)
		})
	}
	t.Run("HelloRetryRequest", func(t *testing.T) {
		client, server := scenario(1)
		p := newPair(t, client, server)
		p.client.Start(testTime)
		p.server.Receive(drain(p.client), testTime)
		(*layer)(p.server).SkipEarly(1000)
		p.client.Receive(drain(p.server), testTime)
		p.server.Receive([]byte(early), testTime)
		p.pump()
		if !p.server.State().HelloRetryRequest {
			t.Error("no HelloRetryRequest")
		}
		p.exchange(t)
	})
}

// A message may be as long as its step allows, and no longer; what it claims
// costs nothing.
func TestPitfallClaimedLengths(t *testing.T) {
	for _, in := range []string{
		"\x16\x03\x01\x40\x00\x01\x00\x7f\xff", // of a record, and of a message in it
		"\x16\x03\x01\x00\x04\x01\x00\x7f\xff",
	} {
		_, server := configs(0)
		e, err := NewServerEngine(server)
		if err != nil {
			t.Fatal(err)
		}
		e.Receive([]byte(in), testTime)
		if e.Err() != nil || cap(e.in)+cap(e.messages) > 64 {
			t.Errorf("%d bytes for %d, %v", cap(e.in)+cap(e.messages), len(in), e.Err())
		}
	}
}

// RFC 9846 4.7.3 [2]
func TestKeyUpdate(t *testing.T) {
	p := connectedVersion(t, VersionTLS13)
	levels := func(want ...uint64) {
		t.Helper()
		got := []uint64{p.client.write.number, p.server.read.number, p.server.write.number, p.client.read.number}
		if !slices.Equal(got, want) {
			t.Errorf("levels %d, expected %d", got, want)
		}
	}
	levels(3, 3, 3, 3)
	p.client.KeyUpdate(UpdateNotRequested, testTime)
	p.exchange(t)
	levels(4, 4, 3, 3)
	p.client.KeyUpdate(UpdateRequested, testTime)
	p.exchange(t)
	levels(5, 5, 4, 4)
	p.server.KeyUpdate(UpdateRequested, testTime)
	p.client.KeyUpdate(UpdateRequested, testTime)
	p.exchange(t)
	levels(6, 6, 6, 6) // the client had no request yet when it wrote
	p.exchange(t)
	levels(7, 7, 6, 6)

	// However often it is asked, a side answers once, and before its next data
	// only (RFC 9846 4.7.3).
	for range 3 {
		m := misdeed{t, p.client}
		m.record(hs, "\x18\x00\x00\x01\x01")
		nextKey(m)
	}
	p.pump()
	levels(10, 10, 6, 6)
	p.exchange(t)
	levels(10, 10, 7, 7)

	// After close_notify nothing is sent, not even an answer (RFC 9846 6.1).
	p.server.Close(testTime)
	p.client.KeyUpdate(UpdateRequested, testTime)
	p.pump()
	if err := p.server.Err(); err != nil || p.server.Pending() {
		t.Error("after close_notify:", err)
	}

	old := connectedVersion(t, VersionTLS12)
	if err := old.client.KeyUpdate(UpdateRequested, testTime); err != errNoKeyUpdate || old.client.Err() != nil {
		t.Error("KeyUpdate in 1.2:", err)
	}
}

// limited gives a suite's AEAD a limit of records, for one test.
func limited(t *testing.T, id uint16, records uint64) {
	s := suite.ByID(id)
	aead := *s.AEAD
	aead.ConfidentialityRecords = records
	original := s.AEAD
	s.AEAD = &aead
	t.Cleanup(func() { s.AEAD = original })
}

// A peer that goes beyond the limit may know better.
//
// RFC 9846 5.5 [3]
func TestConfidentialityLimitOfPeer(t *testing.T) {
	const records = 8
	limited(t, TLS_AES_128_GCM_SHA256, records)
	p := connectedVersion(t, VersionTLS13)
	keys := p.server.read.number
	for range 3 * records {
		p.client.write.sealer.Resume(0, 0)
		if err := p.client.Write([]byte("x"), testTime); err != nil {
			t.Fatal(err)
		}
		p.pump()
	}
	if got := readAll(p.server); len(got) != 3*records || p.server.read.number != keys || p.server.Err() != nil {
		t.Errorf("%d bytes, keys %d, %v", len(got), p.server.read.number, p.server.Err())
	}
}

// RFC 9846 5.5 [1]
func TestConfidentialityLimit(t *testing.T) {
	const records = 8
	limited(t, TLS_AES_128_GCM_SHA256, records)
	limited(t, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, records)
	write := func(p *pair, n int) (err error) {
		for range n {
			if err = p.client.Write([]byte("x"), testTime); err != nil {
				break
			}
		}
		p.pump()
		return err
	}
	t.Run("KeyUpdate", func(t *testing.T) {
		p := connectedVersion(t, VersionTLS13)
		if err := write(p, 20*records); err != nil {
			t.Fatal(err)
		}
		if got := readAll(p.server); len(got) != 20*records || p.server.read.number < 20 {
			t.Errorf("%d bytes, keys %d", len(got), p.server.read.number)
		}
	})
	t.Run("DisableKeyUpdate", func(t *testing.T) {
		client, server := configs(VersionTLS13)
		client.DisableKeyUpdate = true
		p := connected(t, client, server)
		wantAlert(t, "client", write(p, records+1), alert.InternalError, false)
		if got := readAll(p.server); len(got) != records {
			t.Errorf("%d bytes before the limit", len(got))
		}
		wantAlert(t, "server", p.server.Err(), alert.InternalError, true)
	})
	t.Run("CloseAtLimit", func(t *testing.T) {
		client, server := configs(VersionTLS12)
		client.CloseAtLimit = true
		wantAlert(t, "client", write(connected(t, client, server), records), alert.InternalError, false)
	})
	t.Run("reported", func(t *testing.T) {
		p := connectedVersion(t, VersionTLS12)
		if p.client.State().LimitReached {
			t.Error("LimitReached at the start")
		}
		if err := write(p, 2*records); err != nil || !p.client.State().LimitReached || p.server.State().LimitReached {
			t.Error("LimitReached is not reported", err)
		}
	})
}

// A sequence number never repeats.
//
// RFC 9846 5.3 [2]
func TestSequenceNumbersEnd(t *testing.T) {
	p := connectedVersion(t, VersionTLS12)
	p.client.write.sequence = 1<<64 - 2
	p.server.read.sequence = 1<<64 - 2
	if err := p.client.Write([]byte("last"), testTime); err != nil {
		t.Fatal(err)
	}
	wantAlert(t, "client", p.client.Write([]byte("x"), testTime), alert.InternalError, false)
	p.pump()
	if got := string(readAll(p.server)); got != "last" {
		t.Errorf("read %q", got)
	}
}

// Every prefix of a record waits for the rest.
func TestTruncatedRecords(t *testing.T) {
	for _, v := range versions {
		p := connectedVersion(t, v.number)
		for n := range 30 {
			text := []byte(strings.Repeat("x", n+1))
			p.client.Write(text, testTime)
			record := drain(p.client)
			cut := n % len(record)
			p.server.Receive(record[:cut], testTime)
			if got := readAll(p.server); len(got) > 0 || p.server.Err() != nil {
				t.Fatalf("%d bytes from a part of a record, %v", len(got), p.server.Err())
			}
			p.server.Receive(record[cut:], testTime)
			if got := readAll(p.server); !bytes.Equal(got, text) {
				t.Fatalf("%q after the rest, %v", got, p.server.Err())
			}
		}
	}
}

// Every bit of a record matters, but for the type of 1.3, which is inside.
func TestEveryBitMatters(t *testing.T) {
	for _, v := range versions {
		p := connectedVersion(t, v.number)
		p.client.Write([]byte("some data"), testTime)
		record := drain(p.client)
		before := p.server.read
		for bit := range 8 * len(record) {
			changed := slices.Clone(record)
			changed[bit/8] ^= 1 << (bit % 8)
			e := *p.server
			e.in, e.out, e.read = nil, nil, before
			e.Receive(changed, testTime)
			if got := readAll(&e); len(got) > 0 {
				t.Errorf("%s: read %q though bit %d changed", v.name, got, bit)
			}
		}
	}
}

func TestHeader(t *testing.T) {
	h := header{protocol.Handshake, protocol.VersionTLS12, 0x1234}
	b := h.append([]byte("x"))
	if !bytes.Equal(b, []byte("x\x16\x03\x03\x12\x34")) || parseHeader(b[1:]) != h {
		t.Errorf("% x", b)
	}
}

// Nothing may stand inside of a message, not even what means nothing in 1.3.
//
// RFC 9846 5.1 [2]
func TestDisguiseInsideOfHello(t *testing.T) {
	client, server := configs(VersionTLS13)
	server.CurvePreferences = []tls.CurveID{tls.CurveP384} // which makes for a second hello
	p := newPair(t, client, server)
	p.client.Start(testTime)
	p.carry(p.client, p.server, &p.fromClient)
	p.carry(p.server, p.client, &p.fromServer)
	disguise, hello, _ := bytes.Cut(drain(p.client), []byte{22, 3, 3})
	cut := append([]byte{22, 3, 3, 0, 10}, hello[2:12]...)
	p.server.Receive(slices.Concat(disguise, cut, disguise), testTime)
	wantAlert(t, "server", p.server.Err(), alert.UnexpectedMessage, false)
}
