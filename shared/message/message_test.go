package message_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/godwit-dtls/godwit/shared/alert"
	"github.com/godwit-dtls/godwit/shared/message"
	"github.com/godwit-dtls/godwit/shared/protocol"
	"github.com/godwit-dtls/godwit/shared/wire"
)

// source makes random contents.
type source struct{ *rand.Rand }

func newSource(seed uint64) source { return source{rand.New(rand.NewPCG(seed, 0))} }

// bytes returns least to most random bytes.
func (s source) bytes(least, most int) []byte {
	b := make([]byte, least+s.IntN(most-least+1))
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return b
}

func (s source) uint16s() message.Uint16s {
	n := 1 + s.IntN(20)
	return message.Uint16s(s.bytes(2*n, 2*n))
}

// list returns up to five random strings; nil, as Parse does, for none.
func (s source) list(least, most int) (l [][]byte) {
	for range s.IntN(6) {
		l = append(l, s.bytes(least, most))
	}
	return l
}

// extensions returns a block of up to 79 extensions, so that both ways of
// looking for duplicates are taken.
func (s source) extensions() message.Extensions {
	var b wire.Builder
	first := s.IntN(1 << 16)
	for i := range s.IntN(80) {
		message.AppendExtension(&b, protocol.ExtensionType(first+i), func() { b.Raw(s.bytes(0, 9)) })
	}
	block, _ := b.Bytes()
	return append(message.Extensions{}, block...)
}

// appender is a message but for ClientHello, which also takes a transport.
type appender interface{ Append(*wire.Builder) }

// A sample makes a message of random contents, to be parsed as type and version.
type sample struct {
	name    string
	typ     protocol.HandshakeType
	version protocol.Version
	make    func(s source) any
}

func clientHello(s source, cookie []byte) *message.ClientHello {
	return &message.ClientHello{
		Version: protocol.Version(s.Uint32()), Random: s.bytes(32, 32), SessionID: s.bytes(0, 32), Cookie: cookie,
		CipherSuites: s.uint16s(), Compression: s.bytes(1, 3), Extensions: s.extensions(),
	}
}

func serverHello(s source) *message.ServerHello {
	return &message.ServerHello{
		Version: protocol.Version(s.Uint32()), Random: s.bytes(32, 32), SessionID: s.bytes(0, 32),
		CipherSuite: uint16(s.Uint32()), Compression: uint8(s.Uint32()), Extensions: s.extensions(),
	}
}

