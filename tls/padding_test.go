package tls

import (
	"bytes"
	"errors"
	"testing"

	"github.com/godwit-dtls/godwit/shared/handshake"
	"github.com/godwit-dtls/godwit/shared/protocol"
)

// A sizing is the content type, epoch and size of each record that a side sends.
type sizing []Event

func (s *sizing) watch(c *Config) {
	c.Trace = func(e Event) {
		if e.Kind == handshake.EventRecord && e.Direction == handshake.Sent && e.Content != protocol.ChangeCipherSpec {
			*s = append(*s, e)
		}
	}
}

const overhead13 = headerSize + 1 + 16

// Under RecordPadding all records of 1.3 that are protected have one of few
// lengths.
//
// RFC 9846 5.4 [1]
func TestRecordPadding(t *testing.T) {
	for _, c := range []struct{ block, fragment, size, want int }{
		{256, 0, 1, 256},
		{256, 0, 256, 256},
		{256, 0, 257, 512},
		{1 << 14, 0, 1, 1 << 14},
		{1000, 0, maxPlaintext - 1, maxPlaintext},
		{1000, 512, 1, 512},
	} {
		client, server := configs(VersionTLS13)
		client.RecordPadding, client.MaxSendFragment = c.block, c.fragment
		var sent sizing
		sent.watch(client)
		p := connected(t, client, server)
		most := maxPlaintext
		if c.fragment > 0 {
			most = c.fragment
		}
		for _, e := range sent {
			if n := e.Size - overhead13; e.Number.Epoch > 0 && n%c.block != 0 && n != most {
				t.Errorf("%+v: a record of the handshake is padded to %d bytes", c, n)
			}
		}
		sent = nil
		text := bytes.Repeat([]byte{7, 0}, c.size)[:c.size]
		p.client.Write(text, testTime)
		if n := sent[0].Size - overhead13; len(sent) != 1 || n != c.want {
			t.Errorf("%+v: padded to %d bytes", c, n)
		}
		p.pump()
		if got := readAll(p.server); !bytes.Equal(got, text) {
			t.Errorf("%+v: %d bytes arrive", c, len(got))
		}
		p.client.Close(testTime)
		if last := sent[len(sent)-1]; last.Content != protocol.Alert || last.Size-overhead13 != min(c.block, most) {
			t.Errorf("%+v: close_notify has %d bytes", c, last.Size)
		}
	}
	client, server := configs(VersionTLS12)
	client.RecordPadding = 256
	var sent sizing
	sent.watch(client)
	p := connected(t, client, server)
	sent = nil
	p.client.Write([]byte("1.2"), testTime)
	if n := sent[0].Size - (headerSize + 8 + 16); n != 3 {
		t.Errorf("1.2 pads to %d bytes", n)
	}
}

func TestPaddingConfigs(t *testing.T) {
	for _, size := range []int{-1, 1<<14 + 1} {
		_, err := NewClientEngine(&Config{InsecureSkipVerify: true, RecordPadding: size})
		if got, ok := errors.AsType[*ConfigError](err); !ok || got.Field != "RecordPadding" {
			t.Errorf("%d: %v", size, err)
		}
	}
}
