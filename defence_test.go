package godwit_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A defence is what keeps a pitfall's test from failing: a piece of a file, and what
// stands there without it.
type defence struct {
	test          string // as docs/pitfalls.md names it
	file          string
	with, without string
	more          []defence // second lines, which hold where the first is gone: test is empty
}

// TestDefences removes each defence, one after the other, and expects its test to fail.
// That takes long, as it builds a package for each: without GODWIT_FULL=1 it only looks
// whether the defences are there.
func TestDefences(t *testing.T) {
	for _, d := range defences {
		t.Run(d.test, func(t *testing.T) { d.remove(t) })
	}
}

func (d defence) remove(t *testing.T) {
	pkg, test, _ := strings.Cut(d.test, ".")
	overlay := d.overlay(t)
	if os.Getenv("GODWIT_FULL") != "1" {
		return
	}
	run := exec.Command("go", "test", "-overlay="+overlay, "-timeout=60s", "-count=1", "-run=^"+test+"$", "./"+pkg)
	out, err := run.CombinedOutput()
	switch {
	case err == nil:
		t.Errorf("without %q in %s the test passes", d.with, d.file)
	case strings.Contains(string(out), "build failed"), strings.Contains(string(out), "setup failed"):
		t.Errorf("it doesn't build:\n%s", out)
	default:
		t.Logf("%.1500s", out)
	}
}