var samples = []sample{
	{"HelloRequest", protocol.HelloRequest, protocol.VersionTLS12, func(source) any { return &message.Empty{} }},
	{"ServerHelloDone", protocol.ServerHelloDone, protocol.VersionDTLS12, func(source) any { return &message.Empty{} }},
	{"EndOfEarlyData", protocol.EndOfEarlyData, protocol.VersionTLS13, func(source) any { return &message.Empty{} }},
	{"ClientHello over a stream", protocol.ClientHello, protocol.VersionTLS13, func(s source) any { return clientHello(s, nil) }},
	{"ClientHello over datagrams", protocol.ClientHello, protocol.VersionDTLS13, func(s source) any { return clientHello(s, s.bytes(0, 255)) }},
	{"ClientHello without extensions", protocol.ClientHello, protocol.VersionDTLS12, func(s source) any {
		hello := clientHello(s, s.bytes(0, 255))
		hello.Extensions = nil
		return hello
	}},
	{"HelloVerifyRequest", protocol.HelloVerifyRequest, protocol.VersionDTLS12, func(s source) any {
		return &message.HelloVerifyRequest{Version: protocol.Version(s.Uint32()), Cookie: s.bytes(0, 255)}
	}},
	{"ServerHello", protocol.ServerHello, protocol.VersionTLS13, func(s source) any { return serverHello(s) }},
	{"ServerHello without extensions", protocol.ServerHello, protocol.VersionTLS12, func(s source) any {
		hello := serverHello(s)
		hello.Extensions = nil
		return hello
	}},
	{"EncryptedExtensions", protocol.EncryptedExtensions, protocol.VersionTLS13, func(s source) any {
		return &message.EncryptedExtensions{Extensions: s.extensions()}
	}},
	{"CertificateRequest12", protocol.CertificateRequest, protocol.VersionTLS12, func(s source) any {
		return &message.CertificateRequest12{Types: s.bytes(1, 9), Schemes: s.uint16s(), Authorities: s.list(1, 99)}
	}},
	{"CertificateRequest13", protocol.CertificateRequest, protocol.VersionDTLS13, func(s source) any {
		return &message.CertificateRequest13{Context: s.bytes(0, 255), Extensions: s.extensions()}
	}},
	{"Certificate12", protocol.Certificate, protocol.VersionDTLS12, func(s source) any {
		return &message.Certificate12{Chain: s.list(1, 500)}
	}},
	{"Certificate13", protocol.Certificate, protocol.VersionTLS13, func(s source) any {
		m := &message.Certificate13{Context: s.bytes(0, 255)}
		for _, der := range s.list(1, 500) {
			m.Entries = append(m.Entries, message.CertificateEntry{Data: der, Extensions: s.extensions()})
		}
		return m
	}},
	{"CompressedCertificate", protocol.CompressedCertificate, protocol.VersionTLS13, func(s source) any {
		return &message.CompressedCertificate{Algorithm: uint16(s.Uint32()), Length: s.IntN(1 << 24), Compressed: s.bytes(1, 500)}
	}},
	{"CertificateStatus", protocol.CertificateStatus, protocol.VersionTLS12, func(s source) any {
		return &message.CertificateStatus{Response: s.bytes(1, 500)}
	}},
	{"ServerKeyExchange", protocol.ServerKeyExchange, protocol.VersionTLS12, func(s source) any {
		m := &message.ServerKeyExchange{Group: uint16(s.Uint32()), Public: s.bytes(1, 255), Scheme: uint16(s.Uint32()), Signature: s.bytes(0, 300)}
		m.Params = appended(func(b *wire.Builder) { message.AppendECDHEParams(b, m.Group, m.Public) })
		return m
	}},
	{"ClientKeyExchange", protocol.ClientKeyExchange, protocol.VersionTLS12, func(s source) any {
		return &message.ClientKeyExchange{Public: s.bytes(1, 255)}
	}},
	{"CertificateVerify", protocol.CertificateVerify, protocol.VersionTLS13, func(s source) any {
		return &message.CertificateVerify{Scheme: uint16(s.Uint32()), Signature: s.bytes(0, 300)}
	}},
	{"Finished", protocol.Finished, protocol.VersionTLS13, func(s source) any {
		return &message.Finished{VerifyData: s.bytes(12, 48)}
	}},
	{"NewSessionTicket12", protocol.NewSessionTicket, protocol.VersionTLS12, func(s source) any {
		return &message.NewSessionTicket12{Lifetime: s.Uint32(), Ticket: s.bytes(0, 300)}
	}},
	{"NewSessionTicket13", protocol.NewSessionTicket, protocol.VersionDTLS13, func(s source) any {
		return &message.NewSessionTicket13{Lifetime: s.Uint32(), AgeAdd: s.Uint32(), Nonce: s.bytes(0, 255), Ticket: s.bytes(1, 300), Extensions: s.extensions()}
	}},
	{"KeyUpdate", protocol.KeyUpdate, protocol.VersionTLS13, func(s source) any {
		return &message.KeyUpdate{Request: message.KeyUpdateRequest(s.IntN(2))}
	}},
	{"NewConnectionID", protocol.NewConnectionID, protocol.VersionDTLS13, func(s source) any {
		return &message.NewConnectionID{IDs: s.list(0, 255), Usage: uint8(s.IntN(2))}
	}},
	{"RequestConnectionID", protocol.RequestConnectionID, protocol.VersionDTLS13, func(s source) any {
		return &message.RequestConnectionID{Count: uint8(s.Uint32())}
	}},
}

func appended(body func(*wire.Builder)) []byte {
	b := wire.NewBuilder([]byte{})
	body(b)
	p, err := b.Bytes()
	if err != nil {
		panic(err)
	}
	return p
}

func appendMessage(m any, v protocol.Version) []byte {
	return appended(func(b *wire.Builder) {
		if hello, ok := m.(*message.ClientHello); ok {
			hello.Append(b, transportOf(v))
		} else {
			m.(appender).Append(b)
		}
	})
}

func transportOf(v protocol.Version) protocol.Transport {
	if v == protocol.VersionDTLS12 || v == protocol.VersionDTLS13 {
		return protocol.Datagram
	}
	return protocol.Stream
}

