package connectionid

import "github.com/godwit-dtls/godwit/shared/protocol"

// InDatagram returns a datagram from where the connection ID of its first
// record begins, to its end: whoever made the ID knows how long it is. It is
// empty if that record has none, as plaintext has none, or isn't one of DTLS. The
// records behind it belong to the same association (RFC 9147 4).
func InDatagram(b []byte) []byte {
	const (
		offset12     = 11          // u8 type | u16 version | u16 epoch | u48 number (RFC 9146 4)
		unifiedMask  = 0b1111_0000 // 0 0 1 C (RFC 9147 4)
		unifiedAndID = 0b0011_0000
	)
	switch {
	case len(b) >= offset12 && protocol.ContentType(b[0]) == protocol.ConnectionID:
		return b[offset12:]
	case len(b) > 0 && b[0]&unifiedMask == unifiedAndID:
		return b[1:]
	}
	return nil
}
