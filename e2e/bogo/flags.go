package main

import (
	"crypto"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
)

// A plan is what the flags of one test say about its connections.
type plan struct {
	initial *settings // the first
	resumed *settings // those that resume its session
	retried *settings // the attempt after 0-RTT data were rejected
}

func newPlan() *plan { return &plan{newSettings(), newSettings(), newSettings()} }

// settings are those of connection i.
func (p *plan) settings(i int) *settings {
	if i == 0 {
		return p.initial
	}
	return p.resumed
}

// scope takes off a flag's name what says which connections it is about.
func (p *plan) scope(flag string) (about []*settings, name string) {
	for prefix, s := range map[string]*settings{
		"on-initial-": p.initial, "on-resume-": p.resumed, "on-retry-": p.retried,
	} {
		if name, ok := strings.CutPrefix(flag, prefix); ok {
			return []*settings{s}, name
		}
	}
	return []*settings{p.initial, p.resumed, p.retried}, flag
}

// A flag is how one flag changes the settings.
type flag struct {
	takesValue bool
	set        func(s *settings, value string) error
}

// flags is every flag that this library can serve. A test with another one is
// skipped.
var flags = map[string]flag{
	"is-handshaker-supported": truth(func(s *settings) *bool { return &s.askedForHandshaker }),

	"port":    number(func(s *settings) *int { return &s.port }),
	"ipv6":    truth(func(s *settings) *bool { return &s.ipv6 }),
	"shim-id": number(func(s *settings) *uint64 { return &s.shimID }),

	"dtls":                         truth(func(s *settings) *bool { return &s.dtls }),
	"server":                       truth(func(s *settings) *bool { return &s.server }),
	"async":                        ignored, // of BoringSSL's I/O; an Engine never blocks
	"renegotiate-freely":           ignored, // tests of its refusal have it too
	"trust-cert":                   ignoredValue,
	"no-tls1":                      ignored, // there is no such version here
	"no-tls11":                     ignored,
	"server-preference":            ignored,      // always so
	"expect-cipher-no-aes":         ignoredValue, // the order of suites is fixed, AES first
	"no-tls12":                     truth(func(s *settings) *bool { return &s.noTLS12 }),
	"no-tls13":                     truth(func(s *settings) *bool { return &s.noTLS13 }),
	"min-version":                  number(func(s *settings) *uint16 { return &s.minVersion }),
	"max-version":                  number(func(s *settings) *uint16 { return &s.maxVersion }),
	"cipher":                       {true, setSuites},
	"curves-flags":                 {true, appendGroupFlag},
	"curves":                       {true, appendGroup},
	"key-shares":                   groups(func(s *settings) *[]tls.CurveID { return &s.keyShares }),
	"server-supported-groups-hint": groups(func(s *settings) *[]tls.CurveID { return &s.serverGroups }),
	"no-legacy-server-connect":     truth(func(s *settings) *bool { return &s.secureRenegotiation }),
	"fallback-scsv":                truth(func(s *settings) *bool { return &s.fallsBack }),
	"no-key-shares":                {false, func(s *settings, _ string) error { s.keyShares = []tls.CurveID{}; return nil }},
	"host-name":                    text(func(s *settings) *string { return &s.hostName }),
	"no-server-name-ack":           truth(func(s *settings) *bool { return &s.ignoreName }),
	"advertise-alpn":               {true, setProtocols},
	"select-alpn":                  {true, selectProtocol},
	"select-empty-alpn":            truth(func(s *settings) *bool { return &s.selectEmptyProtocol }),
	"decline-alpn":                 ignored, // so does a server without protocols
	"reject-alpn":                  truth(func(s *settings) *bool { return &s.rejectProtocols }),
	"allow-unknown-alpn-protos":    truth(func(s *settings) *bool { return &s.allowUnknownProtocol }),
	"srtp-profiles":                {true, setSRTPProfiles},
	"use-early-callback":           ignored, // it is there in any case: see configuration
	"fail-early-callback":          truth(func(s *settings) *bool { return &s.failHello }),
	"install-ddos-callback":        ignored,
	"fail-ddos-callback":           truth(func(s *settings) *bool { return &s.failLateHello }),
	"ech-config-list":              encoded(func(s *settings) *[]byte { return &s.echConfigs }),
	"reject-unusable-ech-config":   truth(func(s *settings) *bool { return &s.echMustBeUsable }),
	"enable-ech-grease":            truth(func(s *settings) *bool { return &s.echGrease }),
	"enable-grease":                truth(func(s *settings) *bool { return &s.grease }),
	"permute-extensions":           ignored, // so does -enable-grease, which is always beside it
	"ech-server-config":            {true, appendECHKey},
	"ech-server-key":               encoded(func(s *settings) *[]byte { return &s.echKey().PrivateKey }),
	"ech-is-retry-config":          {true, func(s *settings, v string) error { s.echKey().SendAsRetry = v == "1"; return nil }},
	"mtu":                          number(func(s *settings) *int { return &s.mtu }),
	"initial-timeout-duration-ms":  milliseconds(func(s *settings) *time.Duration { return &s.initialTimeout }),

	"new-x509-credential":         newCredential(credential{}),
	"new-delegated-credential":    newCredential(credential{}),
	"new-rpk-credential":          newCredential(credential{raw: true}),
	"delegated-credential":        encoded(func(s *settings) *[]byte { return &s.credential().delegated }),
	"cert-file":                   {true, func(s *settings, v string) error { s.credential().chainFile = v; return nil }},
	"key-file":                    {true, func(s *settings, v string) error { s.credential().keyFile = v; return nil }},
	"signing-prefs":               list(func(s *settings) *[]tls.SignatureScheme { return &s.credential().schemes }),
	"available-client-cert-types": list(func(s *settings) *[]dtls.CertificateType { return &s.certificateTypes }),
	"must-match-issuer":           {false, func(s *settings, _ string) error { s.credential().matchIssuer = true; return nil }},

	"new-psk-credential": {false, func(s *settings, _ string) error {
		s.credentials = append(s.credentials, &credential{psk: new(dtls.ExternalPSK)})
		return nil
	}},
	"psk-importer-key":      encoded(func(s *settings) *[]byte { return &s.credential().psk.Key }),
	"psk-importer-identity": encoded(func(s *settings) *[]byte { return &s.credential().psk.Identity }),
	"psk-importer-context":  encoded(func(s *settings) *[]byte { return &s.credential().psk.Context }),
	"psk-importer-sha256":   {false, func(s *settings, _ string) error { s.credential().psk.Hash = crypto.SHA256; return nil }},
	"psk-importer-sha384":   {false, func(s *settings, _ string) error { s.credential().psk.Hash = crypto.SHA384; return nil }},
	"psk":                   {true, func(s *settings, v string) error { s.psk12.Key = []byte(v); return nil }},
	"psk-identity":          {true, func(s *settings, v string) error { s.psk12.Identity = []byte(v); return nil }},

	"ocsp-response":          encoded(func(s *settings) *[]byte { return &s.credential().staple }),
	"signed-cert-timestamps": {true, setTimestamps},

	"use-old-client-cert-callback": ignored, // there is always one
	"fail-cert-callback":           truth(func(s *settings) *bool { return &s.failCertificate }),
	"private-key-delay-ms":         milliseconds(func(s *settings) *time.Duration { return &s.privateKeyDelay }),

	"verify-prefs":                   {true, appendPeerScheme},
	"use-client-ca-list":             authorities(func(s *settings) *[][]byte { return &s.authorities }),
	"verify-peer":                    truth(func(s *settings) *bool { return &s.verifyPeer }),
	"use-custom-verify-callback":     truth(func(s *settings) *bool { return &s.verifyCustom }),
	"verify-fail":                    truth(func(s *settings) *bool { return &s.verifyFails }),
	"require-any-client-certificate": truth(func(s *settings) *bool { return &s.requireCertificate }),
	"accepted-peer-cert-types":       list(func(s *settings) *[]dtls.CertificateType { return &s.peerTypes }),
	"max-cert-list":                  number(func(s *settings) *int { return &s.maxCertificateList }),
	"install-cert-compression-algs": {false, func(s *settings, _ string) error {
		s.compressors = compressors
		return nil
	}},
	"install-one-cert-compression-alg": {true, setCompressor},

	"resume-count":                    number(func(s *settings) *int { return &s.resumptions }),
	"resumption-delay":                seconds(func(s *settings) *time.Duration { return &s.resumptionDelay }),
	"resumption-across-names-enabled": truth(func(s *settings) *bool { return &s.acrossNames }),
	"no-ticket":                       truth(func(s *settings) *bool { return &s.noTickets }),
	"ticket-key":                      {true, setTicketKey},
	"use-ticket-callback":             {false, setTicketCallback},
	"use-ticket-aead-callback":        {false, setTicketCallback},
	"skip-ticket":                     truth(func(s *settings) *bool { return &s.tickets.skip }),
	"renew-ticket":                    truth(func(s *settings) *bool { return &s.tickets.renew }),
	"enable-early-data":               truth(func(s *settings) *bool { return &s.earlyData }),
	"early-write-after-message":       number(func(s *settings) *int { return &s.earlyWriteAfter }),
	"reverify-on-resume":              truth(func(s *settings) *bool { return &s.reverifies }),
	"enable-ocsp-stapling":            truth(func(s *settings) *bool { return &s.requestStaple }),
	"enable-signed-cert-timestamps":   truth(func(s *settings) *bool { return &s.requestTimestamps }),
	"use-ocsp-callback":               truth(func(s *settings) *bool { return &s.useStapleCallback }),
	"fail-ocsp-callback":              truth(func(s *settings) *bool { return &s.failStaple }),
	"decline-ocsp-callback":           truth(func(s *settings) *bool { return &s.declineStaple }),
	"set-ocsp-in-callback":            truth(func(s *settings) *bool { return &s.stapleInCallback }),

	"implicit-handshake":         truth(func(s *settings) *bool { return &s.implicitHandshake }),
	"no-op-extra-handshake":      truth(func(s *settings) *bool { return &s.handshakeTwice }),
	"shim-writes-first":          truth(func(s *settings) *bool { return &s.writesFirst }),
	"shim-initial-write":         text(func(s *settings) *string { return &s.firstWrite }),
	"repeat-shim-initial-write":  number(func(s *settings) *int { return &s.firstWrites }),
	"shim-shuts-down":            truth(func(s *settings) *bool { return &s.shutsDown }),
	"check-close-notify":         truth(func(s *settings) *bool { return &s.checkCloseNotify }),
	"read-size":                  number(func(s *settings) *int { return &s.readSize }),
	"key-update":                 truth(func(s *settings) *bool { return &s.keyUpdate }),
	"key-update-before-read":     truth(func(s *settings) *bool { return &s.keyUpdateBeforeRead }),
	"read-with-unfinished-write": truth(func(s *settings) *bool { return &s.unfinishedWrite }),
	"export-keying-material":     number(func(s *settings) *int { return &s.exportLength }),
	"export-label":               text(func(s *settings) *string { return &s.exportLabel }),
	"export-context":             text(func(s *settings) *string { return &s.exportContext }),
	"use-export-context":         truth(func(s *settings) *bool { return &s.exportsContext }),
	"tls-unique":                 truth(func(s *settings) *bool { return &s.exportUnique }),
	"peek-then-read":             truth(func(s *settings) *bool { return &s.peeks }),
	"send-alert":                 truth(func(s *settings) *bool { return &s.aborts }),
	"max-send-fragment":          number(func(s *settings) *int { return &s.maxFragment }),
	"export-traffic-secrets":     truth(func(s *settings) *bool { return &s.exportSecrets }),

	"expect-selected-credential":        given(func(s *settings) **int { return &s.expect.credential }),
	"expect-server-name":                given(func(s *settings) **string { return &s.expect.serverName }),
	"expect-no-server-name":             {false, func(s *settings, _ string) error { s.expect.serverName = new(""); return nil }},
	"expect-alpn":                       given(func(s *settings) **string { return &s.expect.protocol }),
	"expect-advertised-alpn":            given(func(s *settings) **string { return &s.expect.offeredProtocols }),
	"expect-ech-accept":                 truth(func(s *settings) *bool { return &s.expect.ech }),
	"expect-ech-retry-configs":          encoded(func(s *settings) *[]byte { return &s.expect.echRetry }),
	"expect-no-ech-retry-configs":       truth(func(s *settings) *bool { return &s.expect.noECHRetry }),
	"expect-ech-name-override":          given(func(s *settings) **string { return &s.expect.publicName }),
	"expect-no-ech-name-override":       {false, func(s *settings, _ string) error { s.expect.publicName = new(""); return nil }},
	"expect-hrr":                        {false, func(s *settings, _ string) error { s.expect.retry = new(true); return nil }},
	"expect-no-hrr":                     {false, func(s *settings, _ string) error { s.expect.retry = new(false); return nil }},
	"expect-curve-id":                   given(func(s *settings) **tls.CurveID { return &s.expect.group }),
	"expect-cipher":                     given(func(s *settings) **uint16 { return &s.expect.suite }),
	"expect-cipher-aes":                 given(func(s *settings) **uint16 { return &s.expect.suite }),
	"expect-version":                    given(func(s *settings) **uint16 { return &s.expect.version }),
	"expect-peer-signature-algorithm":   given(func(s *settings) **tls.SignatureScheme { return &s.expect.peerScheme }),
	"expect-secure-renegotiation":       {false, func(s *settings, _ string) error { s.expect.secureRenegotiation = new(true); return nil }},
	"expect-extended-master-secret":     truth(func(s *settings) *bool { return &s.expect.extendedMasterSecret }),
	"expect-peer-cert-file":             text(func(s *settings) *string { return &s.expect.peerChainFile }),
	"expect-peer-certificate-type":      given(func(s *settings) **dtls.CertificateType { return &s.expect.peerType }),
	"expect-peer-rpk-sha256":            encoded(func(s *settings) *[]byte { return &s.expect.peerKeyHash }),
	"expect-no-peer-cert":               truth(func(s *settings) *bool { return &s.expect.noPeerCertificate }),
	"expect-ocsp-response":              encoded(func(s *settings) *[]byte { return &s.expect.staple }),
	"expect-signed-cert-timestamps":     encoded(func(s *settings) *[]byte { return &s.expect.timestamps }),
	"expect-verify-result":              truth(func(s *settings) *bool { return &s.expect.verifyResult }),
	"expect-peer-verify-pref":           list(func(s *settings) *[]tls.SignatureScheme { return &s.expect.offeredSchemes }),
	"expect-certificate-types":          encoded(func(s *settings) *[]byte { return &s.expect.offeredTypes }),
	"expect-client-ca-list":             authorities(func(s *settings) *[][]byte { return &s.expect.offeredAuthorities }),
	"expect-session-miss":               truth(func(s *settings) *bool { return &s.expect.sessionMiss }),
	"expect-no-session":                 truth(func(s *settings) *bool { return &s.expect.noSession }),
	"expect-session-id":                 {false, func(s *settings, _ string) error { s.expect.cached = new(true); return nil }},
	"expect-no-session-id":              {false, func(s *settings, _ string) error { s.expect.cached = new(false); return nil }},
	"expect-ticket-age-skew":            seconds(func(s *settings) *time.Duration { return &s.expect.ticketAgeSkew }),
	"expect-resumable-across-names":     {false, func(s *settings, _ string) error { s.expect.acrossNames = new(true); return nil }},
	"expect-not-resumable-across-names": {false, func(s *settings, _ string) error { s.expect.acrossNames = new(false); return nil }},
	"expect-ticket-renewal":             truth(func(s *settings) *bool { return &s.expect.renewal }),

	"expect-accept-early-data":          truth(func(s *settings) *bool { return &s.expect.acceptsEarlyData }),
	"expect-reject-early-data":          truth(func(s *settings) *bool { return &s.expect.rejectsEarlyData }),
	"expect-no-offer-early-data":        truth(func(s *settings) *bool { return &s.expect.offersNoEarlyData }),
	"expect-early-data-reason":          given(func(s *settings) **string { return &s.expect.earlyDataReason }),
	"expect-ticket-supports-early-data": truth(func(s *settings) *bool { return &s.expect.earlySession }),

	"expect-msg-callback": given(func(s *settings) **string { return &s.expect.messages }),
}