func TestMessagesRoundTrip(t *testing.T) {
	for _, sample := range samples {
		t.Run(sample.name, func(t *testing.T) {
			for seed := range uint64(50) {
				want := sample.make(newSource(seed))
				body := appendMessage(want, sample.version)
				got, err := message.Parse(sample.typ, sample.version, body)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Fatalf("seed %d:\n got %+v\nwant %+v", seed, got, want)
				}
				if again := appendMessage(got, sample.version); !bytes.Equal(again, body) {
					t.Fatalf("seed %d: appended again as\n%x, came as\n%x", seed, again, body)
				}
			}
		})
	}
}

// prefixIsMessage reports whether a prefix of message m is a message too: Finished has
// no length, and a hello may end before its extension block.
func prefixIsMessage(m any, prefix []byte, v protocol.Version) bool {
	switch m := m.(type) {
	case *message.Finished:
		return true
	case *message.ClientHello:
		short := *m
		short.Extensions = nil
		return bytes.Equal(prefix, appendMessage(&short, v))
	case *message.ServerHello:
		short := *m
		short.Extensions = nil
		return bytes.Equal(prefix, appendMessage(&short, v))
	}
	return false
}

// RFC 9846 6 [6]
func TestMessagesRefusePrefixesAndTrailingBytes(t *testing.T) {
	for _, sample := range samples {
		t.Run(sample.name, func(t *testing.T) {
			for seed := range uint64(5) {
				m := sample.make(newSource(seed))
				body := appendMessage(m, sample.version)
				for n := range body {
					prefix := body[:n:n]
					_, err := message.Parse(sample.typ, sample.version, prefix)
					if prefixIsMessage(m, prefix, sample.version) {
						if err != nil {
							t.Fatalf("seed %d: %d of %d bytes are a message, got %v", seed, n, len(body), err)
						}
						continue
					}
					wantAlert(t, err, alert.DecodeError, "")
				}
				if sample.typ != protocol.Finished {
					_, err := message.Parse(sample.typ, sample.version, append(slices.Clone(body), 0))
					wantAlert(t, err, alert.DecodeError, "")
				}
			}
		})
	}
}

func wantAlert(t *testing.T, err error, want alert.Alert, text string) {
	t.Helper()
	var fault *alert.Error
	if !errors.As(err, &fault) {
		t.Fatalf("got error %v, want the alert %v", err, want)
	}
	if fault.Alert != want || fault.Fault != alert.Peer || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %q, want %v, the peer's fault, with %q", err, want, text)
	}
}

