package differ

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A disagreement is a fault of which two subjects make different things.
type disagreement struct {
	setting      string
	changes      []string
	ours, theirs outcome
}

// A kind is which of the two refuses what the rogue said.
type kind string

const (
	onlyOurs   kind = "godwit refuses, the other goes on"
	onlyTheirs kind = "godwit goes on, the other refuses"
	both       kind = "both refuse, with different alerts"
	neither    kind = "both go on, with different choices"
)

var kinds = []kind{onlyOurs, onlyTheirs, both, neither}

func (d disagreement) kind() kind {
	switch ours, theirs := d.ours.refuses(), d.theirs.refuses(); {
	case ours && theirs:
		return both
	case ours:
		return onlyOurs
	case theirs:
		return onlyTheirs
	}
	return neither
}

func (d disagreement) String() string {
	return fmt.Sprintf("%s\n\t%s\n\tgodwit: %v (%v)\n\tthe other: %v (%v)",
		d.setting, strings.Join(d.changes, "\n\t"), d.ours, d.ours.err, d.theirs, d.theirs.err)
}

// An explanation says why two subjects disagree. It holds where what the two said fits.
type explanation struct {
	kind   kind
	ours   string // a regular expression of godwit's outcome and error; empty: any
	theirs string // likewise
	where  string // of the changes
	why    string
	right  string // what says so
}

