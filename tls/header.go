package tls

import (
	"encoding/binary"

	"github.com/godwit-dtls/godwit/shared/protocol"
)

// The bounds of records, in bytes (RFC 9846 5.1, 5.2; RFC 5246 6.2).
const (
	headerSize     = 5
	maxPlaintext   = 1 << 14
	maxExpansion13 = 256
	maxExpansion12 = 2048
)

// A header stands before every record (RFC 9846 5.1, RFC 5246 6.2.1):
//
//	uint8 type; uint16 legacy_record_version; uint16 length
type header struct {
	content protocol.ContentType
	version protocol.Version
	length  int // of the fragment behind it
}

// parseHeader reads the first headerSize bytes of b.
func parseHeader(b []byte) header {
	return header{
		content: protocol.ContentType(b[0]),
		version: protocol.Version(binary.BigEndian.Uint16(b[1:])),
		length:  int(binary.BigEndian.Uint16(b[3:])),
	}
}

func (h header) append(b []byte) []byte {
	b = append(b, byte(h.content))
	b = binary.BigEndian.AppendUint16(b, uint16(h.version))
	return binary.BigEndian.AppendUint16(b, uint16(h.length))
}

// recordVersion is what records carry as their version: 1.0 before the version
// is known, because some servers refuse a ClientHello otherwise (RFC 9846 5.1,
// RFC 5246 E.1), then 1.2 in both versions.
//
// RFC 9846 5.1 [10], E [2]
func recordVersion(v protocol.Version) protocol.Version {
	if v == 0 {
		return protocol.VersionTLS10
	}
	return protocol.VersionTLS12
}