// RFC 9846 4.2.2 [18], 6 [7]
func TestMessagesRefuse(t *testing.T) {
	hello := "\xfe\xfd" + strings.Repeat("r", 32)
	tests := []struct {
		typ     protocol.HandshakeType
		version protocol.Version
		body    string
		alert   alert.Alert
		text    string
	}{
		{protocol.ClientHello, protocol.VersionDTLS13, "\xfe\xfd" + "r", alert.DecodeError, "ClientHello: random: truncated"},
		{protocol.ClientHello, protocol.VersionDTLS13, hello + "\x21" + strings.Repeat("s", 33), alert.DecodeError, "ClientHello: session_id: length 33, want 0 to 32"},
		{protocol.ClientHello, protocol.VersionDTLS13, hello + "\x00" + "\x05abc", alert.DecodeError, "ClientHello: cookie: truncated, 3 bytes are left"},
		{protocol.ClientHello, protocol.VersionDTLS13, hello + "\x00\x00" + "\x00\x00", alert.DecodeError, "ClientHello: cipher_suites: length 0, want 2 to 65534"},
		{protocol.ClientHello, protocol.VersionDTLS13, hello + "\x00\x00" + "\x00\x03abc" + "\x01\x00", alert.DecodeError, "ClientHello: cipher_suites: odd length 3"},
		{protocol.ClientHello, protocol.VersionDTLS13, hello + "\x00\x00" + "\x00\x02ab" + "\x00", alert.DecodeError, "ClientHello: compression_methods: length 0, want 1 to 255"},
		{protocol.ClientHello, protocol.VersionDTLS13, hello + "\x00\x00" + "\x00\x02ab" + "\x01\x00" + "\x00\x03\x00\x17\x00", alert.DecodeError, "ClientHello: extensions: the last entry is truncated, 3 bytes"},
		{protocol.ClientHello, protocol.VersionDTLS13, hello + "\x00\x00" + "\x00\x02ab" + "\x01\x00" + "\x00\x08\x00\x17\x00\x00\x00\x17\x00\x00", alert.DecodeError, "ClientHello: extensions: entry 23 is there twice"},
		{protocol.ClientHello, protocol.VersionDTLS13, hello + "\x00\x00" + "\x00\x02ab" + "\x01\x00" + "\x00\x00" + "x", alert.DecodeError, "ClientHello: 1 bytes after its end"},
		{protocol.ServerHello, protocol.VersionTLS13, hello + "\x21" + strings.Repeat("s", 33) + "ab\x00", alert.DecodeError, "ServerHello: session_id"},
		{protocol.ServerHello, protocol.VersionTLS13, hello + "\x00" + "ab\x00" + "\x00\x08\x00\x2b\x00\x00\x00\x2b\x00\x00", alert.DecodeError, "ServerHello: extensions"},
		{protocol.ServerHello, protocol.VersionTLS13, "\x03\x03" + string(message.HelloRetryRandom[:]) + "\x00" + "ab\x00" + "\x00\x08\x00\x2b\x00\x00\x00\x2b\x00\x00", alert.IllegalParameter, "an extension is there twice"},
		{protocol.EncryptedExtensions, protocol.VersionTLS13, "\x00\x08\x00\x10\x00\x00\x00\x10\x00\x00", alert.DecodeError, "EncryptedExtensions: extensions"},
		{protocol.CertificateRequest, protocol.VersionTLS12, "\x00" + "\x00\x02\x04\x03" + "\x00\x00", alert.DecodeError, "CertificateRequest: certificate_types"},
		{protocol.CertificateRequest, protocol.VersionTLS12, "\x01\x40" + "\x00\x00" + "\x00\x00", alert.DecodeError, "CertificateRequest: supported_signature_algorithms: length 0"},
		{protocol.CertificateRequest, protocol.VersionTLS12, "\x01\x40" + "\x00\x01\x04" + "\x00\x00", alert.DecodeError, "CertificateRequest: supported_signature_algorithms: length 1"},
		{protocol.CertificateRequest, protocol.VersionTLS12, "\x01\x40" + "\x00\x02\x04\x03" + "\x00\x02\x00\x00", alert.DecodeError, "CertificateRequest: distinguished_name: length 0"},
		{protocol.Certificate, protocol.VersionTLS12, "\x00\x00\x03\x00\x00\x00", alert.DecodeError, "Certificate: certificate: length 0"},
		{protocol.Certificate, protocol.VersionTLS13, "\x00" + "\x00\x00\x0e\x00\x00\x01c\x00\x08\x00\x05\x00\x00\x00\x05\x00\x00", alert.IllegalParameter, "Certificate: extensions"},
		{protocol.CompressedCertificate, protocol.VersionTLS13, "\x00\x01\x00\x00\x01\x00\x00\x00", alert.DecodeError, "CompressedCertificate: compressed_certificate_message: length 0"},
		{protocol.CertificateStatus, protocol.VersionTLS12, "\x02\x00\x00\x01r", alert.IllegalParameter, "CertificateStatus: status_type: got 2"},
		{protocol.CertificateStatus, protocol.VersionTLS12, "\x01\x00\x00\x00", alert.DecodeError, "CertificateStatus: response: length 0"},
		{protocol.ServerKeyExchange, protocol.VersionTLS12, "\x01\x00\x17\x01p\x04\x03\x00\x00", alert.IllegalParameter, "ServerKeyExchange: curve_type: got 1, want named_curve"},
		{protocol.ServerKeyExchange, protocol.VersionTLS12, "\x03\x00\x17\x00\x04\x03\x00\x00", alert.DecodeError, "ServerKeyExchange: public: length 0"},
		{protocol.ClientKeyExchange, protocol.VersionTLS12, "\x00", alert.DecodeError, "ClientKeyExchange: public: length 0"},
		{protocol.NewSessionTicket, protocol.VersionTLS13, "lifeageadd"[:8] + "\x00" + "\x00\x00" + "\x00\x00", alert.DecodeError, "NewSessionTicket: ticket: length 0"},
		{protocol.KeyUpdate, protocol.VersionTLS13, "\x02", alert.IllegalParameter, "KeyUpdate: request_update: got 2"},
		{protocol.NewConnectionID, protocol.VersionDTLS13, "\x00\x00\x02", alert.IllegalParameter, "NewConnectionId: usage: got 2"},
		{protocol.NewConnectionID, protocol.VersionDTLS13, "\x00\x02\x02a\x00", alert.DecodeError, "NewConnectionId: cid: truncated"},
		{protocol.EndOfEarlyData, protocol.VersionTLS13, "x", alert.DecodeError, "1 bytes"},
		{protocol.MessageHash, protocol.VersionTLS13, "", alert.UnexpectedMessage, "message_hash"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			_, err := message.Parse(test.typ, test.version, []byte(test.body))
			wantAlert(t, err, test.alert, test.text)
		})
	}
}

