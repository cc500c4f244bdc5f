package dtls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// update makes d update its keys, and sends what comes of it.
func (d *side) update(request KeyUpdateRequest) {
	d.s.t.Helper()
	if err := d.KeyUpdate(request, d.s.now); err != nil {
		d.s.t.Fatalf("%s: KeyUpdate: %v", d.name, err)
	}
	d.transmit()
}

// expectEpochs checks what both sides write in.
func (s *simulation) expectEpochs(client, server uint64) {
	s.t.Helper()
	if c, v := s.client.newest().number, s.server.newest().number; c != client || v != server {
		s.t.Errorf("client writes in epoch %d, server in %d, want %d and %d", c, v, client, server)
	}
}

func TestKeyUpdate(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	s.expectEpochs(3, 3)
	s.client.update(UpdateNotRequested)
	s.settle()
	s.expectEpochs(4, 3)
	s.exchange()
	s.server.update(UpdateRequested)
	s.settle()
	s.expectEpochs(4, 4)
	s.exchange()
	s.settle()
	s.expectEpochs(5, 4)
	s.client.update(UpdateRequested)
	s.server.update(UpdateRequested) // they cross
	s.settle()
	s.exchange()
	s.settle()
	s.expectEpochs(7, 6)
	s.exchange()
}

// The KeyUpdate that the peer asked for goes before the next data, into the same
// datagram if there is room (RFC 9846 4.7.3).
//
// RFC 9846 4.7.3 [5]
func TestKeyUpdateAnswer(t *testing.T) {
	client, server := with()
	for _, c := range []struct {
		name     string
		buf, mtu int
		data     int
		shared   bool
	}{
		{"room", 200, 1200, 20, true},
		{"a small buffer", 60, 1200, 20, false},
		{"a small MTU", 1300, 300, 290, false},
	} {
		s := established(t, client, server)
		s.server.SetMTU(c.mtu)
		s.client.update(UpdateRequested)
		s.settle()
		buf, answer := make([]byte, c.buf), make([]byte, 1200)
		n, err := s.server.Write(buf, make([]byte, c.data), s.now)
		if err != nil {
			t.Fatal(err)
		}
		h, _ := parseHeader13(buf[:n], 0)
		if shared := n > h.end; shared != c.shared || s.server.Pending() == c.shared || buf[0]&epochBits != 3 {
			t.Errorf("%s: shared %v, epoch %d", c.name, shared, buf[0]&epochBits)
		}
		if s.client.receive(buf[:n]); len(s.client.read) != 1 {
			t.Errorf("%s: the data is not read (%v)", c.name, s.client.err)
		}
		if n := s.server.Transmit(answer); n > 0 {
			s.client.receive(answer[:n])
		}
		s.settle()
		s.expectEpochs(4, 4)
	}
}

// New keys are used only after the ACK of KeyUpdate (RFC 9147 8); both epochs
// are read meanwhile, and the old one for four minutes.
//
// RFC 9147 4.2.1 [1], 8 [2, 3]
func TestKeyUpdateWaitsForACK(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	s.fate = losing(s.server.lost)
	late := s.client.seal("written before KeyUpdate")
	s.client.update(UpdateNotRequested)
	s.advance(2 * latency)
	s.expectEpochs(3, 3)
	between := s.client.seal("written before the ACK")
	s.server.receive(between)
	s.fate = prompt
	s.settle()
	s.expectEpochs(4, 3)
	s.server.receive(s.client.seal("written after the ACK"))
	s.server.receive(late)
	s.server.once([]string{"written before KeyUpdate", "written before the ACK", "written after the ACK"})

	later := s.client.record(3, protocol.ApplicationData, []byte("before four minutes"))
	tooLate := s.client.record(3, protocol.ApplicationData, []byte("after four minutes"))
	s.server.read = nil
	s.now = s.now.Add(lifetime - time.Second)
	s.server.receive(later)
	s.now = s.now.Add(time.Second)
	s.server.receive(tooLate)
	s.server.once([]string{"before four minutes"})
}

