package dtls_test

import (
	"testing"

	"github.com/godwit-dtls/godwit/dtls"
)

// The table of RFC 9443 3, byte by byte, and RFC 5761 4 within the range of RTP.
func TestClassify(t *testing.T) {
	first := map[dtls.PacketKind][][2]int{
		dtls.STUNPacket:        {{0, 3}},
		dtls.UnknownPacket:     {{4, 15}},
		dtls.ZRTPPacket:        {{16, 19}},
		dtls.DTLSPacket:        {{20, 63}},
		dtls.TURNChannelPacket: {{64, 79}},
		dtls.QUICPacket:        {{80, 127}, {192, 255}},
		dtls.RTPPacket:         {{128, 191}},
	}
	seen := 0
	for want, ranges := range first {
		for _, r := range ranges {
			for b := r[0]; b <= r[1]; b++ {
				seen++
				for second := range 256 {
					want := want
					if want == dtls.RTPPacket && 192 <= second && second <= 223 {
						want = dtls.RTCPPacket
					}
					if got := dtls.Classify([]byte{byte(b), byte(second), 0, 0}); got != want {
						t.Errorf("%d, %d: %v, expected %v", b, second, got, want)
					}
				}
				if got := dtls.Classify([]byte{byte(b)}); got != want {
					t.Errorf("%d alone: %v, expected %v", b, got, want)
				}
			}
		}
	}
	if seen != 256 {
		t.Errorf("%d of 256 values", seen)
	}
	if got := dtls.Classify(nil); got != dtls.UnknownPacket {
		t.Errorf("nothing: %v", got)
	}
}

// Every datagram that an association sends is found to be one: of both versions, with
// connection IDs and without, in the clear and protected, with headers of every form.
//
// RFC 9147 4.3 [3]
func TestClassifyDTLS(t *testing.T) {
	for name, change := range map[string]func(*dtls.Config){
		"plain":          func(*dtls.Config) {},
		"connection IDs": func(c *dtls.Config) { c.ConnectionIDs = dtls.RandomConnectionIDs(8) },
		"short headers":  func(c *dtls.Config) { c.ShortRecordHeaders = true },
	} {
		t.Run(name, func(t *testing.T) {
			bothVersions(t, func(t *testing.T, version uint16) {
				client, server := authenticated(t, version)
				change(client)
				change(server)
				l, datagrams := newLAN(), 0
				l.filter(func(d datagram) error {
					datagrams++
					if got := dtls.Classify(d.data); got != dtls.DTLSPacket {
						t.Errorf("% x: %v", d.data[:2], got)
					}
					return nil
				})
				c, s := established(t, l, client, server)
				send(t, c, s, "ping")
				send(t, s, c, "pong")
				c.Close()
				if datagrams < 5 {
					t.Errorf("only %d datagrams", datagrams)
				}
			})
		})
	}
}

func TestPacketKindNames(t *testing.T) {
	names := map[string]bool{}
	for kind := dtls.UnknownPacket; kind <= dtls.RTCPPacket; kind++ {
		names[kind.String()] = true
	}
	if len(names) != int(dtls.RTCPPacket)+1 || !names["TURN channel"] || dtls.PacketKind(99).String() != "unknown" {
		t.Errorf("%v", names)
	}
}

func TestClassifyDoesNotAllocate(t *testing.T) {
	if !dtls.Alone(t) {
		return
	}
	datagram := []byte{128, 200, 0, 1}
	if n := testing.AllocsPerRun(100, func() { dtls.Classify(datagram) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Only the first two bytes count, and the second only in the range of RTP.
func FuzzClassify(f *testing.F) {
	f.Add([]byte{22, 254, 253})
	f.Add([]byte{128, 200, 0, 1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		got := dtls.Classify(datagram)
		if got > dtls.RTCPPacket {
			t.Fatalf("% x: %d", datagram, got)
		}
		if again := dtls.Classify(datagram[:min(2, len(datagram))]); again != got {
			t.Errorf("% x: %v by two bytes, %v by all", datagram, again, got)
		}
		if len(datagram) > 0 && got != dtls.RTCPPacket && dtls.Classify(datagram[:1]) != got {
			t.Errorf("% x: %v", datagram, got)
		}
	})
}