func TestAppendTooLong(t *testing.T) {
	var b wire.Builder
	(&message.HelloVerifyRequest{Cookie: make([]byte, 256)}).Append(&b)
	if _, err := b.Bytes(); !errors.Is(err, wire.ErrTooLong) {
		t.Errorf("a cookie of 256 bytes: got %v, want %v", err, wire.ErrTooLong)
	}
}

func TestParseForgetsWhatTheStructHeld(t *testing.T) {
	full, bare := clientHello(newSource(1), []byte("cookie")), clientHello(newSource(2), nil)
	bare.Extensions = nil
	body := appendMessage(bare, protocol.VersionTLS12)
	if err := full.Parse(body, protocol.Stream); err != nil || !reflect.DeepEqual(full, bare) {
		t.Errorf("got %+v, %v, want %+v", full, err, bare)
	}
	chain := message.Certificate12{Chain: [][]byte{{1}, {2}}}
	if err := chain.Parse([]byte{0, 0, 0}); err != nil || chain.Chain != nil {
		t.Errorf("got %v, %v, want an empty chain", chain.Chain, err)
	}
}

func TestHelloRetryRandom(t *testing.T) {
	if want := sha256.Sum256([]byte("HelloRetryRequest")); message.HelloRetryRandom != want {
		t.Errorf("got %x, want %x", message.HelloRetryRandom, want)
	}
	hello := serverHello(newSource(1))
	if hello.IsRetry() {
		t.Error("a ServerHello is taken for a HelloRetryRequest")
	}
	hello.Random = message.HelloRetryRandom[:]
	if !hello.IsRetry() {
		t.Error("a HelloRetryRequest is taken for a ServerHello")
	}
}

func TestUint16s(t *testing.T) {
	versions := []protocol.Version{protocol.VersionDTLS13, protocol.VersionDTLS12}
	u := message.MakeUint16s(versions)
	if want := "\xfe\xfc\xfe\xfd"; string(u) != want {
		t.Fatalf("got %x, want %x", u, want)
	}
	u = message.AppendUint16s(u, []uint16{0x1a2a})
	if got := slices.Collect(u.All()); !slices.Equal(got, []uint16{0xfefc, 0xfefd, 0x1a2a}) || u.Len() != 3 || u.At(2) != 0x1a2a {
		t.Errorf("got %#x, length %d", got, u.Len())
	}
	if got := message.Collect[protocol.Version](u[:4]); !slices.Equal(got, versions) {
		t.Errorf("got %v, want %v", got, versions)
	}
	// 0xfcfe stands across two values and is none.
	if !u.Contains(0xfefd) || u.Contains(0xfcfe) || message.Uint16s(nil).Contains(0) {
		t.Error("Contains is wrong")
	}
	for v := range u.All() {
		if v == 0xfefd {
			break
		}
	}
}

// FuzzMessage takes the first byte as type and the rest as body: what parses in
// any version is appended as the same bytes, all else has an alert.
func FuzzMessage(f *testing.F) {
	for _, sample := range samples {
		f.Add(append([]byte{byte(sample.typ)}, appendMessage(sample.make(newSource(1)), sample.version)...))
	}
	versions := []protocol.Version{protocol.VersionTLS12, protocol.VersionTLS13, protocol.VersionDTLS12, protocol.VersionDTLS13}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		typ, body := protocol.HandshakeType(data[0]), data[1:]
		for _, v := range versions {
			m, err := message.Parse(typ, v, body)
			if err != nil {
				if fault := new(alert.Error); !errors.As(err, &fault) {
					t.Fatalf("%v in %v: an error with no alert: %v", typ, v, err)
				}
				continue
			}
			if again := appendMessage(m, v); !bytes.Equal(again, body) {
				t.Fatalf("%v in %v came as\n%x, appended as\n%x", typ, v, body, again)
			}
		}
	})
}
