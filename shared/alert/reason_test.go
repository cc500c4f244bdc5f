package alert

import (
	"errors"
	"fmt"
	"testing"
)

func TestReason(t *testing.T) {
	err := fmt.Errorf("outside: %w", Peerf(HandshakeFailure, "%w for %d", NoCommonSuite, 1))
	var e *Error
	if !errors.Is(err, NoCommonSuite) || errors.Is(err, NoCommonGroup) || !errors.As(err, &e) {
		t.Fatalf("%v is not found by its reason", err)
	}
	if e.Reason() != NoCommonSuite || e.Error() != "handshake_failure (peer fault): no cipher suite in common for 1" {
		t.Errorf("the reason is %q in %q", e.Reason(), e)
	}
	if got := Localf(InternalError, "plain").Reason(); got != "" {
		t.Errorf("an error without reason has %q", got)
	}
	if got := (&Error{Alert: CloseNotify, Received: true}).Reason(); got != "" {
		t.Errorf("a received alert has the reason %q", got)
	}
}
