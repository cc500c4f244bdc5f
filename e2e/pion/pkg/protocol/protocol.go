// Package protocol has the names that messages and errors are made of.
package protocol

// A Version is a protocol version as it stands on the wire.
type Version struct{ Major, Minor uint8 }

// The versions of DTLS.
var (
	Version1_0 = Version{Major: 0xfe, Minor: 0xff}
	Version1_2 = Version{Major: 0xfe, Minor: 0xfd}
	Version1_3 = Version{Major: 0xfe, Minor: 0xfc}
)

// Equal compares two versions.
func (v Version) Equal(x Version) bool { return v == x }

// A CompressionMethodID numbers compression methods, of which there is one: none.
type CompressionMethodID byte

// A CompressionMethod stands in a ClientHello's list.
type CompressionMethod struct{ ID CompressionMethodID }