// Every subset of the datagrams of an exchange of KeyUpdates is lost once, data
// goes on meanwhile.
//
// RFC 9147 8 [4]
func TestKeyUpdateEveryMask(t *testing.T) {
	client, server := with()
	for _, c := range []struct {
		name           string
		request        KeyUpdateRequest
		both           bool
		client, server uint64 // epochs in the end
	}{
		{"server", UpdateNotRequested, false, 3, 4},
		{"server, requested", UpdateRequested, false, 4, 4},
		{"both", UpdateNotRequested, true, 4, 4},
		{"both, requested", UpdateRequested, true, 5, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const n = 8
			for mask := 0; mask < 1<<n; mask += stride(11) {
				s := established(t, client, server)
				s.fate = losing(func(p *parcel) bool { return p.index < n && mask>>p.index&1 != 0 })
				s.server.update(c.request)
				if c.both {
					s.client.update(c.request)
				}
				for !s.quiet() {
					s.exchange()
					if !s.step() {
						t.Fatalf("mask %0*b: nothing moves any more", n, mask)
					}
				}
				s.exchange()
				s.expectEpochs(c.client, c.server)
				if s.client.err != nil || s.server.err != nil {
					t.Fatalf("mask %0*b: %v, %v", n, mask, s.client.err, s.server.err)
				}
			}
		})
	}
}

// Epochs have two bits on the wire. Many KeyUpdates in little time leave no
// more than four to read in.
//
// RFC 9147 4.2.2 [3]; RFC 9846 7.2 [1]
func TestKeyUpdateManyTimes(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	for n := range uint64(100) {
		old := s.client.seal("old")
		s.client.update(UpdateRequested)
		s.settle()
		s.exchange()
		s.settle()
		s.expectEpochs(4+n, 4+n)
		s.server.read = nil
		s.server.receive(old)
		s.server.once([]string{"old"})
		if len(s.server.reads) > 4 || len(s.client.reads) > 4 {
			t.Fatalf("%d and %d epochs can be read", len(s.server.reads), len(s.client.reads))
		}
		if len(s.server.writes) > 2 {
			t.Fatalf("%d epochs can be written", len(s.server.writes))
		}
	}
}

// The keys of before stay until the peer writes under the new ones, however long the
// ACK of its KeyUpdate takes to get through (RFC 9147 8).
//
// RFC 9147 8 [4]
func TestKeyUpdateACKsLost(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	s.fate = losing(func(p *parcel) bool { return p.from == s.server })
	s.client.update(UpdateNotRequested)
	s.advance(lifetime + time.Minute)
	s.expectEpochs(3, 3)
	s.fate = prompt
	s.settle()
	s.expectEpochs(4, 3)
	s.exchange()
}

// A KeyUpdate that waits for its ACK does for all that ask meanwhile.
func TestKeyUpdateMerges(t *testing.T) {
	client, server := with()
	s := established(t, client, server)
	for range 10 {
		s.client.update(UpdateNotRequested)
	}
	s.settle()
	s.expectEpochs(4, 3)
	s.exchange()
}

// A KeyUpdate while the last flight is not acknowledged yet waits for that.
//
// RFC 9147 5.8.4 [1]
func TestKeyUpdateIsDeferred(t *testing.T) {
	client, server := with()
	s := traced(t, client, server)
	if err := s.run(s.client.Open); err != nil {
		t.Fatal(err)
	}
	s.client.update(UpdateNotRequested)
	for _, e := range s.client.events {
		if e.Message == protocol.KeyUpdate {
			t.Error("it is sent before Finished is acknowledged")
		}
	}
	s.settle()
	s.expectEpochs(4, 3)
	s.exchange()
}

// keyUpdateMessage is a KeyUpdate as it goes into a record.
func keyUpdateMessage(seq uint16) []byte {
	h := fragment.Header{Type: uint8(protocol.KeyUpdate), Length: 1, Seq: seq, Size: 1}
	return append(h.Append(nil), byte(UpdateNotRequested))
}

