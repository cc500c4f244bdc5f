package message_test

import (
	"bytes"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
)

// RawPublicKey12 has a handshake type that Parse takes for another message.
func TestRawPublicKey12(t *testing.T) {
	for _, info := range []string{"", "info"} {
		want := message.RawPublicKey12{Info: []byte(info)}
		body := appended(want.Append)
		var got message.RawPublicKey12
		if err := got.Parse(body); err != nil || !bytes.Equal(got.Info, want.Info) {
			t.Fatalf("got %q, %v, want %q", got.Info, err, want.Info)
		}
		for n := range body {
			wantAlert(t, got.Parse(body[:n:n]), alert.DecodeError, "Certificate: subjectPublicKeyInfo: truncated")
		}
		wantAlert(t, got.Parse(append(body, 0)), alert.DecodeError, "1 bytes after its end")
	}
}

func FuzzRawPublicKey12(f *testing.F) {
	f.Add([]byte("\x00\x00\x04info"))
	f.Fuzz(func(t *testing.T, body []byte) {
		var m message.RawPublicKey12
		if m.Parse(body) != nil {
			return
		}
		if again := appended(m.Append); !bytes.Equal(again, body) {
			t.Fatalf("came as\n%x, appended as\n%x", body, again)
		}
	})
}
