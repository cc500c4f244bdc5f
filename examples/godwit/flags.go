package main

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/godwit-dtls/godwit/dtls"
	"github.com/godwit-dtls/godwit/shared/cert"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/suite"
)

// options are what a command line says. What has a field in Config goes there
// at once; files are read by prepare.
type options struct {
	address   string
	transport protocol.Transport
	config    dtls.Config

	certFile, keyFile, stapleFile, caFile, keyLogFile, traceFile, stateFile string

	insecure    bool
	rawKeys     bool
	fingerprint string
	clientAuth  *tls.ClientAuthType // nil if not said
	sni         string
	exporter    exporter
	keyUpdate   bool
	json        bool
	timeout     time.Duration

	reply  *string // nil: echo
	once   int
	send   *string // nil: copy standard input
	early  *string // nil: no 0-RTT
	resume int     // connections after the first

	loss    int // percent of the datagrams each way
	seed    uint64
	svgFile string

	checksPaths bool   // -rrc
	state       *state // nil without -state

	files   []io.Closer
	rekeyed <-chan struct{} // closed when -key-update has taken effect
}

// An exporter is the keying material that -export asks for.
type exporter struct {
	label  string
	length int // bytes
}

// commands is a set of commands.
type commands uint8

const (
	demos commands = 1 << iota
	serves
	connects

	talks = serves | connects
	all   = demos | talks
)

// flagTable has the flags of all commands, as the usage text lists them.
// Without an argument's name a flag is a switch.
var flagTable = []struct {
	of       commands
	name     string
	argument string
	text     string
	set      func(*options, string) error
}{
	{talks, "tls", "", "TLS over TCP instead of DTLS over UDP", setTransport},
	{all, "min", "VERSION", "lowest version, 1.2 or 1.3 (default 1.2; demo: 1.3)", version(func(c *dtls.Config) *uint16 { return &c.MinVersion })},
	{all, "max", "VERSION", "highest version, 1.2 or 1.3 (default 1.3)", version(func(c *dtls.Config) *uint16 { return &c.MaxVersion })},
	{talks, "cert", "FILE", "our certificate chain, PEM; without it a fresh self-signed one, whose fingerprint is printed", text(func(o *options) *string { return &o.certFile })},
	{talks, "key", "FILE", "its private key, PEM", text(func(o *options) *string { return &o.keyFile })},
	{serves, "staple", "FILE", "an OCSP response for it, DER, for clients that ask", text(func(o *options) *string { return &o.stapleFile })},
	{connects, "status", "", "ask the server for an OCSP response, for -json", boolean(func(o *options) *bool { return &o.config.RequestOCSPStaple })},
	{talks, "rpk", "", "raw public keys instead of certificates, ours and the peer's", boolean(func(o *options) *bool { return &o.rawKeys })},
	{talks, "compress", "", "compress certificates with zlib (1.3)", setCompress},
	{talks, "ca", "FILE", "roots that the peer's certificate must lead to, PEM (default: the system's)", text(func(o *options) *string { return &o.caFile })},
	{talks, "insecure", "", "take any certificate, unless -fingerprint is given", boolean(func(o *options) *bool { return &o.insecure })},
	{talks, "fingerprint", "sha-256:HEX", "take the certificate (-rpk: the key) with this fingerprint; with -ca, it must pass both", setFingerprint},
	{serves, "client-auth", "MODE", "client certificates: none, request, require or verify (default none; with -fingerprint: require)", setClientAuth},
	{talks, "sni", "NAME", "the server's name (default: the host of ADDR)", text(func(o *options) *string { return &o.sni })},
	{talks, "psk", "ID:HEX", "a pre-shared key instead of a certificate, in both versions; repeatable. The peer's certificate will do too if -ca, -fingerprint or -insecure says so; ours if -cert gives one", addPSK},
	{serves, "psk-hint", "TEXT", "tell clients of 1.2 which key to use", setPSKHint},
	{talks, "alpn", "A,B", "application protocols, most preferred first", setALPN},
	{all, "groups", "A,B", "key exchange groups, most preferred first", setGroups},
	{all, "ciphers", "A,B", "cipher suites by their IANA names, most preferred first", setCiphers},
	{all, "mtu", "BYTES", "largest UDP payload, kept exactly (default 1200, lowered after timeouts)", setMTU},
	{all, "max-mtu", "BYTES", "find out by probing whether the path carries so much", setMaxMTU},
	{talks, "record-size", "BYTES", "take no more plaintext in one record, 64 to 16384 (record_size_limit); a client says so only with this", setRecordSize},
	{connects, "max-fragment", "BYTES", "ask for no larger plaintexts in both directions: 512, 1024, 2048 or 4096 (max_fragment_length)", setMaxFragment},
	{talks, "no-ems", "", "take 1.2 peers without extended_master_secret", boolean(func(o *options) *bool { return &o.config.InsecureAllowMissingEMS })},
	{talks, "export", "LABEL:LEN", "export LEN bytes of keying material, for -json", setExporter},
	{talks, "keylog", "FILE", "append the secrets in NSS key log format", text(func(o *options) *string { return &o.keyLogFile })},
	{all, "trace", "FILE", "write a qlog of every event (docs/observability.md); demo writes two, trace-client.sqlog and trace-server.sqlog for trace.sqlog", text(func(o *options) *string { return &o.traceFile })},
	{talks, "key-update", "", "change the keys of both directions after the handshake (1.3)", boolean(func(o *options) *bool { return &o.keyUpdate })},
	{talks, "json", "", "print one JSON object per established connection when it ends", boolean(func(o *options) *bool { return &o.json })},
	{talks, "timeout", "DURATION", "bound of the handshake, and in connect of each wait for a reply (default 10s)", setTimeout},
	{talks, "cid", "N", "the peer shall put a connection ID of N bytes on what it sends to us, 0 to 255; 0: none, but send the peer's (DTLS)", setConnectionID},
	{talks, "rrc", "", "with -cid: check that the peer is where its records come from, if it knows how (RFC 9853)", boolean(func(o *options) *bool { return &o.checksPaths })},
	{talks, "state", "FILE", "at the end keep in FILE what is open, its keys included; at the start go on with that (DTLS)", text(func(o *options) *string { return &o.stateFile })},
	{serves, "reply", "TEXT", "answer each record with TEXT instead of itself", optional(func(o *options) **string { return &o.reply })},
	{serves, "once", "N", "end after N connections", setOnce},
	{connects, "send", "TEXT", "send TEXT and print the first reply, instead of copying standard input", optional(func(o *options) **string { return &o.send })},
	{connects, "early", "TEXT", "as -send, but once there is a session to resume, as 0-RTT data (1.3). Whoever records it can send it again. With both, the first connection sends -send's", optional(func(o *options) **string { return &o.early })},
	{connects, "resume", "N", "then connect N times more, and resume the session", setResume},
	{demos, "loss", "PERCENT", "datagrams to lose each way, 0 to 90", setLoss},
	{demos, "seed", "N", "which datagrams are lost (default 1)", setSeed},
	{demos, "svg", "FILE", "draw the ladder as a picture too", text(func(o *options) *string { return &o.svgFile })},
}

