package dtls

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// expectReceived checks that err is an alert that the peer sent.
func expectReceived(t testing.TB, err error, want alert.Alert) {
	t.Helper()
	var a *alert.Error
	if !errors.As(err, &a) || a.Alert != want || !a.Received || a.Fault != alert.Peer {
		t.Fatalf("%v, want %v from the peer", err, want)
	}
}

// refusesAll checks that an association that has ended stays so.
func (d *side) refusesAll() {
	t := d.s.t
	t.Helper()
	err := d.Err()
	if err == nil {
		t.Fatalf("%s: has not ended", d.name)
	}
	_, writing := d.Write(make([]byte, 100), []byte("data"), d.s.now)
	for what, got := range map[string]error{
		"Write": writing, "Receive": d.Receive([]byte("data"), d.s.now), "Expire": d.Expire(d.s.now.Add(time.Hour)),
		"Start": d.Start(d.s.now), "Resume": d.Resume(d.s.now), "KeyUpdate": d.KeyUpdate(UpdateRequested, d.s.now), "Closed": d.Closed(),
	} {
		if got != err {
			t.Errorf("%s: %s says %v, want %v", d.name, what, got, err)
		}
	}
	if _, ok := d.Read(make([]byte, 100)); ok {
		t.Errorf("%s: Read gives data", d.name)
	}
	if d.Close(d.s.now); d.Pending() || !d.Deadline().IsZero() {
		t.Errorf("%s: goes on", d.name)
	}
}

// RFC 9147 5.10 [4]
func TestClose(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		if s.client.Closed() != nil {
			t.Error("closed before Close")
		}
		last := s.client.seal("last")
		s.client.Close(s.now)
		s.client.Close(s.now) // once is enough
		s.client.transmit()
		if len(s.sent) != 1 {
			t.Fatalf("Close sends %d datagrams", len(s.sent))
		}
		if _, err := s.client.Write(make([]byte, 100), []byte("more"), s.now); err == nil {
			t.Error("written after Close")
		}
		s.settle()
		if s.server.Closed() != io.EOF || s.server.Err() != nil || s.client.Closed() != nil {
			t.Errorf("closed: server %v, %v, client %v", s.server.Closed(), s.server.Err(), s.client.Closed())
		}
		s.server.receive(last) // overtaken by close_notify
		if len(s.server.read) != 0 || s.server.Stats().Dropped.Closed != 1 {
			t.Errorf("read %q after close_notify", s.server.read)
		}
		// The other direction stays open.
		s.client.receive(s.server.seal("still there"))
		s.client.once([]string{"still there"})
		s.server.Close(s.now)
		s.server.transmit()
		s.settle()
		if s.client.Closed() != io.EOF {
			t.Error(s.client.Closed())
		}
		if s.client.Pending() || s.server.Pending() {
			t.Error("more to send after both closed")
		}
	})
}

// Who closes at once after the handshake still repeats its last flight.
func TestCloseRightAfterFinished(t *testing.T) {
	client, server := with()
	s := simulate(t, 0, client, server)
	if err := s.run(s.client.Open); err != nil {
		t.Fatal(err)
	}
	s.air = nil // Finished is lost
	s.client.Close(s.now)
	s.client.transmit()
	s.settle()
	if s.client.Stats().Retransmits != 1 {
		t.Errorf("%d retransmits", s.client.Stats().Retransmits)
	}
}

// A close_notify never overtakes what is left of a flight.
func TestCloseNotifyIsLast(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for size := handshake.MinMTU; size < 400; size += stride(7) {
			client, server := with(version, clientAuth, mtu(size))
			s := traced(t, client, server)
			if err := s.run(func() bool {
				return s.client.newest().number > 0 && s.client.reply == handshake.AwaitReply || s.client.Open()
			}); err != nil {
				t.Fatal(err)
			}
			s.client.repeat()
			s.client.Close(s.now)
			s.client.transmit()
			// Behind the record there is the event of its datagram.
			if last := s.client.events[len(s.client.events)-2]; last.Kind != handshake.EventRecord || last.Content != protocol.Alert {
				t.Errorf("MTU %d: the last record is %v %v", size, last.Kind, last.Content)
			}
		}
	})
}

func TestFatalAlert(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		for _, fromServer := range []bool{false, true} {
			client, server := with(version)
			s := established(t, client, server)
			d := s.client
			if fromServer {
				d = s.server
			}
			// An ACK with the wrong length is refused in 1.3, any in 1.2.
			d.receive(d.peer.record(d.peer.newest().number, protocol.ACK, []byte{1}))
			var a *alert.Error
			if !errors.As(d.err, &a) || a.Received {
				t.Fatal(d.err)
			}
			for s.step() {
			}
			expectReceived(t, d.peer.err, a.Alert)
			if len(s.sent) != 1 {
				t.Errorf("%d datagrams, want the alert", len(s.sent))
			}
			d.refusesAll()
			d.peer.refusesAll()
		}
	})
}