var explanations = []explanation{
	// --- godwit refuses

	{kind: onlyOurs, ours: "which was not offered",
		why: "the server's message has an extension that the client has not offered", right: "RFC 9846 4.3: unsupported_extension; RFC 5246 7.4.1.4"},
	{kind: onlyOurs, ours: "an unexpected extension: .* in ",
		why: "an extension stands in a message that it has no place in", right: "RFC 9846 4.3: illegal_parameter"},
	{kind: onlyOurs, ours: "an extension is there twice",
		why: "an extension is there twice; the others look only where they know it", right: "RFC 9846 4.3: there MUST NOT be more than one of the same type"},
	{kind: onlyOurs, ours: "malformed extension: (record_size_limit|max_fragment_length|client_certificate_type|server_certificate_type|connection_id|early_data|certificate_authorities|compress_certificate|delegated_credential|tls_flags|status_request|use_srtp|signed_certificate_timestamp|psk_key_exchange_modes|session_ticket|encrypted_client_hello)|a list of certificate types that says no more",
		why: "the fault has made another extension of one, which godwit reads and the other doesn't", right: "RFC 9846 4.3: what is not recognized is ignored"},
	{kind: onlyOurs, ours: "malformed extension: server_name",
		why: "a name of another type, more than one, or one that is no ASCII", right: "RFC 6066 3: one of each type, in ASCII; no other type was ever defined"},
	{kind: onlyOurs, ours: "a key share is there twice",
		why: "two key shares of one group", right: "RFC 9846 4.3.8: clients MUST NOT, servers MAY check"},
	{kind: onlyOurs, ours: "no certificate on a curve that the peer names",
		why: "the client of 1.2 doesn't name the curve of the server's certificate", right: "RFC 8422 5.3: certificates MUST respect the client's choice of curves"},
	{kind: onlyOurs, ours: "malformed extension: renegotiation_info: .* after its end",
		why: "bytes behind the content of renegotiation_info", right: "RFC 5746 3.2: renegotiated_connection is all there is"},
	{kind: onlyOurs, ours: "extended_master_secret: it has no content",
		why: "extended_master_secret with content", right: "RFC 7627 5.1: it is empty"},
	{kind: onlyOurs, ours: "certificate_request_context has",
		why: "CertificateRequest has a context", right: "RFC 9846 4.4.2: it SHALL be empty during the handshake"},
	{kind: onlyOurs, ours: "CertificateRequest without signature_algorithms",
		why: "CertificateRequest says nothing of signature algorithms", right: "RFC 9846 4.4.2: missing_extension"},
	{kind: onlyOurs, ours: "certificate_types: length",
		why: "CertificateRequest of 1.2 has no certificate types", right: "RFC 5246 7.4.4: there is one or more"},
	{kind: onlyOurs, ours: "no key share: ClientHello of 1.3 without one",
		why: "a hello has supported_groups without key_share", right: "RFC 9846 9.2: missing_extension"},
	{kind: onlyOurs, ours: "session_id: length",
		why: "a session_id of more than 32 bytes", right: "RFC 9846 4.2.2, the syntax"},
	{kind: onlyOurs, ours: "legacy_version of TLS 1.3 is",
		why: "ServerHello of 1.3 has another legacy_version than that of 1.2", right: "RFC 9846 4.2.3: protocol_version"},
	{kind: onlyOurs, ours: "no version in common: none that the client offers",
		why: "a client of DTLS 1.2 names a version that begins with a byte of 127 or less", right: "RFC 6347 4.1: versions of DTLS are complements; what comes after 1.2 is smaller, but not that much"},

	{kind: onlyOurs, ours: "a message is too long",
		why: "a message is longer than any of its kind, which is said before it is read", right: "RFC 9846 6.2: illegal_parameter"},

	// --- the other refuses

	{kind: onlyTheirs, theirs: "illegally modified second ClientHello|didn't send one key share in second",
		why: "a second ClientHello is not as the first", right: "RFC 9846 4.2.2: clients MUST NOT; that servers look is not asked for, and one that keeps nothing for a HelloRetryRequest can't"},
	{kind: onlyTheirs, theirs: "Finished message (is|was) incorrect|bad digest length",
		why: "Finished is wrong, or has a wrong length", right: "RFC 9846 4.5.3, RFC 5246 7.2.2: decrypt_error"},
	{kind: onlyTheirs, theirs: "no suitable signature algorithm",
		why: "signature_algorithms_cert doesn't have what the server's own certificate is signed with", right: "RFC 9846 4.5.1.2: if there is no other it SHOULD go on, as the client may know it"},
	{kind: onlyTheirs, theirs: "bad key share",
		why: "a key share of a group that supported_groups doesn't have", right: "RFC 9846 4.3.8: clients MUST NOT, servers MAY check"},
	{kind: onlyTheirs, theirs: "bad legacy version",
		why: "legacy_version is of SSL 3.0 or before, beside supported_versions", right: "RFC 9846 4.3.1: it MUST NOT be used then; see requirements.md about 4.2.2 [7]"},
	{kind: onlyTheirs, theirs: "invalid ServerKeyExchange|invalid signature by the server",
		why: "a signature of ServerKeyExchange is wrong", right: "RFC 5246 7.2.2: decrypt_error"},
	{kind: onlyTheirs, theirs: "bad ecpoint",
		why: "the public key of ServerKeyExchange is none, and so its signature is wrong, which godwit sees first", right: "RFC 5246 7.2.2: decrypt_error"},

	{kind: onlyTheirs, theirs: "bad extension|error decoding message", where: "CertificateRequest|\\.type ",
		why: "the fault has made another extension of one, which the other reads and godwit doesn't", right: "RFC 9846 4.3, 4.4.2: what is not recognized is ignored"},

	// --- both refuse: what is wrong has an alert of its own, or several faults come together

	{kind: both, ours: "^decode_error: .*(truncated|want \\d+ to \\d+|odd length|after its end|no content)",
		why: "a length is wrong, or out of range, and what is read behind it is something else", right: "RFC 9846 6.2, RFC 5246 7.2.2: decode_error"},
	{kind: both, ours: "an extension is there twice",
		why: "an extension is there twice", right: "RFC 9846 4.3 names no alert; this is what BoringSSL says"},
	{kind: both, ours: "a certificate that can't be parsed",
		why: "a certificate is none", right: "RFC 9846 6.2: decode_error or bad_certificate, as one sees it"},
	{kind: both, ours: "the server's Certificate is empty",
		why: "the server's Certificate is empty", right: "RFC 9846 4.5.1.3: decode_error"},
	{kind: both, ours: "certificate_request_context has",
		why: "a certificate_request_context during the handshake", right: "RFC 9846 6.2: illegal_parameter, as it can be read and is wrong"},
	{kind: both, ours: "a cipher suite that was not offered",
		why: "the server takes a suite that was not offered", right: "RFC 9846 4.2.3: illegal_parameter; RFC 5246 names none"},
	{kind: both, ours: "an application protocol that was not offered|the server selected \\d+ protocols",
		why: "the server takes an application protocol that was not offered, or several", right: "RFC 7301 3.2 names no alert"},
	{kind: both, ours: "no application protocol in common",
		why: "a second ClientHello offers another application protocol", right: "RFC 7301 3.2: no_application_protocol"},
	{kind: both, ours: "legacy_version of TLS 1.3 is",
		why: "ServerHello of 1.3 has another legacy_version than that of 1.2", right: "RFC 9846 4.2.3: protocol_version"},
	{kind: both, ours: "it can select only TLS 1.3|another version than before",
		why: "supported_versions selects what it can't, or is left out behind a HelloRetryRequest", right: "RFC 9846 4.3.1, 4.2.4: illegal_parameter"},
	{kind: both, ours: "a session is resumed that was not offered",
		why: "without supported_versions, ServerHello of 1.3 is one of 1.2 that echoes a session_id", right: "RFC 9846 4.3.1: then the version is legacy_version's"},
	{kind: both, ours: "missing_extension: .*(HelloRetryRequest without supported_versions|without one|without supported_groups|without signature_algorithms)",
		why: "an extension that 1.3 can't do without is missing", right: "RFC 9846 9.2: missing_extension"},
	{kind: both, ours: "which was not offered|an unexpected extension: .* in ",
		why: "an extension that was not offered has taken the place of another, which is missing, or can't be read", right: "RFC 9846 4.3: unsupported_extension, illegal_parameter"},
	{kind: both, ours: "null method is missing",
		why: "a client doesn't offer to do without compression", right: "RFC 9846 4.2.2: illegal_parameter; RFC 5246 names none"},
	{kind: both, ours: "ec_point_formats without uncompressed points",
		why: "a peer says that it has no uncompressed points", right: "RFC 8422 5.1.2: illegal_parameter"},
	{kind: both, ours: "malformed extension: server_name",
		why: "a name of another type, more than one, or one that is no ASCII", right: "RFC 9846 6.2: illegal_parameter, as it can be read and is wrong"},
	{kind: both, ours: "max_fragment_length: got|certificate types that says no more",
		why: "the fault has made another extension of one, whose content can be read and is wrong", right: "RFC 6066 4, RFC 7250 4.1: illegal_parameter"},
	{kind: both, ours: "renegotiation_info does not fit",
		why: "renegotiation_info of a first handshake has content", right: "RFC 5746 3.4, 3.6: handshake_failure"},
	{kind: both, ours: "no cipher suite in common",
		why: "no suite can be used by what else the hello says; the other reads on", right: "RFC 5246 7.4.1.3: handshake_failure"},

	{kind: both, ours: "legacy_compression_method",
		why: "ServerHello of 1.3 has a compression method", right: "RFC 9846 4.2.3: illegal_parameter; decode_error by choice, see requirements.md about 4.2.3 [8]"},
	{kind: both, ours: "protocol_version", where: "ClientHello.version",
		why: "a hello of a version that nobody has any more: crypto/tls tells an application of it", right: "RFC 5246 E.1; both refuse alike"},

	{kind: both, where: "^record ",
		why: "a record is out of place, which its type, its length and its content show", right: "RFC 9846 5, 6.2: the alert is that of what is seen first"},

	{kind: both, where: "\n",
		why: "several faults come together", right: "RFC 9846 6.2: the alert is that of what is seen first"},

	// --- records

	{kind: onlyOurs, where: "^record .*(empty|no length|too small)|other bit", ours: "an empty one|an empty handshake record|malformed ChangeCipherSpec: ,",
		why: "an empty record of handshake messages or ChangeCipherSpec", right: "RFC 9846 5.1, RFC 5246 6.2.1: there MUST be none, but of data"},
	{kind: onlyOurs, where: "^record .*behind empty data", ours: "application data without protection",
		why: "data in the clear, and empty", right: "RFC 9846 5.2, RFC 6347 3: data is protected"},
	{kind: onlyOurs, where: "^record .*HelloRequest",
		why: "HelloRequest during the handshake, or in 1.3", right: "RFC 9846 4: 1.3 has none; in 1.2 a lawful server has no reason to send it then"},
	{kind: onlyOurs, where: "^record .*length of 2\\^14", ours: "record_overflow",
		why: "more than 2^14 bytes in the clear, which the header says already", right: "RFC 9846 5.1, RFC 5246 6.2.1"},
	{kind: onlyOurs, where: "^record .*version 0", ours: "does not speak TLS",
		why: "the first record has a version that is not of TLS", right: "RFC 9846 5.1 says to ignore it; here it tells other protocols"},
	{kind: onlyOurs, where: "^record .*behind ChangeCipherSpec", ours: "ChangeCipherSpec after Finished|a protected one",
		why: "ChangeCipherSpec in 1.3 behind Finished, or protected", right: "RFC 9846 5: unexpected_message"},
	{kind: onlyOurs, where: "^record .*alert in the clear", ours: "the peer sent the alert",
		why: "an alert in the clear before a record under the peer's new keys has opened", right: "architecture.md: it counts as if it were authenticated until then; a client of 1.3 that can't read ServerHello has no other way to say so"},
	{kind: onlyOurs, where: "^record .*as (a handshake message|an alert|an ACK|an unknown type|ChangeCipherSpec)", ours: "malformed|an ACK|of content type",
		why: "a record of DTLS that opens, or comes before there are keys, is not of its type", right: "RFC 9147 4.5.2, RFC 6347 4.1.2.7 have silence for what doesn't authenticate; what does is judged as in TLS"},
	{kind: onlyOurs, ours: "contradict each other",
		why: "fragments of a message disagree about its type, its length or its bytes", right: "RFC 9147 5.5: illegal_parameter; OpenSSL has the bytes that came last"},
	{kind: onlyOurs, where: "^record .*in epoch 0",
		why: "garbage in epoch 0 before a record under the peer's new keys has opened", right: "architecture.md: it counts as if it were authenticated until then"},

	{kind: onlyTheirs, where: "^record .*(warning|user_canceled|no_renegotiation)",
		why: "a warning in 1.2, or before the version is known; OpenSSL 3.0 takes one of DTLS for many, no_renegotiation for the end, and none before a ClientHello or between ChangeCipherSpec and Finished", right: "RFC 5246 7.2.2: the receiver may go on"},
	{kind: onlyTheirs, where: "^record .*behind (empty data|an empty record|many empty records)", theirs: "^closes",
		why: "empty data: SSL_read of OpenSSL 3.0 fails over datagrams", right: "RFC 5246 6.2.1: empty fragments of data are allowed"},
	{kind: onlyTheirs, where: "^record .*close_notify",
		why: "data behind close_notify over datagrams: godwit has delivered what came, and nothing is delivered behind it", right: "RFC 9147 5.10"},
	{kind: onlyTheirs, where: "^record .*empty fragment",
		why: "a fragment without bytes before the message: OpenSSL 3.0 takes it for all of it", right: "RFC 9147 5.5, RFC 6347 4.2.3"},
	{kind: onlyTheirs, where: "^record .*behind ChangeCipherSpec",
		why: "ChangeCipherSpec before ServerHello, which is dropped", right: "RFC 9846 5: it may come at any time after the first ClientHello"},
	{kind: onlyTheirs, where: "^record 0, .*as an ACK",
		why: "an ACK as the first record over datagrams", right: "RFC 9147 7: before 1.3 is known it says nothing, and is dropped"},
	{kind: onlyTheirs, where: "^record ", ours: "^can't be opened: .*(protocol_version|unexpected_message|record_overflow)",
		why: "godwit refuses, too, under keys that the rogue doesn't have", right: "RFC 9846 6"},
	{kind: onlyTheirs, where: "^record ", ours: "does not authenticate",
		why: "a record doesn't open: others see first that its type is wrong, or that it is too short", right: "RFC 9846 5.2: bad_record_mac"},
	{kind: onlyTheirs, theirs: "excessive message size", where: "^record ",
		why: "a message that is not due yet, and longer than any", right: "godwit waits for all that is due first"},

	{kind: neither, where: "^record .*(later number|last number|ChangeCipherSpec in the clear)",
		why: "a number far ahead in the clear: OpenSSL takes its window along, and drops what follows", right: "RFC 9147 4.5.1: nothing before the keys is authenticated, so that godwit has no window there"},
	{kind: neither, where: "^record .*with version 1.3",
		why: "the first record over datagrams has version 1.3", right: "see architecture.md: what says neither 1.2 nor 1.0 is dropped"},
	{kind: neither, where: "^record .*(behind data|the same again)", theirs: "delivers",
		why: "data between ChangeCipherSpec and Finished: OpenSSL keeps it over datagrams, and delivers it behind Finished", right: "CVE-2014-8176; godwit drops it, and it may be sent again"},
	{kind: neither, where: "^record ", ours: "does not authenticate",
		why: "a record doesn't open: others see first that in the clear it should not be", right: "RFC 9846 5.2: bad_record_mac"},

	// --- both go on

	{kind: neither, ours: "record .* does not authenticate", theirs: "bad_record_mac",
		why: "both end with bad_record_mac; godwit's alert goes under its new keys already, OpenSSL's in the clear", right: "RFC 9846 6"},
	{kind: neither, where: "supported_groups",
		why: "the order of groups: godwit keeps to its own where CurvePreferences is set, others to the client's", right: "RFC 8422 4, RFC 9846 4.3.7: either"},
	{kind: neither, where: "signature_algorithms",
		why: "the order of signature algorithms: godwit prefers what it likes best, others what the client does", right: "RFC 9846 4.3.3: the client's preference is a wish"},
	{kind: neither, where: "ClientHello.version",
		why: "a hello of 1.2 with another version: crypto/tls tells an application of those that its number might mean", right: "RFC 5246 E.1; both choose the same"},
	{kind: neither, where: "ec_point_formats",
		why: "godwit tells an application of uncompressed points alone, the only ones that there are", right: "RFC 8422 5.1.2"},
}

// explain finds the explanation of a disagreement.
func explain(d disagreement) *explanation {
	for i, e := range explanations {
		if e.kind == d.kind() && fits(e.ours, d.ours) && fits(e.theirs, d.theirs) &&
			regexp.MustCompile(e.where).MatchString(strings.Join(d.changes, "\n")) {
			return &explanations[i]
		}
	}
	return nil
}

func fits(expression string, o outcome) bool {
	return regexp.MustCompile(expression).MatchString(fmt.Sprintf("%v: %v", o, o.err))
}

// refuses reports whether a subject has found fault with what the rogue said, and not only
// with a signature, a Finished or a record for which the rogue has gone by something else.
func (o outcome) refuses() bool {
	goesOn := []string{"", "decrypt_error", "bad_record_mac", errUnreadable.Error()}
	return o.closed && o.alert == "" || !slices.Contains(goesOn, o.alert)
}
