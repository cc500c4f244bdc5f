package alert_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
)

func TestNames(t *testing.T) {
	for want, a := range map[string]alert.Alert{
		"close_notify":            alert.CloseNotify,
		"too_many_cids_requested": 52,
		"certificate_required":    116,
		"alert 99":                99,
	} {
		if got := a.String(); got != want {
			t.Errorf("%d is %q, want %q", uint8(a), got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		err   error
		alert alert.Alert
		fault alert.Fault
		text  string
	}{
		{alert.Peerf(alert.DecodeError, "want %d bytes, got %d", 2, 1), alert.DecodeError, alert.Peer, "decode_error (peer fault): want 2 bytes, got 1"},
		{alert.Localf(alert.InternalError, "no certificate"), alert.InternalError, alert.Local, "internal_error (local fault): no certificate"},
		{&alert.Error{Alert: alert.UnknownCA, Received: true}, alert.UnknownCA, alert.Peer, "the peer sent the alert unknown_ca"},
	} {
		var got *alert.Error
		if !errors.As(fmt.Errorf("handshake: %w", test.err), &got) {
			t.Fatalf("%v is not found in an error that wraps it", test.err)
		}
		if got.Alert != test.alert || got.Fault != test.fault || got.Error() != test.text {
			t.Errorf("got %v, %v, %q, want %v, %v, %q", got.Alert, got.Fault, got, test.alert, test.fault, test.text)
		}
	}
}

func TestErrorUnwraps(t *testing.T) {
	if err := alert.Localf(alert.InternalError, "signer: %w", io.ErrUnexpectedEOF); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v doesn't lead to its cause", err)
	}
	if err := (&alert.Error{Alert: alert.UnknownCA, Received: true}); errors.Unwrap(err) != nil {
		t.Error("a received alert has a cause")
	}
}