// After KeyUpdate nothing more comes under the old keys, be it that it came
// before (RFC 9147 8).
func TestKeyUpdateAndMore(t *testing.T) {
	client, server := with()
	for name, seqs := range map[string][]uint16{"later": {0, 1}, "before": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			s := established(t, client, server)
			next := s.server.assembler.Next()
			for _, seq := range seqs {
				if s.server.err != nil {
					t.Fatal("the first message alone:", s.server.err)
				}
				s.server.receive(s.client.record(3, protocol.Handshake, keyUpdateMessage(next+seq)))
			}
			expectAlert(t, s.server.err, alert.UnexpectedMessage)
		})
	}
	t.Run("in one record", func(t *testing.T) {
		s := established(t, client, server)
		next := s.server.assembler.Next()
		s.server.receive(s.client.record(3, protocol.Handshake, append(keyUpdateMessage(next), keyUpdateMessage(next+1)...)))
		expectAlert(t, s.server.err, alert.UnexpectedMessage)
	})
}

// A KeyUpdate that is ahead of what is missing is acknowledged, and waits.
func TestKeyUpdateInOrder(t *testing.T) {
	client, server := with()
	s := traced(t, client, server)
	s.settle()
	next := s.server.assembler.Next()
	s.server.events = nil
	s.server.receive(s.client.record(3, protocol.Handshake, keyUpdateMessage(next+1)))
	if s.server.readLevel() != 3 {
		t.Fatal("it is applied at once")
	}
	s.advance(150 * time.Millisecond)
	if acks := s.server.acks(); len(acks) != 1 || acks[0][len(acks[0])-1].Epoch != 3 || s.server.readLevel() != 3 {
		t.Errorf("ACKs %v, epoch %d, want one ACK", acks, s.server.readLevel())
	}
}

// KeyUpdate where there is none is an error that ends nothing.
func TestKeyUpdateIsNotPossible(t *testing.T) {
	client, server := with(only12)
	s := simulate(t, 0, client, server)
	if err := s.client.KeyUpdate(UpdateRequested, s.now); err == nil {
		t.Error("before the handshake")
	}
	s.settle()
	if err := s.client.KeyUpdate(UpdateRequested, s.now); err == nil {
		t.Error("in 1.2")
	}
	s.exchange()
	client, server = with()
	s = established(t, client, server)
	s.client.Close(s.now)
	s.client.transmit()
	if err := s.client.KeyUpdate(UpdateRequested, s.now); err == nil || s.client.Pending() {
		t.Error("after Close")
	}
}

// --- Limits of the AEAD

// limit makes a suite's keys good for so many records and blocks only.
func limit(t *testing.T, id uint16, records, blocks uint64) func(client, server *Config) {
	aead := suite.ByID(id).AEAD
	saved := *aead
	aead.ConfidentialityRecords, aead.ConfidentialityBlocks = records, blocks
	t.Cleanup(func() { *aead = saved })
	return cipherSuite(id)
}

// RFC 9147 4.5.3 [2]
func TestKeyUpdateNearLimit(t *testing.T) {
	client, server := with(limit(t, tls.TLS_AES_128_GCM_SHA256, 40, suite.Unlimited))
	s := traced(t, client, server)
	s.settle()
	for n := range 1000 {
		s.server.receive(s.client.seal(fmt.Sprint(n)))
		s.client.transmit()
		if n%4 == 0 {
			s.advance(6 * latency) // twice that until the ACK
		}
	}
	s.settle()
	if len(s.server.read) != 1000 {
		t.Errorf("read %d of 1000 records", len(s.server.read))
	}
	updates := 0
	for _, e := range s.client.events {
		if e.Message == protocol.KeyUpdate && e.Direction == handshake.Sent && !e.Repeated {
			updates++
		}
	}
	if epoch := s.client.newest().number; updates != int(epoch-3) || updates < 25 || updates > 34 {
		t.Errorf("%d KeyUpdates to epoch %d", updates, epoch)
	}
	if s.server.newest().number != 3 {
		t.Error("the server changed its keys too")
	}
}