// A brokenSigner is a key in hardware that is gone.
type brokenSigner struct{ crypto.Signer }

var errGone = errors.New("the hardware is gone")

func (brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errGone
}

func broken(c tls.Certificate) []tls.Certificate {
	c.PrivateKey = brokenSigner{c.PrivateKey.(crypto.Signer)}
	return []tls.Certificate{c}
}

// A handshake that fails tells the peer why, whichever keys there are by then.
//
// RFC 9147 4.5.2 [2]
func TestHandshakeFails(t *testing.T) {
	refuse := errors.New("refused")
	none := x509.NewCertPool()
	for _, c := range []struct {
		name     string
		change   func(client, server *Config)
		want     alert.Alert
		byClient bool
	}{
		{"no suite", func(client, server *Config) {
			client.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
			server.CipherSuites = []uint16{tls.TLS_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
		}, alert.HandshakeFailure, false},
		{"no version", func(client, server *Config) {
			client.MaxVersion, client.MinVersion, server.MaxVersion = VersionDTLS13, VersionDTLS13, VersionDTLS12
		}, alert.ProtocolVersion, false},
		{"no group", func(client, server *Config) {
			client.CurvePreferences, server.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP384}
		}, alert.HandshakeFailure, false},
		{"no protocol", func(client, server *Config) {
			client.NextProtos, server.NextProtos = []string{"a"}, []string{"b"}
		}, alert.NoApplicationProtocol, false},
		{"unknown CA", func(client, _ *Config) { client.RootCAs = none }, alert.UnknownCA, true},
		{"expired", func(client, _ *Config) {
			client.Time = func() time.Time { return epochOfSimulation.AddDate(2, 0, 0) }
		}, alert.CertificateExpired, true},
		{"refused by the client", func(client, _ *Config) {
			client.VerifyConnection = func(ConnectionState) error { return refuse }
		}, alert.BadCertificate, true},
		{"unknown CA of the client", func(client, server *Config) {
			clientAuth(client, server)
			server.ClientCAs = none
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				return &client.Certificates[0], nil
			}
		}, alert.UnknownCA, false},
		{"refused by the server", together(clientAuth, func(_, server *Config) {
			server.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return refuse }
		}), alert.BadCertificate, false},
		{"no certificate", func(_, server *Config) {
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, refuse }
		}, alert.InternalError, false},
		{"server can't sign", func(_, server *Config) {
			server.Certificates = broken(server.Certificates[0])
		}, alert.InternalError, false},
		{"client can't sign", together(clientAuth, func(client, _ *Config) {
			client.Certificates = broken(client.Certificates[0])
		}), alert.InternalError, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
				client, server := with(version, c.change)
				s := simulate(t, 0, client, server)
				d := s.server
				if c.byClient {
					d = s.client
				}
				for d.err == nil && d.peer.err == nil && s.step() {
				}
				expectAlert(t, d.err, c.want)
				s.advance(latency)
				expectReceived(t, d.peer.err, c.want)
				d.refusesAll()
				d.peer.refusesAll()
				state := d.State()
				if _, err := state.ExportKeyingMaterial("label", nil, 16); err == nil || state.HandshakeComplete {
					t.Error("keys of a failed handshake can be exported")
				}
			})
		})
	}
}

// --- ChangeCipherSpec in 1.2 (RFC 6347 4.2.4 has no message_seq for it)

var changeCipherSpec = forged12(protocol.ChangeCipherSpec, 0, 99, []byte{1})

// Early, late and often, it changes no keys before its turn, and hinders nothing
// (CVE-2014-0224).
func TestPitfallEarlyChangeCipherSpec(t *testing.T) {
	for _, change := range []func(client, server *Config){together(only12, mtu(300)), together(only12, clientAuth, mtu(300)), mtu(300)} {
		client, server := with(change)
		s := simulate(t, 0, client, server)
		for !s.quiet() {
			for _, d := range []*side{s.client, s.server} {
				before := d.readLevel()
				for range 10 {
					d.receive(changeCipherSpec)
				}
				if after := d.readLevel(); after != before && !d.version.Is13() && d.peer.newest().number == 0 {
					t.Fatalf("%s: it changed the keys to epoch %d before the peer did", d.name, after)
				}
			}
			if !s.step() {
				t.Fatal("nothing moves any more", s.client.err, s.server.err)
			}
		}
		s.exchange()
		if s.now.Sub(epochOfSimulation) > time.Second {
			t.Errorf("took %v", s.now.Sub(epochOfSimulation))
		}
		before := snapshot(s.server.Engine)
		for range 100 {
			s.server.receive(changeCipherSpec)
		}
		if snapshot(s.server.Engine) != before || s.server.Stats().Dropped.Plaintext < 100 {
			t.Error("a late one changes something")
		}
	}
}

