package dtls

import (
	"slices"
	"testing"
	"time"

	"github.com/godwit-dtls/godwit/fragment"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// --- Packing

// The datagrams of a flight are full but for the last, and never too large.
//
// RFC 9147 4.3 [1, 2]
func TestPacking(t *testing.T) {
	cbc := setting{"1.2, CBC", together(only12, cipherSuite(TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256))}
	for _, c := range append(slices.Clone(settings), cbc) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for size := handshake.MinMTU; size <= 1500; size += stride(10) * (1 + size/100) {
				client, server := with(c.change, mtu(size))
				if client.RecordSizeLimit != 0 || client.MaxFragmentLength != 0 {
					continue // they bound datagrams too: see TestRecordSizes
				}
				s := traced(t, client, server)
				s.settle()
				for i, p := range s.sent {
					if len(p.data) > size {
						t.Fatalf("MTU %d: a datagram of %d bytes", size, len(p.data))
					}
					if i+1 == len(s.sent) || s.sent[i+1].from != p.from {
						continue // the last of its flight
					}
					if room := size - len(p.data); room >= s.leastRecord(s.sent[i+1].data) {
						t.Errorf("MTU %d: %d bytes are left in datagram %d, and the next record would have taken %d", size, room, i, s.leastRecord(s.sent[i+1].data))
					}
				}
			}
		})
	}
}

// leastRecord is the size of the smallest record that could have carried the
// beginning of a datagram's first: a header and one byte.
func (s *simulation) leastRecord(next []byte) int {
	const least = fragment.HeaderSize + 1
	if isUnified(next[0]) {
		return headerSize13 + least + 1 + 16
	}
	h, _, _ := parseHeader12(next)
	switch {
	case h.kind == protocol.ChangeCipherSpec:
		return headerSize12 + 1
	case h.number.Epoch == 1:
		return headerSize12 + s.client.newest().sealer.SealedLen(least)
	}
	return headerSize12 + least
}

// What is sent again is cut for the MTU of the day.
func TestPackingAfterSetMTU(t *testing.T) {
	client, server := with(clientAuth, mtu(1400))
	s := traced(t, client, server)
	s.step() // the server has answered
	for _, size := range []int{297, 298, 299, 300, 301, 302, 303, 228} {
		s.air = nil
		sent := len(s.sent)
		if err := s.server.SetMTU(size); err != nil {
			t.Fatal(err)
		}
		s.now = s.server.Deadline()
		s.server.did(s.server.Expire(s.now))
		for i, p := range s.sent[sent:] {
			if len(p.data) > size {
				t.Errorf("MTU %d: a datagram of %d bytes", size, len(p.data))
			}
			if i += sent + 1; i < len(s.sent) && size-len(p.data) >= s.leastRecord(s.sent[i].data) {
				t.Errorf("MTU %d: a datagram of %d bytes is not full", size, len(p.data))
			}
		}
	}
	if s.server.SetMTU(227) == nil {
		t.Error("an MTU of 227 is taken")
	}
	s.settle()
	s.exchange()
}

// The default MTU is lowered after three repeats; one that was set, in
// the Config or by SetMTU, stays.
//
// RFC 9147 4.3 [2], 4.4 [13]
func TestMTUIsLowered(t *testing.T) {
	for _, c := range []struct{ config, later, want int }{
		{0, 0, handshake.MinMTU},
		{1200, 0, 1200},
		{0, 1300, 1300},
	} {
		client, server := with(mtu(c.config), hybrid)
		s := simulate(t, 0, client, server, fated(losing(func(*parcel) bool { return true })))
		if c.later != 0 {
			if err := s.client.SetMTU(c.later); err != nil {
				t.Fatal(err)
			}
		}
		s.advance(time.Minute)
		largest := 0
		for _, p := range s.sent[len(s.sent)-5:] {
			largest = max(largest, len(p.data))
		}
		if largest != c.want {
			t.Errorf("MTU %d, then %d: after a minute it sends %d bytes, want %d", c.config, c.later, largest, c.want)
		}
	}
}

// In 1.2 the last flight has no timer; that the client repeats its own says that the
// server's doesn't get through, so that it goes out in smaller datagrams, too.
//
// RFC 9147 4.4 [13]
func TestMTUOfLastFlightIsLowered(t *testing.T) {
	client, server := with(only12, clientAuth)
	client.ClientSessionCache = NewLRUClientSessionCache(1) // and so a ticket, which has the client's certificate
	s := simulate(t, 0, client, server)
	if err := s.run(s.server.Open); err != nil {
		t.Fatal(err)
	}
	s.air = nil
	const path = 600
	s.fate = losing(func(p *parcel) bool { return len(p.data) > path })
	largest := len(s.sent[len(s.sent)-1].data)
	s.settle()
	s.exchange()
	if largest <= path {
		t.Errorf("the flight has %d bytes and would have got through anyway", largest)
	}
}

// A path that drops what is larger, without a word, delays the handshake and doesn't end
// it, in either direction and whatever its flights have.
//
// RFC 9147 4.4 [13]
func TestBlackHole(t *testing.T) {
	for _, c := range append(slices.Clone(settings), setting{"1.3, hybrid, client certificate", together(hybrid, clientAuth)}) {
		for _, path := range []int{268, 548, 1172, 1252} { // of links of 296, 576, 1200 and 1280 bytes
			client, server := with(c.change)
			s := simulate(t, 1, client, server, carrying(&path))
			if err := s.run(s.open); err != nil {
				t.Fatalf("%s, %d bytes: %v", c.name, path, err)
			}
			if took := s.now.Sub(epochOfSimulation); took > 25*time.Second || took > handshake.DefaultHandshakeTimeout {
				t.Errorf("%s, %d bytes: it took %v", c.name, path, took)
			}
			s.settle()
			s.exchange()
		}
	}
}
