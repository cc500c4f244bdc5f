package tls

import (
	"bytes"
	"errors"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// recordsOf are the sizes of the records of a kind that an Engine sends, in
// bytes on the wire.
func recordsOf(c *Config, content protocol.ContentType) *[]int {
	sizes := new([]int)
	c.Trace = func(e Event) {
		if e.Kind == handshake.EventRecord && e.Direction == handshake.Sent && e.Content == content {
			*sizes = append(*sizes, e.Size)
		}
	}
	return sizes
}

// A flight of handshake messages fills its records: in 1.3 the server's has two,
// as the keys change behind the first message.
//
// RFC 9846 5.1 [6]
func TestFlightFillsRecords(t *testing.T) {
	for _, test := range []struct {
		version uint16
		records int
	}{{VersionTLS13, 2}, {VersionTLS12, 2}} {
		client, server := configs(test.version)
		server.SessionTicketsDisabled = true
		sizes := recordsOf(server, protocol.Handshake)
		connected(t, client, server).exchange(t)
		if len(*sizes) != test.records {
			t.Errorf("version %x: records of %v bytes", test.version, *sizes)
		}
	}
}

// MaxSendFragment bounds what we write, of the handshake and after it. All
// records of a flight but its last are full.
func TestMaxSendFragment(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		client, server := configs(version)
		client.MaxSendFragment, server.MaxSendFragment = 512, 512
		sizes := recordsOf(server, protocol.Handshake)
		p := connected(t, client, server)
		const overhead = 5 + 8 + 1 + 16 // header, explicit nonce or content type, tag
		full := 0
		for _, n := range *sizes {
			if n > 512+overhead {
				t.Errorf("a handshake record of %d bytes", n)
			}
			if n >= 512 {
				full++
			}
		}
		if full == 0 {
			t.Errorf("records of %v bytes", *sizes)
		}
		data := bytes.Repeat([]byte("egg"), 1000)
		sizes = recordsOf(server, protocol.ApplicationData)
		if err := p.server.Write(data, testTime); err != nil {
			t.Fatal(err)
		}
		p.pump()
		if got := readAll(p.client); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came", len(got))
		}
		if len(*sizes) != 6 {
			t.Errorf("data in records of %v bytes", *sizes)
		}
	})
	for size, good := range map[int]bool{0: true, 511: false, 512: true, 1 << 14: true, 1<<14 + 1: false, -1: false} {
		client, _ := configs(0)
		client.MaxSendFragment = size
		_, err := NewClientEngine(client)
		if field := (*ConfigError)(nil); good != (err == nil) || err != nil && (!errors.As(err, &field) || field.Field != "MaxSendFragment") {
			t.Errorf("%d: %v", size, err)
		}
	}
}

// Abort tells the peer an alert of ours, and ends the connection for both.
func TestAbort(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		p := connectedVersion(t, version)
		p.client.Abort(alert.AccessDenied, testTime)
		p.client.Abort(alert.UserCanceled, testTime) // too late
		p.pump()
		wantAlert(t, "client", p.client.Err(), alert.AccessDenied, false)
		wantAlert(t, "server", p.server.Err(), alert.AccessDenied, true)
		if !errors.Is(p.client.Write([]byte("more"), testTime), ErrAborted) {
			t.Error("it can be written after Abort")
		}

		// Before the handshake is complete, too.
		client, server := configs(version)
		p = newPair(t, client, server)
		p.client.Start(testTime)
		p.client.Abort(alert.AccessDenied, testTime)
		p.pump()
		wantAlert(t, "server", p.server.Err(), alert.AccessDenied, true)
	})
}

func TestConnAbort(t *testing.T) {
	eachVersion(t, func(t *testing.T, version uint16) {
		c, s := openPair(t, version)
		if err := c.Abort(alert.AccessDenied); err != nil {
			t.Error(err)
		}
		_, err := s.Read(make([]byte, 1))
		wantAlert(t, "the peer's Read", err, alert.AccessDenied, true)
	})
}

// Peek gives the same bytes as often as it is asked, and Read the same again.
func TestPeek(t *testing.T) {
	p := connectedVersion(t, VersionTLS13)
	p.server.Write([]byte("one"), testTime)
	p.server.Write([]byte("two"), testTime)
	p.client.Receive(drain(p.server), testTime)
	for _, want := range []string{"one", "two"} {
		for _, f := range []func([]byte) (int, bool){p.client.Peek, p.client.Peek, p.client.Read} {
			buf := make([]byte, 10)
			if n, ok := f(buf); !ok || string(buf[:n]) != want {
				t.Errorf("got %q, %v, expected %q", buf[:n], ok, want)
			}
		}
	}
	if n, ok := p.client.Peek(make([]byte, 10)); n != 0 || ok {
		t.Error("there is something to peek at", n, ok)
	}
}