func TestChangeCipherSpecFloodDoesNotAllocate(t *testing.T) {
	if !Alone(t) {
		return
	}
	client, server := with(only12)
	s := simulate(t, 0, client, server)
	s.step() // the server has answered
	buf := make([]byte, 100)
	if n := testing.AllocsPerRun(1000, func() { s.server.Receive(buf[:copy(buf, changeCipherSpec)], s.now) }); n != 0 {
		t.Errorf("%v allocations each", n)
	}
}

func TestChangeCipherSpecMalformed(t *testing.T) {
	for _, body := range [][]byte{{}, {0}, {2}, {1, 1}} {
		client, server := with(only12)
		s := simulate(t, 0, client, server)
		s.step()
		s.server.receive(forged12(protocol.ChangeCipherSpec, 0, 9, body))
		expectAlert(t, s.server.err, alert.DecodeError)
	}
}

// Application data that overtakes Finished is dropped, and is nobody's fault
// (CVE-2014-8176).
//
// RFC 9147 5.8.1 [3]; RFC 6347 4.2.4 [2]
func TestPitfallDataBeforeFinished(t *testing.T) {
	client, server := with(only12)
	s := simulate(t, 0, client, server)
	if err := s.run(s.server.Open); err != nil {
		t.Fatal(err)
	}
	finished := s.air
	s.air = nil
	data := s.server.seal("early")
	s.client.receive(data)
	if len(s.client.read) != 0 || s.client.err != nil || s.client.Stats().Dropped.Epoch != 1 {
		t.Errorf("before ChangeCipherSpec: read %q, %v, %+v", s.client.read, s.client.err, s.client.Stats().Dropped)
	}
	s.client.receive(changeCipherSpec)
	s.client.receive(data)
	if len(s.client.read) != 0 || s.client.err != nil || s.client.Stats().Dropped.Early != 1 {
		t.Errorf("before Finished: read %q, %v, %+v", s.client.read, s.client.err, s.client.Stats().Dropped)
	}
	s.client.receive(finished[0].data)
	s.settle()
	s.exchange()
}

// --- Messages that are wrong once their record has opened

// piece is one fragment, or a whole message, as it goes into a record.
func piece(kind protocol.HandshakeType, seq uint16, length, offset int, body []byte) []byte {
	h := fragment.Header{Type: uint8(kind), Length: length, Seq: seq, Offset: offset, Size: len(body)}
	return append(h.Append(nil), body...)
}

func whole(kind protocol.HandshakeType, seq uint16, body []byte) []byte {
	return piece(kind, seq, len(body), 0, body)
}

// RFC 9147 4.1 [4], 5.10 [2]
func TestWrongRecords(t *testing.T) {
	finished := whole(protocol.Finished, 20, make([]byte, 12))
	for _, c := range []struct {
		name    string
		kind    protocol.ContentType
		payload []byte
		want    [2]alert.Alert // 1.3, 1.2
	}{
		{"unknown content type", 99, []byte("data"), [2]alert.Alert{alert.UnexpectedMessage, alert.UnexpectedMessage}},
		{"empty handshake record", protocol.Handshake, nil, [2]alert.Alert{alert.UnexpectedMessage, alert.UnexpectedMessage}},
		{"half a header", protocol.Handshake, finished[:5], [2]alert.Alert{alert.DecodeError, alert.DecodeError}},
		{"a fragment that is cut short", protocol.Handshake, finished[:20], [2]alert.Alert{alert.DecodeError, alert.DecodeError}},
		{"a fragment beyond its message", protocol.Handshake, piece(protocol.Finished, 20, 4, 2, make([]byte, 3)), [2]alert.Alert{alert.DecodeError, alert.DecodeError}},
		{"an alert cut short", protocol.Alert, []byte{2}, [2]alert.Alert{alert.DecodeError, alert.DecodeError}},
		{"two alerts", protocol.Alert, []byte{1, 0, 1, 0}, [2]alert.Alert{alert.DecodeError, alert.DecodeError}},
		{"too much data", protocol.ApplicationData, make([]byte, maxRecordBody+1), [2]alert.Alert{alert.RecordOverflow, alert.RecordOverflow}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, version := range []func(client, server *Config){together(), only12} {
				client, server := with(version)
				s := established(t, client, server)
				s.server.receive(s.client.record(s.client.newest().number, c.kind, c.payload))
				expectAlert(t, s.server.err, c.want[i])
				s.advance(latency)
				expectReceived(t, s.client.err, c.want[i])
			}
		})
	}
}