// overlay writes the files as they are without the defence, for go build.
func (d defence) overlay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for _, d := range append([]defence{d}, d.more...) {
		path, err := filepath.Abs(d.file)
		if err != nil {
			t.Fatal(err)
		}
		from := path
		if changed := replace[path]; changed != "" {
			from = changed
		}
		source, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), d.with); n != 1 {
			t.Fatalf("%q stands in %s %d times", d.with, d.file, n)
		}
		replace[path] = filepath.Join(dir, strings.ReplaceAll(d.file, "/", "_"))
		if err := os.WriteFile(replace[path], []byte(strings.Replace(string(source), d.with, d.without, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var defences = []defence{
	// Order of messages.

	{test: "shared/handshake.TestPitfallSkippedAuthentication", file: "shared/handshake/graph.go",
		with: "{ClientCertificate, ClientFinished, V13, ClientCert,", without: "{ClientCertificate, ClientFinished, V13, 0,"},
	{test: "shared/handshake.TestPitfallOrder", file: "shared/handshake/graph.go",
		with: `{ServerKeyExchange, ServerHelloDone, 0, CertRequested, "RFC 5246 7.4.5"},`, without: `{ServerKeyExchange, ServerHelloDone, 0, 0, ""}, {ServerCertificate, CertificateRequest, CertRequested, V13 | Stapled | KeyTransport, ""}, {CertificateRequest, ServerKeyExchange, 0, V13, ""},`},
	{test: "shared/handshake.TestPitfallNoProofOfPossession", file: "shared/cert/sign.go",
		with: "if !s.verify(public, content, signature) {", without: "if false {"},
	{test: "shared/handshake.TestPitfallForgedSignatures", file: "shared/handshake/authenticate.go",
		with: "if !slices.Contains(accepted, s) {", without: "if accepted == nil {", more: []defence{{file: "shared/cert/sign.go", with: "if !known || !s.allowed(u) || !s.fits(public, u.Version) {", without: "if !known {"}}},
	{test: "dtls.TestPitfallPlaintextData", file: "dtls/receive.go",
		with: "case n.Epoch == 0:", without: "case false:", more: []defence{{file: "dtls/receive.go", with: "case e.authenticated:", without: "case false:"}}},
	{test: "dtls.TestPitfallMessageAcrossKeyChange", file: "dtls/layer.go",
		with: "if l.assembler.Pending() {", without: "if false {"},
	{test: "tls.TestPitfallMessageAcrossKeyChange", file: "tls/layer.go",
		with: "return !e.machine.Open() && e.leftOver()", without: "return false"},
	{test: "dtls.TestPitfallWrongEpoch", file: "dtls/receive_handshake.go",
		with: "case outcome != fragment.Old && n.Epoch < e.readLevel():", without: "case false:"},
	{test: "dtls.TestPitfallFailedHandshakes", file: "dtls/peer.go",
		with: `	delete(l.conns, p)
`, without: ""},
	{test: "dtls.TestPitfallResumptionNeedsCookie", file: "dtls/greet.go",
		with: `	case in.header.Seq > 0:`, without: `	case in.Extensions != nil:
		return greeting{welcome: &welcome{budget: in.size, hello: in.datagram()}}
	case in.header.Seq > 0:`},
	{test: "dtls.TestPitfallUnverifiedPeer", file: "shared/cert/fingerprint.go",
		with: `	if found != 1 {`, without: `	if false {`},
	{test: "shared/handshake.TestPitfallVerifyRequestThen13", file: "shared/handshake/graph.go",
		with: `	{HelloVerifyRequest, ClientHelloAgain,`, without: `	{ClientHelloAgain, HelloRetryRequest, Retry, 0, ""},
	{HelloVerifyRequest, ClientHelloAgain,`},
	{test: "shared/handshake.TestPitfallUnfinishedSession", file: "shared/handshake/schedule.go",
		with: "if !hmac.Equal(in.VerifyData, m.verifyData(m.role.Peer())) {", without: "if hmac.Equal(in.VerifyData, nil) {"},
	{test: "dtls.TestPitfallListenKeepsNothing", file: "dtls/cookie.go",
		with: `	key.Reset()
`, without: ""},

	// Fragments.

	{test: "fragment.TestPitfallReassembly", file: "fragment/message.go",
		with: `		if !p.has(i) {`, without: `		if true {`},
	{test: "fragment.TestPitfallDisagreement", file: "fragment/message.go",
		with: "if h.Type != m.kind || h.Length != m.length {", without: "if false {"},
	{test: "dtls.TestPitfallFragmentsDisagree", file: "dtls/receive_handshake.go",
		with: `	case err != nil:`, without: `	case false:`},
	{test: "fragment.TestPitfallMessagesOutOfOrder", file: "fragment/assembler.go",
		with: "case seq >= a.next+Ahead:", without: "case false:"},
	{test: "fragment.TestPitfallEmptyFragments", file: "fragment/assembler.go",
		with: "if h.Size == 0 && h.Length > 0 {", without: "if false {"},
	{test: "dtls.TestPitfallZeroLengthFragments", file: "fragment/header.go",
		with: `	return h, body, s, nil`, without: `	if h.Size == 0 {
		return h, body, b, nil
	}
	return h, body, s, nil`},
	{test: "fragment.TestPitfallShortFragmentAfterLongOne", file: "fragment/message.go",
		with: `		if !p.has(i) {`, without: `		if true {`},
	{test: "fragment.TestPitfallSmallerFragments", file: "fragment/message.go",
		with: `		if !p.has(i) {`, without: `		if true {`},
	{test: "dtls.TestPitfallResendSharesNoCursor", file: "retransmit/flight.go",
		with: "f.index, f.offset, f.begun = 0, 0, false", without: "f.begun = false"},

	// Memory.

	{test: "fragment.TestPitfallClaimedLengths", file: "fragment/assembler.go",
		with: "m = &message{kind: h.Type, length: h.Length, missing: h.Length}", without: "m = &message{kind: h.Type, length: h.Length, missing: h.Length, body: make([]byte, h.Length)}"},
	{test: "tls.TestPitfallClaimedLengths", file: "tls/receive.go",
		with: `	size := messageHeaderSize + length
`, without: `	size := messageHeaderSize + length
	e.messages = append(make([]byte, 0, size), e.messages...)
`},
	{test: "dtls.TestPitfallClaimedLengthsInOneDatagram", file: "fragment/assembler.go",
		with: "m = &message{kind: h.Type, length: h.Length, missing: h.Length}", without: "m = &message{kind: h.Type, length: h.Length, missing: h.Length, body: make([]byte, h.Length)}"},
	{test: "fragment.TestPitfallFragmentFlood", file: "fragment/assembler.go",
		with: "if seq > a.next && a.later()+m.growth(h.Offset, body) > roundUp(cmp.Or(a.Room, a.limit())) {", without: "if false {"},
	{test: "dtls.TestPitfallFutureRecords", file: "dtls/receive.go",
		with: "if e.current == nil || len(e.held)+2+len(record) > maxHeld {", without: "if e.current == nil {"},
	{test: "dtls.TestPitfallUnreadData", file: "dtls/peer.go",
		with: `	delete(l.conns, p)
`, without: ""},

	// Record numbers and epochs.

	{test: "dtls.TestPitfallForgedNumber", file: "dtls/receive.go",
		with: `	length := r.opener.PlaintextLen(len(h.body))`, without: `	r.window.Mark(h.number.Sequence)
	length := r.opener.PlaintextLen(len(h.body))`},
	{test: "replay.TestPitfallWindow", file: "replay/window.go",
		with: "return w.highest-seq < Size && w.seen", without: "return w.highest-seq < 2*Size && w.seen"},
	{test: "dtls.TestPitfallLostACKs", file: "dtls/layer.go",
		with: "old.dies = l.now.Add(lifetime)", without: "old.dies = l.now"},

	// ChangeCipherSpec.

	{test: "dtls.TestPitfallEarlyChangeCipherSpec", file: "dtls/receive_handshake.go",
		with: "if e.changeCipherSpec && e.machine.ExpectsChangeCipherSpec() {", without: "if e.changeCipherSpec {"},
	{test: "tls.TestPitfallInjectedRecords", file: "tls/receive.go",
		with: "case !protected && h.content == protocol.ApplicationData:", without: "case false:", more: []defence{{file: "tls/receive.go", with: `	if !e.machine.Open() {
		return alert.Peerf(alert.UnexpectedMessage, "%w: application data before`, without: `	if false {
		return alert.Peerf(alert.UnexpectedMessage, "%w: application data before`}}},
	{test: "dtls.TestPitfallChangeCipherSpecFirst", file: "dtls/receive.go",
		with: `		return e.drop(dropChangeCipherSpec) // before`, without: `		// before`},
	{test: "tls.TestPitfallChangeCipherSpecFirst", file: "tls/receive.go",
		with: "return e.machine.Role() == handshake.Client && e.config.Enabled(protocol.VersionTLS13)", without: "return true"},
	{test: "dtls.TestPitfallDataBeforeFinished", file: "dtls/receive.go",
		with: "case !e.machine.Open():", without: "case false:"},
	{test: "dtls.TestPitfallChangeCipherSpecFlood", file: "dtls/receive.go",
		with: `	e.changeCipherSpec = true
`, without: `	e.changeCipherSpec, e.held = true, append(e.held, body...)
`},
	{test: "tls.TestPitfallChangeCipherSpecFlood", file: "tls/receive.go",
		with: "if e.idle.empty++; e.idle.empty > maxEmpty {", without: "if false {"},
	{test: "dtls.TestPitfallLateChangeCipherSpec", file: "dtls/receive.go",
		with: "case e.version.Is13() || n.Epoch != 0:", without: "case e.version.Is13():"},

	// Cookies, and clients that start again.

	{test: "dtls.TestPitfallAmplification", file: "dtls/greet.go",
		with: "if len(reply) > amplification*in.size {", without: "if false {", more: []defence{{file: "dtls/greet.go", with: "return g.reply[:headerSize12+len(payload)]", without: "return g.reply[:]"}}},
	{test: "dtls.TestPitfallTruncatedHello", file: "shared/message/hello.go",
		with: `		m.Extensions = r.extensions(alert.DecodeError)
	}
	return r.done()
}

// Append appends the message as it goes over transport t.`, without: `		m.Extensions = r.extensions(alert.DecodeError)
	}
	return nil
}

// Append appends the message as it goes over transport t.`},
	{test: "dtls.TestPitfallTruncatedHelloOfClient", file: "fragment/header.go",
		with: "if !s.ReadBytes(&body, h.Size) {", without: "if h.Size, h.Length = min(h.Size, len(s)), min(h.Length, len(s)); !s.ReadBytes(&body, h.Size) {"},
	{test: "dtls.TestPitfallHalfAHandshake", file: "dtls/restart.go",
		with: "if s.live != nil && s.live.conn.opened.Load() {", without: "if false {"},
	{test: "dtls.TestPitfallCookieOfAnotherHello", file: "dtls/cookie.go",
		with: "fields, in.Random, in.SessionID", without: "fields, in.SessionID"},
	{test: "shared/handshake.TestPitfallVerifyRequestLoop", file: "shared/handshake/hello.go",
		with: "if m.verifyRequests++; m.verifyRequests > maxVerifyRequests {", without: "if false {"},
	{test: "dtls.TestPitfallStateBeforeCookie", file: "dtls/greet.go",
		with: `	cookie, v := helloCookie(&in.ClientHello)
	switch`, without: `	cookie, v := helloCookie(&in.ClientHello)
	g.hello.rest = slices.Clone(in.body)
	switch`},

	// Connection IDs.

	{test: "dtls.TestPitfallConnectionIDLengths", file: "dtls/receive.go",
		with: "h, ok := parseHeader13(in, len(id))", without: "h, ok := parseHeader13(in, min(len(id), len(e.ids.remote)))"},
	{test: "dtls.TestPitfallInnerType", file: "dtls/epoch.go",
		with: "for last >= 0 && inner[last] == 0 {", without: "for false {"},
	{test: "dtls.TestPitfallConnectionIDBinding", file: "dtls/header12.go",
		with: "AppendUint16(append(b, id...), uint16(length))", without: "AppendUint16(b, uint16(length))"},
	{test: "dtls.TestPitfallConnectionIDBinding", file: "dtls/epoch.go",
		with: "w.sealer.Seal(b[:header], inner, b[:header], w.next)", without: "w.sealer.Seal(b[:header], inner, b[:1], w.next)",
		more: []defence{{file: "dtls/receive.go", with: "r.opener.Open(body, header, number.Sequence)", without: "r.opener.Open(body, header[:1], number.Sequence)"}}},
	{test: "dtls.TestPitfallReplayFromElsewhere", file: "dtls/receive.go",
		with: "(!r.opened || sequence > r.window.Highest()) && e.latest(r)", without: "true"},

	// What needs no key to end an association.

	{test: "dtls.TestPitfallShortRecords", file: "dtls/receive.go",
		with: "	e.drop(dropAuthentication)\n", without: "\te.err = alert.Peerf(alert.BadRecordMAC, \"a record does not open\")\n"},
	{test: "dtls.TestPitfallHelloRace", file: "dtls/restart.go",
		with: "return s.handshaking() && (", without: "return false && ("},
	{test: "dtls.TestPitfallForgedPlaintext", file: "dtls/receive.go",
		with: "case e.authenticated:", without: "case false:"},

	// ACKs.

	{test: "dtls.TestPitfallACKs", file: "retransmit/flight.go",
		with: "if !slices.Contains(ns, t.number) {", without: "if len(ns) == 0 {"},

	// Keys, nonces, randomness.

	{test: "dtls.TestPitfallExplicitNonce", file: "shared/record/aead.go",
		with: `		dst = binary.BigEndian.AppendUint64(dst, number)`, without: `		number ^= 1 << 47
		dst = binary.BigEndian.AppendUint64(dst, number)`},
	{test: "dtls.TestPitfallNoncesNeverRepeat", file: "dtls/code.go",
		with: "w.version, w.next, w.padding = version, next, padding", without: "w.version, w.padding = version, padding"},
	{test: "shared/handshake.TestPitfallRandoms", file: "shared/handshake/hello.go",
		with: `	rand.Read(b) // never fails`, without: ""},
	{test: "shared/record.TestPitfallFreshIV", file: "shared/record/cbc.go",
		with: "rand.Read(iv[:]) // never fails", without: "rand.Read(iv[:0])"},
	{test: "shared/keys.TestPitfallLabelPrefix", file: "shared/keys/tls13.go",
		with: "return prefixes[s.Transport]", without: "return prefixes[protocol.Stream]"},

	// Padding, time and sizes.

	{test: "shared/record.TestPitfallMACOfSecretLength", file: "shared/record/mac.go",
		with: "i <= (longest+endLen-1)/hashBlockLen; i++", without: "i <= final; i++"},
	{test: "dtls.TestPitfallPaddingOracle", file: "dtls/receive.go",
		with: "	e.drop(dropAuthentication)\n", without: "\te.err = alert.Peerf(alert.BadRecordMAC, \"a record does not open\")\n"},
	{test: "shared/handshake.TestPitfallSuiteNotOffered", file: "shared/handshake/serverhello.go",
		with: "s == nil || !m.hello.suites.Contains(in.CipherSuite) ||", without: "s == nil ||"},
	{test: "shared/record.TestPitfallPaddingTooLong", file: "shared/record/cbc.go",
		with: "if good&subtle.ConstantTimeCompare(expects, came) != 1 {", without: "if good != 1 {"},

	// What the Engines are learned to be.

	{test: "docs/model.TestLearned", file: "shared/handshake/graph.go",
		with: "{ClientCertificate, ClientFinished, V13, ClientCert,", without: "{ClientCertificate, ClientFinished, V13, 0,"},
	{test: "docs/model.TestLearned", file: "shared/handshake/schedule.go",
		with: "if !hmac.Equal(in.VerifyData, m.verifyData(m.role.Peer())) {", without: "if hmac.Equal(in.VerifyData, nil) {"},
	{test: "docs/model.TestLearned", file: "shared/cert/sign.go",
		with: "if !s.verify(public, content, signature) {", without: "if false {"},
	{test: "docs/model.TestLearned", file: "shared/handshake/authenticate.go",
		with: "if len(raw) > 0 || !m.config.requiresClientCert() {", without: "if true {"},
	{test: "docs/model.TestLearned", file: "dtls/receive_handshake.go",
		with: "case outcome != fragment.Old && n.Epoch < e.readLevel():", without: "case false:"},
	{test: "docs/model.TestLearned", file: "dtls/receive.go",
		with: "case !e.machine.Open():", without: "case false:"},
	{test: "docs/model.TestListener", file: "dtls/greet.go",
		with: "if !g.cookies.verify12(from, &in.ClientHello, now) {", without: "if false {"},
}