// RFC 9147 4.5.3 [1]
func TestLimitWithoutKeyUpdate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(client, server *Config)
		want   string
	}{
		{"disabled", func(client, _ *Config) { client.DisableKeyUpdate = true }, "limit is reached"},
		{"lost", together(), "no KeyUpdate got through"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := with(limit(t, tls.TLS_AES_128_GCM_SHA256, 40, suite.Unlimited), c.change)
			s := established(t, client, server)
			var err error
			written := 0
			for buf := make([]byte, 100); err == nil; written++ {
				if written > 40 {
					t.Fatal("the limit is passed")
				}
				_, err = s.client.Write(buf, []byte("data"), s.now)
			}
			expectAlert(t, err, alert.InternalError)
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			s.client.did(nil)
			for s.step() && s.server.err == nil {
			}
			expectReceived(t, s.server.err, alert.InternalError)
		})
	}
}

func TestLimitOf12(t *testing.T) {
	id := tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	for _, closes := range []bool{false, true} {
		client, server := with(only12, limit(t, id, suite.Unlimited, 100), func(client, _ *Config) { client.CloseAtLimit = closes })
		s := established(t, client, server)
		var err error
		for n := 0; err == nil && n < 20; n++ { // six blocks each, and one for the tag
			if state := s.client.State(); state.LimitReached != (n >= 14) {
				t.Errorf("after %d records LimitReached is %v", n, state.LimitReached)
			}
			_, err = s.client.Write(make([]byte, 200), make([]byte, 90), s.now)
		}
		if closes {
			expectAlert(t, err, alert.InternalError)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// A sequence number never repeats: the association ends before, with an alert
// under the last one.
//
// RFC 9147 4 [1]; RFC 6347 4.1 [6]
func TestSequenceNumbersEnd(t *testing.T) {
	bothVersions(t, func(t *testing.T, version func(client, server *Config)) {
		client, server := with(version)
		s := established(t, client, server)
		s.client.newest().next = maxSequence12 - 2
		s.server.reads[len(s.server.reads)-1].window.Mark(maxSequence12 - 3)
		for _, data := range []string{"last but one", "last"} {
			s.server.receive(s.client.seal(data))
		}
		s.server.once([]string{"last but one", "last"})
		_, err := s.client.Write(make([]byte, 100), []byte("too many"), s.now)
		expectAlert(t, err, alert.InternalError)
		s.client.did(nil)
		if s.client.Pending() {
			t.Error("the alert is not sent")
		}
		s.step()
		expectReceived(t, s.server.err, alert.InternalError)
	})
}

// Epochs do not wrap: when they are used up there is no KeyUpdate any more, and
// the association goes on without.
//
// RFC 9147 4.2.1 [5]
func TestKeyUpdatesEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("65,532 key updates")
	}
	client, server := with()
	s := established(t, client, server)
	buf := make([]byte, 200)
	var err error
	for n := 0; n <= 1<<16 && err == nil; n++ {
		if err = s.client.KeyUpdate(UpdateNotRequested, s.now); err != nil {
			break
		}
		if err := s.server.Receive(buf[:s.client.Transmit(buf)], s.now); err != nil {
			t.Fatal(n, err)
		}
		s.now = s.server.Deadline()
		s.server.Expire(s.now)
		if err := s.client.Receive(buf[:s.server.Transmit(buf)], s.now); err != nil {
			t.Fatal(n, err)
		}
	}
	expectAlert(t, err, alert.InternalError)
	if !errors.Is(err, alert.TooManyKeyUpdates) || s.client.newest().number != 1<<16-1 {
		t.Errorf("the end comes in epoch %d: %v", s.client.newest().number, err)
	}
	s.server.update(UpdateRequested)
	s.settle()
	s.exchange()
	s.settle()
	s.expectEpochs(1<<16-1, 4)
}