// An extra message after the handshake is refused in every epoch that is read.
func TestExtraMessage(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		for _, epoch := range []uint64{1, 2, 3} {
			s := established(t, client, server)
			if s.client.epochs[epoch] == nil {
				continue
			}
			next := s.server.assembler.Next()
			for _, kind := range []protocol.HandshakeType{protocol.Finished, protocol.CertificateVerify, protocol.ServerHello, 99} {
				s := established(t, client, server)
				s.server.receive(s.client.record(epoch, protocol.Handshake, whole(kind, next, make([]byte, 12))))
				expectAlert(t, s.server.err, alert.UnexpectedMessage)
			}
		}
	})
}

// Nor may a message be there already when the handshake of 1.2 ends, where no keys
// change.
func TestExtraMessageIsThereAlready(t *testing.T) {
	client, server := with(only12)
	s := simulate(t, 0, client, server)
	if err := s.run(s.server.Open); err != nil {
		t.Fatal(err)
	}
	rest := s.air[len(s.air)-1].data
	for len(rest) > firstRecordSize(rest) { // up to ChangeCipherSpec
		size := firstRecordSize(rest)
		s.client.receive(rest[:size])
		rest = rest[size:]
	}
	extra := whole(protocol.Finished, s.client.assembler.Next()+1, make([]byte, 12))
	s.client.receive(s.server.record(1, protocol.Handshake, extra))
	if s.client.err != nil || s.client.Open() {
		t.Fatal("too early:", s.client.err)
	}
	s.client.receive(rest) // Finished
	expectAlert(t, s.client.err, alert.UnexpectedMessage)
	if !errors.Is(s.client.err, alert.ExcessHandshakeData) {
		t.Errorf("%v has another reason", s.client.err)
	}
}

// Fragments of one message that disagree are refused (CVE-2014-0195,
// CVE-2026-33846).
//
// RFC 9147 5.5 [6]
func TestPitfallFragmentsDisagree(t *testing.T) {
	body := make([]byte, 20)
	for name, second := range map[string][]byte{
		"type":   piece(protocol.KeyUpdate, 1, 20, 10, body[:5]),
		"length": piece(protocol.Finished, 1, 21, 10, body[:5]),
		"bytes":  piece(protocol.Finished, 1, 20, 4, []byte{1}),
	} {
		client, server := with()
		s := simulate(t, 0, client, server)
		for _, payload := range [][]byte{piece(protocol.Finished, 1, 20, 0, body[:10]), second} {
			if s.server.err != nil {
				t.Fatal(name, "the first alone:", s.server.err)
			}
			s.server.receive(forged12(protocol.Handshake, 0, 0, payload))
		}
		if expectAlert(t, s.server.err, alert.IllegalParameter); s.server.Open() {
			t.Error(name)
		}
	}
}

// A message that begins before a change of keys must not end after it
// (CVE-2023-6937).
func TestPitfallMessageAcrossKeyChange(t *testing.T) {
	begins := func(seq uint16) []byte { return piece(protocol.Finished, seq, 32, 0, make([]byte, 10)) }
	t.Run("1.3", func(t *testing.T) {
		client, server := with()
		s := simulate(t, 0, client, server)
		hello, _, _ := parseHeader12(s.air[0].data)
		s.server.receive(forged12(protocol.Handshake, 0, 0, slices.Concat(hello.body, begins(1))))
		expectAlert(t, s.server.err, alert.UnexpectedMessage)
	})
	t.Run("1.2", func(t *testing.T) {
		client, server := with(only12)
		s := simulate(t, 0, client, server)
		s.step()
		s.step() // ClientKeyExchange, ChangeCipherSpec, Finished
		exchange, rest, _ := parseHeader12(s.air[0].data)
		s.server.receive(forged12(protocol.Handshake, 0, 7, slices.Concat(exchange.body, begins(2))))
		if s.server.err != nil {
			t.Fatal("too early:", s.server.err)
		}
		s.server.receive(rest)
		expectAlert(t, s.server.err, alert.UnexpectedMessage)
	})
}

