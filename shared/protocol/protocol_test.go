package protocol_test

import (
	"fmt"
	"testing"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

func TestVersions(t *testing.T) {
	for _, test := range []struct {
		version          protocol.Version
		stream, datagram protocol.Version
		is13, known      bool
		name             string
	}{
		{protocol.VersionTLS10, protocol.VersionTLS10, protocol.VersionTLS10, false, false, "TLS 1.0"},
		{protocol.VersionTLS11, protocol.VersionTLS11, protocol.VersionTLS11, false, false, "TLS 1.1"},
		{protocol.VersionTLS12, protocol.VersionTLS12, protocol.VersionDTLS12, false, true, "TLS 1.2"},
		{protocol.VersionTLS13, protocol.VersionTLS13, protocol.VersionDTLS13, true, true, "TLS 1.3"},
		{protocol.VersionDTLS10, protocol.VersionDTLS10, protocol.VersionDTLS10, false, false, "DTLS 1.0"},
		{protocol.VersionDTLS12, protocol.VersionTLS12, protocol.VersionDTLS12, false, true, "DTLS 1.2"},
		{protocol.VersionDTLS13, protocol.VersionTLS13, protocol.VersionDTLS13, true, true, "DTLS 1.3"},
		{0x1a2a, 0x1a2a, 0x1a2a, false, false, "version 0x1a2a"},
	} {
		v := test.version
		if got := v.Over(protocol.Stream); got != test.stream {
			t.Errorf("%v over a stream is %v, want %v", v, got, test.stream)
		}
		if got := v.Over(protocol.Datagram); got != test.datagram {
			t.Errorf("%v over datagrams is %v, want %v", v, got, test.datagram)
		}
		if v.Is13() != test.is13 || v.Known() != test.known || v.String() != test.name {
			t.Errorf("%v: Is13 %v, Known %v, want %v, %v, %q", v, v.Is13(), v.Known(), test.is13, test.known, test.name)
		}
	}
}

func TestNames(t *testing.T) {
	for want, v := range map[string]fmt.Stringer{
		"ack":              protocol.ACK,
		"content type 99":  protocol.ContentType(99),
		"ClientHello":      protocol.ClientHello,
		"HelloRequest":     protocol.HelloRequest,
		"handshake type 6": protocol.HandshakeType(6),
		"server_name":      protocol.ExtServerName,
		"extension 2570":   protocol.ExtensionType(0x0a0a),
		"3/17":             protocol.RecordNumber{Epoch: 3, Sequence: 17},
	} {
		if got := v.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRecordNumberLess(t *testing.T) {
	ordered := []protocol.RecordNumber{{}, {0, 1}, {0, 1<<64 - 1}, {1, 0}, {1, 1}, {1<<64 - 1, 0}, {1<<64 - 1, 1<<64 - 1}}
	for i, n := range ordered {
		for j, o := range ordered {
			if n.Less(o) != (i < j) {
				t.Errorf("%v less than %v is %v", n, o, n.Less(o))
			}
		}
	}
}