// parse reads a command line. Its errors are usage errors or flag.ErrHelp.
func (c command) parse(args []string) (*options, error) {
	o := &options{timeout: 10 * time.Second, seed: 1, transport: protocol.Datagram}
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // status prints the error
	for _, f := range flagTable {
		set := func(value string) error { return f.set(o, value) }
		switch {
		case f.of&c.kind == 0:
		case f.argument == "":
			flags.BoolFunc(f.name, "", set)
		default:
			flags.Func(f.name, "", set)
		}
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil, err
	} else if err != nil {
		return nil, usageError{err}
	}
	switch {
	case c.kind == demos && flags.NArg() > 0:
		return nil, usagef("unexpected argument %q", flags.Arg(0))
	case c.kind != demos && flags.NArg() != 1:
		return nil, usagef("expected one ADDR after the flags, not %q", flags.Args())
	}
	o.address = flags.Arg(0)
	return o, nil
}

// printUsage lists a command's flags.
func (c command) printUsage(w io.Writer) {
	var text strings.Builder
	fmt.Fprintf(&text, "Usage: godwit %s %s\n", c.name, c.arguments)
	for _, f := range flagTable {
		if f.of&c.kind != 0 {
			fmt.Fprintf(&text, "  %-26s %s\n", strings.TrimSpace("-"+f.name+" "+f.argument), f.text)
		}
	}
	io.WriteString(w, text.String())
}

// --- What a flag does with its value

func text(field func(*options) *string) func(*options, string) error {
	return func(o *options, value string) error {
		*field(o) = value
		return nil
	}
}

func optional(field func(*options) **string) func(*options, string) error {
	return func(o *options, value string) error {
		*field(o) = &value
		return nil
	}
}

func boolean(field func(*options) *bool) func(*options, string) error {
	return func(o *options, value string) (err error) {
		*field(o), err = strconv.ParseBool(value)
		return err
	}
}

func version(field func(*dtls.Config) *uint16) func(*options, string) error {
	return func(o *options, value string) error {
		switch value {
		case "1.2":
			*field(&o.config) = dtls.VersionDTLS12
		case "1.3":
			*field(&o.config) = dtls.VersionDTLS13
		default:
			return errors.New("expected 1.2 or 1.3")
		}
		return nil
	}
}