// parseFlags reads the command line. An unknown flag is errUnimplemented.
func parseFlags(arguments []string) (*plan, error) {
	p := newPlan()
	for len(arguments) > 0 {
		about, name := p.scope(strings.TrimLeft(arguments[0], "-"))
		f, ok := flags[name]
		if !ok {
			return nil, fmt.Errorf("flag -%s: %w", name, errUnimplemented)
		}
		value := ""
		if arguments = arguments[1:]; f.takesValue {
			if len(arguments) == 0 {
				return nil, fmt.Errorf("flag -%s: no value", name)
			}
			value, arguments = arguments[0], arguments[1:]
		}
		for _, s := range about {
			if err := f.set(s, value); err != nil {
				return nil, fmt.Errorf("flag -%s %q: %w", name, value, err)
			}
		}
	}
	return p, nil
}

func newSettings() *settings {
	return &settings{
		suites: everySuite(), psk12: dtls.ExternalPSK{Use: dtls.PSKDirect12},
		firstWrite: "hello", firstWrites: 1, initialTimeout: 400 * time.Millisecond,
	}
}

// --- Kinds of flags

var (
	ignored      = flag{false, func(*settings, string) error { return nil }}
	ignoredValue = flag{true, func(*settings, string) error { return nil }}
)

func truth(field func(*settings) *bool) flag {
	return flag{false, func(s *settings, _ string) error {
		*field(s) = true
		return nil
	}}
}

