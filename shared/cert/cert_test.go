package cert

import (
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
)

func TestCheckKey(t *testing.T) {
	ours, other := must(SelfSigned(now, "a.example")), must(SelfSigned(now, "b.example"))
	if err := CheckKey(&ours); err != nil {
		t.Errorf("a certificate with its own key: %v", err)
	}
	ours.PrivateKey = other.PrivateKey
	wantAlert(t, CheckKey(&ours), alert.HandshakeFailure, alert.Local)
	ours.PrivateKey = nil
	wantAlert(t, CheckKey(&ours), alert.HandshakeFailure, alert.Local)
	ours.Certificate, ours.Leaf = [][]byte{{1, 2, 3}}, nil
	wantAlert(t, CheckKey(&ours), alert.HandshakeFailure, alert.Local)
}
