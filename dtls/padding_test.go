package dtls

import (
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/handshake"
)

func padding(block int) func(client, server *Config) {
	return func(client, server *Config) { client.RecordPadding, server.RecordPadding = block, block }
}

const overhead13 = headerSize13 + 1 + 16

// Under RecordPadding all protected records of 1.3 have one of few lengths, and
// no datagram grows beyond the MTU.
//
// RFC 9846 5.4 [1]
func TestRecordPadding(t *testing.T) {
	for _, c := range []struct {
		block, mtu, size int
		want             int // bytes of content and padding
	}{
		{100, 1200, 1, 100},
		{100, 1200, 100, 100},
		{100, 1200, 101, 200},
		{1 << 14, 1200, 1, 1200 - overhead13},                              // the MTU
		{1000, 1200, 1150, 1200 - overhead13},                              // not 2000
		{1000, 1200, 1300, 1300},                                           // more than the MTU already
		{1000, 1200, 1200 - overhead13, 1200 - overhead13},                 // all of it
		{1 << 14, 65507, 1<<14 - 1, 1 << 14}, {1 << 14, 65507, 1, 1 << 14}, // the largest record
	} {
		client, server := with(padding(c.block), mtu(c.mtu))
		s := traced(t, client, server)
		s.settle()
		buf := make([]byte, 1<<15)
		text := strings.Repeat("\x07\x00", c.size)[:c.size]
		n, err := s.client.Write(buf, []byte(text), s.now)
		if err != nil || n-overhead13 != c.want {
			t.Errorf("%+v: padded to %d bytes, %v", c, n-overhead13, err)
		}
		s.server.receive(buf[:n])
		if got := s.server.read; len(got) != 1 || string(got[0]) != text {
			t.Errorf("%+v: it arrives otherwise", c)
		}
	}
}

// A flight is padded too, but for records that fill their datagram.
func TestFlightPadding(t *testing.T) {
	const size, block = 300, 64
	client, server := with(padding(block), mtu(size), clientAuth)
	records, padded, partly := 0, 0, false
	client.Trace = func(e Event) {
		switch {
		case e.Direction != handshake.Sent:
		case e.Kind == handshake.EventRecord && e.Number.Epoch > 0:
			if records++; (e.Size-overhead13)%block == 0 {
				padded++
			} else {
				partly = true
			}
		case e.Kind == handshake.EventDatagram:
			if e.Size > size || partly && e.Size < size {
				t.Errorf("a datagram of %d bytes has a record that could have more padding", e.Size)
			}
			partly = false
		}
	}
	s := simulate(t, 0, client, server)
	s.settle()
	s.exchange()
	if padded < 2 || padded == records {
		t.Errorf("%d of %d records are a multiple of %d", padded, records, block)
	}
}

// 1.2 has no place for padding.
func TestNoPaddingIn12(t *testing.T) {
	client, server := with(padding(100), only12)
	s := established(t, client, server)
	if n := len(s.client.seal("x")); n != headerSize12+8+1+16 {
		t.Errorf("a record of %d bytes", n)
	}
}