func text(field func(*settings) *string) flag {
	return flag{true, func(s *settings, v string) error {
		*field(s) = v
		return nil
	}}
}

// encoded is a value in base64.
func encoded(field func(*settings) *[]byte) flag {
	return flag{true, func(s *settings, v string) (err error) {
		*field(s), err = base64.StdEncoding.DecodeString(v)
		return err
	}}
}

func number[T ~int | ~uint16 | ~uint64](field func(*settings) *T) flag {
	return flag{true, func(s *settings, v string) error { return scan(v, field(s)) }}
}

func milliseconds(field func(*settings) *time.Duration) flag {
	return duration(field, time.Millisecond)
}
func seconds(field func(*settings) *time.Duration) flag { return duration(field, time.Second) }

func duration(field func(*settings) *time.Duration, unit time.Duration) flag {
	return flag{true, func(s *settings, v string) error {
		var n int
		err := scan(v, &n)
		*field(s) = time.Duration(n) * unit
		return err
	}}
}

// list is a value that may come several times.
func list[T ~uint8 | ~uint16](field func(*settings) *[]T) flag {
	return flag{true, func(s *settings, v string) error {
		var one T
		err := scan(v, &one)
		*field(s) = append(*field(s), one)
		return err
	}}
}

// authorities are distinguished names in hex, with commas between them.
func authorities(list func(s *settings) *[][]byte) flag {
	return flag{true, func(s *settings, v string) error {
		*list(s) = [][]byte{}
		if v == "<EMPTY>" || v == "<NULL>" {
			return nil
		}
		for digits := range strings.SplitSeq(v, ",") {
			name, err := hex.DecodeString(digits)
			if err != nil {
				return err
			}
			*list(s) = append(*list(s), name)
		}
		return nil
	}}
}

