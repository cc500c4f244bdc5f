package message_test

import (
	"bytes"
	"testing"

	"github.com/godwit-dtls/godwit/shared/message"
)

// ClientKeyExchange has another form with key transport, which the suite tells
// and not the message.
func TestClientKeyExchangeRSA(t *testing.T) {
	in := message.ClientKeyExchangeRSA{Encrypted: []byte("secret")}
	body := appended(in.Append)
	var out message.ClientKeyExchangeRSA
	if err := out.Parse(body); err != nil || !bytes.Equal(out.Encrypted, in.Encrypted) {
		t.Errorf("%q, %v", out.Encrypted, err)
	}
	for n := range body {
		if out.Parse(body[:n]) == nil {
			t.Errorf("a prefix of %d bytes is accepted", n)
		}
	}
	for _, bad := range [][]byte{append(body, 0), {0, 0}} {
		if out.Parse(bad) == nil {
			t.Errorf("%x is accepted", bad)
		}
	}
}

func FuzzClientKeyExchangeRSA(f *testing.F) {
	f.Add([]byte("\x00\x06secret"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var m message.ClientKeyExchangeRSA
		if m.Parse(body) == nil && !bytes.Equal(appended(m.Append), body) {
			t.Errorf("%x is appended as %x", body, appended(m.Append))
		}
	})
}
