package message_test

import (
	"bytes"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
)

// TestFlags: each flag is where the draft says, alone and beside others.
func TestFlags(t *testing.T) {
	var all message.Flags
	for n := range message.Flag(2040) {
		one := message.Flags(nil).With(n)
		body := append([]byte{byte(len(one))}, one...)
		parsed, err := message.ParseFlags(body)
		if err != nil || !parsed.Has(n) || parsed.Has(n+1) || parsed.Has(n-1) || len(one) != int(n)/8+1 {
			t.Fatalf("flag %d: %x, %v", n, parsed, err)
		}
		before := bytes.Clone(all)
		with := all.With(n)
		if !bytes.Equal(all, before) {
			t.Fatalf("With(%d) changes what it adds to", n)
		}
		all = with
	}
	if len(all) != 255 || bytes.Count(all, []byte{0xff}) != 255 {
		t.Errorf("all flags: %x", all)
	}
}

// TestFlagsFaults: there is at least one flag, and no zero after the last one.
func TestFlagsFaults(t *testing.T) {
	for body, want := range map[string]alert.Alert{
		"\x00":             alert.DecodeError,
		"\x01\x00":         alert.IllegalParameter,
		"\x02\x01\x00":     alert.IllegalParameter,
		"\x01\x01\x01":     alert.DecodeError,
		"\x02\x01":         alert.DecodeError,
		"\x03\x00\x01\x00": alert.IllegalParameter,
	} {
		_, err := message.ParseFlags([]byte(body))
		wantAlert(t, err, want, "tls_flags")
	}
}