// newCredential begins a credential, which the flags that follow are about.
func newCredential(c credential) flag {
	return flag{false, func(s *settings, _ string) error {
		s.credentials = append(s.credentials, new(c))
		return nil
	}}
}

// given is a value that nil stands for the absence of.
func given[T ~int | ~uint8 | ~uint16 | ~string](field func(*settings) **T) flag {
	return flag{true, func(s *settings, v string) error {
		*field(s) = new(T)
		return scan(v, *field(s))
	}}
}

// scan reads a value; a number is decimal.
func scan(v string, into any) error {
	switch into := into.(type) {
	case *string:
		*into = v
		return nil
	case *uint64:
		n, err := strconv.ParseUint(v, 10, 64)
		*into = n
		return err
	}
	_, err := fmt.Sscanf(v, "%d", into)
	return err
}

// groups is a flag that comes once for each group.
func groups(field func(*settings) *[]tls.CurveID) flag {
	return flag{true, func(s *settings, v string) error {
		var id tls.CurveID
		err := scan(v, &id)
		*field(s) = append(*field(s), id)
		return err
	}}
}

// --- Flags that need more

func appendGroup(s *settings, v string) error {
	var id tls.CurveID
	err := scan(v, &id)
	if !works(&dtls.Config{CurvePreferences: []tls.CurveID{id, tls.X25519}}) {
		return errUnimplemented
	}
	s.groups = append(s.groups, id)
	return err
}