// Handshake messages that belong under keys are refused without (RFC 9147 5).
func TestMessageBelowItsEpoch(t *testing.T) {
	client, server := with(mtu(300))
	s := simulate(t, 0, client, server)
	s.step()
	s.client.receive(s.air[0].data[:firstRecordSize(s.air[0].data)]) // ServerHello
	s.client.receive(forged12(protocol.Handshake, 0, 5, whole(protocol.EncryptedExtensions, 1, []byte{0, 0})))
	expectAlert(t, s.client.err, alert.UnexpectedMessage)
}

func firstRecordSize(datagram []byte) int {
	size, _ := firstRecord(datagram)
	return size
}

// Application data is refused in the clear, and in 1.3 under handshake keys.
//
// RFC 9846 4.5.3 [2]
func TestDataBelowItsEpoch(t *testing.T) {
	client, server := with()
	s := simulate(t, 0, client, server)
	s.server.receive(forged12(protocol.ApplicationData, 0, 5, []byte("data")))
	expectAlert(t, s.server.err, alert.UnexpectedMessage)

	s = established(t, client, server)
	s.server.receive(s.client.record(2, protocol.ApplicationData, []byte("data")))
	expectAlert(t, s.server.err, alert.UnexpectedMessage)
	if len(s.server.read) != 0 {
		t.Error("and yet it is read")
	}
}

// A server that gives up after its Finished doesn't look like one that had its
// say: the client gets an error, not the end of the data.
func TestServerGivesUp(t *testing.T) {
	for _, waits := range []bool{false, true} { // for the client's Finished, or at work on its certificate
		client, server := with(clientAuth)
		s := simulate(t, 0, client, server, slow(50*time.Millisecond))
		if err := s.run(func() bool { return s.client.Open() && (!waits || s.server.work != nil) }); err != nil {
			t.Fatal(err)
		}
		s.server.Close(s.now)
		s.server.transmit()
		for s.client.err == nil && s.step() {
		}
		expectReceived(t, s.client.err, alert.CloseNotify)
	}
}

// An alert under new keys counts before Finished does.
func TestAlertBeforeFinished(t *testing.T) {
	client, server := with(only12)
	s := simulate(t, 0, client, server)
	if err := s.run(s.server.Open); err != nil {
		t.Fatal(err)
	}
	s.client.receive(changeCipherSpec)
	s.client.receive(s.server.record(1, protocol.Alert, []byte{2, byte(alert.InternalError)}))
	expectReceived(t, s.client.err, alert.InternalError)
}

// Who fails before his flight has gone out doesn't send it, and says so under keys that
// the peer has: in 1.2 those that his ChangeCipherSpec would have announced are none.
func TestAlertInsteadOfFlight(t *testing.T) {
	client, server := with(only12)
	for steps, extra := range map[int]func(s *simulation) []byte{
		1: func(*simulation) []byte {
			return forged12(protocol.Handshake, 0, 99, whole(protocol.ServerHelloDone, 4, nil))
		},
		2: func(s *simulation) []byte {
			return s.client.record(1, protocol.Handshake, whole(protocol.Finished, 3, nil))
		},
	} {
		s := simulate(t, 0, client, server)
		for range steps {
			s.step()
		}
		p := s.air[0]
		victim := p.from.peer
		victim.receive(append(p.data, extra(s)...))
		expectAlert(t, victim.err, alert.UnexpectedMessage)
		s.air = s.air[1:]
		s.advance(2 * latency)
		expectReceived(t, p.from.err, alert.UnexpectedMessage)
	}
}

// In 1.2 a warning ends nothing; in 1.3 user_canceled does not.
//
// RFC 9846 6 [4, 5], 6.1 [4]
func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		version func(client, server *Config)
		alert   []byte
		ends    bool
	}{
		{only12, []byte{1, byte(alert.UserCanceled)}, false},
		{only12, []byte{1, byte(alert.NoRenegotiation)}, false},
		{only12, []byte{2, byte(alert.HandshakeFailure)}, true},
		{together(), []byte{1, byte(alert.UserCanceled)}, false},
		{together(), []byte{1, byte(alert.HandshakeFailure)}, true},
		{together(), []byte{2, 255}, true},
		{only12, []byte{3, byte(alert.UserCanceled)}, true}, // there is no such level
		{together(), []byte{0x42, byte(alert.CloseNotify)}, true},
	} {
		client, server := with(c.version)
		s := established(t, client, server)
		s.server.receive(s.client.record(s.client.newest().number, protocol.Alert, c.alert))
		if ended := s.server.err != nil; ended != c.ends {
			t.Errorf("alert %v: %v", c.alert, s.server.err)
		}
	}
}
