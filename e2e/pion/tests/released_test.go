package tests

import (
	"os"
	"slices"
	"testing"

	_ "github.com/pion/ice/v4" // whose tests are run, as those of these are
	_ "github.com/pion/webrtc/v4"
	_ "github.com/plgd-dev/go-coap/v3/dtls"
)

// An excuse names a test that doesn't pass, and says why. docs/from-pion.md has the
// list, too.
type excuse struct {
	test, why string
	sometimes bool // it passes as well, and so it does with pion/dtls
}

// TestWebRTC runs all tests of pion/webrtc.
func TestWebRTC(t *testing.T) {
	released(t, suite{pkg: "github.com/pion/webrtc/v4"}, []excuse{
		{test: "TestPeerConnection_GetStats", why: "expects the suite to be TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, of DTLS 1.2; TestWebRTC12 has it"},
		{test: "TestCryptexRejectedAnswerPreservesSignalingState", sometimes: true, why: "compares two SDPs whose candidates have the order of a map, before DTLS begins"},
	})
}

// TestWebRTC12 builds it with the tag dtls12, by which the drop-in has no more than
// Pion: then the one that expects a suite of 1.2 passes too.
func TestWebRTC12(t *testing.T) {
	s := suite{pkg: "github.com/pion/webrtc/v4", tags: "dtls12"}
	if os.Getenv("GODWIT_FULL") == "" {
		s.run = []string{"^(TestPeerConnection_GetStats)$", "DTLS|Fingerprint|NULLCipher|SettingEngine"}
	}
	released(t, s, []excuse{
		{test: "TestCryptexRejectedAnswerPreservesSignalingState", sometimes: true, why: "as above"},
	})
}

// TestCoAP runs all tests of go-coap's package dtls.
func TestCoAP(t *testing.T) {
	released(t, suite{pkg: "github.com/plgd-dev/go-coap/v3/dtls"}, nil)
}

// TestCoAPBlocks runs those of go-coap's package udp that use DTLS, which are about
// blocks. Those with libcoap do so only if that has Q-Block, which Debian's hasn't.
func TestCoAPBlocks(t *testing.T) {
	s := suite{pkg: "github.com/plgd-dev/go-coap/v3/udp", env: []string{"LIBCOAP_QBLOCK_MODE=disabled"}}
	if os.Getenv("GODWIT_FULL") == "" {
		s.run = []string{
			"^TestQBlockServerConfiguredMTU$",
			"^TestGoQBlockObserveLifecycle$/^secure=true$/^mode=1$/^type=Confirmable$", "^TestGoQBlockObserveLifecycle$/^secure=true$/^mode=1$/^type=NonConfirmable$",
			"^TestGoQBlockObserveLifecycle$/^secure=true$/^mode=2$/^type=Confirmable$", "^TestGoQBlockObserveLifecycle$/^secure=true$/^mode=2$/^type=NonConfirmable$",
		}
	}
	released(t, s, []excuse{
		{test: "TestQBlockLibcoapGoClient", sometimes: true, why: "wants a libcoap server that knows -b, which Debian's doesn't, and is skipped without any"},
	})
}

// TestICE runs the one of pion/ice's that has DTLS: relayed candidates of a TURN server
// behind it.
func TestICE(t *testing.T) {
	released(t, suite{pkg: "github.com/pion/ice/v4", run: []string{"^TestTURNConcurrency$/^DTLS_Relay$"}}, nil)
}

// released runs a suite and compares with what can't pass.
func released(t *testing.T, s suite, excuses []excuse) {
	r, err := execute(t.Context(), s, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.outcomes) == 0 {
		t.Fatal("no test was run")
	}
	for _, e := range excuses {
		switch {
		case s.run == nil && r.outcomes[e.test] == "":
			t.Errorf("%s is excused, and there is no such test", e.test)
		case r.outcomes[e.test] == "pass" && !e.sometimes:
			t.Errorf("%s passes, and is excused: it %s", e.test, e.why)
		case r.outcomes[e.test] == "fail":
			t.Logf("%s can't pass: it %s", e.test, e.why)
		}
	}
	for _, test := range r.named("fail") {
		if !slices.ContainsFunc(excuses, func(e excuse) bool { return e.test == test }) {
			t.Errorf("%s failed %d times:\n%s", test, attempts, r.output[test])
		}
	}
	t.Logf("%d tests of %s: %d passed, %d skipped, %d failed; after another try %v", len(r.outcomes), s.pkg, len(r.named("pass")), len(r.named("skip")), len(r.named("fail")), r.again)
}