func appendGroupFlag(s *settings, v string) error {
	var flag int
	err := scan(v, &flag)
	s.groupFlags = append(s.groupFlags, flag)
	return err
}

// selectProtocol is a server's one protocol, or none.
func selectProtocol(s *settings, v string) error {
	if s.protocols = nil; v != "" {
		s.protocols = []string{v}
	}
	return nil
}

// setProtocols reads a ProtocolNameList (RFC 7301 3.1) without its length.
func setProtocols(s *settings, v string) error {
	for len(v) > 0 {
		n := int(v[0])
		if len(v) < 1+n {
			return fmt.Errorf("a protocol name of %d bytes is cut short", n)
		}
		s.protocols = append(s.protocols, v[1:1+n])
		v = v[1+n:]
	}
	return nil
}

// setSRTPProfiles reads names with ":" between them. OpenSSL's are shorter than
// IANA's, which name the HMAC too.
func setSRTPProfiles(s *settings, v string) error {
	profiles := map[string]dtls.SRTPProfile{
		"SRTP_AES128_CM_SHA1_80": dtls.SRTPAES128CMHMACSHA1_80,
		"SRTP_AES128_CM_SHA1_32": dtls.SRTPAES128CMHMACSHA1_32,
	}
	for name := range strings.SplitSeq(v, ":") {
		p, ok := profiles[name]
		if !ok {
			return errUnimplemented
		}
		s.srtpProfiles = append(s.srtpProfiles, p)
	}
	return nil
}

// works reports whether the library has what a Config names.
func works(config *dtls.Config) bool {
	config.InsecureSkipVerify = true
	_, err := dtls.NewClientEngine(config)
	return err == nil
}
