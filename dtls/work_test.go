package dtls

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// slow makes all work outside of the Engines take so long.
func slow(d time.Duration) func(*simulation) {
	return func(s *simulation) { s.workTime = func() time.Duration { return d } }
}

// A signer, a verifier or a callback that is slow costs the time that it takes,
// once each, and nothing gets lost: no retransmission is needed for what came
// meanwhile.
func TestSlowWork(t *testing.T) {
	const delay = 90 * time.Millisecond // below a quarter of the timeout
	for _, c := range settings {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(c.change, func(client, server *Config) {
				server.GetConfigForClient = func(*tls.ClientHelloInfo) (*Config, error) { return nil, nil }
				server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					id := testIdentity()
					return &id.client, nil
				}
			})
			s := simulate(t, 0, client, server, slow(delay))
			s.settle()
			s.exchange()
			for _, d := range []*side{s.client, s.server} {
				// An ACK of the first hello is all that may come too early.
				if got := d.Stats().Dropped; got.Total() != got.Early || got.Early > 1 {
					t.Errorf("%s: dropped %+v", d.name, got)
				}
			}
			if took := s.now.Sub(epochOfSimulation); took > 10*delay {
				t.Errorf("took %v", took)
			}
		})
	}
}

// In 1.3 an ACK keeps the peer patient for however long work takes. Only the
// first hello is repeated: its writer doesn't know yet what an ACK is.
func TestVerySlowWork13(t *testing.T) {
	client, server := with(clientAuth)
	s := traced(t, client, server, slow(4*time.Minute))
	s.settle()
	s.exchange()
	for _, d := range []*side{s.client, s.server} {
		for _, e := range d.events {
			if e.Repeated && e.Message != protocol.ClientHello {
				t.Errorf("%s: repeats %v at %v", d.name, e.Message, e.Time.Sub(epochOfSimulation))
			}
		}
	}
	if took := s.now.Sub(epochOfSimulation); took < 12*time.Minute {
		t.Errorf("took only %v", took)
	}
}

// While a server signs, it acknowledges the hello under what the client can
// read: without protection.
//
// RFC 9147 7 [4]
func TestACKDuringSignature(t *testing.T) {
	client, server := with()
	s := traced(t, client, server, slow(time.Minute))
	s.step()
	s.advance(99 * time.Millisecond)
	if len(s.sent) != 1 {
		t.Fatalf("%d datagrams before a quarter of the timeout", len(s.sent))
	}
	s.advance(time.Second)
	last := s.sent[len(s.sent)-1]
	if h, _, ok := parseHeader12(last.data); !ok || h.kind != protocol.ACK || last.from != s.server || h.number.Epoch != 0 {
		t.Fatalf("%s sent % x", last.from.name, last.data)
	}
	for _, e := range s.server.events {
		if e.Kind == handshake.EventMessage && e.Direction == handshake.Sent {
			t.Error("a part of the flight goes out before the signature")
		}
	}
	s.settle()
	s.exchange()
}

// In 1.2 timers go on: the flight before is repeated until the next begins.
func TestSlowSignature12(t *testing.T) {
	client, server := with(only12, clientAuth)
	s := traced(t, client, server, slow(time.Minute))
	s.settle()
	s.exchange()
	if got := s.client.Stats().Retransmits; got < 7 {
		t.Errorf("%d retransmits by the client", got)
	}
}

// What comes while work is under way waits for it; what is garbage is dropped.
func TestReceiveDuringWork(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version, clientAuth, mtu(250))
		s := simulate(t, 0, client, server, slow(50*time.Millisecond))
		received := 0
		for !s.quiet() {
			for _, d := range []*side{s.client, s.server} {
				if d.work != nil {
					d.receive([]byte("garbage"))
					received++
					for _, p := range s.sent { // and all there was so far
						if p.from == d.peer && len(s.air) == 0 {
							d.receive(p.data)
						}
					}
				}
			}
			if !s.step() {
				t.Fatal("nothing moves any more", s.client.err, s.server.err)
			}
		}
		if received == 0 {
			t.Error("there was no work")
		}
		s.exchange()
	})
}

// Finished of 1.2 may come in many records with the messages that make its keys,
// and those may wait for work. What is more than that is not kept.
func TestFinishedInPiecesDuringWork(t *testing.T) {
	client, server := with(only12, clientAuth)
	s := simulate(t, 0, client, server, slow(50*time.Millisecond))
	if err := s.run(func() bool { return s.client.epochs[1] != nil && len(s.air) > 0 }); err != nil {
		t.Fatal(err)
	}
	s.client.flight.Rewind()
	s.air = nil
	var finished []byte
	for part, ok := s.client.flight.Next(1 << 14); ok; part, ok = s.client.flight.Next(1 << 14) {
		if finished = part.Message; part.Epoch == 0 {
			h, _, _, err := fragment.Parse(part.Message)
			if err != nil {
				t.Fatal(err)
			}
			s.server.receive(s.client.record(0, protocol.Handshake, whole(protocol.HandshakeType(h.Type), h.Seq, part.Message[fragment.HeaderSize:])))
		}
	}
	s.server.receive(changeCipherSpec)
	if s.server.work == nil {
		t.Fatal("nothing waits")
	}
	seq, body := binary.BigEndian.Uint16(finished[4:]), finished[fragment.HeaderSize:]
	for at := range body {
		s.server.receive(s.client.record(1, protocol.Handshake, piece(protocol.Finished, seq, len(body), at, body[at:at+1])))
	}
	dropped := s.server.Stats().Dropped.Epoch
	for range 1000 {
		s.server.receive(forged12(protocol.Handshake, 1, 99, make([]byte, 100)))
	}
	if got := s.server.Stats().Dropped.Epoch - dropped; dropped != 0 || got < 980 || len(s.server.held) > maxHeld {
		t.Errorf("dropped %d, and %d of 1000 others", dropped, got)
	}
	if err := s.run(s.server.Open); err != nil || s.server.Stats().Retransmits != 0 {
		t.Error("Finished was lost:", err)
	}
}

// Work that fails ends the association when it is done.
func TestWorkFails(t *testing.T) {
	client, server := with(func(client, _ *Config) {
		client.VerifyConnection = func(ConnectionState) error { return errors.New("refused") }
	})
	s := simulate(t, 0, client, server, slow(time.Minute))
	for s.client.err == nil && s.step() {
	}
	expectAlert(t, s.client.err, alert.BadCertificate)
	for s.server.err == nil && s.step() {
	}
	expectReceived(t, s.server.err, alert.BadCertificate)
}

// Work that comes back too late changes nothing.
func TestWorkAfterTheEnd(t *testing.T) {
	client, server := with()
	s := simulate(t, 0, client, server, slow(time.Minute))
	s.step()
	s.server.receive(forged12(protocol.Alert, 0, 9, []byte{2, byte(alert.InternalError)}))
	expectReceived(t, s.server.err, alert.InternalError)
	s.server.work()
	s.server.refusesAll()
}