func setTransport(o *options, value string) error {
	stream, err := strconv.ParseBool(value)
	if stream {
		o.transport = protocol.Stream
	} else {
		o.transport = protocol.Datagram
	}
	return err
}

func setCompress(o *options, _ string) error {
	o.config.CertificateCompression = []dtls.CertificateCompressor{dtls.ZlibCompressor{}}
	return nil
}

func setFingerprint(o *options, value string) error {
	o.fingerprint = value
	var e *dtls.Error
	if _, err := cert.ParseFingerprints(value); errors.As(err, &e) {
		return e.Err
	}
	return nil
}

var clientAuthModes = map[string]tls.ClientAuthType{
	"none":    tls.NoClientCert,
	"request": tls.RequestClientCert,
	"require": tls.RequireAnyClientCert,
	"verify":  tls.RequireAndVerifyClientCert,
}

func setClientAuth(o *options, value string) error {
	mode, known := clientAuthModes[value]
	if !known {
		return errors.New("expected none, request, require or verify")
	}
	o.clientAuth = &mode
	return nil
}

func addPSK(o *options, value string) error {
	i := strings.LastIndexByte(value, ':')
	key, err := hex.DecodeString(value[i+1:])
	if i < 0 || err != nil || len(key) == 0 {
		return errors.New("expected an identity, a colon, and a key in hex")
	}
	psk := &dtls.ExternalPSK{Identity: []byte(value[:i]), Key: key, Use: dtls.PSKDirect}
	o.config.Credentials = append(o.config.Credentials, dtls.Credential{PSK: psk})
	return nil
}

func setPSKHint(o *options, value string) error {
	o.config.PSKIdentityHint = []byte(value)
	return nil
}

func setALPN(o *options, value string) error {
	o.config.NextProtos = strings.Split(value, ",")
	return nil
}

func setGroups(o *options, value string) error {
	for name := range strings.SplitSeq(value, ",") {
		g := suite.GroupByName(name)
		if g == nil {
			return fmt.Errorf("%q is not one of %s", name, names(suite.Groups, func(g *suite.Group) string { return g.Name }))
		}
		o.config.CurvePreferences = append(o.config.CurvePreferences, g.ID)
	}
	return nil
}

func setCiphers(o *options, value string) error {
	for name := range strings.SplitSeq(value, ",") {
		s := suite.ByName(name)
		if s == nil {
			return fmt.Errorf("%q is not one of %s", name, names(suite.Table, func(s *suite.Suite) string { return s.Name }))
		}
		o.config.CipherSuites = append(o.config.CipherSuites, s.ID)
	}
	return nil
}

func names[T any](table []T, name func(T) string) string {
	var list []string
	for _, row := range table {
		list = append(list, name(row))
	}
	return strings.Join(list, " ")
}

func setExporter(o *options, value string) error {
	i := strings.LastIndexByte(value, ':')
	length, err := strconv.Atoi(value[i+1:])
	if i < 1 || err != nil || length < 1 || length > 1<<13 {
		return errors.New("expected a label, a colon, and a length of 1 to 8192 bytes")
	}
	o.exporter = exporter{value[:i], length}
	return nil
}

func setTimeout(o *options, value string) (err error) {
	if o.timeout, err = time.ParseDuration(value); err == nil && o.timeout <= 0 {
		return errors.New("expected more than nothing")
	}
	return err
}

// between reads a number from low to high.
func between(value string, low, high int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("expected a number from %d to %d", low, high)
	}
	return n, nil
}

func setMTU(o *options, value string) (err error) {
	o.config.MTU, err = between(value, 228, 65507)
	return err
}

func setMaxMTU(o *options, value string) (err error) {
	o.config.MaxMTU, err = between(value, 228, 65507)
	return err
}

func setRecordSize(o *options, value string) (err error) {
	o.config.RecordSizeLimit, err = between(value, 64, 1<<14)
	return err
}

func setMaxFragment(o *options, value string) (err error) {
	o.config.MaxFragmentLength, err = between(value, 512, 4096) // of which Validate takes four
	return err
}

func setConnectionID(o *options, value string) error {
	n, err := between(value, 0, 255)
	o.config.ConnectionIDs = dtls.RandomConnectionIDs(n)
	return err
}

func setOnce(o *options, value string) (err error) {
	o.once, err = between(value, 1, 1<<30)
	return err
}

func setResume(o *options, value string) (err error) {
	o.resume, err = between(value, 0, 1<<20)
	return err
}

func setLoss(o *options, value string) (err error) {
	o.loss, err = between(value, 0, 90)
	return err
}

func setSeed(o *options, value string) (err error) {
	o.seed, err = strconv.ParseUint(value, 10, 64)
	return err
}
